"""From single answers to what comparison takes in: one result for each case, its repeats together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ratchet.domain.cases import Case
from ratchet.domain.runs import CaseFigures, Result
from ratchet.evals.results import CaseResult

__all__ = ["gather", "gather_figures"]


def gather(results: Iterable[Result], cases: Sequence[Case]) -> dict[str, list[CaseResult]]:
    """Each candidate's results by case, in the cases' order, repeats in theirs. What failed is unscored."""
    found: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        found.setdefault(result.candidate, {}).setdefault(result.case_id, []).append(result)
    known = {case.id: case for case in cases}
    gathered: dict[str, list[CaseResult]] = {}
    for candidate, by_case in found.items():
        names = _names(by_case.values())
        gathered[candidate] = [
            _case_result(known[case_id], sorted(repeats, key=lambda each: each.repeat), names)
            for case_id in known
            if (repeats := by_case.get(case_id))
        ]
    return gathered


def gather_figures(figures: Iterable[CaseFigures], cases: Sequence[Case]) -> dict[str, list[CaseResult]]:
    """The same from numbers alone."""
    found: dict[str, dict[str, CaseFigures]] = {}
    for each in figures:
        found.setdefault(each.candidate, {})[each.case_id] = each
    return {
        candidate: [
            CaseResult(
                case_id=case.id,
                values=one.values,
                costs=one.costs,
                latencies=one.latencies,
                source=case.source,
                tags=case.tags,
                labels=one.labels,
            )
            for case in cases
            if (one := by_case.get(case.id)) is not None
        ]
        for candidate, by_case in found.items()
    }


def _names(groups: Iterable[Sequence[Result]]) -> list[str]:
    """Every verdict's name, in the order in which it first comes."""
    return list(
        dict.fromkeys(verdict.name for group in groups for each in group for verdict in each.verdicts)
    )


def _case_result(case: Case, repeats: Sequence[Result], names: Sequence[str]) -> CaseResult:
    said = [{verdict.name: verdict.value for verdict in each.verdicts} for each in repeats]
    return CaseResult(
        case_id=case.id,
        values={name: [verdicts.get(name, math.nan) for verdicts in said] for name in names},
        costs=[math.nan if each.output.cost is None else float(each.output.cost) for each in repeats],
        # What failed took no time at all, and would make its candidate look quick.
        latencies=[
            math.nan if each.output.latency is None or each.output.error else each.output.latency
            for each in repeats
        ],
        source=case.source,
        tags=case.tags,
        labels=_labels(repeats),
    )


def _labels(repeats: Sequence[Result]) -> dict[str, float]:
    """What people said of the repeats, averaged."""
    said: dict[str, list[float]] = {}
    for each in repeats:
        for name, value in each.labels.items():
            said.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in said.items()}
