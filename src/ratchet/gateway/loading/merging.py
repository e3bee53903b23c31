"""One list of each kind of declaration, from the settings file, the environment and the studio. Pure.

A name that is declared in the file and in the studio is refused, with both places named; so is what names something
that is not there. A provider that the environment implies gives way to a declared one of its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from ratchet.catalog.prices import PriceSettings
from ratchet.config import describe_problems
from ratchet.domain.declarations import Declaration, Declarations, DeclaredKind
from ratchet.errors import Misconfigured
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.loading.naming import Flaw, Origin, There, flaws_of
from ratchet.gateway.settings import GatewaySettings, ProviderSettings, RouteSettings
from ratchet.gateway.trust.segments import Segments
from ratchet.gateway.trust.settings import SegmentSettings, TrustSettings

__all__ = ["Merged", "Sections", "merge"]

Chosen = TypeVar("Chosen", bound=BaseModel)


class Sections(Protocol):
    """The parts of the settings that a gateway reads. `implied` names the providers that nobody declared."""

    @property
    def providers(self) -> Mapping[str, ProviderSettings]: ...
    @property
    def routes(self) -> Mapping[str, RouteSettings]: ...
    @property
    def limits(self) -> Mapping[str, LimitSettings]: ...
    @property
    def budgets(self) -> Mapping[str, BudgetSettings]: ...
    @property
    def gateway(self) -> GatewaySettings: ...
    @property
    def prices(self) -> Mapping[str, PriceSettings]: ...
    @property
    def segments(self) -> Mapping[str, SegmentSettings]: ...
    @property
    def trust(self) -> TrustSettings: ...
    @property
    def implied(self) -> frozenset[str]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Merged(There):
    """Everything that is declared, where each comes from, and what is wrong with it."""

    flaws: tuple[Flaw, ...]

    def of(self, kind: DeclaredKind) -> Mapping[str, BaseModel]:
        """Those of one kind."""
        return getattr(self, f"{kind}s")


def merge(file: Sections, studio: Declarations) -> Merged:
    """Where a name is declared twice, the file's stands in the result, and a flaw tells of it."""
    flaws: list[Flaw] = []
    providers, made = _joined(
        "provider", file.providers, studio, ProviderSettings, flaws, implied=file.implied
    )
    routes, routed = _joined("route", file.routes, studio, RouteSettings, flaws)
    limits, limiting = _joined("limit", file.limits, studio, LimitSettings, flaws)
    segments, segmented = _joined("segment", file.segments, studio, SegmentSettings, flaws)
    budgets, budgeted = _joined("budget", file.budgets, studio, BudgetSettings, flaws)
    try:
        Segments(segments)
    except Misconfigured as error:
        flaws.append(Flaw("segment", "", error.message, error.remedy))
    origins: dict[DeclaredKind, Mapping[str, Origin]] = {
        "provider": made,
        "route": routed,
        "limit": limiting,
        "segment": segmented,
        "budget": budgeted,
    }
    merged = Merged(providers, routes, limits, segments, budgets, origins, ())
    return dataclasses.replace(merged, flaws=(*flaws, *flaws_of(merged)))


def _joined(
    kind: DeclaredKind,
    file: Mapping[str, Chosen],
    studio: Declarations,
    model: type[Chosen],
    flaws: list[Flaw],
    *,
    implied: frozenset[str] = frozenset(),
) -> tuple[dict[str, Chosen], dict[str, Origin]]:
    """All of one kind, and where each comes from. `implied` are of the environment, and give way."""
    origins: dict[str, Origin] = {name: "environment" if name in implied else "file" for name in file}
    added = _readable(kind, studio.of(kind), model, frozenset(file) - implied, flaws)
    for name in added:
        origins[name] = "studio"
    return {**file, **added}, origins


def _readable(
    kind: DeclaredKind,
    declarations: Sequence[Declaration],
    model: type[Chosen],
    taken: frozenset[str],
    flaws: list[Flaw],
) -> dict[str, Chosen]:
    """What the studio adds; what can't be added becomes a flaw."""
    found: dict[str, Chosen] = {}
    for declaration in declarations:
        name = declaration.name
        if name in taken:
            flaws.append(
                Flaw(
                    kind,
                    name,
                    f"The {kind} {name!r} is declared twice: in ratchet.toml ([{kind}s.{name}]) and in the studio.",
                    f"Take it out of one of them: delete that section, or `ratchet {kind} delete {name}`.",
                )
            )
            continue
        try:
            found[name] = model.model_validate(declaration.settings)
        except ValidationError as error:
            flaws.append(
                Flaw(
                    kind,
                    name,
                    f"The {kind} {name!r}, declared in the studio, can't be used: {describe_problems(error, model)}",
                    f"Correct it there, or `ratchet {kind} delete {name}`.",
                )
            )
    return found
