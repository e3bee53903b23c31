"""From what the gateway spooled to the span that is stored: reading the conversation happens here, off the path."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from ratchet.dialects.content import AnswerContent, RequestContent
from ratchet.dialects.openai_chat.content import finish_reason
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.domain.spans import ATTEMPT, ATTEMPT_COST, Span
from ratchet.telemetry.calls import Call, LostAttempt
from ratchet.telemetry.reading import reading_of

__all__ = [
    "PREVIEW_CHARACTERS",
    "VARIABLES",
    "input_preview",
    "json_text",
    "output_preview",
    "preview",
    "span_of_call",
    "spans_of_attempts",
]

PREVIEW_CHARACTERS = 300
VARIABLES = "ratchet.variables"  # the attribute that holds what filled a prompt in, as JSON
_UNPARSED_CHARACTERS = 10_000
_NOTHING_ASKED = RequestContent([], [], {})
_NOTHING_ANSWERED = AnswerContent([], {})

_encoder = msgspec.json.Encoder()


class _Content(msgspec.Struct, frozen=True, gc=False):
    """What was said in a call, and each side of it on one line."""

    asked: RequestContent
    answered: AnswerContent
    asked_line: str
    answered_line: str
    attributes: dict[str, str]


def span_of_call(call: Call) -> Span:
    """The span of one model call. Never raises: what can't be parsed is kept, shortened, in the attributes."""
    content = _content(call)
    return Span(
        project_id=call.project_id,
        trace_id=call.trace_id,
        span_id=call.span_id,
        parent_id=call.parent_id,
        name=f"{call.operation} {call.request_model}".rstrip(),
        kind="client",
        source="gateway",
        service="ratchet",
        operation=call.operation,
        start=call.start,
        duration=call.duration,
        time_to_first_token=call.time_to_first_token,
        status=call.status,
        error_type=call.error_type,
        error_message=call.error_message,
        http_status=call.http_status or None,
        key_id=call.key_id,
        user_id=call.user_id,
        organisation_id=call.organisation_id,
        segment=call.segment,
        session_id=call.session_id,
        tags=call.tags,
        app_version=call.app_version,
        language=call.language,
        route=call.route,
        target=call.target,
        attempt=call.attempt,
        prompt=call.prompt,
        prompt_version=call.prompt_version,
        release=call.release,
        provider=call.provider,
        request_model=call.request_model,
        response_model=call.response_model,
        response_id=call.response_id,
        stream=call.stream,
        cache_status=call.cache_status,
        input_tokens=call.usage.input,
        output_tokens=call.usage.output,
        cached_tokens=call.usage.cached,
        cache_write_tokens=call.usage.cache_write,
        reasoning_tokens=call.usage.reasoning,
        audio_input_tokens=call.usage.audio_input,
        audio_output_tokens=call.usage.audio_output,
        cost=_cost(call.cost),
        finish_reasons=[finish_reason(reason) for reason in call.finish_reasons],
        input_messages=json_text(content.asked.messages),
        output_messages=json_text(content.answered.messages),
        tool_definitions=json_text(content.asked.tools),
        input_preview=content.asked_line,
        output_preview=content.answered_line,
        attributes=content.attributes,
        run_id=call.run_id,
        candidate=call.candidate,
        case_id=call.case_id,
        repeat=call.repeat,
    )


def spans_of_attempts(call: Call) -> list[Span]:
    """A span below the call's for each target that was asked and did not give its answer.

    They name no model, so they are no model calls: what they cost is in the call's own cost, and their status says
    nothing, because what failed here was made good there.
    """
    return [
        Span(
            project_id=call.project_id,
            trace_id=call.trace_id,
            span_id=lost.span_id,
            parent_id=call.span_id,
            name=f"attempt {lost.target}",
            kind="client",
            source="gateway",
            service="ratchet",
            operation=ATTEMPT,
            start=lost.start,
            duration=lost.duration,
            time_to_first_token=_own_first_token(lost, call.start),
            error_type=lost.failure,
            error_message=lost.message,
            http_status=lost.http_status or None,
            key_id=call.key_id,
            user_id=call.user_id,
            organisation_id=call.organisation_id,
            session_id=call.session_id,
            route=call.route,
            target=lost.target,
            provider=lost.provider,
            attempt=lost.number,
            attributes={} if lost.cost is None else {ATTEMPT_COST: lost.cost},
            run_id=call.run_id,
            candidate=call.candidate,
            case_id=call.case_id,
            repeat=call.repeat,
        )
        for lost in call.attempts
    ]


def _own_first_token(lost: LostAttempt, call_start: int) -> int | None:
    """From the attempt's own start, as its span begins there."""
    if lost.time_to_first_token is None:
        return None
    return max(0, lost.time_to_first_token - (lost.start - call_start))


def _content(call: Call) -> _Content:
    asked = reading_of(call.dialect).request(call.request) if call.request else _NOTHING_ASKED
    answered = _answer(call) if call.response else _NOTHING_ANSWERED
    attributes = {**asked.attributes, **answered.attributes, **call.notes}
    for name, value in call.metadata.items():
        attributes[f"metadata.{name}"] = value
    if call.variables:
        attributes[VARIABLES] = call.variables.decode("utf-8", "replace")
    asked_line, answered_line = input_preview(asked.messages), output_preview(answered.messages)
    if asked.unreadable:
        attributes["ratchet.unparsed_request"] = unparsed = _shortened(call.request)
        asked_line = preview(unparsed)
    if answered.unreadable:
        attributes["ratchet.unparsed_response"] = unparsed = _shortened(call.response)
        answered_line = preview(unparsed)
    return _Content(asked, answered, asked_line, answered_line, attributes)


def json_text(values: Sequence[Any]) -> str:
    """`values` as a JSON list, and `""` for none of them."""
    if not values:
        return ""
    try:
        return _encoder.encode(values).decode()
    except RecursionError:
        # Nested to the interpreter's limit: a body built to break readers. What it was is beyond saying.
        return '[{"role":"","parts":[{"type":"generic","name":"unreadable","value":"nested too deeply"}]}]'


def input_preview(messages: list[Message]) -> str:
    """The last thing the user said, on one line; the last message's where no user said anything."""
    for message in reversed(messages):
        if message.role == "user":
            return _message_preview(message)
    return _message_preview(messages[-1]) if messages else ""


def output_preview(messages: list[Message]) -> str:
    """The first choice that says something, on one line."""
    for message in messages:
        line = _message_preview(message)
        if line:
            return line
    return ""


def preview(text: str) -> str:
    """`text` on one line: whitespace collapsed, at most 300 characters."""
    start = text[: PREVIEW_CHARACTERS + 1]
    if start.isprintable() and "  " not in start and start[:1] != " " != start[-1:]:  # nothing to collapse
        return start if len(start) <= PREVIEW_CHARACTERS else start[: PREVIEW_CHARACTERS - 1] + "…"
    # A document may be megabytes: only as much is looked at as a preview can need.
    line = " ".join(text[: PREVIEW_CHARACTERS + 64].split())
    if len(line) <= PREVIEW_CHARACTERS < len(text):  # much of it was whitespace
        line = " ".join(text[: PREVIEW_CHARACTERS * 40].split())
    return line if len(line) <= PREVIEW_CHARACTERS else line[: PREVIEW_CHARACTERS - 1] + "…"


def _message_preview(message: Message) -> str:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is TextPart:  # nearly every message
        return preview(parts[0].content)
    texts = [part.content for part in parts if isinstance(part, TextPart)]
    if texts:
        return preview(texts[0] if len(texts) == 1 else " ".join(texts))
    return preview(" ".join(filter(None, map(_part_preview, parts))))


def _part_preview(part: object) -> str:
    match part:
        case ToolCallPart(name=name, arguments=arguments):
            given = arguments if isinstance(arguments, str) else _encoder.encode(arguments).decode()
            return f"{name}({given})"
        case ToolCallResponsePart(response=response):
            return response if isinstance(response, str) else _encoder.encode(response).decode()
        case BlobPart(modality=modality) | UriPart(modality=modality) | FilePart(modality=modality):
            return f"[{modality}]"
        case RefusalPart(content=text):
            return text
        case GenericPart(name=name, value=value):
            return value if isinstance(value, str) else f"[{name}]"
        case _:
            return ""


def _answer(call: Call) -> AnswerContent:
    reading = reading_of(call.dialect)
    # An error to a streaming request is a JSON body, and some servers answer with one anyway.
    if call.stream and call.response.lstrip()[:1] != b"{":
        return reading.stream(call.response)
    return reading.answer(call.response)


def _cost(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        cost = Decimal(text)
    except InvalidOperation:
        return None
    return cost if cost.is_finite() else None


def _shortened(body: bytes) -> str:
    return body[:_UNPARSED_CHARACTERS].decode("utf-8", "replace")
