"""From chunks to the pieces that are written: framing, and everything a fault does to a stream. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from ratchet.simulator.dice import Dice
from ratchet.simulator.faults import Fault

__all__ = ["SSE", "Framing", "Payload", "Write", "writes"]

_COMMENT = b": keep-alive"
_MERGED = 8


class Payload(msgspec.Struct, frozen=True):
    """One chunk's JSON, and the event's name where the wire has names. `kind` "role" marks a chunk before all text."""

    kind: str
    data: bytes
    event: bytes = b""


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """How a wire's stream looks. `end` is the line end it uses, `done` its closing frame's data if it has one.

    `error` makes the chunk that says, inside a stream, that something went wrong; `broken` is half a chunk.
    `array`: no events but the elements of one JSON array.
    """

    end: bytes = b"\n"
    done: bytes = b""
    error: Callable[[Fault], Payload] = lambda _fault: Payload("error", b"{}")
    broken: Payload = Payload("delta", b"{")
    content_type: bytes = b"text/event-stream; charset=utf-8"
    array: bool = False


SSE = Framing()


class Write(msgspec.Struct, frozen=True):
    """One write: `wait` seconds pass first. `then` says what happens to the connection afterwards."""

    data: bytes
    wait: float = 0.0
    then: Literal["go on", "close"] = "go on"


def writes(
    payloads: Sequence[Payload], fault: Fault, framing: Framing, *, first: float, gap: float, dice: Dice
) -> list[Write]:
    """The writes of a stream. `first` and `gap` are seconds before the first chunk and between chunks."""
    if fault.body == "empty":
        return []
    fault = _of_body(fault, len(payloads))
    frame = _framer(framing, fault)
    comment = b"" if framing.array else _COMMENT + 2 * (b"\r\n" if fault.crlf else framing.end)
    frames: list[Write] = []
    stall = None if fault.stall is None else min(fault.stall, len(payloads) - 1)
    for position, payload in enumerate(payloads):
        wait = first if position == 0 else gap
        if stall == position:
            wait += fault.stall_for
        if fault.cut == position:
            return _cut(frames, fault, dice, b"" if payload.kind == "role" else frame(payload, position)[:40])
        if fault.error == position:
            frames.append(Write(frame(framing.error(fault), position), wait))
            return _shaped(frames, fault, dice)
        if fault.garble == position:
            frames.append(Write(frame(framing.broken, position), wait))
        if fault.comments and comment:
            frames.append(Write(comment, wait))
            wait = 0.0
        frames.append(Write(frame(payload, position), wait))
    if fault.cut is not None:
        return _cut(frames, fault, dice, b"")
    if framing.array:
        frames.append(Write(b"]" if payloads else b"[]"))
    elif framing.done and not fault.no_done:
        frames.append(Write(frame(Payload("done", framing.done), len(payloads))))
    return _shaped(frames, fault, dice)


def _framer(framing: Framing, fault: Fault) -> Callable[[Payload, int], bytes]:
    end = b"\r\n" if fault.crlf else framing.end
    space = b"" if fault.no_space else b" "
    data, event, blank = b"data:" + space, b"event:" + space, end + end

    def plain(payload: Payload, _position: int) -> bytes:
        if payload.event:
            return event + payload.event + end + data + payload.data + blank
        return data + payload.data + blank

    def element(payload: Payload, position: int) -> bytes:
        return (b",\r\n" if position else b"[") + payload.data

    return element if framing.array else plain


def _of_body(fault: Fault, size: int) -> Fault:
    """What a fault of the body means for a stream: a malformed frame, or an end half-way."""
    if fault.body == "malformed" and fault.garble is None:
        return msgspec.structs.replace(fault, garble=1)
    if fault.body == "truncated" and fault.cut is None:
        return msgspec.structs.replace(fault, cut=size // 2)
    return fault


def _cut(frames: list[Write], fault: Fault, dice: Dice, torn: bytes) -> list[Write]:
    """The connection closes with half a frame on the wire."""
    return [*_shaped(frames, fault, dice), Write(torn, 0.0, "close")]


def _shaped(frames: list[Write], fault: Fault, dice: Dice) -> list[Write]:
    if fault.bom and frames:
        frames[0] = Write(b"\xef\xbb\xbf" + frames[0].data, frames[0].wait)
    if fault.merge:
        frames = [
            Write(
                b"".join(frame.data for frame in frames[i : i + _MERGED]),
                sum(f.wait for f in frames[i : i + _MERGED]),
            )
            for i in range(0, len(frames), _MERGED)
        ]
    if fault.split:
        frames = [piece for position, frame in enumerate(frames) for piece in _split(frame, position, dice)]
    return frames


def _split(frame: Write, position: int, dice: Dice) -> list[Write]:
    """The frame in up to five pieces, cut at any byte: also between the bytes of one character."""
    size = len(frame.data)
    cuts = {dice.below(f"split {position} {i}", size + 1) for i in range(4)}
    cuts.update(i for i, byte in enumerate(frame.data) if 0x80 <= byte < 0xC0)
    edges = [0, *sorted(cuts), size]
    found = [frame.data[a:b] for a, b in pairwise(edges) if b > a]
    return [Write(piece, frame.wait if i == 0 else 0.0) for i, piece in enumerate(found)]
