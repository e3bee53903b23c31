"""How many cases it takes: what a comparison of a given size can see. Normal approximations, sides stated."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["binary_deviation", "cases_needed", "detectable", "kish", "power_of"]

_NORMAL = NormalDist()


def cases_needed(
    difference: float, deviation: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> int | None:
    """Cases with which a test at `alpha` sees `difference` with probability `power`; None where none would do.

    `deviation` is the standard deviation of one case's difference, √(design effect) included where cases come in
    clusters. (Lachin 1981, "Introduction to sample size determination and power analysis for clinical trials".)
    """
    if difference == 0 or math.isnan(difference) or not math.isfinite(deviation):
        return None
    needed = ((_quantile(alpha, sides) + _NORMAL.inv_cdf(power)) * deviation / difference) ** 2
    return max(2, math.ceil(needed))


def detectable(
    cases: int, deviation: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> float:
    """The smallest difference that `cases` cases show with probability `power`. Infinite for no cases."""
    if cases <= 0:
        return math.inf
    return (_quantile(alpha, sides) + _NORMAL.inv_cdf(power)) * deviation / math.sqrt(cases)


def power_of(
    difference: float, deviation: float, cases: int, *, alpha: float = 0.05, sides: int = 2
) -> float:
    """The probability that `cases` cases show a true `difference`. With one side, `difference` > 0 is what it sees."""
    if cases <= 0:
        return 0.0
    if deviation == 0:
        return 1.0 if difference > 0 or (sides == 2 and difference != 0) else 0.0
    shift = difference * math.sqrt(cases) / deviation
    critical = _quantile(alpha, sides)
    seen = _NORMAL.cdf(shift - critical)
    return seen if sides == 1 else seen + _NORMAL.cdf(-shift - critical)


def kish(size: float, correlation: float) -> float:
    """Design effect of clusters of `size` cases whose values correlate by `correlation` (Kish 1965): 1 + (m − 1)ρ."""
    return 1 + (size - 1) * correlation


def binary_deviation(better: float, worse: float) -> float:
    """Standard deviation of one case's difference where shares `better` and `worse` of the cases change sides."""
    return math.sqrt(max(0.0, better + worse - (better - worse) ** 2))


def _quantile(alpha: float, sides: int) -> float:
    if sides not in (1, 2):
        raise ValueError(f"A test has 1 or 2 sides, not {sides}.")
    return _NORMAL.inv_cdf(1 - alpha / sides)
