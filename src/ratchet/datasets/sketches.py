"""How much two cases resemble each other, and a short vector of each that tells it quickly.

A text is the set of its runs of three characters, in lower case and without punctuation. Two texts resemble each
other by the cosine of their sets, |A ∩ B| / √(|A| |B|) (Ochiai's coefficient): unlike Jaccard's it stays high when one
text is the other with a greeting around it. A sketch is a count sketch of the set (Charikar, Chen and Farach-Colton
2002): 256 counters with random signs, whose dot product estimates |A ∩ B|, with a standard deviation of the cosine of
about 1/16. So one matrix product finds the pairs that are worth comparing exactly.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.domain.cases import Case, text_of_input

__all__ = ["SketchTable", "resemblance", "runs_of", "sketch_of"]

_COUNTERS = 256
_LONGEST = 20_000  # characters; what differs behind that hardly makes two cases different
_WORD = re.compile(r"\w+")
_PRIMES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_BLOCK = 16_000_000  # estimates held at once: 64 MB

Runs = NDArray[np.uint64]


def runs_of(case: Case) -> Runs:
    """The hashes of the runs of three characters in what the case asks, sorted, each once.

    Instructions stand before every question of an app, so they are left out where there is something else.
    """
    asked = text_of_input(case.input, instructions=False).strip() or text_of_input(case.input)
    text = unicodedata.normalize("NFKC", asked[:_LONGEST]).casefold()
    words = " ".join(_WORD.findall(text)) or text.strip() or "-"
    letters = np.frombuffer(f" {words} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(
        np.uint64
    )
    hashes = letters[:-2] * _PRIMES[0] + letters[1:-1] * _PRIMES[1] + letters[2:] * _PRIMES[2]
    # Products alone leave structure in the low bits; MurmurHash3's finaliser (Appleby) takes it out.
    hashes ^= hashes >> np.uint64(33)
    hashes *= np.uint64(0xFF51AFD7ED558CCD)
    hashes ^= hashes >> np.uint64(33)
    return np.unique(hashes)


def sketch_of(case: Case) -> bytes:
    """260 bytes: how many runs there are, and the counters."""
    runs = runs_of(case)
    signs = np.where(runs & np.uint64(1 << 40), 1.0, -1.0)
    counters = np.bincount((runs & np.uint64(_COUNTERS - 1)).astype(np.int64), signs, _COUNTERS)
    return np.uint32(len(runs)).tobytes() + np.clip(counters, -127, 127).astype(np.int8).tobytes()


def resemblance(one: Runs, other: Runs) -> float:
    """0 for nothing in common, 1 for the same."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return float(common / np.sqrt(len(one) * len(other)))


class SketchTable:
    """Many sketches, to be compared all at once."""

    def __init__(self, sketches: Sequence[bytes]) -> None:
        raw = np.frombuffer(b"".join(sketches), dtype=np.uint8).reshape(len(sketches), 4 + _COUNTERS)
        sizes = raw[:, :4].copy().view(np.uint32).astype(np.float32)
        counters = raw[:, 4:].copy().view(np.int8).astype(np.float32)
        roots = np.sqrt(np.maximum(sizes, 1)).astype(np.float32)
        self._vectors: NDArray[np.float32] = (counters / roots).astype(np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    def estimates(self, start: int = 0) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """For each row from `start` on: its number, and its estimated resemblance to every row before it."""
        step = max(1, _BLOCK // max(1, len(self)))
        for first in range(start, len(self), step):
            last = min(first + step, len(self))
            block = self._vectors[first:last] @ self._vectors[:last].T
            for row in range(first, last):
                yield row, block[row - first, :row]
