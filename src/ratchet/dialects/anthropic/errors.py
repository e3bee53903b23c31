"""Errors as Anthropic's clients expect them: `{"type": "error", "error": {"type", "message"}}`."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import mended
from ratchet.errors import RatchetError

__all__ = ["ERROR_TYPES", "error_body", "error_event", "error_message", "error_type", "stream_error"]

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The type that goes with a status. Every other 4xx is an `invalid_request_error`, the rest are `api_error`."""

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder()


def error_type(status: int) -> str:
    """Anthropic's name for an error of this HTTP status."""
    return ERROR_TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")


def error_body(error: RatchetError) -> bytes:
    """The error in Anthropic's shape. It has no field for a code of ours, so the message ends with it."""
    return _encode(_error(error_type(error.status), f"{error} (code: {error.reason})"))


def error_event(error: RatchetError) -> bytes:
    """The same as an event, for a stream that fails after it has begun."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"


def stream_error(message: str, code: str | None) -> dict[str, Any]:
    """The `error` event's data for a failure that a provider reported under its own `code`."""
    known = code in ERROR_TYPES.values() or code == "api_error"
    return _error(code if known and code else "api_error", message)


def error_message(body: bytes) -> str:
    """The sentence in an error body of Anthropic's; "" where there is none. Never raises."""
    try:
        decoded = _decoder.decode(mended(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    error = cast("dict[str, Any]", decoded).get("error") if isinstance(decoded, dict) else None
    message = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}
