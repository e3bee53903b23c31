"""Gemini's streams (`alt=sse`) as neutral events, and neutral events as such streams.

Each event of the wire is a whole GenerateContentResponse with the next parts of each candidate. Pieces of text that
follow one another are one part, as far as they are of one kind, and up to a signature; other parts come whole.
How a candidate ends is known when the stream does: some models give every chunk a finish reason, and grounding may
follow it. A stream that is not whole (see `head`) ends without `StreamEnded`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ratchet.dialects.folded import arguments_of
from ratchet.dialects.gemini.answer import call_namer, candidate_end, seconds, written_end
from ratchet.dialects.gemini.fields import decoded, fields, items, take
from ratchet.dialects.gemini.head import error_object
from ratchet.dialects.gemini.logprobs import token_entries
from ratchet.dialects.gemini.parts import is_bare_signature, read_part, write_answered, write_own
from ratchet.dialects.gemini.vocabulary import NAME, service_tier, usage_metadata, usage_of
from ratchet.dialects.signatures import tagged
from ratchet.dialects.sse import EventStream
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
from ratchet.domain.messages import Extra, Part, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from ratchet.domain.usage import Usage

__all__ = ["StreamReader", "StreamWriter"]

_encoder = msgspec.json.Encoder()


class _Candidate:
    """One candidate while its parts come in."""

    def __init__(self, choice: int, answer_id: str) -> None:
        self.choice = choice
        self.called = False
        self.name_call: Callable[[str, Any], str] = call_namer(answer_id, choice)
        self.ends: Extra = {}  # finish reason, grounding, ratings
        self._next = 0  # the number of the next part
        self._open: type[Part] | None = None  # the kind of part that text may still be added to
        self._wire: Extra = {}  # what the open text ends with: its signature

    def take(self, value: Any, tokens: list[dict[str, Any]]) -> list[StreamEvent]:
        """The next part; `tokens` says how likely those of its text were, where that is known."""
        if self._open is TextPart and is_bare_signature(found := fields(value)):
            self._wire["thoughtSignature"] = found["thoughtSignature"]
            return []
        part = read_part(value, self.name_call)
        if isinstance(part, TextPart):
            return self._text(part, tokens)
        if isinstance(part, ReasoningPart):
            return self._thought(part)
        events = self.close()
        if isinstance(part, ToolCallPart):
            self.called = True
            events += self._begin(msgspec.structs.replace(part, arguments=None))
            if part.arguments is not None:
                text = _encoder.encode(part.arguments).decode()
                events.append(PartDelta(self.choice, self._next, text))
        else:
            events += self._begin(part)
        return events + self.close()

    def _text(self, part: TextPart, tokens: list[dict[str, Any]]) -> list[StreamEvent]:
        extra = dict(part.extra or {})
        wire = extra.pop("wire", {})
        events = self._goes_on(part.content, TextPart(""), extra, {"logprobs": tokens} if tokens else None)
        self._wire.update(wire)
        return events

    def _thought(self, part: ReasoningPart) -> list[StreamEvent]:
        extra = dict(part.extra or {})
        events = self._goes_on(
            part.content or ("" if part.signature is None else None), ReasoningPart(""), extra
        )
        if part.signature is not None:
            events.append(SignatureDelta(self.choice, self._next, part.signature, part.origin or NAME))
            events += self.close()
        return events

    def _goes_on(
        self, text: str | None, begun: TextPart | ReasoningPart, extra: Extra, said: Extra | None = None
    ) -> list[StreamEvent]:
        """`text` added to the open part, or to a new one; "" says nothing, and None begins a part without words.

        `said` is about this piece of the text alone.
        """
        if text == "" and not extra:
            return []
        events: list[StreamEvent] = []
        if self._open is not type(begun) or extra:
            events = self.close() + self._begin(msgspec.structs.replace(begun, extra=extra or None))
        if text:
            events.append(PartDelta(self.choice, self._next, text, said))
        return events

    def _begin(self, part: Part) -> list[StreamEvent]:
        self._open = type(part)
        return [PartStarted(self.choice, self._next, part)]

    def close(self) -> list[StreamEvent]:
        if self._open is None:
            return []
        extra = {"wire": self._wire} if self._wire else None
        self._open, self._wire = None, {}
        self._next += 1
        return [PartEnded(self.choice, self._next - 1, extra)]

    def end(self) -> list[StreamEvent]:
        reason, extra = candidate_end(self.ends, called=self.called)
        return [*self.close(), ChoiceEnded(self.choice, reason or "", extra or None)]


class StreamReader:
    """Feed it a provider's bytes; `finish` when they have ended, which tells the end of a stream that is whole."""

    def __init__(self) -> None:
        self._events = EventStream()
        self._candidates: dict[int, _Candidate] = {}
        self._started = False
        self._id = ""
        self._usage: Any = None
        self._failed = False
        self._extra: Extra = {}  # of the whole answer

    def feed(self, chunk: bytes, most: int | None = None) -> list[StreamEvent]:
        """Raises UpstreamFailed on an event that is too large."""
        return [event for data in self._events.feed(chunk)[:most] for event in self._take(data)]

    def finish(self) -> list[StreamEvent]:
        events = [event for data in self._events.finish() for event in self._take(data)]
        if not self._started or self._failed:
            return events
        candidates = [candidate for _, candidate in sorted(self._candidates.items())]
        blocked = isinstance(fields(self._extra.get("promptFeedback")).get("blockReason"), str)
        ended = all("finishReason" in candidate.ends for candidate in candidates) if candidates else blocked
        if ended:
            for candidate in candidates:
                events += candidate.end()
            if not candidates:
                events.append(ChoiceEnded(0, "content_filter"))
        else:
            for candidate in candidates:
                events += candidate.close()
        usage = usage_of(self._usage)
        if self._usage is not None:
            events.append(UsageReported(usage or Usage(), {"usageMetadata": self._usage}))
        if ended and self._usage is not None:
            events.append(StreamEnded(self._extra or None))
        return events

    def _take(self, data: bytes) -> list[StreamEvent]:
        try:
            found = fields(decoded(data))
        except ValueError:
            return []
        if "error" in found:
            self._failed = True
            error = fields(found["error"])
            status = error.get("status")
            return [
                StreamFailed(
                    str(error.get("message") or "The provider gave no reason."),
                    status if isinstance(status, str) else None,
                )
            ]
        events: list[StreamEvent] = []
        known, model = take(found, "responseId", str) or "", take(found, "modelVersion", str) or ""
        usage = found.pop("usageMetadata", None)
        if usage is not None:
            self._usage = usage
        if not self._started:
            self._started = True
            self._id = known
            events.append(
                StreamStarted(
                    id=known,
                    model=model,
                    created=seconds(found.get("createTime")),
                    usage=usage_of(usage),
                    service_tier=service_tier(usage),
                )
            )
        for place, value in enumerate(items(found.pop("candidates", None))):
            events += self._take_candidate(fields(value), place)
        _keep(self._extra, found)
        return events

    def _take_candidate(self, found: dict[str, Any], place: int) -> list[StreamEvent]:
        index = found.get("index")
        choice = index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else place
        candidate = self._candidates.get(choice)
        if candidate is None:
            candidate = self._candidates[choice] = _Candidate(choice, self._id)
        content = fields(found.pop("content", None))
        events: list[StreamEvent] = []
        tokens = token_entries(found.get("logprobsResult"))
        for value in items(content.get("parts")):
            events += candidate.take(value, tokens)
            tokens = [] if events and isinstance(events[-1], PartDelta) and events[-1].extra else tokens
        _keep(candidate.ends, found)
        return events


def _keep(known: Extra, more: dict[str, Any]) -> None:
    """The latest word counts; an empty one never replaces another."""
    for name, value in more.items():
        if value or name not in known:
            known[name] = value


class StreamWriter:
    """Writes each event of the wire as soon as it is known whole: texts in pieces, calls and all else at their end."""

    def __init__(self, asked: Request) -> None:
        del asked
        self._id = ""
        self._model = ""
        self._usage: Usage | None = None
        self._counts: Any = None  # usageMetadata as it came
        self._parts: dict[tuple[int, int], _Writing] = {}
        self._ends: dict[int, dict[str, Any]] = {}

    def write(self, event: StreamEvent) -> bytes:  # noqa: PLR0911 - one for each kind
        match event:
            case StreamStarted():
                self._id, self._model, self._usage = event.id, event.model, event.usage
                return b""
            case PartStarted(choice, index, part):
                self._parts[choice, index] = _Writing(part)
                return self._said(choice, self._parts[choice, index].begin())
            case PartDelta(choice, index, text):
                return self._said(choice, self._part(choice, index).add(text))
            case SignatureDelta(choice, index, signature, origin):
                self._part(choice, index).sign(signature, origin)
                return b""
            case PartEnded(choice, index, extra):
                return self._said(choice, self._part(choice, index).end(extra))
            case ChoiceEnded(choice, finish_reason, extra):
                known = {name: value for name, value in (extra or {}).items() if name in _CANDIDATE}
                self._ends[choice] = written_end(finish_reason or None, known)
                return b""
            case UsageReported():
                self._usage = event.usage
                self._counts = (event.extra or {}).get("usageMetadata")
                return b""
            case StreamFailed():
                return _event(error_object(event.message, 500, event.code or "UPSTREAM_FAILED"))
            case StreamEnded():
                return self._end(event.extra or {})

    def _part(self, choice: int, index: int) -> _Writing:
        return self._parts.setdefault((choice, index), _Writing(TextPart("")))

    def _said(self, choice: int, part: dict[str, Any] | None) -> bytes:
        if part is None:
            return b""
        content = {"parts": [part], "role": "model"}
        return self._chunk([{"content": content, "index": choice}])

    def _end(self, extra: Extra) -> bytes:
        feedback = extra.get("promptFeedback")
        if feedback is not None and not self._parts:
            return self._chunk([], {"promptFeedback": feedback})
        return self._chunk(
            [
                {"content": {"parts": [{"text": ""}], "role": "model"}, "index": choice} | end
                for choice, end in sorted(self._ends.items())
            ]
        )

    def _chunk(self, candidates: list[dict[str, Any]], more: Extra | None = None) -> bytes:
        written: dict[str, Any] = {"candidates": candidates} if candidates else {}
        written |= more or {}
        if self._counts is not None:
            written["usageMetadata"] = self._counts
        elif self._usage is not None:
            written["usageMetadata"] = usage_metadata(self._usage)
        if self._model:
            written["modelVersion"] = self._model
        if self._id:
            written["responseId"] = self._id
        return _event(written)


_CANDIDATE = frozenset(
    {
        "finishReason",
        "finishMessage",
        "safetyRatings",
        "citationMetadata",
        "groundingMetadata",
        "urlContextMetadata",
        "avgLogprobs",
        "logprobsResult",
        "tokenCount",
    }
)


class _Writing:
    """A part on its way out. Texts and thoughts go piece by piece; a signature goes with an empty last piece."""

    __slots__ = ("_origin", "_part", "_pieces", "_signature")

    def __init__(self, part: Part) -> None:
        self._part = part
        self._pieces: list[str] = []
        self._signature = ""
        self._origin: str | None = None

    def begin(self) -> dict[str, Any] | None:
        part = self._part
        if isinstance(part, TextPart | ReasoningPart | RefusalPart):
            return self.add(part.content) if part.content else None
        return None

    def add(self, text: str) -> dict[str, Any] | None:
        if isinstance(self._part, TextPart | RefusalPart):
            return {"text": text}
        if isinstance(self._part, ReasoningPart):
            return {"text": text, "thought": True}
        self._pieces.append(text)
        return None

    def sign(self, signature: str, origin: str) -> None:
        self._signature += signature
        self._origin = origin

    def end(self, extra: Extra | None) -> dict[str, Any] | None:
        part = self._part
        if isinstance(part, TextPart | RefusalPart):
            wire = {**(part.extra or {}), **(extra or {})}.get("wire")
            return {"text": "", **wire} if wire else None
        if isinstance(part, ReasoningPart):
            signature, origin = self._signature or part.signature, self._origin or part.origin
            return (
                {"text": "", "thought": True, "thoughtSignature": tagged(signature, origin, NAME)}
                if signature
                else None
            )
        if isinstance(part, ToolCallPart):
            text = "".join(self._pieces)
            arguments = arguments_of(text) if text else part.arguments
            part = msgspec.structs.replace(part, arguments=arguments)
            if self._signature:
                part = msgspec.structs.replace(part, signature=self._signature, origin=self._origin)
            return write_answered(part, _never)
        return write_answered(part, _never) or _whole(part)


def _whole(part: Part) -> dict[str, Any] | None:
    """A part that only Gemini has, as it came; nothing of other dialects'."""
    written = write_own(part, _never)
    return written if any(name in written for name in _OWN) else None


_OWN = frozenset({"executableCode", "codeExecutionResult", "toolCall", "toolResponse", "fileData"})


def _never(call_id: str) -> bool:
    del call_id
    return False


def _event(written: dict[str, Any]) -> bytes:
    return b"data: " + _encoder.encode(written) + b"\r\n\r\n"
