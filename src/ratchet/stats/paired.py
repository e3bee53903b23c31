"""Two answers to each case: is their mean difference more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, stdtr

from ratchet.stats.clusters import Codes, as_floats, per_cluster
from ratchet.stats.intervals import Robust, robust

__all__ = ["Test", "holm", "mcnemar", "mean_test", "sign_flip", "t_test"]

_ENUMERATED = 12  # up to so many clusters every pattern of signs is tried: 4,096
_FLIPPED = 100  # up to so many, signs are drawn; above, the t test says the same


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """A two-sided p-value and how it came about. NaN where nothing could be tested."""

    __test__ = False  # pytest collects what is called Test

    p: float
    method: str


def mcnemar(better: int, worse: int) -> float:
    """Mid-p of McNemar's exact test: `better` and `worse` are the cases that changed, one way and the other.

    Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    better than exact conditional".
    """
    changed = better + worse
    if changed == 0:
        return 1.0
    least = min(better, worse)
    below = float(bdtr(least - 1, changed, 0.5)) if least else 0.0
    mid_p = below + float(
        bdtr(least, changed, 0.5)
    )  # P(X < least) + P(X ≤ least): twice the mid-p of one side
    return min(1.0, mid_p)


def sign_flip(sums: ArrayLike, *, rng: np.random.Generator, flips: int = 9999) -> float:
    """Permutation test of "the differences are symmetric about zero", given each cluster's sum of differences.

    A cluster keeps or changes its sign as a whole. Up to 12 clusters every pattern is tried; beyond, `flips` are
    drawn and the observed one counts among them, so p is never 0 (Phipson & Smyth 2010).
    """
    array = as_floats(sums)
    array = array[array != 0]
    count = len(array)
    if count == 0:
        return 1.0
    observed = abs(float(array.sum())) - 1e-9 * float(np.abs(array).sum())
    if count <= _ENUMERATED:
        signs = np.array(list(product((-1.0, 1.0), repeat=count)))
        return float(np.mean(np.abs(signs @ array) >= observed))
    drawn = rng.integers(0, 2, (flips, count), dtype=np.int8)
    extreme = int(np.sum(np.abs(array.sum() - 2 * (drawn @ array)) >= observed))
    return (1 + extreme) / (1 + flips)


def t_test(found: Robust) -> float:
    """Two-sided p of "the mean is zero"; on clusters where `robust` was given clusters. NaN where nothing varies."""
    if found.clusters < 2 or math.isinf(found.error):
        return math.nan
    if found.error == 0:
        return 1.0 if found.mean == 0 else math.nan
    return float(2 * stdtr(found.freedom, -abs(found.mean) / found.error))


def mean_test(
    differences: ArrayLike,
    clusters: Codes | None = None,
    *,
    rng: np.random.Generator,
    binary: bool = False,
) -> Test:
    """Is the mean of paired differences zero? Chooses what is right for the data, and says what it chose.

    `binary`: both sides are 0 or 1, so differences are −1, 0 and 1: McNemar's mid-p, unless observations share a
    cluster. Otherwise the sign-flip test up to 100 clusters, and Student's t on clusters beyond. NaN is left out.
    """
    array = as_floats(differences)
    array_sums, sizes = per_cluster(array, clusters)
    if len(sizes) == 0:
        return Test(p=math.nan, method="nothing to test")
    if binary and bool(np.all(sizes == 1)):
        better, worse = int(np.sum(array_sums > 0)), int(np.sum(array_sums < 0))
        return Test(p=mcnemar(better, worse), method="McNemar mid-p")
    if len(sizes) <= _FLIPPED:
        return Test(p=sign_flip(array_sums, rng=rng), method="sign flip")
    return Test(p=t_test(robust(array_sums, sizes)), method="t")


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted so that one below α means: false for any of them with probability α at most (Holm 1979).

    NaN stays NaN and doesn't count among the tests.
    """
    adjusted = [math.nan] * len(ps)
    order = sorted((index for index, p in enumerate(ps) if not math.isnan(p)), key=lambda index: ps[index])
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted
