"""CORS: which pages' scripts may ask and read answers. Only those that a publishable key names.

By the Fetch standard's protocol (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

from ratchet.errors import Forbidden
from ratchet.gateway.asgi import Headers, Send

__all__ = ["crossing_headers", "is_preflight", "let_cross", "refusal"]

_READABLE = (
    b"x-ratchet-trace-id, x-ratchet-pass, x-ratchet-cache, x-ratchet-degraded, retry-after, retry-after-ms, "
    b"x-request-id, request-id, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)
_SENDABLE = (
    b"authorization, content-type, x-api-key, x-altcha, x-ratchet-pass, traceparent, anthropic-version, anthropic-beta, "
    b"anthropic-dangerous-direct-browser-access, openai-beta, x-stainless-arch, x-stainless-lang, x-stainless-os, "
    b"x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, "
    b"x-stainless-timeout, x-stainless-helper-method"
)
_REMEMBERED = b"600"  # seconds


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks if it may ask."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def crossing_headers(origin: bytes) -> list[tuple[bytes, bytes]]:
    """What lets the page at `origin` read the answer."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _READABLE),
        (b"vary", b"origin"),
    ]


async def let_cross(send: Send, origin: bytes) -> None:
    """Answer a preflight with yes."""
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", _SENDABLE),
        (b"access-control-max-age", _REMEMBERED),
        (b"vary", b"origin"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def refusal(origin: bytes) -> Forbidden:
    """Answer a preflight with no."""
    return Forbidden(
        f"No publishable key is for pages at {origin.decode('latin-1')}.",
        "Make one with `ratchet key create --publishable --origin …`.",
        code="origin_not_allowed",
    )
