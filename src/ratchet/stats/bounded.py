"""One-sided bounds for the mean of values that can't leave a known range: right for any number of observations.

Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable";
Learned-Miller & Thomas 2019, "A new confidence interval for the mean of a bounded random variable". One imagined
observation at the worst end of the range joins the others, all are weighted by a flat Dirichlet, and the bound is
the α-quantile of the weighted mean. For zeros and ones that is Clopper and Pearson's exact bound; for many
observations it is as wide as Student's. Twenty differences that are all zero don't make it zero wide, as they do t.
That it holds for every distribution is a conjecture which no simulation has broken; `prove/` tries too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from ratchet.stats.clusters import Codes, Floats, as_floats, per_cluster, reweighed
from ratchet.stats.intervals import Interval, mean_interval

__all__ = ["Bounded", "Bounds", "mean_bounds", "ranged_interval", "within"]

_FEW = 10  # clusters that differ from the rest: with fewer, their spread says too little about what was never seen


class Bounded(msgspec.Struct, frozen=True, kw_only=True):
    """Observations by cluster: sums and sizes, shape (clusters,). No observation can be outside `low` to `high`."""

    sums: Floats
    sizes: Floats
    low: float
    high: float


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The mean is above `low` with probability 1 − α, and below `high` with probability 1 − α (each, not both)."""

    estimate: float
    low: float
    high: float


def mean_bounds(
    limits: Sequence[tuple[Bounded, Bounded]],
    alphas: Sequence[tuple[float, float]],
    *,
    rng: np.random.Generator,
    resamples: int = 4000,
) -> list[Bounds]:
    """Bounds of several means over the same clusters, from the same weights.

    Each limit is two views of one mean: the first gives the lower bound, the second the upper one. They differ where
    observations are missing: the first then holds the worst that these could be, the second the best. Every view has
    the same clusters in the same order; a cluster without observations of this mean has size 0. `alphas`: the α of
    the lower and of the upper bound. The imagined observation is a whole cluster of the largest size.
    """
    if not limits:
        return []
    columns: list[Floats] = []
    for lower, upper in limits:
        for view, worst in ((lower, lower.low), (upper, upper.high)):
            largest = float(np.max(view.sizes, initial=1.0))
            columns.append(np.append(view.sums - worst * view.sizes, 0.0))
            columns.append(np.append(view.sizes, largest))
    totals = reweighed(np.column_stack(columns), resamples, rng)
    found: list[Bounds] = []
    for index, ((lower, upper), (below, above)) in enumerate(zip(limits, alphas, strict=True)):
        first, second = totals[:, 4 * index : 4 * index + 2].T, totals[:, 4 * index + 2 : 4 * index + 4].T
        n = float(lower.sizes.sum())
        found.append(
            Bounds(
                estimate=float(lower.sums.sum() / n) if n else math.nan,
                low=lower.low + _order(first[0] / first[1], below),
                high=upper.high - _order(-second[0] / second[1], above),
            )
        )
    return found


def ranged_interval(
    values: ArrayLike,
    clusters: Codes | None = None,
    *,
    low: float,
    high: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Interval:
    """The interval of a mean of values that can't leave `low` to `high`, and which doesn't leave it either.

    Student's or the cluster-robust one, cut off at the ends of the range. Where fewer than ten clusters hold another
    value than the commonest, the bounds above at half the error each: t then knows little of the other values. Twenty
    ones would give it a width of zero, and of twenty grades with one in twenty below the best it holds the truth in
    62 % of trials. An end of the range may be infinite; then it is t in any case, and so it is where a value lies
    outside of a range that was none.
    """
    array = as_floats(values)
    if np.any((array < low) | (array > high)):
        low, high = -math.inf, math.inf
    student = mean_interval(array, clusters, confidence=confidence)
    if student.clusters < 2 or not (math.isfinite(low) and math.isfinite(high)):
        return within(student, low, high)
    scored = ~np.isnan(array)
    kept = array[scored]
    distinct, counts = np.unique(kept, return_counts=True)
    others = kept != distinct[counts.argmax()]
    differing = int(others.sum()) if clusters is None else len(np.unique(clusters[scored][others]))
    if differing >= _FEW:
        return within(student, low, high)
    sums, sizes = per_cluster(array, clusters)
    view = Bounded(sums=sums, sizes=sizes, low=low, high=high)
    tail = (1 - confidence) / 2
    (bounds,) = mean_bounds([(view, view)], [(tail, tail)], rng=rng)
    return within(
        msgspec.structs.replace(student, low=bounds.low, high=bounds.high, method="bounded mean"), low, high
    )


def within(interval: Interval, low: float, high: float) -> Interval:
    """What of an interval lies in a range that the truth can't leave: it holds the truth as often as before."""
    return msgspec.structs.replace(
        interval,
        estimate=_cut(interval.estimate, low, high),
        low=interval.low if math.isinf(interval.low) else _cut(interval.low, low, high),
        high=interval.high if math.isinf(interval.high) else _cut(interval.high, low, high),
    )


def _cut(number: float, low: float, high: float) -> float:
    return number if math.isnan(number) else min(max(number, low), high)


def _order(replicates: Floats, alpha: float) -> float:
    """The ⌊α(B + 1)⌋-th smallest: with that rank the chance of falling below it is at most α, B finite or not."""
    rank = math.floor(alpha * (len(replicates) + 1))
    if rank < 1:
        return float(replicates.min())
    return float(np.partition(replicates, rank - 1)[rank - 1])
