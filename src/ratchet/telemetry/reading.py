"""Which reader reads a call's bytes: one row for each dialect that an app may speak."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ratchet.dialects import anthropic, openai_chat, openai_embeddings, openai_responses
from ratchet.dialects.content import (
    AnswerContent,
    RequestContent,
    content_of_answer_body,
    content_of_embeddings_request,
    content_of_request_body,
    content_of_stream,
)
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.openai_chat.content import messages_of_request, messages_of_response, messages_of_stream
from ratchet.errors import InvalidRequest

__all__ = ["Reading", "reading_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What a request, a whole answer and a recorded stream say. None of them ever raises."""

    request: Callable[[bytes], RequestContent]
    answer: Callable[[bytes], AnswerContent]
    stream: Callable[[bytes], AnswerContent]


def reading_of(dialect: str) -> Reading:
    """The readers for the column `dialect`; for an unknown one, those of OpenAI's chat completions."""
    return _READINGS.get(dialect, _CHAT)


def _neutral(dialect: Dialect, *, echo: frozenset[str] = frozenset()) -> Reading:
    """Read through the neutral form. `echo`: fields of an answer that only repeat the request."""
    return Reading(
        request=lambda body: content_of_request_body(body, dialect.read_request),
        answer=lambda body: content_of_answer_body(body, dialect.read_answer, without=echo),
        stream=lambda body: content_of_stream(body, dialect.stream_reader, dialect.name, without=echo),
    )


def _texts(body: bytes) -> RequestContent:
    try:
        return content_of_embeddings_request(openai_embeddings.DIALECT.read_request(body))
    except InvalidRequest:
        return RequestContent([], [], {}, unreadable=True)


def _vectors(_body: bytes) -> AnswerContent:
    """Nothing that a person could read."""
    return AnswerContent([], {})


_CHAT = Reading(messages_of_request, messages_of_response, messages_of_stream)
_READINGS = {
    openai_chat.DIALECT.name: _CHAT,
    openai_responses.DIALECT.name: _neutral(openai_responses.DIALECT, echo=openai_responses.ECHOED),
    openai_embeddings.DIALECT.name: Reading(_texts, _vectors, _vectors),
    anthropic.DIALECT.name: _neutral(anthropic.DIALECT),
}
