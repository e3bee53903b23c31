"""The gate: PASS, FAIL or CAN'T TELL, with the reason, from what two candidates did on the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from ratchet.domain.counting import plural
from ratchet.evals.results import CaseResult, about_of
from ratchet.release.limits import Limit, broken, limits_at_the_end
from ratchet.release.policy import CANT_TELL, FAIL, PASS, Answer, Check, GateVerdict, Policy
from ratchet.release.wording import invariant_reason, limit_reason, settling, together
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.bounded import Bounded, Bounds, mean_bounds
from ratchet.stats.clusters import Codes, Floats, clusters_of, per_cluster, totalled
from ratchet.stats.intervals import Robust, robust
from ratchet.stats.power import cases_needed, power_of

__all__ = ["decide"]

_POWER = 0.8


class _Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The union of both sides' cases; a side that did not run a case has an empty result there."""

    pairs: list[tuple[CaseResult, CaseResult]]
    clusters: Codes
    sources: int


class _Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A limit over the sample: `Numbers`, by case."""

    limit: Limit
    seen: Floats
    worst: Floats
    best: Floats


def decide(
    policy: Policy,
    baseline: Sequence[CaseResult],
    candidate: Sequence[CaseResult],
    scorers: Sequence[ScorerAbout] = (),
    *,
    seed: int = 0,
    resamples: int = 4000,
) -> GateVerdict:
    """Decides once, when all cases have run. Who wants to look earlier uses `sequential.SequentialGate`, never both.

    One result for each case and side, holding all repeats; `scorers` as for `evals.compare.compare`. Pure.

    A limit is kept when the lower bound of its mean, at `policy.alpha`, is on the right side of the line. The bounds
    (`stats.bounded`) hold for any distribution of bounded scores and any number of cases: a handful of cases without
    a loss is not a PASS. PASS needs every limit kept, each at α: then the probability of a PASS although any limit is
    broken is at most α (an intersection-union test, Berger 1982), and nothing need be divided. FAIL needs one limit
    broken, so there α is divided by the number of limits, and a false FAIL has probability α at most.

    Unscored cases are never dropped. For PASS each counts as the worst that it could be, for FAIL as the best (the
    candidate's value at one end of the scorer's range, the baseline's at the other); where a scorer has no range, or a
    cost or latency is unknown, the limit is CAN'T TELL. A case that one side did not run is unscored there. For
    unbounded scorers, costs and latencies the range is that of the values seen: their bounds are approximate.
    """
    sample = _sample(baseline, candidate)
    described = {each.name: each for each in scorers}
    measured = [_measured(each, sample) for each in limits_at_the_end(policy, sample.pairs, described)]
    below, above = policy.alpha, policy.alpha / max(1, len(measured))
    whole = [each for each in measured if len(each.seen) and not np.isnan([each.worst, each.best]).any()]
    bounds = mean_bounds(
        [_views(each, sample) for each in whole],
        [(below, above)] * len(whole),
        rng=np.random.Generator(np.random.SFC64(seed)),
        resamples=resamples,
    )
    found = {each.limit.name: bound for each, bound in zip(whole, bounds, strict=True)}
    checks = [
        _invariant(name, least, sample, about_of(name, described))
        for name, least in policy.invariants.items()
    ]
    checks += [_limit(each, found.get(each.limit.name), sample, policy, above) for each in measured]
    verdict, reason, settle = together(checks, len(sample.pairs))
    return GateVerdict(
        verdict=verdict,
        reason=reason,
        settle=settle,
        checks=checks,
        cases=len(sample.pairs),
        sources=sample.sources,
        alpha=policy.alpha,
        method="fixed sample",
    )


def _sample(baseline: Sequence[CaseResult], candidate: Sequence[CaseResult]) -> _Sample:
    first = {each.case_id: each for each in baseline}
    second = {each.case_id: each for each in candidate}
    if len(first) != len(baseline) or len(second) != len(candidate):
        raise ValueError("A case is there twice; expected one result for each case, holding all its repeats.")
    ids = list(dict.fromkeys([*first, *second]))
    known = [first.get(each) or second[each] for each in ids]
    clusters = clusters_of([each.source for each in known])
    return _Sample(
        pairs=[
            (
                first.get(each) or CaseResult(case_id=each, values={}),
                second.get(each) or CaseResult(case_id=each, values={}),
            )
            for each in ids
        ],
        clusters=clusters,
        sources=int(clusters.max()) + 1 if len(clusters) else 0,
    )


def _measured(limit: Limit, sample: _Sample) -> _Measured:
    numbers = np.array([limit.numbers(*pair) for pair in sample.pairs], dtype=np.float64).reshape(-1, 3)
    return _Measured(limit=limit, seen=numbers[:, 0], worst=numbers[:, 1], best=numbers[:, 2])


def _views(measured: _Measured, sample: _Sample) -> tuple[Bounded, Bounded]:
    limit = measured.limit
    sizes = totalled(np.ones(len(measured.seen)), sample.clusters, sample.sources)
    worst, best = (
        Bounded(
            sums=totalled(numbers, sample.clusters, sample.sources),
            sizes=sizes,
            low=limit.low,
            high=limit.high,
        )
        for numbers in (measured.worst, measured.best)
    )
    return worst, best


def _invariant(name: str, least: float, sample: _Sample, about: ScorerAbout) -> Check:
    held = [broken(each, about, least) for _, each in sample.pairs]
    offending = [each.case_id for (_, each), bad in zip(sample.pairs, held, strict=True) if bad]
    unscored = sum(bad is None for bad in held)
    verdict: Answer = FAIL if offending else CANT_TELL if unscored or not held else PASS
    return Check(
        name=name,
        kind="invariant",
        verdict=verdict,
        reason=invariant_reason(name, least, offending, unscored, len(held)),
        settle=f"{name}: score the {plural(unscored, 'case')} not scored."
        if verdict == CANT_TELL and held
        else "",
        limit=least,
        cases=len(held) - unscored,
        sources=sample.sources,
        unscored=unscored,
        offending=offending,
    )


def _limit(
    measured: _Measured, bounds: Bounds | None, sample: _Sample, policy: Policy, above: float
) -> Check:
    limit = measured.limit
    seen = robust(*per_cluster(measured.seen, sample.clusters))
    unscored = len(measured.seen) - seen.n
    if bounds is None:
        return _unbounded(limit, seen, unscored)
    answer: Answer = CANT_TELL
    if bounds.low >= limit.needed:
        answer = PASS
    elif bounds.high < limit.needed:
        answer = FAIL
    ends = sorted((limit.shown(bounds.low), limit.shown(bounds.high)))
    confidence = 1 - (above if answer == FAIL else policy.alpha)
    reason = limit_reason(limit, answer, (limit.shown(seen.mean), ends[0], ends[1]), confidence)
    more: int | None = None
    settle = ""
    if answer == PASS and seen.n < policy.min_cases:
        answer, more = CANT_TELL, policy.min_cases - seen.n
        reason = f"{limit.name}: both sides have scored {plural(seen.n, 'case')}, and the policy asks for {policy.min_cases:,}."
        settle = f"{limit.name}: {plural(more, 'more case')}."
    elif answer == CANT_TELL:
        more, settle = _settle(measured, seen, unscored, policy.alpha, above)
    deviation = seen.error * math.sqrt(seen.n)
    return Check(
        name=limit.name,
        kind=limit.kind,
        verdict=answer,
        reason=reason,
        settle=settle,
        unit=limit.unit,
        estimate=_finite(limit.shown(seen.mean)),
        low=_finite(ends[0]),
        high=_finite(ends[1]),
        limit=_finite(limit.shown(limit.needed)),
        confidence=1 - policy.alpha,
        power=_power(limit, seen, deviation, policy.alpha),
        cases=seen.n,
        sources=seen.clusters,
        unscored=unscored,
        more_cases=more,
    )


def _unbounded(limit: Limit, seen: Robust, unscored: int) -> Check:
    """Some numbers are missing, and they could be anything."""
    what = {"score": "unscored", "cost": "of unknown cost", "latency": "of unknown latency"}[limit.kind]
    reason = f"{limit.name}: {plural(unscored, 'case is', 'cases are')} {what}, and nothing says how bad they could be."
    settle = f"{limit.name}: score the {plural(unscored, 'case')}, or leave the limit away."
    if not seen.n and not unscored:
        reason, settle = f"{limit.name}: there are no cases.", "Run the suite on both sides."
    return Check(
        name=limit.name,
        kind=limit.kind,
        verdict=CANT_TELL,
        reason=reason,
        settle=settle,
        unit=limit.unit,
        estimate=_finite(limit.shown(seen.mean)),
        limit=_finite(limit.shown(limit.needed)),
        cases=seen.n,
        sources=seen.clusters,
        unscored=unscored,
    )


def _settle(
    measured: _Measured, seen: Robust, unscored: int, alpha: float, above: float
) -> tuple[int | None, str]:
    """How many more cases like those seen would decide, and the sentence about it."""
    limit = measured.limit
    gap = seen.mean - limit.needed
    sure = float(np.mean(measured.worst) if gap > 0 else np.mean(measured.best)) - limit.needed
    if unscored and (math.isnan(gap) or gap * sure < gap**2 / 2):
        return None, settling(limit, None, unscored=unscored, gaps=True, passing=gap > 0)
    side = alpha if gap > 0 else above
    needed = cases_needed(sure, seen.error * math.sqrt(seen.n), alpha=side, power=_POWER, sides=1)
    if needed is not None:
        room = limit.needed - limit.low if gap > 0 else limit.high - limit.needed
        rare = math.log(side) / math.log1p(-min(0.999, abs(sure) / (room + abs(sure))))
        largest = seen.n / max(1, seen.clusters)
        needed = max(needed, math.ceil(rare * largest)) - seen.n
        needed = max(1, needed)
    return needed, settling(limit, needed, unscored=unscored, gaps=False, passing=gap > 0)


def _power(limit: Limit, seen: Robust, deviation: float, alpha: float) -> float | None:
    """Of a PASS, if the candidate were just like the baseline."""
    if limit.alike is None or not seen.n or not math.isfinite(limit.alike + deviation) or deviation == 0:
        return None
    return power_of(limit.alike - limit.needed, deviation, seen.n, alpha=alpha, sides=1)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
