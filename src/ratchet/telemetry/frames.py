"""Reading a stretch of a segment, broken frames included: what is whole, what is not, and where to go on.

Behind a frame that a disk has spoilt there may be good ones, and they must not be lost with it. So where a frame is
not intact, this looks for where the next one begins.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import msgspec

from ratchet.telemetry.spool import HEADER

__all__ = ["Broken", "Frame", "pieces"]

_KIND = re.compile(rb"[COSER]")  # the first byte of every payload: calls.encode_record


class Frame(msgspec.Struct, frozen=True):
    """An intact frame from `start` up to `end`, and what it holds."""

    start: int
    end: int
    payload: memoryview


class Broken(msgspec.Struct, frozen=True):
    """Bytes that are no frame. `torn`: they can be the beginning of one whose end was never written."""

    start: int
    end: int
    torn: bool


def pieces(data: bytes, *, complete: bool, patient: bool = False) -> Iterator[Frame | Broken]:
    """Everything in `data`, in order, positions counted from its beginning.

    With `complete` nothing follows `data`, and every byte is accounted for. Without, it stops before bytes that more
    data may yet make a frame; and with `patient` before a frame that reaches beyond `data`, which is most likely
    being written just now, rather than look behind its first bytes for others. What it finds up to the end of a frame depends on no byte behind that end: a stretch
    that ends there can be read again alone, with `complete`, and gives the same pieces.
    """
    view = memoryview(data)
    position = 0
    while position < len(data):
        end = _intact(view, position)
        if end is not None:
            yield Frame(position, end, view[position + HEADER.size : end])
            position = end
            continue
        if patient and _reaches_beyond(view, position):
            return
        following = _next_intact(data, view, position)
        if following is not None:
            yield Broken(position, following, torn=False)
            position = following
        elif complete:
            yield Broken(position, len(data), torn=_reaches_beyond(view, position))
            return
        else:
            return


def _intact(view: memoryview, position: int) -> int | None:
    """The end of the frame at `position`, or None where no whole one is. An empty frame is none: after a power cut
    a file may end in zeros, which would make as many empty frames."""
    if position + HEADER.size > len(view):
        return None
    length, checksum = HEADER.unpack_from(view, position)
    end = position + HEADER.size + length
    if not length or end > len(view) or zlib.crc32(view[position + HEADER.size : end]) != checksum:
        return None
    return end


def _next_intact(data: bytes, view: memoryview, position: int) -> int | None:
    """Where the next intact frame begins: behind the broken one if its length is right, else wherever one is."""
    if position + HEADER.size <= len(view):
        behind = position + HEADER.size + HEADER.unpack_from(view, position)[0]
        if behind > position + HEADER.size and _intact(view, behind) is not None:
            return behind
    for found in _KIND.finditer(data, position + HEADER.size + 1):
        start = found.start() - HEADER.size
        if _intact(view, start) is not None:
            return start
    return None


def _reaches_beyond(view: memoryview, position: int) -> bool:
    if position + HEADER.size > len(view):
        return True
    return position + HEADER.size + HEADER.unpack_from(view, position)[0] > len(view)
