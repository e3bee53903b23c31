"""What the pages of providers and of routes share: a list with health, one of them with its form, trying it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.errors import Conflict, InvalidRequest, RatchetError, Unavailable
from ratchet.store.spans import Health
from ratchet.studio.asking_gateway import GatewayLine, GatewayState
from ratchet.studio.declaring import (
    MODELS,
    Declared,
    Kind,
    Unfit,
    change,
    create,
    drop,
    list_declared,
    one_declared,
)
from ratchet.studio.exports import Column, export, export_format, milliseconds
from ratchet.studio.model_form import ModelForm, blank_form, filled_form, read_form, refilled_form
from ratchet.studio.rendering import fragment, is_fragment, json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.trying import Tried, try_it

__all__ = [
    "KeyState",
    "Row",
    "Watched",
    "create_from_page",
    "drop_from_page",
    "form_again",
    "list_json",
    "list_page",
    "one_json",
    "one_page",
    "save_from_page",
    "try_from_page",
]

WINDOWS = {"1h": ("1 h", 3600 * 10**9), "24h": ("24 h", 24 * 3600 * 10**9)}
Typing = Mapping[str, Sequence[str]]
Watched = Literal["provider", "route"]


class KeyState(msgspec.Struct, frozen=True):
    """The variable that holds a provider's key. `ready` is whether it is set, as `seen_by` sees it."""

    variable: str
    ready: bool
    seen_by: str  # gateway | studio


class Row(msgspec.Struct, frozen=True):
    """One line of a list. `health` is None where nothing was asked of it in the window."""

    declared: Declared
    health: Health | None
    key: KeyState | None

    @property
    def failing(self) -> str:
        """The share of calls that failed, for people."""
        if self.health is None or not self.health.errors:
            return "0 %"
        share = 100 * self.health.errors / self.health.calls
        return f"{share:.1f} %" if share < 9.95 else f"{share:.0f} %"


_COLUMNS: tuple[Column[Row], ...] = (
    Column("name", lambda row: row.declared.name),
    Column("declared_in", lambda row: row.declared.place),
    Column("kind", lambda row: row.declared.settings.get("kind", "")),
    Column("base_url", lambda row: row.declared.settings.get("base_url") or ""),
    Column("targets", lambda row: row.declared.settings.get("targets", [])),
    Column("calls", lambda row: row.health.calls if row.health else 0),
    Column("errors", lambda row: row.health.errors if row.health else 0),
    Column("latency_p50_ms", lambda row: milliseconds(row.health.latency_p50) if row.health else None),
    Column("latency_p95_ms", lambda row: milliseconds(row.health.latency_p95) if row.health else None),
    Column("first_token_p50_ms", lambda row: milliseconds(row.health.ttft_p50) if row.health else None),
    Column("first_token_p95_ms", lambda row: milliseconds(row.health.ttft_p95) if row.health else None),
)
_ONLY_OF_THE_OTHER: dict[Watched, frozenset[str]] = {
    "provider": frozenset({"targets"}),
    "route": frozenset({"kind", "base_url"}),
}


class Shelf(msgspec.Struct, frozen=True):
    """Everything that a list's page shows."""

    kind: Watched
    rows: list[Row]
    window: str
    gateway: GatewayState
    store_problem: str


def list_json(asked: Visit, kind: Watched, health: str) -> Response:
    """Every one, wherever it is declared; with `health`, how it did in the last `1h` or `24h`."""
    if export_format(asked):
        return _export(asked, kind, health or "24h")
    shelf = _shelf(asked, kind, health, param="health") if health else None
    if shelf is None:
        return json_response([_as_json(asked, each) for each in list_declared(asked, kind)])
    return json_response([{**_as_json(asked, row.declared), "health": row.health} for row in shelf.rows])


def _export(asked: Visit, kind: Watched, window: str) -> Response:
    """The list as a file, with the figures of `window`."""
    shelf = _shelf(asked, kind, window)
    if shelf.store_problem:  # a file that says "no calls" for what is not known would be a lie
        raise Unavailable(f"There are no figures: {shelf.store_problem}", "Try again when the store is back.")
    columns = [column for column in _COLUMNS if column.name not in _ONLY_OF_THE_OTHER[kind]]
    return export(asked, f"{kind}s", columns, [shelf.rows], total=len(shelf.rows))


def one_json(asked: Visit, declared: Declared, *, status: int = 200) -> Response:
    return json_response(_as_json(asked, declared), status=status)


def _as_json(asked: Visit, declared: Declared) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(declared)
    del shown["kind"]
    key = _key_state(asked, declared, None)
    return {**shown, "place": declared.place, "key": key} if declared.kind == "provider" else shown


def list_page(
    asked: Visit, kind: Watched, *, form: ModelForm | None = None, status: int = 200, window: str = ""
) -> Response:
    """The list; `form` is one that has to be corrected. With `?format=` the file of it."""
    if export_format(asked):
        return _export(asked, kind, window or asked.request.query_params.get("window", "24h"))
    shelf = _shelf(asked, kind, window or asked.request.query_params.get("window", "24h"))
    may_edit = asked.member.role >= Role.DEVELOPER
    wanted = form is not None or "new" in asked.request.query_params
    return page(
        asked,
        "declared_list.html",
        status=status,
        shelf=shelf,
        windows=WINDOWS,
        may_edit=may_edit,
        form=form or blank_form(MODELS[kind], suggestions=_suggestions(asked, kind)),
        form_open=wanted,
        in_force=asked.services.in_force(),
    )


def one_page(
    asked: Visit,
    kind: Watched,
    name: str,
    *,
    form: ModelForm | None = None,
    status: int = 200,
    tried: Tried | None = None,
    try_error: RatchetError | None = None,
    typed: Typing | None = None,
    error: RatchetError | None = None,
) -> Response:
    """One of them: how it does, how to try it, and its form where the studio may change it."""
    declared = one_declared(asked, kind, name)
    health, problem = _health_of_one(asked, kind, name)
    settings = form or filled_form(
        MODELS[kind], declared.settings, seen=declared.updated, suggestions=_suggestions(asked, kind)
    )
    return page(
        asked,
        "declared.html",
        status=status,
        declared=declared,
        health=health,
        store_problem=problem,
        windows=WINDOWS,
        key=_key_state(asked, declared, _gateway(asked)),
        form=settings,
        may_edit=asked.member.role >= Role.DEVELOPER,
        used_by=_used_by(asked, declared),
        models=_models(asked, kind, name),
        tried=tried,
        try_error=try_error,
        prompt=_typed_text(typed, "prompt") or "Say hello in one short sentence.",
        model=_typed_text(typed, "model"),
        error=error,
        saved="saved" in asked.request.query_params and form is None,
        in_force=asked.services.in_force(),
    )


def create_from_page(asked: Visit, kind: Watched, typed: Typing) -> Response:
    """The form for a new one; with mistakes, the form again with everything that was typed."""
    model = MODELS[kind]
    try:
        made = create(asked, kind, _typed_text(typed, "name"), read_form(model, typed))
    except RatchetError as error:
        return list_page(asked, kind, form=form_again(asked, kind, typed, error), status=error.status)
    return see_other(f"/{kind}s/{made.name}")


def save_from_page(asked: Visit, kind: Watched, name: str, typed: Typing) -> Response:
    model = MODELS[kind]
    own = one_declared(asked, kind, name).origin == "studio"
    seen = _typed_text(typed, "seen")
    try:
        change(asked, kind, name, read_form(model, typed), seen=int(seen) if seen.isdigit() else None)
    except RatchetError as error:
        if not own:
            return one_page(asked, kind, name, error=error, status=error.status)
        return one_page(asked, kind, name, form=form_again(asked, kind, typed, error), status=error.status)
    return see_other(f"/{kind}s/{name}?saved=1")


def drop_from_page(asked: Visit, kind: Watched, name: str) -> Response:
    try:
        drop(asked, kind, name)
    except Conflict as error:
        return one_page(asked, kind, name, error=error, status=error.status)
    return see_other(f"/{kind}s")


def try_from_page(asked: Visit, kind: Watched, name: str, typed: Typing) -> Response:
    """What came of one request: a piece of the page for htmx, else the page."""
    tried: Tried | None = None
    problem: RatchetError | None = None
    try:
        tried = try_it(asked, kind, name, _typed_text(typed, "prompt"), _typed_text(typed, "model"))
    except RatchetError as error:
        if error.status == 404:
            raise
        problem = error
    if is_fragment(asked.request):
        return fragment(asked, "tried.html", tried=tried, try_error=problem)
    status = problem.status if problem else 200
    return one_page(asked, kind, name, tried=tried, try_error=problem, typed=typed, status=status)


def form_again(asked: Visit, kind: Kind, typed: Typing, error: RatchetError) -> ModelForm:
    problems = error.problems if isinstance(error, Unfit) else []
    form = refilled_form(
        MODELS[kind],
        typed,
        problems,
        message=error.message,
        remedy=error.remedy,
        suggestions=_suggestions(asked, kind) if kind in ("provider", "route") else {},
    )
    if error.param == "name" and not form.name_error:
        return msgspec.structs.replace(
            form, name_error=f"{error.message} {error.remedy}", error="", remedy=""
        )
    return form


def _shelf(asked: Visit, kind: Watched, window: str, *, param: str = "window") -> Shelf:
    if window not in WINDOWS:
        raise InvalidRequest(
            f"There is no time range {window!r} here.", f"Use one of: {', '.join(WINDOWS)}.", param=param
        )
    gateway = _gateway(asked)
    health: Mapping[str, Health] = {}
    problem = ""
    try:
        since = asked.services.now() - WINDOWS[window][1]
        health = asked.services.spans().health(asked.project_id, by=kind, since=since)
    except RatchetError as error:  # what is declared can be seen and changed without the span store
        problem = str(error)
    rows = [
        Row(each, health.get(each.name), _key_state(asked, each, gateway))
        for each in list_declared(asked, kind)
    ]
    return Shelf(kind=kind, rows=rows, window=window, gateway=gateway, store_problem=problem)


def _health_of_one(asked: Visit, kind: Watched, name: str) -> tuple[dict[str, Health | None], str]:
    """By window."""
    found: dict[str, Health | None] = dict.fromkeys(WINDOWS)
    try:
        store = asked.services.spans()
        for window, (_, size) in WINDOWS.items():
            since = asked.services.now() - size
            found[window] = store.health(asked.project_id, by=kind, since=since).get(name)
    except RatchetError as error:
        return found, str(error)
    return found, ""


def _gateway(asked: Visit) -> GatewayState:
    line: GatewayLine = asked.request.app.state.gateway
    return line.state(asked.services)


def _key_state(asked: Visit, declared: Declared, gateway: GatewayState | None) -> KeyState | None:
    reference = declared.settings.get("api_key")
    if declared.kind != "provider" or not isinstance(reference, str):
        return None
    variable = reference.removeprefix("env:")
    if gateway is not None and declared.name in gateway.ready:
        return KeyState(variable, gateway.ready[declared.name], "gateway")
    return KeyState(variable, variable in asked.services.in_force().variables, "studio")


def _used_by(asked: Visit, declared: Declared) -> list[str]:
    """The routes whose target is at this provider."""
    if declared.kind != "provider":
        return []
    return [
        route.name
        for route in list_declared(asked, "route")
        if any(str(target).startswith(f"{declared.name}/") for target in route.settings.get("targets", ()))
    ]


def _suggestions(asked: Visit, kind: Watched) -> dict[str, list[str]]:
    """What a route's target may be: models that were asked for lately, and each provider."""
    if kind != "route":
        return {}
    providers = [each.name for each in list_declared(asked, "provider")]
    lately = [name for provider in providers for name in _models(asked, "provider", provider)]
    return {"targets": [*lately[:100], *(f"{name}/" for name in providers)]}


def _models(asked: Visit, kind: Watched, name: str) -> list[str]:
    """`provider/model` of what was lately asked of a provider, as routes declare it."""
    if kind != "provider":
        return []
    targets = {
        str(target)
        for route in list_declared(asked, "route")
        for target in route.settings.get("targets", ())
        if str(target).startswith(f"{name}/")
    }
    return sorted(targets)


def _typed_text(typed: Typing | None, name: str) -> str:
    return "".join((typed or {}).get(name, ())[:1])
