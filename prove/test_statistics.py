"""Statistics keep their word: thousands of seeded trials in which the truth is known.

Intervals called 95 % hold the truth in 93 to 97 % of 2,000 trials. The gate, asked after every case, says PASS to
candidates that are just too bad in no more of 2,000 trials than a probability of α allows (99 % binomial limit).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from ratchet.evals.results import CaseResult
from ratchet.release.gate import decide
from ratchet.release.policy import FAIL, PASS, Policy
from ratchet.release.sequential import SequentialGate
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.bounded import Bounded, mean_bounds, ranged_interval
from ratchet.stats.intervals import Interval, bootstrap_interval, mean_interval, share_interval
from ratchet.stats.power import power_of
from ratchet.stats.ppi import ppi_mean
from ratchet.stats.sequences import StreamComparison, capital_paths

TRIALS = 2000
ALPHA = 0.05
MOST_FALSE = int(binom.ppf(0.99, TRIALS, ALPHA))  # 123
JUDGE = ScorerAbout(name="judge", title="Judge", binary=True)
POLICY = Policy(scorer="judge", epsilon=0.05, alpha=ALPHA)
Say = Callable[[str], None]
Sample = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]


def holds(draw: Callable[[np.random.Generator], Interval], truth: float, seed: int) -> float:
    """The share of trials whose interval holds the truth."""
    rng = np.random.Generator(np.random.SFC64(seed))
    found = [draw(rng) for _ in range(TRIALS)]
    return sum(each.low <= truth <= each.high for each in found) / TRIALS


# -- intervals -----------------------------------------------------------------------------------------------------


def normal(rng: np.random.Generator) -> Sample:
    return rng.normal(0.3, 1.0, 80), None


def graded(rng: np.random.Generator) -> Sample:
    """Differences of two grades from 1 to 5, mostly none: mean 0.3."""
    return rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0], 200, p=[0.03, 0.1, 0.49, 0.3, 0.08]), None


def skewed(rng: np.random.Generator) -> Sample:
    """Costs: mean 0.3, most of them small."""
    return rng.gamma(2.0, 0.15, 200), None


def clustered(rng: np.random.Generator, *, sources: int, spread: float = 0.5) -> Sample:
    """Sources of 1 to 9 cases that share most of what they are: mean 0.3. Sizes don't depend on values."""
    codes = np.repeat(np.arange(sources), rng.integers(1, 10, sources))
    return 0.3 + rng.normal(0, spread, sources)[codes] + rng.normal(0, 0.4, len(codes)), codes


SAMPLES: dict[str, Callable[[np.random.Generator], Sample]] = {
    "normal": normal,
    "graded": graded,
    "skewed": skewed,
    "12 sources": lambda rng: clustered(rng, sources=12),
    "60 sources": lambda rng: clustered(rng, sources=60),
}


@pytest.mark.parametrize("method", ["t", "bootstrap"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_95_percent_interval_of_a_mean_holds_it_in_93_to_97_percent(
    sample: str, method: str, say: Say
) -> None:
    def interval(rng: np.random.Generator) -> Interval:
        values, codes = SAMPLES[sample](rng)
        if method == "t":
            return mean_interval(values, codes)
        return bootstrap_interval(values, codes, rng=rng, resamples=1000)

    share = holds(interval, 0.3, seed=1)
    say(f"{sample}, {method}: holds the truth in {share:.1%}")
    assert 0.93 <= share <= 0.97


def test_ignoring_sources_would_not_hold_it(say: Say) -> None:
    share = holds(lambda rng: mean_interval(clustered(rng, sources=60)[0]), 0.3, seed=2)
    say(f"60 sources, taken for independent cases: {share:.1%}")
    assert share < 0.85


@pytest.mark.parametrize("rate", [0.5, 0.85, 0.97])
def test_the_interval_of_a_share_holds_it(rate: float, say: Say) -> None:
    share = holds(lambda rng: share_interval((rng.random(250) < rate).astype(float)), rate, seed=3)
    say(f"share of {rate:.0%}, Wilson: {share:.1%}")
    assert 0.93 <= share <= 0.97


def test_the_interval_of_a_share_in_clusters_holds_it(say: Say) -> None:
    def interval(rng: np.random.Generator) -> Interval:
        codes = np.repeat(np.arange(60), 5)
        return share_interval((rng.random(300) < rng.beta(8, 2, 60)[codes]).astype(float), codes)

    share = holds(interval, 0.8, seed=4)
    say(f"share of 80% in 60 sources, Wilson on the effective number: {share:.1%}")
    assert 0.93 <= share <= 0.97


# -- prediction-powered --------------------------------------------------------------------------------------------


def judged(rng: np.random.Generator, *, labelled: int, sources: int) -> tuple[Any, Any, Any]:
    """A judge that says yes to 90 % of the good and to 30 % of the bad answers; 70 % are good. Labels are random."""
    codes = np.repeat(np.arange(sources), 1200 // sources)
    good = (rng.random(1200) < rng.beta(7, 3, sources)[codes]).astype(float)
    says = (rng.random(1200) < np.where(good, 0.9, 0.3)).astype(float)
    labels = np.full(1200, math.nan)
    chosen = rng.choice(1200, labelled, replace=False)
    labels[chosen] = good[chosen]
    return labels, says, codes


@pytest.mark.parametrize(("labelled", "sources"), [(60, 1200), (200, 1200), (200, 100)])
def test_a_prediction_powered_interval_holds_the_truth(labelled: int, sources: int, say: Say) -> None:
    widths: list[float] = []

    def interval(rng: np.random.Generator) -> Interval:
        labels, says, codes = judged(rng, labelled=labelled, sources=sources)
        powered = ppi_mean(labels, says, codes if sources < 1200 else None).interval
        widths.append(powered.half / mean_interval(labels, codes).half)
        return powered

    share = holds(interval, 0.7, seed=5)
    say(
        f"PPI++, {labelled} labels of 1,200 cases from {sources} sources: {share:.1%}, "
        f"{np.mean(widths):.0%} as wide as labels alone"
    )
    assert 0.93 <= share <= 0.97
    assert np.mean(widths) < 0.95


def test_the_judges_own_mean_does_not(say: Say) -> None:
    share = holds(lambda rng: mean_interval(judged(rng, labelled=1, sources=1200)[1]), 0.7, seed=6)
    say(f"the judge's mean with its own interval: {share:.1%}")
    assert share < 0.8


# -- bounds of bounded means ---------------------------------------------------------------------------------------


def rare(rng: np.random.Generator) -> Sample:
    """One answer in fifty is wholly lost: twenty cases mostly show none."""
    return -(rng.random(60) < 0.02).astype(float), None


def lumpy(rng: np.random.Generator) -> Sample:
    codes = np.repeat(np.arange(15), 6)
    return np.where(rng.random(15) < 0.1, -1.0, 0.05)[codes], codes


@pytest.mark.parametrize(
    ("sample", "truth"), [(rare, -0.02), (lumpy, -0.055), (graded, 0.3)], ids=["rare", "lumpy", "graded"]
)
def test_a_bound_holds_where_t_would_be_fooled(
    sample: Callable[[np.random.Generator], Sample], truth: float, say: Say
) -> None:
    rng = np.random.Generator(np.random.SFC64(7))
    wrong = fooled = 0
    for _ in range(TRIALS):
        values, codes = sample(rng)
        sums, sizes = (
            (values, np.ones(len(values)))
            if codes is None
            else (
                np.bincount(codes, values),
                np.bincount(codes).astype(float),
            )
        )
        view = Bounded(sums=sums, sizes=sizes, low=-2.0 if sample is graded else -1.0, high=2.0)
        (bounds,) = mean_bounds([(view, view)], [(ALPHA, ALPHA)], rng=rng, resamples=1000)
        wrong += bounds.low > truth
        fooled += mean_interval(values, codes, confidence=1 - 2 * ALPHA).low > truth
    say(f"lower bound above the truth: {wrong / TRIALS:.1%} (Student's t: {fooled / TRIALS:.1%}); 5% allowed")
    assert wrong <= MOST_FALSE


GRADES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
RARELY = (0.01, 0.01, 0.01, 0.02, 0.95)


@pytest.mark.parametrize(
    ("cases", "shares"),
    [
        (10, RARELY),
        (20, RARELY),
        (100, RARELY),
        (300, RARELY),
        (20, (0.05, 0.05, 0.1, 0.3, 0.5)),
        (100, (0.2,) * 5),
    ],
)
def test_the_interval_of_grades_holds_their_mean(cases: int, shares: tuple[float, ...], say: Say) -> None:
    def interval(rng: np.random.Generator) -> Interval:
        return ranged_interval(rng.choice(GRADES, cases, p=shares), low=0, high=1, rng=rng)

    def student(rng: np.random.Generator) -> Interval:
        return mean_interval(rng.choice(GRADES, cases, p=shares))

    truth = float(GRADES @ shares)
    share, fooled = holds(interval, truth, seed=8), holds(student, truth, seed=8)
    say(f"{cases} grades of mean {truth:.2f}: holds the truth in {share:.1%} (Student's t: {fooled:.1%})")
    assert share >= 0.93


# -- the gate ------------------------------------------------------------------------------------------------------


def pairs(rng: np.random.Generator, *, gain: float, changed: float, cases: int) -> Iterator[Any]:
    """Binary verdicts: a share of the cases changes sides, and their balance is the gain."""
    kinds = rng.choice([-1, 0, 1], cases, p=[(changed - gain) / 2, 1 - changed, (changed + gain) / 2])
    for index, kind in enumerate(kinds.tolist()):
        before = float(kind < 0 or (kind == 0 and rng.random() < 0.7))
        yield tuple(
            CaseResult(case_id=str(index), values={"judge": [value]}) for value in (before, before + kind)
        )


def asked_after_every_case(rng: np.random.Generator, *, gain: float, changed: float, cases: int) -> Any:
    gate = SequentialGate(POLICY, [JUDGE], cases=cases)
    for pair in pairs(rng, gain=gain, changed=changed, cases=cases):
        gate.add(*pair)
        if gate.settled:
            break
    return gate


@pytest.mark.parametrize("changed", [0.05, 0.3])
def test_the_gate_passes_what_is_too_bad_no_oftener_than_alpha_asked_after_every_case(
    changed: float, say: Say
) -> None:
    rng = np.random.Generator(np.random.SFC64(8))
    passed = sum(
        asked_after_every_case(rng, gain=-POLICY.epsilon, changed=changed, cases=500).answer == PASS
        for _ in range(TRIALS)
    )
    say(
        f"worse by just ε, {changed:.0%} of cases changed, 500 looks each: {passed} false PASS"
        f" in {TRIALS:,} trials, {MOST_FALSE} allowed"
    )
    assert passed <= MOST_FALSE


def test_what_peeking_at_an_ordinary_interval_would_do(say: Say) -> None:
    rng = np.random.Generator(np.random.SFC64(9))
    gains = rng.choice([-1.0, 0.0, 1.0], (TRIALS, 500), p=[0.175, 0.7, 0.125]) + POLICY.epsilon
    n = np.arange(1, 501)
    means = gains.cumsum(axis=1) / n
    errors = np.sqrt(np.maximum((gains**2).cumsum(axis=1) / n - means**2, 0) / n)
    fooled = int(((means > 1.645 * errors) & (n >= 30)).any(axis=1).sum())
    say(f"the same with a plain 95% bound, looked at after every case from the 30th: {fooled} of {TRIALS:,}")
    assert fooled > 2 * MOST_FALSE


@pytest.mark.parametrize("gain", [0.0, 0.05])
def test_the_gates_power_is_told(gain: float, say: Say) -> None:
    rng = np.random.Generator(np.random.SFC64(10))
    trials, cases, changed = 300, 800, 0.2
    gates = [asked_after_every_case(rng, gain=gain, changed=changed, cases=cases) for _ in range(trials)]
    passed = [gate for gate in gates if gate.answer == PASS]
    failed = sum(gate.answer == FAIL for gate in gates)
    used = np.median([gate.verdict().cases for gate in gates])
    at_the_end = power_of(gain + POLICY.epsilon, math.sqrt(changed - gain**2), cases, alpha=ALPHA, sides=1)
    say(
        f"true gain {gain:+.2f}, ε = {POLICY.epsilon}: PASS in {len(passed) / trials:.0%} within {cases} cases, "
        f"after {used:.0f} in the median; decided once at the end: {at_the_end:.0%}; false FAIL {failed}"
    )
    assert len(passed) / trials > (0.6 if gain == 0 else 0.95)
    assert failed <= binom.ppf(0.99, trials, ALPHA)


def test_deciding_once_at_the_end_is_false_no_oftener_than_alpha(say: Say) -> None:
    rng = np.random.Generator(np.random.SFC64(11))
    told = {"PASS": 0, "FAIL": 0, "CAN'T TELL": 0}
    for _ in range(TRIALS):
        both = list(pairs(rng, gain=-POLICY.epsilon, changed=0.06, cases=120))
        first, second = ([pair[side] for pair in both] for side in (0, 1))
        told[decide(POLICY, first, second, [JUDGE], resamples=1000).verdict] += 1
    say(f"worse by just ε, hardly any case changed, decided once after 120: {told}")
    assert told["PASS"] <= MOST_FALSE
    assert told["FAIL"] <= MOST_FALSE


# -- sequences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1.0, 1.0), (0.2, 0.05), (0.02, 0.5)], ids=["even", "high", "rare"])
def test_the_truth_is_never_refuted_at_any_time(shape: tuple[float, float], say: Say) -> None:
    """Both sides at α/2: the truth leaves a confidence sequence when the money against it reaches 2/α."""
    rng = np.random.Generator(np.random.SFC64(12))
    truth = shape[0] / sum(shape)
    left = 0
    for _ in range(TRIALS // 100):
        values = rng.beta(*shape, (100, 2000))
        above = capital_paths(values - truth, room=truth).max(axis=1)
        below = capital_paths(truth - values, room=1 - truth).max(axis=1)
        left += int((np.maximum(above, below) >= -math.log(ALPHA / 2)).sum())
    say(f"beta{shape}: the truth left the sequence within 2,000 looks in {left} of {TRIALS:,} trials")
    assert left <= MOST_FALSE


def test_a_canary_that_is_as_good_is_rolled_back_no_oftener_than_alpha(say: Say) -> None:
    """5 % of the traffic; whether an answer is good drifts with the hour for everybody."""
    rng = np.random.Generator(np.random.SFC64(13))
    rolled = caught = 0
    needed: list[int] = []
    for trial in range(TRIALS // 4):
        for lost in (0.0, 0.1):
            streams = StreamComparison(low=0, high=1, alpha=ALPHA)
            canary = rng.random(6000) < 0.05
            rate = 0.85 + 0.1 * np.sin(np.arange(6000) / 700 + trial) - lost * canary
            for index, (of_canary, good) in enumerate(zip(canary, rng.random(6000) < rate, strict=True)):
                (streams.add_canary if of_canary else streams.add_baseline)(float(good))
                if streams.worse:
                    needed.append(index) if lost else None
                    break
            rolled += streams.worse and lost == 0
            caught += streams.worse and lost > 0
    most = int(binom.ppf(0.99, TRIALS // 4, ALPHA))
    say(
        f"canary with 5% of 6,000 answers: {rolled} of {TRIALS // 4} good ones rolled back ({most} allowed); of those"
        f" 10 points worse {caught / (TRIALS // 4):.0%} caught, after {np.median(needed):.0f} answers in the median"
    )
    assert rolled <= most
    assert caught / (TRIALS // 4) > 0.5
