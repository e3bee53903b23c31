"""Anthropic's stream of events, read into neutral ones.

Blocks follow one another, so each is a part under the next number. A block that has no part of its own (a tool that
Anthropic runs, say) is told whole at its end. Token counts are totals so far; what the end says beside them comes with
the stream's last event.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.anthropic.answer import read_ending
from ratchet.dialects.anthropic.blocks import NAME, read_block
from ratchet.dialects.anthropic.usage import rest_of_usage, usage_of_fields
from ratchet.dialects.decoding import decode_object
from ratchet.dialects.folded import arguments_of
from ratchet.dialects.signatures import untagged
from ratchet.dialects.sse import EventStream
from ratchet.domain.generation import (
    ChoiceEnded,
    PartDelta,
    PartEnded,
    PartStarted,
    SignatureDelta,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamStarted,
    UsageReported,
)
from ratchet.domain.messages import GenericPart, Part, ReasoningPart, TextPart, ToolCallPart

__all__ = ["StreamReader"]

_encode = msgspec.json.Encoder().encode
_Fields = dict[str, Any]
_OF_A_WHOLE = (
    "type",
    "role",
    "content",
    "stop_reason",
    "stop_sequence",
    "stop_details",
    "usage",
    "id",
    "model",
)


class _Block:
    """A block that has begun. `held` is one that is told at its end only."""

    __slots__ = ("citations", "held", "index", "input", "is_call", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.is_call = False
        self.input: Any = None  # of a call, where the block began with it
        self.said: list[str] = []  # the JSON text of a call's input
        self.held: _Fields | None = None
        self.citations: list[Any] = []


class StreamReader:
    """One stream: feed it each chunk, take the events. Raises UpstreamFailed on an event beyond all bounds."""

    __slots__ = ("_blocks", "_events", "_extra", "_parts", "_usage")

    def __init__(self) -> None:
        self._events = EventStream()
        self._blocks: dict[Any, _Block] = {}
        self._parts = 0
        self._usage: _Fields = {}
        self._extra: _Fields = {}

    def feed(self, chunk: bytes, most: int | None = None) -> list[StreamEvent]:
        return [event for data in self._events.feed(chunk)[:most] for event in self._take(data)]

    def finish(self) -> list[StreamEvent]:
        return [event for data in self._events.finish() for event in self._take(data)]

    def _take(self, data: bytes) -> list[StreamEvent]:  # noqa: PLR0911 - a kind of event each
        fields = decode_object(data)
        if fields is None:
            return []
        match fields.get("type"):
            case "content_block_delta":
                return self._said(fields.get("index"), _object(fields.get("delta")))
            case "content_block_start":
                return self._begun(fields.get("index"), fields.get("content_block"))
            case "content_block_stop":
                return self._ended(fields.get("index"))
            case "message_start":
                return self._started(_object(fields.get("message")))
            case "message_delta":
                return self._closing(fields)
            case "message_stop":
                rest = rest_of_usage(self._usage)
                extra = {**self._extra, "usage": rest} if rest else self._extra
                return [StreamEnded(extra or None)]
            case "error":
                error = _object(fields.get("error"))
                kind = error.get("type")
                message = error.get("message")
                return [
                    StreamFailed(
                        message if isinstance(message, str) else _encode(error).decode(),
                        kind if isinstance(kind, str) else None,
                    )
                ]
            case _:
                return []  # a ping, or what is not known yet

    def _started(self, message: _Fields) -> list[StreamEvent]:
        usage = _object(message.get("usage"))
        self._count(usage)
        tier = usage.get("service_tier")
        known, model = message.get("id"), message.get("model")
        return [
            StreamStarted(
                id=known if isinstance(known, str) else "",
                model=model if isinstance(model, str) else "",
                usage=usage_of_fields(self._usage) if usage else None,
                service_tier=tier if isinstance(tier, str) else None,
                extra={n: value for n, value in message.items() if n not in _OF_A_WHOLE} or None,
            )
        ]

    def _closing(self, fields: _Fields) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        usage = _object(fields.pop("usage", None))
        if usage:
            self._count(usage)
            events.append(UsageReported(usage_of_fields(self._usage)))
        delta = _object(fields.pop("delta", None))
        fields.pop("type", None)
        reason, extra = read_ending(delta)
        self._extra |= fields | delta
        if reason is not None:
            events.append(ChoiceEnded(0, reason, extra))
        return events

    def _count(self, usage: _Fields) -> None:
        self._usage |= {n: value for n, value in usage.items() if value is not None or n not in self._usage}

    def _begun(self, place: Any, given: Any) -> list[StreamEvent]:
        part = read_block(given)
        block = self._block(place)
        if isinstance(part, GenericPart):
            block.held = _object(given)
            return []
        if isinstance(part, ToolCallPart):
            block.is_call = True
            block.input = part.arguments
            part = msgspec.structs.replace(part, arguments=None)
        return [PartStarted(0, block.index, part)]

    def _block(self, place: Any) -> _Block:
        block = self._blocks[place if isinstance(place, int) else None] = _Block(self._parts)
        self._parts += 1
        return block

    def _said(self, place: Any, delta: _Fields) -> list[StreamEvent]:
        kind = delta.get("type")
        block = self._blocks.get(place if isinstance(place, int) else None)
        if block is None:
            return self._said_unannounced(place, delta)
        if block.held is not None:
            _hold(block, block.held, delta)
            return []
        match kind:
            case "text_delta" | "thinking_delta" | "input_json_delta":
                text = delta.get(_TEXT_OF[kind])
                if not isinstance(text, str) or not text:
                    return []
                if block.is_call:
                    block.said.append(text)
                return [PartDelta(0, block.index, text)]
            case "signature_delta":
                signature = delta.get("signature")
                if not isinstance(signature, str) or not signature:
                    return []
                return [SignatureDelta(0, block.index, *untagged(signature, NAME))]
            case "citations_delta":
                block.citations.append(delta.get("citation"))
                return []
            case _:
                return []

    def _said_unannounced(self, place: Any, delta: _Fields) -> list[StreamEvent]:
        """Some servers that took the dialect over don't say that a block begins."""
        kind = delta.get("type")
        if kind not in ("text_delta", "thinking_delta"):
            return []
        part: Part = TextPart("") if kind == "text_delta" else ReasoningPart("")
        block = self._block(place)
        return [PartStarted(0, block.index, part), *self._said(place, delta)]

    def _ended(self, place: Any) -> list[StreamEvent]:
        block = self._blocks.pop(place if isinstance(place, int) else None, None)
        if block is None:
            return []
        if block.held is not None:
            if block.said:
                block.held["input"] = arguments_of("".join(block.said))
            part = read_block(block.held)
            return [PartStarted(0, block.index, part), PartEnded(0, block.index)]
        events: list[StreamEvent] = []
        if block.is_call and not block.said:
            # A call without arguments says nothing at all; elsewhere that is an empty object.
            given: Any = {} if block.input is None else block.input
            events.append(PartDelta(0, block.index, _encode(given).decode()))
        events.append(PartEnded(0, block.index, {"citations": block.citations} if block.citations else None))
        return events


_TEXT_OF = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def _hold(block: _Block, held: _Fields, delta: _Fields) -> None:
    """Adds to a block that is told at its end what a delta says: the text of its input, or more of a field."""
    for name, value in delta.items():
        if name == "partial_json":
            block.said.append(str(value))
        elif name != "type":
            earlier = held.get(name)
            held[name] = earlier + value if isinstance(earlier, str) and isinstance(value, str) else value


def _object(value: Any) -> _Fields:
    return cast("_Fields", value) if isinstance(value, dict) else {}
