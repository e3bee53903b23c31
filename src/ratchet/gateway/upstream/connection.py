"""One HTTP/1.1 connection to a provider, on the gateway's own event loop.

It exists because a request that nobody waits for any more must be closed at once, whether its answer has begun or
not: a model that goes on generating costs money (docs/decisions/0003).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httptools

__all__ = ["Answer", "Connection", "ConnectionBroken", "ConnectionSlow"]

_IDLE_RACE = 1.0  # seconds; a connection that dies later than this after a request has had time to see it
_LONGEST_HEAD = 256 << 10  # bytes
_SHORTEST_SECRET = 16  # bytes; shorter ones are words, such as the `ollama` that some servers want for a key
_IN_PLACE_OF_A_SECRET = b"[redacted]"
_PLAIN = (b"identity", b"none", b"")
_NEVER_IN_A_SECRET = b"\n}"
_PAUSE_AT = 1 << 20  # bytes that may wait to be read before the provider is made to wait


class ConnectionBroken(Exception):
    """The provider closed or broke the connection before its answer was whole, or did not speak HTTP."""


class ConnectionSlow(ConnectionBroken):
    """The answer was not whole by its deadline."""


class Answer:
    """What comes back for one request. Close it when its body is not wanted to the end."""

    __slots__ = ("_connection", "_error", "_parts", "_waiter", "_waiting", "complete", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self._parts: list[bytes] = []
        self._waiting = 0  # bytes in _parts
        self._waiter: asyncio.Future[None] | None = None
        self._error: ConnectionBroken | None = None
        self.status = 0  # 0 until the head is there
        self.headers: dict[bytes, bytes] = {}  # names in lower case; of a repeated one the last
        self.complete = False

    async def head(self) -> None:
        """Until status and headers are there. Raises ConnectionBroken."""
        while not self.status:
            await self._wait()

    async def chunk(self) -> bytes:
        """What has come since the last call, at least one byte; b"" at the end. Raises ConnectionBroken."""
        while not self._parts:
            if self.complete:
                return b""
            await self._wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        if self._waiting > _PAUSE_AT and self._connection is not None:
            self._connection.resume()
        self._waiting = 0
        return data

    async def body(self) -> bytes:
        """The whole body. Raises ConnectionBroken."""
        data = await self.chunk()
        if self.complete and not self._parts:
            return data
        parts = [data]
        while data := await self.chunk():
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        """Hang up, unless the answer is whole and the connection has gone back to the others."""
        if self._connection is not None:
            self._connection.hang_up()

    def give_up(self, error: ConnectionBroken) -> None:
        """Hang up, and raise `error` where somebody waits for more."""
        if self._connection is not None:
            self._connection.hang_up(error)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # what the connection says

    def take(self, body: bytes) -> bool:
        """Keep a piece of the body. True when so much waits that the provider should pause."""
        self._parts.append(body)
        before = self._waiting
        self._waiting += len(body)
        return before <= _PAUSE_AT < self._waiting

    def end(self, error: ConnectionBroken | None) -> None:
        self._connection = None
        self._error = error
        self.complete = error is None
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """Takes one request at a time. `release` is called when it can take another."""

    __slots__ = (
        "_answer",
        "_closed_after",
        "_deadline",
        "_head",
        "_headers",
        "_held",
        "_longest",
        "_loop",
        "_parser",
        "_paused",
        "_piece",
        "_release",
        "_room",
        "_secret",
        "_sent",
        "_sent_at",
        "_silent",
        "_transport",
        "lost",
    )

    def __init__(self, release: Callable[[Connection], None], longest: int) -> None:
        """`longest` is how many bytes an answer's body may have."""
        self._release = release
        self._secret = b""
        self._held = b""  # the end of what came, where the secret may have begun
        self._longest = longest
        self._room = longest  # for what is still to come of the current one
        self._head = 0  # bytes that came before the current answer's head was whole
        self._piece = 0  # bytes of what is being read
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._headers: dict[bytes, bytes] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._sent = 0
        self._sent_at = 0.0
        self._closed_after = float("inf")  # seconds from the last request to the end of the connection
        self._silent = True  # not one byte of the current answer has come
        self.lost = False

    def died_idle(self) -> bool:
        """Whether the provider closed it for idleness just as a request was written, which it then has not seen."""
        return self._sent > 1 and self._silent and self._closed_after < _IDLE_RACE

    def send(self, payload: bytes, timeout: float, secret: bytes = b"") -> Answer:
        """Write a request, whose whole answer is due in `timeout` seconds.

        `secret` is taken out of the answer: whoever is asked with a credential might say it, and what a provider says
        is shown to apps and written down.
        """
        self._secret = secret if len(secret) >= _SHORTEST_SECRET else b""
        assert self._transport is not None  # noqa: S101 - it is connected before it is handed out
        answer = self._answer = Answer(self)
        self._headers = {}
        self._room = self._longest
        self._head = 0
        self._held = b""
        self._silent = True
        self._sent += 1
        self._sent_at = self._loop.time()
        self._deadline = self._loop.call_at(self._sent_at + timeout, self._too_late, timeout)
        self._transport.write(payload)
        return answer

    def hang_up(self, error: ConnectionBroken | None = None) -> None:
        """Close at once: the provider sees that nobody listens."""
        self._finish(error or ConnectionBroken("closed by the gateway"))
        self._drop()

    def resume(self) -> None:
        if self._paused and self._transport is not None and not self.lost:
            self._paused = False
            self._transport.resume_reading()

    # what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport is all that is ever asked for

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        parser = self._parser
        if answer is None or parser is None:  # a word after the answer's end: the two sides disagree
            self._drop()
            return
        self._silent = False
        self._piece = len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(f"its answer is not HTTP ({type(error).__name__})")
            return
        if not answer.status:
            self._head += len(data)
            self._limit_head(self._head)
        answer.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._parser = None  # it holds this, too; nobody would come by to undo the ring for a long time
        self._closed_after = self._loop.time() - self._sent_at
        answer = self._answer
        if answer is None:
            return
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        if answer.status and not framed and exc is None:
            self._finish(None)  # an answer that says nothing of its length ends where the connection does
        else:
            why = (
                "the connection was closed" if exc is None else f"the connection broke ({type(exc).__name__})"
            )
            self._finish(ConnectionBroken(why))

    # what the parser says

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._secret and self._secret in value:
            value = value.replace(self._secret, _IN_PLACE_OF_A_SECRET)
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        assert self._parser is not None  # noqa: S101 - it is what calls this
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and its like come before the answer
            self._headers = {}
        elif self._answer is not None:
            encoding = self._headers.get(b"content-encoding", b"identity")
            if encoding.lower() not in _PLAIN:
                self._refuse(
                    f"its answer is packed ({encoding[:40].decode('latin-1')}), which was not asked for"
                )
                return
            if self._head + self._piece > _LONGEST_HEAD:  # the body's beginning may have come with it
                size = sum(len(name) + len(value) for name, value in self._headers.items())
                if not self._limit_head(size):
                    return
            self._answer.headers = self._headers
            self._answer.status = status

    def on_body(self, body: bytes) -> None:
        self._room -= len(body)
        if self._room < 0:
            self._refuse(f"its answer is longer than {self._longest:,} bytes")
            return
        if self._secret:
            body = self._without_secret(body)
        if body:
            self._take(body)

    def _take(self, body: bytes) -> None:
        if self._answer is not None and self._answer.take(body) and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _without_secret(self, body: bytes) -> bytes:
        """`body` less the secret, and less its own end where that may be the secret's beginning."""
        secret = self._secret
        if not self._held and body[-1:] in _NEVER_IN_A_SECRET and secret not in body:
            return body
        data = (self._held + body).replace(secret, _IN_PLACE_OF_A_SECRET)
        begun = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
        while begun >= 0 and not secret.startswith(data[begun:]):
            begun = data.find(secret[:1], begun + 1)
        end = begun if begun >= 0 else len(data)
        self._held = data[end:]
        return data[:end]

    def on_message_complete(self) -> None:
        if self._answer is None or not self._answer.status:
            return
        assert self._parser is not None  # noqa: S101 - it is what calls this
        reusable = self._parser.should_keep_alive() and not self.lost
        self._finish(None)
        if reusable:
            self.resume()
            self._release(self)
        else:
            self._drop()

    # the end of an answer, and of the connection

    def _finish(self, error: ConnectionBroken | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._held:
            self._take(self._held)
            self._held = b""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.end(error)

    def _limit_head(self, size: int) -> bool:
        if size > _LONGEST_HEAD:
            self._refuse(f"its headers are longer than {_LONGEST_HEAD:,} bytes")
        return size <= _LONGEST_HEAD

    def _refuse(self, why: str) -> None:
        self._finish(ConnectionBroken(why))
        self._drop()

    def _drop(self) -> None:
        if self._transport is not None and not self.lost:
            self._transport.abort()
        self.lost = True

    def _too_late(self, timeout: float) -> None:
        self._finish(ConnectionSlow(f"not whole within {timeout:g} s"))
        self._drop()
