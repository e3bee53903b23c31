"""HTTP/1.1 as clients of ratchet's processes speak it, with what a client may take of time and room.

Clients that are slow or send heads without end are cut off by the connection itself, before any application hears of
them or waits for them.
"""

from __future__ import annotations

import asyncio
import functools
import urllib.parse
from collections import deque
from typing import Any, NamedTuple

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet.serving.cycle import Cycle, Message

__all__ = ["DEFAULT_LIMITS", "ClientLimits", "Config", "HttpProtocol"]


class ClientLimits(NamedTuple):
    """What a client may take. Sizes in bytes, times in seconds."""

    target: int = 8 << 10  # the request line's address
    head: int = 64 << 10
    headers: int = 100
    head_time: float = 20.0  # from a request's first byte to the end of its head
    body_pause: float = 20.0  # without a byte of a body that is not whole
    body_rate: float = (
        1024.0  # bytes a second on the average, of which the first `body_pause` seconds are free
    )
    idle: float = 75.0  # without a request
    read_pause: float = 60.0  # without taking a byte of what is sent


DEFAULT_LIMITS = ClientLimits()
_LINGER = 1.0  # seconds in which a client that was cut off may read why


class Config(uvicorn.Config):
    def __init__(self, limits: ClientLimits, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.limits = limits


_REFUSALS = {
    408: (b"Request Timeout", b"The request did not come in time."),
    414: (b"URI Too Long", b"The address is too long."),
    431: (b"Request Header Fields Too Large", b"The headers are too large."),
}


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with requests and answers of our own, and with limits.

    Now and then it looks whether its client is within them. What can't wait that long, sizes, is looked at as it comes.
    """

    parser: Any
    app: Any

    def __init__(self, config: uvicorn.Config, *rest: Any, **named: Any) -> None:
        super().__init__(config, *rest, **named)
        self._limits = config.limits if isinstance(config, Config) else DEFAULT_LIMITS
        self._watch: asyncio.TimerHandle | None = None
        self._where = ""  # "head" or "body" while one is coming in
        self._began = (
            0.0  # when the head or the body did; where neither comes, when the last request was over
        )
        self._heard = 0.0  # when something last came in
        self._taken = 0  # bytes of this head or body, with what came in one piece with it
        self._piece = 0  # bytes of the piece that is being read
        self._unsent = 0  # bytes that the client had yet to take, when last looked at
        self._unsent_since = 0.0
        self._refused = False
        self._cycle: Cycle | None = None  # the one whose request is coming in, or came last
        self._running: Cycle | None = None  # the one that is being answered, or was last
        self._waiting: deque[tuple[Cycle, Message]] = (
            deque()
        )  # requests that came before the answer to another was whole
        self._asgi = {"version": self.asgi_version, "spec_version": "2.3"}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._began = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.connections.discard(self)
        for cycle in {self._running, self._cycle, *(each for each, _ in self._waiting)}:
            if cycle is not None and not cycle.response_complete:
                cycle.leave()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # it holds this, too

    def shutdown(self) -> None:
        """The server stops: what is under way goes on to its end."""
        cycle = self._cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()
        else:
            cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._heard = self.loop.time()
        self._piece = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to nothing that is spoken here: it has been answered like any other request
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        self._taken += self._piece
        if self._where == "head" and self._taken > self._limits.head:
            self._refuse(431)

    # what the parser says

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._enter("head")

    def on_headers_complete(self) -> None:
        limits, headers = self._limits, self.headers
        if self._refused:
            return
        if len(self.url) > limits.target:
            self._refuse(414)
        elif len(headers) > limits.headers or (
            self._taken + self._piece > limits.head
            and sum(len(name) + len(value) for name, value in headers) > limits.head
        ):
            self._refuse(431)
        else:
            self._enter("body")
            self._begin_cycle()

    def _begin_cycle(self) -> None:
        parser, before = self.parser, self._cycle
        version = parser.get_http_version()
        path, raw_path, query = _parts_of(self.url)
        method = parser.get_method().decode("ascii")
        keep_alive = version != "1.0" and parser.should_keep_alive()
        cycle = self._cycle = Cycle(
            self, bare=method == "HEAD", keep_alive=keep_alive, expects=self.expect_100_continue
        )
        scope: Message = {
            "type": "http",
            "asgi": self._asgi,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": self.headers,
            "method": method,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "ratchet.cycle": cycle,
        }
        if before is None or before.response_complete:
            self._start(cycle, scope)
        else:
            self.flow.pause_reading()
            self._waiting.append((cycle, scope))

    def _start(self, cycle: Cycle, scope: Message) -> None:
        self._running = cycle
        task = self.loop.create_task(cycle.run(self.app, scope))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        cycle = self._cycle
        if not self._refused and cycle is not None and not cycle.response_complete:
            cycle.take(body)

    def on_message_complete(self) -> None:
        cycle = self._cycle
        if not self._refused:
            self._enter("")
            if cycle is not None and not cycle.response_complete:
                cycle.whole()

    def on_response_complete(self) -> None:
        if not self._where:
            self._began = self.loop.time()
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self._waiting:
                self._start(*self._waiting.popleft())

    def _enter(self, where: str) -> None:
        self._where = where
        self._began = self._heard
        self._taken = 0

    # the limits

    def _look_later(self) -> None:
        limits = self._limits
        often = min(limits.head_time, limits.body_pause, limits.idle, limits.read_pause) / 4
        self._watch = self.loop.call_later(often, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        if self._stuck(now):
            self.transport.abort()
            return
        self._look_later()
        if not self._refused and not self.transport.is_closing():
            self._look_at_request(now)

    def _stuck(self, now: float) -> bool:
        """Whether the client takes nothing of what is sent."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return now - self._unsent_since > self._limits.read_pause

    def _look_at_request(self, now: float) -> None:
        limits = self._limits
        answered = self._cycle is None or self._cycle.response_complete
        if self._where == "head":
            if now - self._began > limits.head_time:
                self._refuse(408)
        elif self._where == "body":
            if self.flow.read_paused:  # it is the application that takes its time
                self._began = self._heard = now
                self._taken = 0
            elif now - self._heard > limits.body_pause or self._trickles(now):
                self._refuse(408)
        elif answered and now - self._began > limits.idle:
            self.transport.close()

    def _trickles(self, now: float) -> bool:
        limits = self._limits
        return self._taken < (now - self._began - limits.body_pause) * limits.body_rate

    def _refuse(self, status: int) -> None:
        """Say why, where that can't be taken for the answer to an earlier request, and close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        cycle = self._cycle
        if self._where == "body" and cycle is not None:
            silent = cycle.response_started or bool(self._waiting)
        else:
            silent = cycle is not None and not cycle.response_complete
        if silent:
            self.transport.close()
            return
        reason, words = _REFUSALS[status]
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, reason, len(words), words)
        )
        self.transport.write_eof()
        if cycle is not None:
            cycle.leave()
        # What is closed while more comes in is reset, and the client never learns why: so that is read, and forgotten.
        self.flow.resume_reading()
        self.loop.call_later(_LINGER, self.transport.close)


@functools.lru_cache(256)
def _parts_of(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, its bytes, and query. Raises httptools.HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, parsed.path, parsed.query or b""
