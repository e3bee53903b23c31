"""What failures are called on pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ratchet.gateway.failures import Failure

__all__ = ["FAILURE_WORDS", "failure_words"]

FAILURE_WORDS: Mapping[str, str] = {
    Failure.CREDENTIAL: "credential refused",
    Failure.RATE_LIMITED: "rate limited",
    Failure.BROKEN: "broken",
    Failure.SLOW: "too slow",
    Failure.EMPTY: "empty answer",
    Failure.MISSING: "not found",
    Failure.FORBIDDEN: "address not allowed",
    Failure.UNSUITABLE: "can’t be said there",
    Failure.TOO_LONG: "more than it reads",
    Failure.CALLER: "request refused",
    Failure.REFUSED: "refused to answer",
    Failure.BEATEN: "another was quicker",
    Failure.LEFT: "nobody waited",
}


def failure_words(failure: str) -> str:
    """A class of failure as people say it; what is no such class is shown as it is."""
    return FAILURE_WORDS.get(failure, failure.replace("_", " "))
