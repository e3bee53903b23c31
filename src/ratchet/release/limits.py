"""The limits of a policy as means that have to be large enough: one number a case, and what it could at worst be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ratchet.evals.results import CaseResult, about_of
from ratchet.release.policy import Policy
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["P95_SHARE", "Limit", "Numbers", "broken", "limits_at_the_end", "limits_on_the_way"]

P95_SHARE = 0.05
_BEYOND = 5  # an answer that costs more than so many times what is allowed counts as so many times

Numbers = tuple[float, float, float]
"""One case under one limit: the number, NaN where a side has none; the least that it could be; the most.
The last two are NaN where nothing bounds what is missing."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Kept when the mean of one number a case is at least `needed`. `numbers` takes the baseline's and the candidate's
    result; none lies outside `low` to `high`. What people read is `offset` − `scale` · number (a gain as it is:
    offset 0, scale −1).
    """

    name: str
    kind: str
    unit: str
    needed: float
    low: float
    high: float
    numbers: Callable[[CaseResult, CaseResult], Numbers]
    offset: float = 0.0
    scale: float = -1.0

    def shown(self, number: float) -> float:
        return self.offset - self.scale * number

    @property
    def alike(self) -> float | None:
        """The mean if the candidate were just like the baseline; None for a limit that says nothing about that."""
        if self.unit == "gain":
            return 0.0
        return (self.offset - 1) / self.scale if self.unit == "ratio" else None


Pair = tuple[CaseResult, CaseResult]


def limits_at_the_end(
    policy: Policy, pairs: Sequence[Pair], scorers: Mapping[str, ScorerAbout]
) -> list[Limit]:
    """Every limit but the invariants, when all cases have run.

    Where a scorer is unbounded, or leaves the bounds that it states, the widest gap between any two values that were
    seen takes the place of its range. The worst imagined answer costs as much as the dearest that was seen, beside a
    baseline that costs nothing.
    """
    made: list[Limit] = []
    for name, epsilon in policy.soft.items():
        about = about_of(name, scorers)
        ends = [end for end in (about.low, about.high) if end is not None]
        low, high = _range((each.values.get(name, []) for pair in pairs for each in pair), ends)
        made.append(_score(name, epsilon, about, low, high, fills=len(ends) == 2))
    for field, kind, ratio in _ratios(policy):
        dearest = _range((_spent(each, kind) for pair in pairs for each in pair), [0.0])[1]
        below = baseline_mean(pairs, kind)
        made.append(_ratio(field, kind, ratio, dearest, below, fills=False))
    if policy.cost_at_most is not None:
        dearest = _range((each.costs for _, each in pairs), [policy.cost_at_most])[1]
        made.append(_at_most(policy.cost_at_most, dearest, fills=False))
    if policy.latency_p95 is not None:
        made.append(_p95(policy.latency_p95))
    return made


def limits_on_the_way(
    policy: Policy, pairs: Sequence[Pair], scorers: Mapping[str, ScorerAbout]
) -> list[Limit]:
    """The same for who looks before all cases have run: no range can be taken from values that are yet to come.

    Costs and latencies are capped: for a ratio, at twice the largest among `pairs`, which are the first that ran and
    are bet on no more; for `cost_at_most`, at five times what is allowed. The claim is about capped means. A limit on
    a scorer without bounds is left out: it can only be decided at the end.
    """
    made: list[Limit] = []
    for name, epsilon in policy.soft.items():
        about = about_of(name, scorers)
        if about.low is not None and about.high is not None:
            made.append(_score(name, epsilon, about, about.low, about.high, fills=True))
    for field, kind, ratio in _ratios(policy):
        cap = 2 * _range((_spent(each, kind) for pair in pairs for each in pair), [])[1]
        if cap > 0:
            made.append(_ratio(field, kind, ratio, cap, baseline_mean(pairs, kind), fills=True))
    if policy.cost_at_most is not None:
        made.append(_at_most(policy.cost_at_most, _BEYOND * policy.cost_at_most, fills=True))
    if policy.latency_p95 is not None:
        made.append(_p95(policy.latency_p95))
    return made


def baseline_mean(pairs: Iterable[Pair], kind: str) -> float:
    """Of costs or latencies, over the cases where both sides have one."""
    both = [
        (first, second)
        for first, second in ((_mean(_spent(one, kind)), _mean(_spent(other, kind))) for one, other in pairs)
        if not math.isnan(first + second)
    ]
    return sum(first for first, _ in both) / len(both) if both else math.nan


def broken(result: CaseResult, about: ScorerAbout, least: float) -> bool | None:
    """Does a case break an invariant? One bad repeat does; None where a repeat is unscored and none is bad."""
    values = result.values.get(about.name, [])
    turn = 1 if about.higher_is_better else -1
    if any(turn * value < turn * least for value in values):
        return True
    return None if not values or any(math.isnan(value) for value in values) else False


def _ratios(policy: Policy) -> list[tuple[str, str, float]]:
    given = (("cost_ratio", "cost", policy.cost_ratio), ("latency_ratio", "latency", policy.latency_ratio))
    return [(field, kind, ratio) for field, kind, ratio in given if ratio is not None]


def _score(name: str, epsilon: float, about: ScorerAbout, low: float, high: float, *, fills: bool) -> Limit:
    """Gain of the candidate. `fills`: what is missing lies within the range."""
    least, most = (low, high) if about.higher_is_better else (high, low)
    turn = 1.0 if about.higher_is_better else -1.0

    def numbers(baseline: CaseResult, candidate: CaseResult) -> Numbers:
        first = [min(max(value, low), high) for value in baseline.values.get(name, ())]
        second = [min(max(value, low), high) for value in candidate.values.get(name, ())]
        seen = turn * (_mean(second) - _mean(first))
        if _whole(first) and _whole(second):
            return seen, seen, seen
        if not fills:
            return seen, math.nan, math.nan
        worst = turn * (_filled(second, least) - _filled(first, most))
        return seen, worst, turn * (_filled(second, most) - _filled(first, least))

    return Limit(
        name=name,
        kind="score",
        unit="gain",
        needed=-epsilon,
        low=low - high,
        high=high - low,
        numbers=numbers,
    )


def _ratio(field: str, kind: str, ratio: float, cap: float, below: float, *, fills: bool) -> Limit:
    """ratio · baseline − candidate, at least 0 in the mean."""

    def numbers(baseline: CaseResult, candidate: CaseResult) -> Numbers:
        first = [min(value, cap) for value in _spent(baseline, kind)]
        second = [min(value, cap) for value in _spent(candidate, kind)]
        if _whole(first) and _whole(second):
            seen = ratio * _mean(first) - _mean(second)
            return seen, seen, seen
        if not fills:
            return math.nan, math.nan, math.nan
        worst = ratio * _filled(first, 0.0) - _filled(second, cap)
        return math.nan, worst, ratio * _filled(first, cap) - _filled(second, 0.0)

    return Limit(
        name=field,
        kind=kind,
        unit="ratio",
        needed=0.0,
        low=-cap,
        high=ratio * cap,
        numbers=numbers,
        offset=ratio,
        scale=1 / below if below else math.nan,
    )


def _at_most(most: float, cap: float, *, fills: bool) -> Limit:
    def numbers(_: CaseResult, candidate: CaseResult) -> Numbers:
        costs = [min(value, cap) for value in candidate.costs]
        if _whole(costs):
            seen = most - _mean(costs)
            return seen, seen, seen
        if not fills:
            return math.nan, math.nan, math.nan
        return math.nan, most - _filled(costs, cap), most - _filled(costs, 0.0)

    return Limit(
        name="cost_at_most",
        kind="cost",
        unit="dollars",
        needed=0.0,
        low=most - cap,
        high=most,
        numbers=numbers,
        offset=most,
        scale=1.0,
    )


def _p95(seconds: float) -> Limit:
    """The share of answers slower than `seconds` is at most 5 %. An answer of unknown latency may be either."""

    def numbers(_: CaseResult, candidate: CaseResult) -> Numbers:
        slow = [value if math.isnan(value) else float(value > seconds) for value in candidate.latencies]
        seen = P95_SHARE - _mean(slow)
        return seen, P95_SHARE - _filled(slow, 1.0), P95_SHARE - _filled(slow, 0.0)

    return Limit(
        name="latency_p95",
        kind="latency",
        unit="share",
        needed=0.0,
        low=P95_SHARE - 1,
        high=P95_SHARE,
        numbers=numbers,
        offset=P95_SHARE,
        scale=1.0,
    )


def _spent(result: CaseResult, kind: str) -> list[float]:
    return result.costs if kind == "cost" else result.latencies


def _range(repeats: Iterable[Sequence[float]], ends: Sequence[float]) -> tuple[float, float]:
    seen = [value for values in repeats for value in values if not math.isnan(value)]
    return min([*seen, *ends], default=0.0), max([*seen, *ends], default=0.0)


def _whole(values: Sequence[float]) -> bool:
    return bool(values) and not any(math.isnan(value) for value in values)


def _mean(values: Sequence[float]) -> float:
    """Of the scored repeats, NaN where there is none."""
    scored = [value for value in values if not math.isnan(value)]
    return sum(scored) / len(scored) if scored else math.nan


def _filled(values: Sequence[float], instead: float) -> float:
    """The mean with `instead` for each missing repeat, and for a case without any."""
    filled = [instead if math.isnan(value) else value for value in values]
    return sum(filled) / len(filled) if filled else instead
