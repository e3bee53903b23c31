"""Does the answer mean what the reference means, as far as vectors tell?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.errors import RatchetError
from ratchet.scorers.function import FunctionScorer, Result, Unscored
from ratchet.scorers.reading import reference_texts
from ratchet.scorers.scorer import Embed, Scorer, ScorerAbout, TokenEmbedder, Tools
from ratchet.scorers.settings import Settings, needed

__all__ = ["EmbeddingSimilarity", "TokenMatching", "greedy_matching"]


class EmbeddingSimilarity(Settings, frozen=True):
    """The cosine between the answer's vector and the reference's, -1 to 1. Of several references the nearest counts."""

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        embed: Embed = needed(tools.embed, about, "an embedder")

        async def score(case: Case, output: Output) -> Result:
            texts = [output.text, *reference_texts(case)]
            try:
                vectors = await embed(texts)
            except RatchetError as error:
                raise Unscored(f"the texts could not be embedded: {error.message}") from None
            lengths = np.linalg.norm(vectors, axis=1)
            if not lengths[0]:
                raise Unscored("there is nothing in the answer to embed")
            if not lengths[1:].any():
                raise Unscored("there is nothing in the reference to embed")
            return float(np.clip(vectors[1:][lengths[1:] > 0] @ vectors[0], -1, 1).max())

        return FunctionScorer(self.known(about), score)


class TokenMatching(Settings, frozen=True):
    """Each token of one text matched with the nearest of the other, after BERTScore (Zhang et al. 2020).

    The main value is F1; parts: `precision`, `recall`. Of several references that with the best F1 counts.
    """

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        embedder: TokenEmbedder = needed(tools.tokens, about, "an embedder of tokens")

        def score(case: Case, output: Output) -> Result:
            made, *wanted = embedder.tokens([output.text, *reference_texts(case)])
            if not made:
                raise Unscored("there is nothing in the answer to embed")
            found = [greedy_matching(made, each, embedder.token_vectors) for each in wanted if each]
            if not found:
                raise Unscored("there is nothing in the reference to embed")
            precision, recall, f1 = max(found, key=lambda each: each[2])
            return [
                Verdict(name="", value=f1),
                Verdict(name=".precision", value=precision),
                Verdict(name=".recall", value=recall),
            ]

        return FunctionScorer(self.known(about), score)


Vectors = NDArray[np.float32]


def greedy_matching(
    made: Sequence[int], wanted: Sequence[int], vectors: Callable[[Sequence[int]], Vectors]
) -> tuple[float, float, float]:
    """Precision, recall and F1 of two texts' tokens, neither empty. `vectors` gives tokens' unit vectors.

    Precision is the mean over the answer's tokens of the highest cosine with any of the reference's, recall the other
    way round; a cosine below 0 counts as 0, so that all three are in [0, 1]. Unlike BERTScore's, the vectors are those
    of a static model: a token's is the same in every sentence. Nothing is weighted by rarity or rescaled.
    """
    one, other = Counter(made), Counter(wanted)
    both = list(one.keys() & other.keys())  # a token's nearest is itself: only the others are compared
    only, missing = list(one.keys() - other.keys()), list(other.keys() - one.keys())
    near = vectors([*both, *only, *missing])
    shared, ours, theirs = np.split(near, [len(both), len(both) + len(only)])
    between = _cosines(ours, theirs)
    precision = _share(one, both, only, _highest([_cosines(ours, shared), between], 1, len(only)))
    recall = _share(other, both, missing, _highest([_cosines(shared, theirs), between], 0, len(missing)))
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


_AT_ONCE = 250_000  # multiplications


def _cosines(left: Vectors, right: Vectors) -> Vectors:
    """Of each row with each row, shape (left, right). In pieces so small that no threads are started: for matrices of
    this size that takes longer than it saves."""
    rows = max(1, _AT_ONCE // max(1, right.size))
    if len(left) <= rows:
        return left @ right.T
    return np.concatenate([left[begin : begin + rows] @ right.T for begin in range(0, len(left), rows)])


def _highest(cosines: Sequence[Vectors], axis: int, length: int) -> Vectors:
    """The highest cosine of each token, at least 0 and at most 1."""
    highest = np.zeros(length, np.float32)
    for each in cosines:
        if each.size:
            np.maximum(highest, each.max(axis=axis), out=highest)
    return np.minimum(highest, 1)


def _share(counts: Counter[int], both: list[int], others: list[int], highest: Vectors) -> float:
    """The mean over all tokens of a text: 1 for those that both have."""
    found = sum(counts[each] for each in both) + sum(
        counts[each] * value for each, value in zip(others, highest.tolist(), strict=True)
    )
    return found / counts.total()
