"""Anthropic's messages on a request's path: the few fields that the gateway needs.

Everything else in a body is skipped, not parsed: bytes pass through untouched. What a provider sends is never a reason
to fail here: a field of the wrong type reads as if it were absent. What a caller sends wrongly is named.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.dialects.anthropic.finishing import finish_reason
from ratchet.dialects.anthropic.usage import UsageWire, usage_of
from ratchet.dialects.decoding import decode_leniently, is_text
from ratchet.dialects.heads import counted, read_head
from ratchet.dialects.sse import EventStream
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = ["AnswerHead", "RequestHead", "StreamHead", "answer_head", "request_head"]


class _RequestWire(msgspec.Struct, frozen=True):
    model: str
    stream: bool | None = None
    metadata: dict[str, str | None] | None = None
    max_tokens: Any = None


class RequestHead(msgspec.Struct, frozen=True):
    """The fields of a request that the gateway acts on.

    Anthropic knows only `user_id` in `metadata`; apps put the context of a call (session, organisation, tags …) beside
    it, as they do in OpenAI's dialect.
    """

    model: str
    stream: bool | None = None
    user_id: str = ""
    metadata: dict[str, str] | None = None
    output_limit: int | None = None

    @property
    def wants_usage(self) -> bool:
        """A stream always ends in token counts."""
        return True


class AnswerHead(msgspec.Struct, frozen=True):
    """What the gateway reads from an answer that is not streamed."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: UsageWire | None = None
    error: Any = None

    @property
    def service_tier(self) -> str | None:
        return None if self.usage is None else self.usage.service_tier

    @property
    def finish_reasons(self) -> list[str]:
        """In the message form's words."""
        return [finish_reason(self.stop_reason)] if self.stop_reason else []

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self.usage)


class _Typed(msgspec.Struct, frozen=True):
    type: str | None = None
    stop_reason: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str | None = None
    message: AnswerHead | None = None
    content_block: _Typed | None = None
    delta: _Typed | None = None
    usage: UsageWire | None = None
    error: Any = None


class _Nothing(msgspec.Struct, frozen=True):
    """To see whether something is a JSON object, whatever it holds."""


_request_decoder = msgspec.json.Decoder(_RequestWire)
_answer_decoder = msgspec.json.Decoder(AnswerHead)
_event_decoder = msgspec.json.Decoder(_Event)
_NO_EVENT = _Event()
_NO_ANSWER = AnswerHead()
_UNREADABLE = AnswerHead()  # told from an empty object by identity
_DELTA = b'{"type":"content_block_delta"'
_object_decoder = msgspec.json.Decoder(_Nothing)
_SILENT = ("text", "thinking")  # blocks that begin empty: what they say comes in deltas


def request_head(body: bytes) -> RequestHead:
    """The head of a request. Raises InvalidRequest, naming the field, where the body can't be one."""
    wire = read_head(body, _request_decoder, "`model`, `max_tokens` and `messages`")
    limit = counted(wire.max_tokens)
    if not wire.metadata:
        return RequestHead(wire.model, wire.stream, output_limit=limit)
    context = {
        name: value for name, value in wire.metadata.items() if value is not None and name != "user_id"
    }
    return RequestHead(wire.model, wire.stream, wire.metadata.get("user_id") or "", context or None, limit)


def answer_head(body: bytes) -> AnswerHead | None:
    """The head of an answer, less what is not as it should be; None where it is no JSON object. Never raises."""
    head = decode_leniently(body, _answer_decoder, _UNREADABLE)
    return None if head is _UNREADABLE else head


def _is_object(data: bytes) -> bool:
    try:
        _object_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class StreamHead:
    """What the gateway learns from a stream while its bytes pass by: feed it each chunk, then read the fields."""

    __slots__ = (
        "_events",
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
        self._usage: UsageWire | None = None
        self.id = ""
        self.model = ""
        self.service_tier = ""
        self.finish_reasons: list[str] = []
        self.has_content = False
        self.error: Any = None
        self.malformed = False
        self.good = 0
        self.done = False  # `message_stop` has been seen: the stream is whole

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self._usage)

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
        if self.has_content and data.startswith(_DELTA) and data.isascii() and _is_object(data):
            return  # nearly every event there is, and nothing new in it
        event = decode_leniently(data, _event_decoder, _NO_EVENT)
        if event is _NO_EVENT or not is_text(data):
            if data:
                self.malformed = True
                self._events = None
            return
        match event.type:
            case "message_start":
                self._begin(event.message or _NO_ANSWER)
            case "content_block_start":
                kind = event.content_block.type if event.content_block is not None else None
                self.has_content = self.has_content or bool(kind and kind not in _SILENT)
            case "content_block_delta":
                said = event.delta
                if said is not None and (said.text or said.thinking or said.partial_json):
                    self.has_content = True
            case "message_delta":
                if event.delta is not None and event.delta.stop_reason:
                    self.finish_reasons.append(finish_reason(event.delta.stop_reason))
                self._count(event.usage)
            case "message_stop":
                self.done = True
                self._events = None
            case "error":
                self.error = event.error if event.error is not None else {}
                self._events = None
            case _:
                pass  # a ping, or what is not known yet

    def _begin(self, message: AnswerHead) -> None:
        self.id = message.id or ""
        self.model = message.model or ""
        if message.stop_reason:
            self.finish_reasons.append(finish_reason(message.stop_reason))
        self._count(message.usage)

    def _count(self, usage: UsageWire | None) -> None:
        if usage is None:
            return
        self._usage = usage if self._usage is None else self._usage.updated(usage)
        self.service_tier = self._usage.service_tier or ""
