"""One request on a connection and its answer, as ASGI has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

__all__ = ["Connected", "Cycle", "Message"]

log = logging.getLogger("uvicorn.error")

Message = MutableMapping[str, Any]
_STATUS_LINES = {
    status: f"HTTP/1.1 {status} {next((each.phrase for each in HTTPStatus if each == status), '')}\r\n".encode()
    for status in range(100, 600)
}
_BODILESS = (204, 304)
_IN_HEADS = bytes((*b"\t\r\n", *range(0x20, 0x7F), *range(0x80, 0x100)))
_FAILED = b"Internal Server Error"


class Connected(Protocol):
    """The connection, as its requests see it."""

    transport: asyncio.Transport
    flow: FlowControl

    def on_response_complete(self) -> None: ...


class Cycle:
    """A request that comes in piece by piece, and an answer that goes out so.

    In the place of uvicorn's, of which most of what it did for each request is done once here, or not at all.
    """

    __slots__ = (
        "_bare",
        "_chunked",
        "_connection",
        "_expects",
        "_flow",
        "_head",
        "_left",
        "_news",
        "_parts",
        "_size",
        "_transport",
        "_waiter",
        "disconnected",
        "keep_alive",
        "more_body",
        "on_leave",
        "response_complete",
        "response_started",
    )

    def __init__(self, connection: Connected, *, bare: bool, keep_alive: bool, expects: bool) -> None:
        """`bare`: the answer has no body, as to HEAD. `expects`: the client waits for `100 Continue` before it sends its
        own."""
        self._connection: Connected | None = connection
        self._transport = connection.transport
        self._flow = connection.flow
        self._bare = bare
        self._expects = expects
        self._parts: list[bytes] = []  # of the body, that the application hasn't got
        self._size = 0
        self._news = False  # something that the application hasn't been told
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""  # of the answer, while it waits for the body that follows at once
        self._chunked = False
        self._left = 0  # bytes of the body that were announced and have not been sent
        self.keep_alive = keep_alive
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.on_leave: Callable[[], None] | None = None  # whom to tell at once that the client has gone

    # what the connection says

    def take(self, body: bytes) -> None:
        """A piece of the body came."""
        self._parts.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self._tell()

    def whole(self) -> None:
        """That was all of the body."""
        self.more_body = False
        self._tell()

    def leave(self) -> None:
        """The client has gone, or will not be listened to."""
        self.disconnected = True
        self._tell()
        if self.on_leave is not None:
            self.on_leave()

    def _tell(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # what the application does

    async def run(self, app: Callable[..., Awaitable[None]], scope: Message) -> None:
        """Have it answered. Raises only when cancelled."""
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            await self._fail()
            raise
        except Exception:  # the application is at fault: its client is told, and the server goes on
            log.exception("Exception in ASGI application")
            await self._fail()
        else:
            if not self.response_started and not self.disconnected:
                log.error("ASGI callable returned without starting response.")
                await self._fail()
            elif not self.response_complete and not self.disconnected:
                log.error("ASGI callable returned without completing response.")
                self._transport.close()
        finally:
            self._connection = None  # which holds this

    async def _fail(self) -> None:
        if self.response_started:
            self._transport.close()
            return
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(_FAILED)),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": _FAILED})

    async def receive(self) -> Message:
        """ASGI's."""
        if self._expects and not self._transport.is_closing():
            self._expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not (self.disconnected or self.response_complete):
            self._flow.resume_reading()
            if not self._news:
                self._waiter = asyncio.get_running_loop().create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            self._news = False
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        parts, self._parts, self._size = self._parts, [], 0
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """ASGI's. A start that says `soon` is written with the body that follows it."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{kind}'.")
            self.response_started = True
            self._expects = False
            head = self._begin(message["status"], message.get("headers", ()))
            if message.get("soon"):
                self._head = head
            else:
                self._transport.write(head)
            return
        if kind != "http.response.body" or self.response_complete:
            raise RuntimeError(f"Unexpected ASGI message '{kind}'.")
        self._write(message.get("body", b""), more=message.get("more_body", False))

    def _begin(self, status: int, headers: Any) -> bytes:
        """The answer's head in bytes."""
        lines = [_STATUS_LINES[status]]
        for name, value in headers:
            lines += (name, b": ", value, b"\r\n")
        framing = dict(headers).get
        length, coding, connection = (
            framing(b"content-length"),
            framing(b"transfer-encoding"),
            framing(b"connection"),
        )
        if coding is not None:
            self._chunked = coding.lower() == b"chunked"
        if connection is not None and b"close" in [token.strip() for token in connection.lower().split(b",")]:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        bare = self._bare or status in _BODILESS
        if length is not None:
            self._chunked, self._left = False, 0 if bare else int(length)
        elif not (self._chunked or bare):
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        ends = len(lines) - 3 * len(headers)  # a header is four pieces of one line
        if head.count(b"\n") > ends or head.count(b"\r") > ends or head.translate(None, _IN_HEADS):
            raise RuntimeError("A header of the answer holds a line break or another control character.")
        return head

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._bare:
            body = b""
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("Response content longer than Content-Length")
        if self._head:
            body = self._head + body
            self._head = b""
        if body:
            self._transport.write(body)
        if more:
            return
        if self._left > 0:
            raise RuntimeError("Response content shorter than Content-Length")
        self.response_complete = True
        self._tell()
        if not self.keep_alive:
            self._transport.close()
        if self._connection is not None:
            self._connection.on_response_complete()
