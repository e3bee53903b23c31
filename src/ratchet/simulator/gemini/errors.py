"""Google's error object, how it asks for a key, and what it answers when things go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ratchet.simulator.exchange import Exchange
from ratchet.simulator.faults import Fault
from ratchet.simulator.outcomes import Outcome, shaped
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import Refused, Rejected, Vendor, encode

__all__ = ["GEMINI", "JSON", "denied", "refusal", "stream_error", "violations"]

JSON = b"application/json; charset=UTF-8"
_TYPES = "type.googleapis.com/google.rpc."
# Status to Google's (status, message).
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    408: ("DEADLINE_EXCEEDED", "The request timed out."),
    409: ("ABORTED", "The operation was aborted."),
    413: ("INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    499: ("CANCELLED", "The operation was cancelled."),
    500: ("INTERNAL", "An internal error has occurred. Please retry or report in the developer forum."),
    501: ("UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
    502: ("INTERNAL", "Bad gateway."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "The request timed out. Please try again."),
}  # fmt: skip


def _outcome(status: int, message: str, name: str = "", details: Sequence[dict[str, Any]] = ()) -> Outcome:
    named = name or _ERRORS.get(status, _ERRORS[500])[0]
    error: dict[str, Any] = {"code": status, "message": message, "status": named}
    if details:
        error["details"] = list(details)
    return Outcome(status, msgspec.json.format(encode({"error": error}), indent=2), JSON)


def refusal(message: str, *, status: int = 400) -> Rejected:
    """What to raise for a request that is answered with Google's error object."""
    return Rejected(message, _outcome(status, message))


def violations(found: Sequence[tuple[str, str]]) -> Rejected:
    """All that is wrong with a payload, as `(field, description)`; the field is empty at the top."""
    message = "\n".join(description for _, description in found)
    listed = [
        {"field": field, "description": description} if field else {"description": description}
        for field, description in found
    ]
    detail = {"@type": f"{_TYPES}BadRequest", "fieldViolations": listed}
    return Rejected(message, _outcome(400, message, details=[detail]))


def denied(message: str) -> Rejected:
    """Something that this caller may not use, or that is not there."""
    return refusal(message, status=403)


def _admit(exchange: Exchange, api_key: str | None) -> None:
    """A key, in a header or in the query. A wrong one is a 400."""
    if api_key is None:
        return
    bearer = exchange.header(b"authorization")
    given = exchange.header(b"x-goog-api-key") or exchange.query("key")
    if not given and not bearer:
        raise denied(
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API."
        )
    if given and given != api_key:
        message = "API key not valid. Please pass a valid API key."
        detail = {
            "@type": f"{_TYPES}ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        raise Rejected(message, _outcome(400, message, details=[detail]))
    if not given and bearer != f"Bearer {api_key}":
        raise refusal(_ERRORS[401][1], status=401)


def _failed(fault: Fault) -> Outcome:
    name, message = _ERRORS.get(fault.status, _ERRORS[500])
    details: list[dict[str, Any]] = []
    if fault.status == 429:
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
            "quotaValue": "150",
        }
        details.append({"@type": f"{_TYPES}QuotaFailure", "violations": [quota]})
    if fault.retry_after is not None:
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{fault.retry_after:g}s"})
    return shaped(_outcome(fault.status, message, fault.code or name, details), fault)


def _refused(mistake: Refused) -> Outcome:
    return _outcome(mistake.status, mistake.message, "INVALID_ARGUMENT" if mistake.status < 500 else "")


def stream_error(fault: Fault) -> Payload:
    """The error object inside a stream: the service is unavailable, unless the fault's code names another status."""
    name = fault.code or "UNAVAILABLE"
    status, message = next(((key, text) for key, (one, text) in _ERRORS.items() if one == name), (500, name))
    return Payload("error", encode({"error": {"code": status, "message": message, "status": name}}))


GEMINI = Vendor(admit=_admit, failed=_failed, refused=_refused)
