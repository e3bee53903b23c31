"""What was asked and answered in the Responses API, for telemetry: off the request's path. Nothing here raises."""

from __future__ import annotations

from ratchet.dialects.content import (
    AnswerContent,
    RequestContent,
    content_of_answer_body,
    content_of_request_body,
    content_of_stream,
)
from ratchet.dialects.openai_responses.answer import read_answer
from ratchet.dialects.openai_responses.request import read_request
from ratchet.dialects.openai_responses.stream import StreamReader
from ratchet.dialects.openai_responses.words import ECHOED, NAME

__all__ = ["messages_of_request", "messages_of_response", "messages_of_stream"]


def messages_of_request(body: bytes) -> RequestContent:
    """What a request body asks."""
    return content_of_request_body(body, read_request)


def messages_of_response(body: bytes) -> AnswerContent:
    """What an answer that was not streamed says."""
    return content_of_answer_body(body, read_answer, without=ECHOED)


def messages_of_stream(raw_sse: bytes) -> AnswerContent:
    """What a recorded event stream says, as far as it goes: a stream that was cut gives the part that came."""
    return content_of_stream(raw_sse, StreamReader, NAME, without=ECHOED)
