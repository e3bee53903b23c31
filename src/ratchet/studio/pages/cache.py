"""The cache: what answers given again saved, how many of them were wrong, and what they were given for."""

from __future__ import annotations

import msgspec
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.errors import InvalidRequest
from ratchet.store.records.forgetting import forget
from ratchet.store.spans import Reuse
from ratchet.studio.exports import Column, export, export_format
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.reusing import CachedRoute, CacheState, cached_routes, reuse_chart, total_of
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = ["Forget", "Forgot", "cache_json", "cache_page", "forget_from_page", "forget_somebody"]

_DAY = 86_400 * 10**9
_DAYS = 30
_COLUMNS: tuple[Column[CachedRoute], ...] = (
    Column("route", lambda row: row.route),
    Column("requests", lambda row: row.requests),
    Column("hits", lambda row: row.hits),
    Column("semantic_hits", lambda row: row.semantic_hits),
    Column("saved_usd", lambda row: row.saved),
    Column("hits_without_price", lambda row: row.unpriced),
    Column("saved_seconds", lambda row: row.saved_time / 1e9),
    Column("audited", lambda row: row.audited),
    Column("found_wrong", lambda row: row.found_wrong),
    Column("unjudged", lambda row: row.unjudged),
    Column("error", lambda row: row.error),
    Column("error_low", lambda row: row.error_low),
    Column("error_high", lambda row: row.error_high),
    Column("max_error", lambda row: row.max_error),
    Column("answers_kept", lambda row: row.answers),
    Column("questions_kept", lambda row: row.questions),
    Column("bytes_kept", lambda row: row.bytes),
)


class Forget(BaseModel):
    """Whose questions and answers caches are to drop: a user as apps say it, a session where they name none."""

    model_config = ConfigDict(extra="forbid")

    name: str


class Forgot(msgspec.Struct, frozen=True):
    """What was kept up to `time`, in nanoseconds since the epoch, is dropped."""

    time: int


def cache_json(asked: Asked) -> Response:
    """The last 30 days by route and by day, the newest answers to nearly the same question, and the newest audits."""
    reuse, _, _ = _read(asked)
    routes = cached_routes(reuse)
    if export_format(asked):
        return export(asked, "cache", _COLUMNS, [routes], total=len(routes))
    return json_response(
        CacheState(
            routes=routes,
            days=reuse.days,
            recent=reuse.recent,
            audited=reuse.audited,
            tools_selected=reuse.selected,
        )
    )


def cache_page(asked: Asked) -> Response:
    """The same for people; with `?format=` the file of it."""
    return cache_json(asked) if export_format(asked) else _page(asked)


def forget_somebody(asked: Asked, body: Forget) -> Response:
    """Drop what caches keep of somebody. Gateways follow within two seconds."""
    return json_response(_forget(asked, body.name), status=201)


def forget_from_page(asked: Asked, typed: Typed) -> Response:
    """The same from the page's form."""
    name = "".join(typed.get("name", [])[:1])
    try:
        _forget(asked, name)
    except InvalidRequest as error:
        return _page(asked, name=name, error=f"{error.message} {error.remedy}")
    return see_other("/cache?forgotten")


def _forget(asked: Visit, name: str) -> Forgot:
    services = asked.services
    done = forget(services.records, project_id=asked.project_id, name=name, now=services.now())
    return Forgot(done.time)


def _page(asked: Visit, *, name: str = "", error: str = "") -> Response:
    reuse, since, until = _read(asked)
    return page(
        asked,
        "cache.html",
        status=400 if error else 200,
        name=name,
        error=error,
        forgotten="forgotten" in asked.request.query_params,
        may_forget=asked.member.role >= Role.DEVELOPER,
        routes=cached_routes(reuse),
        total=total_of(reuse),
        chart=reuse_chart(reuse.days, since=since, until=until),
        recent=reuse.recent,
        audited=reuse.audited,
        selected=reuse.selected,
        days=_DAYS,
    )


def _read(asked: Visit) -> tuple[Reuse, int, int]:
    until = (asked.services.now() // _DAY + 1) * _DAY
    since = until - _DAYS * _DAY
    reuse = asked.services.spans().reuse(asked.services.project_id, since=since, until=until)
    return reuse, since, until
