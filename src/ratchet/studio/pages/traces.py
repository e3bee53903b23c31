"""The trace list: newest first, filtered by what the URL says."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from ratchet.store.spans import TracePage, TraceRow
from ratchet.studio.description import Parameter
from ratchet.studio.exports import EXPORT_ROWS, FORMAT, Column, export, export_format, milliseconds, moment
from ratchet.studio.filters import DEFAULT_RANGE, TRACE_QUERY, Selection, parse_time, select_traces
from ratchet.studio.harvesting import dataset_names
from ratchet.studio.listing import FilterBar, Pager, filter_bar, first_request, pager, whole
from ratchet.studio.rendering import fragment, json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "TRACES_QUERY",
    "TraceList",
    "list_traces",
    "new_traces_fragment",
    "trace_list",
    "traces_json",
    "traces_page",
]

PAGE_ROWS = 50
MAX_ROWS = 1000
TRACES_QUERY = (
    *TRACE_QUERY,
    Parameter("limit", "How many rows.", {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}),
    Parameter("offset", "From which row on.", {"type": "integer", "minimum": 0, "maximum": 10**9}),
    FORMAT,
)
_COLUMNS: tuple[Column[TraceRow], ...] = (
    Column("trace_id", lambda row: row.trace_id),
    Column("started", lambda row: moment(row.start)),
    Column("name", lambda row: row.name),
    Column("service", lambda row: row.service),
    Column("status", lambda row: row.status),
    Column("errors", lambda row: row.error_count),
    Column("spans", lambda row: row.span_count),
    Column("duration_ms", lambda row: milliseconds(row.duration)),
    Column("time_to_first_token_ms", lambda row: milliseconds(row.time_to_first_token)),
    Column("route", lambda row: row.route),
    Column("models", lambda row: row.models),
    Column("user", lambda row: row.user_id),
    Column("session", lambda row: row.session_id),
    Column("organisation", lambda row: row.organisation_id),
    Column("input_tokens", lambda row: row.input_tokens),
    Column("output_tokens", lambda row: row.output_tokens),
    Column("cost_usd", lambda row: row.cost),
    Column("calls_without_price", lambda row: row.unpriced_calls),
    Column("tags", lambda row: row.tags),
    Column("scores", lambda row: {name: mean for name, mean, _ in row.scores}),
    Column("input", lambda row: row.input_preview),
    Column("output", lambda row: row.output_preview),
)


class TraceList(msgspec.Struct, frozen=True):
    """One page of traces and everything around it."""

    bar: FilterBar
    page: TracePage
    pager: Pager
    any_traces: bool  # whether the project has any trace at all
    full_bar: int  # the duration that fills a row's bar

    def share(self, nanoseconds: int) -> float:
        """How much of a row's bar a duration fills, in percent."""
        return min(100.0, 100 * nanoseconds / self.full_bar) if self.full_bar else 0.0

    @property
    def newest(self) -> int:
        """When the newest trace shown began; where nothing is shown, where the list begins."""
        return max((row.start for row in self.page.rows), default=self.bar.selection.filter.since or 0)


def list_traces(
    asked: Visit, params: Mapping[str, str], *, default_range: str = DEFAULT_RANGE, rows: int = PAGE_ROWS
) -> tuple[Selection, TracePage]:
    """The page of traces that `params` ask for. Raises InvalidRequest naming a wrong parameter."""
    selection = select_traces(params, now=asked.services.now(), default_range=default_range)
    limit = whole(params, "limit", rows, at_least=1, at_most=MAX_ROWS)
    offset = whole(params, "offset", 0, at_least=0, at_most=10**9)
    found = asked.services.spans().traces(asked.project_id, selection.filter, limit=limit, offset=offset)
    return selection, found


def trace_list(asked: Visit, params: Mapping[str, str]) -> TraceList:
    """Everything that the list's page shows."""
    selection, found = list_traces(asked, params)
    return TraceList(
        bar=filter_bar(asked, selection, "/traces"),
        page=found,
        pager=pager(selection, found.offset, len(found.rows), found.total, found.limit),
        any_traces=bool(found.total) or asked.services.spans().has_spans(asked.project_id),
        full_bar=_full_bar([row.duration for row in found.rows]),
    )


def _full_bar(durations: list[int]) -> int:
    """Nine of ten rows fit: one very slow trace must not make all other bars look empty."""
    ordered = sorted(durations)
    return ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)] if ordered else 0


def _export(asked: Visit, default_range: str) -> Response:
    selection = select_traces(
        asked.request.query_params, now=asked.services.now(), default_range=default_range
    )
    total, batches = asked.services.spans().every_trace(asked.project_id, selection.filter, limit=EXPORT_ROWS)
    return export(asked, "traces", _COLUMNS, batches, total=total)


def traces_page(asked: Asked) -> Response:
    """The list; with `?format=` the file of all of it."""
    if export_format(asked):
        return _export(asked, DEFAULT_RANGE)
    shown = trace_list(asked, asked.request.query_params)
    return page(asked, "traces.html", list=shown, datasets=dataset_names(asked), **first_request(asked))


def new_traces_fragment(asked: Asked) -> Response:
    """How many traces of this selection began after `after` (nanoseconds): for the quiet counter."""
    params = asked.request.query_params
    after = parse_time("after", params.get("after", "0"))
    selection = select_traces(params, now=asked.services.now())
    window = msgspec.structs.replace(selection.filter, since=max(after + 1, selection.filter.since or 0))
    total = asked.services.spans().traces(asked.project_id, window, limit=1).total
    return fragment(asked, "traces_new.html", total=total, query=selection.query())


def traces_json(asked: Asked) -> Response:
    """`{rows, total, limit, offset}`; every filter of the page, `limit` up to 1,000. All of time by default.

    With `format`, a file of every trace that matches.
    """
    if export_format(asked):
        return _export(asked, "all")
    _, found = list_traces(asked, asked.request.query_params, default_range="all")
    return json_response(found)
