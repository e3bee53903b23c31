"""OpenAI's error objects, in its own words, and how it asks for a key."""

from __future__ import annotations

import msgspec

from ratchet.simulator.exchange import Exchange
from ratchet.simulator.faults import Fault
from ratchet.simulator.outcomes import Headers, Outcome, shaped
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import Refused, Rejected, Vendor

__all__ = ["OPENAI", "VERSION", "error_body", "failed", "refusal", "refused", "stream_error"]

VERSION = (b"openai-version", b"2020-10-01")
# Status to OpenAI's (type, code, message).
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Your request was malformed."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-***. You can find your API key in your account."),
    402: ("invalid_request_error", "billing_not_active", "Your account is not active, please check your billing details."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Country, region, or territory not supported."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    408: ("server_error", None, "Request timed out."),
    409: ("invalid_request_error", None, "The resource is locked by another request."),
    413: ("invalid_request_error", "request_too_large", "The request body is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
    504: ("server_error", None, "The upstream did not answer in time."),
}  # fmt: skip
_QUOTA = (
    "insufficient_quota",
    "You exceeded your current quota, please check your plan and billing details.",
)


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """OpenAI's error object as JSON bytes."""
    return msgspec.json.format(
        msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}}),
        indent=4,
    )


def refusal(
    message: str,
    *,
    status: int = 400,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> Rejected:
    """What to raise for a request that is answered with OpenAI's error object."""
    body = error_body(message, kind=kind, param=param, code=code)
    return Rejected(message, Outcome(status, body, headers=(VERSION,)))


def _admit(exchange: Exchange, api_key: str | None) -> None:
    if api_key is None:
        return
    given = exchange.header(b"authorization")
    if not given:
        raise refusal(
            "You didn't provide an API key. You need to provide your API key in an Authorization header using "
            "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            status=401,
        )
    if given != f"Bearer {api_key}":
        shown = given.removeprefix("Bearer ")
        raise refusal(
            f"Incorrect API key provided: {shown[:4]}***{shown[-4:] if len(shown) > 8 else ''}.",
            status=401,
            code="invalid_api_key",
        )


def failed(fault: Fault) -> Outcome:
    """The error that `fault.status` asks for, with the headers that go with it."""
    kind, code, message = _ERRORS.get(fault.status, ("server_error", None, "Something went wrong."))
    if fault.code == _QUOTA[0]:
        kind, code, message = _QUOTA[0], _QUOTA[0], _QUOTA[1]
    body = error_body(message, kind=kind, code=fault.code or code)
    return shaped(Outcome(fault.status, body, headers=(VERSION, *_waits(fault))), fault)


def _waits(fault: Fault) -> Headers:
    headers: list[tuple[bytes, bytes]] = []
    if fault.retry_after is not None:
        headers.append((b"retry-after", b"%d" % -(-fault.retry_after // 1)))
        headers.append((b"retry-after-ms", b"%d" % round(fault.retry_after * 1000)))
    if fault.status == 429:
        headers.append((b"x-ratelimit-limit-requests", b"500"))
        headers.append((b"x-ratelimit-remaining-requests", b"0"))
        headers.append((b"x-ratelimit-reset-requests", f"{fault.retry_after or 1:g}s".encode()))
    return tuple(headers)


def refused(mistake: Refused) -> Outcome:
    """A refusal in OpenAI's shape."""
    body = error_body(
        mistake.message, kind="invalid_request_error", param=mistake.param or None, code=mistake.code or None
    )
    return Outcome(mistake.status, body, headers=(VERSION,))


def stream_error(fault: Fault) -> Payload:
    """The error object that comes inside a stream."""
    body = error_body(
        "The server had an error while processing your request. Sorry about that!",
        kind="server_error",
        code=fault.code or None,
    )
    return Payload("error", msgspec.json.format(body, indent=-1))


OPENAI = Vendor(admit=_admit, failed=failed, refused=refused)
