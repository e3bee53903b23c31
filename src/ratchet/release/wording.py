"""What a gate says about a limit, in sentences. The same for a fixed sample and for a sequence."""

from __future__ import annotations

import math

from ratchet.domain.counting import plural
from ratchet.release.limits import P95_SHARE, Limit
from ratchet.release.policy import CANT_TELL, FAIL, PASS, Answer, Check

__all__ = ["invariant_reason", "limit_reason", "settling", "together", "written"]


def written(number: float) -> str:
    """Three digits that count, no exponent for what people read."""
    if not math.isfinite(number):
        return "unknown"
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{number:,.0f}"


def limit_reason(limit: Limit, answer: Answer, ends: tuple[float, float, float], confidence: float) -> str:
    """`ends`: estimate, low and high, as people read them."""
    estimate, low, high = ends
    sure = f"with {confidence * 100:.4g} % confidence"
    if limit.unit == "gain":
        now = f"{limit.name} is {_gain(estimate)}"
        allowed = f"{written(-limit.needed)} is allowed"
        if answer == PASS:
            return f"{now}; {sure} it is {_at_least(low)}, and a loss of {allowed}."
        if answer == FAIL:
            return f"{now}; {sure} it is worse by more than {written(-high)}, and only {allowed}."
        return f"{now}, but it could be anything from {_gain(low)} to {_gain(high)}; a loss of {allowed}."
    what, line = _resource(limit, estimate)
    if answer == PASS:
        return f"{what}; {sure} at most {_number(limit, high)}, and {line} is allowed."
    if answer == FAIL:
        return f"{what}; {sure} more than {_number(limit, low)}, and only {line} is allowed."
    return f"{what}, but it could be anything from {_number(limit, low)} to {_number(limit, high)}; {line} is allowed."


def settling(limit: Limit, more: int | None, *, unscored: int, gaps: bool, passing: bool) -> str:
    """What would turn CAN'T TELL into an answer. `gaps`: it is the unscored cases that leave it open."""
    if gaps and unscored:
        return f"{limit.name}: score the {plural(unscored, 'case')} with no number on both sides."
    if more is None:
        return f"{limit.name}: no number of cases will do: it is as much worse as is just allowed."
    cases = f"{limit.name}: about {plural(more, 'more case')}, if things stay as they are"
    return f"{cases}." if passing else f"{cases}; it would then fail."


def invariant_reason(name: str, least: float, offending: list[str], unscored: int, cases: int) -> str:
    if offending:
        named = ", ".join(offending[:3]) + (" …" if len(offending) > 3 else "")
        return f"{name} must hold ({written(least)}) in every case, and doesn't in {len(offending):,} of {cases:,}: {named}."
    if unscored:
        return f"{name} must hold in every case, and {unscored:,} of {cases:,} are not scored."
    if not cases:
        return f"{name} must hold in every case, and there is none."
    return f"{name} holds in {'the one case' if cases == 1 else f'all {cases:,} cases'}."


def together(checks: list[Check], cases: int) -> tuple[Answer, str, str]:
    """The verdict over all checks, its reason, and what would settle it."""
    failing = [each for each in checks if each.verdict == FAIL]
    open_ones = [each for each in checks if each.verdict == CANT_TELL]
    if failing:
        return FAIL, " ".join(each.reason for each in failing), ""
    if open_ones:
        settle = " ".join(dict.fromkeys(each.settle for each in open_ones if each.settle))
        return CANT_TELL, " ".join(each.reason for each in open_ones), settle
    if not cases:
        return CANT_TELL, "There are no cases.", "Run the suite on both sides."
    return PASS, " ".join(each.reason for each in checks), ""


def _gain(number: float) -> str:
    if not math.isfinite(number):
        return "of unknown difference"
    if number == 0:
        return "the same"
    return f"{written(abs(number))} {'better' if number > 0 else 'worse'}"


def _at_least(low: float) -> str:
    return f"not worse by more than {written(-low)}" if low < 0 else f"better by at least {written(low)}"


def _resource(limit: Limit, estimate: float) -> tuple[str, str]:
    """What was seen, and where the line is."""
    if limit.unit == "ratio":
        return f"{limit.kind} is {_number(limit, estimate)} the baseline's", f"{written(limit.offset)} times"
    if limit.unit == "dollars":
        return f"an answer costs {_number(limit, estimate)}", f"${written(limit.offset)}"
    return f"{_number(limit, estimate)} of answers are too slow", f"{P95_SHARE * 100:g} %"


def _number(limit: Limit, number: float) -> str:
    if limit.unit == "ratio":
        return f"{written(number)} times"
    if limit.unit == "dollars":
        return f"${written(max(0.0, number))}"
    return f"{written(max(0.0, number) * 100)} %"
