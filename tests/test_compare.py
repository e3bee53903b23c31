"""Two candidates on the same cases: what `compare` says is what the numbers say, and it survives JSON."""

from __future__ import annotations

import math
import time
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.runs import Result
from ratchet.evals.compare import compare
from ratchet.evals.comparison import Comparison
from ratchet.evals.results import CaseResult
from ratchet.evals.summary import summarise
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


def binary(n: int, rate: float, seed: int) -> list[float]:
    return (np.random.default_rng(seed).random(n) < rate).astype(float).tolist()


def test_a_real_difference_is_told_with_its_size() -> None:
    first, second = binary(1000, 0.7, 1), binary(1000, 0.8, 2)
    (scorer,) = compare(results("exact", first), results("exact", second), [EXACT]).scorers
    assert scorer.verdict == "better"
    assert scorer.test == "McNemar mid-p"
    assert scorer.difference.value == pytest.approx(np.mean(second) - np.mean(first))
    assert scorer.difference.low is not None
    assert scorer.difference.high is not None
    assert 0.04 < scorer.difference.low < 0.1 < scorer.difference.high < 0.16
    assert scorer.cases_needed is not None
    assert scorer.cases_needed < 1000
    assert scorer.better + scorer.worse + scorer.same == 1000


def test_repeats_are_averaged_and_one_unscored_repeat_is_left_out() -> None:
    first = [CaseResult(case_id="c", values={"judge": [0.2, math.nan, 0.4]})]
    second = [CaseResult(case_id="c", values={"judge": [0.9, 0.7, 0.8]})]
    (scorer,) = compare(first, second, [JUDGE]).scorers
    assert scorer.cases[0].gain == pytest.approx(0.5)
    assert (scorer.difference.low, scorer.difference.high) == (
        None,
        None,
    )  # one case says how much, not how surely


def test_repeats_make_binary_verdicts_shares() -> None:
    first, second = (
        [
            CaseResult(case_id=str(index), values={"exact": [1.0, float(index % 2), 0.0]})
            for index in range(40)
        ],
        [
            CaseResult(case_id=str(index), values={"exact": [1.0, 1.0, float(index % 3 > 0)]})
            for index in range(40)
        ],
    )
    (scorer,) = compare(first, second, [EXACT]).scorers
    assert scorer.test == "sign flip"
    assert scorer.verdict == "better"


def test_sources_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    shifts = np.repeat(rng.normal(0, 0.3, 40), 10)
    first, second = rng.random(400), rng.random(400) + shifts
    sources = [f"s{index // 10}" for index in range(400)]

    def width(named: list[str] | None) -> float:
        found = compare(
            results("judge", first.tolist(), named), results("judge", second.tolist(), named), [JUDGE]
        )
        difference = found.scorers[0].difference
        assert difference.sources == (40 if named else 400)
        return (difference.high or 0) - (difference.low or 0)

    assert width(sources) > 1.5 * width(None)


def test_twenty_ties_are_not_proof_of_being_alike() -> None:
    (scorer,) = compare(results("exact", [1.0] * 20), results("exact", [1.0] * 20), [EXACT]).scorers
    assert (scorer.difference.value, scorer.p, scorer.cases_needed) == (0, 1, None)
    assert scorer.difference.low == pytest.approx(-scorer.difference.high, abs=0.02)  # type: ignore[operator]
    assert scorer.difference.low == pytest.approx(-(1 - 0.025 ** (1 / 20)), abs=0.02)
    (unbounded,) = compare(results("length", [5.0] * 20), results("length", [5.0] * 20), [LENGTH]).scorers
    assert (unbounded.difference.low, unbounded.difference.high) == (None, None)


def test_slices_are_adjusted_for_their_number() -> None:
    rng = np.random.default_rng(4)

    def side(bad: float) -> list[CaseResult]:
        return [
            CaseResult(
                case_id=str(index),
                values={"judge": [float(rng.random()) - (bad if index % 10 == 0 else 0)]},
                tags=[f"t{index % 10}"],
            )
            for index in range(1000)
        ]

    (scorer,) = compare(side(0), side(0.5), [JUDGE]).scorers
    assert [each.tag for each in scorer.slices if each.significant] == ["t0"]
    for each in scorer.slices:
        assert (each.p_adjusted or 0) >= (each.p or 0)
        assert each.difference.cases == 100


def test_costs_and_latencies_are_compared_where_both_sides_know_them() -> None:
    first = [CaseResult(case_id=str(i), values={}, costs=[0.002], latencies=[1 + i % 3]) for i in range(90)]
    second = [
        CaseResult(case_id=str(i), values={}, costs=[0.003 if i else math.nan], latencies=[2 + i % 3])
        for i in range(90)
    ]
    found = compare(first, second)
    assert found.cost is not None
    assert (found.cost.unknown, found.cost.difference.cases) == (1, 89)
    assert found.cost.ratio.value == pytest.approx(1.5)
    assert found.latency is not None
    assert found.latency.difference.value == 1
    assert found.latency.ratio.value == pytest.approx(1.5)
    assert (found.latency.ratio.low or 0) < 1.5 < (found.latency.ratio.high or 0)
    assert found.scorers == []


def test_labels_correct_a_judge_that_favours_the_candidate() -> None:
    rng = np.random.default_rng(8)
    truth = rng.normal(0.5, 0.1, (2, 2000))

    def side(which: int, favour: float) -> list[CaseResult]:
        return [
            CaseResult(
                case_id=str(index),
                values={"judge": [float(truth[which, index] + favour + rng.normal(0, 0.03))]},
                labels={"judge": float(truth[which, index])} if index % 20 == 0 else {},
            )
            for index in range(2000)
        ]

    (scorer,) = compare(side(0, 0.0), side(1, 0.2), [JUDGE]).scorers
    assert scorer.verdict == "better"
    corrected = scorer.corrected
    assert corrected is not None
    assert corrected.difference is not None
    assert (corrected.labels, corrected.trust) == (100, pytest.approx(0.9, abs=0.1))
    assert (corrected.difference.low or 1) < 0.0 < (corrected.difference.high or -1)
    assert scorer.difference.value == pytest.approx(0.2, abs=0.02)


def test_cases_of_one_side_alone_are_listed_and_in_no_number() -> None:
    first, second = results("judge", [0.1, 0.2, 0.3]), results("judge", [0.1, 0.2, 0.3, 0.4])[1:]
    found = compare(first, second, [JUDGE])
    assert (found.cases, found.only_baseline, found.only_candidate) == (2, ["c0"], ["c3"])
    assert compare([], []).cases == 0


def test_quick_intervals_are_nearly_the_same() -> None:
    first, second = (results("judge", np.random.default_rng(seed).random(2000).tolist()) for seed in (6, 7))
    slow, quick = (compare(first, second, [JUDGE], resamples=n).scorers[0].difference for n in (2000, 0))
    assert (slow.low, slow.high) == (pytest.approx(quick.low, abs=2e-3), pytest.approx(quick.high, abs=2e-3))


def test_ten_thousand_cases_are_compared_within_a_second() -> None:
    def side(seed: int) -> list[CaseResult]:
        rng = np.random.default_rng(seed)
        return [
            CaseResult(
                case_id=str(index),
                values={"judge": [float(rng.random())], "exact": [float(rng.random() < 0.8)]},
                costs=[float(rng.random())],
                tags=[f"t{index % 12}"],
            )
            for index in range(10_000)
        ]

    first, second = side(1), side(2)
    began = time.process_time()
    compare(first, second, [EXACT, JUDGE])
    assert time.process_time() - began < 2  # 0.3 s where nothing else runs


def test_no_interval_of_a_run_leaves_its_scorers_range() -> None:
    """Nor is any without width: twelve best grades are no proof of a perfect candidate."""
    rng = np.random.default_rng(5)
    for grades in ([1.0] * 12, [1.0] * 11 + [0.25], [0.0] * 12, rng.choice([0.0, 1.0], 12).tolist()):
        answers = [
            Result(
                candidate="a",
                case_id=f"c{index}",
                repeat=repeat,
                output=Output(text="", latency=float(index == 0), cost=Decimal(int(index == 0))),
                verdicts=[Verdict(name="judge", value=grade)],
            )
            for index, grade in enumerate(grades)
            for repeat in range(2)
        ]
        cases = [Case(id=f"c{index}", input="?") for index in range(12)]
        (found,) = summarise(answers, cases, ["a"], [JUDGE]).candidates
        mean = found.scorers[0].mean
        assert mean.low is not None
        assert mean.high is not None
        assert 0 <= mean.low < mean.high <= 1
        assert mean.value == pytest.approx(np.mean(grades))
        assert found.latency.low == found.cost.low == 0
        (scorer,) = compare(results("judge", grades), results("judge", grades), [JUDGE]).scorers
        assert scorer.baseline.low is not None
        assert scorer.baseline.high is not None
        assert 0 <= scorer.baseline.low < scorer.baseline.high <= 1
