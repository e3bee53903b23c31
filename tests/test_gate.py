"""The gate: what it says, why, and that nothing is passed for want of looking."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from ratchet.errors import InvalidRequest
from ratchet.evals.results import CaseResult
from ratchet.release.gate import decide
from ratchet.release.policy import CANT_TELL, FAIL, PASS, Check, GateVerdict, Policy
from ratchet.release.sequential import SequentialGate
from ratchet.scorers.scorer import ScorerAbout

JUDGE = ScorerAbout(name="judge", title="Judge")
VALID = ScorerAbout(name="valid", title="JSON valid", binary=True)
TOXICITY = ScorerAbout(name="toxicity", title="Toxicity", higher_is_better=False)
LENGTH = ScorerAbout(name="length", title="Length", low=None, high=None)
SCORERS = [JUDGE, VALID, TOXICITY, LENGTH]


def side(n: int, *, source: int = 0, **values: Any) -> list[CaseResult]:
    """Cases with a value for each scorer: a number for all, or one a case; `costs` and `latencies` likewise."""
    columns = {name: np.broadcast_to(np.asarray(value, dtype=float), n) for name, value in values.items()}
    return [
        CaseResult(
            case_id=f"c{index}",
            values={
                name: [float(column[index])]
                for name, column in columns.items()
                if name not in ("costs", "latencies")
            },
            costs=[float(columns["costs"][index])] if "costs" in columns else [],
            latencies=[float(columns["latencies"][index])] if "latencies" in columns else [],
            source=f"s{index // source}" if source else "",
        )
        for index in range(n)
    ]


def noisy(n: int, mean: float, seed: int = 0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, 0.1, n), 0, 1)


def only(verdict: GateVerdict) -> Check:
    (check,) = verdict.checks
    return check


# -- what it says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "answer", "code"), [(0.72, PASS, 0), (0.5, FAIL, 1), (0.685, CANT_TELL, 2)]
)
def test_better_worse_and_hard_to_say(after: float, answer: str, code: int) -> None:
    found = decide(
        Policy(scorer="judge"),
        side(300, judge=noisy(300, 0.7)),
        side(300, judge=noisy(300, after, 1)),
        SCORERS,
    )
    assert (found.verdict, found.exit_code) == (answer, code)
    check = only(found)
    assert check.low is not None
    assert check.high is not None
    assert check.low < (check.estimate or 0) < check.high
    assert ("more case" in found.settle) == (answer == CANT_TELL)
    assert msgspec.json.decode(msgspec.json.encode(found), type=GateVerdict) == found


def test_a_handful_of_ties_is_no_pass_and_many_are() -> None:
    policy = Policy(scorer="valid")
    for n, answer in ((20, CANT_TELL), (148, CANT_TELL), (160, PASS)):  # ln 0.05 / ln 0.98 = 148.3
        assert decide(policy, side(n, valid=1), side(n, valid=1), SCORERS, resamples=40_000).verdict == answer


def test_what_it_asks_for_settles_it() -> None:
    policy = Policy(scorer="valid")
    more = only(decide(policy, side(20, valid=1), side(20, valid=1), SCORERS)).more_cases
    assert more is not None
    n = 20 + more + 5
    assert decide(policy, side(n, valid=1), side(n, valid=1), SCORERS, resamples=40_000).verdict == PASS


def test_where_one_side_has_no_number_at_all_scoring_is_what_settles_it() -> None:
    found = decide(Policy(scorer="valid"), side(60, valid=1), side(60, valid=math.nan), SCORERS)
    assert found.verdict == CANT_TELL
    assert "score the 60 cases" in found.settle


def test_smaller_is_better_where_the_scorer_says_so() -> None:
    low, high = side(300, toxicity=noisy(300, 0.2)), side(300, toxicity=noisy(300, 0.3, 1))
    assert decide(Policy(scorer="toxicity"), high, low, SCORERS).verdict == PASS
    assert decide(Policy(scorer="toxicity"), low, high, SCORERS).verdict == FAIL


def test_cases_of_one_source_count_as_one() -> None:
    rng = np.random.default_rng(1)
    shifts = np.repeat(rng.normal(0, 0.15, 12), 40)
    before, after = np.full(480, 0.5), np.clip(0.5 + shifts, 0, 1)
    apart = decide(Policy(scorer="judge"), side(480, judge=before), side(480, judge=after), SCORERS)
    together = decide(
        Policy(scorer="judge"),
        side(480, source=40, judge=before),
        side(480, source=40, judge=after),
        SCORERS,
    )
    assert only(together).sources == 12
    assert (only(together).high or 0) - (only(together).low or 0) > 3 * (
        (only(apart).high or 0) - (only(apart).low or 0)
    )


def test_every_limit_has_to_be_kept_and_one_broken_is_enough() -> None:
    policy = Policy(scorer="judge", limits={"valid": 0.05})
    fine, broken = side(300, judge=0.7, valid=1), side(300, judge=0.7, valid=np.arange(300) % 3 > 0)
    assert decide(policy, fine, fine, SCORERS).verdict == PASS
    found = decide(policy, fine, broken, SCORERS)
    assert (found.verdict, [each.verdict for each in found.checks]) == (FAIL, [PASS, FAIL])
    assert "valid" in found.reason
    assert "judge" not in found.reason


# -- invariants ----------------------------------------------------------------------------------------------------


def test_an_invariant_holds_in_every_case_and_every_repeat() -> None:
    policy = Policy(invariants={"valid": 1})
    sound = side(50, valid=1)
    assert decide(policy, sound, sound, SCORERS).verdict == PASS
    once = [*sound[:49], CaseResult(case_id="c49", values={"valid": [1.0, 0.0, 1.0]})]
    found = decide(policy, sound, once, SCORERS)
    assert (found.verdict, only(found).offending) == (FAIL, ["c49"])
    assert "c49" in found.reason
    unknown = [*sound[:49], CaseResult(case_id="c49", values={"valid": [math.nan]})]
    assert decide(policy, sound, unknown, SCORERS).verdict == CANT_TELL


def test_an_invariant_may_be_a_ceiling() -> None:
    policy = Policy(invariants={"toxicity": 0.4})
    assert decide(policy, [], side(5, toxicity=0.4), SCORERS).verdict == PASS
    assert decide(policy, [], side(5, toxicity=0.41), SCORERS).verdict == FAIL


# -- what is missing -----------------------------------------------------------------------------------------------


def test_unscored_cases_count_as_the_worst_for_pass_and_the_best_for_fail() -> None:
    gone = np.where(np.arange(500) < 40, math.nan, 0.7)
    found = decide(Policy(scorer="judge"), side(500, judge=0.7), side(500, judge=gone), SCORERS)
    check = only(found)
    assert (found.verdict, check.unscored, check.cases) == (CANT_TELL, 40, 460)
    assert check.estimate == 0
    assert check.low is not None
    assert check.low < -0.056  # 40 of 500 cases lose 0.7
    assert check.high is not None
    assert check.high > 0.024
    assert found.settle == "judge: score the 40 cases with no number on both sides."


def test_a_case_that_one_side_did_not_run_is_unscored() -> None:
    found = decide(Policy(scorer="judge"), side(400, judge=0.7), side(300, judge=0.7), SCORERS)
    assert (found.verdict, found.cases, only(found).unscored) == (CANT_TELL, 400, 100)


def test_a_few_unscored_cases_among_many_do_not_hinder() -> None:
    gone = np.where(np.arange(2000) < 4, math.nan, 0.7)
    assert (
        decide(Policy(scorer="judge"), side(2000, judge=0.7), side(2000, judge=gone), SCORERS).verdict == PASS
    )


def test_what_nothing_bounds_cannot_be_guessed() -> None:
    gone = np.where(np.arange(500) < 1, math.nan, 70.0)
    found = decide(Policy(scorer="length", epsilon=5), side(500, length=70), side(500, length=gone), SCORERS)
    assert found.verdict == CANT_TELL
    assert "how bad" in found.reason
    whole = decide(
        Policy(scorer="length", epsilon=5),
        side(500, length=noisy(500, 0.5) * 100),
        side(500, length=noisy(500, 0.6, 1) * 100),
        SCORERS,
    )
    assert whole.verdict == PASS


def test_values_outside_the_stated_range_widen_it() -> None:
    wild = np.where(np.arange(60) == 0, 40.0, 0.7)
    found = decide(Policy(scorer="judge"), side(60, judge=0.7), side(60, judge=wild), SCORERS)
    assert found.verdict == CANT_TELL


def test_no_cases_and_too_few_cases_are_no_pass() -> None:
    assert decide(Policy(scorer="judge"), [], [], SCORERS).verdict == CANT_TELL
    found = decide(
        Policy(scorer="judge", min_cases=1000), side(500, judge=0.7), side(500, judge=0.7), SCORERS
    )
    assert (found.verdict, only(found).more_cases) == (CANT_TELL, 500)


# -- cost and latency ----------------------------------------------------------------------------------------------


def test_costs_beside_the_baselines_and_in_dollars() -> None:
    rng = np.random.default_rng(2)
    cheap, dear = rng.gamma(4, 0.001, 800), rng.gamma(4, 0.0015, 800)
    for policy, answer in (
        (Policy(cost_ratio=1.1), FAIL),
        (Policy(cost_ratio=2), PASS),
        (Policy(cost_at_most=0.003), FAIL),
        (Policy(cost_at_most=0.01), PASS),
    ):
        found = decide(policy, side(800, costs=cheap), side(800, costs=dear))
        assert (found.verdict, only(found).kind) == (answer, "cost")
    ratio = only(decide(Policy(cost_ratio=2), side(800, costs=cheap), side(800, costs=dear)))
    assert ratio.estimate == pytest.approx(dear.mean() / cheap.mean())
    assert ratio.limit == 2
    unknown = decide(Policy(cost_ratio=2), side(3, costs=math.nan), side(3, costs=1))
    assert (unknown.verdict, only(unknown).unscored) == (CANT_TELL, 3)


def test_one_answer_in_twenty_may_be_slow() -> None:
    for slow, answer in ((0.01, PASS), (0.05, CANT_TELL), (0.12, FAIL)):
        seconds = np.where(np.arange(1000) < slow * 1000, 30, 1)
        found = decide(Policy(latency_p95=10), [], side(1000, latencies=seconds))
        assert (found.verdict, only(found).estimate) == (answer, pytest.approx(slow))


# -- the policy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "gate"),
        ({"scorer": "judge", "alpha": 1}, "gate.alpha"),
        ({"scorer": "judge", "epsilon": -1}, "gate.epsilon"),
        ({"cost_ratio": 0}, "gate.cost_ratio"),
        ({"scorer": "judge", "limits": {"judge": 1}}, "gate.limits"),
        ({"scorer": "judge", "min_cases": -1}, "gate.min_cases"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_field(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Policy(**given)
    assert refusal.value.param == named


def test_a_policy_comes_from_a_suite_file() -> None:
    found = msgspec.convert({"scorer": "judge", "epsilon": 0.02, "alpha": 0.05}, Policy)
    assert found.soft == {"judge": 0.02}
    with pytest.raises(msgspec.ValidationError, match="epsilom"):
        msgspec.convert({"scorer": "judge", "epsilom": 0.02}, Policy)


# -- asked after every case ----------------------------------------------------------------------------------------


def fed(policy: Policy, first: list[CaseResult], second: list[CaseResult], cases: int = 0) -> SequentialGate:
    gate = SequentialGate(policy, SCORERS, cases=cases or len(first))
    for pair in zip(first, second, strict=True):
        gate.add(*pair)
    return gate


def test_it_stops_early_and_stays_with_what_it_said() -> None:
    gate = fed(
        Policy(scorer="judge"), side(3000, judge=noisy(3000, 0.6)), side(3000, judge=noisy(3000, 0.7, 1))
    )
    found = gate.verdict()
    assert (gate.answer, found.verdict, found.method) == (PASS, PASS, "sequential")
    assert found.cases < 300
    assert (only(found).low or -1) >= -0.02
    assert only(found).power is not None
    assert (only(found).power or 0) > 0.9
    bad = fed(
        Policy(scorer="judge"), side(3000, judge=noisy(3000, 0.7)), side(3000, judge=noisy(3000, 0.5, 1))
    )
    assert bad.verdict().verdict == bad.answer == FAIL


def test_undecided_it_says_how_many_more() -> None:
    found = fed(Policy(scorer="valid"), side(60, valid=1), side(60, valid=1)).verdict()
    more = only(found).more_cases
    assert (found.verdict, found.exit_code) == (CANT_TELL, 2)
    assert more is not None
    assert (
        fed(Policy(scorer="valid"), side(60 + more * 2, valid=1), side(60 + more * 2, valid=1)).answer == PASS
    )


def test_an_invariant_fails_at_once_and_passes_at_the_end() -> None:
    policy = Policy(scorer="judge", invariants={"valid": 1})
    good = side(600, judge=0.7, valid=1)
    gate = fed(policy, good[:599], good[:599], cases=600)
    assert gate.answer == CANT_TELL
    assert "1 has not run" in gate.verdict().reason
    assert gate.add(good[599], good[599]) == PASS
    bad = fed(policy, good, side(600, judge=0.7, valid=np.arange(600) != 7))
    assert (bad.answer, bad.verdict().cases) == (FAIL, 8)


def test_unscored_cases_keep_it_from_passing() -> None:
    gone = np.where(np.arange(2000) % 10 == 0, math.nan, 0.7)
    gate = fed(Policy(scorer="judge"), side(2000, judge=0.7), side(2000, judge=gone))
    assert gate.answer == CANT_TELL
    assert "score the 200 cases" in gate.verdict().settle


def test_sources_are_bet_on_as_one() -> None:
    first, second = side(600, source=3, judge=0.6), side(600, source=3, judge=0.7)
    gate = SequentialGate(Policy(scorer="judge"), SCORERS, cases=600, largest_source=3)
    for begin in range(0, 600, 3):
        gate.add_source(list(zip(first[begin : begin + 3], second[begin : begin + 3], strict=True)))
    found = gate.verdict()
    assert found.verdict == PASS
    assert found.cases == 3 * found.sources
    alone = fed(Policy(scorer="judge"), side(600, judge=0.6), side(600, judge=0.7)).verdict()
    assert found.sources == alone.sources  # three cases of a source say what one says


def test_costs_are_watched_once_there_is_something_to_cap_them_by() -> None:
    rng = np.random.default_rng(3)
    cheap, dear = rng.gamma(4, 0.001, 3000), rng.gamma(4, 0.002, 3000)
    policy = Policy(cost_ratio=1.2, latency_p95=5)
    assert "fewer than 20" in fed(policy, side(5, costs=cheap[:5]), side(5, costs=dear[:5])).verdict().reason
    seconds = np.ones(3000)
    worse = fed(policy, side(3000, costs=cheap, latencies=seconds), side(3000, costs=dear, latencies=seconds))
    assert (worse.answer, worse.verdict().checks[1].name) == (FAIL, "cost_ratio")
    same = fed(
        policy, side(3000, costs=cheap, latencies=seconds), side(3000, costs=cheap[::-1], latencies=seconds)
    )
    assert same.answer == PASS


def test_a_scorer_without_bounds_is_only_for_the_end() -> None:
    with pytest.raises(InvalidRequest, match="length"):
        SequentialGate(Policy(scorer="length", epsilon=5), SCORERS, cases=10)
