"""A stream put together into the answer that it says, and an answer taken apart into a stream. The same for every
dialect, since both are in the neutral form.

`fold(unfold(answer), answer.dialect)` is `answer`, for any answer whose messages are the assistant's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from ratchet.domain.generation import (
    Answer,
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
from ratchet.domain.messages import (
    BlobPart,
    Extra,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = ["Folding", "arguments_of", "fold", "joined_extra", "unfold"]

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def fold(events: Iterable[StreamEvent], dialect: str) -> Answer:
    """The whole answer. Raises UpstreamFailed where the stream says that it failed."""
    folding = Folding(dialect)
    for event in events:
        folding.take(event)
    if folding.failure is not None:
        raise UpstreamFailed(
            f"The provider sent an error inside its stream: {folding.failure.message}",
            "Try again in a moment.",
        )
    return folding.answer()


def unfold(answer: Answer) -> list[StreamEvent]:
    """The events of a stream that says the same, for an upstream that answered whole where a stream was asked for."""
    events: list[StreamEvent] = [
        StreamStarted(
            id=answer.id,
            model=answer.model,
            created=answer.created,
            service_tier=answer.service_tier,
            extra=answer.extra,
        )
    ]
    for choice, message in enumerate(answer.choices):
        for index, part in enumerate(message.parts):
            events += _unfolded(choice, index, part)
        events.append(ChoiceEnded(choice, message.finish_reason or "", message.extra))
    events.append(UsageReported(answer.usage))
    events.append(StreamEnded())
    return events


def arguments_of(text: str) -> Any:
    """A call's arguments: the decoded object; anything else, JSON or not, stays the text it was."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def joined_extra(known: Extra | None, more: Extra | None) -> Extra | None:
    """Both: lists under one name are put end to end, objects joined in the same way, and else the later counts."""
    if not known or not more:
        return known or more
    joined = dict(known)
    for name, value in more.items():
        earlier = joined.get(name)
        if isinstance(earlier, list) and isinstance(value, list):
            joined[name] = [*cast("list[Any]", earlier), *cast("list[Any]", value)]
        elif isinstance(earlier, dict) and isinstance(value, dict):
            joined[name] = joined_extra(cast("Extra", earlier), cast("Extra", value)) or {}
        else:
            joined[name] = value
    return joined


class Folding:
    """Take in events one by one; `answer()` is what they say so far, however far that is.

    `failure` is what the provider said went wrong; `ended` tells that the stream is whole.
    """

    __slots__ = ("_choices", "_dialect", "_extra", "_service_tier", "_started", "_usage", "ended", "failure")

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._started = StreamStarted(id="", model="")
        self._usage: Usage | None = None
        self._extra: Extra | None = None
        self._service_tier: str | None = None
        self._choices: dict[int, _Choice] = {}
        self.failure: StreamFailed | None = None
        self.ended = False

    def take(self, event: StreamEvent) -> None:
        match event:
            case PartDelta(choice, index, text, extra):
                part = self._part(choice, index)
                part.pieces.append(text)
                part.extra = joined_extra(part.extra, extra)
            case PartStarted(choice, index, part):
                self._choice(choice).parts[index] = _Part(part)
            case SignatureDelta(choice, index, signature, origin):
                part = self._part(choice, index)
                part.signature += signature
                part.origin = origin
            case PartEnded(choice, index, extra):
                part = self._part(choice, index)
                part.extra = joined_extra(part.extra, extra)
            case ChoiceEnded(choice, finish_reason, extra):
                ended = self._choice(choice)
                ended.finish_reason = finish_reason or None
                ended.extra = joined_extra(ended.extra, extra)
            case UsageReported(usage=usage, extra=extra):
                self._usage = usage
                self._extra = joined_extra(self._extra, extra)
            case StreamStarted():
                self._started = event
            case StreamFailed():
                self.failure = event
            case StreamEnded(extra=extra, service_tier=tier):
                self.ended = True
                self._service_tier = tier
                self._extra = joined_extra(self._extra, extra)

    def answer(self) -> Answer:
        started = self._started
        return Answer(
            dialect=self._dialect,
            id=started.id,
            model=started.model,
            choices=[choice.message() for _, choice in sorted(self._choices.items())],
            usage=self._usage or started.usage or Usage(),
            created=started.created,
            service_tier=self._service_tier or started.service_tier,
            extra=joined_extra(started.extra, self._extra),
        )

    def part(self, choice: int, index: int) -> Part | None:
        """One part, as far as it is known; None where it has not begun."""
        known = self._choices.get(choice)
        part = known.parts.get(index) if known else None
        return part.whole() if part else None

    def _choice(self, choice: int) -> _Choice:
        known = self._choices.get(choice)
        if known is None:
            known = self._choices[choice] = _Choice()
        return known

    def _part(self, choice: int, index: int) -> _Part:
        parts = self._choice(choice).parts
        known = parts.get(index)
        if known is None:  # a reader that forgot to begin it: what it says is text
            known = parts[index] = _Part(TextPart(""))
        return known


class _Choice:
    __slots__ = ("extra", "finish_reason", "parts")

    def __init__(self) -> None:
        self.parts: dict[int, _Part] = {}
        self.finish_reason: str | None = None
        self.extra: Extra | None = None

    def message(self) -> Message:
        parts = [part.whole() for _, part in sorted(self.parts.items())]
        return Message("assistant", parts, None, self.finish_reason, self.extra)


class _Part:
    __slots__ = ("extra", "origin", "part", "pieces", "signature")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.signature = ""
        self.origin: str | None = None
        self.extra: Extra | None = None

    def whole(self) -> Part:
        part, changes = self.part, cast("dict[str, Any]", {})
        text = "".join(self.pieces)
        if isinstance(part, ToolCallPart):
            if text:
                begun = part.arguments if isinstance(part.arguments, str) else ""
                changes["arguments"] = arguments_of(begun + text)
        elif text and isinstance(part, TextPart | ReasoningPart | RefusalPart | BlobPart):
            changes["content"] = part.content + text
        if self.signature and isinstance(part, ReasoningPart | ToolCallPart):
            changes["signature"] = (part.signature or "") + self.signature
            changes["origin"] = self.origin
        if self.extra and hasattr(part, "extra"):
            changes["extra"] = joined_extra(part.extra, self.extra)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType]
        return msgspec.structs.replace(part, **changes) if changes else part


def _unfolded(choice: int, index: int, part: Part) -> list[StreamEvent]:
    """A part begun empty, then its text and its proof, its end."""
    events: list[StreamEvent] = []
    match part:
        case TextPart(content=text) | RefusalPart(content=text):
            events.append(PartStarted(choice, index, msgspec.structs.replace(part, content="")))
        case ReasoningPart(content=text):
            begun = msgspec.structs.replace(part, content="", signature=None, origin=None)
            events.append(PartStarted(choice, index, begun))
        case ToolCallPart(arguments=given):
            text = (
                given if isinstance(given, str) else "" if given is None else _encoder.encode(given).decode()
            )
            empty = "" if isinstance(given, str) else None
            begun = msgspec.structs.replace(part, arguments=empty, signature=None, origin=None)
            events.append(PartStarted(choice, index, begun))
        case _:
            text = ""
            events.append(PartStarted(choice, index, part))
    if text:
        events.append(PartDelta(choice, index, text))
    if isinstance(part, ReasoningPart | ToolCallPart) and part.signature and part.origin:
        # A call's comes before its arguments: some dialects give it a place of its own before the call.
        place = len(events) if isinstance(part, ReasoningPart) else 1
        events.insert(place, SignatureDelta(choice, index, part.signature, part.origin))
    events.append(PartEnded(choice, index))
    return events
