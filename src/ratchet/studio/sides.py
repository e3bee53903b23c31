"""Which two candidates are compared, and how the answer looks to programs."""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.domain.runs import Run
from ratchet.errors import InvalidRequest, NotFound
from ratchet.evals.comparison import Comparison
from ratchet.store.records.runs import find_run
from ratchet.studio.services import Visit

__all__ = ["ComparisonView", "Side", "SideView", "sides_of"]


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
