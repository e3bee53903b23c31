"""Two candidates on the same cases: which is better, by how much, and how sure can one be?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from ratchet.evals.comparison import (
    CaseChange,
    Comparison,
    Corrected,
    Estimate,
    ResourceComparison,
    ScorerComparison,
    SliceComparison,
    known,
)
from ratchet.evals.results import CaseResult, Pairs, about_of, paired_by_case, scorer_names
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.bounded import Bounded, mean_bounds, ranged_interval, within
from ratchet.stats.clusters import Floats, per_cluster, resampled, totalled
from ratchet.stats.intervals import Interval, bootstrap_limits, mean_interval, robust, share_interval
from ratchet.stats.paired import holm, mean_test
from ratchet.stats.power import cases_needed, detectable
from ratchet.stats.ppi import Powered, ppi_mean

__all__ = ["compare"]

_FEW = 10  # clusters that changed: with fewer, resampling them says too little about how many might have
_POWER = 0.8


class _Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity on both sides, over the paired cases; NaN where unknown. `low` to `high` bound its values."""

    baseline: Floats
    candidate: Floats
    low: float = -math.inf
    high: float = math.inf
    binary: bool = False


class _Draws(msgspec.Struct, frozen=True, kw_only=True):
    """Replicates of both means of one measure, shape (resamples,)."""

    baseline: Floats
    candidate: Floats


class _Setting(msgspec.Struct, frozen=True, kw_only=True):
    pairs: Pairs
    confidence: float
    resamples: int
    rng: np.random.Generator

    @property
    def alpha(self) -> float:
        return 1 - self.confidence


def compare(
    baseline: Sequence[CaseResult],
    candidate: Sequence[CaseResult],
    scorers: Sequence[ScorerAbout] = (),
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compares what both sides did on the cases that both ran. Pure; the same seed gives the same numbers.

    One result for each case, holding all its repeats (`results.CaseResult`); repeats are averaged within the case.
    `scorers` says which scorers there are and what their numbers mean; one that is only named in results is taken to
    be better when larger, and unbounded. Intervals are cluster bootstraps by source, from the same resamples for every
    measure; `resamples` 0 takes cluster-robust t intervals instead, which are as good for many cases and take a
    few milliseconds. Raises ValueError where a side has a case twice.
    """
    pairs = paired_by_case(baseline, candidate)
    setting = _Setting(
        pairs=pairs,
        confidence=confidence,
        resamples=resamples,
        rng=np.random.Generator(np.random.SFC64(seed)),
    )
    described = {each.name: each for each in scorers}
    names = list(dict.fromkeys([*described, *scorer_names(baseline), *scorer_names(candidate)]))
    abouts = [about_of(name, described) for name in names]
    measures = [_measure(pairs, about) for about in abouts]
    (costs, latencies) = (
        _Measure(baseline=first, candidate=second) for first, second in (pairs.costs(), pairs.latencies())
    )
    *drawn, cost_draws, latency_draws = _draw([*measures, costs, latencies], setting)
    return Comparison(
        cases=len(pairs.baseline),
        sources=pairs.sources,
        only_baseline=pairs.only_baseline,
        only_candidate=pairs.only_candidate,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        scorers=[
            _scorer(about, measure, draws, setting)
            for about, measure, draws in zip(abouts, measures, drawn, strict=True)
        ],
        cost=_resource("cost", costs, cost_draws, setting),
        latency=_resource("latency", latencies, latency_draws, setting),
    )


def _measure(pairs: Pairs, about: ScorerAbout) -> _Measure:
    first, second = pairs.means(about.name)
    scored = np.concatenate([first, second])
    scored = scored[~np.isnan(scored)]
    low = -math.inf if about.low is None else about.low
    high = math.inf if about.high is None else about.high
    if np.any((scored < low) | (scored > high)):  # the range was none
        low, high = -math.inf, math.inf
    return _Measure(
        baseline=first,
        candidate=second,
        low=low,
        high=high,
        binary=about.binary and bool(np.all((scored == 0) | (scored == 1))),
    )


def _draw(measures: Sequence[_Measure], setting: _Setting) -> list[_Draws | None]:
    """Resamples every measure at once: the weights are drawn once, and cost more than what is multiplied by them."""
    if setting.resamples == 0 or setting.pairs.sources == 0:
        return [None] * len(measures)
    columns: list[Floats] = []
    centres: list[tuple[float, float]] = []
    for measure in measures:
        both = ~np.isnan(measure.candidate - measure.baseline)
        centre = tuple(
            float(side[both].mean()) if both.any() else 0.0 for side in (measure.baseline, measure.candidate)
        )
        centres.append((centre[0], centre[1]))
        codes, count = setting.pairs.clusters[both], setting.pairs.sources
        columns.append(totalled(measure.baseline[both] - centre[0], codes, count))
        columns.append(totalled(measure.candidate[both] - centre[1], codes, count))
        columns.append(totalled(np.ones(len(codes)), codes, count))
    totals = resampled(np.column_stack(columns), setting.resamples, setting.rng)
    drawn: list[_Draws | None] = []
    for index, (first, second) in enumerate(centres):
        of_baseline, of_candidate, sizes = totals[:, 3 * index : 3 * index + 3].T
        sizes = np.where(sizes > 0, sizes, np.nan)
        drawn.append(_Draws(baseline=first + of_baseline / sizes, candidate=second + of_candidate / sizes))
    return drawn


def _interval(values: Floats, draws: Floats | None, setting: _Setting) -> Interval:
    """The mean of `values` (NaN left out) with limits from its replicates, or Student's where there are none."""
    clusters = setting.pairs.clusters
    student = mean_interval(values, clusters, confidence=setting.confidence)
    if draws is None or student.clusters < 2:
        return student
    low, high = bootstrap_limits(draws, confidence=setting.confidence, freedom=student.clusters - 1)
    method = "bootstrap" if student.clusters == student.n else "cluster bootstrap"
    return msgspec.structs.replace(student, low=low, high=high, method=method)


def _side(values: Floats, draws: Floats | None, measure: _Measure, setting: _Setting) -> Interval:
    """One side's mean, in the scorer's range: resampling can't leave it, and knows nothing of what it hardly ever saw."""
    ranged = ranged_interval(
        values,
        setting.pairs.clusters,
        low=measure.low,
        high=measure.high,
        rng=setting.rng,
        confidence=setting.confidence,
    )
    if draws is None or ranged.method == "bounded mean":
        return ranged
    return _interval(values, draws, setting)


def _difference(measure: _Measure, draws: _Draws | None, setting: _Setting) -> Interval:
    """Candidate minus baseline. Where hardly any source changed, resampling would give an interval that is far too
    narrow (of width zero, if none did): then it is the bounded mean's, which counts what was never seen."""
    differences = measure.candidate - measure.baseline
    scored = ~np.isnan(differences)
    replicates = None if draws is None else draws.candidate - draws.baseline
    width = measure.high - measure.low
    interval = within(_interval(differences, replicates, setting), -width, width)
    changed = len(np.unique(setting.pairs.clusters[scored & (differences != 0)]))
    if interval.clusters == 0 or changed >= min(_FEW, interval.clusters / 2):
        return interval
    if not math.isfinite(width):
        return interval if changed else msgspec.structs.replace(interval, low=-math.inf, high=math.inf)
    sums, sizes = per_cluster(differences, setting.pairs.clusters)
    view = Bounded(sums=sums, sizes=sizes, low=-width, high=width)
    tail = setting.alpha / 2
    (bounds,) = mean_bounds([(view, view)], [(tail, tail)], rng=setting.rng)
    return msgspec.structs.replace(interval, low=bounds.low, high=bounds.high, method="bounded mean")


def _scorer(
    about: ScorerAbout, measure: _Measure, draws: _Draws | None, setting: _Setting
) -> ScorerComparison:
    differences = measure.candidate - measure.baseline
    scored = ~np.isnan(differences)
    clusters = setting.pairs.clusters
    sides = [
        share_interval(np.where(scored, side, np.nan), clusters, confidence=setting.confidence)
        if measure.binary
        else _side(np.where(scored, side, np.nan), replicates, measure, setting)
        for side, replicates in (
            (measure.baseline, draws and draws.baseline),
            (measure.candidate, draws and draws.candidate),
        )
    ]
    difference = _difference(measure, draws, setting)
    test = mean_test(differences, clusters, rng=setting.rng, binary=measure.binary)
    turn = 1 if about.higher_is_better else -1
    n = difference.n
    deviation = _deviation(differences, setting)
    return ScorerComparison(
        scorer=about.name,
        title=about.title,
        higher_is_better=about.higher_is_better,
        binary=about.binary,
        baseline=Estimate.of(sides[0]),
        candidate=Estimate.of(sides[1]),
        difference=Estimate.of(difference),
        p=known(test.p),
        test=test.method,
        verdict=_verdict(test.p, turn * difference.estimate, setting.alpha),
        # Where nothing varied, how much cases vary is unknown, not zero.
        detectable=known(detectable(n, deviation, alpha=setting.alpha, power=_POWER))
        if n > 1 and deviation > 0
        else None,
        cases_needed=cases_needed(difference.estimate, deviation, alpha=setting.alpha, power=_POWER),
        better=int(np.sum(turn * differences > 0)),
        worse=int(np.sum(turn * differences < 0)),
        same=int(np.sum(differences == 0)),
        unscored_baseline=int(np.isnan(measure.baseline).sum()),
        unscored_candidate=int(np.isnan(measure.candidate).sum()),
        slices=_slices(measure, setting),
        cases=_changes(measure, turn, setting.pairs),
        corrected=_corrected(about.name, measure, setting),
    )


def _verdict(p: float, gain: float, alpha: float) -> str:
    if math.isnan(p) or p > alpha or gain == 0:
        return "no difference seen"
    return "better" if gain > 0 else "worse"


def _deviation(differences: Floats, setting: _Setting) -> float:
    """The standard deviation of one case's difference, as large as clusters make it."""
    found = robust(*per_cluster(differences, setting.pairs.clusters))
    return found.error * math.sqrt(found.n) if found.clusters else math.inf


def _slices(measure: _Measure, setting: _Setting) -> list[SliceComparison]:
    """Each tag's cases, with cluster-robust t intervals: they cost little, and slices may be many and small."""
    members: dict[str, list[int]] = {}
    for index, each in enumerate(setting.pairs.baseline):
        for tag in dict.fromkeys(each.tags):
            members.setdefault(tag, []).append(index)
    tags = sorted(members)
    differences = measure.candidate - measure.baseline
    width = measure.high - measure.low
    tests = [
        mean_test(
            differences[members[tag]],
            setting.pairs.clusters[members[tag]],
            rng=setting.rng,
            binary=measure.binary,
        )
        for tag in tags
    ]
    adjusted = holm([test.p for test in tests])
    return [
        SliceComparison(
            tag=tag,
            difference=Estimate.of(
                within(
                    mean_interval(
                        differences[members[tag]],
                        setting.pairs.clusters[members[tag]],
                        confidence=setting.confidence,
                    ),
                    -width,
                    width,
                )
            ),
            p=known(test.p),
            p_adjusted=known(p),
            test=test.method,
            significant=p <= setting.alpha,
        )
        for tag, test, p in zip(tags, tests, adjusted, strict=True)
    ]


def _changes(measure: _Measure, turn: int, pairs: Pairs) -> list[CaseChange]:
    gains = turn * (measure.candidate - measure.baseline)
    order: list[int] = np.argsort(gains, kind="stable").tolist()  # NaN comes last
    firsts, seconds, turned = measure.baseline.tolist(), measure.candidate.tolist(), gains.tolist()
    changes: list[CaseChange] = []
    for index in order:
        gain, each = turned[index], pairs.baseline[index]
        scored = not math.isnan(gain)
        change = ("better" if gain > 0 else "worse" if gain < 0 else "same") if scored else "unscored"
        changes.append(
            CaseChange(
                case_id=each.case_id,
                baseline=known(firsts[index]),
                candidate=known(seconds[index]),
                gain=gain if scored else None,
                change=change,
                source=each.source,
                tags=each.tags,
            )
        )
    return changes


def _corrected(scorer: str, measure: _Measure, setting: _Setting) -> Corrected | None:
    """None where no case has a label on either side."""
    pairs = setting.pairs
    first = np.array([each.labels.get(scorer, math.nan) for each in pairs.baseline])
    second = np.array([each.labels.get(scorer, math.nan) for each in pairs.candidate])
    if np.isnan(first).all() and np.isnan(second).all():
        return None
    base, other, difference = (
        ppi_mean(labels, judged, pairs.clusters, confidence=setting.confidence)
        for labels, judged in (
            (first, measure.baseline),
            (second, measure.candidate),
            (second - first, measure.candidate - measure.baseline),
        )
    )
    width = measure.high - measure.low
    return Corrected(
        baseline=_powered(base, measure.low, measure.high),
        candidate=_powered(other, measure.low, measure.high),
        difference=_powered(difference, -width, width),
        labels=difference.labelled,
        trust=difference.trust if difference.labelled else None,
        labels_to_halve=difference.labels_to_halve,
    )


def _powered(found: Powered, low: float, high: float) -> Estimate | None:
    return Estimate.of(within(found.interval, low, high)) if found.labelled else None


def _resource(
    name: str, measure: _Measure, draws: _Draws | None, setting: _Setting
) -> ResourceComparison | None:
    """None where no case has a number on both sides."""
    differences = measure.candidate - measure.baseline
    scored = ~np.isnan(differences)
    if not scored.any():
        return None
    first, second = (np.where(scored, side, np.nan) for side in (measure.baseline, measure.candidate))
    difference = _interval(differences, draws and draws.candidate - draws.baseline, setting)
    return ResourceComparison(
        measure=name,
        baseline=Estimate.of(_interval(first, draws and draws.baseline, setting)),
        candidate=Estimate.of(_interval(second, draws and draws.candidate, setting)),
        difference=Estimate.of(difference),
        ratio=Estimate.of(_ratio(first, second, draws, setting)),
        p=known(mean_test(differences, setting.pairs.clusters, rng=setting.rng).p),
        baseline_p95=known(float(np.quantile(measure.baseline[scored], 0.95))),
        candidate_p95=known(float(np.quantile(measure.candidate[scored], 0.95))),
        unknown=int(np.sum(~scored)),
    )


def _ratio(first: Floats, second: Floats, draws: _Draws | None, setting: _Setting) -> Interval:
    """Mean over mean. Without replicates: Fieller's delta, the error of (candidate − ratio · baseline) over the mean
    of the baseline."""
    below = float(np.nanmean(first))
    ratio = float(np.nanmean(second)) / below if below else math.nan
    residual = mean_interval(
        (second - ratio * first) / below if below else second * math.nan,
        setting.pairs.clusters,
        confidence=setting.confidence,
    )
    interval = msgspec.structs.replace(
        residual, estimate=ratio, low=ratio - residual.half, high=ratio + residual.half
    )
    if draws is None or interval.clusters < 2 or not below:
        return interval
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = np.where(draws.baseline > 0, draws.candidate / draws.baseline, np.nan)
    low, high = bootstrap_limits(replicates, confidence=setting.confidence, freedom=interval.clusters - 1)
    method = "bootstrap" if interval.clusters == interval.n else "cluster bootstrap"
    return msgspec.structs.replace(interval, low=low, high=high, method=method)
