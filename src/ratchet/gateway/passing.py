"""What of a provider's stream goes on to the app, and when: whole events only."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ratchet.dialects.openai_chat.rewrite import without_usage_chunk
from ratchet.dialects.sse import EventStream

__all__ = ["Passing", "UsageHider", "WholeEvents"]

_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_DONE = b"[DONE]"


class Passing(Protocol):
    """Takes a stream's bytes and gives those that the app is to get."""

    def feed(self, chunk: bytes) -> bytes: ...
    def rest(self) -> bytes:
        """What a last event holds whose closing blank line never came."""
        ...

    def sound(self, chunk: bytes) -> bytes:
        """Of a chunk that holds an event that is no JSON: what is good of it, up to that event."""
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

    def sound(self, chunk: bytes) -> bytes:
        data, self._held = self._held + chunk, b""
        good = 0
        while good < len(data):
            ends = [data.index(mark, good) + len(mark) for mark in _EVENT_ENDS if mark in data[good:]]
            if not ends or not _readable(data[good : min(ends)]):
                break
            good = min(ends)
        return data[:good]


class UsageHider:
    """Takes the usage chunk, which only the gateway asked for, out of a stream."""

    def __init__(self) -> None:
        self._events = EventStream()

    def feed(self, chunk: bytes) -> bytes:
        return self._written(self._events.feed(chunk))

    def rest(self) -> bytes:
        return self._written(self._events.finish())

    def sound(self, chunk: bytes) -> bytes:
        events = self._events.feed(chunk)
        broken = next((index for index, data in enumerate(events) if not _is_json(data)), len(events))
        return self._written(events[:broken])

    def _written(self, events: list[bytes]) -> bytes:
        kept = without_usage_chunk(events)
        return b"".join(b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n" for data in kept)


def _readable(event: bytes) -> bool:
    reader = EventStream()
    return all(map(_is_json, reader.feed(event)))


def _is_json(data: bytes) -> bool:
    if data == _DONE:
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
