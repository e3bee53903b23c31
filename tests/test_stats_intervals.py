"""Intervals, bounds and power beside published and independently computed numbers."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ratchet.stats.agreement import cohen_kappa
from ratchet.stats.bounded import Bounded, mean_bounds, ranged_interval
from ratchet.stats.clusters import clusters_of, per_cluster, resampled, reweighed
from ratchet.stats.intervals import (
    bootstrap_interval,
    bootstrap_limits,
    design_effect,
    mean_interval,
    robust,
    share_interval,
    wilson,
)
from ratchet.stats.pareto import pareto_front
from ratchet.stats.power import binary_deviation, cases_needed, detectable, kish, power_of

finite = st.floats(-100, 100)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def test_the_room_itself_is_light() -> None:
    code = "import sys, ratchet.stats; print('numpy' in sys.modules, 'scipy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]


# -- clusters ------------------------------------------------------------------------------------------------------


def test_a_source_is_one_cluster_and_no_source_is_one_of_its_own() -> None:
    assert clusters_of(["a", "", "b", "a", ""]).tolist() == [0, 1, 2, 0, 3]
    assert clusters_of([]).tolist() == []


def test_unscored_values_and_clusters_without_any_are_left_out() -> None:
    sums, sizes = per_cluster(np.array([1.0, math.nan, 2.0, math.nan]), np.array([0, 1, 0, 2]))
    assert (sums.tolist(), sizes.tolist()) == ([3.0], [2.0])


@pytest.mark.parametrize("draw", [resampled, reweighed])
def test_weights_have_the_mean_and_spread_of_a_bootstrap(draw: object) -> None:
    values = rng(1).normal(size=300)
    columns = np.column_stack([values, np.ones(300)])
    totals = draw(columns, 4000, rng(2))  # type: ignore[operator]
    means = totals[:, 0] / totals[:, 1]
    assert means.mean() == pytest.approx(values.mean(), abs=0.004)
    assert means.std() == pytest.approx(values.std() / math.sqrt(300), rel=0.05)


# -- means ---------------------------------------------------------------------------------------------------------


@given(st.lists(finite, min_size=2, max_size=40))
def test_without_clusters_it_is_students_interval(values: list[float]) -> None:
    found = mean_interval(values)
    scale = stats.sem(values)
    if scale > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), scale)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def brute_cr2(values: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """CR2 variance and Satterthwaite's degrees of freedom from matrices, as in Bell & McCaffrey 2002."""
    n = len(values)
    hat = np.full((n, n), 1 / n)
    residuals = values - values.mean()
    variance, rows = 0.0, []
    for code in np.unique(codes):
        inside = codes == code
        block = np.eye(inside.sum()) - hat[np.ix_(inside, inside)]
        roots, vectors = np.linalg.eigh(block)
        adjust = vectors @ np.diag(roots**-0.5) @ vectors.T
        weights = np.ones(inside.sum()) @ adjust / n
        variance += float(weights @ residuals[inside]) ** 2
        rows.append(weights @ (np.eye(n) - hat)[inside])
    gram = np.array(rows) @ np.array(rows).T
    return variance, float(np.trace(gram) ** 2 / np.sum(gram**2))


@given(st.lists(st.tuples(finite, st.integers(0, 4)), min_size=6, max_size=25))
@settings(max_examples=60)
def test_clusters_give_the_matrix_formulas_error_and_degrees_of_freedom(
    rows: list[tuple[float, int]],
) -> None:
    values, codes = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    if len(np.unique(codes)) < 2:
        return
    found = robust(*per_cluster(values, codes))
    variance, freedom = brute_cr2(values, codes)
    assert found.error**2 == pytest.approx(variance, rel=1e-6, abs=1e-9)
    assert found.freedom == pytest.approx(freedom, rel=1e-6)


def test_copies_of_cases_say_nothing_new() -> None:
    values = rng(3).normal(size=30)
    once = mean_interval(values)
    copied = mean_interval(np.repeat(values, 4), np.repeat(np.arange(30), 4))
    assert copied.low == pytest.approx(once.low)
    assert (copied.n, copied.clusters) == (120, 30)
    assert design_effect(np.repeat(values, 4), np.repeat(np.arange(30), 4)) == pytest.approx(4.1, abs=0.05)


def test_too_little_is_said_to_be_too_little() -> None:
    nothing, one = mean_interval([math.nan]), mean_interval([3.0, 4.0], np.array([0, 0]))
    assert math.isnan(nothing.estimate)
    assert (nothing.n, nothing.missing) == (0, 1)
    assert (one.estimate, one.low, one.high) == (3.5, -math.inf, math.inf)
    with pytest.raises(ValueError, match="dimensions"):
        mean_interval([[1.0, 2.0]])


# -- shares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_newcombes(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_share_of_alike_answers_counts_each_source_once() -> None:
    found = share_interval(np.ones(40), np.repeat(np.arange(10), 4))
    assert (found.low, found.high) == (pytest.approx(wilson(10, 10)[0]), 1.0)
    assert share_interval([]).n == 0


# -- bootstrap -----------------------------------------------------------------------------------------------------


def test_the_bootstrap_is_that_of_students_for_many_and_the_same_for_a_seed() -> None:
    values = rng(4).normal(size=500)
    found, again = (bootstrap_interval(values, rng=rng(5)) for _ in range(2))
    student = mean_interval(values)
    assert found == again
    assert (found.low, found.high) == (
        pytest.approx(student.low, abs=0.01),
        pytest.approx(student.high, abs=0.01),
    )


def test_few_clusters_widen_the_percentiles() -> None:
    draws = rng(6).normal(size=100_000)
    plain, few = bootstrap_limits(draws), bootstrap_limits(draws, freedom=5)
    assert plain[1] == pytest.approx(1.96, abs=0.03)
    assert few[1] == pytest.approx(math.sqrt(6 / 5) * stats.t.ppf(0.975, 5), abs=0.12)


def test_ten_thousand_cases_two_thousand_resamples_fit_in_a_second() -> None:
    values, codes = rng(7).normal(size=10_000), rng(8).integers(0, 5000, 10_000)
    began = time.process_time()
    bootstrap_interval(values, codes, rng=rng(9))
    bootstrap_interval(values, rng=rng(9))
    assert time.process_time() - began < 2


# -- bounded means -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ones", "n"), [(0, 20), (3, 25), (40, 50), (50, 50)])
def test_zeros_and_ones_have_clopper_and_pearsons_bounds(ones: int, n: int) -> None:
    view = Bounded(sums=np.repeat([1.0, 0.0], [ones, n - ones]), sizes=np.ones(n), low=0, high=1)
    (found,) = mean_bounds([(view, view)], [(0.05, 0.05)], rng=rng(10), resamples=40_000)
    exact = stats.binomtest(ones, n).proportion_ci(0.9, "exact")
    assert (found.low, found.high) == (
        pytest.approx(exact.low, abs=0.004),
        pytest.approx(exact.high, abs=0.004),
    )


def test_missing_values_move_each_bound_its_own_way() -> None:
    worst, best = (
        Bounded(sums=np.append(np.ones(99), gap), sizes=np.ones(100), low=0, high=1) for gap in (0.0, 1.0)
    )
    (found,) = mean_bounds([(worst, best)], [(0.05, 0.05)], rng=rng(11))
    (whole,) = mean_bounds([(best, best)], [(0.05, 0.05)], rng=rng(11))
    assert found.low < whole.low
    assert found.high == whole.high == 1
    assert mean_bounds([], [], rng=rng(0)) == []


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=2, max_size=60),
    st.sampled_from([None, 1, 3]),
)
def test_no_interval_leaves_the_range_or_its_estimate(values: list[float], group: int | None) -> None:
    codes = None if group is None else np.arange(len(values)) // group
    found = ranged_interval(values, codes, low=0, high=1, rng=rng(12))
    if found.clusters < 2:
        assert (found.low, found.high) == (-math.inf, math.inf)
        return
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.low < found.high, "so few values never leave no doubt"


def test_few_that_differ_have_the_bounds_of_a_bounded_mean() -> None:
    grades = np.array([1.0] * 35 + [0.25, 0.5, 0.5] + [0.75] * 2)
    found = ranged_interval(grades, low=0, high=1, rng=rng(13))
    view = Bounded(sums=grades, sizes=np.ones(40), low=0, high=1)
    (slow,) = mean_bounds([(view, view)], [(0.025, 0.025)], rng=rng(14), resamples=40_000)
    assert found.method == "bounded mean"
    assert (found.low, found.high) == (pytest.approx(slow.low, abs=0.01), pytest.approx(slow.high, abs=0.01))
    codes = np.arange(40) // 2
    grouped = ranged_interval(grades, codes, low=0, high=1, rng=rng(13))
    sums, sizes = per_cluster(grades, codes)
    view = Bounded(sums=sums, sizes=sizes, low=0, high=1)
    (slow,) = mean_bounds([(view, view)], [(0.025, 0.025)], rng=rng(14), resamples=40_000)
    assert grouped.low == pytest.approx(slow.low, abs=0.01)
    assert grouped.low < found.low


def test_many_that_differ_have_students_cut_off_at_the_range() -> None:
    values = np.repeat([0.0, 1.0, 0.9], [1, 3, 10])
    plain, found = mean_interval(values), ranged_interval(values, low=0, high=0.95, rng=rng(15))
    assert found == plain, "a value outside of the range shows that it is none"
    values = np.tile([0.0, 1.0], 11)[:21]
    plain, found = mean_interval(values), ranged_interval(values, low=0, high=1, rng=rng(15))
    assert found == plain
    costs = np.array([0.0, 0.0, 0.0, 9.0])
    assert mean_interval(costs).low < 0
    assert ranged_interval(costs, low=0, high=math.inf, rng=rng(16)).low == 0
    assert ranged_interval(costs, low=0, high=math.inf, rng=rng(16)).high == mean_interval(costs).high


def test_ten_thousand_alike_are_bounded_at_once() -> None:
    values = np.ones(10_000)
    values[:5] = 0.5
    began = time.process_time()
    for seed in range(20):
        assert ranged_interval(values, low=0, high=1, rng=rng(seed)).high > values.mean()
    assert time.process_time() - began < 1


# -- power and the front -------------------------------------------------------------------------------------------


def test_power_needed_and_detectable_agree() -> None:
    assert cases_needed(0.5, 1.0) == 32  # (1.95996 + 0.84162)² / 0.25 = 31.4
    needed = cases_needed(0.02, 0.4, alpha=0.01, power=0.9)
    assert needed is not None
    assert power_of(0.02, 0.4, needed, alpha=0.01) == pytest.approx(0.9, abs=0.001)
    assert detectable(needed, 0.4, alpha=0.01, power=0.9) == pytest.approx(0.02, rel=0.001)
    assert power_of(0.0, 1.0, 50, sides=1) == pytest.approx(0.05)
    assert power_of(-0.5, 1.0, 50, sides=1) < 0.001


def test_what_no_number_of_cases_shows_is_none() -> None:
    assert cases_needed(0.0, 1.0) is None
    assert cases_needed(math.nan, 1.0) is None
    assert detectable(0, 1.0) == math.inf
    assert power_of(0.1, 0.0, 5) == 1
    with pytest.raises(ValueError, match="sides"):
        cases_needed(0.1, 1.0, sides=3)


def test_clusters_and_flips_become_deviations() -> None:
    assert kish(5, 0.25) == 2
    assert binary_deviation(0.1, 0.1) == pytest.approx(math.sqrt(0.2))
    assert binary_deviation(1, 0) == 0


def test_the_front_is_what_nothing_beats() -> None:
    rows = [(0.9, 3.0), (0.8, 1.0), (0.8, 2.0), (0.5, 1.0), (0.9, 3.0), (math.nan, 0.1)]
    assert pareto_front(rows, larger_is_better=[True, False]) == [True, True, False, False, True, False]
    assert pareto_front([], larger_is_better=[True]) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_whatever_is_not_on_the_front_is_beaten_by_something_on_it(rows: list[tuple[int, int]]) -> None:
    front = pareto_front(rows, larger_is_better=[True, True])
    best = [row for row, on in zip(rows, front, strict=True) if on]
    assert best
    for row, on in zip(rows, front, strict=True):
        assert on != any(other != row and other[0] >= row[0] and other[1] >= row[1] for other in best)


def test_raters_who_never_differed_leave_the_interval_open() -> None:
    said = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0] * 5
    found = cohen_kappa(said, said, rng=rng())
    assert (found.estimate, found.low, found.high) == (1.0, -math.inf, math.inf)
