"""What declarations name: each thing has to be there, and a budget has to lead elsewhere than to where it is. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from ratchet.domain.access import Key
from ratchet.domain.declarations import DeclaredKind
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.gateway.limits.settings import Applies, LimitSettings
from ratchet.gateway.settings import ProviderSettings, RouteSettings
from ratchet.gateway.trust.settings import DEFAULT_SEGMENT, SegmentSettings

__all__ = ["Flaw", "Origin", "There", "flaws_of", "unknown_keys"]

Origin = Literal["file", "studio", "environment"]


@dataclasses.dataclass(frozen=True, slots=True)
class Flaw:
    """Why a set of declarations can't be used: what is wrong with which name, and what to do. `key` is the setting to
    blame, "" for the whole."""

    kind: DeclaredKind
    name: str
    message: str
    remedy: str
    key: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class There:
    """Everything that is declared, and where."""

    providers: Mapping[str, ProviderSettings]
    routes: Mapping[str, RouteSettings]
    limits: Mapping[str, LimitSettings]
    segments: Mapping[str, SegmentSettings]
    budgets: Mapping[str, BudgetSettings]
    origins: Mapping[DeclaredKind, Mapping[str, Origin]]

    def answers(self, model: str) -> bool:
        """Whether an app may ask for it: a route, or a provider's model."""
        return model in self.routes or ("/" in model and model.partition("/")[0] in self.providers)

    def who(self, kind: DeclaredKind, name: str, key: str) -> str:
        """The subject of a sentence about a setting."""
        if self.origins[kind].get(name) == "studio":
            return f"The {kind} {name!r}, declared in the studio,"
        return f"{kind}s.{name}.{key}"

    def targets(self, model: str) -> frozenset[str]:
        """Who answers for a route, or for a provider's model."""
        return frozenset(self.routes[model].targets) if model in self.routes else frozenset((model,))


def flaws_of(there: There) -> Iterator[Flaw]:
    """What names something that is not there, or makes a budget hold nobody to anything."""
    for name, route in there.routes.items():
        yield from _missing_providers(there, name, route)
        judge = route.cache.judge if route.cache is not None else None
        yield from _missing_model(there, "route", name, "cache", judge, inside=".judge")
    for name, limit in there.limits.items():
        yield from _nobody(there, "limit", name, limit)
    for name, budget in there.budgets.items():
        yield from _nobody(there, "budget", name, budget)
        yield from _missing_model(there, "budget", name, "degrade_to", budget.degrade_to)
    yield from _leading_back(there)


class Keyed(Protocol):
    """What may name keys."""

    @property
    def limits(self) -> Mapping[str, LimitSettings]: ...
    @property
    def budgets(self) -> Mapping[str, BudgetSettings]: ...
    @property
    def segments(self) -> Mapping[str, SegmentSettings]: ...


def unknown_keys(declared: Keyed, keys: Iterable[Key]) -> Iterator[tuple[DeclaredKind, str, str]]:
    """Who names a key that is not there, and that in words. A key may be made later, so it is no flaw."""
    known = {name for key in keys for name in (key.id, key.name)}
    named: list[tuple[DeclaredKind, str, Sequence[str] | None]] = [
        *(("limit", name, each.keys) for name, each in declared.limits.items()),
        *(("budget", name, each.keys) for name, each in declared.budgets.items()),
        *(("segment", name, each.keys) for name, each in declared.segments.items()),
    ]
    for kind, name, listed in named:
        for key in listed or ():
            if key not in known:
                yield (
                    kind,
                    name,
                    f"The {kind} {name!r} is for the key {key!r}, which is not there. Nobody has it until it is made.",
                )


def _missing_model(
    there: There, kind: DeclaredKind, name: str, key: str, model: str | None, *, inside: str = ""
) -> Iterator[Flaw]:
    if model is not None and not there.answers(model):
        yield _missing_one(there, kind, name, key, model, inside)


def _missing_one(there: There, kind: DeclaredKind, name: str, key: str, model: str, inside: str = "") -> Flaw:
    return Flaw(
        kind,
        name,
        f"{there.who(kind, name, key + inside)} names {model!r}, which is neither a route nor a provider's model.",
        f"Name one of the routes {', '.join(sorted(there.routes)) or '(there are none)'}, or provider/model.",
        key,
    )


def _nobody(there: There, kind: DeclaredKind, name: str, settings: Applies) -> Iterator[Flaw]:
    """Lists with names that nobody has: what is misspelled would hold nobody to anything."""
    for route in settings.routes or ():
        if not there.answers(route):
            yield _missing_one(there, kind, name, "routes", route)
    segments = sorted({*there.segments, DEFAULT_SEGMENT})
    for segment in settings.segments or ():
        if segment not in segments:
            yield Flaw(
                kind,
                name,
                f"{there.who(kind, name, 'segments')} names the segment {segment!r}, which is not declared.",
                f"Add [segments.{segment}] or declare it in the studio, or name one of: {', '.join(segments)}.",
                "segments",
            )


def _missing_providers(there: There, name: str, route: RouteSettings) -> Iterator[Flaw]:
    for provider in sorted({target.partition("/")[0] for target in route.targets} - there.providers.keys()):
        yield Flaw(
            "route",
            name,
            f"{there.who('route', name, 'targets')} names the provider {provider!r}, which is not declared.",
            f"Add [providers.{provider}] or declare it in the studio, or use one of: "
            f"{', '.join(sorted(there.providers))}.",
            "targets",
        )


def _leading_back(there: There) -> Iterator[Flaw]:
    """Budgets whose `degrade_to` leads to where its requests are: once spent, they would go on as before.

    Only budgets with `routes` can do so: one for all routes still has those it doesn't name answered by another.
    """
    leads = {
        name: _Lead(budget, frozenset(map(there.targets, budget.routes)), there.targets(budget.degrade_to))
        for name, budget in there.budgets.items()
        if budget.routes and budget.degrade_to
    }
    for name in leads:
        path = _way_back(name, leads)
        if path is None:
            continue
        through = f", through {' and '.join(f'the budget {each!r}' for each in path)}" if path else ""
        yield Flaw(
            "budget",
            name,
            f"{there.who('budget', name, 'degrade_to')} leads back to what the budget is for{through}: once it is "
            "spent, requests would go on as before.",
            "Name a cheaper route that answers with other targets, or leave degrade_to out: then requests are refused.",
            "degrade_to",
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Lead:
    """Whose requests a budget sends where, by their targets."""

    budget: BudgetSettings
    own: frozenset[frozenset[str]]
    to: frozenset[str]

    def meets(self, other: _Lead) -> bool:
        """Whether there may be a request that both are for."""
        pairs = ((getattr(self.budget, field), getattr(other.budget, field)) for field in _LISTS)
        return all(
            mine is None or theirs is None or not set(mine).isdisjoint(theirs) for mine, theirs in pairs
        )


_LISTS = ("keys", "users", "organisations", "segments")


def _way_back(name: str, leads: Mapping[str, _Lead]) -> list[str] | None:
    """The other budgets on the way from where one leads to where it is; None where there is no such way."""
    start = leads[name]
    if start.own == frozenset((start.to,)):
        return []
    ways: list[tuple[frozenset[str], list[str]]] = [(start.to, [])]
    seen = {name}
    for at, path in ways:
        for each, lead in leads.items():
            if each in seen or at not in lead.own or not lead.meets(start):
                continue
            if lead.to in start.own:
                return [*path, each]
            seen.add(each)
            ways.append((lead.to, [*path, each]))
    return None
