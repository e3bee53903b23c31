"""Two candidates on the same cases: what `compare` says is what the numbers say, and it survives JSON."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from ratchet.evals.compare import compare
from ratchet.evals.comparison import Comparison
from ratchet.evals.results import CaseResult
from ratchet.scorers.scorer import ScorerAbout

EXACT = ScorerAbout(name="exact", title="Exact", binary=True)
JUDGE = ScorerAbout(name="judge", title="Judge")
LENGTH = ScorerAbout(name="length", title="Length", higher_is_better=False, low=None, high=None)


def results(scorer: str, values: list[float], sources: list[str] | None = None) -> list[CaseResult]:
    return [
        CaseResult(case_id=f"c{index}", values={scorer: [value]}, source=sources[index] if sources else "")
        for index, value in enumerate(values)
    ]


def test_a_comparison_is_the_same_after_json() -> None:
    rng = np.random.default_rng(1)
    first, second = (
        [
            CaseResult(
                case_id=f"c{index}",
                values={"judge": [float(rng.random())], "exact": [math.nan if index % 7 == 0 else 1.0]},
                costs=[float(rng.random())],
                tags=["even"] if index % 2 == 0 else [],
                labels={"judge": float(rng.random())} if index % 3 == 0 else {},
            )
            for index in range(60)
        ]
        for _ in range(2)
    )
    found = compare(first, second, [EXACT, JUDGE])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found
    assert [each.scorer for each in found.scorers] == ["exact", "judge"]
    assert found.latency is None


def test_changes_are_sorted_by_regression() -> None:
    first = results("length", [10, 10, 10, math.nan])
    second = results("length", [12, 5, 10, 3])
    (scorer,) = compare(first, second, [LENGTH]).scorers
    assert [(each.case_id, each.change) for each in scorer.cases] == [
        ("c0", "worse"),
        ("c2", "same"),
        ("c1", "better"),
        ("c3", "unscored"),
    ]
    assert (scorer.better, scorer.worse, scorer.same) == (1, 1, 1)
    assert (scorer.unscored_baseline, scorer.unscored_candidate) == (1, 0)
    assert scorer.difference.value == -1


def test_a_case_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        compare(results("exact", [1.0]) * 2, results("exact", [1.0]))
