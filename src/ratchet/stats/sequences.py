"""Evidence that may be looked at after every observation, and acted on at any time, without breaking its promise.

Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting" (JRSS B). To test "the mean is at
most m", one bets on every observation being above m, with fair odds if it isn't. Were the mean at most m, the money
would be expected not to grow, so it ever reaches 1/α times what one began with with probability α at most (Ville's
inequality), however often and whenever one looks. The means m that are refuted that way give a confidence sequence.

The money is spread over bets of fixed sizes, from timid to bold (their section 5.7, "grid Kelly"). So nothing has to be
tuned or estimated, a look costs microseconds, and the growth is that of the best of these bets, less the logarithm of
their number. What is promised is about the conditional mean given the past: observations in an order that doesn't
depend on their values, and those of one source added together, as one.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from ratchet.stats.clusters import Floats
from ratchet.stats.intervals import Interval

__all__ = [
    "ConfidenceSequence",
    "MeanTest",
    "StreamComparison",
    "capital_paths",
    "lower_bound",
    "observations_needed",
    "power_on_the_way",
]

_BETS: Floats = np.array(
    [0.95 / 1.6**step for step in range(16)]
)  # shares of what could be bet, from 0.95 down to 0.0008
_MOST = 1e200  # beyond this nothing is left to prove; money is not counted further
_HALVINGS = 40
_SPREAD = 1.2  # about what spreading the money over bets costs, in logarithms, until the best of them has won


class MeanTest:
    """Evidence against "the mean is at most `null`", for values from `low` to `high`, one after the other.

    `log_evidence` is the logarithm of the money; `ever` is the most that it ever was, so exp(−`ever`) is a p-value at
    any time. To test "at least", turn everything: `MeanTest(-null, low=-high, high=-low)` and add negated values.
    `largest` is the number of observations in the largest source, known before the first is seen.
    """

    def __init__(self, null: float, *, low: float, high: float, largest: int = 1) -> None:
        if not low < high:
            raise ValueError(f"Values from {low} to {high} can't vary.")
        self.null = null
        self.low = low
        self.high = high
        self.largest = largest
        self.log_evidence = 0.0
        self.ever = 0.0 if null >= low else math.inf  # no value is that low: refuted before anything is seen
        self._money: Floats = np.full(len(_BETS), 1 / len(_BETS))
        self._sizes: Floats = _BETS / (max(null - low, 1e-12 * (high - low)) * largest)

    def add(self, total: float, size: int = 1) -> None:
        """`total` is the sum of `size` values of one source. Raises ValueError where it leaves the range."""
        slack = 1e-9 * (self.high - self.low) * size
        if not (self.low * size - slack <= total <= self.high * size + slack and 1 <= size <= self.largest):
            raise ValueError(
                f"{total} over {size} values is not in the range from {self.low} to {self.high}, or more than the"
                f" largest source ({self.largest})."
            )
        self._money *= 1 + self._sizes * (max(total, self.low * size) - size * self.null)
        np.minimum(self._money, _MOST, out=self._money)
        money = float(self._money.sum())
        self.log_evidence = math.log(money) if money > 0 else -math.inf
        self.ever = max(self.ever, self.log_evidence)

    def refuted(self, alpha: float) -> bool:
        """Has the hypothesis been refuted, at any time so far?"""
        return self.ever >= -math.log(alpha)


class ConfidenceSequence:
    """Intervals for a mean that all hold the truth, at every time together, with probability 1 − `alpha`."""

    def __init__(self, *, low: float, high: float, alpha: float = 0.05, largest: int = 1) -> None:
        self.low = low
        self.high = high
        self.alpha = alpha
        self.largest = largest
        self._totals: list[float] = []
        self._sizes: list[int] = []

    def add(self, total: float, size: int = 1) -> None:
        """As `MeanTest.add`. Costs nothing; `interval` costs some milliseconds for thousands of observations."""
        self._totals.append(min(max(total, self.low * size), self.high * size))
        self._sizes.append(size)

    def interval(self) -> Interval:
        """The interval now."""
        totals, sizes = np.array(self._totals), np.array(self._sizes, dtype=np.float64)
        n = int(sizes.sum())
        below = lower_bound(
            totals, sizes, low=self.low, high=self.high, alpha=self.alpha / 2, largest=self.largest
        )
        above = lower_bound(
            -totals, sizes, low=-self.high, high=-self.low, alpha=self.alpha / 2, largest=self.largest
        )
        return Interval(
            estimate=float(totals.sum() / n) if n else math.nan,
            low=below,
            high=-above,
            confidence=1 - self.alpha,
            n=n,
            clusters=len(sizes),
            method="betting confidence sequence",
        )


class StreamComparison:
    """Two streams of independent values, such as the scores of a canary's answers and of everybody else's.

    Values are paired as they come: as soon as both sides have some, the mean of the one less that of the other is one
    observation, and both begin anew. So what changes with the time of day changes on both sides, and a small canary
    meets the mean of many. `worse` is evidence that the canary's mean is below the baseline's by more than `margin`,
    `safe` that it is not. Values are clipped to `low` to `high`, and the claim is about clipped values: give errors
    as 0 and 1, and latency and cost negated, with a cap as `low`, so that more is better. Which side a value comes
    from, and when, must not depend on the value. Several values of one user are not independent: give their mean.
    """

    def __init__(self, *, low: float, high: float, margin: float = 0.0, alpha: float = 0.05) -> None:
        width = high - low
        self.low = low
        self.high = high
        self.alpha = alpha
        self._worse = MeanTest(margin, low=-width, high=width)
        self._safe = MeanTest(-margin, low=-width, high=width)
        self._differences = ConfidenceSequence(low=-width, high=width, alpha=alpha)
        self._waiting = {"baseline": (0.0, 0), "canary": (0.0, 0)}

    def add_baseline(self, value: float) -> None:
        """NaN (unscored) is left out."""
        self._add("baseline", value)

    def add_canary(self, value: float) -> None:
        """NaN (unscored) is left out."""
        self._add("canary", value)

    @property
    def worse(self) -> bool:
        return self._worse.refuted(self.alpha)

    @property
    def safe(self) -> bool:
        return self._safe.refuted(self.alpha)

    def interval(self) -> Interval:
        """Of the difference, canary minus baseline. `n` counts pairs."""
        return self._differences.interval()

    def _add(self, side: str, value: float) -> None:
        if math.isnan(value):
            return
        total, count = self._waiting[side]
        self._waiting[side] = (total + min(max(value, self.low), self.high), count + 1)
        if not all(waiting for _, waiting in self._waiting.values()):
            return
        canary, baseline = (
            total / count for total, count in (self._waiting["canary"], self._waiting["baseline"])
        )
        self._waiting = {"baseline": (0.0, 0), "canary": (0.0, 0)}
        difference = canary - baseline
        self._worse.add(-difference)
        self._safe.add(difference)
        self._differences.add(difference)


def lower_bound(
    totals: Floats, sizes: Floats, *, low: float, high: float, alpha: float, largest: int = 1
) -> float:
    """The largest mean that `MeanTest` refutes with these observations at `alpha`; `low` where it refutes none."""
    if len(totals) == 0:
        return low
    threshold = -math.log(alpha)
    refuted, kept = low, min(high, float(totals.sum() / sizes.sum()))
    for _ in range(_HALVINGS):
        middle = (refuted + kept) / 2
        room = max(middle - low, 1e-12 * (high - low))
        gains = (totals - sizes * middle) / (room * largest)
        logs = np.log1p(np.outer(_BETS, gains)).sum(axis=1)
        peak = float(logs.max())
        if peak + math.log(float(np.exp(logs - peak).mean())) >= threshold:
            refuted = middle
        else:
            kept = middle
    return refuted


def capital_paths(gains: Floats, *, room: float) -> Floats:
    """`MeanTest.log_evidence` after each observation, for many sequences at once: shape (sequences, observations).

    `gains` are values less the null, `room` the null less the least value. For simulations.
    """
    money = np.empty((len(_BETS), *gains.shape))
    for index, bet in enumerate(_BETS):
        np.cumsum(np.log1p(bet / room * gains), axis=1, out=money[index])
    peak = money.max(axis=0)
    return peak + np.log(np.exp(money - peak).mean(axis=0))


def observations_needed(
    mean: float, deviation: float, *, room: float, alpha: float, log_evidence: float = 0.0
) -> int | None:
    """About how many more observations until `MeanTest` refutes, if they go on with this mean gain over the null.

    The best fixed bet grows the logarithm by about mean²/(2·(deviation² + mean²)) an observation (a Taylor expansion
    of Kelly 1956), as long as it may be made: it can't exceed 1/`room`. None where the mean is not above the null.
    """
    if not mean > 0:
        return None
    _, growth = _best_bet(mean, deviation, room)
    spread = _SPREAD if log_evidence < _SPREAD else 0.0
    return max(1, math.ceil((-math.log(alpha) + spread - log_evidence) / growth))


def power_on_the_way(mean: float, deviation: float, observations: int, *, room: float, alpha: float) -> float:
    """About how probable it is that `MeanTest` refutes within so many observations of mean gain `mean` over the null.

    The logarithm of the best fixed bet is taken for a normal variable; that it may have been higher before is not
    counted, so the truth is a few points higher.
    """
    if not mean > 0 or observations < 1:
        return 0.0
    bet, growth = _best_bet(mean, deviation, room)
    reached = observations * growth + math.log(alpha) - _SPREAD
    wavering = bet * deviation * math.sqrt(observations)
    return NormalDist().cdf(reached / wavering) if wavering else float(reached >= 0)


def _best_bet(mean: float, deviation: float, room: float) -> tuple[float, float]:
    """The bet that grows fastest, and by how much it grows the logarithm of the money."""
    second = deviation**2 + mean**2
    bet = min(mean / second, float(_BETS[0]) / room)
    return bet, bet * mean - bet**2 * second / 2
