"""Declaring providers, routes, limits, segments and budgets: what there is and where it is declared, and changes that are checked first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError

from ratchet.addresses import Guard
from ratchet.config import Problem, problems_of
from ratchet.domain.declarations import Declaration, Declarations, DeclaredKind
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.loading.merging import Merged, merge
from ratchet.gateway.loading.naming import Flaw, Origin, unknown_keys
from ratchet.gateway.settings import Name, ProviderSettings, RouteSettings
from ratchet.gateway.trust.settings import SegmentSettings
from ratchet.store.records.declarations import add_declared, change_declared, declared, drop_declared
from ratchet.store.records.keys import list_keys
from ratchet.studio.services import Visit

__all__ = [
    "MODELS",
    "Declared",
    "Kind",
    "Unfit",
    "change",
    "create",
    "drop",
    "list_declared",
    "merged_now",
    "one_declared",
]

Kind = DeclaredKind
MODELS: dict[Kind, type[BaseModel]] = {
    "provider": ProviderSettings,
    "route": RouteSettings,
    "limit": LimitSettings,
    "segment": SegmentSettings,
    "budget": BudgetSettings,
}
_PLACES: dict[Origin, str] = {"file": "ratchet.toml", "studio": "studio", "environment": "environment"}
_name: TypeAdapter[str] = TypeAdapter(Name)


class Unfit(InvalidRequest):
    """Settings that can't be used. `problems` has one for each field; those without a key concern the whole."""

    def __init__(self, message: str, remedy: str, problems: list[Problem]) -> None:
        super().__init__(message, remedy, param=next((each.key for each in problems if each.key), None))
        self.problems = problems


class Declared(msgspec.Struct, frozen=True):
    """A provider or route, wherever it is declared. `settings` are as a file would say them, defaults left out."""

    kind: Kind
    name: str
    origin: Origin
    settings: dict[str, Any]
    in_studio: bool  # whether the studio declares the name, even where the file does too
    flaws: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # it can be used, and probably not as it was meant
    created: int | None = None
    created_by: str = ""
    updated: int | None = None
    updated_by: str = ""

    @property
    def place(self) -> str:
        """Where it is declared, for people."""
        return _PLACES[self.origin]


def merged_now(asked: Visit) -> tuple[Merged, Declarations]:
    """Everything there is, and what of it comes from the records."""
    known = declared(asked.services.records, project_id=asked.project_id)
    return merge(asked.services.in_force().file, known), known


def list_declared(asked: Visit, kind: Kind) -> list[Declared]:
    """By name. What is declared twice, or can't be used, is there with its flaws."""
    merged, known = merged_now(asked)
    models, origins = merged.of(kind), merged.origins[kind]
    studio = {each.name: each for each in known.of(kind)}
    flaws: dict[str, list[str]] = {}
    for flaw in merged.flaws:
        if flaw.kind == kind:
            flaws.setdefault(flaw.name, []).append(f"{flaw.message} {flaw.remedy}")
    warnings: dict[str, list[str]] = {}
    if kind in ("limit", "segment", "budget"):
        keys = list_keys(asked.services.records, project_id=asked.project_id)
        for other, name, text in unknown_keys(merged, [key for key in keys if key.revoked is None]):
            if other == kind:
                warnings.setdefault(name, []).append(text)
    found: list[Declared] = []
    for name in sorted({*models, *studio}):
        origin = origins.get(name, "studio")
        own = studio.get(name) if origin == "studio" else None
        settings = own.settings if own else models[name].model_dump(mode="json", exclude_defaults=True)
        found.append(
            Declared(
                kind=kind,
                name=name,
                origin=origin,
                settings=settings,
                in_studio=name in studio,
                flaws=tuple(flaws.get(name, ())),
                warnings=tuple(warnings.get(name, ())),
                created=own.created if own else None,
                created_by=own.created_by if own else "",
                updated=own.updated if own else None,
                updated_by=own.updated_by if own else "",
            )
        )
    return found


def one_declared(asked: Visit, kind: Kind, name: str) -> Declared:
    """Raises NotFound."""
    everything = list_declared(asked, kind)
    found = next((each for each in everything if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in everything[:20]) or "none yet"
        raise NotFound(f"There is no {kind} {name!r}.", f"There are: {names}.")
    return found


def create(asked: Visit, kind: Kind, name: str, settings: Mapping[str, Any]) -> Declared:
    """Declare one more; gateways serve it within a second. Raises Unfit and Conflict, and changes nothing then."""
    name = name.strip()
    problems = _name_problems(name)
    try:
        checked = _checked(asked, kind, name or "…", settings)
    except Unfit as error:
        raise Unfit(error.message, error.remedy, [*problems, *error.problems]) from error
    if problems:
        raise _unfit(f"The {kind} can't have this name: {problems[0]}.", problems)
    merged, known = merged_now(asked)
    if merged.origins[kind].get(name) == "file":
        raise Conflict(
            f"ratchet.toml declares the {kind} {name!r} already ([{kind}s.{name}]).",
            f"Choose another name, or take that section out of {asked.services.in_force().path} first.",
            code="declared_in_file",
            param="name",
        )
    now = asked.services.now()
    fresh = Declaration(
        project_id=asked.project_id,
        name=name,
        settings=checked,
        created=now,
        created_by=asked.member.email,
        updated=now,
        updated_by=asked.member.email,
    )
    _refuse_new_flaws(asked, merged, _with(known, kind, fresh))
    add_declared(
        asked.services.records,
        kind,
        project_id=asked.project_id,
        name=name,
        settings=checked,
        now=now,
        by=asked.member.email,
    )
    return one_declared(asked, kind, name)


def change(
    asked: Visit, kind: Kind, name: str, settings: Mapping[str, Any], *, seen: int | None = None
) -> Declared:
    """Replace the settings of what the studio declares. Raises Unfit, Conflict and NotFound."""
    before = _own(asked, kind, name)
    checked = _checked(asked, kind, name, settings)
    merged, known = merged_now(asked)
    _refuse_new_flaws(asked, merged, _with(known, kind, msgspec.structs.replace(before, settings=checked)))
    change_declared(
        asked.services.records,
        kind,
        project_id=asked.project_id,
        name=name,
        settings=checked,
        now=asked.services.now(),
        by=asked.member.email,
        seen=seen,
    )
    return one_declared(asked, kind, name)


def drop(asked: Visit, kind: Kind, name: str) -> Declaration:
    """Take out what the studio declares. Raises Conflict where a route still needs it, and NotFound."""
    _own(asked, kind, name)
    merged, known = merged_now(asked)
    needing = _new_flaws(asked, merged, _without(known, kind, name))
    if needing:
        raise Conflict(
            f"The {needing[0].kind} {needing[0].name!r} needs the {kind} {name!r}.",
            f"Change or delete that {needing[0].kind} first.",
            code="still_needed",
            param="name",
        )
    return drop_declared(asked.services.records, kind, project_id=asked.project_id, name=name)


def _own(asked: Visit, kind: Kind, name: str) -> Declaration:
    """The studio's own declaration; Conflict where the name is somebody else's to change."""
    known = declared(asked.services.records, project_id=asked.project_id)
    for each in known.of(kind):
        if each.name == name:
            return each
    found = one_declared(asked, kind, name)
    if found.origin == "file":
        raise Conflict(
            f"The {kind} {name!r} is declared in ratchet.toml.",
            f"Change [{kind}s.{name}] in {asked.services.in_force().path}; gateways take it over within a second.",
            code="declared_in_file",
        )
    raise Conflict(
        f"The {kind} {name!r} is there because of the gateway's environment.",
        "Declare one of the same name to replace it.",
        code="declared_by_environment",
    )


def _checked(asked: Visit, kind: Kind, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept: the settings as the model reads them, defaults left out. Raises Unfit."""
    model = MODELS[kind]
    try:
        read = model.model_validate(dict(settings))
    except ValidationError as error:
        problems = problems_of(error, model)
        raise _unfit(
            f"The {kind} {name!r} can't be used: {'; '.join(str(each) for each in problems)}.", problems
        ) from error
    for field in ("base_url", "webhook"):
        address = getattr(read, field, None)
        if address is not None:
            _refuse_private(asked, f"{kind} {name!r}", field, str(address))
    return read.model_dump(mode="json", exclude_defaults=True)


def _refuse_private(asked: Visit, who: str, field: str, address: str) -> None:
    """An address that is private as it stands is told here; one behind a name, by the gateway when it connects."""
    host = urlsplit(address).hostname or ""
    if Guard(asked.services.in_force().file.gateway.allow_private).refuses(host):
        raise _unfit(
            f"The {who} can't be used: {host} is a private address, which gateway.allow_private in "
            "ratchet.toml does not name.",
            [
                Problem(
                    field,
                    "expected a public address, or one that gateway.allow_private names",
                    repr(host),
                )
            ],
        )


def _name_problems(name: str) -> list[Problem]:
    if not name:
        return [Problem("name", "is missing")]
    try:
        _name.validate_python(name)
    except ValidationError as error:
        words = str(error.errors()[0].get("ctx", {}).get("error", "expected a name"))
        return [Problem("name", words, repr(name[:120]))]
    return []


def _unfit(message: str, problems: list[Problem]) -> Unfit:
    return Unfit(message, "Correct what is named and save it again; nothing has been changed.", problems)


def _new_flaws(asked: Visit, before: Merged, after: Declarations) -> list[Flaw]:
    old = {(flaw.kind, flaw.name, flaw.message) for flaw in before.flaws}
    return [
        flaw
        for flaw in merge(asked.services.in_force().file, after).flaws
        if (flaw.kind, flaw.name, flaw.message) not in old
    ]


def _refuse_new_flaws(asked: Visit, before: Merged, after: Declarations) -> None:
    """A change may leave a flaw as it was, and may not add one."""
    added = _new_flaws(asked, before, after)
    if added:
        raise Conflict(
            added[0].message, added[0].remedy, code="unusable_together", param=added[0].key or "name"
        )


def _with(known: Declarations, kind: Kind, new: Declaration) -> Declarations:
    return known.replacing(kind, (*_without(known, kind, new.name).of(kind), new))


def _without(known: Declarations, kind: Kind, name: str) -> Declarations:
    return known.replacing(kind, tuple(each for each in known.of(kind) if each.name != name))
