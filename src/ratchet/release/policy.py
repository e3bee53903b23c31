"""What the gate is asked, and what it answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from ratchet.errors import InvalidRequest

__all__ = ["CANT_TELL", "FAIL", "PASS", "Answer", "Check", "GateVerdict", "Policy"]

Answer = Literal["PASS", "FAIL", "CAN'T TELL"]
PASS: Answer = "PASS"  # noqa: S105 - a verdict
FAIL: Answer = "FAIL"
CANT_TELL: Answer = "CAN'T TELL"

_EXIT = {PASS: 0, FAIL: 1, CANT_TELL: 2}


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `gate:` of a suite file. Every limit has to be kept for PASS.

    `scorer` and `epsilon`: the candidate's mean is not worse than the baseline's by more than ε, in the scorer's
    units, with probability 1 − `alpha`. `limits` are further such limits, scorer → ε. `invariants`, scorer → value:
    every case and every repeat of the candidate reaches at least that value (at most, where smaller is better).
    `cost_ratio` and `latency_ratio`: the candidate's mean is at most so many times the baseline's. `cost_at_most`: mean
    US dollars an answer. `latency_p95`: seconds that at most one answer in twenty exceeds. `min_cases`: no PASS on
    fewer cases that both sides have scored.

    Raises InvalidRequest, which names the field, for what can't be meant.
    """

    scorer: str = ""
    epsilon: float = 0.02
    alpha: float = 0.05
    limits: dict[str, float] = {}
    invariants: dict[str, float] = {}
    cost_ratio: float | None = None
    cost_at_most: float | None = None
    latency_ratio: float | None = None
    latency_p95: float | None = None
    min_cases: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise _refused("alpha", self.alpha, "a probability above 0 and below 0.5, such as 0.05")
        for field, value in (("epsilon", self.epsilon), *(("limits", each) for each in self.limits.values())):
            if not value >= 0:
                raise _refused(field, value, "0 or more: how much worse the candidate may be")
        for field in ("cost_ratio", "cost_at_most", "latency_ratio", "latency_p95"):
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise _refused(field, value, "a number above 0")
        if self.min_cases < 0:
            raise _refused("min_cases", self.min_cases, "0 or more")
        if self.scorer in self.limits:
            raise _refused("limits", self.scorer, "scorers other than the one that `scorer` names")
        if not (self.soft or self.invariants or self.resources):
            raise InvalidRequest(
                "The gate has no limit.",
                "Name a scorer, or give `limits`, `invariants` or a limit on cost or latency.",
                param="gate",
            )

    @property
    def soft(self) -> dict[str, float]:
        """Scorer → ε."""
        return ({self.scorer: self.epsilon} if self.scorer else {}) | self.limits

    @property
    def resources(self) -> int:
        """How many limits there are on cost and latency."""
        given = (self.cost_ratio, self.cost_at_most, self.latency_ratio, self.latency_p95)
        return sum(each is not None for each in given)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One limit and what came of it. None is unknown.

    `estimate`, `low` and `high` are what `unit` says: the gain of the candidate, turned so that more is better; a ratio
    of means; US dollars; a share of answers. `limit` is where the line is in the same unit. `low` holds with
    probability `confidence`, and so does `high`, each on its own. They count unscored cases at their worst and at their
    best; `estimate` leaves them out. `power` is the probability of a PASS with so many cases if both sides were alike.
    `more_cases` would settle it with 80 % probability if things stay as they are.
    """

    name: str  # the scorer, or the policy's field
    kind: str  # invariant | score | cost | latency
    verdict: Answer
    reason: str
    settle: str = ""
    unit: str = ""  # gain | ratio | dollars | share
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    confidence: float | None = None
    power: float | None = None
    cases: int = 0  # that both sides have scored
    sources: int = 0
    unscored: int = 0
    more_cases: int | None = None
    offending: list[str] = []  # cases that break an invariant


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` is a sentence for people; `settle` says what would turn CAN'T TELL into an answer, else ""."""

    verdict: Answer
    reason: str
    settle: str
    checks: list[Check]
    cases: int
    sources: int
    alpha: float
    method: str  # "fixed sample" | "sequential"

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 2 CAN'T TELL."""
        return _EXIT[self.verdict]


def _refused(field: str, value: object, expected: str) -> InvalidRequest:
    return InvalidRequest(f"The gate's `{field}` is {value!r}.", f"Give {expected}.", param=f"gate.{field}")
