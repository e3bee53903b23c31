"""Whole (not streamed) responses with what a fault makes of them. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from ratchet.simulator.faults import Fault
from ratchet.simulator.openai_request import error_body

__all__ = ["Outcome", "failed", "whole"]

_JSON = b"application/json"
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>500 Internal Server Error</title></head>\n"
    b"<body><center><h1>500 Internal Server Error</h1></center><hr><center>cloud</center></body></html>\n"
)
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


class Outcome(msgspec.Struct, frozen=True):
    """`then` is "close" where the connection ends before `length` bytes were sent."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    length: int | None = None
    then: Literal["go on", "close"] = "go on"


def failed(fault: Fault) -> Outcome:
    """The error that `fault.status` asks for, with the headers that go with it."""
    kind, code, message = _ERRORS.get(fault.status, ("server_error", None, "Something went wrong."))
    if fault.code == _QUOTA[0]:
        kind, code, message = _QUOTA[0], _QUOTA[0], _QUOTA[1]
    body = error_body(message, kind=kind, code=fault.code or code)
    headers: list[tuple[bytes, bytes]] = []
    if fault.retry_after is not None:
        headers.append((b"retry-after", b"%d" % -(-fault.retry_after // 1)))
        headers.append((b"retry-after-ms", b"%d" % round(fault.retry_after * 1000)))
    if fault.status == 429:
        headers.append((b"x-ratelimit-limit-requests", b"500"))
        headers.append((b"x-ratelimit-remaining-requests", b"0"))
        headers.append((b"x-ratelimit-reset-requests", f"{fault.retry_after or 1:g}s".encode()))
    return shaped(Outcome(fault.status, body, headers=tuple(headers)), fault)


def whole(body: bytes, fault: Fault, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Outcome:
    """An answer in one body."""
    return shaped(Outcome(200, body, headers=headers), fault)


def shaped(outcome: Outcome, fault: Fault) -> Outcome:
    """The outcome with the fault's body and content type."""
    body, kind, length, then = outcome.body, outcome.content_type, None, outcome.then
    if fault.body == "html":
        body, kind = _HTML, b"text/html; charset=utf-8"
    elif fault.body == "empty":
        body = b""
    elif fault.body == "malformed":
        body = body[: len(body) // 2] + b"\x00,,}"
    elif fault.body == "truncated" or (fault.cut is not None and outcome.status == 200):
        length, then, body = len(body), "close", body[: len(body) // 2]
    if fault.bom:
        body = b"\xef\xbb\xbf" + body
    if fault.content_type:
        kind = fault.content_type.encode("latin-1", "replace")
    return Outcome(outcome.status, body, kind, outcome.headers, length, then)
