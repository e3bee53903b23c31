"""Neutral events, written as Anthropic's stream.

Blocks follow one another there, but parts may overlap in the events (parallel calls, told in turns). So the first part
that is not over is written as it comes, and the others wait for it. The reason for the end and the token counts go
out together, when the stream ends.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.anthropic.answer import explained, proof_of_call
from ratchet.dialects.anthropic.blocks import NAME, text_block, thought_block
from ratchet.dialects.anthropic.errors import stream_error
from ratchet.dialects.anthropic.usage import usage_wire
from ratchet.dialects.signatures import tagged
from ratchet.domain.generation import (
    ChoiceEnded,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    SignatureDelta,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamStarted,
    UsageReported,
)
from ratchet.domain.messages import (
    Extra,
    GenericPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)
from ratchet.domain.usage import Usage

__all__ = ["StreamWriter"]

_encode = msgspec.json.Encoder().encode
_Fields = dict[str, Any]

# Events don't say which dialect they came from, so only what bears Anthropic's own names is restored.
_USAGE_FIELDS = ("cache_creation", "server_tool_use", "inference_geo", "iterations", "speed")
_ENDING_FIELDS = ("stop_reason", "stop_sequence", "stop_details")


class _Part:
    """A part on its way: what is known of it and not yet written."""

    __slots__ = ("begun", "citations", "ended", "origin", "part", "pieces", "place", "signature")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.signature = ""
        self.origin: str | None = None
        self.citations: list[Any] = []
        self.begun = False
        self.ended = False
        self.place = 0  # the block's number, once it has begun
        match part:
            case TextPart(content=text):
                self.pieces.append(text)
                self.cite(part.extra)
            case RefusalPart(content=text):
                self.pieces.append(text)
            case ReasoningPart(content=text):
                self.pieces.append(text)
                self.signature, self.origin = part.signature or "", part.origin
            case ToolCallPart(arguments=given):
                if given is not None:
                    self.pieces.append(given if isinstance(given, str) else _encode(given).decode())
                self.signature, self.origin = part.signature or "", part.origin
            case _:
                pass  # it has no pieces: it is written whole or not at all

    def cite(self, extra: Extra | None) -> None:
        cited = (extra or {}).get("citations")
        if isinstance(cited, list):
            self.citations += cast("list[Any]", cited)


class StreamWriter:
    """One stream for an app: give it each event, send the bytes."""

    __slots__ = ("_blocks", "_ending", "_extra", "_id", "_parts", "_refused", "_rest", "_usage", "_waiting")

    def __init__(self, _asked: Request) -> None:
        self._id: str | None = None
        self._parts: dict[int, _Part] = {}
        self._waiting: list[_Part] = []
        self._blocks = 0
        self._ending: ChoiceEnded | None = None
        self._usage = Usage()
        self._rest: _Fields = {}
        self._extra: Extra = {}
        self._refused: list[Part] = []

    def write(self, event: StreamEvent) -> bytes:  # noqa: PLR0911 - a kind of event each
        match event:
            case PartDelta(choice=0, index=index, text=text):
                return self._more(index, text)
            case PartStarted(choice=0, index=index, part=part):
                return self._begin_part(index, part)
            case SignatureDelta(choice=0, index=index, signature=signature, origin=origin):
                known = self._parts.get(index)
                if known is not None:
                    known.signature += signature
                    known.origin = origin
                return b""
            case PartEnded(choice=0, index=index, extra=extra):
                return self._end_part(index, extra)
            case ChoiceEnded(choice=0):
                self._ending = event
                return self._end_parts()
            case UsageReported(usage=usage, extra=extra):
                self._usage = usage
                self._keep(extra)
                return b""
            case StreamStarted():
                return self._start(event)
            case StreamEnded(extra=extra):
                self._keep(extra)
                return self._finish()
            case StreamFailed(message=message, code=code):
                return _event("error", stream_error(message, code))
            case _:
                return b""  # other choices: an app of this dialect can't have asked for any

    def _start(self, event: StreamStarted) -> bytes:
        self._id = event.id
        self._usage = event.usage or self._usage
        self._keep(event.extra)
        usage = usage_wire(self._usage, event.service_tier, None) | self._rest
        message: _Fields = {
            "id": event.id,
            "type": "message",
            "role": "assistant",
            "model": event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return _event("message_start", {"type": "message_start", "message": message})

    def _keep(self, extra: Extra | None) -> None:
        for name, value in (extra or {}).items():
            if name == "usage" and isinstance(value, dict):
                given = cast("_Fields", value)
                self._rest |= {known: given[known] for known in _USAGE_FIELDS if known in given}
            elif name in ("container", "context_management"):
                self._extra[name] = value

    def _begin_part(self, index: int, part: Part) -> bytes:
        begun = self._parts[index] = _Part(part)
        self._waiting.append(begun)
        if isinstance(part, RefusalPart):
            self._refused.append(part)
        return self._flush()

    def _more(self, index: int, text: str) -> bytes:
        known = self._parts.get(index)
        if known is None or not text:
            return b""
        known.pieces.append(text)
        return self._flush() if self._waiting and self._waiting[0] is known else b""

    def _end_part(self, index: int, extra: Extra | None) -> bytes:
        known = self._parts.get(index)
        if known is None or known.ended:
            return b""
        known.ended = True
        known.cite(extra)
        return self._flush()

    def _end_parts(self) -> bytes:
        for part in self._waiting:
            part.ended = True
        return self._flush()

    def _flush(self) -> bytes:
        """What can be written now: of the first part all that is known, and of the next once that is over."""
        out: list[bytes] = []
        while self._waiting:
            part = self._waiting[0]
            self._write_part(part, out)
            if not part.ended:
                break
            self._waiting.pop(0)
        return b"".join(out)

    def _write_part(self, part: _Part, out: list[bytes]) -> None:
        text = "".join(part.pieces)
        if not part.begun:
            # A block begins with its first words: not before it is known whether there are any.
            begun = _first_block(part, text, f"call_{self._id}_{self._blocks}")
            if begun is None:
                return
            block, text = begun
            if isinstance(part.part, ToolCallPart):
                proof = msgspec.structs.replace(part.part, signature=part.signature, origin=part.origin)
                for thought in proof_of_call(proof):
                    self._write_thought(thought, out)
            part.place = self._begin_block(block, out)
            part.begun = True
        part.pieces.clear()
        if text:
            out.append(_delta(part.place, _said(part.part, text)))
        if part.ended:
            out += [
                _delta(part.place, {"type": "citations_delta", "citation": citation})
                for citation in part.citations
            ]
            if part.signature and isinstance(part.part, ReasoningPart):
                # Once and whole: clients replace what they have by it.
                out.append(_delta(part.place, _signed(tagged(part.signature, part.origin, NAME))))
            out.append(_stop(part.place))

    def _write_thought(self, block: _Fields, out: list[bytes]) -> None:
        place = self._begin_block({**block, "signature": ""}, out)
        out += [_delta(place, _signed(block["signature"])), _stop(place)]

    def _begin_block(self, block: _Fields, out: list[bytes]) -> int:
        place = self._blocks
        self._blocks += 1
        start = {"type": "content_block_start", "index": place, "content_block": block}
        out.append(_event("content_block_start", start))
        return place

    def _finish(self) -> bytes:
        out = [self._end_parts()]
        if self._id is None:
            out.insert(0, self._start(StreamStarted(id="", model="")))
        ending = self._ending or ChoiceEnded(0, "stop")
        extra = {name: value for name, value in (ending.extra or {}).items() if name in _ENDING_FIELDS}
        delta = explained(ending.finish_reason, extra, self._refused)
        if "container" in self._extra:
            delta["container"] = self._extra["container"]
        event: _Fields = {
            "type": "message_delta",
            "delta": delta,
            "usage": usage_wire(self._usage, None, None) | self._rest,
        }
        if "context_management" in self._extra:
            event["context_management"] = self._extra["context_management"]
        out += [_event("message_delta", event), _event("message_stop", {"type": "message_stop"})]
        return b"".join(out)


def _first_block(  # noqa: PLR0911 - a kind of part each
    part: _Part, text: str, call: str
) -> tuple[_Fields, str] | None:
    """(the block that a part begins with, what it says after that); None where there is nothing to say yet."""
    match part.part:
        case TextPart(extra=extra):
            cited: Extra | None = (
                {"citations": []} if part.citations or "citations" in (extra or {}) else None
            )
            return (text_block("", cited), text) if text or part.citations else None
        case RefusalPart():
            return (text_block("", None), text) if text else None
        case ReasoningPart():
            if text:
                return thought_block(ReasoningPart(""), own=False), text
            if not part.ended or not part.signature:
                return None
            block = thought_block(ReasoningPart("", part.signature, part.origin), own=False)
            if block["type"] == "thinking":
                return thought_block(ReasoningPart(""), own=False), ""
            part.signature = ""  # it is the block
            return block, ""
        case ToolCallPart(id=known, name=name, extra=extra):
            if not text and not part.ended:
                return None
            caller = {"caller": extra["caller"]} if extra and "caller" in extra else {}
            return {"type": "tool_use", "id": known or call, "name": name, "input": {}, **caller}, text
        case GenericPart(name=kind, value=value):
            return _hosted_block(kind, value)
        case _:
            return None  # pictures and sounds that a model made


def _hosted_block(kind: str, value: Any) -> tuple[_Fields, str] | None:
    """What Anthropic's own tools do and say, which no other dialect's parts are called like."""
    if not isinstance(value, dict):
        return None
    block = cast("_Fields", value)
    if kind.endswith("_tool_use"):
        return {**block, "input": {}}, _encode(block.get("input", {})).decode()
    if kind.endswith("_tool_result") or kind in ("compaction", "container_upload"):
        return block, ""
    return None


def _said(part: Part, text: str) -> _Fields:
    match part:
        case TextPart() | RefusalPart():
            return {"type": "text_delta", "text": text}
        case ReasoningPart():
            return {"type": "thinking_delta", "thinking": text}
        case _:
            return {"type": "input_json_delta", "partial_json": text}


def _signed(signature: str) -> _Fields:
    return {"type": "signature_delta", "signature": signature}


def _delta(place: int, delta: _Fields) -> bytes:
    return _event("content_block_delta", {"type": "content_block_delta", "index": place, "delta": delta})


def _stop(place: int) -> bytes:
    return _event("content_block_stop", {"type": "content_block_stop", "index": place})


def _event(name: str, data: _Fields) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(data) + b"\n\n"
