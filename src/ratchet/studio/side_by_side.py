"""A difference as two columns: what was there on the left, what is there now on the right. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec

from ratchet.prompts.difference import Line, TextDifference

__all__ = ["Block", "Pair", "blocks"]

_CONTEXT = 3  # lines shown around what differs


class Pair(msgspec.Struct, frozen=True):
    """One row. None where a side has no line there; `skipped` counts lines that are the same and not shown."""

    before: Line | None = None
    after: Line | None = None
    skipped: int = 0


class Block(msgspec.Struct, frozen=True):
    """One message, example, tool or schema that differs."""

    title: str
    state: str
    pairs: list[Pair]


def blocks(texts: Sequence[TextDifference]) -> list[Block]:
    """Those that differ."""
    return [Block(text.title, text.state, _pairs(text.lines)) for text in texts if text.state != "same"]


def _pairs(lines: Sequence[Line]) -> list[Pair]:
    pairs: list[Pair] = []
    runs = [(same, list(run)) for same, run in groupby(lines, key=lambda line: line.mark == " ")]
    for number, (same, run) in enumerate(runs):
        if same:
            pairs += _context(run, first=number == 0, last=number == len(runs) - 1)
            continue
        old = [line for line in run if line.mark == "-"]
        new = [line for line in run if line.mark == "+"]
        for place in range(max(len(old), len(new))):
            pairs.append(
                Pair(
                    old[place] if place < len(old) else None,
                    new[place] if place < len(new) else None,
                )
            )
    return pairs


def _context(run: Sequence[Line], *, first: bool, last: bool) -> list[Pair]:
    """The lines next to what differs; those between are counted."""
    head = 0 if first else _CONTEXT
    tail = 0 if last else _CONTEXT
    if len(run) <= head + tail + 1:
        return [Pair(line, line) for line in run]
    kept = [Pair(line, line) for line in run[:head]]
    kept.append(Pair(skipped=len(run) - head - tail))
    return kept + [Pair(line, line) for line in run[len(run) - tail :]]
