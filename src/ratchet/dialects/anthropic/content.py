"""What was asked and answered in Anthropic's dialect, for telemetry: off the request's path. Nothing here raises."""

from __future__ import annotations

from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.content import (
    AnswerContent,
    RequestContent,
    content_of_answer_body,
    content_of_request_body,
    content_of_stream,
)

__all__ = ["messages_of_request", "messages_of_response", "messages_of_stream"]


def messages_of_request(body: bytes) -> RequestContent:
    """What a request body asks."""
    return content_of_request_body(body, DIALECT.read_request)


def messages_of_response(body: bytes) -> AnswerContent:
    """What an answer that was not streamed says."""
    return content_of_answer_body(body, DIALECT.read_answer)


def messages_of_stream(raw_sse: bytes) -> AnswerContent:
    """What a recorded event stream says, as far as it goes: a stream that was cut gives the part that came."""
    return content_of_stream(raw_sse, DIALECT.stream_reader, DIALECT.name)
