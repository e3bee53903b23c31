"""What of a provider's stream goes on to the app, and when: whole events only."""

from __future__ import annotations

import re
from typing import Protocol

from ratchet.dialects.openai_chat.rewrite import without_usage_chunk
from ratchet.dialects.sse import EventStream

__all__ = ["Passing", "UsageHider", "WholeEvents"]

_EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_BLANK_LINE = re.compile(rb"(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r|\n)")


class Passing(Protocol):
    """Takes a stream's bytes and gives those that the app is to get."""

    def feed(self, chunk: bytes) -> bytes: ...
    def rest(self) -> bytes:
        """What a last event holds whose closing blank line never came."""
        ...

    def sound(self, chunk: bytes, good: int) -> bytes:
        """Of a chunk in which something goes wrong: the `good` events that it completes before that."""
        ...


class WholeEvents:
    """Holds back the beginning of an event until the rest of it is there.

    An app can do nothing with half an event, and where a stream breaks off in the middle of one, the error that
    follows must not be taken for the rest of it.
    """

    _LIMIT = 16 << 20

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        if not self._held and chunk.endswith(b"\n\n"):
            return chunk
        data = self._held + chunk
        end = max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in _EVENT_ENDS)
        if len(data) - end > self._LIMIT:
            end = len(data)
        self._held = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def sound(self, chunk: bytes, good: int) -> bytes:
        data, self._held = self._held + chunk, b""
        end = 0
        for blank in _BLANK_LINE.finditer(data):
            good -= len(EventStream().feed(data[end : blank.end()]))  # none in a comment
            if good < 0:
                break
            end = blank.end()
        return data[:end]


class UsageHider:
    """Takes the usage chunk, which only the gateway asked for, out of a stream."""

    def __init__(self) -> None:
        self._events = EventStream()

    def feed(self, chunk: bytes) -> bytes:
        return self._written(self._events.feed(chunk))

    def rest(self) -> bytes:
        return self._written(self._events.finish())

    def sound(self, chunk: bytes, good: int) -> bytes:
        return self._written(self._events.feed(chunk)[:good])

    def _written(self, events: list[bytes]) -> bytes:
        kept = without_usage_chunk(events)
        return b"".join(b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n" for data in kept)
