"""Seeded chance: every draw has a name, so adding one draw never changes another.

A draw is a pure function of the key and the name (BLAKE2b of both). The same request with the same seed therefore
gets the same answer on every machine and Python version, whatever was asked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

__all__ = ["Dice"]

T = TypeVar("T")
_SPAN = float(1 << 64)


class Dice:
    """Draws for one key. `number` is uniform in [0, 1); `chance` is true with probability `p`."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key, digest_size=16).digest()

    def child(self, name: str) -> Dice:
        """Independent dice for a part of the work, such as one choice of `n`."""
        return Dice(self._key + name.encode())

    def integer(self, name: str) -> int:
        """Uniform over 64 bits."""
        return int.from_bytes(blake2b(name.encode(), digest_size=8, key=self._key).digest(), "big")

    def number(self, name: str) -> float:
        return self.integer(name) / _SPAN

    def chance(self, name: str, p: float) -> bool:
        return self.number(name) < p

    def below(self, name: str, n: int) -> int:
        """Uniform over 0 … n-1."""
        return self.integer(name) % n

    def pick(self, name: str, options: Sequence[T]) -> T:
        return options[self.integer(name) % len(options)]

    def letters(self, name: str, n: int) -> str:
        """`n` characters of a-z, A-Z, 0-9: for ids."""
        value = int.from_bytes(blake2b(name.encode(), digest_size=32, key=self._key).digest(), "big")
        letters: list[str] = []
        for _ in range(n):
            value, rest = divmod(value, 62)
            letters.append(_ALPHABET[rest])
        return "".join(letters)


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
