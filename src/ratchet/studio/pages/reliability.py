"""How dependable targets are: circuits now, failures and fallbacks over time, probes, queues."""

from __future__ import annotations

from starlette.responses import Response

from ratchet.studio.declaring import merged_now
from ratchet.studio.dependability import ReliabilityView, TargetView, look_of, view_of
from ratchet.studio.description import Parameter
from ratchet.studio.exports import FORMAT, Column, export, export_format, milliseconds, moment
from ratchet.studio.filters import RANGES, Selection, select_traces
from ratchet.studio.rendering import json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = ["RELIABILITY_QUERY", "reliability_json", "reliability_page"]

_TIMES = ("range", "since", "until")
RELIABILITY_QUERY = (
    Parameter("range", "The last stretch of time.", {"type": "string", "enum": ["", *RANGES]}),
    Parameter("since", "From this moment on: ISO 8601, or nanoseconds since the epoch."),
    Parameter("until", "Up to this moment."),
    FORMAT,
)
_COLUMNS: tuple[Column[TargetView], ...] = (
    Column("target", lambda row: row.target),
    Column("routes", lambda row: row.routes),
    Column("state", lambda row: row.state),
    Column("calls", lambda row: row.figures.calls),
    Column("answered", lambda row: row.figures.answered),
    Column("answered_share", lambda row: row.answered_share),
    Column("latency_p50_ms", lambda row: milliseconds(row.figures.latency_p50)),
    Column("latency_p95_ms", lambda row: milliseconds(row.figures.latency_p95)),
    Column("time_to_first_token_p50_ms", lambda row: milliseconds(row.figures.ttft_p50)),
    Column("time_to_first_token_p95_ms", lambda row: milliseconds(row.figures.ttft_p95)),
    Column("failures", lambda row: row.failures),
    Column("taken_over", lambda row: row.figures.taken_over),
    Column("took_over", lambda row: row.figures.took_over),
    Column("lost_cost_usd", lambda row: row.figures.lost_cost),
    Column("last_answer", lambda row: moment(row.figures.last_answer)),
)


def _view(asked: Visit) -> tuple[Selection, ReliabilityView]:
    """Raises InvalidRequest naming a wrong parameter."""
    now = asked.services.now()
    params = asked.request.query_params
    selection = select_traces({name: params[name] for name in _TIMES if name in params}, now=now)
    until = now if selection.filter.until is None else selection.filter.until
    found = asked.services.spans().reliability(
        asked.project_id, since=selection.filter.since, until=until, now=now
    )
    routes = {route.name: route.targets for route in asked.services.routes()}
    return selection, view_of(found, routes)


def _export(asked: Visit) -> Response:
    rows = _view(asked)[1].targets
    return export(asked, "reliability", _COLUMNS, [rows], total=len(rows))


def reliability_page(asked: Asked) -> Response:
    """Targets with their circuits, charts of what failed, probes, queues and events; with `?format=` the targets."""
    if export_format(asked):
        return _export(asked)
    selection, view = _view(asked)
    providers = merged_now(asked)[0].providers
    return page(
        asked,
        "reliability.html",
        view=view,
        look=look_of(view),
        selection=selection,
        ranges={name: RANGES[name] for name in ("1h", "24h", "7d", "30d")},
        waiting_probes=sorted(
            name
            for name, settings in providers.items()
            if settings.probe and all(each.provider != name for each in view.probes)
        ),
        probe_example=next(iter(sorted(providers)), "openai"),
    )


def reliability_json(asked: Asked) -> Response:
    """The same in data: each target with its circuits and figures, pieces of time, probes, queues, newest events.

    With `format`, a file of every target.
    """
    if export_format(asked):
        return _export(asked)
    return json_response(_view(asked)[1])
