"""A stream of the Responses API, as neutral events.

Each summary, thought, text and refusal of an item is a part. What belongs to the whole item stands with its last part,
and which one that is shows only when the item ends: so a part ends when the next begins, or its item ends. The item as
its end tells it is what counts: what of it the deltas left out is sent on then.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.openai_responses.answer import answer_of
from ratchet.dialects.openai_responses.reading import call_text, read_item
from ratchet.dialects.openai_responses.words import CALLS, finish_reason, rest_of, wire_of
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
from ratchet.domain.messages import Extra, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart

__all__ = ["StreamReader"]

# event: (the kind of the part that it is about, the field that counts those parts)
_DELTAS = {
    "response.output_text.delta": ("output_text", "content_index"),
    "response.refusal.delta": ("refusal", "content_index"),
    "response.reasoning_text.delta": ("reasoning_text", "content_index"),
    "response.reasoning_summary_text.delta": ("summary_text", "summary_index"),
    "response.function_call_arguments.delta": ("call", ""),
    "response.custom_tool_call_input.delta": ("call", ""),
}
_PARTS = {
    "response.content_part.added": "content_index",
    "response.content_part.done": "content_index",
    "response.reasoning_summary_part.added": "summary_index",
}
_BEGUN: dict[str, Part] = {
    "output_text": TextPart(""),
    "refusal": RefusalPart(""),
    "reasoning_text": ReasoningPart("", extra={"wire": {"raw": True}}),
    "summary_text": ReasoningPart(""),
}
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


class _Open:
    """A part that has begun. `said` is its text so far, `told` its own fields as far as they are known."""

    __slots__ = ("ended", "index", "key", "kind", "said", "told")

    def __init__(self, index: int, key: tuple[str, int], kind: str) -> None:
        self.index, self.key, self.kind = index, key, kind
        self.said: list[str] = []
        self.told: Extra = {}
        self.ended = False


class _Item:
    """An output item that has begun, and its parts so far."""

    __slots__ = ("known", "parts")

    def __init__(self, known: str | None) -> None:
        self.known = known
        self.parts: list[_Open] = []


class StreamReader:
    """Feed it each chunk; the same events come out however the bytes were cut."""

    def __init__(self) -> None:
        self._events = EventStream()
        self._items: dict[int, _Item] = {}
        self._kinds: dict[int, str | None] = {}  # of the items that have ended
        self._parts = 0
        self._started = False
        self._failed = False

    def feed(self, chunk: bytes, most: int | None = None) -> list[StreamEvent]:
        return self._read(self._events.feed(chunk)[:most])

    def finish(self) -> list[StreamEvent]:
        return self._read(self._events.finish())

    def _read(self, blocks: list[bytes]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for data in blocks:
            event = decode_object(data)  # None for `[DONE]`, which some servers send
            if event is not None:
                self._take(event, events)
        return events

    def _take(self, event: dict[str, Any], events: list[StreamEvent]) -> None:
        kind = event.get("type")
        if not isinstance(kind, str):
            return
        response: Any = event.get("response")
        if isinstance(response, dict) and not self._started:
            self._started = True
            events.append(_started(cast("dict[str, Any]", response)))
        if kind in _DELTAS:
            self._delta(event, *_DELTAS[kind], events)
        elif kind in _PARTS:
            self._part(event, _PARTS[kind], events)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._item(event, events)
        elif kind in _LAST and isinstance(response, dict):
            self._end(kind, cast("dict[str, Any]", response), events)
        elif kind == "error":
            told = event.get("error")
            self._fail(cast("dict[str, Any]", told) if isinstance(told, dict) else event, events)

    def _delta(self, event: dict[str, Any], kind: str, counted: str, events: list[StreamEvent]) -> None:
        text, item = event.get("delta"), self._open_item(event)
        key = (counted, _number(event, counted)) if counted else ("", 0)
        part = self._open_part(item, key, kind, events)
        if isinstance(text, str) and text and part is not None and not part.ended:
            part.said.append(text)
            events.append(PartDelta(0, part.index, text))

    def _part(self, event: dict[str, Any], counted: str, events: list[StreamEvent]) -> None:
        told = event.get("part")
        if not isinstance(told, dict):
            return
        fields = cast("dict[str, Any]", told)
        key, kind = (counted, _number(event, counted)), fields.get("type")
        part = self._open_part(self._open_item(event), key, kind if isinstance(kind, str) else "", events)
        if part is not None and part.kind in ("output_text", "refusal"):
            part.told = rest_of(fields, "type", "text", "refusal")

    def _open_item(self, event: dict[str, Any]) -> _Item:
        position, known = _number(event, "output_index"), event.get("item_id")
        if position not in self._items:
            self._items[position] = _Item(known if isinstance(known, str) else None)
        return self._items[position]

    def _open_part(
        self, item: _Item, key: tuple[str, int], kind: str, events: list[StreamEvent]
    ) -> _Open | None:
        """The part under this key; begun, where it is new. None where there is no such kind of part."""
        for part in item.parts:
            if part.key == key:
                return part
        begun = _BEGUN.get(kind)
        return None if begun is None else self._begin(item, key, kind, begun, events)

    def _begin(
        self, item: _Item, key: tuple[str, int], kind: str, begun: Part, events: list[StreamEvent]
    ) -> _Open:
        if item.parts and not item.parts[-1].ended:  # the item goes on with another part
            last = item.parts[-1]
            last.ended = True
            known = {} if item.known is None else {"id": item.known}
            events.append(PartEnded(0, last.index, {**last.told, **known, "wire": {"more": True}}))
        part = _Open(self._parts, key, kind)
        self._parts += 1
        item.parts.append(part)
        if item.known is not None:
            begun = _with_extra(begun, {"id": item.known})
        events.append(PartStarted(0, part.index, begun))
        return part

    def _item(self, event: dict[str, Any], events: list[StreamEvent]) -> None:
        told = event.get("item")
        if not isinstance(told, dict):
            return
        item, position = cast("dict[str, Any]", told), _number(event, "output_index")
        if event["type"] == "response.output_item.done":
            self._end_item(position, item, events)
            return
        known = item.get("id")
        opened = self._items[position] = _Item(known if isinstance(known, str) else None)
        if str(item.get("type")) not in CALLS:
            return
        for part in read_item(item):
            if isinstance(part, ToolCallPart):
                extra = {"type": item["type"]} if item["type"] != "function_call" else None
                begun = ToolCallPart(part.id, part.name, "", extra=extra)
                self._begin(opened, ("", 0), "call", begun, events)

    def _end_item(self, position: int, item: dict[str, Any], events: list[StreamEvent]) -> None:
        if position in self._kinds:
            return
        kind = item.get("type")
        self._kinds[position] = kind if isinstance(kind, str) else None
        opened = self._items.setdefault(position, _Item(None))
        whole = read_item(item)
        for number, part in enumerate(whole):
            if number < len(opened.parts):
                known = opened.parts[number]
            else:
                known = _Open(self._parts, ("", number), "")
                self._parts += 1
                opened.parts.append(known)
                events.append(PartStarted(0, known.index, _emptied(part)))
            if not known.ended:
                known.ended = True
                _finish(known, part, events)
        for known in opened.parts[len(whole) :]:
            if not known.ended:
                known.ended = True
                events.append(PartEnded(0, known.index))

    def _end(self, kind: str, response: dict[str, Any], events: list[StreamEvent]) -> None:
        output = response.get("output")
        for position, item in enumerate(cast("list[Any]", output) if isinstance(output, list) else ()):
            if isinstance(item, dict):
                self._end_item(position, cast("dict[str, Any]", item), events)
        for opened in self._items.values():
            for part in opened.parts:
                if not part.ended:
                    part.ended = True
                    events.append(PartEnded(0, part.index))
        answer = answer_of(response)
        events.append(UsageReported(answer.usage))
        reason = answer.choices[0].finish_reason
        if not output:  # some servers leave the items out here
            reason = finish_reason("completed", None, self._kinds.values()) if reason == "stop" else reason
        events.append(ChoiceEnded(0, reason or "error" if kind == "response.failed" else reason or "stop"))
        if kind == "response.failed":
            told = response.get("error")
            self._fail(cast("dict[str, Any]", told) if isinstance(told, dict) else {}, events)
            return
        events.append(StreamEnded(extra=answer.extra, service_tier=answer.service_tier))

    def _fail(self, told: dict[str, Any], events: list[StreamEvent]) -> None:
        if self._failed:
            return
        self._failed = True
        message, code = told.get("message"), told.get("code")
        events.append(
            StreamFailed(
                message if isinstance(message, str) and message else "The response failed.",
                code if isinstance(code, str) else None,
            )
        )


def _started(response: dict[str, Any]) -> StreamStarted:
    answer = answer_of(response)
    return StreamStarted(
        id=answer.id,
        model=answer.model,
        created=answer.created,
        service_tier=answer.service_tier,
        extra={"object": response["object"]} if "object" in response else None,
    )


def _finish(known: _Open, part: Part, events: list[StreamEvent]) -> None:
    """What the deltas of a part left out, its proof, its end."""
    said, text = "".join(known.said), _text_of(part)
    if len(text) > len(said) and text.startswith(said):
        events.append(PartDelta(0, known.index, text[len(said) :]))
    if isinstance(part, ReasoningPart) and part.signature and part.origin:
        events.append(SignatureDelta(0, known.index, part.signature, part.origin))
    events.append(PartEnded(0, known.index, getattr(part, "extra", None)))


def _text_of(part: Part) -> str:
    if isinstance(part, ToolCallPart):
        raw = wire_of(part.extra).get("text")
        return raw if isinstance(raw, str) else call_text(part.arguments)
    return part.content if isinstance(part, TextPart | RefusalPart | ReasoningPart) else ""


def _emptied(part: Part) -> Part:
    """A part as it begins: all but its text, its proof and what its end tells."""
    if isinstance(part, ReasoningPart):
        raw = {"wire": {"raw": True}} if wire_of(part.extra).get("raw") else None
        return ReasoningPart("", extra=_known(part.extra, raw))
    if isinstance(part, ToolCallPart):
        custom = {"type": part.extra["type"]} if part.extra and "type" in part.extra else None
        return ToolCallPart(part.id, part.name, "", extra=_known(part.extra, custom))
    if isinstance(part, TextPart | RefusalPart):
        return type(part)("", _known(part.extra, None))
    return part


def _known(extra: Extra | None, more: Extra | None) -> Extra | None:
    return {**({"id": extra["id"]} if extra and "id" in extra else {}), **(more or {})} or None


def _with_extra(part: Part, more: Extra) -> Part:
    return msgspec.structs.replace(part, extra={**(getattr(part, "extra", None) or {}), **more})


def _number(event: dict[str, Any], name: str) -> int:
    value = event.get(name)
    return value if isinstance(value, int) else 0
