"""Judges against people: how far do they agree, what moves a judge that shouldn't, and what is its mean worth?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from ratchet.evals.comparison import Estimate, known
from ratchet.stats.agreement import Confusion, cohen_kappa, confusion, krippendorff_alpha
from ratchet.stats.bounded import ranged_interval
from ratchet.stats.clusters import Codes, Floats, clusters_of, resampled, totalled
from ratchet.stats.intervals import Interval, bootstrap_limits, mean_interval, share_interval
from ratchet.stats.ppi import Powered, ppi_mean

__all__ = [
    "BothOrders",
    "Calibration",
    "CorrectedMean",
    "PositionBias",
    "Rated",
    "calibrate",
    "corrected_mean",
    "position_bias",
]

_CLASSES = 20  # with more distinct values than that, they are a scale and not classes
_FEW = 3  # of each kind, below which a bias is not estimated


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """One output, as the judge and as a person rated it, on the same scale. NaN: unscored, or nobody looked.

    `length` of the output in characters, None where unknown. `own`: the judge's own model, or one of its family, wrote
    the output; None where unknown.
    """

    case_id: str
    judge: float
    human: float = math.nan
    source: str = ""
    length: int | None = None
    own: bool | None = None


class BothOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Which of two outputs, "a" or "b", a judge preferred when a was shown first, and when b was; else "tie"."""

    case_id: str
    a_first: str
    b_first: str
    source: str = ""


class CorrectedMean(msgspec.Struct, frozen=True, kw_only=True):
    """`judged`: the judge's mean over all. `corrected`: the mean as people would give it (PPI++), right where the
    labelled outputs were drawn at random. `selection`: the judge's mean on the labelled outputs less that on the others,
    which is about 0 if they were; None with fewer than three of either. `trust` is λ; `worth` is how many labels alone would say as much;
    `labels_to_halve` more labels would halve the interval, None where labelling all outputs would not."""

    judged: Estimate
    labels_only: Estimate
    corrected: Estimate
    labels: int
    trust: float
    worth: float
    labels_to_halve: int | None
    selection: Estimate | None = None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A judge beside people, over the outputs that both rated. None where there is too little to say.

    `agreement` is the share rated alike, `kappa` Cohen's κ, `weighted_kappa` the one with squared weights, `alpha`
    Krippendorff's at the interval level (for two classes: the nominal one). `bias` is judge minus human in the mean.
    `length_bias`: by how much that grows with each doubling of an output's length. `self_preference`: by how much it
    is larger for outputs of the judge's own model than for others. κ and confusion are None where ratings take more
    than 20 distinct values. All intervals draw whole sources.
    """

    rated: int  # by both
    unscored: int  # outputs that the judge left unscored
    agreement: Estimate | None
    kappa: Estimate | None
    weighted_kappa: Estimate | None
    alpha: Estimate | None
    confusion: Confusion | None  # rows: people; columns: the judge
    bias: Estimate | None
    length_bias: Estimate | None
    self_preference: Estimate | None
    mean: CorrectedMean | None


class PositionBias(msgspec.Struct, frozen=True, kw_only=True):
    """`flipped`: the share of pairs whose verdict depends on the order. `lean`: how often the first shown wins less how
    often the second does, over both orders: −1 to 1, and 0 for a judge to whom order is nothing, whatever the quality
    of the outputs."""

    pairs: int
    flipped: Estimate
    lean: Estimate


class _Draw(msgspec.Struct, frozen=True, kw_only=True):
    rng: np.random.Generator
    confidence: float
    resamples: int


def calibrate(
    rows: Sequence[Rated], *, seed: int = 0, confidence: float = 0.95, resamples: int = 2000
) -> Calibration:
    """Measures one judge (one model with one prompt). Pure; the same seed gives the same numbers.

    Length and self-preference are measured on what the judge says beyond people: an output that is longer because it
    is better moves both alike. So they need outputs that people rated too.
    """
    draw = _Draw(rng=np.random.Generator(np.random.SFC64(seed)), confidence=confidence, resamples=resamples)
    judge = np.array([each.judge for each in rows], dtype=np.float64)
    human = np.array([each.human for each in rows], dtype=np.float64)
    clusters = clusters_of([each.source for each in rows])
    both = ~np.isnan(judge + human)
    excess = judge - human
    distinct = np.unique(np.concatenate([judge[both], human[both]]))
    classes = 0 < len(distinct) <= _CLASSES
    bias = ranged_interval(excess, clusters, low=-1.0, high=1.0, rng=draw.rng, confidence=confidence)
    alpha = krippendorff_alpha(
        [human, judge],
        clusters,
        rng=draw.rng,
        level="nominal" if len(distinct) <= 2 else "interval",
        confidence=confidence,
        resamples=resamples,
    )
    agreement = share_interval(np.where(both, excess == 0, np.nan), clusters, confidence=confidence)
    return Calibration(
        rated=int(both.sum()),
        unscored=int(np.isnan(judge).sum()),
        agreement=_estimate(agreement) if classes else None,
        kappa=_kappa(human, judge, clusters, draw, squared=False) if classes else None,
        weighted_kappa=_kappa(human, judge, clusters, draw, squared=True) if classes else None,
        alpha=_estimate(alpha),
        confusion=_confusion(human, judge) if classes else None,
        bias=_estimate(bias),
        length_bias=_length_bias(rows, excess, clusters, draw),
        self_preference=_self_preference(rows, excess, clusters, draw),
        mean=_with_selection(corrected_mean(rows, confidence=confidence), judge, human, clusters, draw),
    )


def corrected_mean(rows: Sequence[Rated], *, confidence: float = 0.95) -> CorrectedMean | None:
    """The judge's mean over all outputs, corrected by those that people rated. None where nobody rated any."""
    judge = np.array([each.judge for each in rows], dtype=np.float64)
    human = np.array([each.human for each in rows], dtype=np.float64)
    clusters = clusters_of([each.source for each in rows])
    found: Powered = ppi_mean(human, judge, clusters, confidence=confidence)
    if not found.labelled:
        return None
    return CorrectedMean(
        judged=Estimate.of(mean_interval(judge, clusters, confidence=confidence)),
        labels_only=Estimate.of(mean_interval(human, clusters, confidence=confidence)),
        corrected=Estimate.of(found.interval),
        labels=found.labelled,
        trust=found.trust,
        worth=found.worth,
        labels_to_halve=found.labels_to_halve,
    )


def position_bias(rows: Sequence[BothOrders], *, confidence: float = 0.95) -> PositionBias:
    """Raises ValueError for a preference that is neither "a" nor "b" nor "tie"; leave out pairs that lack an order."""
    clusters = clusters_of([each.source for each in rows])
    flipped = np.array([float(each.a_first != each.b_first) for each in rows])
    lean = np.array([(_won(each.a_first, "a") + _won(each.b_first, "b")) / 2 for each in rows])
    return PositionBias(
        pairs=len(rows),
        flipped=Estimate.of(share_interval(flipped, clusters, confidence=confidence)),
        lean=Estimate.of(mean_interval(lean, clusters, confidence=confidence)),
    )


def _won(preferred: str, shown_first: str) -> int:
    if preferred not in ("a", "b", "tie"):
        raise ValueError(f"A judge preferred {preferred!r}; expected 'a', 'b' or 'tie'.")
    return 0 if preferred == "tie" else 1 if preferred == shown_first else -1


def _kappa(human: Floats, judge: Floats, clusters: Codes, draw: _Draw, *, squared: bool) -> Estimate | None:
    return _estimate(
        cohen_kappa(
            human,
            judge,
            clusters,
            rng=draw.rng,
            weights="quadratic" if squared else "none",
            confidence=draw.confidence,
            resamples=draw.resamples,
        )
    )


def _confusion(human: Floats, judge: Floats) -> Confusion:
    both = ~np.isnan(human + judge)
    values = np.unique(np.concatenate([human[both], judge[both]]))
    first, second = ([f"{value:g}" for value in side[both]] for side in (human, judge))
    found = confusion(first, second, [f"{value:g}" for value in values])
    return msgspec.structs.replace(found, missing=int(np.sum(~both)))


def _length_bias(rows: Sequence[Rated], excess: Floats, clusters: Codes, draw: _Draw) -> Estimate | None:
    """The slope of the judge's excess over the logarithm of length to base 2."""
    doublings = np.array([math.log2(each.length) if each.length else math.nan for each in rows])
    there = ~np.isnan(excess + doublings)
    if there.sum() < _FEW or np.ptp(doublings[there]) == 0:
        return None
    x, y = doublings[there] - doublings[there].mean(), excess[there] - excess[there].mean()

    def slope(totals: Floats) -> Floats:
        n, sx, sy, sxx, sxy = totals.T
        spread = n * sxx - sx**2
        return (n * sxy - sx * sy) / np.where(spread > 1e-9 * n * sxx, spread, np.nan)

    return _drawn([np.ones(len(x)), x, y, x * x, x * y], clusters[there], slope, draw)


def _self_preference(rows: Sequence[Rated], excess: Floats, clusters: Codes, draw: _Draw) -> Estimate | None:
    own = np.array([math.nan if each.own is None else float(each.own) for each in rows])
    return _gap(excess, own, clusters, draw)


def _with_selection(
    mean: CorrectedMean | None, judge: Floats, human: Floats, clusters: Codes, draw: _Draw
) -> CorrectedMean | None:
    if mean is None:
        return None
    labelled = (~np.isnan(human)).astype(np.float64)
    return msgspec.structs.replace(mean, selection=_gap(judge, labelled, clusters, draw))


def _gap(values: Floats, mine: Floats, clusters: Codes, draw: _Draw) -> Estimate | None:
    """The mean of the values where `mine` is 1 less that where it is 0. None with few of either."""
    there = ~np.isnan(values + mine)
    own, others = mine[there], 1 - mine[there]
    if own.sum() < _FEW or others.sum() < _FEW:
        return None
    y = values[there]

    def difference(totals: Floats) -> Floats:
        own_sum, own_n, other_sum, other_n = totals.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return own_sum / own_n - other_sum / other_n

    return _drawn([y * own, own, y * others, others], clusters[there], difference, draw)


def _drawn(
    columns: Sequence[Floats], clusters: Codes, statistic: Callable[[Floats], Floats], draw: _Draw
) -> Estimate:
    """A statistic of totals, with its cluster bootstrap."""
    _, place = np.unique(clusters, return_inverse=True)
    count = int(place.max()) + 1
    rows = np.column_stack([totalled(column, place, count) for column in columns])
    low = high = None
    if count > 1:
        replicates = statistic(resampled(rows, draw.resamples, draw.rng))
        ends = bootstrap_limits(replicates, confidence=draw.confidence, freedom=count - 1)
        if ends[0] < ends[1]:  # replicates that are all alike tell nothing
            low, high = known(ends[0]), known(ends[1])
    return Estimate(
        value=known(float(statistic(rows.sum(axis=0, keepdims=True))[0])),
        low=low,
        high=high,
        cases=len(clusters),
        sources=count,
        method="bootstrap" if count == len(clusters) else "cluster bootstrap",
    )


def _estimate(interval: Interval) -> Estimate | None:
    return Estimate.of(interval) if interval.n else None
