"""Which reader reads a call's bytes: one row for each dialect that an app may speak."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ratchet.dialects.anthropic import content as anthropic
from ratchet.dialects.content import AnswerContent, RequestContent
from ratchet.dialects.openai_chat import content as openai_chat
from ratchet.dialects.openai_embeddings import content as openai_embeddings
from ratchet.dialects.openai_responses import content as openai_responses

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


_CHAT = Reading(
    openai_chat.messages_of_request, openai_chat.messages_of_response, openai_chat.messages_of_stream
)
_READINGS = {
    "openai_chat": _CHAT,
    "openai_responses": Reading(
        openai_responses.messages_of_request,
        openai_responses.messages_of_response,
        openai_responses.messages_of_stream,
    ),
    "openai_embeddings": Reading(
        openai_embeddings.messages_of_request,
        openai_embeddings.messages_of_response,
        openai_embeddings.messages_of_response,  # vectors are never streamed
    ),
    "anthropic": Reading(
        anthropic.messages_of_request, anthropic.messages_of_response, anthropic.messages_of_stream
    ),
}
