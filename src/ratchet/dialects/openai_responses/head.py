"""The Responses API on a request's path: the few fields that the gateway needs, and errors in OpenAI's shape.

Everything else in a body is skipped, not parsed: bytes pass through untouched. What a provider sends is never a
reason to fail here: a field of the wrong type reads as if it were absent. What a caller sends wrongly is named.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.dialects.decoding import decode_leniently, is_text
from ratchet.dialects.heads import counted, read_head
from ratchet.dialects.openai_chat.head import error_body, error_message
from ratchet.dialects.openai_responses.usage import usage_of
from ratchet.dialects.openai_responses.words import finish_reason
from ratchet.dialects.sse import EventStream
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError, UpstreamFailed

__all__ = [
    "AnswerHead",
    "RequestHead",
    "StreamHead",
    "answer_head",
    "error_body",
    "error_event",
    "error_message",
    "request_head",
]


class RequestHead(msgspec.Struct, frozen=True):
    """The top-level fields of a request that the gateway acts on."""

    model: str
    stream: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, str] | None = None
    max_output_tokens: Any = None

    @property
    def output_limit(self) -> int | None:
        """The most tokens that the answer may have, thoughts included."""
        return counted(self.max_output_tokens)

    @property
    def user_id(self) -> str:
        """Whom the app answers for; "" where it does not say."""
        return self.user or self.safety_identifier or ""

    @property
    def wants_usage(self) -> bool:
        """A stream always ends with its token counts."""
        return True


class Incomplete(msgspec.Struct, frozen=True):
    reason: str | None = None


class Item(msgspec.Struct, frozen=True):
    type: str | None = None


class AnswerHead(msgspec.Struct, frozen=True):
    """What the gateway reads from an answer that is not streamed, and from the one that a stream ends with."""

    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    status: str | None = None
    incomplete_details: Incomplete | None = None
    output: list[Item] | None = None
    usage: Any = None
    error: Any = None

    @property
    def finish_reasons(self) -> list[str]:
        """One, in the message form's words; none where the answer is not finished."""
        return self.reasons(())

    def reasons(self, kinds: tuple[str | None, ...]) -> list[str]:
        """The same, where items of these types have been seen, too."""
        incomplete = self.incomplete_details.reason if self.incomplete_details else None
        reason = finish_reason(self.status, incomplete, [*kinds, *(item.type for item in self.output or ())])
        return [reason] if reason and (self.status or self.output) else []

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self.usage)


class Event(msgspec.Struct, frozen=True):
    """What the gateway reads from the data of one event of a stream."""

    type: str | None = None
    delta: Any = None
    item: Item | None = None
    response: AnswerHead | None = None
    error: Any = None
    message: str | None = None
    code: str | None = None


_request_decoder = msgspec.json.Decoder(RequestHead)
_answer_decoder = msgspec.json.Decoder(AnswerHead)
_event_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder()
_NO_ANSWER = AnswerHead()
_NO_EVENT = Event()
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


def request_head(body: bytes) -> RequestHead:
    """The head of a request. Raises InvalidRequest, naming the field, where the body can't be one."""
    return read_head(body, _request_decoder, "`model` and `input`")


def answer_head(body: bytes) -> AnswerHead | None:
    """The head of an answer. What is not as it should be reads as absent; None where the body is no JSON object."""
    head = decode_leniently(body, _answer_decoder, _NO_ANSWER)
    return None if head is _NO_ANSWER else head


class StreamHead:
    """What the gateway learns from a stream while its bytes pass by: feed it each chunk, then read the fields."""

    __slots__ = (
        "_events",
        "_kinds",
        "_usage",
        "done",
        "error",
        "finish_reasons",
        "good",
        "has_content",
        "id",
        "malformed",
        "model",
        "service_tier",
    )

    def __init__(self) -> None:
        self._events: EventStream | None = EventStream()
        self._kinds: tuple[str | None, ...] = ()
        self._usage: Usage | None = None
        self.id = ""
        self.model = ""
        self.service_tier = ""
        self.finish_reasons: list[str] = []
        self.has_content = False
        self.error: Any = None
        self.malformed = False
        self.good = 0
        self.done = False  # response.completed, or its like, has been seen: the stream is whole

    @property
    def tokens(self) -> Usage | None:
        return self._usage

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes. Never raises: an event too large to read ends the reading, not the stream."""
        if self._events is None:
            return
        try:
            events = self._events.feed(chunk)
        except UpstreamFailed:
            self._events = None
            return
        self._take_all(events)

    def finish(self) -> None:
        """Take in what an unfinished last event holds."""
        if self._events is not None:
            self._take_all(self._events.finish())

    def _take_all(self, events: list[bytes]) -> None:
        for place, data in enumerate(events):
            self._take(data)
            if self._events is None:  # what follows the end, or what went wrong, is not read
                self.good = place
                return

    def _take(self, data: bytes) -> None:
        event = decode_leniently(data, _event_decoder, _NO_EVENT)
        if event is _NO_EVENT or not is_text(data):
            if data and data != b"[DONE]":
                self.malformed = True
                self._events = None
            return
        kind = event.type or ""
        if kind.endswith(".delta"):
            self.has_content = self.has_content or bool(event.delta)
        elif kind == "response.output_item.done" and event.item is not None:
            self._kinds = (*self._kinds, event.item.type)
            self.has_content = self.has_content or event.item.type != "reasoning"
        elif kind == "error":
            self.error = event.error or {"message": event.message, "code": event.code}
            self._events = None
        if event.response is not None:
            self._take_answer(kind, event.response)

    def _take_answer(self, kind: str, answer: AnswerHead) -> None:
        self.id = self.id or answer.id or ""
        self.model = answer.model or self.model
        self.service_tier = answer.service_tier or self.service_tier
        if kind not in _LAST:
            return
        self._events = None
        self._usage = answer.tokens
        self.finish_reasons = answer.reasons(self._kinds)
        if kind == "response.failed":
            self.error = answer.error or {"message": "The response failed."}
            return
        self.done = True
        if answer.output:
            self.has_content = True


def error_event(error: RatchetError) -> bytes:
    """The event for a stream that fails after it has begun. Its place in the stream's order is not known here: 0."""
    data = {
        "type": "error",
        "code": error.reason,
        "message": str(error),
        "param": error.param,
        "sequence_number": 0,
    }
    return b"event: error\ndata: " + _encoder.encode(data) + b"\n\n"
