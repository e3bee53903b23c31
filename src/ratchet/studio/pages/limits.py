"""Limits and trust: who is limited and why, whom to trust less, and what members decide about callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.expiry import parse_expiry
from ratchet.domain.standings import SubjectKind
from ratchet.errors import InvalidRequest, RatchetError
from ratchet.store.records.standings import drop_standing, put_standing
from ratchet.studio.declaring import merged_now
from ratchet.studio.guarding import RANGES, callers_of, limit_rows
from ratchet.studio.looking_up import LOOKED_BACK, CallerView, look_up
from ratchet.studio.pages import policies
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = ["caller_json", "callers_json", "decide_from_page", "limits_page", "take_back_from_page"]

_ACTIONS = ("block", "raise", "allow")
_KINDS = ("user", "organisation", "ip", "fingerprint", "key")
_FIELDS = ("kind", "name", "action", "factor", "until", "reason", "note")


class StandingForm(msgspec.Struct, frozen=True):
    """What was typed, and what is wrong with it."""

    values: Mapping[str, str]
    open: bool = False
    error: str = ""
    field: str = ""


def callers_json(asked: Asked) -> Response:
    """Who is limited, trusted otherwise than before, suspected or blocked, and why; and every standing."""
    return json_response(callers_of(asked))


def caller_json(asked: Asked) -> Response:
    """Somebody: how far they are trusted and why, what is decided about them, and which limits hold."""
    params = asked.request.query_params
    merged, _ = merged_now(asked)
    return json_response(look_up(asked, merged, params.get("kind", ""), params.get("name", "")))


def limits_page(asked: Asked) -> Response:
    """The same for people. `?decide` opens the form about somebody, filled in with what the address says; `?look` looks
    them up instead; `?new` is the form of a limit."""
    params = asked.request.query_params
    if "new" in params:
        return policies.LIMITS.list_page(asked)
    if "look" in params:
        return _looked_up(asked, params.get("kind", ""), params.get("name", ""))
    values = {name: params.get(name, "") for name in _FIELDS}
    return _page(asked, StandingForm(values, open="decide" in params))


def decide_from_page(asked: Asked, typed: Typed) -> Response:
    """Block somebody, or give them more room, for a time or for good."""
    values = {name: "".join(typed.get(name, [])[:1]).strip() for name in _FIELDS}
    try:
        _put(asked, values)
    except RatchetError as error:
        wrong = StandingForm(values, True, f"{error.message} {error.remedy}", error.param or "name")
        return _page(asked, wrong, status=error.status)
    return see_other("/limits#standings")


def take_back_from_page(asked: Asked, standing_id: str) -> Response:
    """Take a decision back."""
    drop_standing(asked.services.records, project_id=asked.project_id, standing_id=standing_id)
    return see_other("/limits#standings")


def _put(asked: Visit, values: Mapping[str, str]) -> None:
    now = asked.services.now()
    if values["action"] not in _ACTIONS:
        raise InvalidRequest(
            f"There is no action {values['action']!r}.", "It is block, raise or allow.", param="action"
        )
    until = None
    if values["until"]:
        try:
            until = parse_expiry(values["until"], now)
        except InvalidRequest as error:
            raise InvalidRequest(error.message, error.remedy, param="until") from error
    try:
        factor = float(values["factor"]) if values["action"] == "raise" else 1.0
    except ValueError as error:
        raise InvalidRequest(
            f"{values['factor']!r} is no number.", "Write one, such as 3.", param="factor"
        ) from error
    put_standing(
        asked.services.records,
        project_id=asked.project_id,
        kind=cast("SubjectKind", values["kind"]),
        name=values["name"],
        action=values["action"],
        now=now,
        by=asked.member.email,
        factor=factor,
        reason=values["reason"],
        note=values["note"],
        until=until,
    )


def _looked_up(asked: Visit, kind: str, name: str) -> Response:
    merged, _ = merged_now(asked)
    found: CallerView | None = None
    error = ""
    try:
        found = look_up(asked, merged, kind, name)
    except InvalidRequest as wrong:
        error = f"{wrong.message} {wrong.remedy}"
    return page(
        asked,
        "caller.html",
        status=400 if error else 200,
        found=found,
        error=error,
        kind=kind,
        name=name,
        kinds=_KINDS,
        days=LOOKED_BACK,
        may_decide=asked.member.role >= Role.DEVELOPER,
    )


def _page(asked: Visit, form: StandingForm, *, status: int = 200) -> Response:
    merged, _ = merged_now(asked)
    callers = callers_of(asked)
    now = asked.services.now()
    ended: Sequence[Any] = [
        each for each in callers.standings if each.until is not None and each.until <= now
    ]
    return page(
        asked,
        "limits.html",
        status=status,
        callers=callers,
        limits=limit_rows(merged.limits, callers.limited),
        segments=merged.segments,
        standings=[each for each in callers.standings if each not in ended],
        ended=ended,
        range=asked.request.query_params.get("range", "").strip() or "24h",
        ranges=list(RANGES),
        form=form,
        kinds=_KINDS,
        actions=_ACTIONS,
        may_decide=asked.member.role >= Role.DEVELOPER,
    )
