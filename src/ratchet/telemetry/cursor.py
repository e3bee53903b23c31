"""How far a follower of the spool has come, kept on disk so that a crash repeats nothing and skips nothing.

A follower says what it is about to do (`begin`) before it does it, and that it is done (`commit`) afterwards. Dying
in between leaves the same pending ranges for the next start, to be done again in the same way. Several followers of
one spool (the collector, an exporter) each have a cursor of their own; a segment may go when all are past it.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from pathlib import Path

import msgspec

from ratchet.errors import Unavailable
from ratchet.files import replace_file
from ratchet.telemetry.spool import segments

__all__ = ["Cursor", "Range"]


class Range(msgspec.Struct, frozen=True, array_like=True):
    """Bytes `start` up to `end` of one segment. `start` and `end` are the edges of frames."""

    segment: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.segment}:{self.start}:{self.end}"


class _State(msgspec.Struct, frozen=True):
    offsets: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    pending: list[Range] = msgspec.field(default_factory=list[Range])


class Cursor:
    """One follower's place. One thread moves it; any thread may ask where it is."""

    def __init__(self, path: Path) -> None:
        """Reads `path` where it exists. Raises Unavailable when it is there and can't be read."""
        self._path = path
        self._lock = threading.Lock()
        self._state = self._load()

    @property
    def pending(self) -> Sequence[Range]:
        """What was begun and not committed."""
        return self._state.pending

    def offset(self, segment: str) -> int:
        """Up to where a segment is done."""
        return self._state.offsets.get(segment, 0)

    def waiting_bytes(self, spool: Path) -> int:
        """How much of a spool is still to be done."""
        total = 0
        for segment in segments(spool):
            try:
                total += max(segment.path.stat().st_size - self.offset(segment.name), 0)
            except FileNotFoundError:  # done and removed since the listing
                continue
        return total

    def begin(self, ranges: Sequence[Range]) -> None:
        """Say what will be done next. Durable when it returns. Raises Unavailable when the disk refuses."""
        self._store(_State(self._state.offsets, list(ranges)))

    def commit(self) -> None:
        """Say that what was begun is done. Durable when it returns."""
        offsets = self._state.offsets | {range_.segment: range_.end for range_ in self._state.pending}
        self._store(_State(offsets))

    def keep_only(self, segments: Container[str]) -> None:
        """Forget segments that are gone. Call it after they are removed, never before."""
        offsets = {name: offset for name, offset in self._state.offsets.items() if name in segments}
        if len(offsets) != len(self._state.offsets):
            self._store(_State(offsets, self._state.pending))

    def _load(self) -> _State:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_State)
        except FileNotFoundError:
            return _State()
        except (OSError, msgspec.DecodeError) as error:
            raise Unavailable(
                f"The place up to which the spool is drained can't be read from {self._path}: {error}.",
                "Put the file back from a copy. Without it everything in the spool is taken again: remove the file "
                "only if that is what you want.",
                code="cursor_unreadable",
            ) from error

    def _store(self, state: _State) -> None:
        with self._lock:
            try:
                replace_file(self._path, msgspec.json.encode(state))
            except OSError as error:
                raise Unavailable(
                    f"The place up to which the spool is drained can't be written to {self._path}: {error}.",
                    "Free disk space there.",
                    code="cursor_unwritable",
                ) from error
            self._state = state
