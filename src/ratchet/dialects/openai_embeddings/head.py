"""OpenAI's embeddings on a request's path: the few fields that the gateway needs."""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.dialects.decoding import decode_leniently
from ratchet.dialects.heads import read_head
from ratchet.dialects.openai_embeddings.vectors import usage_of
from ratchet.domain.usage import Usage

__all__ = ["AnswerHead", "RequestHead", "answer_head", "request_head"]


class RequestHead(msgspec.Struct, frozen=True):
    """The top-level fields of a request that the gateway acts on."""

    model: str
    user: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def stream(self) -> bool:
        """Vectors are never streamed."""
        return False

    @property
    def output_limit(self) -> int:
        """Vectors have no tokens."""
        return 0

    @property
    def user_id(self) -> str:
        """Whom the app answers for; "" where it does not say."""
        return self.user or ""

    @property
    def wants_usage(self) -> bool:
        """Token counts always come."""
        return True


class AnswerHead(msgspec.Struct, frozen=True):
    """What the gateway reads from an answer: the vectors are skipped."""

    model: str | None = None
    usage: Any = None
    id: str | None = None
    service_tier: str | None = None
    error: Any = None

    @property
    def finish_reasons(self) -> list[str]:
        return []

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self.usage)


_request_decoder = msgspec.json.Decoder(RequestHead)
_answer_decoder = msgspec.json.Decoder(AnswerHead)
_NO_ANSWER = AnswerHead()


def request_head(body: bytes) -> RequestHead:
    """The head of a request. Raises InvalidRequest, naming the field, where the body can't be one."""
    return read_head(body, _request_decoder, "`model` and `input`")


def answer_head(body: bytes) -> AnswerHead | None:
    """The head of an answer. What is not as it should be reads as absent; None where the body is no JSON object."""
    head = decode_leniently(body, _answer_decoder, _NO_ANSWER)
    return None if head is _NO_ANSWER else head
