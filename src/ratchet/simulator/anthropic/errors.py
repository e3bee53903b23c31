"""Anthropic's error object, how it asks for a key, and what it answers when things go wrong."""

from __future__ import annotations

from ratchet.simulator.dice import Dice
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.faults import Fault
from ratchet.simulator.outcomes import Headers, Outcome, shaped
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import Refused, Rejected, Vendor, encode

__all__ = ["ANTHROPIC", "headers", "refusal", "stream_error"]

_VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
# Status to Anthropic's (type, message).
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "Your request was malformed."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    408: ("timeout_error", "Request timed out."),
    409: ("invalid_request_error", "The resource is being changed by another request."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
_ORGANISATION = (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000")


def headers(dice: Dice) -> Headers:
    """The headers of every answer, with a request id drawn from `dice`."""
    return ((b"request-id", _request_id(dice).encode()), _ORGANISATION)


def _request_id(dice: Dice) -> str:
    return "req_011C" + dice.letters("request", 20)


def _outcome(status: int, kind: str, message: str, extra: Headers = ()) -> Outcome:
    dice = Dice(f"{status} {kind} {message}".encode())
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": _request_id(dice)}
    return Outcome(status, encode(body), headers=(*headers(dice), *extra))


def refusal(message: str, *, status: int = 400) -> Rejected:
    """What to raise for a request that is answered with Anthropic's error object."""
    kind = _ERRORS.get(status, _ERRORS[500])[0]
    return Rejected(message, _outcome(status, kind, message))


def _admit(exchange: Exchange, api_key: str | None) -> None:
    """A key, in one of two headers, and the API's version."""
    key, bearer = exchange.header(b"x-api-key"), exchange.header(b"authorization")
    if api_key is not None:
        if not key and not bearer:
            raise refusal("x-api-key header is required", status=401)
        if key and key != api_key:
            raise refusal("invalid x-api-key", status=401)
        if not key and bearer != f"Bearer {api_key}":
            raise refusal("Invalid bearer token", status=401)
    version = exchange.header(b"anthropic-version")
    if not version:
        raise refusal("anthropic-version: header is required")
    if version not in _VERSIONS:
        raise refusal(f'anthropic-version: "{version}" is not a valid version')


def _failed(fault: Fault) -> Outcome:
    kind, message = _ERRORS.get(fault.status, _ERRORS[500])
    extra: list[tuple[bytes, bytes]] = []
    if fault.retry_after is not None:
        extra.append((b"retry-after", b"%d" % -(-fault.retry_after // 1)))
    if fault.status == 429:
        extra.append((b"anthropic-ratelimit-requests-limit", b"50"))
        extra.append((b"anthropic-ratelimit-requests-remaining", b"0"))
        extra.append((b"anthropic-ratelimit-requests-reset", b"2026-01-01T00:00:00Z"))
    if fault.status in {408, 409, 429} or fault.status >= 500:
        extra.append((b"x-should-retry", b"true"))
    return shaped(_outcome(fault.status, fault.code or kind, message, tuple(extra)), fault)


def _refused(mistake: Refused) -> Outcome:
    kind, _ = _ERRORS.get(mistake.status, ("invalid_request_error", ""))
    return _outcome(mistake.status, kind, mistake.message)


def stream_error(fault: Fault) -> Payload:
    """The `error` event inside a stream: overloaded, unless the fault's code names another type."""
    kind = fault.code or "overloaded_error"
    message = next((text for name, text in _ERRORS.values() if name == kind), "Internal server error")
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return Payload("error", encode(body), b"error")


ANTHROPIC = Vendor(
    admit=_admit, failed=_failed, refused=_refused, heeds=(b"anthropic-version", b"anthropic-beta")
)
