"""From chunks to the pieces that are written: framing, and everything a fault does to a stream. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from ratchet.simulator.dice import Dice
from ratchet.simulator.faults import Fault
from ratchet.simulator.openai_answer import Payload
from ratchet.simulator.openai_request import error_body

__all__ = ["Write", "writes"]

_BROKEN = (
    b'{"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"lo'
)
_COMMENT = b": keep-alive"
_MERGED = 8


class Write(msgspec.Struct, frozen=True):
    """One write: `wait` seconds pass first. `then` says what happens to the connection afterwards."""

    data: bytes
    wait: float = 0.0
    then: Literal["go on", "close"] = "go on"


def writes(payloads: Sequence[Payload], fault: Fault, *, first: float, gap: float, dice: Dice) -> list[Write]:
    """The writes of a stream. `first` and `gap` are seconds before the first chunk and between chunks."""
    end = b"\r\n\r\n" if fault.crlf else b"\n\n"
    data = b"data:" if fault.no_space else b"data: "
    if fault.body == "empty":
        return []
    fault = _of_body(fault, len(payloads))
    frames: list[Write] = []
    kept = [payload for payload in payloads if not _left_out(payload, fault)]
    stall = None if fault.stall is None else min(fault.stall, len(kept) - 1)
    for position, payload in enumerate(kept):
        wait = first if position == 0 else gap
        if stall == position:
            wait += fault.stall_for
        if fault.cut == position:
            return _cut(frames, fault, dice, b"" if payload.kind == "role" else (data + payload.data)[:40])
        if fault.error == position:
            frames.append(Write(data + _error(fault) + end, wait))
            return _shaped(frames, fault, dice)
        if fault.garble == position:
            frames.append(Write(data + _BROKEN + end, wait))
        if fault.comments:
            frames.append(Write(_COMMENT + end, wait))
            wait = 0.0
        frames.append(Write(data + payload.data + end, wait))
    if fault.cut is not None:
        return _cut(frames, fault, dice, b"")
    if not fault.no_done:
        frames.append(Write(data + b"[DONE]" + end))
    return _shaped(frames, fault, dice)


def _of_body(fault: Fault, size: int) -> Fault:
    """What a fault of the body means for a stream: a malformed frame, or an end half-way."""
    if fault.body == "malformed" and fault.garble is None:
        return msgspec.structs.replace(fault, garble=1)
    if fault.body == "truncated" and fault.cut is None:
        return msgspec.structs.replace(fault, cut=size // 2)
    return fault


def _left_out(payload: Payload, fault: Fault) -> bool:
    return (fault.no_usage and payload.kind == "usage") or (fault.no_finish and payload.kind == "finish")


def _error(fault: Fault) -> bytes:
    body = error_body(
        "The server had an error while processing your request. Sorry about that!",
        kind="server_error",
        code=fault.code or None,
    )
    return msgspec.json.format(body, indent=-1)


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
