"""What a gate said of a version, and how a canary does beside the version that it is to replace."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["CanaryReport", "Finding", "GateResult", "Measure"]

Finding = Literal["worse", "no worse", "undecided"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both versions. Means are of users: shares of errors, seconds, US dollars, scores.

    `low` and `high` bound the canary's mean less the baseline's, at all times together; for latency and cost, less what
    the baseline's may grow to. None where too little came.
    """

    name: str
    unit: str  # share | seconds | dollars | score
    finding: Finding
    baseline: float | None
    canary: float | None
    low: float | None
    high: float | None
    alpha: float
    baseline_users: int
    canary_users: int


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` is a sentence for people. `worse` names the measures that speak against the canary."""

    worse: list[str]
    reason: str
    measures: list[Measure]
    baseline_users: int
    canary_users: int


class GateResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a gate said of one candidate of a run. `created` in nanoseconds since the Unix epoch.

    `prompt`, `version` and `hash` say which prompt's content the candidate was; "" and 0 where it was none. `details`
    is the whole verdict with its checks, as JSON.
    """

    id: str
    project_id: str
    run_id: str
    suite: str
    baseline: str
    candidate: str
    prompt: str = ""
    version: int = 0
    hash: str = ""
    verdict: str  # PASS | FAIL | CAN'T TELL
    reason: str
    details: dict[str, Any] = {}
    created: int
    created_by: str
