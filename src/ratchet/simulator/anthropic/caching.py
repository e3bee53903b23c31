"""Prompt caching: which part of a prompt was read from the cache, which was written to it, and what is neither.

A request marks where a prefix ends that may be kept. A prefix is found again at its own mark or at one of the twenty
blocks before it, as the API documents. Nothing expires: the time to live only decides under which name a write counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from ratchet.simulator.anthropic.blocks import Block
from ratchet.simulator.prefixes import PrefixMemory

__all__ = ["Classes", "classes_of"]

_LOOK_BACK = 20


class Classes(msgspec.Struct, frozen=True):
    """Input tokens: neither read nor written, read, written for five minutes, written for an hour."""

    plain: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


def classes_of(model: str, prompt: Sequence[Block], total: int, least: int, memory: PrefixMemory) -> Classes:
    """`total` input tokens by class, `least` being the shortest prefix that is kept; remembers what is marked."""
    if not any(block.ttl for block in prompt):
        return Classes(total)
    whole = sum(block.tokens for block in prompt) or 1
    keys: list[bytes] = []
    ends: list[int] = []
    reached = 0
    digest = blake2b(model.encode(), digest_size=16)
    for block in prompt:
        digest.update(block.data)
        keys.append(digest.digest())
        reached += block.tokens
        ends.append(total * reached // whole)
    marks = [i for i, block in enumerate(prompt) if block.ttl and ends[i] >= least]
    read = 0
    for mark in reversed(marks):
        known = (i for i in range(mark, max(mark - _LOOK_BACK, 0) - 1, -1) if memory.knows(keys[i]))
        found = next(known, None)
        if found is not None:
            read = ends[found]
            break
    written = {"5m": 0, "1h": 0}
    start = read
    for mark in marks:
        memory.mark(keys[mark])
        if ends[mark] > start:
            written[prompt[mark].ttl] += ends[mark] - start
            start = ends[mark]
    return Classes(total - start, read, written["5m"], written["1h"])
