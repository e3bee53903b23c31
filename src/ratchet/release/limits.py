"""The limits of a policy as means that have to be large enough: one number a case, and what it could at worst be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from ratchet.evals.results import CaseResult, about_of
from ratchet.release.policy import Policy
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.clusters import Floats

__all__ = ["P95_SHARE", "Limit", "broken", "case_limits"]

P95_SHARE = 0.05


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Kept when the mean of one number a case is at least `needed`.

    `seen` are the numbers, NaN where a side has none; `worst` and `best` are the same with every gap filled by the
    least and the largest that it could be, NaN where nothing bounds that. None lies outside `low` to `high`. What
    people read is `offset` − `scale` · number (a gain as it is: offset 0, scale −1).
    """

    name: str
    kind: str
    unit: str
    seen: Floats
    worst: Floats
    best: Floats
    low: float
    high: float
    needed: float
    offset: float = 0.0
    scale: float = -1.0

    def shown(self, number: float) -> float:
        return self.offset - self.scale * number


Sides = tuple[Sequence[CaseResult], Sequence[CaseResult]]


def case_limits(policy: Policy, sides: Sides, scorers: Mapping[str, ScorerAbout]) -> list[Limit]:
    """Every limit of a policy but its invariants, over cases that stand at the same place on both sides."""
    made = [_score(name, epsilon, sides, about_of(name, scorers)) for name, epsilon in policy.soft.items()]
    if policy.cost_ratio is not None:
        made.append(_ratio("cost_ratio", "cost", policy.cost_ratio, _of(sides, "costs")))
    if policy.cost_at_most is not None:
        made.append(_at_most("cost_at_most", policy.cost_at_most, _of(sides, "costs")[1]))
    if policy.latency_ratio is not None:
        made.append(_ratio("latency_ratio", "latency", policy.latency_ratio, _of(sides, "latencies")))
    if policy.latency_p95 is not None:
        made.append(_p95("latency_p95", policy.latency_p95, _of(sides, "latencies")[1]))
    return made


def broken(result: CaseResult, about: ScorerAbout, least: float) -> bool | None:
    """Does a case break an invariant? One bad repeat does; None where a repeat is unscored and none is bad."""
    values = result.values.get(about.name, [])
    turn = 1 if about.higher_is_better else -1
    if any(turn * value < turn * least for value in values):
        return True
    return None if not values or any(math.isnan(value) for value in values) else False


_Repeats = Sequence[Sequence[float]]


def _of(sides: Sides, field: str) -> tuple[_Repeats, _Repeats]:
    return [getattr(each, field) for each in sides[0]], [getattr(each, field) for each in sides[1]]


def _score(name: str, epsilon: float, sides: Sides, about: ScorerAbout) -> Limit:
    """Gain of the candidate. Where a scorer is unbounded, or its values leave the bounds that it states, the widest
    gap between any two values that were seen takes their place; a missing value of an unbounded scorer can be
    anything."""
    turn = 1.0 if about.higher_is_better else -1.0
    first, second = (
        [[turn * value for value in each.values.get(name, [])] for each in side] for side in sides
    )
    ends = sorted(turn * end for end in (about.low, about.high) if end is not None)
    bounded = len(ends) == 2
    low, high = _range([*first, *second], ends if bounded else [])
    gap = (low, high) if bounded else (math.nan, math.nan)
    base_worst, base_best = _filled(first, gap[1]), _filled(first, gap[0])
    other_worst, other_best = _filled(second, gap[0]), _filled(second, gap[1])
    return Limit(
        name=name,
        kind="score",
        unit="gain",
        seen=_filled(second, None) - _filled(first, None),
        worst=other_worst - base_worst,
        best=other_best - base_best,
        low=low - high,
        high=high - low,
        needed=-epsilon,
    )


def _ratio(name: str, kind: str, ratio: float, sides: tuple[_Repeats, _Repeats]) -> Limit:
    """ratio · baseline − candidate: at least 0 in the mean. The worst imagined answer costs as much as the dearest
    that was seen, beside a baseline that costs nothing."""
    first, second = (_filled(side, math.nan) for side in sides)
    number = ratio * first - second
    both = ~np.isnan(number)
    below = float(first[both].mean()) if both.any() else math.nan
    dearest = _range([*sides[0], *sides[1]], [])[1]
    return Limit(
        name=name,
        kind=kind,
        unit="ratio",
        seen=number,
        worst=number,
        best=number,
        low=-dearest,
        high=ratio * dearest,
        needed=0.0,
        offset=ratio,
        scale=1 / below if below else math.nan,
    )


def _at_most(name: str, most: float, repeats: _Repeats) -> Limit:
    number = most - _filled(repeats, math.nan)
    dearest = _range(repeats, [])[1]
    return Limit(
        name=name,
        kind="cost",
        unit="dollars",
        seen=number,
        worst=number,
        best=number,
        low=min(0.0, most - dearest),
        high=most,
        needed=0.0,
        offset=most,
        scale=1.0,
    )


def _p95(name: str, seconds: float, repeats: _Repeats) -> Limit:
    """The share of answers slower than `seconds` is at most 5 %. An answer of unknown latency may be either."""
    slow = [[math.nan if math.isnan(value) else float(value > seconds) for value in each] for each in repeats]
    return Limit(
        name=name,
        kind="latency",
        unit="share",
        seen=P95_SHARE - _filled(slow, None),
        worst=P95_SHARE - _filled(slow, 1.0),
        best=P95_SHARE - _filled(slow, 0.0),
        low=P95_SHARE - 1,
        high=P95_SHARE,
        needed=0.0,
        offset=P95_SHARE,
        scale=1.0,
    )


def _range(repeats: _Repeats, ends: Sequence[float]) -> tuple[float, float]:
    seen = [value for values in repeats for value in values if not math.isnan(value)]
    return min([*seen, *ends], default=0.0), max([*seen, *ends], default=0.0)


def _filled(repeats: _Repeats, gap: float | None) -> Floats:
    """The mean of each case's repeats with `gap` for a missing one, and for a case without any. None: missing repeats
    are left out, and a case without any is NaN."""
    fill: Callable[[Sequence[float]], float] = _scored_mean
    if gap is not None:
        instead = gap

        def with_gap(values: Sequence[float]) -> float:
            filled = [instead if math.isnan(value) else value for value in values]
            return sum(filled) / len(filled) if filled else instead

        fill = with_gap
    return np.array([fill(values) for values in repeats], dtype=np.float64)


def _scored_mean(values: Sequence[float]) -> float:
    scored = [value for value in values if not math.isnan(value)]
    return sum(scored) / len(scored) if scored else math.nan
