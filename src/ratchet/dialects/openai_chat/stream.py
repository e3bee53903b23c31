"""A stream of chat completion chunks, as neutral events.

Parts come one after the other, as the chunks do: a text that goes on after a call is another part. A call ends when
its arguments are whole and something else begins; calls in pieces that alternate stay open side by side.
How each choice ended is told at the end of the stream, with all that was said beside its content. `obfuscation`, the
padding that hides how long the pieces are, is not read.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.folded import joined_extra
from ratchet.dialects.openai_chat.answer import read_usage
from ratchet.dialects.openai_chat.head import DONE
from ratchet.dialects.openai_chat.reading import finish_reason
from ratchet.dialects.openai_chat.stream_choice import ChoiceReading
from ratchet.dialects.sse import EventStream
from ratchet.domain.generation import (
    ChoiceEnded,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamStarted,
    UsageReported,
)
from ratchet.domain.messages import Extra
from ratchet.domain.usage import Usage

__all__ = ["StreamReader", "stream_reader"]

_ELSEWHERE = frozenset({"id", "model", "created", "service_tier", "choices", "usage", "error", "obfuscation"})
_encoder = msgspec.json.Encoder()


def stream_reader() -> StreamReader:
    """A reader for one stream."""
    return StreamReader()


class StreamReader:
    """Feed it the stream's bytes, however they were cut. Raises UpstreamFailed on an event beyond all bounds."""

    def __init__(self) -> None:
        self._events = EventStream()
        self._started = False
        self._over = False
        self._choices: dict[int, ChoiceReading] = {}
        self._beside: Extra = {}  # what chunks say beside their choices
        self._told: Extra = {}  # what of it has been told at the start
        self._usage: Usage | None = None

    def feed(self, chunk: bytes, most: int | None = None) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for data in self._events.feed(chunk)[:most]:
            self._take(data, events)
        return events

    def finish(self) -> list[StreamEvent]:
        """What an unfinished last event holds. A stream that forgot its `[DONE]` and told its finish reason is whole."""
        events: list[StreamEvent] = []
        for data in self._events.finish():
            self._take(data, events)
        if not self._over and any(choice.reason for choice in self._choices.values()):
            self._end(events)
        return events

    def _take(self, data: bytes, events: list[StreamEvent]) -> None:
        if self._over:
            return
        if data == DONE:
            self._end(events)
            return
        chunk = decode_object(data)
        if chunk is None:
            return
        self._take_beside(chunk)
        choices = chunk.get("choices")
        choices = cast("list[Any]", choices) if isinstance(choices, list) else []
        if not self._started and (choices or chunk.get("id")):
            self._start(chunk, events)
        for place, choice in enumerate(choices):
            if isinstance(choice, dict):
                self._take_choice(cast("dict[str, Any]", choice), place, events)
        self._take_usage(chunk, choices, events)
        error = chunk.get("error")
        if error is not None:
            self._over = True
            events.append(_failure(error))

    def _start(self, chunk: dict[str, Any], events: list[StreamEvent]) -> None:
        self._started = True
        self._told = {
            name: value for name, value in self._beside.items() if isinstance(value, str | int | float | bool)
        }
        known, model, created = chunk.get("id"), chunk.get("model"), chunk.get("created")
        tier = chunk.get("service_tier")
        events.append(
            StreamStarted(
                id=known if isinstance(known, str) else "",
                model=model if isinstance(model, str) else "",
                created=created if isinstance(created, int) else None,
                service_tier=tier if isinstance(tier, str) else None,
                extra=self._told or None,
            )
        )

    def _take_beside(self, chunk: dict[str, Any]) -> None:
        for name, value in chunk.items():
            if name not in _ELSEWHERE and value is not None:
                self._beside[name] = value

    def _take_choice(self, wire: dict[str, Any], place: int, events: list[StreamEvent]) -> None:
        index = wire.get("index")
        index = index if isinstance(index, int) and index >= 0 else place
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = ChoiceReading(index)
        choice.take(wire, events)

    def _take_usage(self, chunk: dict[str, Any], choices: list[Any], events: list[StreamEvent]) -> None:
        """Tokens, wherever this provider tells them; some repeat growing counts in every chunk."""
        found = [chunk.get("usage"), _dict(chunk.get("x_groq")).get("usage")]
        found += [_dict(choice).get("usage") for choice in choices]
        for wire in found:
            usage = read_usage(wire)
            if usage is not None:
                if usage != self._usage:
                    self._usage = usage
                    events.append(UsageReported(usage))
                return

    def _end(self, events: list[StreamEvent]) -> None:
        self._over = True
        for index, choice in sorted(self._choices.items()):
            extra = choice.end(events)
            reason = choice.reason or ("tool_calls" if choice.calls else "stop")
            neutral = finish_reason(reason, called=bool(choice.calls))
            if reason not in (neutral, "tool_calls"):
                extra = joined_extra(extra, {"finish_reason": reason})
            events.append(ChoiceEnded(index, neutral, extra))
        late = {name: value for name, value in self._beside.items() if self._told.get(name, ...) != value}
        events.append(StreamEnded(late or None))


def _failure(error: Any) -> StreamFailed:
    fields = _dict(error)
    message, code = fields.get("message"), fields.get("code") or fields.get("type")
    said = (
        message
        if isinstance(message, str)
        else error
        if isinstance(error, str)
        else _encoder.encode(error).decode()
    )
    return StreamFailed(said, code if isinstance(code, str) else None if code is None else str(code))


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
