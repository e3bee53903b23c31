"""Runs of words or characters that texts share, counted. BLEU, chrF and ROUGE are all made of these counts.

With numpy it takes a third of the time that dictionaries of slices take.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shared", "character_codes", "shared_runs", "word_codes"]

Codes = NDArray[np.int64]


class Shared(NamedTuple):
    """Runs of one size that a text shares: with each reference, and with the most that any reference has of a run."""

    each: list[int]
    any: int


def character_codes(texts: Sequence[str]) -> list[Codes]:
    """A number for each character."""
    return [
        np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) for text in texts
    ]


def word_codes(texts: Sequence[Sequence[str]]) -> list[Codes]:
    """A number for each word, the same for the same word in every text."""
    numbers: dict[str, int] = {}
    return [np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64) for words in texts]


def shared_runs(made: Codes, references: Sequence[Codes], most: int) -> list[Shared]:
    """For runs of 1 to `most`: how many of `made`'s are in the references, each counted as often as both have it."""
    cuts = np.cumsum([0, len(made), *map(len, references)])
    kinds, flat = np.unique(np.concatenate([made, *references]), return_inverse=True)
    base = len(kinds)
    letters = _parts(flat, cuts.tolist())
    runs, found = letters, [_shared(letters, base)]
    for size in range(2, most + 1):
        # A run is numbered by the run before its last letter and that letter; numbers are closed up again each time,
        # so that they stay below the length of all texts times the letters there are.
        longer = [run[:-1] * base + letter[size - 1 :] for run, letter in zip(runs, letters, strict=True)]
        cuts = np.cumsum([0, *map(len, longer)])
        kinds, flat = np.unique(np.concatenate(longer), return_inverse=True)
        runs = _parts(flat, cuts.tolist())
        found.append(_shared(runs, len(kinds)))
    return found


def _parts(flat: Codes, cuts: list[int]) -> list[Codes]:
    return [flat[begin:end] for begin, end in pairwise(cuts)]


def _shared(runs: list[Codes], kinds: int) -> Shared:
    made, *references = (np.bincount(run, minlength=kinds) for run in runs)
    each = [int(np.minimum(made, reference).sum()) for reference in references]
    if len(references) == 1:
        return Shared(each, each[0])
    return Shared(each, int(np.minimum(made, np.maximum.reduce(references)).sum()))
