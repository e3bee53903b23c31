"""The cache: what answers given again saved, how many of them were wrong, and what they were given for."""

from __future__ import annotations

from starlette.responses import Response

from ratchet.store.spans import Reuse
from ratchet.studio.exports import Column, export, export_format
from ratchet.studio.rendering import json_response, page
from ratchet.studio.reusing import CachedRoute, CacheState, cached_routes, reuse_chart, total_of
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = ["cache_json", "cache_page"]

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
    if export_format(asked):
        return cache_json(asked)
    reuse, since, until = _read(asked)
    return page(
        asked,
        "cache.html",
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
