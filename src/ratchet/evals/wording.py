"""A comparison in words and figures, the same on the terminal, in the report and on pages."""

from __future__ import annotations

import math

from ratchet.domain.counting import plural
from ratchet.evals.comparison import Estimate, ResourceComparison, ScorerComparison

__all__ = ["amount", "counted", "figure", "measured", "power_note", "span_of", "sure"]


def figure(value: float | None, *, signed: bool = False) -> str:
    """A number to three digits; – where it is unknown."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+.3g}" if signed else f"{value:.3g}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def amount(value: float | None, measure: str, *, signed: bool = False) -> str:
    """Dollars or seconds."""
    if value is None:
        return "–"
    sign = ("+" if value > 0 else "−" if value < 0 else "") if signed else ""
    size = abs(value) if signed else value
    if measure == "cost":
        places = 2 if size >= 1 else min(7, 3 - math.floor(math.log10(size))) if size else 0
        return f"{sign}${size:.{places}f}"
    return f"{sign}{size * 1000:.0f} ms" if size < 1 else f"{sign}{size:.2f} s"


def span_of(estimate: Estimate) -> str:
    """The interval of a difference: −0.05 to 0.01."""
    if estimate.low is None or estimate.high is None:
        return "–"
    return f"{figure(estimate.low, signed=True)} to {figure(estimate.high, signed=True)}"


def measured(resource: ResourceComparison) -> tuple[str, str, str, str]:
    """Baseline, candidate, difference and interval of a cost or latency."""
    difference = resource.difference
    low, high = difference.low, difference.high
    interval = "–"
    if low is not None and high is not None:
        interval = (
            f"{amount(low, resource.measure, signed=True)} to {amount(high, resource.measure, signed=True)}"
        )
    return (
        amount(resource.baseline.value, resource.measure),
        amount(resource.candidate.value, resource.measure),
        amount(difference.value, resource.measure, signed=True),
        interval,
    )


def sure(scorer: ScorerComparison) -> str:
    """The verdict and how it came about: better (McNemar, p = 0.003)."""
    if not scorer.difference.cases:
        return "no case is scored on both sides"
    if scorer.p is None:
        return scorer.verdict
    shown = "p < 0.001" if scorer.p < 0.001 else f"p = {scorer.p:.2g}"
    return f"{scorer.verdict} ({scorer.test}, {shown})"


def counted(scorer: ScorerComparison) -> str:
    """How many cases changed which way, and how many no number says anything about."""
    text = f"{plural(scorer.worse, 'case')} worse, {scorer.better:,} better, {scorer.same:,} the same"
    if scorer.unscored_baseline or scorer.unscored_candidate:
        text += f"; unscored: {scorer.unscored_baseline:,} of the baseline, {scorer.unscored_candidate:,} of the candidate"
    return text


def power_note(scorer: ScorerComparison) -> str:
    """What so many cases can show, and how many the difference would take."""
    parts: list[str] = []
    if scorer.detectable:
        parts.append(
            f"{plural(scorer.difference.cases, 'case shows', 'cases show')} a difference of {figure(scorer.detectable)} four times in five"
        )
    if scorer.cases_needed is not None and scorer.verdict == "no difference seen":
        parts.append(f"the one seen would take {scorer.cases_needed:,}")
    corrected = scorer.corrected
    if corrected is not None and corrected.difference is not None:
        labels = f"by people's {corrected.labels:,} labels the difference is {figure(corrected.difference.value, signed=True)}"
        labels += f" ({span_of(corrected.difference)})"
        if corrected.labels_to_halve:
            labels += f"; {plural(corrected.labels_to_halve, 'more label')} would halve that interval"
        parts.append(labels)
    return "; ".join(parts)
