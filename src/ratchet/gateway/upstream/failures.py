"""What can go wrong with a provider, and what is done about each. Pure.

This is the one table of it; `docs/reliability.md` prints the same one for people.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from ratchet.dialects.decoding import decode_object

__all__ = ["CONDUCT", "Conduct", "Failure", "failure_of_error", "failure_of_status"]


class Failure(enum.StrEnum):
    """Why an attempt was no answer. The values are what spans and pages show."""

    CREDENTIAL = "credential_refused"  # 401, 402, 403, a quota that is used up
    RATE_LIMITED = "rate_limited"  # 429
    FULL = "queue_full"  # too many requests wait for the provider in this gateway already: nothing was asked
    BROKEN = "upstream_broken"  # 5xx, no connection, no HTTP, no JSON, a stream without an end
    SLOW = "upstream_slow"  # one of the four timeouts
    EMPTY = "answer_empty"  # whole, and nothing in it
    MISSING = "not_found"  # 404 or a redirect: the provider has no such model, or is elsewhere
    FORBIDDEN = "address_forbidden"  # the provider's address is private, and nobody has allowed it
    UNSUITABLE = "not_expressible"  # the request can't be said in this target's dialect
    TOO_LONG = "context_too_long"  # more than this model reads
    CALLER = "caller_mistake"  # 400, 413, 422 and whatever else the app has to mend
    REFUSED = "content_refused"  # the model, or its vendor's filter, won't answer
    BEATEN = "hedge_lost"  # another target was quicker
    LEFT = "abandoned"  # nobody waits for it any more


class Conduct(msgspec.Struct, frozen=True):
    """What follows a failure.

    `then`: who is asked next. `again`: whether the one that failed may be asked once more by this request.
    `wait`: before whoever is next is asked. `blames`: whose health it counts against.
    """

    then: Literal["nobody", "anyone", "larger", "if_asked"]
    again: bool = False
    wait: Literal["none", "told", "backoff"] = "none"
    blames: Literal["", "credential", "circuit"] = ""


CONDUCT: Mapping[Failure, Conduct] = {
    Failure.CREDENTIAL: Conduct("anyone", blames="credential"),
    Failure.RATE_LIMITED: Conduct("anyone", again=True, wait="told"),
    Failure.FULL: Conduct("anyone"),
    Failure.BROKEN: Conduct("anyone", again=True, wait="backoff", blames="circuit"),
    Failure.SLOW: Conduct("anyone", again=True, blames="circuit"),
    Failure.EMPTY: Conduct("anyone", again=True, wait="backoff", blames="circuit"),
    Failure.MISSING: Conduct("anyone"),
    Failure.FORBIDDEN: Conduct("anyone"),
    Failure.UNSUITABLE: Conduct("anyone"),
    Failure.TOO_LONG: Conduct("larger"),
    Failure.CALLER: Conduct("nobody"),
    Failure.REFUSED: Conduct("if_asked"),
    Failure.BEATEN: Conduct("nobody"),
    Failure.LEFT: Conduct("nobody"),
}

_CREDENTIAL_STATUSES = frozenset({401, 402, 403})
_PASSING = frozenset({408, 409, 425})  # 4xx that are about the moment, not about the request
# Codes and types that vendors give, whatever the status: OpenAI answers 429 to an account that is out of money.
_BY_CODE: Mapping[str, Failure] = {
    "insufficient_quota": Failure.CREDENTIAL,
    "billing_hard_limit_reached": Failure.CREDENTIAL,
    "billing_error": Failure.CREDENTIAL,
    "authentication_error": Failure.CREDENTIAL,
    "permission_error": Failure.CREDENTIAL,
    "invalid_api_key": Failure.CREDENTIAL,
    "context_length_exceeded": Failure.TOO_LONG,
    "string_above_max_length": Failure.TOO_LONG,
    "content_filter": Failure.REFUSED,
    "content_policy_violation": Failure.REFUSED,
    "rate_limit_error": Failure.RATE_LIMITED,
    "rate_limit_exceeded": Failure.RATE_LIMITED,
    "resource_exhausted": Failure.RATE_LIMITED,
    "model_not_found": Failure.MISSING,
    "invalid_request_error": Failure.CALLER,
    "invalid_argument": Failure.CALLER,
}
# Sentences of vendors that give no code for it: Anthropic, Gemini, vLLM, Ollama.
_TOO_LONG = re.compile(
    r"prompt is too long|maximum context length|context (?:length|window)|"
    r"input token count.{0,40}exceeds|too many (?:input )?tokens|exceeds? the (?:model's )?maximum.{0,20}tokens",
    re.IGNORECASE,
)


def failure_of_status(status: int, content: bytes) -> Failure:
    """What a whole answer means whose status is no 2xx."""
    if status in _CREDENTIAL_STATUSES:
        return Failure.CREDENTIAL
    if 400 <= status < 500:
        named = _named(_error_object(content))
        if status == 429:
            return Failure.CREDENTIAL if named is Failure.CREDENTIAL else Failure.RATE_LIMITED
        if status in _PASSING:
            return Failure.BROKEN
        if named is Failure.TOO_LONG or named is Failure.REFUSED:
            return named
        return Failure.MISSING if status == 404 else Failure.CALLER
    return Failure.MISSING if 300 <= status < 400 else Failure.BROKEN


def failure_of_error(error: Any) -> Failure:
    """What an error object means that came with status 200: in a body, or inside a stream."""
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        status = fields.get("code")
        if isinstance(status, int) and 400 <= status < 500:
            return failure_of_status(status, msgspec.json.encode({"error": fields}))
        return _named(fields) or Failure.BROKEN
    return Failure.BROKEN


def _error_object(content: bytes) -> dict[str, Any]:
    whole = decode_object(content) or {}
    error: Any = whole.get("error", whole)
    return cast("dict[str, Any]", error) if isinstance(error, dict) else {"message": error}


def _named(error: Mapping[str, Any]) -> Failure | None:
    message = error.get("message")
    if isinstance(message, str) and _TOO_LONG.search(message):
        return Failure.TOO_LONG
    for field in ("code", "type", "status"):
        word = error.get(field)
        if isinstance(word, str) and word.lower() in _BY_CODE:
            return _BY_CODE[word.lower()]
    return None
