"""One trace: its tree and waterfall, and whatever one of its spans holds."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path, Query
from starlette.responses import Response

from ratchet.domain.spans import ATTEMPT, ATTEMPT_COST, Score, Span
from ratchet.errors import NotFound
from ratchet.store.spans import SpanHead, TraceTree
from ratchet.studio.conversation import Tool, Transcript, picture_of, text_of, tools_of, transcript
from ratchet.studio.exports import Column, export, export_format, milliseconds, moment
from ratchet.studio.formats import pretty_json
from ratchet.studio.harvesting import correction_of, dataset_names
from ratchet.studio.outline import TICKS, Outline, Row, TreeWindow
from ratchet.studio.rendering import fragment, is_fragment, json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "SpanDetail",
    "TraceView",
    "part_content",
    "span_fragment",
    "span_json",
    "span_messages",
    "span_raw",
    "trace_json",
    "trace_page",
    "trace_tree",
]

_NOT_CALLS = frozenset({"invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "retrieval"})
_SANDBOX = "default-src 'none'; sandbox"
_COLUMNS: tuple[Column[SpanHead], ...] = (
    Column("trace_id", lambda span: span.trace_id),
    Column("span_id", lambda span: span.span_id),
    Column("parent_id", lambda span: span.parent_id),
    Column("name", lambda span: span.name),
    Column("kind", lambda span: span.kind),
    Column("source", lambda span: span.source),
    Column("service", lambda span: span.service),
    Column("operation", lambda span: span.operation),
    Column("started", lambda span: moment(span.start)),
    Column("duration_ms", lambda span: milliseconds(span.duration)),
    Column("time_to_first_token_ms", lambda span: milliseconds(span.time_to_first_token)),
    Column("status", lambda span: span.status),
    Column("error_type", lambda span: span.error_type),
    Column("error_message", lambda span: span.error_message),
    Column("user", lambda span: span.user_id),
    Column("session", lambda span: span.session_id),
    Column("organisation", lambda span: span.organisation_id),
    Column("route", lambda span: span.route),
    Column("request_model", lambda span: span.request_model),
    Column("response_model", lambda span: span.response_model),
    Column("input_tokens", lambda span: span.input_tokens),
    Column("output_tokens", lambda span: span.output_tokens),
    Column("cost_usd", lambda span: span.cost),
    Column("attempt_cost_usd", lambda span: span.attempt_cost),
    Column("input", lambda span: span.input_preview),
    Column("output", lambda span: span.output_preview),
)


class Totals(msgspec.Struct, frozen=True):
    """Sums over a trace's model calls. `unpriced` counts those whose price is unknown."""

    start: int
    duration: int
    time_to_first_token: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced: int
    spans: int
    errors: int
    attempts: int  # those that gave no answer


class SpanDetail(msgspec.Struct, frozen=True):
    """Everything about one span that its pane shows."""

    span: Span
    path: list[SpanHead]  # from the root down to its parent
    transcript: Transcript
    tools: list[Tool]
    scores: list[Score]
    score_names: list[str]
    datasets: list[str]  # that it could be added to
    attempt_cost: Decimal | None  # of an attempt that gave no answer, where it is known or estimated
    correction: str  # what somebody said that it should have answered


class Whose(msgspec.Struct, frozen=True):
    """Who a trace is about: what its earliest span with a name says. `users` counts different ones."""

    user: str
    users: int
    session: str
    organisation: str


class TraceView(msgspec.Struct, frozen=True):
    """One trace, and the span that is selected. `ticks` are the axis's, in nanoseconds from the trace's start."""

    trace_id: str
    title: str
    totals: Totals
    whose: Whose
    ticks: list[int]
    window: TreeWindow
    detail: SpanDetail | None
    selected: str


def load_tree(asked: Visit, trace_id: str) -> TraceTree:
    """The trace's spans, light. Raises NotFound."""
    tree = asked.services.spans().trace(asked.project_id, trace_id)
    if tree is None or not tree.spans:
        raise NotFound(
            f"There is no trace {trace_id!r} in this project.",
            "Check the id. A trace shows up about a second after its first span ended.",
        )
    return tree


def load_span(asked: Visit, trace_id: str, span_id: str) -> Span:
    """The whole span. Raises NotFound."""
    span = asked.services.spans().span(asked.project_id, trace_id, span_id)
    if span is None:
        raise NotFound(f"There is no span {span_id!r} in the trace {trace_id!r}.", "Check the id.")
    return span


def view_trace(asked: Visit, trace_id: str, wanted: str) -> TraceView:
    """The page's data; `wanted` is the span to select ("" for the one most worth reading)."""
    tree = load_tree(asked, trace_id)
    outline = Outline(tree.spans)
    selected = wanted or _most_worth_reading(tree.spans, outline)
    if selected not in outline.spans:
        raise NotFound(f"There is no span {selected!r} in the trace {trace_id!r}.", "Check the id.")
    first = outline.first(reveal=selected)
    root = tree.spans[0] if not first.rows else outline.spans[_first_span(first)]
    return TraceView(
        trace_id=trace_id,
        title=root.name,
        totals=_totals(tree.spans, outline),
        whose=_whose(tree.spans),
        ticks=[outline.step * at for at in range(TICKS)],
        window=first,
        detail=view_span(asked, trace_id, selected, outline, tree.scores),
        selected=selected,
    )


def view_span(
    asked: Visit, trace_id: str, span_id: str, outline: Outline, scores: list[Score], *, whole: bool = False
) -> SpanDetail:
    """One span's pane. A score without a span belongs to the trace and is shown with every span."""
    span = load_span(asked, trace_id, span_id)
    return SpanDetail(
        span=span,
        path=[outline.spans[identity] for identity in outline.ancestors(span_id)],
        transcript=transcript(span.input_messages, span.output_messages, everything=whole),
        tools=tools_of(span.tool_definitions),
        scores=[score for score in scores if score.span_id in ("", span_id)],
        score_names=sorted({score.name for score in scores}),
        datasets=dataset_names(asked),
        attempt_cost=_amount(span.attributes.get(ATTEMPT_COST)),
        correction=correction_of([score for score in scores if score.span_id in ("", span_id)]),
    )


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _first_span(window: TreeWindow) -> str:
    return next(row.span.span_id for row in window.rows if isinstance(row, Row))


def _most_worth_reading(spans: list[SpanHead], outline: Outline) -> str:
    """The first failed model call, else the last model call, which holds the whole conversation, else the root."""
    calls = sorted(_calls(spans), key=lambda span: span.start)
    failed = [span for span in calls if span.status == "error"]
    if failed or calls:
        return (failed[:1] or calls[-1:])[0].span_id
    return _first_span(outline.first())


def _totals(spans: list[SpanHead], outline: Outline) -> Totals:
    calls = _calls(spans)
    priced = [span.cost for span in calls if span.cost is not None]
    first = min(
        (span for span in spans if span.time_to_first_token is not None and span.operation != ATTEMPT),
        key=lambda span: span.start,
        default=None,
    )
    return Totals(
        start=outline.start,
        duration=outline.duration,
        time_to_first_token=first.time_to_first_token if first else None,
        input_tokens=_sum([span.input_tokens for span in calls]),
        output_tokens=_sum([span.output_tokens for span in calls]),
        cost=sum(priced, Decimal(0)) if priced else None,
        unpriced=sum(_is_unpriced(span) for span in calls),
        spans=len(spans),
        errors=sum(span.status == "error" for span in spans),
        attempts=sum(span.operation == ATTEMPT for span in spans),
    )


def _whose(spans: list[SpanHead]) -> Whose:
    users = [span.user_id for span in spans if span.user_id]
    return Whose(
        user=users[0] if users else "",
        users=len(set(users)),
        session=next((span.session_id for span in spans if span.session_id), ""),
        organisation=next((span.organisation_id for span in spans if span.organisation_id), ""),
    )


def _calls(spans: list[SpanHead]) -> list[SpanHead]:
    """The model calls, each once: as the store counts them in lists.

    An agent's span may repeat its calls' tokens, and an app's own span around a call that the gateway recorded as
    its child is the same call.
    """
    wrappers = {span.parent_id for span in spans if span.source == "gateway"}
    return [
        span
        for span in spans
        if (span.request_model or span.response_model)
        and span.operation not in _NOT_CALLS
        and (span.source == "gateway" or span.span_id not in wrappers)
    ]


def _is_unpriced(span: SpanHead) -> bool:
    """A call that failed before anything was counted has no cost to be missing."""
    counted = span.input_tokens is not None or span.output_tokens is not None
    return span.cost is None and (span.status != "error" or counted)


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def trace_page(asked: Asked, trace_id: str, span: str = "") -> Response:
    """The trace; with `?format=` the file of its spans."""
    if export_format(asked):
        return _export(asked, trace_id)
    view = view_trace(asked, trace_id, span)
    return page(asked, "trace.html", view=view)


def _export(asked: Visit, trace_id: str) -> Response:
    spans = load_tree(asked, trace_id).spans
    return export(asked, f"trace-{trace_id[:8]}", _COLUMNS, [spans], total=len(spans))


def trace_tree(
    asked: Asked, trace_id: str, parent: str = "", offset: Annotated[int, Query(ge=0, le=10**7)] = 0
) -> Response:
    """Rows of the tree under `parent`, from its child number `offset` on."""
    outline = Outline(load_tree(asked, trace_id).spans)
    if parent and parent not in outline.spans:
        raise NotFound(f"There is no span {parent!r} in the trace {trace_id!r}.", "Check the id.")
    return fragment(
        asked, "tree_rows.html", window=outline.under(parent, offset), trace_id=trace_id, selected=""
    )


def span_fragment(asked: Asked, trace_id: str, span_id: str) -> Response:
    """A span's pane; opened as an address of its own it is the trace with that span selected."""
    if not is_fragment(asked.request):
        return trace_page(asked, trace_id, span_id)
    tree = load_tree(asked, trace_id)
    detail = view_span(asked, trace_id, span_id, Outline(tree.spans), tree.scores)
    return fragment(asked, "span.html", detail=detail, trace_id=trace_id)


def span_messages(asked: Asked, trace_id: str, span_id: str) -> Response:
    """The whole conversation, without the cut that the pane makes."""
    span = load_span(asked, trace_id, span_id)
    whole = transcript(span.input_messages, span.output_messages, everything=True)
    return fragment(asked, "messages.html", transcript=whole, trace_id=trace_id, span_id=span_id)


def span_raw(asked: Asked, trace_id: str, span_id: str) -> Response:
    """Every column of the span as indented JSON, with the messages laid out."""
    columns = _columns(load_span(asked, trace_id, span_id))
    return fragment(asked, "span_raw.html", text=pretty_json(columns))


def part_content(
    asked: Asked,
    trace_id: str,
    span_id: str,
    direction: Literal["input", "output"],
    message: Annotated[int, Path(ge=0)],
    part: Annotated[int, Path(ge=0)],
) -> Response:
    """One part of a message, whole: an image's bytes, or its text."""
    span = load_span(asked, trace_id, span_id)
    messages = span.input_messages if direction == "input" else span.output_messages
    headers = {"content-security-policy": _SANDBOX, "cache-control": "private, max-age=3600"}
    if (picture := picture_of(messages, message, part)) is not None:
        return Response(picture.content, media_type=picture.content_type, headers=headers)
    text = text_of(messages, message, part)
    if text is None:
        raise NotFound("There is no such part of a message.", "Open the span's raw view instead.")
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


def trace_json(asked: Asked, trace_id: str) -> Response:
    """The trace's spans (without their messages) and scores. With `format`, a file of its spans."""
    if export_format(asked):
        return _export(asked, trace_id)
    return json_response(load_tree(asked, trace_id))


def span_json(asked: Asked, trace_id: str, span_id: str) -> Response:
    """Everything about one span; messages and tool definitions as the JSON they are."""
    return json_response(_columns(load_span(asked, trace_id, span_id)))


def _columns(span: Span) -> dict[str, Any]:
    columns = msgspec.to_builtins(span)
    for name in ("input_messages", "output_messages", "tool_definitions", "events", "links"):
        columns[name] = _decoded(columns[name])
    if columns["embedding"]:
        columns["embedding"] = f"({len(columns['embedding'])} numbers)"
    return columns


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return text
