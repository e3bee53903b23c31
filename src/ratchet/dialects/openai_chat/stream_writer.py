"""Neutral events, as a stream of chat completion chunks.

Events that were read from such a stream are known by their `object`, and written with all that stood beside; of any
other stream, what a chat completion has no word for is left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.dialects.openai_chat.answer import (
    CHUNK,
    call_of,
    citations_of,
    image_entry,
    plain_thought,
    wants_function_call,
    wire_reason,
    write_usage,
)
from ratchet.dialects.openai_chat.thoughts import wire_of, write_entry
from ratchet.dialects.openai_chat.writing import (
    arguments_text,
    call_signature,
    write_call,
    write_content_entry,
)
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
    BlobPart,
    Extra,
    GenericPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    UriPart,
)
from ratchet.domain.usage import Usage

__all__ = ["StreamWriter", "stream_writer"]

_encoder = msgspec.json.Encoder()
_FIRST: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}


def stream_writer(asked: Request) -> StreamWriter:
    """A writer for the stream that answers `asked`."""
    return StreamWriter(asked)


class _Part:
    """A part being written. `number` counts calls, thoughts or pictures of its choice."""

    __slots__ = ("field", "number", "origin", "part", "signature", "text")

    def __init__(self, part: Part, number: int, field: str = "") -> None:
        self.part = part
        self.number = number
        self.field = field  # the delta's, for a text
        self.text = ""
        self.signature = ""
        self.origin: str | None = None


class _Choice:
    __slots__ = ("calls", "field", "images", "length", "parts", "thought", "thoughts")

    def __init__(self) -> None:
        self.parts: dict[int, _Part] = {}
        self.calls = self.thoughts = self.images = 0
        self.length = 0  # of the text so far
        self.thought: _Part | None = None  # the last one, while nothing marks its end
        self.field = "reasoning_content"


class StreamWriter:
    """Hand it each event; send what it gives back."""

    def __init__(self, asked: Request) -> None:
        self._show_usage = asked.include_usage
        self._legacy = wants_function_call(asked)
        self._own = False
        self._head: dict[str, Any] = {"id": "", "object": CHUNK, "created": 0, "model": ""}
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None

    def write(self, event: StreamEvent) -> bytes:  # noqa: PLR0911 - one for each kind of event
        match event:
            case PartDelta():
                return self._delta(event)
            case PartStarted(choice, index, part):
                return self._started(choice, index, part)
            case SignatureDelta(choice, index, signature, origin):
                held = self._choice(choice).parts.get(index)
                if held is not None:
                    held.signature += signature
                    held.origin = origin
                return b""
            case PartEnded(choice, index, extra):
                return self._ended(choice, index, extra)
            case ChoiceEnded(choice, finish_reason, extra):
                return self._choice_ended(choice, finish_reason, extra)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case StreamStarted():
                return self._begin(event)
            case StreamFailed(message, code):
                error = {"message": message, "type": "upstream_error", "param": None, "code": code}
                return b"data: " + _encoder.encode({"error": error}) + b"\n\n"
            case StreamEnded(extra):
                return self._end(extra)

    def _begin(self, event: StreamStarted) -> bytes:
        extra = event.extra or {}
        self._own = extra.get("object") == CHUNK
        self._head = {"id": event.id, "object": CHUNK, "created": event.created or 0, "model": event.model}
        if event.service_tier is not None:
            self._head["service_tier"] = event.service_tier
        if self._own:
            self._head.update(extra)
        self._usage = event.usage
        return b""

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        *,
        reason: str | None = None,
        logprobs: Any = None,
        beside: dict[str, Any] | None = None,
    ) -> bytes:
        begun = b""
        if choice not in self._choices:
            self._choices[choice] = _Choice()
            begun = self._chunk(choice, _FIRST)
        said: dict[str, Any] = {
            "index": choice,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": reason,
        }
        if beside:
            said.update(beside)
        return begun + self._event([said])

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        # OpenAI says so in every chunk but the last, where counts were asked for.
        usage = {"usage": None} if self._show_usage else {}
        return b"data: " + _encoder.encode({**self._head, "choices": choices, **usage, **more}) + b"\n\n"

    def _choice(self, choice: int) -> _Choice:
        known = self._choices.get(choice)
        return known if known is not None else _Choice()

    def _started(self, choice: int, index: int, part: Part) -> bytes:
        written = b""
        if choice not in self._choices:
            self._choices[choice] = _Choice()
            written = self._chunk(
                choice, _FIRST if isinstance(part, TextPart) else {**_FIRST, "content": None}
            )
        state = self._choices[choice]
        if not self._own and isinstance(part, ReasoningPart):
            part = plain_thought(part)
        held = state.parts[index] = _Part(part, 0)
        match part:
            case TextPart(content=text, extra=extra):
                held.field = (
                    "transcript" if self._own and (extra or {}).get("wire") == "transcript" else "content"
                )
                return written + self._text(choice, held, text, extra)
            case RefusalPart(content=text, extra=extra):
                held.field = "refusal"
                return written + self._text(choice, held, text, extra)
            case ReasoningPart(content=text):
                return written + self._thought(choice, state, held, text)
            case ToolCallPart():
                return written + self._call(choice, state, held, part)
            case _:
                return written + self._other(choice, state, held, part)

    def _delta(self, event: PartDelta) -> bytes:
        choice = event.choice
        held = self._choice(choice).parts.get(event.index)
        if held is None:
            return b""
        if isinstance(held.part, ToolCallPart):
            held.text += event.text
            return self._chunk(choice, self._arguments(held, event.text)) if event.text else b""
        return self._text(choice, held, event.text, event.extra)

    def _text(self, choice: int, held: _Part, text: str, extra: Extra | None) -> bytes:
        """More of a text, a thought, a refusal or sound."""
        state, field = self._choices[choice], held.field
        tokens = (extra or {}).get("logprobs")
        cited: list[Any] = [] if self._own else citations_of(extra, state.length)
        delta: dict[str, Any] = {}
        if text:
            held.text += text
            if field == "content":
                state.length += len(text)
            if field in ("transcript", "data"):
                delta["audio"] = {field: text}
            elif field == "thinking":
                delta["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]
            elif field == "both":
                delta["reasoning"] = delta["reasoning_content"] = text
            elif field:
                delta[field] = text
        if cited:
            delta["annotations"] = cited
        if tokens and field in ("content", "refusal"):
            other = "refusal" if field == "content" else "content"
            return self._chunk(choice, delta, logprobs={field: tokens, other: None})
        return self._chunk(choice, delta) if delta else b""

    # thoughts

    def _thought(self, choice: int, state: _Choice, held: _Part, text: str) -> bytes:
        field = wire_of(getattr(held.part, "extra", None)).get("field")
        if field == "content":
            held.field = "thinking"
            return self._text(choice, held, text, None)
        written = b""
        if state.thought is not None:  # the one before: nothing else would tell where it ends
            written = self._entry(choice, state.thought)
        if field is not None:
            state.field = field
        held.field = "" if state.field == "details" else state.field
        held.number = state.thoughts
        state.thoughts += 1
        state.thought = held
        return written + self._text(choice, held, text, None)

    def _thought_ended(self, choice: int, held: _Part, extra: Extra | None) -> bytes:
        part = held.part
        assert isinstance(part, ReasoningPart)  # noqa: S101 - the only kind that comes here
        if self._own and extra:
            wire = {**wire_of(part.extra), **wire_of(extra)}
            held.part = ReasoningPart(part.content, part.signature, part.origin, {"wire": wire})
        if held.field == "thinking":
            return b""
        signature = held.signature or (part.signature or "")
        more = wire_of(getattr(held.part, "extra", None)).keys() - {"field"}
        return self._entry(choice, held) if signature or more or not held.field else b""

    def _entry(self, choice: int, held: _Part) -> bytes:
        """A thought's entry in `reasoning_details`, whole: it tells the proof, and where the thought ends."""
        state = self._choices[choice]
        if state.thought is held:
            state.thought = None
        part = held.part
        assert isinstance(part, ReasoningPart)  # noqa: S101 - the only kind that comes here
        signature, origin = held.signature or part.signature, held.origin or part.origin
        whole = ReasoningPart(held.text, signature or None, origin, part.extra)
        entry = write_entry(whole, held.number)
        entry["index"] = held.number  # by which clients put streamed entries together
        return self._chunk(choice, {"reasoning_details": [entry]})

    # calls

    def _call(self, choice: int, state: _Choice, held: _Part, part: ToolCallPart) -> bytes:
        held.number = state.calls
        state.calls += 1
        known = part if self._own else call_of(part, held.number)
        begun = part.arguments if isinstance(part.arguments, str) else ""
        held.text = begun
        call = write_call(
            ToolCallPart(known.id, known.name, begun, part.signature, part.origin, self._extra(known))
        )
        if self._is_legacy(part):
            return self._chunk(choice, {"function_call": call["function"]}) if held.number == 0 else b""
        return self._chunk(choice, {"tool_calls": [{"index": held.number, **call}]})

    def _extra(self, part: ToolCallPart) -> Extra | None:
        return part.extra if self._own else None

    def _is_legacy(self, part: ToolCallPart) -> bool:
        return self._legacy or (self._own and (part.extra or {}).get("wire") == "function_call")

    def _arguments(self, held: _Part, text: str) -> dict[str, Any]:
        part = held.part
        assert isinstance(part, ToolCallPart)  # noqa: S101 - the only kind that comes here
        if self._is_legacy(part):
            return {"function_call": {"arguments": text}} if held.number == 0 else {}
        if self._own and "custom" in (part.extra or {}):
            return {"tool_calls": [{"index": held.number, "custom": {"input": text}}]}
        return {"tool_calls": [{"index": held.number, "function": {"arguments": text}}]}

    def _call_ended(self, choice: int, held: _Part) -> bytes:
        part = held.part
        assert isinstance(part, ToolCallPart)  # noqa: S101 - the only kind that comes here
        written = b""
        if not held.text and not self._own:
            text = arguments_text(part.arguments) if isinstance(part.arguments, dict) else "{}"
            written = self._chunk(choice, self._arguments(held, text))
        if held.signature:
            google = call_signature(held.signature, held.origin)
            entry = {"index": held.number, "extra_content": {"google": google}}
            written += self._chunk(choice, {"tool_calls": [entry]})
        return written

    # the rest

    def _other(self, choice: int, state: _Choice, held: _Part, part: Part) -> bytes:
        extra: Extra = getattr(part, "extra", None) or {}
        if self._own and isinstance(part, BlobPart) and extra.get("wire") == "audio":
            held.field = "data"
            return self._text(choice, held, part.content, None)
        if self._own:
            if isinstance(part, GenericPart) and part.name == "audio":
                return self._chunk(choice, {"audio": part.value})
            return self._chunk(choice, {"content": [write_content_entry(part)]})
        if isinstance(part, BlobPart | UriPart) and part.modality == "image":
            state.images += 1
            return self._chunk(choice, {"images": [image_entry(part, state.images - 1)]})
        return b""

    def _ended(self, choice: int, index: int, extra: Extra | None) -> bytes:
        held = self._choice(choice).parts.get(index)
        if held is None:
            return b""
        if isinstance(held.part, ReasoningPart):
            return self._thought_ended(choice, held, extra)
        if isinstance(held.part, ToolCallPart):
            return self._call_ended(choice, held)
        if self._own and held.field == "data" and extra and extra.get("audio"):
            return self._chunk(choice, {"audio": extra["audio"]})
        return b"" if self._own else self._text(choice, held, "", extra)

    def _choice_ended(self, choice: int, finish_reason: str, extra: Extra | None) -> bytes:
        reason = wire_reason(finish_reason or "stop")
        if self._legacy and reason == "tool_calls":
            reason = "function_call"
        if not self._own or not extra:
            return self._chunk(choice, {}, reason=reason)
        delta = {name: value for name, value in extra.items() if name not in ("finish_reason", "choice")}
        written = self._chunk(choice, delta) if delta else b""
        return written + self._chunk(
            choice, {}, reason=extra.get("finish_reason") or reason, beside=extra.get("choice")
        )

    def _end(self, extra: Extra | None) -> bytes:
        more: dict[str, Any] = dict(extra or {}) if self._own else {}
        if self._show_usage and self._usage is not None:
            more["usage"] = write_usage(self._usage)
        last = self._event([], **more) if more else b""
        return last + b"data: [DONE]\n\n"
