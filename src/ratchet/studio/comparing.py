"""Comparing two candidates from what the stores hold. Loaded late: statistics take their time to import."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import msgspec

from ratchet.domain.cases import Case
from ratchet.domain.runs import Run
from ratchet.evals.compare import compare
from ratchet.evals.gathering import gather_figures
from ratchet.evals.keeping import about_from
from ratchet.evals.results import CaseResult
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records.runs import cases_of_run
from ratchet.studio.services import Visit
from ratchet.studio.sides import ComparisonView, Side, SideView

__all__ = ["Compared", "compared"]

BOOTSTRAPPED = 2_000  # cases; with more, t intervals are as good and a hundred times quicker
_RESAMPLES = 2_000
_KEPT, _SECONDS = (
    4,
    60.0,
)  # how many comparisons are remembered, and for how long: paging asks for the same one again


class Compared(msgspec.Struct, frozen=True):
    """A comparison with the cases it was made from."""

    view: ComparisonView
    cases: list[Case]


class _Memory:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[object, tuple[float, Compared]] = OrderedDict()

    def get(self, key: object) -> Compared | None:
        with self._lock:
            made, found = self._held.get(key, (0.0, None))
            return found if time.monotonic() - made < _SECONDS else None

    def put(self, key: object, found: Compared) -> Compared:
        with self._lock:
            self._held[key] = (time.monotonic(), found)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        return found


_memory = _Memory()


def compared(asked: Visit, baseline: Side, candidate: Side) -> Compared:
    """Read both sides and compare them. What people say meanwhile is seen within a minute. Raises Unavailable."""
    key = tuple((side.run.id, side.run.touched, side.candidate) for side in (baseline, candidate))
    finished = baseline.run.ended is not None and candidate.run.ended is not None
    return (finished and _memory.get(key)) or _memory.put(key, _compared(asked, baseline, candidate))


def _compared(asked: Visit, baseline: Side, candidate: Side) -> Compared:
    records = asked.services.records
    cases = everything = cases_of_run(records, baseline.run.id)
    notes: list[str] = []
    if candidate.run.id != baseline.run.id:
        others = cases_of_run(records, candidate.run.id)
        known = {case.id for case in cases}
        everything = cases + [case for case in others if case.id not in known]
        notes = _notes(cases, others)
    first, second = _both(asked, baseline, candidate, everything)
    abouts = {name: about for run in (candidate.run, baseline.run) for name, about in _abouts(run).items()}
    comparison = compare(
        first,
        second,
        list(abouts.values()),
        resamples=_RESAMPLES if len(everything) <= BOOTSTRAPPED else 0,
    )
    return Compared(ComparisonView(_view(baseline), _view(candidate), notes, comparison), everything)


def _both(
    asked: Visit, baseline: Side, candidate: Side, cases: list[Case]
) -> tuple[list[CaseResult], list[CaseResult]]:
    if baseline.run.id == candidate.run.id:
        found = _figures(asked, baseline.run, [baseline.candidate, candidate.candidate], cases)
        return found.get(baseline.candidate, []), found.get(candidate.candidate, [])
    sides = [_figures(asked, side.run, [side.candidate], cases) for side in (baseline, candidate)]
    return sides[0].get(baseline.candidate, []), sides[1].get(candidate.candidate, [])


def _figures(asked: Visit, run: Run, names: list[str], cases: list[Case]) -> dict[str, list[CaseResult]]:
    found = asked.services.spans().figures(run.project_id, run.id, names, since=run.created, until=run.ended)
    return gather_figures(found, cases)


def _abouts(run: Run) -> dict[str, ScorerAbout]:
    return {str(kept["name"]): about_from(kept) for kept in run.scorers}


def _notes(cases: list[Case], others: list[Case]) -> list[str]:
    """Cases of the same id that don't ask the same."""
    known = {case.id: case for case in cases}
    changed = sum(case.id in known and known[case.id].input != case.input for case in others)
    if not changed:
        return []
    noun = "case asks" if changed == 1 else "cases ask"
    return [f"{changed:,} {noun} something else in the second run: the datasets differ."]


def _view(side: Side) -> SideView:
    run = side.run
    return SideView(run.id, run.suite, run.dataset, run.dataset_version, side.candidate)
