"""`ratchet gate check`: runs what is not yet run, and asks the gate; after every source of cases where it may."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ratchet.app.paths import DataDir
from ratchet.app.planning import Order
from ratchet.app.runs import Performed, Watcher, start_run
from ratchet.app.settings import config_file, records_url
from ratchet.domain.cases import Case
from ratchet.domain.prompts import PromptReference
from ratchet.domain.releases import GateResult
from ratchet.domain.runs import Progress, Result, Run
from ratchet.errors import InvalidRequest
from ratchet.evals.gathering import gather
from ratchet.evals.suite import GateSettings, Suite
from ratchet.evals.switch import Switch
from ratchet.release.gate import decide
from ratchet.release.policy import GateVerdict, Policy
from ratchet.release.sequential import SequentialGate
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records import Records
from ratchet.store.records.gates import add_gate
from ratchet.store.records.secret import new_id

__all__ = ["DECIDED", "Gated", "check_gate", "decided", "keep_verdict", "policy_of", "sides_of_suite"]

DECIDED = "the gate has decided"
_OURS = {"baseline", "candidate", "early"}  # what a suite says beside the policy


@dataclasses.dataclass(frozen=True, slots=True)
class Gated:
    run: Run
    baseline: str
    candidate: str
    verdict: GateVerdict


def policy_of(gate: GateSettings) -> Policy:
    """The limits that a suite's `gate` sets. Raises InvalidRequest for none at all."""
    return Policy(**{name: value for name, value in gate.model_dump().items() if name not in _OURS})


def sides_of_suite(suite: Suite) -> tuple[str, str]:
    """The names of baseline and candidate. Raises InvalidRequest where the suite doesn't have two."""
    gate = suite.gate
    if gate is None:
        raise InvalidRequest(
            f"The suite {suite.title} has no gate.", "Add `gate: {scorer: …, epsilon: 0.02}`.", param="gate"
        )
    names = [each.label for each in suite.candidates]
    for name in (gate.baseline, gate.candidate):
        if name and name not in names:
            raise InvalidRequest(
                f"The gate names the candidate {name!r}, and the suite has {', '.join(names)}.",
                "",
                param="gate",
            )
    baseline = gate.baseline or next((name for name in names if name != gate.candidate), names[0])
    candidate = gate.candidate or next((name for name in names if name != baseline), "")
    if not candidate or candidate == baseline:
        raise InvalidRequest(
            "A gate needs a baseline and a candidate, and the suite names one thing.",
            "Give two candidates: what is in use now, and what may replace it.",
            param="candidates",
        )
    return baseline, candidate


async def check_gate(config: Path, data: DataDir, order: Order, *, watcher: Watcher, switch: Switch) -> Gated:
    """Raises RatchetError where the suite can't be run."""
    gate = order.suite.gate
    baseline, candidate = sides_of_suite(order.suite)
    assert gate is not None  # noqa: S101 - `sides_of_suite` refuses a suite without one
    policy = policy_of(gate)
    only = [each for each in order.suite.candidates if each.label in (baseline, candidate)]
    order = dataclasses.replace(order, suite=order.suite.model_copy(update={"candidates": only}))
    if gate.early:
        early = _Early(policy, (baseline, candidate), watcher, switch)
        performed = await start_run(
            config, data, dataclasses.replace(order, arrange=by_source), watcher=early, switch=switch
        )
        verdict = early.verdict()
    else:
        performed = await start_run(config, data, order, watcher=watcher, switch=switch)
        verdict = decided(policy, performed, baseline, candidate)
    gated = Gated(performed.run, baseline, candidate, verdict)
    keep_verdict(config, data, gated, by=order.author)
    return gated


def keep_verdict(config: Path, data: DataDir, gated: Gated, *, by: str) -> None:
    """Write down what the gate said, for whoever releases on the strength of it."""
    run, verdict = gated.run, gated.verdict
    about = next(each for each in run.candidates if each.name == gated.candidate)
    named = PromptReference.parse(about.target) if about.kind == "prompt" else None
    result = GateResult(
        id=new_id(),
        project_id=run.project_id,
        run_id=run.id,
        suite=run.suite,
        baseline=gated.baseline,
        candidate=gated.candidate,
        prompt=named.name if named else "",
        version=int(about.version or 0),
        hash=about.hash,
        verdict=verdict.verdict,
        reason=verdict.reason,
        details=msgspec.to_builtins(verdict),
        created=time.time_ns(),
        created_by=by,
    )
    records = Records.open(records_url(config_file(config).read(), data))
    try:
        add_gate(records, result)
    finally:
        records.close()


def decided(policy: Policy, performed: Performed, baseline: str, candidate: str) -> GateVerdict:
    """By everything that has run: what has not counts as unscored."""
    by_case = gather(performed.results, performed.cases)
    return decide(policy, by_case.get(baseline, []), by_case.get(candidate, []), performed.scorers)


def by_source(cases: Sequence[Case]) -> list[Case]:
    """Sources in a fixed random order, each with all its cases: quick answers may be the easy ones."""
    sources: dict[str, list[Case]] = {}
    for case in cases:
        sources.setdefault(case.source or f"\0{case.id}", []).append(case)
    names = sorted(sources)
    random.Random(0).shuffle(names)  # noqa: S311 - any order will do that nobody chose
    return [case for name in names for case in sources[name]]


class _Early:
    """Feeds the sequential gate source by source, in the order in which they were planned, and stops the run."""

    def __init__(self, policy: Policy, sides: tuple[str, str], watcher: Watcher, switch: Switch) -> None:
        self._policy = policy
        self._sides = sides
        self._watcher = watcher
        self._switch = switch
        self._gate: SequentialGate | None = None
        self._waiting: list[list[Case]] = []
        self._results: dict[str, list[Result]] = {}
        self._each = 0

    def planned(self, cases: Sequence[Case], repeats: int, scorers: Sequence[ScorerAbout]) -> None:
        for case in cases:
            same = self._waiting and case.source and self._waiting[-1][0].source == case.source
            if same:
                self._waiting[-1].append(case)
            else:
                self._waiting.append([case])
        largest = max(len(each) for each in self._waiting)
        self._gate = SequentialGate(self._policy, scorers, cases=len(cases), largest_source=largest)
        self._each = repeats * len(self._sides)
        self._watcher.planned(cases, repeats, scorers)

    def began(self, run: Run, done: Sequence[Result]) -> None:
        for result in done:
            self._results.setdefault(result.case_id, []).append(result)
        self._watcher.began(run, done)
        self._feed()

    def told(self, result: Result, progress: Progress) -> None:
        self._results.setdefault(result.case_id, []).append(result)
        self._watcher.told(result, progress)
        self._feed()

    def verdict(self) -> GateVerdict:
        assert self._gate is not None  # noqa: S101 - a run that has ended was planned
        return self._gate.verdict()

    def _feed(self) -> None:
        gate = self._gate
        assert gate is not None  # noqa: S101 - planned before it began
        while self._waiting and not gate.settled:
            source = self._waiting[0]
            if any(len(self._results.get(case.id, ())) < self._each for case in source):
                return
            self._waiting.pop(0)
            found = gather([each for case in source for each in self._results[case.id]], source)
            first, second = (found[name] for name in self._sides)
            gate.add_source(list(zip(first, second, strict=True)))
        if gate.settled:
            self._switch.stop("stopped", DECIDED)
