"""From single answers to what comparison takes in: one result for each case, its repeats together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.cases import Case
from ratchet.domain.runs import Result
from ratchet.evals.results import CaseResult
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["about_from", "about_to", "gather", "plain"]

_FIELDS = ("name", "title", "group", "higher_is_better", "low", "high", "binary", "asks_a_model")


def about_to(about: ScorerAbout) -> dict[str, Any]:
    """What a run remembers of a scorer, as JSON can hold it."""
    return {name: getattr(about, name) for name in _FIELDS} | {"parts": list(about.parts)}


def about_from(kept: Mapping[str, Any]) -> ScorerAbout:
    known = {name: kept[name] for name in _FIELDS if name in kept}
    return ScorerAbout(**known, parts=tuple(kept.get("parts", ())))


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
        latencies=[math.nan if each.output.latency is None else each.output.latency for each in repeats],
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


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Results as JSON can hold them: what is unscored is null."""
    return [
        {**msgspec.to_builtins(each), "verdicts": [_verdict(verdict) for verdict in each.verdicts]}
        for each in results
    ]


def _verdict(verdict: Any) -> dict[str, Any]:
    return {**msgspec.to_builtins(verdict), "value": verdict.value if verdict.scored else None}
