"""Prompt caching: which long prefixes were seen before. Bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from ratchet.simulator import tokens
from ratchet.simulator.ask import Ask

__all__ = ["PrefixMemory"]

_LEAST, _STEP = 1024, 128  # OpenAI caches from 1,024 tokens on, in steps of 128
_MOST_CHARACTERS = 512 * 1024


class PrefixMemory:
    """Digests of the prefixes seen, the least recently used forgotten first."""

    def __init__(self, *, most: int = 20_000) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._most = most

    def cached_tokens(self, ask: Ask, input_tokens: int) -> int:
        """How many of the prompt's first tokens were seen before with this model; remembers the prompt."""
        if input_tokens < _LEAST:
            return 0
        text = "".join(f"\x1e{turn.role}\x1f{turn.text}" for turn in ask.turns)
        parts = tokens.pieces(("".join(tool.name for tool in ask.tools) + text)[:_MOST_CHARACTERS])
        digest = blake2b(ask.model.encode(), digest_size=16)
        cached = 0
        for start in range(0, len(parts) - _STEP + 1, _STEP):
            digest.update("".join(parts[start : start + _STEP]).encode())
            reached = start + _STEP
            if reached < _LEAST:
                continue
            key = digest.digest()
            if key in self._seen:
                cached = reached
                self._seen.move_to_end(key)
            else:
                self._seen[key] = None
                if len(self._seen) > self._most:
                    self._seen.popitem(last=False)
        return min(cached, input_tokens)

    def knows(self, key: bytes) -> bool:
        """Whether a prefix with this digest was marked before."""
        if key not in self._seen:
            return False
        self._seen.move_to_end(key)
        return True

    def mark(self, key: bytes) -> None:
        """Remembers a prefix by its digest, for wires on which the request says what is to be cached."""
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def forget(self) -> None:
        self._seen.clear()
