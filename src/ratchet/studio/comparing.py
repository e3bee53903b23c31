"""Which two candidates are compared, and what comes of it: for the page, the API and the command line."""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.domain.cases import Case
from ratchet.domain.runs import Result, Run
from ratchet.errors import InvalidRequest, NotFound
from ratchet.evals.compare import compare
from ratchet.evals.comparison import Comparison
from ratchet.evals.gathering import about_from, gather
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records.runs import cases_of_run, find_run
from ratchet.studio.run_results import results_of
from ratchet.studio.services import Visit

__all__ = ["Compared", "ComparisonView", "Side", "compared", "sides_of"]

BOOTSTRAPPED = 2_000  # cases; with more, t intervals are as good and a hundred times quicker
_RESAMPLES = 2_000


class Side(msgspec.Struct, frozen=True):
    """One candidate of one run."""

    run: Run
    candidate: str


class SideView(msgspec.Struct, frozen=True):
    """A side, as programs see it."""

    run_id: str
    suite: str
    dataset: str
    dataset_version: str
    candidate: str


class ComparisonView(msgspec.Struct, frozen=True):
    """`comparison` is candidate against baseline. `notes` say what makes them less than comparable."""

    baseline: SideView
    candidate: SideView
    notes: list[str]
    comparison: Comparison


class Compared(msgspec.Struct, frozen=True):
    """A comparison with what it was made from."""

    view: ComparisonView
    baseline: list[Result]
    candidate: list[Result]
    cases: list[Case]


def sides_of(
    asked: Visit, run_id: str, other_id: str = "", baseline: str = "", candidate: str = ""
) -> tuple[Side, Side]:
    """The baseline of one run, and what is held against it: of the same run, or of another.

    Unless named, the baseline is the gate's or the first candidate; the other side is the one of the same name in the
    other run, or whatever stands second. Raises NotFound, and InvalidRequest where there is nothing to choose.
    """
    records, project = asked.services.records, asked.project_id
    first = find_run(records, project_id=project, text=run_id)
    second = find_run(records, project_id=project, text=other_id) if other_id else first
    gate: dict[str, Any] = first.settings.get("gate") or {}
    base = _candidate(first, baseline or str(gate.get("baseline", "")))
    if candidate:
        return Side(first, base), Side(second, _candidate(second, candidate))
    names = [each.name for each in second.candidates]
    if second.id != first.id:
        return Side(first, base), Side(second, base if base in names else _candidate(second, ""))
    others = [name for name in names if name != base]
    if not others:
        raise InvalidRequest(
            f"The run {first.id} has one candidate: there is nothing to compare it with.",
            "Name another run, or run the suite with two candidates.",
            param="with",
        )
    return Side(first, base), Side(second, others[0])


def compared(asked: Visit, baseline: Side, candidate: Side, *, whole: bool = False) -> Compared:
    """Read both sides and compare them; `whole` reads whole answers too. Raises Unavailable."""
    cases = cases_of_run(asked.services.records, baseline.run.id)
    first = [
        each for each in results_of(asked, baseline.run, whole=whole) if each.candidate == baseline.candidate
    ]
    notes: list[str] = []
    if candidate.run.id == baseline.run.id:
        everything = cases
        both = results_of(asked, candidate.run, whole=whole)
    else:
        others = cases_of_run(asked.services.records, candidate.run.id)
        known = {case.id for case in cases}
        everything = cases + [case for case in others if case.id not in known]
        both = results_of(asked, candidate.run, whole=whole)
        notes = _notes(cases, others)
    second = [each for each in both if each.candidate == candidate.candidate]
    abouts = {name: about for run in (candidate.run, baseline.run) for name, about in _abouts(run).items()}
    comparison = compare(
        gather(first, everything).get(baseline.candidate, []),
        gather(second, everything).get(candidate.candidate, []),
        list(abouts.values()),
        resamples=_RESAMPLES if len(everything) <= BOOTSTRAPPED else 0,
    )
    view = ComparisonView(_view(baseline), _view(candidate), notes, comparison)
    return Compared(view, first, second, everything)


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


def _candidate(run: Run, name: str) -> str:
    names = [each.name for each in run.candidates]
    if not name:
        if not names:
            raise NotFound(f"The run {run.id} has no candidates yet.", "Wait until it has begun.")
        return names[0]
    if name not in names:
        raise NotFound(
            f"The run {run.id} has no candidate {name!r}.", f"It has {', '.join(names)}.", param="candidate"
        )
    return name


def _view(side: Side) -> SideView:
    run = side.run
    return SideView(run.id, run.suite, run.dataset, run.dataset_version, side.candidate)
