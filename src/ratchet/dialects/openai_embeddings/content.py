"""What was asked for in an embeddings request, for telemetry: off the request's path. Nothing here raises.

Vectors are no content: of an answer only what it says beside them is kept.
"""

from __future__ import annotations

from ratchet.dialects.content import (
    AnswerContent,
    RequestContent,
    content_of_embeddings,
    content_of_embeddings_request,
)
from ratchet.dialects.openai_embeddings.vectors import read_answer, read_request
from ratchet.errors import InvalidRequest, UpstreamFailed

__all__ = ["messages_of_request", "messages_of_response"]


def messages_of_request(body: bytes) -> RequestContent:
    """The texts, each as a message of the user's."""
    try:
        return content_of_embeddings_request(read_request(body))
    except InvalidRequest:
        return RequestContent([], [], {}, unreadable=True)


def messages_of_response(body: bytes) -> AnswerContent:
    """No messages; what stands beside the vectors are attributes."""
    try:
        return content_of_embeddings(read_answer(body))
    except UpstreamFailed:
        return AnswerContent([], {}, unreadable=True)
