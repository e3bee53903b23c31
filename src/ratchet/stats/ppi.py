"""Prediction-powered inference: a few labels from people and many verdicts of a judge, together.

Angelopoulos, Duchi & Zrnic 2023, "PPI++: efficient prediction-powered inference", for means, with the weight of the
judge tuned; Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023, "Prediction-powered inference", for the idea. The
estimate is the mean label plus λ times what the judge's verdicts on unlabelled cases differ from its verdicts on the
labelled ones. It is right for any judge, however biased, where the labelled cases were drawn at random.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from ratchet.stats.clusters import Codes, Floats, as_floats
from ratchet.stats.intervals import Interval

__all__ = ["Powered", "ppi_mean"]


class Powered(msgspec.Struct, frozen=True, kw_only=True):
    """A mean as people would give it. `trust` is λ, from 0 (labels alone count) to 1 (the judge is as good as they).

    `judged` is the uncorrected mean of the judge over all cases. `worth` is how many labels alone would give an
    interval as narrow. `labels_to_halve` more labels, on cases that are there, would halve it; None where labelling
    them all would not.
    """

    interval: Interval
    trust: float
    labelled: int
    unlabelled: int
    judged: float
    worth: float
    labels_to_halve: int | None


class _Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Variances of the two terms and their covariance, over clusters, at the present number of labels."""

    label: float  # of the mean label
    judge: float  # of the judge's mean on unlabelled cases minus that on labelled ones
    both: float
    clusters: int  # with labels in them


def ppi_mean(
    labels: ArrayLike,
    judged: ArrayLike,
    clusters: Codes | None = None,
    *,
    confidence: float = 0.95,
) -> Powered:
    """The mean label over all cases, from `labels` (NaN where nobody looked) and `judged`, same length and scale.

    Cases that the judge left unscored are left out, labelled or not, and counted. With `clusters`, variances are those
    of cluster totals, and λ is tuned to them. Degrees of freedom are those of the labelled clusters, less one for λ.
    """
    truth, verdicts = as_floats(labels), as_floats(judged)
    if len(truth) != len(verdicts):
        raise ValueError(f"There are {len(truth)} labels and {len(verdicts)} verdicts; expected one for one.")
    there = ~np.isnan(verdicts)
    codes = np.arange(len(truth)) if clusters is None else clusters
    truth, verdicts, codes = truth[there], verdicts[there], codes[there]
    marked = ~np.isnan(truth)
    n, rest = int(marked.sum()), int((~marked).sum())
    missing = int(np.sum(~there))
    if n == 0:
        return _nothing(verdicts, missing, confidence)
    moments = _moments(truth, verdicts, codes, marked)
    trust = _tuned(moments) if rest else 0.0
    estimate = float(truth[marked].mean())
    if trust:
        estimate += trust * float(verdicts[~marked].mean() - verdicts[marked].mean())
    freedom = moments.clusters - 1 - (1 if trust else 0)
    variance = moments.label + 2 * trust * moments.both + trust**2 * moments.judge
    reach = math.inf
    if freedom > 0:
        widened = variance * moments.clusters / freedom
        reach = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(max(0.0, widened))
    interval = Interval(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        confidence=confidence,
        n=n + rest,
        clusters=len(np.unique(codes)),
        missing=missing,
        method="PPI++" if len(np.unique(codes)) == n + rest else "clustered PPI++",
    )
    return Powered(
        interval=interval,
        trust=trust,
        labelled=n,
        unlabelled=rest,
        judged=float(verdicts.mean()),
        worth=n * moments.label / variance if variance > 0 else float(n),
        labels_to_halve=_to_halve(moments, n, rest, variance),
    )


def _moments(
    truth: Floats, verdicts: Floats, codes: Codes, marked: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> _Moments:
    """With one case a cluster these are s²(Y)/n, s²(f)·(1/n + 1/N) and −cov(Y, f)/n, so λ is that of the paper."""
    count = int(codes.max()) + 1
    n, rest = int(marked.sum()), int((~marked).sum())
    of_label = np.bincount(codes[marked], truth[marked] - truth[marked].mean(), count) / n
    of_judge = -np.bincount(codes[marked], verdicts[marked] - verdicts[marked].mean(), count) / n
    if rest:
        unmarked = verdicts[~marked]
        of_judge += np.bincount(codes[~marked], unmarked - unmarked.mean(), count) / rest
    return _Moments(
        label=float(of_label @ of_label),
        judge=float(of_judge @ of_judge),
        both=float(of_label @ of_judge),
        clusters=len(np.unique(codes[marked])),
    )


def _tuned(moments: _Moments) -> float:
    """The λ in [0, 1] with the smallest variance."""
    if moments.judge <= 0 or moments.clusters < 3:
        return 0.0
    return min(1.0, max(0.0, -moments.both / moments.judge))


def _to_halve(moments: _Moments, n: int, rest: int, variance: float) -> int | None:
    """With σ² the variance of labels, ρ the correlation and T cases in all, the variance at m labels is
    σ²(1 − ρ²)/m + σ²ρ²/T. Solved for a quarter of the present one."""
    cases = n + rest
    if variance <= 0 or rest == 0:
        return None
    spread = moments.label * n
    explained = 0.0
    if moments.judge > 0 and moments.label > 0 and moments.both < 0:
        explained = min(1.0, moments.both**2 / (moments.judge * moments.label) * cases / rest)
    left = variance / 4 - spread * explained / cases
    if left <= 0:
        return None
    needed = math.ceil(spread * (1 - explained) / left)
    return needed - n if n < needed <= cases else None


def _nothing(verdicts: Floats, missing: int, confidence: float) -> Powered:
    return Powered(
        interval=Interval(
            estimate=math.nan,
            low=math.nan,
            high=math.nan,
            confidence=confidence,
            n=len(verdicts),
            clusters=0,
            missing=missing,
            method="no labels",
        ),
        trust=0.0,
        labelled=0,
        unlabelled=len(verdicts),
        judged=float(verdicts.mean()) if len(verdicts) else math.nan,
        worth=0.0,
        labels_to_halve=None,
    )
