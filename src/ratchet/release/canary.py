"""Is the canary worse? Asked again and again while both versions serve, without the answer wearing out.

Each user is one observation of each measure: their first call, their first score. Users stick to their version, which
a hash of their name chose, so what they see doesn't depend on how it answers. Evidence is that of
`ratchet.stats.sequences`: if the canary is no worse, the probability that any of the measures ever says so is at most
`alpha`, however long one watches. Alpha is shared out beforehand: a quarter each to errors, latency, cost and scores,
and the scores' quarter in equal parts to the first five names that come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from ratchet.domain.prompts import CanaryPolicy
from ratchet.domain.releases import CanaryReport, Finding, Measure
from ratchet.stats.sequences import StreamComparison
from ratchet.store.spans import Opinion, Served

__all__ = ["CanaryWatch"]

_FIRST = 20  # users whose calls set the caps of latency and cost; they are not bet on
_ROOM = 3.0  # a cap is this many times the largest value of the first users
_MOST_NAMES = 5  # of scores
_MEASURES = 4  # errors, latency, cost, scores: what alpha is shared among


class _Side(msgspec.Struct):
    total: float = 0.0
    users: int = 0

    def take(self, value: float) -> None:
        self.total += value
        self.users += 1

    @property
    def mean(self) -> float | None:
        return self.total / self.users if self.users else None


class _Watched:
    """A measure on its way. Values as people see them; `worse_is_more` says which way is bad.

    `ratio`: the canary may be up to that many times the baseline. Where `cap` is not known yet, the first users' values
    set it, on both sides alike.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        alpha: float,
        *,
        worse_is_more: bool,
        cap: float | None,
        ratio: float = 1.0,
    ) -> None:
        self.name = name
        self.unit = unit
        self.alpha = alpha
        self.sides = {"baseline": _Side(), "canary": _Side()}
        self._sign = -1.0 if worse_is_more else 1.0
        self._ratio = ratio
        self._largest = 0.0
        self._seen = 0
        self._comparison: StreamComparison | None = None
        if cap is not None:
            self._open(cap)

    def take(self, side: str, value: float) -> None:
        self.sides[side].take(value)
        self._seen += 1
        if self._comparison is None:
            self._largest = max(self._largest, value)
            if self._seen == _FIRST:
                self._open(self._largest * _ROOM)
            return
        if side == "baseline":
            self._comparison.add_baseline(self._sign * value * self._ratio)
        else:
            self._comparison.add_canary(self._sign * value)

    def measure(self) -> Measure:
        low = high = None
        finding: Finding = "undecided"
        if self._comparison is not None:
            finding = (
                "worse" if self._comparison.worse else "no worse" if self._comparison.safe else "undecided"
            )
            interval = self._comparison.interval()
            if interval.n:
                low, high = sorted((self._sign * interval.low, self._sign * interval.high))
        baseline, canary = self.sides["baseline"], self.sides["canary"]
        return Measure(
            name=self.name,
            unit=self.unit,
            finding=finding,
            baseline=baseline.mean,
            canary=canary.mean,
            low=low,
            high=high,
            alpha=self.alpha,
            baseline_users=baseline.users,
            canary_users=canary.users,
        )

    def _open(self, cap: float) -> None:
        if cap <= 0:  # a price of nothing: there is nothing to compare yet
            self._seen = 0
            return
        low, high = (-cap * self._ratio, 0.0) if self._sign < 0 else (0.0, cap)
        self._comparison = StreamComparison(low=low, high=high, alpha=self.alpha)


class CanaryWatch:
    """Fed what `store.spans` says of a release, in any portions; each user counts once for each measure."""

    def __init__(self, policy: CanaryPolicy) -> None:
        self.policy = policy
        share = policy.alpha / _MEASURES
        self._errors = _Watched("errors", "share", share, worse_is_more=True, cap=1.0)
        self._latency = _Watched(
            "latency", "seconds", share, worse_is_more=True, cap=None, ratio=policy.latency_ratio
        )
        self._cost = _Watched("cost", "dollars", share, worse_is_more=True, cap=None, ratio=policy.cost_ratio)
        self._scores: dict[str, _Watched] = {}
        self._served: set[str] = set()
        self._judged: set[tuple[str, str]] = set()

    def take_calls(self, calls: Sequence[Served]) -> None:
        """Oldest first."""
        for call in calls:
            side = self._side(call.version)
            if side is None or call.unit in self._served:
                continue
            self._served.add(call.unit)
            self._errors.take(side, float(call.failed))
            if call.failed:
                continue  # how quickly and cheaply it failed is no merit
            self._latency.take(side, call.duration / 1e9)
            if call.cost is not None:
                self._cost.take(side, float(call.cost))

    def take_scores(self, opinions: Sequence[Opinion]) -> None:
        """Oldest first."""
        for opinion in opinions:
            side = self._side(opinion.version)
            known = (opinion.unit, opinion.name)
            if side is None or known in self._judged or not 0 <= opinion.value <= 1:
                continue
            watched = self._scores.get(opinion.name)
            if watched is None:
                if len(self._scores) == _MOST_NAMES:
                    continue
                share = self.policy.alpha / _MEASURES / _MOST_NAMES
                watched = _Watched(opinion.name, "score", share, worse_is_more=False, cap=1.0)
                self._scores[opinion.name] = watched
            self._judged.add(known)
            watched.take(side, opinion.value)

    @property
    def users(self) -> int:
        return len(self._served)

    def report(self) -> CanaryReport:
        measures = [
            watched.measure() for watched in (self._errors, self._latency, self._cost, *self._scores.values())
        ]
        worse = [measure for measure in measures if measure.finding == "worse"]
        return CanaryReport(
            worse=[measure.name for measure in worse],
            reason=_reason(worse, measures, self.policy),
            measures=measures,
            baseline_users=measures[0].baseline_users,
            canary_users=measures[0].canary_users,
        )

    def _side(self, version: int) -> str | None:
        if version == self.policy.baseline:
            return "baseline"
        return "canary" if version == self.policy.canary else None


def _reason(worse: Sequence[Measure], measures: Sequence[Measure], policy: CanaryPolicy) -> str:
    canary, baseline = measures[0].canary_users, measures[0].baseline_users
    seen = f"{canary:,} users got version {policy.canary} and {baseline:,} version {policy.baseline}"
    if worse:
        told = "; ".join(
            f"{measure.name} {_shown(measure.canary, measure.unit)} instead of {_shown(measure.baseline, measure.unit)}"
            for measure in worse
        )
        return f"Version {policy.canary} is worse: {told}. {seen}."
    if not canary or not baseline:
        return f"Nothing to compare yet: {seen}."
    return f"Nothing speaks against version {policy.canary} so far: {seen}."


_FORMATS: dict[str, Callable[[float], str]] = {
    "share": lambda value: f"{value:.1%}",
    "seconds": lambda value: f"{value:.2f} s",
    "dollars": lambda value: f"${value:.6f}",
    "score": lambda value: f"{value:.2f}",
}


def _shown(value: float | None, unit: str) -> str:
    return "unknown" if value is None or math.isnan(value) else _FORMATS[unit](value)
