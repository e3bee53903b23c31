"""One HTTP exchange over ASGI: the body in, an outcome or a stream out, and the client's departure noticed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import parse_qsl

from ratchet.simulator.outcomes import Headers, Outcome
from ratchet.simulator.streams import Write

__all__ = ["TRANSPORT", "Exchange", "Gone", "Receive", "Scope", "Send", "TooLarge"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TRANSPORT = "ratchet.simulator.transport"  # the scope extension that holds the connection, see server.py


class Gone(Exception):
    """The client went away, or the connection was ended on purpose."""


class TooLarge(Exception):
    """The request's body has more than `most` bytes: `size` were read."""

    def __init__(self, most: int, size: int) -> None:
        super().__init__(f"{size} bytes read, {most} allowed")
        self.most, self.size = most, size


class Exchange:
    """`status` is the status that was sent, 0 before; `ended` says that a fault broke the connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.status = 0
        self.ended = False
        self._query: bytes = scope.get("query_string", b"")
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._extensions: dict[str, Any] = scope.get("extensions") or {}
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str:
        """The first header of that (lower-case) name, or nothing."""
        for key, value in self._headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    def key(self, body: bytes, heeded: tuple[bytes, ...]) -> tuple[object, ...]:
        """What tells this request from others: path, query, body and the headers named."""
        return (self.path, self._query, body, *map(self.header, heeded))

    def query(self, name: str) -> str:
        """The first query parameter of that name, or nothing."""
        if not self._query:
            return ""
        pairs = parse_qsl(self._query.decode("latin-1"), keep_blank_values=True)
        return next((value for key, value in pairs if key == name), "")

    async def body(self, most: int) -> bytes:
        """The request's body. Raises `TooLarge` above `most` bytes, `Gone` when it breaks off."""
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise Gone
            part: bytes = event.get("body", b"")
            size += len(part)
            if size > most:
                raise TooLarge(most, size)
            if not event.get("more_body", False):
                return part if not parts else b"".join([*parts, part])
            parts.append(part)

    async def send_json(self, data: bytes, headers: Headers) -> None:
        """A plain 200, by the shortest way. `headers` are all of them."""
        self.status = 200
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": data})

    async def reply(self, outcome: Outcome) -> None:
        """An outcome in one body."""
        self.status = outcome.status
        length = len(outcome.body) if outcome.length is None else outcome.length
        headers = [
            (b"content-type", outcome.content_type),
            (b"content-length", b"%d" % length),
            *outcome.headers,
        ]
        await self._send({"type": "http.response.start", "status": outcome.status, "headers": headers})
        if outcome.then == "close":
            await self._send({"type": "http.response.body", "body": outcome.body, "more_body": True})
            await self._close()
            return
        await self._send({"type": "http.response.body", "body": outcome.body})

    async def stream(
        self,
        pieces: Sequence[Write],
        content_type: bytes,
        extra: Headers,
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        """Headers, then each piece after its wait. The headers go out with the first piece, as real ones do."""
        headers = [(b"content-type", content_type), *extra]
        for position, piece in enumerate(pieces):
            if piece.wait:
                await sleep(piece.wait)
            if position == 0:
                self.status = 200
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            if piece.data:
                await self._send({"type": "http.response.body", "body": piece.data, "more_body": True})
            if piece.then == "close":
                await self._close()
                return
        if not pieces:
            self.status = 200
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def watched(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        """Does `work` while watching for the client to leave. Raises `Gone` when it does."""
        doing = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._departure())
        try:
            await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                if not self.ended:
                    raise Gone
                await doing
            doing.result()
        finally:
            for task in (doing, watching):
                task.cancel()
            for task in (doing, watching):
                with contextlib.suppress(asyncio.CancelledError, Gone):
                    await task

    async def _departure(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def abort(self) -> None:
        """Resets the connection (RST) before anything was answered. Without the transport, answers nothing."""
        self.ended = True
        transport = self._extensions.get(TRANSPORT)
        if transport is None:
            raise Gone
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await self._departure()

    async def _close(self) -> None:
        """Ends the connection in the middle of an answer, once what was written has left."""
        self.ended = True
        transport = self._extensions.get(TRANSPORT)
        if transport is None:
            raise Gone
        transport.close()
        await self._departure()
