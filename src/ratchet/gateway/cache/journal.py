"""Kept answers and what was learned of them, on disk: appended to while the gateway serves, read when it starts.

Frames of a length, a checksum and MessagePack. It is a cache: what a power cut tears off is asked for again. A file
belongs to one process; a second one in the same data directory keeps its answers in memory alone.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from ratchet.gateway.cache.entries import Entry

__all__ = ["Also", "Journal", "Line", "New", "Verdict", "without_words"]

_HEADER = struct.Struct("<II")
_WORDED = ("swap:", "only:")  # features of `likeness` that hold words of questions
_SMALLEST = 64 << 20  # bytes: a file that is smaller is not worth writing anew


class New(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="new"):
    """An answer was kept under this number."""

    number: int
    project: str
    route: str
    place: str
    text: str
    entry: Entry
    answer: str
    owner: str
    personal: bool
    trusted: bool


class Also(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="also"):
    """An answer turned out right for another question; `trusted` as it is since then. `who` asked it, and `made` is
    when, in nanoseconds since the epoch."""

    number: int
    text: str
    trusted: bool
    who: str = ""
    made: int = 0


class Verdict(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="verdict"):
    """What a judge said, of which project and route, and what had been believed. `whose` are those whose questions its
    features hold words of, and when they asked."""

    project: str
    route: str
    features: list[tuple[str, float]]
    risk: float
    right: bool
    shown: bool  # the words in its features may be written down
    whose: list[tuple[str, int]] = []


def without_words(verdict: Verdict) -> Verdict:
    """The same with nothing of what anybody asked."""
    features = [(name, value) for name, value in verdict.features if not name.startswith(_WORDED)]
    return msgspec.structs.replace(verdict, features=features, whose=[])


Line = New | Also | Verdict
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Line] = msgspec.msgpack.Decoder(Line)


class Journal:
    """Blocks: call it in a thread."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it can't be written, or where another process has it open."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._opened(path)

    def read(self) -> Iterator[Line]:
        """Everything that is whole. What follows a torn frame is cut off."""
        data = self._path.read_bytes()
        position = 0
        while position + _HEADER.size <= len(data):
            length, checksum = _HEADER.unpack_from(data, position)
            payload = data[position + _HEADER.size : position + _HEADER.size + length]
            if len(payload) < length or zlib.crc32(payload) != checksum:
                break
            try:
                line = _decoder.decode(payload)
            except msgspec.DecodeError:
                break  # another version's: begin anew from here
            yield line
            position += _HEADER.size + length
        if position < len(data):
            os.truncate(self._path, position)

    def append(self, lines: Iterable[Line]) -> None:
        """Raises OSError where the disk is full or gone."""
        self._file.write(b"".join(map(_frame, lines)))
        self._file.flush()

    def is_worn(self, live: int) -> bool:
        """Whether most of the file is about what is no longer kept. `live` is in bytes."""
        return self._file.tell() > max(_SMALLEST, 4 * live)

    def replace(self, lines: Iterable[Line]) -> None:
        """Begin anew with these: all of them or none."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        file = self._opened(fresh)
        for line in lines:
            file.write(_frame(line))
        file.flush()
        os.fdatasync(file.fileno())
        fresh.rename(self._path)
        self._file.close()
        self._file = file

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def _opened(path: Path) -> BinaryIO:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.chmod(path, 0o600)  # noqa: PTH101 - of the open file
        except OSError:
            file.close()
            raise
        return file


def _frame(line: Line) -> bytes:
    payload = _encode(line)
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
