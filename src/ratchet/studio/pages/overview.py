"""What the project looks like in numbers and over time, its events, and whether this process is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from ratchet.domain.spans import Event
from ratchet.errors import RatchetError
from ratchet.store.spans import DIMENSIONS, Group, Overview
from ratchet.studio.description import Parameter
from ratchet.studio.exports import EXPORT_ROWS, FORMAT, Column, export, export_format, milliseconds, moment
from ratchet.studio.filters import RANGES, TRACE_QUERY, Selection, parse_time, select_traces
from ratchet.studio.listing import filter_bar, first_request
from ratchet.studio.navigation import HOME
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.traffic import DIMENSION_LABELS, traffic_of
from ratchet.studio.visiting import Asked

__all__ = [
    "OVERVIEW_QUERY",
    "events_json",
    "health",
    "home",
    "look_over",
    "openapi_json",
    "overview_json",
    "overview_page",
    "summary_json",
]

_DIMENSION = "route"
GROUPS = 20
OVERVIEW_QUERY = (
    *TRACE_QUERY,
    Parameter("by", "What to tell calls apart by.", {"type": "string", "enum": ["", *DIMENSIONS]}),
    FORMAT,
)
_COLUMNS: tuple[Column[Group], ...] = (
    Column("value", lambda row: row.value),
    Column("requests", lambda row: row.figures.requests),
    Column("errors", lambda row: row.figures.errors),
    Column("cost_usd", lambda row: row.figures.cost),
    Column("calls_without_price", lambda row: row.figures.unpriced),
    Column("latency_p50_ms", lambda row: milliseconds(row.figures.latency_p50)),
    Column("latency_p95_ms", lambda row: milliseconds(row.figures.latency_p95)),
    Column("latency_p99_ms", lambda row: milliseconds(row.figures.latency_p99)),
    Column("time_to_first_token_p50_ms", lambda row: milliseconds(row.figures.ttft_p50)),
    Column("time_to_first_token_p95_ms", lambda row: milliseconds(row.figures.ttft_p95)),
    Column("input_tokens", lambda row: row.figures.input_tokens),
    Column("output_tokens", lambda row: row.figures.output_tokens),
    Column("cached_tokens", lambda row: row.figures.cached_tokens),
    Column("reasoning_tokens", lambda row: row.figures.reasoning_tokens),
)


def home(asked: Asked) -> Response:
    """The start page: the first of the navigation, or the traces, which tell how to send the first one."""
    return see_other(HOME if asked.services.spans().has_spans(asked.project_id) else "/traces")


def look_over(asked: Visit, params: Mapping[str, str], *, groups: int = GROUPS) -> tuple[Selection, Overview]:
    """The overview that `params` ask for: the filters of traces, asked of each call, and `by`, what to tell calls
    apart by. Raises InvalidRequest naming a wrong parameter."""
    now = asked.services.now()
    selection = select_traces(params, now=now)
    dimension = params.get("by", "").strip() or _DIMENSION
    found = asked.services.spans().overview(
        asked.project_id, selection.filter, dimension=dimension, now=now, groups=groups
    )
    return selection, found


def _export(asked: Visit) -> Response:
    found = look_over(asked, asked.request.query_params, groups=EXPORT_ROWS)[1]
    return export(asked, f"requests-by-{found.dimension}", _COLUMNS, [found.groups], total=found.group_count)


def overview_page(asked: Asked) -> Response:
    """Headline figures, charts over time and a break-down, beside the time before; with `?format=` the break-down."""
    if export_format(asked):
        return _export(asked)
    selection, found = look_over(asked, asked.request.query_params)
    by = {} if found.dimension == _DIMENSION else {"by": found.dimension}
    return page(
        asked,
        "overview.html",
        bar=filter_bar(asked, selection, "/overview", kept=by),
        traffic=traffic_of(found, selection),
        dimensions={name: DIMENSION_LABELS[name] for name in DIMENSIONS},
        any_traces=bool(found.current.requests) or asked.services.spans().has_spans(asked.project_id),
        **first_request(asked),
    )


def overview_json(asked: Asked) -> Response:
    """The same in data: totals, the time before, points over time, and groups `by` one property.

    With `format`, a file of every group.
    """
    if export_format(asked):
        return _export(asked)
    return json_response(look_over(asked, asked.request.query_params)[1])


_EVENTS: tuple[Column[Event], ...] = (
    Column("time", lambda event: moment(event.time)),
    Column("kind", lambda event: event.kind),
    Column("severity", lambda event: event.severity),
    Column("subject", lambda event: event.subject),
    Column("message", lambda event: event.message),
    Column("attributes", lambda event: event.attributes),
    Column("event_id", lambda event: event.event_id),
)


def summary_json(asked: Asked, since: str = "", until: str = "") -> Response:
    """Requests, errors, models, latency, tokens, cost and scores from `since` (24 hours ago) until `until` (now)."""
    begin = parse_time("since", since) if since else asked.services.now() - RANGES["24h"][1]
    end = parse_time("until", until) if until else None
    return json_response(asked.services.spans().summary(asked.project_id, since=begin, until=end))


def events_json(
    asked: Asked, since: str = "", kind: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Response:
    """Changes of state, newest first. With `format`, a file of them."""
    begin = parse_time("since", since) if since else 0
    if export_format(asked):
        every = asked.services.spans().events(asked.project_id, since=begin, kind=kind, limit=EXPORT_ROWS)
        return export(asked, "events", _EVENTS, [every])
    return json_response(asked.services.spans().events(asked.project_id, since=begin, kind=kind, limit=limit))


def health(asked: Asked) -> Response:
    """200 when pages can be served, else 503 with the part that can't be reached.

    Why it can't, and how full the spool is, is for those who are signed in.
    """
    parts: dict[str, Any] = {"records": "ok", "spans": "ok"}
    try:
        asked.services.records.revision("gateway")
    except RatchetError as error:
        parts["records"] = error.message
    try:
        asked.services.spans()
    except RatchetError as error:
        parts["spans"] = error.message
    well = all(state == "ok" for state in parts.values())
    if asked.signed_in is None:
        parts = {name: "ok" if state == "ok" else "unreachable" for name, state in parts.items()}
    else:
        parts["spool"] = dict(asked.services.spool_status())
    return json_response({"status": "ok" if well else "degraded", **parts}, status=200 if well else 503)


def openapi_json(request: Request) -> Response:
    """The API's description, made from the handlers."""
    return json_response(request.app.state.description())
