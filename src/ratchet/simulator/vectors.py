"""Text to numbers: similar texts are near each other, by their letters and not by their meaning.

A text's vector is a hashed bag of its words and of the runs of three to five characters in them. Each run adds a
sign at one of a fixed number of places (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning",
2009), damped by its logarithm; the sum is projected to the wanted width and normalised to length 1.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from hashlib import blake2b

__all__ = ["vector"]

_WORD = re.compile(r"\w+")
_RUNS = (3, 4, 5)
_WORD_WEIGHT = 2.0


def vector(text: str, width: int) -> list[float]:
    """`width` numbers whose squares sum to 1. Deterministic; a text without a letter gets a vector of its own."""
    found = [0.0] * width
    for run, weight in _runs(text).items():
        digest = int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big")
        sign = 1.0 if digest & 1 else -1.0
        found[(digest >> 1) % width] += sign * weight
    length = math.sqrt(sum(value * value for value in found))
    if not length:
        # Runs can cancel out, or there are none: such a text still gets its place.
        found[int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") % width] = 1.0
        return found
    return [value / length for value in found]


def _runs(text: str) -> dict[str, float]:
    """Words and runs of characters with their weights."""
    words = Counter(_WORD.findall(text.lower()))
    weights: dict[str, float] = {}
    for word, times in words.items():
        weight = 1.0 + math.log(times)
        weights[f"={word}"] = _WORD_WEIGHT * weight
        framed = f"<{word}>"
        for size in _RUNS:
            for start in range(len(framed) - size + 1):
                run = framed[start : start + size]
                weights[run] = weights.get(run, 0.0) + weight / math.sqrt(len(framed))
    return weights
