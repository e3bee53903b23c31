"""Users and organisations: lists of them, and a page for each with its charts, sessions and traces."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from ratchet.errors import NotFound
from ratchet.store.spans import (
    DIMENSIONS,
    OWNER_ORDERS,
    Overview,
    OwnerKind,
    OwnerPage,
    OwnerRow,
    SessionRow,
    TraceRow,
)
from ratchet.studio.description import Parameter
from ratchet.studio.exports import EXPORT_ROWS, FORMAT, Column, export, export_format, moment
from ratchet.studio.filters import DEFAULT_RANGE, TRACE_QUERY, Selection, select_traces
from ratchet.studio.formats import segment
from ratchet.studio.listing import Heading, Order, filter_bar, first_request, order_of, pager, whole
from ratchet.studio.pages.overview import look_over
from ratchet.studio.rendering import json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.traffic import traffic_of
from ratchet.studio.visiting import Asked

__all__ = [
    "HEADINGS",
    "OWNERS_QUERY",
    "OWNER_QUERY",
    "OwnerView",
    "list_owners",
    "organisation_json",
    "organisation_page",
    "organisations_json",
    "organisations_page",
    "user_json",
    "user_page",
    "users_json",
    "users_page",
    "view_owner",
]

PAGE_ROWS = 50
MAX_ROWS = 1000
_RECENT = 6
_DEFAULT = "requests"
PATHS: dict[OwnerKind, str] = {"user": "/users", "organisation": "/organisations"}

_FIGURES = (
    Heading("requests", "Requests", "requests", numeric=True),
    Heading("sessions", "Sessions", "sessions", numeric=True),
    Heading("errors", "Errors", "errors", numeric=True),
    Heading("cost", "Cost", "cost", numeric=True),
    Heading("tokens", "Tokens", "tokens", numeric=True),
    Heading("feedback", "Feedback", "feedback", numeric=True),
    Heading("languages", "Languages"),
    Heading("first", "First seen", "first"),
    Heading("last", "Last seen", "last"),
)
HEADINGS: dict[OwnerKind, tuple[Heading, ...]] = {
    "user": (Heading("id", "User", "id", rising=True), *_FIGURES),
    "organisation": (
        Heading("id", "Organisation", "id", rising=True),
        Heading("users", "Users", "users", numeric=True),
        *_FIGURES,
    ),
}
OWNERS_QUERY = (
    *TRACE_QUERY,
    Parameter("sort", "What to sort by.", {"type": "string", "enum": ["", *OWNER_ORDERS]}),
    Parameter("order", "Which way.", {"type": "string", "enum": ["", "asc", "desc"]}),
    Parameter("limit", "How many rows.", {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}),
    Parameter("offset", "From which row on.", {"type": "integer", "minimum": 0, "maximum": 10**9}),
    FORMAT,
)
OWNER_QUERY = (
    *TRACE_QUERY,
    Parameter("by", "What to tell calls apart by.", {"type": "string", "enum": ["", *DIMENSIONS]}),
)
_COLUMNS: tuple[Column[OwnerRow], ...] = (
    Column("id", lambda row: row.id),
    Column("organisation", lambda row: row.organisation_id),
    Column("users", lambda row: row.users),
    Column("requests", lambda row: row.requests),
    Column("errors", lambda row: row.errors),
    Column("sessions", lambda row: row.sessions),
    Column("input_tokens", lambda row: row.input_tokens),
    Column("output_tokens", lambda row: row.output_tokens),
    Column("cost_usd", lambda row: row.cost),
    Column("calls_without_price", lambda row: row.unpriced),
    Column("thumbs_up", lambda row: row.feedback.up),
    Column("thumbs_down", lambda row: row.feedback.down),
    Column("ratings", lambda row: row.feedback.rated),
    Column("mean_rating", lambda row: row.feedback.mean),
    Column("languages", lambda row: row.languages),
    Column("first_seen", lambda row: moment(row.first)),
    Column("last_seen", lambda row: moment(row.last)),
)


class OwnerView(msgspec.Struct, frozen=True, kw_only=True):
    """One user or organisation in a stretch of time: its figures, its calls over time, and its newest sessions and
    traces. `row` is None where it did nothing in that time."""

    id: str
    row: OwnerRow | None
    overview: Overview
    sessions: list[SessionRow]
    traces: list[TraceRow]


def list_owners(
    asked: Visit,
    kind: OwnerKind,
    params: Mapping[str, str],
    *,
    default_range: str = DEFAULT_RANGE,
    rows: int = PAGE_ROWS,
) -> tuple[Selection, Order, OwnerPage]:
    """The page of users or organisations that `params` ask for. Raises InvalidRequest naming a wrong parameter."""
    selection = select_traces(params, now=asked.services.now(), default_range=default_range)
    order = order_of(params, tuple(OWNER_ORDERS), _DEFAULT)
    found = asked.services.spans().owners(
        asked.project_id,
        kind,
        selection.filter,
        order=order.sort,
        ascending=order.ascending,
        limit=whole(params, "limit", rows, at_least=1, at_most=MAX_ROWS),
        offset=whole(params, "offset", 0, at_least=0, at_most=10**9),
    )
    return selection, order, found


def view_owner(
    asked: Visit, kind: OwnerKind, owner: str, params: Mapping[str, str]
) -> tuple[Selection, OwnerView]:
    """One of them, with the filters that `params` ask for. Raises NotFound where no span names it at any time."""
    given = {name: value for name, value in params.items() if name != kind}
    selection, overview = look_over(asked, {**given, kind: owner})
    spans, project = asked.services.spans(), asked.project_id
    wanted = selection.filter
    rows = spans.owners(project, kind, wanted, limit=_RECENT).rows
    traces = spans.traces(project, wanted, limit=_RECENT).rows
    if not traces:
        everything = select_traces({kind: owner, "range": "all"}, now=asked.services.now()).filter
        if not spans.traces(project, everything, limit=1).total:
            raise NotFound(
                f"There is no {kind} {owner!r} in this project.",
                "Check the name. It is what the app says of its requests.",
            )
    view = OwnerView(
        id=owner,
        row=next((row for row in rows if row.id == owner), None),
        overview=overview,
        sessions=spans.sessions(project, wanted, limit=_RECENT).rows,
        traces=traces,
    )
    return selection, view


def _export(asked: Visit, kind: OwnerKind, default_range: str) -> Response:
    params = {name: value for name, value in asked.request.query_params.items() if name != "offset"}
    found = list_owners(asked, kind, params, default_range=default_range, rows=EXPORT_ROWS)[2]
    return export(asked, f"{kind}s", _COLUMNS, [found.rows], total=found.total)


def _owners_json(asked: Visit, kind: OwnerKind) -> Response:
    if export_format(asked):
        return _export(asked, kind, "all")
    return json_response(list_owners(asked, kind, asked.request.query_params, default_range="all")[2])


def _owners_page(asked: Visit, kind: OwnerKind) -> Response:
    if export_format(asked):
        return _export(asked, kind, DEFAULT_RANGE)
    selection, order, found = list_owners(asked, kind, asked.request.query_params)
    return page(
        asked,
        "owners.html",
        kind=kind,
        path=PATHS[kind],
        bar=filter_bar(asked, selection, PATHS[kind], kept=order.params),
        found=found,
        columns=HEADINGS[kind],
        order=order,
        pager=pager(selection, found.offset, len(found.rows), found.total, found.limit, order.params),
        times=selection.query(**{name: "" for name in selection.params if name not in _TIMES}),
        most=max((row.requests for row in found.rows), default=0),
        any_traces=bool(found.total) or asked.services.spans().has_spans(asked.project_id),
        **first_request(asked),
    )


_TIMES = frozenset({"range", "since", "until"})


def _owner_page(asked: Visit, kind: OwnerKind, owner: str) -> Response:
    owner = unquote(owner)
    selection, view = view_owner(asked, kind, owner, asked.request.query_params)
    action = f"{PATHS[kind]}/{segment(owner)}"
    own = msgspec.structs.replace(
        selection,
        params={name: value for name, value in selection.params.items() if name != kind},
        chips=[chip for chip in selection.chips if chip.param != kind],
    )
    return page(
        asked,
        "owner.html",
        kind=kind,
        path=PATHS[kind],
        view=view,
        selection=selection,
        bar=filter_bar(asked, own, action),
        traffic=traffic_of(view.overview, selection),
    )


def users_page(asked: Asked) -> Response:
    return _owners_page(asked, "user")


def organisations_page(asked: Asked) -> Response:
    return _owners_page(asked, "organisation")


def user_page(asked: Asked, user_id: str) -> Response:
    """One user: figures and charts over time, newest sessions and traces."""
    return _owner_page(asked, "user", user_id)


def organisation_page(asked: Asked, organisation_id: str) -> Response:
    """One organisation: figures and charts over time, newest sessions and traces."""
    return _owner_page(asked, "organisation", organisation_id)


def users_json(asked: Asked) -> Response:
    """`{rows, total, limit, offset}`; the filters of traces, `sort` and `order`; all of time by default. With `format`, a file."""
    return _owners_json(asked, "user")


def organisations_json(asked: Asked) -> Response:
    """`{rows, total, limit, offset}`; the filters of traces, `sort` and `order`; all of time by default. With `format`, a file."""
    return _owners_json(asked, "organisation")


def user_json(asked: Asked, user_id: str) -> Response:
    """One user's figures, calls over time, newest sessions and traces; the last 24 hours by default."""
    return json_response(view_owner(asked, "user", unquote(user_id), asked.request.query_params)[1])


def organisation_json(asked: Asked, organisation_id: str) -> Response:
    """One organisation's figures, calls over time, newest sessions and traces; the last 24 hours by default."""
    return json_response(
        view_owner(asked, "organisation", unquote(organisation_id), asked.request.query_params)[1]
    )
