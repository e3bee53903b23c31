"""Raw ASGI: the types, reading a body, writing an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from ratchet.errors import BodyTooLarge, InvalidRequest, WrongContentType

__all__ = ["ClientGone", "Headers", "Receive", "Scope", "Send", "read_body", "require_json", "respond"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]


class ClientGone(Exception):
    """The client closed the connection before its request was whole: there is nobody to answer."""


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to exceed `limit` bytes."""
    announced = headers.get(b"content-length")
    if announced is not None and (not announced.isdigit() or int(announced) > limit):
        raise _too_large(limit, announced.decode("latin-1"))
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise _too_large(limit, str(len(body)))
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit, f"more than {limit}")
    return b"".join(parts)


def require_json(headers: Headers) -> None:
    """Raises WrongContentType for anything that says it is not plain JSON."""
    declared = headers.get(b"content-type", b"application/json")
    if declared != b"application/json" and declared.partition(b";")[0].strip().lower() != b"application/json":
        raise WrongContentType(
            f"The content type {declared.decode('latin-1')!r} is not supported here.",
            "Send JSON with the header `Content-Type: application/json`.",
        )
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding not in (b"identity", b""):
        raise WrongContentType(
            f"The content encoding {encoding.decode('latin-1')!r} is not supported here.", "Send plain JSON."
        )


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    content_type: bytes = b"application/json",
) -> None:
    """A whole answer at once."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers],
            "soon": True,  # the server may wait for the body, and send both as one
        }
    )
    await send({"type": "http.response.body", "body": body})


def _too_large(limit: int, size: str) -> BodyTooLarge | InvalidRequest:
    if not size.startswith("more") and not size.isdigit():
        return InvalidRequest(f"The header Content-Length is {size!r}.", "Send the body's length in bytes.")
    return BodyTooLarge(
        f"The body has {size} bytes; the limit is {limit:,}.",
        "Send less (images as URLs, a shorter history), or raise gateway.max_body_bytes in ratchet.toml.",
    )
