"""What failures are called on pages. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ratchet.gateway.upstream.failures import Failure

__all__ = ["BLAMELESS", "FAILURE_WORDS", "class_of_error", "failure_words"]

FAILURE_WORDS: Mapping[str, str] = {
    Failure.BROKEN: "broken",
    Failure.SLOW: "too slow",
    Failure.RATE_LIMITED: "rate limited",
    Failure.FULL: "queue full",
    Failure.CREDENTIAL: "credential refused",
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
# What an app was told in the end, as the class of failure of the attempt that it was the end of.
_OF_ERRORS: Mapping[str, str] = {
    "upstream_failed": Failure.BROKEN,
    "upstream_broken": Failure.BROKEN,
    "upstream_truncated": Failure.BROKEN,
    "upstream_unreachable": Failure.BROKEN,
    "upstream_timeout": Failure.SLOW,
    "upstream_rate_limited": Failure.RATE_LIMITED,
    "upstream_credentials": Failure.CREDENTIAL,
    "upstream_empty": Failure.EMPTY,
    "upstream_refused": Failure.CALLER,
    "not_expressible": Failure.UNSUITABLE,
}
# These tell of the request, or of nobody: who was asked could not have done better.
BLAMELESS = frozenset(
    map(
        str,
        (
            Failure.FULL,
            Failure.UNSUITABLE,
            Failure.TOO_LONG,
            Failure.CALLER,
            Failure.REFUSED,
            Failure.BEATEN,
            Failure.LEFT,
        ),
    )
)


def failure_words(failure: str) -> str:
    """A class of failure, or a call's error, as people say it; what is neither is shown as it is."""
    return FAILURE_WORDS.get(class_of_error(failure), failure.replace("_", " "))


def class_of_error(error: str) -> str:
    """The class of failure behind a failed call's error; the error itself where it has none."""
    return _OF_ERRORS.get(error, error)
