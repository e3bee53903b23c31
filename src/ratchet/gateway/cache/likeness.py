"""What speaks for and against two questions meaning the same, as features that `learning` weighs. Pure.

Beside the cosine of the whole questions: the words that only one of them has, how near the most foreign of these comes
to any word of the other, the order of those that both have, and how far the next question with another answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.gateway.cache.learning import Features
from ratchet.gateway.cache.tokens import words_of

__all__ = ["PRIORS", "Wording", "content_words", "features_of"]

Wording = Callable[[Sequence[str]], NDArray[np.float32]]
"""Words to their unit vectors."""

# How far the weights of each family may be from 0, as variances. One entry, and one pair of words, is believed to
# differ less from the others than likeness itself matters.
PRIORS = {
    "bias": 4.0, "near": 4.0, "cosine": 4.0, "margin": 4.0, "count": 2.0, "foreign": 4.0, "order": 4.0,
    "entry": 0.5, "slope": 0.5, "swap": 1.0, "only": 0.5,
}  # fmt: skip
_MIDDLE, _SCALE = 0.85, 5.0  # of cosines: most questions that mean the same lie around it
_MOST_WORDS = 64
_UNSAID = (
    "a an the i me my mine we us our you your it its this that these those there is are was were be been do does did "
    "have has had can could would will should may might must shall what which how please tell give show of to in on for "
    "with at by from and or so if then than as know let just also some any"
)
_UNSAYING = frozenset(_UNSAID.split())


def content_words(text: str) -> tuple[str, ...]:
    """The words that say what is asked, in order."""
    words = words_of(text)
    return tuple(word for word in words if word not in _UNSAYING)[:_MOST_WORDS] or tuple(words[:_MOST_WORDS])


def features_of(
    asked: Sequence[str],
    kept: Sequence[str],
    *,
    entry: int,
    cosine: float,
    runner_up: float,
    vectors: Wording,
) -> Features:
    """Of a question's words and those of a kept one. `runner_up` is the cosine to the nearest question with another
    answer, or less where there is none near."""
    mine, theirs = set(asked), set(kept)
    new = [word for word in dict.fromkeys(asked) if word not in theirs]
    gone = [word for word in dict.fromkeys(kept) if word not in mine]
    foreign = max(_foreign(new, kept, vectors), _foreign(gone, asked, vectors))
    changed = len(new) + len(gone)
    moved = _moved(asked, kept)
    above = (cosine - _MIDDLE) * _SCALE
    features = [
        ("bias", 1.0),
        ("cosine", above),
        (f"near:{int(min(cosine, 0.999) * 20)}", 1.0),
        ("margin", min(max(cosine - runner_up, -0.2), 0.4) * 4),
        ("count", changed * 0.3),
        (f"count:{min(changed, 8)}", 1.0),
        ("foreign", foreign),
        ("order", float(min(moved, 3))),
        (f"order:{min(moved, 3)}", 1.0),
        (f"entry:{entry}", 1.0),
        (f"slope:{entry}", above),
    ]
    return features + _changes(new, gone)


def _changes(new: Sequence[str], gone: Sequence[str]) -> list[tuple[str, float]]:
    """Which words were exchanged, whichever way."""
    if len(new) == 1 and len(gone) == 1:
        return [("swap:" + "|".join(sorted((new[0], gone[0]))), 1.0)]
    return [(f"only:{word}", 1.0) for word in (*new, *gone)]


def _foreign(words: Sequence[str], others: Sequence[str], vectors: Wording) -> float:
    """1 less the cosine of the most foreign of `words` to the nearest of `others`; 0 where there are none."""
    if not words:
        return 0.0
    if not others:
        return 1.0
    return 1 - float((vectors(words) @ vectors(others).T).max(axis=1).min())


def _moved(asked: Sequence[str], kept: Sequence[str]) -> int:
    """How many pairs of the words that both have stand in another order."""
    places = {word: place for place, word in reversed(list(enumerate(kept)))}
    found = [places[word] for word in dict.fromkeys(asked) if word in places]
    return _inversions(found)


def _inversions(places: Iterable[int]) -> int:
    seen: list[int] = []
    count = 0
    for place in places:
        count += sum(place < earlier for earlier in seen)
        seen.append(place)
    return count
