"""Paired tests, agreement, prediction-powered inference and sequences, beside published numbers and other routes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from ratchet.stats.agreement import cohen_kappa, confusion, krippendorff_alpha
from ratchet.stats.intervals import mean_interval
from ratchet.stats.paired import holm, mcnemar, mean_test, sign_flip
from ratchet.stats.ppi import ppi_mean
from ratchet.stats.sequences import (
    ConfidenceSequence,
    MeanTest,
    StreamComparison,
    capital_paths,
    lower_bound,
    observations_needed,
    power_on_the_way,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


# -- paired --------------------------------------------------------------------------------------------------------


def test_mcnemars_mid_p_is_that_of_the_paper() -> None:
    assert mcnemar(1, 7) == pytest.approx(0.0391, abs=5e-5)  # Fagerland, Lydersen & Laake 2013, table 3
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1


@pytest.mark.parametrize(("better", "worse"), [(3, 9), (0, 6), (20, 11)])
def test_mcnemars_mid_p_is_the_exact_one_less_half_of_what_was_seen(better: int, worse: int) -> None:
    exact = stats.binomtest(better, better + worse).pvalue
    assert mcnemar(better, worse) == pytest.approx(
        exact - stats.binom.pmf(better, better + worse, 0.5), abs=1e-9
    )


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
@settings(max_examples=40)
def test_every_pattern_of_signs_is_what_scipy_tries(sums: list[int]) -> None:
    if not any(sums):
        assert sign_flip(sums, rng=rng()) == 1
        return
    moved = np.array([each for each in sums if each], dtype=float)
    expected = stats.permutation_test(
        (moved,), lambda x, axis: np.abs(np.sum(x, axis=axis)), permutation_type="samples",
        alternative="greater", n_resamples=np.inf, vectorized=True,
    ) if len(moved) > 1 else None  # fmt: skip
    assert sign_flip(sums, rng=rng()) == pytest.approx(expected.pvalue if expected else 1.0)


def test_drawn_signs_come_near_the_t_test_and_never_to_zero() -> None:
    values = rng(1).normal(0.25, 1, 80)
    assert sign_flip(values, rng=rng(2)) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert sign_flip(np.ones(50), rng=rng(2)) == 1 / 10_000


def test_the_test_fits_the_data() -> None:
    binary = np.array([1.0, 0.0, -1.0, 1.0, math.nan])
    assert mean_test(binary, rng=rng(), binary=True).method == "McNemar mid-p"
    assert mean_test(binary, np.array([0, 0, 1, 1, 2]), rng=rng(), binary=True).method == "sign flip"
    assert mean_test(rng().normal(size=500), rng=rng()).method == "t"
    assert math.isnan(mean_test([math.nan], rng=rng()).p)
    many = rng(3).normal(0.1, 1, 500)
    assert mean_test(many, rng=rng()).p == pytest.approx(stats.ttest_1samp(many, 0).pvalue)


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, math.nan, 0.8])[0] == 1
    assert math.isnan(holm([0.9, math.nan])[1])
    assert holm([]) == []


# -- agreement -----------------------------------------------------------------------------------------------------

N = math.nan
KRIPPENDORFF = [  # Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: 4 observers, 12 units
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_the_paper(level: str, alpha: float) -> None:
    found = krippendorff_alpha(KRIPPENDORFF, rng=rng(), level=level)  # type: ignore[arg-type]
    assert found.estimate == pytest.approx(alpha, abs=5e-4)
    assert found.low < alpha < found.high
    assert (found.n, found.missing) == (11, 1)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=3, max_size=30))
@settings(max_examples=50)
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    first, second = [float(one) for one, _ in pairs], [float(two) for _, two in pairs]
    if len({*first, *second}) < 2:
        assert math.isnan(cohen_kappa(first, second, rng=rng(), resamples=10).estimate)
        return
    for weights in ("none", "linear", "quadratic"):
        found = cohen_kappa(first, second, rng=rng(), weights=weights, resamples=10).estimate
        labels = [1.0, 2.0, 3.0, 4.0]  # scikit-learn weighs by place in the list, ratchet by distance
        expected = cohen_kappa_score(
            first, second, labels=labels, weights=None if weights == "none" else weights
        )
        assert found == pytest.approx(expected, nan_ok=True)


def test_agreement_is_drawn_by_source_and_unrated_units_are_counted() -> None:
    first = rng(1).integers(0, 2, 200).astype(float)
    second = np.where(rng(2).random(200) < 0.85, first, 1 - first)
    alone = cohen_kappa(first, second, rng=rng(3))
    copied = cohen_kappa(np.repeat(first, 5), np.repeat(second, 5), np.repeat(np.arange(200), 5), rng=rng(3))
    assert copied.half == pytest.approx(alone.half, rel=0.05)
    second[:10] = math.nan
    assert cohen_kappa(first, second, rng=rng(3)).missing == 10


def test_a_scale_is_no_set_of_classes() -> None:
    scale = rng().random(100)
    with pytest.raises(ValueError, match="interval level"):
        cohen_kappa(scale, scale, rng=rng())
    with pytest.raises(ValueError, match="interval level"):
        krippendorff_alpha([scale, scale], rng=rng())
    assert krippendorff_alpha([scale, scale], rng=rng(), level="interval").estimate == 1
    with pytest.raises(ValueError, match="one for one"):
        cohen_kappa([1.0], [1.0, 2.0], rng=rng())


def test_confusion_counts_what_both_rated() -> None:
    found = confusion(["yes", "no", "yes", None], ["yes", "yes", "maybe", "no"], ["yes", "no"])
    assert found.classes == ["yes", "no", "maybe"]
    assert found.counts == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert (found.missing, found.agreement) == (1, pytest.approx(1 / 3))


# -- prediction-powered --------------------------------------------------------------------------------------------


def labelled(seed: int, n: int = 100, cases: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    draw = rng(seed)
    judged = draw.normal(size=cases)
    truth = 0.5 + 0.8 * judged + draw.normal(0, 0.6, cases)
    return np.where(np.arange(cases) < n, truth, math.nan), judged


def test_the_estimate_and_its_trust_are_the_papers_formulas() -> None:
    labels, judged = labelled(1)
    y, f, g = labels[:100], judged[:100], judged[100:]
    spread = (np.var(f) / 100 + np.var(g) / 900) * 100  # Var(f)(1 + n/N), both samples pooled by their sizes
    trust = np.cov(y, f, ddof=0)[0, 1] / spread
    found = ppi_mean(labels, judged)
    assert found.trust == pytest.approx(trust)
    assert found.interval.estimate == pytest.approx(y.mean() + trust * (g.mean() - f.mean()))
    variance = np.var(y - trust * f) / 100 + trust**2 * np.var(g) / 900
    assert found.interval.half == pytest.approx(stats.t.ppf(0.975, 98) * math.sqrt(variance * 100 / 98))
    assert found.worth > 150


def test_a_judge_that_knows_nothing_is_not_trusted_and_no_labels_say_nothing() -> None:
    labels, judged = labelled(2)
    blind = ppi_mean(labels, -judged)
    alone = mean_interval(labels)
    assert blind.trust == 0
    assert (blind.interval.low, blind.interval.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    assert ppi_mean(np.full(5, math.nan), np.ones(5)).labelled == 0
    with pytest.raises(ValueError, match="one for one"):
        ppi_mean([1.0], [1.0, 2.0])


def test_the_labels_that_it_asks_for_halve_the_interval() -> None:
    few, judged = labelled(3, n=60, cases=3000)
    now = ppi_mean(few, judged)
    assert now.labels_to_halve is not None
    more, _ = labelled(3, n=60 + now.labels_to_halve, cases=3000)
    assert ppi_mean(more, judged).interval.half == pytest.approx(now.interval.half / 2, rel=0.12)
    assert ppi_mean(*labelled(3, n=900)).labels_to_halve is None


def test_copies_of_labelled_cases_say_nothing_new_to_it() -> None:
    labels, judged = labelled(4, n=60, cases=400)
    once = ppi_mean(labels, judged)
    copied = ppi_mean(np.repeat(labels, 3), np.repeat(judged, 3), np.repeat(np.arange(400), 3))
    assert copied.interval.half == pytest.approx(once.interval.half)
    assert copied.trust == pytest.approx(once.trust)


def test_what_the_judge_left_unscored_is_left_out_and_counted() -> None:
    labels, judged = labelled(5)
    judged[[0, 500]] = math.nan
    found = ppi_mean(labels, judged)
    assert (found.labelled, found.unlabelled, found.interval.missing) == (99, 899, 2)


# -- sequences -----------------------------------------------------------------------------------------------------


def test_one_at_a_time_and_all_at_once_are_the_same() -> None:
    values = rng(1).choice([-1.0, 0.0, 1.0], 300)
    path = capital_paths(values[None, :] + 0.1, room=0.9)[0]
    test = MeanTest(-0.1, low=-1, high=1)
    for value, expected in zip(values.tolist(), path.tolist(), strict=True):
        test.add(value)
        assert test.log_evidence == pytest.approx(expected, abs=1e-9)
    assert test.ever == pytest.approx(max(0.0, path.max()))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.02, 0.9))
@settings(max_examples=60)
def test_a_mean_is_below_the_bound_just_when_its_test_refutes_it(values: list[float], mean: float) -> None:
    array = np.array(values)
    bound = lower_bound(array, np.ones(len(array)), low=0, high=1, alpha=0.05)
    test = MeanTest(mean, low=0, high=1)
    for value in values:
        test.add(value)
    if abs(bound - mean) > 1e-6:
        assert (mean < bound) == (test.log_evidence >= -math.log(0.05) and mean <= array.mean())


def test_a_sequence_closes_in_on_the_truth() -> None:
    sequence = ConfidenceSequence(low=0, high=1)
    assert (sequence.interval().low, sequence.interval().high) == (0, 1)
    for value in (rng(2).random(3000) < 0.3).tolist():
        sequence.add(float(value))
    found = sequence.interval()
    assert found.low < 0.3 < found.high
    assert found.high - found.low < 0.09
    assert found.n == 3000


def test_sources_are_one_observation() -> None:
    alone, together = MeanTest(0.4, low=0, high=1), MeanTest(0.4, low=0, high=1, largest=3)
    alone.add(1.0)
    together.add(3.0, 3)
    assert together.log_evidence == pytest.approx(alone.log_evidence)
    with pytest.raises(ValueError, match="largest"):
        together.add(4.0, 4)


def test_what_leaves_its_range_is_refused_and_what_no_value_reaches_is_refuted() -> None:
    with pytest.raises(ValueError, match="range"):
        MeanTest(0.5, low=0, high=1).add(1.2)
    with pytest.raises(ValueError, match="vary"):
        MeanTest(0.5, low=1, high=1)
    assert MeanTest(-2.0, low=-1, high=1).refuted(0.001)


def test_evidence_stays_once_it_was_there() -> None:
    test = MeanTest(0.0, low=-1, high=1)
    for value in [1.0] * 40 + [-1.0] * 200:
        test.add(value)
    assert test.refuted(0.05)
    assert test.log_evidence < 0


def test_the_number_of_observations_that_it_foretells_is_about_right() -> None:
    foretold = observations_needed(0.05, 0.4, room=0.95, alpha=0.05)
    paths = capital_paths(rng(3).choice([-0.35, 0.45], (200, 4000)), room=0.95)
    took = np.median((paths >= -math.log(0.05)).argmax(axis=1))
    assert foretold is not None
    assert 0.6 < foretold / took < 1.7
    assert observations_needed(-0.1, 1.0, room=1, alpha=0.05) is None


def test_a_worse_canary_is_told_from_a_good_one() -> None:
    draw = rng(4)
    for lost, worse, safe in ((0.3, True, False), (0.0, False, True)):
        streams = StreamComparison(low=0, high=1, margin=0.1)
        for index in range(6000):
            if index % 10 == 0:
                streams.add_canary(float(draw.random() < 0.9 - lost))
            else:
                streams.add_baseline(float(draw.random() < 0.9))
        streams.add_canary(math.nan)
        assert (streams.worse, streams.safe) == (worse, safe)
        found = streams.interval()
        assert found.low < -lost < found.high


def test_a_capped_latency_is_bounded() -> None:
    streams = StreamComparison(low=-10, high=0)
    streams.add_baseline(-2)
    streams.add_baseline(-4)
    streams.add_canary(-1000)
    assert streams.interval().estimate == -7


def test_the_power_that_it_foretells_is_about_right() -> None:
    draw = rng(5)
    for changed, margin, n in ((0.2, 0.05, 800), (0.05, 0.02, 2000), (0.2, 0.05, 400)):
        values = draw.choice([-1.0, 0.0, 1.0], (300, n), p=[changed / 2, 1 - changed, changed / 2])
        paths = capital_paths(values + margin, room=1 - margin)
        seen = float((paths >= -math.log(0.05)).any(axis=1).mean())
        foretold = power_on_the_way(margin, math.sqrt(changed), n, room=1 - margin, alpha=0.05)
        assert foretold == pytest.approx(seen, abs=0.15)
    assert power_on_the_way(-0.1, 1, 100, room=1, alpha=0.05) == 0
