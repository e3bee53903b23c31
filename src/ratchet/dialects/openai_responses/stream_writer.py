"""Neutral events, as a stream of the Responses API: every event that the API itself would send, in its order.

A text, a thought or a call is an output item, and texts that follow one another are parts of one message. An item is
closed when the next has begun and its own parts have ended, or when the answer ends: only then is it known whether it
was cut short. The last event repeats the whole response.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.dialects.folded import Folding
from ratchet.dialects.openai_responses.answer import (
    INCOMPLETE,
    begun,
    item_id,
    output_item,
    response_fields,
    response_id,
)
from ratchet.dialects.openai_responses.reading import call_text
from ratchet.dialects.openai_responses.words import CALLS, NAME, wire_of
from ratchet.dialects.openai_responses.writing import proof_of_call
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
)
from ratchet.domain.messages import GenericPart, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart

__all__ = ["StreamWriter"]

_encoder = msgspec.json.Encoder()


class _Slot:
    """A part being written: its item, its place in it, and the text so far. `shown`: its beginning has been sent."""

    __slots__ = ("ended", "index", "item", "part", "place", "said", "shown")

    def __init__(self, index: int, part: Part, item: _Item) -> None:
        self.index, self.part, self.item = index, part, item
        self.place = len(item.slots)
        self.said: list[str] = []
        self.shown = False
        self.ended = False


class _Item:
    __slots__ = ("closed", "key", "kind", "known", "more", "position", "slots")

    def __init__(self, kind: str, key: str, known: str, position: int) -> None:
        self.kind, self.key, self.known, self.position = kind, key, known, position
        self.slots: list[_Slot] = []
        self.more = False  # the next part of its kind belongs to it, too
        self.closed = False


class StreamWriter:
    """Writes the answer to one request. Everything but the first choice is left out."""

    def __init__(self, asked: Request) -> None:
        self._asked = asked
        self._own = False  # whether the events were read from a stream of this dialect
        self._folding = Folding("")
        self._id = ""
        self._number = 0
        self._items: list[_Item] = []
        self._output: dict[int, dict[str, Any]] = {}
        self._slots: dict[int, _Slot] = {}
        # A call that waits for one event more: its proof, which stands before it, may be that.
        self._held: tuple[int, ToolCallPart] | None = None
        self._reason: str | None = None
        self._begun = False
        self._over = False

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send on this event: none, one or more whole SSE events."""
        if self._over:
            return b""
        if not self._begun:
            start = event if isinstance(event, StreamStarted) else StreamStarted(id="", model="")
            out = self._begin(start)
        else:
            out = []
        self._folding.take(event)
        if self._held is not None:
            self._begin_call(*self._held, event, out)
        match event:
            case PartStarted(choice=0, index=index, part=ToolCallPart() as call) if not self._own:
                self._held = index, call
            case PartStarted(choice=0, index=index, part=part):
                self._start(index, part, out)
            case PartDelta(choice=0, index=index, text=text, extra=extra) if index in self._slots:
                self._more(self._slots[index], text, out, (extra or {}).get("logprobs"))
            case PartEnded(choice=0, index=index) if index in self._slots:
                self._end_part(self._slots[index], out)
            case ChoiceEnded(choice=0, finish_reason=reason):
                self._reason = reason
                self._close_all(out)
            case StreamEnded():
                self._close_all(out)
                self._finish(out)
            case StreamFailed(message=message, code=code):
                self._fail(message, code, out)
            case _:
                pass  # a proof, token counts: told with the item and at the end
        return b"".join(out)

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + _encoder.encode(data) + b"\n\n"

    def _begin(self, start: StreamStarted) -> list[bytes]:
        self._begun = True
        self._own = (start.extra or {}).get("object") == "response"
        self._folding = Folding(NAME if self._own else "")
        self._id = start.id if self._own else response_id(start.id)
        response = begun(self._id, start.model, start.created, self._asked, start.service_tier)
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
        ]

    def _begin_call(self, index: int, call: ToolCallPart, event: StreamEvent, out: list[bytes]) -> None:
        """A call of another dialect, after the empty thought that holds its proof: what it came with, or `event`."""
        self._held = None
        signed = call
        if isinstance(event, SignatureDelta) and event.index == index and event.choice == 0:
            signed = msgspec.structs.replace(call, signature=event.signature, origin=event.origin)
        for proof in proof_of_call(signed, own=False):
            last = self._items[-1] if self._items else None
            if last is not None and all(slot.ended for slot in last.slots):
                self._close(last, out)
            self._close(self._open("reasoning", "rs", proof, out), out, [proof])
        self._start(index, call, out)

    def _start(self, index: int, part: Part, out: list[bytes]) -> None:
        kind, key = _kind_of(part, own=self._own)
        if not kind:
            return  # the API has no word for it
        last = self._items[-1] if self._items else None
        if last is not None and last.kind == kind and last.more and not last.closed:
            item = last
        else:
            if last is not None and all(slot.ended for slot in last.slots):
                self._close(last, out)
            item = self._open(kind, key, part, out)
        slot = self._slots[index] = _Slot(index, part, item)
        item.slots.append(slot)
        item.more = kind == "message" and not self._own
        if kind == "message":
            self._show(slot, out)
        begun_text = part.content if isinstance(part, TextPart | RefusalPart | ReasoningPart) else ""
        if isinstance(part, ToolCallPart) and part.arguments not in (None, ""):
            begun_text = call_text(part.arguments)
        self._more(slot, begun_text, out)

    def _open(self, kind: str, key: str, part: Part, out: list[bytes]) -> _Item:
        position = len(self._items)
        extra: dict[str, Any] = (getattr(part, "extra", None) if self._own else None) or {}
        item = _Item(kind, key, extra.get("id") or item_id(key, self._id, position), position)
        self._items.append(item)
        added: dict[str, Any] = {"id": item.known, "type": kind}
        match part:
            case GenericPart(value=value):
                added = value
            case ToolCallPart(id=call_id, name=name):
                call_id = call_id or item_id("call", self._id, position)
                added |= {"status": "in_progress", CALLS[kind]: "", "call_id": call_id, "name": name}
            case ReasoningPart():
                added["summary"] = []
            case _:
                added |= {"status": "in_progress", "role": "assistant", "content": []}
        out.append(self._event("response.output_item.added", output_index=position, item=added))
        return item

    def _at(self, slot: _Slot) -> dict[str, Any]:
        """Where in the response a part stands."""
        at: dict[str, Any] = {"item_id": slot.item.known, "output_index": slot.item.position}
        match slot.part:
            case ReasoningPart() if not self._raw(slot.part):
                at["summary_index"] = self._place(slot)
            case ReasoningPart() | TextPart() | RefusalPart():
                at["content_index"] = self._place(slot)
            case _:
                pass
        return at

    def _raw(self, part: Part) -> bool:
        """Whether a thought is the model's own words, and not a summary of them."""
        return self._own and isinstance(part, ReasoningPart) and bool(wire_of(part.extra).get("raw"))

    def _place(self, slot: _Slot) -> int:
        """Among the parts of its kind in its item."""
        return sum(self._raw(other.part) == self._raw(slot.part) for other in slot.item.slots[: slot.place])

    def _show(self, slot: _Slot, out: list[bytes]) -> None:
        """The beginning of a part; of a thought only once there is something of it to see."""
        if slot.shown:
            return
        slot.shown = True
        match slot.part:
            case ReasoningPart() if not self._raw(slot.part):
                part = {"type": "summary_text", "text": ""}
                out.append(self._event("response.reasoning_summary_part.added", **self._at(slot), part=part))
            case ReasoningPart() | TextPart() | RefusalPart():
                part = _content(slot.part, "")
                out.append(self._event("response.content_part.added", **self._at(slot), part=part))
            case _:
                pass

    def _more(self, slot: _Slot, text: str, out: list[bytes], tokens: Any = None) -> None:
        if not text:
            return
        self._show(slot, out)
        slot.said.append(text)
        more: dict[str, Any] = {**self._at(slot), "delta": text}
        match slot.part:
            case TextPart():
                out.append(self._event("response.output_text.delta", **more, logprobs=tokens or []))
            case RefusalPart():
                out.append(self._event("response.refusal.delta", **more))
            case ReasoningPart():
                named = "reasoning_text" if self._raw(slot.part) else "reasoning_summary_text"
                out.append(self._event(f"response.{named}.delta", **more))
            case ToolCallPart():
                named = (
                    "function_call_arguments"
                    if slot.item.kind == "function_call"
                    else "custom_tool_call_input"
                )
                out.append(self._event(f"response.{named}.delta", **more))
            case _:
                pass

    def _end_part(self, slot: _Slot, out: list[bytes]) -> None:
        if slot.ended:
            return
        slot.ended = True
        part = self._folded(slot)
        wire = wire_of(getattr(part, "extra", None)) if self._own else {}
        slot.item.more = bool(wire.get("more")) if self._own else slot.item.more
        if wire.get("more") or wire.get("empty"):
            self._show(slot, out)
        if isinstance(part, ToolCallPart) and not slot.said:
            self._more(slot, call_text(part.arguments), out)
        text, at = "".join(slot.said), self._at(slot)
        match part:
            case TextPart():
                whole = self._written(slot, part)
                for number, annotation in enumerate(whole["annotations"]):
                    told = {"annotation_index": number, "annotation": annotation}
                    out.append(self._event("response.output_text.annotation.added", **at, **told))
                out.append(
                    self._event("response.output_text.done", **at, text=text, logprobs=whole["logprobs"])
                )
                out.append(self._event("response.content_part.done", **at, part=whole))
            case RefusalPart():
                out.append(self._event("response.refusal.done", **at, refusal=text))
                out.append(self._event("response.content_part.done", **at, part=_content(part, text)))
            case ReasoningPart() if slot.shown and self._raw(slot.part):
                out.append(self._event("response.reasoning_text.done", **at, text=text))
                out.append(self._event("response.content_part.done", **at, part=_content(part, text)))
            case ReasoningPart() if slot.shown:
                told = {"type": "summary_text", "text": text}
                out.append(self._event("response.reasoning_summary_text.done", **at, text=text))
                out.append(self._event("response.reasoning_summary_part.done", **at, part=told))
            case ToolCallPart(name=name) if slot.item.kind == "function_call":
                out.append(
                    self._event("response.function_call_arguments.done", **at, name=name, arguments=text)
                )
            case ToolCallPart():
                out.append(self._event("response.custom_tool_call_input.done", **at, input=text))
            case _:
                pass
        if slot.item is not self._items[-1] and all(other.ended for other in slot.item.slots):
            self._close(slot.item, out)

    def _written(self, slot: _Slot, part: TextPart) -> dict[str, Any]:
        """A text as its item will have it."""
        item = output_item([part], self._id, slot.item.position, own=self._own) or {}
        return {"annotations": [], "logprobs": [], **item["content"][0]}

    def _folded(self, slot: _Slot) -> Part:
        """The part as far as it is known: whole, once it has ended."""
        return self._folding.part(0, slot.index) or slot.part

    def _close(self, item: _Item, out: list[bytes], parts: list[Part] | None = None) -> None:
        """`parts`: what the item says, where that is no part of the stream's own."""
        if item.closed:
            return
        item.closed = True
        run = [self._folded(slot) for slot in item.slots] if parts is None else parts
        whole = output_item(run, self._id, item.position, own=self._own) or {}
        if item.kind in CALLS and not self._own:
            whole[CALLS[item.kind]] = "".join(item.slots[0].said)  # as it was sent, to the letter
        if self._reason in INCOMPLETE and not self._own and item is self._items[-1] and "status" in whole:
            whole["status"] = "incomplete"
        self._output[item.position] = whole
        out.append(self._event("response.output_item.done", output_index=item.position, item=whole))

    def _close_all(self, out: list[bytes]) -> None:
        for item in self._items:
            for slot in item.slots:
                self._end_part(slot, out)
            self._close(item, out)

    def _finish(self, out: list[bytes]) -> None:
        self._over = True
        output = [item for _, item in sorted(self._output.items())]
        response = response_fields(self._folding.answer(), self._asked, output)
        out.append(self._event(f"response.{response['status']}", response=response))

    def _fail(self, message: str, code: str | None, out: list[bytes]) -> None:
        self._over = True
        output = [item for _, item in sorted(self._output.items())]
        response = response_fields(self._folding.answer(), self._asked, output)
        failed = {
            "status": "failed",
            "incomplete_details": None,
            "error": {"code": code or "server_error", "message": message},
        }
        out.append(self._event("response.failed", response={**response, **failed}))


def _kind_of(part: Part, *, own: bool) -> tuple[str, str]:
    """(type of the item that says this part, what its id begins with)"""
    match part:
        case TextPart() | RefusalPart():
            return "message", "msg"
        case ReasoningPart():
            return "reasoning", "rs"
        case ToolCallPart(extra=extra):
            return (extra or {}).get("type", "function_call") if own else "function_call", "fc"
        case GenericPart(name=name) if own:
            return name, "item"
        case _:
            return "", ""


def _content(part: Part, text: str) -> dict[str, Any]:
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": text}
    if isinstance(part, ReasoningPart):
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
