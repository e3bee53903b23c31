"""The gate for who looks after every case and stops as soon as it is settled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from ratchet.domain.counting import plural
from ratchet.errors import InvalidRequest
from ratchet.evals.results import CaseResult, about_of
from ratchet.release.limits import Limit, Numbers, Pair, broken, limits_on_the_way
from ratchet.release.policy import CANT_TELL, FAIL, PASS, Answer, Check, GateVerdict, Policy
from ratchet.release.wording import invariant_reason, limit_reason, settling, together
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.sequences import MeanTest, lower_bound, observations_needed, power_on_the_way

__all__ = ["SequentialGate"]

_FIRST = 20  # cases that set the caps of ratios; they are not bet on


class SequentialGate:
    """Fed one case after the other, it may be asked after each, and stopped at any time: the promise holds.

    With probability 1 − α it never says PASS, however often it is asked, while any limit is broken; and never FAIL,
    with the same probability, while all are kept (`stats.sequences`; for several limits as in `gate.decide`). The price:
    it needs a third more cases in the median than a sample fixed for 80 % power, and twice as many for the same 80 %;
    where the difference is large it tells after a fraction. Decide by this or by `gate.decide`, not by whichever says
    PASS.

    - Feed cases in an order fixed before anything ran (shuffle them), not in the order in which answers arrive: quick
      answers may be the easy ones.
    - All cases of one source together, by `add_source`; `largest_source` says how many the largest has.
    - Unscored cases count as the worst for PASS and as the best for FAIL.
    - `cases` is how many the suite has. A policy with invariants passes only when all of them have come, since every
      case must keep them; it fails at the first that doesn't.
    - Costs and latencies are capped, and the claim is about the capped means (`limits.limits_on_the_way`).

    Raises InvalidRequest for a limit on a scorer whose values nothing bounds: that can only be decided at the end.
    """

    def __init__(
        self, policy: Policy, scorers: Sequence[ScorerAbout], *, cases: int, largest_source: int = 1
    ) -> None:
        self.policy = policy
        self.cases = cases
        self._largest = largest_source
        self._scorers = {each.name: each for each in scorers}
        self._pairs: list[Pair] = []
        self._sources = 0
        self._invariants = {name: _Invariant() for name in policy.invariants}
        self._tracks: list[_Track] = []
        self._settled: Answer | None = None
        for name in policy.soft:
            about = about_of(name, self._scorers)
            if about.low is None or about.high is None:
                raise InvalidRequest(
                    f"The gate can't look early: nothing bounds the values of the scorer `{name}`.",
                    "State its `low` and `high`, or decide when all cases have run.",
                    param="gate",
                )
        self._open(waiting=[])

    def add(self, baseline: CaseResult, candidate: CaseResult) -> Answer:
        """The next case, a source of its own. Returns what `answer` then is."""
        return self.add_source([(baseline, candidate)])

    def add_source(self, pairs: Sequence[Pair]) -> Answer:
        """The next source's cases: (baseline, candidate) of each. Once it is settled, nothing more is taken in."""
        if self.settled:
            return self.answer
        for name, state in self._invariants.items():
            about, least = about_of(name, self._scorers), self.policy.invariants[name]
            for _, candidate in pairs:
                state.take(candidate.case_id, bad=broken(candidate, about, least))
        for track in self._tracks:
            track.take([track.limit.numbers(*pair) for pair in pairs])
        self._pairs.extend(pairs)
        self._sources += 1
        waiting = self.policy.resources and len(self._pairs) - len(pairs) < _FIRST <= len(self._pairs)
        if waiting:
            self._open(waiting=self._pairs)
        now = self._now()
        self._settled = None if now == CANT_TELL else now
        return now

    @property
    def answer(self) -> Answer:
        """PASS or FAIL as soon as it is settled; CAN'T TELL before."""
        return self._settled or CANT_TELL

    @property
    def settled(self) -> bool:
        """Whether more cases are of no use."""
        return self._settled is not None

    def verdict(self) -> GateVerdict:
        """The answer with its reasons and intervals. Costs up to a tenth of a second for thousands of cases."""
        checks = [self._invariant_check(name) for name in self.policy.invariants]
        checks += [self._limit_check(track) for track in self._tracks]
        checks += [
            _too_early(name, kind)
            for name, kind in _resource_names(self.policy)
            if name not in {track.limit.name for track in self._tracks}
        ]
        verdict, reason, settle = together(checks, len(self._pairs))
        short = self.policy.min_cases - len(self._pairs)
        if verdict == PASS and short > 0:
            verdict, settle = CANT_TELL, f"{short:,} more cases."
            reason = (
                f"{len(self._pairs):,} cases have run, and the policy asks for {self.policy.min_cases:,}."
            )
        return GateVerdict(
            verdict=verdict,
            reason=reason,
            settle=settle,
            checks=checks,
            cases=len(self._pairs),
            sources=self._sources,
            alpha=self.policy.alpha,
            method="sequential",
        )

    def _open(self, *, waiting: Sequence[Pair]) -> None:
        """Begins to watch the limits that can be watched by now."""
        known = {track.limit.name for track in self._tracks}
        for limit in limits_on_the_way(self.policy, waiting, self._scorers):
            if limit.name not in known:
                self._tracks.append(_Track(limit=limit, largest=self._largest))

    def _now(self) -> Answer:
        fail = self.policy.alpha / self._limits
        if any(state.offending for state in self._invariants.values()):
            return FAIL
        if any(track.refuted(fail) for track in self._tracks):
            return FAIL
        kept = len(self._tracks) == self._limits or not self._tracks
        kept = kept and all(track.kept(self.policy.alpha) for track in self._tracks)
        if self._invariants:
            whole = len(self._pairs) >= self.cases
            kept = kept and whole and not any(state.unscored for state in self._invariants.values())
        return PASS if kept and len(self._pairs) >= self.policy.min_cases else CANT_TELL

    @property
    def _limits(self) -> int:
        return max(1, len(self.policy.soft) + self.policy.resources)

    def _invariant_check(self, name: str) -> Check:
        state, least, seen = self._invariants[name], self.policy.invariants[name], len(self._pairs)
        left = self.cases - seen
        reason = invariant_reason(name, least, state.offending, state.unscored, seen)
        settle = ""
        verdict: Answer = FAIL if state.offending else CANT_TELL if state.unscored or not seen else PASS
        if verdict == CANT_TELL and seen:
            settle = f"{name}: score the {plural(state.unscored, 'case')} not scored."
        elif verdict == PASS and left > 0:
            verdict, settle = CANT_TELL, f"{name}: run the other {plural(left, 'case')}."
            reason = f"{name} holds in the first {plural(seen, 'case')}, and {left:,} {'has' if left == 1 else 'have'} not run."
        return Check(
            name=name,
            kind="invariant",
            verdict=verdict,
            reason=reason,
            settle=settle,
            limit=least,
            cases=seen - state.unscored,
            sources=self._sources,
            unscored=state.unscored,
            offending=state.offending,
            more_cases=left if verdict == CANT_TELL and left > 0 else None,
        )

    def _limit_check(self, track: _Track) -> Check:
        limit, alpha, fail = track.limit, self.policy.alpha, self.policy.alpha / self._limits
        answer: Answer = PASS if track.kept(alpha) else FAIL if track.refuted(fail) else CANT_TELL
        estimate, deviation = track.summary()
        low, high = track.bounds(alpha, fail)
        ends = sorted((limit.shown(low), limit.shown(high)))
        more, settle = self._settle(track, fail) if answer == CANT_TELL else (None, "")
        return Check(
            name=limit.name,
            kind=limit.kind,
            verdict=answer,
            reason=limit_reason(
                limit,
                answer,
                (limit.shown(estimate), ends[0], ends[1]),
                1 - (fail if answer == FAIL else alpha),
            ),
            settle=settle,
            unit=limit.unit,
            estimate=_finite(limit.shown(estimate)),
            low=_finite(ends[0]),
            high=_finite(ends[1]),
            limit=_finite(limit.shown(limit.needed)),
            confidence=1 - alpha,
            power=self._power(track, deviation),
            cases=len(track.seen),
            sources=self._sources,
            unscored=track.unscored,
            more_cases=more,
        )

    def _power(self, track: _Track, deviation: float) -> float | None:
        """Of a PASS within the whole suite, if the candidate were just like the baseline."""
        alike = track.limit.alike
        if alike is None or not math.isfinite(alike + deviation):
            return None
        room = track.passing.null - track.passing.low
        gap = alike - track.limit.needed
        return power_on_the_way(gap, deviation, self.cases, room=room, alpha=self.policy.alpha)

    def _settle(self, track: _Track, fail: float) -> tuple[int | None, str]:
        """How many more cases would decide, counting unscored ones at their worst, and the sentence about it."""
        estimate, deviation = track.summary()
        passing = estimate > track.limit.needed
        evidence, alpha = (track.passing, self.policy.alpha) if passing else (track.failing, fail)
        gap = track.gap(passing=passing)
        gaps = track.unscored > 0 and gap < abs(estimate - track.limit.needed) / 2
        more = observations_needed(
            gap,
            deviation,
            room=evidence.null - evidence.low,
            alpha=alpha,
            log_evidence=evidence.log_evidence,
        )
        return more, settling(track.limit, more, unscored=track.unscored, gaps=gaps, passing=passing)


class _Invariant(msgspec.Struct):
    offending: list[str] = []
    unscored: int = 0

    def take(self, case_id: str, *, bad: bool | None) -> None:
        if bad:
            self.offending.append(case_id)
        elif bad is None:
            self.unscored += 1


class _Track:
    """One limit on its way: evidence that it is kept, evidence that it is broken, and what came."""

    def __init__(self, *, limit: Limit, largest: int) -> None:
        self.limit = limit
        self.passing = MeanTest(limit.needed, low=limit.low, high=limit.high, largest=largest)
        self.failing = MeanTest(-limit.needed, low=-limit.high, high=-limit.low, largest=largest)
        self.seen: list[float] = []
        self.unscored = 0
        self._largest = largest
        self._sizes: list[int] = []
        self._worst: list[float] = []
        self._best: list[float] = []

    def take(self, numbers: Sequence[Numbers]) -> None:
        worst, best = math.fsum(each[1] for each in numbers), math.fsum(each[2] for each in numbers)
        self.passing.add(worst, len(numbers))
        self.failing.add(-best, len(numbers))
        self._worst.append(worst)
        self._best.append(best)
        self._sizes.append(len(numbers))
        for seen, _, _ in numbers:
            if math.isnan(seen):
                self.unscored += 1
            else:
                self.seen.append(seen)

    def kept(self, alpha: float) -> bool:
        return self.passing.refuted(alpha)

    def refuted(self, alpha: float) -> bool:
        return self.failing.refuted(alpha)

    def summary(self) -> tuple[float, float]:
        """Mean and standard deviation of what was scored."""
        if not self.seen:
            return math.nan, math.nan
        return float(np.mean(self.seen)), float(np.std(self.seen))

    def gap(self, *, passing: bool) -> float:
        """How far the mean is on the side of PASS, or of FAIL, with unscored cases at what speaks against it."""
        cases = max(1, sum(self._sizes))
        if passing:
            return math.fsum(self._worst) / cases - self.limit.needed
        return self.limit.needed - math.fsum(self._best) / cases

    def bounds(self, below: float, above: float) -> tuple[float, float]:
        """One-sided bounds of the mean, which hold at all times together."""
        limit, sizes = self.limit, np.array(self._sizes, dtype=np.float64)
        low = lower_bound(
            np.array(self._worst),
            sizes,
            low=limit.low,
            high=limit.high,
            alpha=below,
            largest=self._largest,
        )
        high = lower_bound(
            -np.array(self._best),
            sizes,
            low=-limit.high,
            high=-limit.low,
            alpha=above,
            largest=self._largest,
        )
        return low, -high


def _resource_names(policy: Policy) -> list[tuple[str, str]]:
    return [
        (name, kind)
        for name, kind in (("cost_ratio", "cost"), ("latency_ratio", "latency"))
        if getattr(policy, name) is not None
    ]


def _too_early(name: str, kind: str) -> Check:
    return Check(
        name=name,
        kind=kind,
        verdict=CANT_TELL,
        reason=f"{name}: fewer than {_FIRST} cases have run, or none has a number.",
        settle=f"{name}: {_FIRST} cases, after which it is watched.",
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
