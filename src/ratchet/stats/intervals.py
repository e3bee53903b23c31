"""Intervals for means and shares, of independent observations and of observations that come in clusters."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from ratchet.stats.clusters import Codes, Floats, as_floats, per_cluster, resampled

__all__ = [
    "Interval",
    "Robust",
    "bootstrap_interval",
    "bootstrap_limits",
    "design_effect",
    "mean_interval",
    "robust",
    "share_interval",
    "wilson",
]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate and where the truth lies with probability `confidence`, in the units of the values.

    `n` observations were used, from `clusters` sources; `missing` were unscored and left out. Nothing to estimate
    from makes all three NaN; too little to say how sure one is (one cluster) makes the limits infinite.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    n: int
    clusters: int
    missing: int = 0
    method: str

    @property
    def half(self) -> float:
        """Half the width."""
        return (self.high - self.low) / 2


class Robust(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over clusters with its CR2 standard error and Satterthwaite's degrees of freedom."""

    mean: float
    error: float
    freedom: float
    n: int
    clusters: int


def robust(sums: Floats, sizes: Floats) -> Robust:
    """The mean of all observations, and its standard error when clusters are drawn, not observations.

    Bell & McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage samples" (CR2
    and its degrees of freedom), written out for a mean: with h the clusters' shares of the observations and r their
    sums of residuals, the variance is Σ r²/(1 − h) / n². Clusters of one make it the ordinary standard error, and
    the degrees of freedom n − 1. They hold the truth with few and with unequal clusters, where √(Σ r²)/n doesn't.
    """
    n = float(sizes.sum())
    clusters = len(sizes)
    if clusters == 0:
        return Robust(mean=math.nan, error=math.nan, freedom=0, n=0, clusters=0)
    mean = float(sums.sum() / n)
    if clusters == 1:
        return Robust(mean=mean, error=math.inf, freedom=1, n=int(n), clusters=1)
    share = sizes / n
    variance = float(np.sum((sums - mean * sizes) ** 2 / (1 - share))) / n**2
    spread = share**2 / (1 - share)
    freedom = 1 / float(np.sum(share**2) + spread.sum() ** 2 - np.sum(spread**2))
    return Robust(mean=mean, error=math.sqrt(variance), freedom=freedom, n=int(n), clusters=clusters)


def mean_interval(values: ArrayLike, clusters: Codes | None = None, *, confidence: float = 0.95) -> Interval:
    """Student's interval for a mean; with `clusters`, the cluster-robust one (`robust`)."""
    array = as_floats(values)
    found = robust(*per_cluster(array, clusters))
    reach = _t_quantile(found.freedom, confidence) * found.error if found.clusters else math.nan
    return Interval(
        estimate=found.mean,
        low=found.mean - reach,
        high=found.mean + reach,
        confidence=confidence,
        n=found.n,
        clusters=found.clusters,
        missing=len(array) - found.n,
        method="Student's t" if found.clusters == found.n else "cluster-robust t (CR2)",
    )


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score limits for a share (Wilson 1927). `n` may be an effective number, so needn't be whole."""
    if n <= 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes <= 0 else max(0.0, centre - reach)
    high = 1.0 if successes >= n else min(1.0, centre + reach)
    return low, high


def share_interval(values: ArrayLike, clusters: Codes | None = None, *, confidence: float = 0.95) -> Interval:
    """Wilson's interval for the mean of zeros and ones; with `clusters`, on the effective number of observations.

    Dean & Pagano 2015, "Evaluating confidence interval methods for binomial proportions in clustered surveys": n is
    divided by the design effect and scaled by the ratio of the normal to Student's quantile. Where all values are
    alike the design effect can't be estimated, and each source counts once.
    """
    array = as_floats(values)
    sums, sizes = per_cluster(array, clusters)
    n = int(sizes.sum())
    share = float(sums.sum() / n) if n else math.nan
    effective = float(n)
    if len(sizes) < n:
        effective = _effective(robust(sums, sizes), confidence)
    low, high = wilson(share * effective, effective, confidence=confidence)
    return Interval(
        estimate=share,
        low=low,
        high=high,
        confidence=confidence,
        n=n,
        clusters=len(sizes),
        missing=len(array) - n,
        method="Wilson" if len(sizes) == n else "Wilson on the effective number",
    )


def design_effect(values: ArrayLike, clusters: Codes) -> float:
    """How many times larger the variance of the mean is than that of independent observations. 1 where unknown."""
    array = as_floats(values)
    grouped = robust(*per_cluster(array, clusters))
    alone = robust(*per_cluster(array, None))
    if grouped.clusters < 2 or alone.error == 0:
        return 1.0
    return (grouped.error / alone.error) ** 2


def bootstrap_interval(
    values: ArrayLike,
    clusters: Codes | None = None,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Percentile bootstrap of a mean; with `clusters`, whole clusters are drawn (Davison & Hinkley 1997, 3.8)."""
    array = as_floats(values)
    sums, sizes = per_cluster(array, clusters)
    found = robust(sums, sizes)
    low = high = found.mean
    if found.clusters == 1:
        low, high = -math.inf, math.inf
    elif found.clusters:
        totals = resampled(np.column_stack([sums - found.mean * sizes, sizes]), resamples, rng)
        low, high = bootstrap_limits(
            found.mean + totals[:, 0] / totals[:, 1], confidence=confidence, freedom=found.freedom
        )
    return Interval(
        estimate=found.mean,
        low=low,
        high=high,
        confidence=confidence,
        n=found.n,
        clusters=found.clusters,
        missing=len(array) - found.n,
        method="bootstrap" if found.clusters == found.n else "cluster bootstrap",
    )


def bootstrap_limits(
    replicates: Floats, *, confidence: float = 0.95, freedom: float = math.inf
) -> tuple[float, float]:
    """Limits from replicates of an estimate: percentiles, widened where few clusters stand behind them.

    Hesterberg 2015, "What teachers should know about the bootstrap", section 5: plain percentiles are those of a
    normal distribution with the variance n − 1 over n too small; asking for Φ(−√(g/(g − 1))·t) in place of the
    tail repairs both. `freedom` is g − 1. NaN replicates (an estimate that a resample leaves undefined) are left out.
    """
    kept = replicates[~np.isnan(replicates)]
    if len(kept) == 0:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    if math.isfinite(freedom):
        widened = math.sqrt((freedom + 1) / freedom) * _t_quantile(freedom, confidence)
        tail = NormalDist().cdf(-widened)
    low, high = np.quantile(kept, [tail, 1 - tail])
    return float(low), float(high)


def _effective(found: Robust, confidence: float) -> float:
    share = found.mean
    if found.clusters < 2 or share in (0, 1) or found.error == 0:
        return float(found.clusters)
    by_variance = share * (1 - share) / found.error**2
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return min(float(found.n), by_variance * (z / _t_quantile(found.freedom, confidence)) ** 2)


def _t_quantile(freedom: float, confidence: float) -> float:
    return float(stdtrit(freedom, (1 + confidence) / 2))
