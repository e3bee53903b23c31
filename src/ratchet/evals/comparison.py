"""What a comparison says: frozen values that become JSON as they are. None is unknown, never zero."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # the values are for every reader, their computation for few
    from ratchet.stats.intervals import Interval

__all__ = [
    "CaseChange",
    "Comparison",
    "Corrected",
    "Estimate",
    "ResourceComparison",
    "ScorerComparison",
    "SliceComparison",
    "known",
]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number and where the truth lies with the comparison's confidence. `method` names how the limits came about.

    `cases` were used, from `sources` sources. All three numbers are None where there was nothing to estimate from,
    the limits alone where one source can't say how sure one is.
    """

    value: float | None
    low: float | None
    high: float | None
    cases: int
    sources: int
    method: str

    @classmethod
    def of(cls, interval: Interval) -> Estimate:
        return cls(
            value=known(interval.estimate),
            low=known(interval.low),
            high=known(interval.high),
            cases=interval.n,
            sources=interval.clusters,
            method=interval.method,
        )


class CaseChange(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One case under one scorer. `gain` is what the candidate has over the baseline, turned so that more is better.

    `change`: better (green), worse (red), same, or unscored where either side is.
    """

    case_id: str
    baseline: float | None
    candidate: float | None
    gain: float | None
    change: str
    source: str = ""
    tags: list[str] = []


class SliceComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The cases with one tag. `p_adjusted` is Holm's over all slices of the scorer."""

    tag: str
    difference: Estimate
    p: float | None
    p_adjusted: float | None
    test: str
    significant: bool


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """Means as people would have given them: the judge's, corrected by the cases that people labelled (PPI++).

    Right where the labelled cases were drawn at random. `labels` cases were used for the difference. `trust` (λ) says
    how much the judge's verdicts on the other cases helped: 0 not at all, 1 as much as labels. `labels_to_halve` more
    labels would halve the interval of the difference; None where labelling every case would not.
    """

    baseline: Estimate | None
    candidate: Estimate | None
    difference: Estimate | None
    labels: int
    trust: float | None
    labels_to_halve: int | None


class ScorerComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer over the cases that both sides have scored. `difference` is candidate minus baseline.

    `verdict`: better, worse, or "no difference seen" at the comparison's confidence. `detectable` is the smallest
    difference that so many cases show with 80 % probability; `cases_needed` is how many cases would show the observed
    one with 80 %, None where it is zero. `cases` is sorted: the largest loss first, unscored cases last.
    """

    scorer: str
    title: str
    higher_is_better: bool
    binary: bool
    baseline: Estimate
    candidate: Estimate
    difference: Estimate
    p: float | None
    test: str
    verdict: str
    detectable: float | None
    cases_needed: int | None
    better: int
    worse: int
    same: int
    unscored_baseline: int  # cases, of those both sides ran
    unscored_candidate: int
    slices: list[SliceComparison]
    cases: list[CaseChange]
    corrected: Corrected | None = None


class ResourceComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Cost in US dollars, or latency in seconds, of one answer. `ratio` is candidate over baseline.

    `p95` are those of the cases' means. `unknown` cases, of those both sides ran, have no number on a side.
    """

    measure: str  # cost | latency
    baseline: Estimate
    candidate: Estimate
    difference: Estimate
    ratio: Estimate
    p: float | None
    baseline_p95: float | None
    candidate_p95: float | None
    unknown: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two candidates on the same cases. `cases` both ran; the others are listed, and in no number."""

    cases: int
    sources: int
    only_baseline: list[str]
    only_candidate: list[str]
    confidence: float
    resamples: int  # 0: intervals are cluster-robust t intervals instead of bootstraps
    seed: int
    scorers: list[ScorerComparison]
    cost: ResourceComparison | None  # None where no cost is known
    latency: ResourceComparison | None


def known(number: float) -> float | None:
    """None for what JSON can't hold: NaN and infinities."""
    return float(number) if math.isfinite(number) else None
