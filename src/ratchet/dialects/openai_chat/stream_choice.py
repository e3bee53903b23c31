"""One choice of a stream of chat completion chunks, its deltas turned into events."""

from __future__ import annotations

from typing import Any, cast

from ratchet.dialects.folded import arguments_of, joined_extra
from ratchet.dialects.openai_chat.calling import CallPiece, call_at, call_piece
from ratchet.dialects.openai_chat.reading import read_part
from ratchet.dialects.openai_chat.thoughts import THOUGHT_FIELDS, read_entry, wire_of
from ratchet.domain.generation import PartDelta, PartEnded, PartStarted, SignatureDelta, StreamEvent
from ratchet.domain.messages import (
    BlobPart,
    Extra,
    GenericPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)

__all__ = ["ChoiceReading"]

_DELTA_FIELDS = THOUGHT_FIELDS | {"role", "content", "refusal", "tool_calls", "function_call", "audio"}
_CHOICE_FIELDS = frozenset({"index", "delta", "finish_reason", "logprobs", "usage", "text"})


class _Call:
    """A call in pieces. It begins for the reader once its arguments do: until then its name may still come."""

    __slots__ = ("arguments", "ended", "extra", "id", "index", "name", "part", "waiting")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id: str | None = None
        self.name = ""
        self.arguments = ""
        self.extra: Extra | None = None
        self.waiting: list[tuple[str, str]] = []  # proofs that came before it began
        self.part: int | None = None
        self.ended = False


class ChoiceReading:
    """`reason` is the finish reason in the provider's word, once it is known; `calls` are all there were."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.reason: str | None = None
        self.calls: list[_Call] = []
        self._parts = 0
        self._open: tuple[str, int] | None = None  # the kind and place of the text that is being said
        self._said = ""  # of the thought that is open
        self._details: Any = None  # the number that the provider gives the open thought
        self._thought_wire: dict[str, Any] = {}
        self._thoughts = 0
        self._rest: Extra | None = None  # of the message
        self._beside: Extra | None = None  # of the choice
        self._audio: dict[str, Any] = {}
        self._sound: int | None = None
        self._transcript: int | None = None

    def take(self, wire: dict[str, Any], events: list[StreamEvent]) -> None:
        reason, delta = wire.get("finish_reason"), wire.get("delta")
        if isinstance(reason, str) and reason:
            self.reason = reason
        logprobs = _dict(wire.get("logprobs"))
        if isinstance(delta, dict):
            self._take_delta(cast("dict[str, Any]", delta), logprobs, events)
        text = wire.get("text")
        if isinstance(text, str) and text:  # a text completion
            self._say("text", text, events)
        for name, value in wire.items():
            if name not in _CHOICE_FIELDS and value is not None:
                self._beside = joined_extra(self._beside, {name: value})

    def _take_delta(self, delta: dict[str, Any], logprobs: dict[str, Any], events: list[StreamEvent]) -> None:
        if not delta.keys().isdisjoint(THOUGHT_FIELDS):
            self._take_thought(delta, events)
        content, refusal = delta.get("content"), delta.get("refusal")
        self._take_text("text", content if isinstance(content, str) else "", logprobs.get("content"), events)
        if isinstance(content, list):
            for entry in cast("list[Any]", content):
                self._take_part(read_part(entry), events)
        self._take_text(
            "refusal", refusal if isinstance(refusal, str) else "", logprobs.get("refusal"), events
        )
        calls, legacy, audio = delta.get("tool_calls"), delta.get("function_call"), delta.get("audio")
        for entry in cast("list[Any]", calls) if isinstance(calls, list) else ():
            piece = call_piece(entry)
            if piece is not None:
                self._take_call(piece, events)
        if isinstance(legacy, dict):
            self._take_call(
                call_piece({"index": 0, "function": legacy}) or CallPiece(), events, {"wire": "function_call"}
            )
        if isinstance(audio, dict):
            self._take_audio(cast("dict[str, Any]", audio), events)
        if not delta.keys() <= _DELTA_FIELDS:
            more = {
                name: value
                for name, value in delta.items()
                if name not in _DELTA_FIELDS and value is not None
            }
            self._rest = joined_extra(self._rest, more)

    def _take_text(self, kind: str, text: str, tokens: Any, events: list[StreamEvent]) -> None:
        """A piece of text or of a refusal, with the log probabilities of its tokens."""
        if isinstance(tokens, list) and tokens:
            if text or (self._open is not None and self._open[0] == kind):
                self._say(kind, text, events, {"logprobs": tokens})
                return
            name = "content" if kind == "text" else kind
            self._beside = joined_extra(self._beside, {"logprobs": {name: tokens}})
        if text:
            self._say(kind, text, events)

    def _say(self, kind: str, text: str, events: list[StreamEvent], extra: Extra | None = None) -> None:
        """More of a text, thought or refusal; the beginning of one where another was being said."""
        if self._open is None or self._open[0] != kind:
            self._close(events)
            self._begin(kind, TextPart("") if kind == "text" else RefusalPart(""), events)
        assert self._open is not None  # noqa: S101 - just begun
        events.append(PartDelta(self.index, self._open[1], text, extra))

    def _begin(self, kind: str, part: Part, events: list[StreamEvent]) -> None:
        self._open = (kind, self._start(part, events))
        self._said, self._details, self._thought_wire = "", None, {}

    def _start(self, part: Part, events: list[StreamEvent]) -> int:
        place = self._parts
        self._parts += 1
        events.append(PartStarted(self.index, place, part))
        return place

    def _close(self, events: list[StreamEvent]) -> None:
        """End the text that is being said and the calls whose arguments are whole."""
        if self._open is not None:
            events.append(
                PartEnded(
                    self.index, self._open[1], {"wire": self._thought_wire} if self._thought_wire else None
                )
            )
            self._open, self._thought_wire = None, {}
        for call in self.calls:
            if not call.ended and isinstance(arguments_of(call.arguments), dict):
                self._end_call(call, events)

    def _whole(self, part: Part, events: list[StreamEvent]) -> None:
        self._close(events)
        events.append(PartEnded(self.index, self._start(part, events)))

    def _take_part(self, part: Part, events: list[StreamEvent]) -> None:
        """An entry of a `content` that comes as a list: Mistral's."""
        if isinstance(part, TextPart) and part.extra is None:
            if part.content:
                self._say("text", part.content, events)
        elif isinstance(part, ReasoningPart):
            self._think(part.content, "content", events)
        else:
            self._whole(part, events)

    # thoughts

    def _take_thought(self, delta: dict[str, Any], events: list[StreamEvent]) -> None:
        plain, field = "", "details"
        for name in ("reasoning", "reasoning_content"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                field = "both" if text == plain else name
                plain = text
        if plain:
            self._think(plain, field, events)
        details = delta.get("reasoning_details")
        for entry in cast("list[Any]", details) if isinstance(details, list) else ():
            part = read_entry(entry, _dict(entry).get("index"))
            if part is None:
                self._rest = joined_extra(self._rest, {"reasoning_details": [entry]})
            else:
                self._take_entry(part, _dict(entry).get("index"), events, repeated=bool(plain))

    def _think(self, text: str, field: str, events: list[StreamEvent]) -> None:
        if self._open is None or self._open[0] != "reasoning":
            self._begin_thought(field, events)
        self._said += text
        assert self._open is not None  # noqa: S101 - just begun
        events.append(PartDelta(self.index, self._open[1], text))

    def _begin_thought(self, field: str, events: list[StreamEvent]) -> None:
        self._close(events)
        told = field == "content" or (not self._thoughts and field != "reasoning_content")
        self._begin(
            "reasoning", ReasoningPart("", extra={"wire": {"field": field}} if told else None), events
        )
        self._thoughts += 1

    def _take_entry(
        self, part: ReasoningPart, number: Any, events: list[StreamEvent], *, repeated: bool
    ) -> None:
        """A piece of `reasoning_details`. Its text often stands in `reasoning` too, in the same chunk or before."""
        wire = dict(wire_of(part.extra))
        if wire.get("type") == "reasoning.text":
            del wire["type"]  # a piece without proof is no entry without one
        text, open_ = part.content, self._open is not None and self._open[0] == "reasoning"
        if open_ and self._details is not None and number != self._details and not repeated:
            self._close(events)
            open_ = False
        if part.signature and not text and wire.get("type") is None and not open_:
            self._begin_thought("reasoning_content", events)  # one that the provider keeps to itself
        ends = bool(part.signature)
        if text and not repeated:
            if open_ and self._said.endswith(text):
                ends = True  # said already: the entry tells where the thought ends
            else:
                self._think(text, "details", events)
                if not self._thought_wire:
                    self._thought_wire["type"] = wire.get("type", "reasoning.text")
        if self._open is None or self._open[0] != "reasoning":
            return
        self._details = number
        self._thought_wire.update(wire)
        if part.signature:
            if self._thought_wire.get("type") == "reasoning.text":
                del self._thought_wire["type"]
            events.append(SignatureDelta(self.index, self._open[1], part.signature, part.origin or ""))
        if ends:
            self._close(events)

    # calls

    def _take_call(self, piece: CallPiece, events: list[StreamEvent], extra: Extra | None = None) -> None:
        call = call_at(self.calls, piece.index, piece.id)
        if call is None:
            for earlier in self.calls:
                self._begin_call(earlier, events)
            self._close(events)
            call = _Call(piece.index)
            self.calls.append(call)
        if call.ended:
            return  # its arguments are whole: what comes now can only break them
        if piece.id and not call.id:
            call.id = piece.id
        # A name that is repeated in later pieces is the same name; one that comes in pieces is joined.
        if piece.name and piece.name != call.name and call.part is None:
            call.name += piece.name
        call.extra = joined_extra(call.extra, joined_extra(extra, piece.extra))
        if piece.arguments:
            self._begin_call(call, events)
            call.arguments += piece.arguments
            events.append(PartDelta(self.index, cast("int", call.part), piece.arguments))
        if piece.signature is not None:
            call.waiting.append(piece.signature)
            if call.part is not None:
                self._prove(call, events)

    def _begin_call(self, call: _Call, events: list[StreamEvent]) -> None:
        if call.part is not None:
            return
        if self._open is not None:
            self._close(events)
        call.part = self._start(ToolCallPart(call.id, call.name, "", None, None, call.extra), events)
        call.extra = None
        self._prove(call, events)

    def _prove(self, call: _Call, events: list[StreamEvent]) -> None:
        for signature, origin in call.waiting:
            events.append(SignatureDelta(self.index, cast("int", call.part), signature, origin))
        call.waiting.clear()

    def _end_call(self, call: _Call, events: list[StreamEvent]) -> None:
        self._begin_call(call, events)
        call.ended = True
        events.append(PartEnded(self.index, cast("int", call.part), call.extra))

    # sound

    def _take_audio(self, audio: dict[str, Any], events: list[StreamEvent]) -> None:
        """Sound and its transcript come side by side, each a part of its own."""
        data, transcript = audio.get("data"), audio.get("transcript")
        if isinstance(transcript, str) and transcript:
            if self._transcript is None:
                self._transcript = self._start(TextPart("", {"wire": "transcript"}), events)
            events.append(PartDelta(self.index, self._transcript, transcript))
        if isinstance(data, str) and data:
            if self._sound is None:
                self._sound = self._start(BlobPart("audio", "", extra={"wire": "audio"}), events)
            events.append(PartDelta(self.index, self._sound, data))
        self._audio.update(
            (name, value) for name, value in audio.items() if name not in ("data", "transcript")
        )

    # the end

    def end(self, events: list[StreamEvent]) -> Extra | None:
        """End whatever is open. What was said beside the content is the answer, for the message's `extra`."""
        for call in self.calls:
            self._begin_call(call, events)
        self._close(events)
        for call in self.calls:
            if not call.ended:
                self._end_call(call, events)
        if self._transcript is not None:
            events.append(PartEnded(self.index, self._transcript))
        if self._sound is not None:
            events.append(PartEnded(self.index, self._sound, {"audio": self._audio}))
        elif self._audio:
            self._whole(GenericPart("audio", self._audio), events)
        return joined_extra(self._rest, {"choice": self._beside} if self._beside else None)


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
