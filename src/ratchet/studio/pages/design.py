"""Every token and component of the design system on one page, shown with made-up data."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from starlette.responses import Response

from ratchet.domain.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolCallPart, UriPart
from ratchet.domain.messages import ToolCallResponsePart as ToolResult
from ratchet.domain.spans import Score
from ratchet.errors import NotFound, RatchetError
from ratchet.store.spans import SpanHead
from ratchet.studio.conversation import Transcript, transcript
from ratchet.studio.design_tokens import read_tokens
from ratchet.studio.outline import Outline, TreeWindow
from ratchet.studio.rendering import page
from ratchet.studio.visiting import Asked

__all__ = ["design_page"]

_MS = 1_000_000


class Examples(msgspec.Struct, frozen=True):
    """What the components are shown with."""

    cost: Decimal
    error: RatchetError
    window: TreeWindow
    transcript: Transcript
    scores: list[Score]


def design_page(asked: Asked) -> Response:
    return page(asked, "design.html", tokens=read_tokens(), examples=_examples(asked.services.now()))


def _examples(now: int) -> Examples:
    spans = [
        _span("a1", "", "answer a customer", 0, 1840, operation="invoke_agent"),
        _span("a2", "a1", "chat support", 40, 900, model="gpt-4o-mini", first=320),
        _span("a3", "a1", "look up order", 960, 210, operation="execute_tool", status="error"),
        _span("a4", "a1", "search handbook", 1180, 120, operation="retrieval"),
        _span("a5", "gone", "send e-mail", 1700, 90),
    ]
    said = [
        Message(role="system", parts=[TextPart("You answer customers of a small shop.")]),
        Message(
            role="user",
            parts=[
                TextPart("My parcel hasn't arrived."),
                UriPart("image", "https://example.org/parcel.png"),
            ],
        ),
        Message(
            role="assistant",
            parts=[
                ReasoningPart("The order number is in the session."),
                ToolCallPart("call_1", "find_order", {"order": 1042}),
            ],
        ),
        Message(role="tool", parts=[ToolResult("call_1", {"status": "sent", "day": "Tuesday"})]),
    ]
    answered = [
        Message(role="assistant", parts=[TextPart("It left on Tuesday.")], finish_reason="stop"),
        Message(
            role="assistant",
            parts=[RefusalPart("I can't help with that.")],
            finish_reason="content_filter",
        ),
    ]
    return Examples(
        cost=Decimal("0.000412"),
        error=NotFound("There is no trace 'abc' in this project.", "Check the id."),
        window=Outline(spans).first(),
        transcript=transcript(msgspec.json.encode(said).decode(), msgspec.json.encode(answered).decode()),
        scores=[
            _score(now, "helpful", 1.0, comment="Right, and brief."),
            _score(now, "quality", 0.4, correction="It left on Tuesday and arrives on Friday."),
        ],
    )


def _span(
    span_id: str,
    parent_id: str,
    name: str,
    start: int,
    duration: int,
    *,
    operation: str = "",
    model: str = "",
    first: int | None = None,
    status: str = "ok",
) -> SpanHead:
    return SpanHead(
        trace_id="example",
        span_id=span_id,
        parent_id=parent_id,
        name=name,
        kind="internal",
        source="otlp",
        service="",
        operation=operation,
        start=start * _MS,
        duration=duration * _MS,
        time_to_first_token=None if first is None else first * _MS,
        status=status,
        error_type="",
        error_message="",
        route="",
        request_model=model,
        response_model=model,
        input_tokens=None,
        output_tokens=None,
        cost=None,
        input_preview="",
        output_preview="",
    )


def _score(now: int, name: str, value: float, *, comment: str = "", correction: str = "") -> Score:
    return Score(
        project_id="",
        score_id=name,
        time=now,
        name=name,
        value=value,
        comment=comment,
        correction=correction,
        source="member",
        author="ada@example.org",
    )
