"""A run in a few numbers: each candidate's quality, cost and latency, with intervals; who is beaten by nobody."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from ratchet.domain.cases import Case
from ratchet.domain.runs import Result
from ratchet.evals.comparison import Estimate, known
from ratchet.evals.gathering import gather
from ratchet.evals.results import CaseResult, about_of, case_means, scorer_names
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.bounded import ranged_interval
from ratchet.stats.clusters import Floats, clusters_of
from ratchet.stats.intervals import share_interval

__all__ = ["CandidateSummary", "ScorerSummary", "Summary", "summarise"]

_AMOUNT = ScorerAbout(name="", title="", low=0.0, high=None)  # dollars and seconds
_PROBLEMS = 5  # are told for each candidate


class ScorerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer over all cases of one candidate. `unscored` counts single answers. `figures` are those of the whole
    set, where the scorer has some: corpus BLEU, F1."""

    name: str
    mean: Estimate
    unscored: int
    figures: dict[str, float | None] = {}


class CandidateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`cost` is US dollars for one answer on average, `latency` seconds; `median` and `p95` are of single answers.

    How long it took to fail says nothing: latencies are those of what was answered. `problems` says what failed, and
    how often, the most frequent first.

    `front`: no other candidate is at least as good in the leading scorer, cost and latency, and better in one.
    """

    name: str
    answers: int
    errors: int
    cached: int
    scorers: list[ScorerSummary]
    cost: Estimate
    total_cost: float | None
    unpriced: int
    latency: Estimate
    median_latency: float | None
    p95_latency: float | None
    problems: dict[str, int] = {}
    front: bool = False


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`leading` is the scorer that the front is drawn by: the suite's first, or the gate's."""

    candidates: list[CandidateSummary]
    leading: str = ""
    confidence: float = 0.95


def summarise(
    results: Sequence[Result],
    cases: Sequence[Case],
    candidates: Sequence[str],
    scorers: Sequence[ScorerAbout],
    *,
    leading: str = "",
    figures: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
) -> Summary:
    """`figures` are those of whole sets, by candidate and scorer. Pure."""
    gathered = gather(results, cases)
    described = {each.name: each for each in scorers}
    leading = leading or (scorers[0].name if scorers else "")
    found = [
        _candidate(
            name,
            gathered.get(name, []),
            [each for each in results if each.candidate == name],
            described,
            figures or {},
        )
        for name in candidates
    ]
    best = _front(found, about_of(leading, described))
    return Summary(
        candidates=[msgspec.structs.replace(each, front=each.name in best) for each in found],
        leading=leading,
    )


def _candidate(
    name: str,
    by_case: Sequence[CaseResult],
    results: Sequence[Result],
    scorers: Mapping[str, ScorerAbout],
    figures: Mapping[tuple[str, str], Mapping[str, float]],
) -> CandidateSummary:
    sources = [each.source for each in by_case]
    names = list(dict.fromkeys([*scorers, *scorer_names(by_case)]))
    latencies = np.array(
        [each.output.latency for each in results if each.output.latency is not None and not each.output.error]
    )
    costs = [each.output.cost for each in results]
    priced = [float(cost) for cost in costs if cost is not None]
    return CandidateSummary(
        name=name,
        answers=len(results),
        errors=sum(bool(each.output.error) for each in results),
        cached=sum(each.cached for each in results),
        scorers=[
            ScorerSummary(
                name=scorer,
                mean=_mean(
                    [each.values.get(scorer, ()) for each in by_case], sources, about_of(scorer, scorers)
                ),
                unscored=_unscored(by_case, scorer),
                figures={figure: known(value) for figure, value in figures.get((name, scorer), {}).items()},
            )
            for scorer in names
        ],
        cost=_mean([each.costs for each in by_case], sources, _AMOUNT),
        total_cost=sum(priced) if priced else None,
        unpriced=len(costs) - len(priced),
        latency=_mean([each.latencies for each in by_case], sources, _AMOUNT),
        median_latency=_quantile(latencies, 0.5),
        p95_latency=_quantile(latencies, 0.95),
        problems=_problems(results),
    )


def _mean(repeats: Sequence[Sequence[float]], sources: Sequence[str], about: ScorerAbout) -> Estimate:
    """Repeats are averaged within their case. A share of yes and no gets Wilson's limits; no limit leaves the range."""
    values = case_means(repeats)
    clusters = clusters_of(sources) if len(sources) else None
    scored = values[~np.isnan(values)]
    if about.binary and bool(np.isin(scored, (0.0, 1.0)).all()):
        return Estimate.of(share_interval(values, clusters))
    interval = ranged_interval(
        values,
        clusters,
        low=-math.inf if about.low is None else about.low,
        high=math.inf if about.high is None else about.high,
        rng=np.random.Generator(np.random.SFC64(0)),
    )
    return Estimate.of(interval)


def _unscored(by_case: Sequence[CaseResult], scorer: str) -> int:
    return sum(math.isnan(value) for each in by_case for value in each.values.get(scorer, ()))


def _problems(results: Sequence[Result]) -> dict[str, int]:
    return dict(Counter(each.output.error for each in results if each.output.error).most_common(_PROBLEMS))


def _quantile(values: Floats, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def _front(candidates: Sequence[CandidateSummary], leading: ScorerAbout) -> set[str]:
    """The Pareto front by the means of the leading scorer, cost and latency. A candidate whose quality is unknown is
    not on it; a cost or latency that is unknown counts as the worst."""
    known = [each for each in candidates if not math.isinf(_point(each, leading)[0])]
    points = {each.name: _point(each, leading) for each in known}
    return {
        name
        for name, point in points.items()
        if not any(
            all(a <= b for a, b in zip(other, point, strict=True)) and other != point
            for other in points.values()
        )
    }


def _point(candidate: CandidateSummary, leading: ScorerAbout) -> tuple[float, float, float]:
    """Smaller is better in all three."""
    quality = next((each.mean.value for each in candidate.scorers if each.name == leading.name), None)
    turned = math.inf if quality is None else -quality if leading.higher_is_better else quality
    return (
        turned,
        math.inf if candidate.cost.value is None else candidate.cost.value,
        math.inf if candidate.median_latency is None else candidate.median_latency,
    )
