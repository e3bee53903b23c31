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

from ratchet.stats.clusters import Floats, reweighed

__all__ = ["Bounded", "Bounds", "mean_bounds"]


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


def _order(replicates: Floats, alpha: float) -> float:
    """The ⌊α(B + 1)⌋-th smallest: with that rank the chance of falling below it is at most α, B finite or not."""
    rank = math.floor(alpha * (len(replicates) + 1))
    if rank < 1:
        return float(replicates.min())
    return float(np.partition(replicates, rank - 1)[rank - 1])
