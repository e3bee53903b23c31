"""Listening: the one way ratchet's processes open a port and run an ASGI application on it.

Clients that are slow or send heads without end are cut off by the connection itself, before any application hears of
them or waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ratchet.errors import Misconfigured

__all__ = ["ClientLimits", "JoinedWrites", "address_of", "bind", "serve_app"]

_BACKLOG = 2048


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


def bind(host: str, port: int, *, option: str, shared: bool = False) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises Misconfigured, naming `option`, where it can't be had.

    `shared`: other processes of the same user may listen there too, and the kernel deals connections out to them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on what is accepted; without, an answer may wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"Port {port} on {host} can't be used: {error.strerror}.",
            f"Choose another with {option} (0 picks a free one), or stop what is using it.",
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """`http://host:port`, as a client on this machine would write it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve_app(
    app: Any,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], Any],
    drain_timeout: float = 5.0,
    protocol: type[HttpToolsProtocol] | None = None,
    limits: ClientLimits = DEFAULT_LIMITS,
) -> None:
    """Serve until `stop` is set or the task is cancelled; running requests get `drain_timeout` seconds to finish.

    `on_ready` is called once connections are accepted. `limits` are kept by the protocol that is the default.
    """
    config = _Config(
        limits,
        app,
        http=protocol or JoinedWrites,
        loop="none",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=round(limits.idle),
        timeout_graceful_shutdown=max(1, round(drain_timeout)),
    )
    server = _Server(config, on_ready)
    async with asyncio.TaskGroup() as tasks:
        stopper = tasks.create_task(_stop_when(stop, server))
        try:
            await server.serve(sockets=[listener])
        finally:
            stopper.cancel()


class _Config(uvicorn.Config):
    def __init__(self, limits: ClientLimits, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.limits = limits


_REFUSALS = {
    408: (b"Request Timeout", b"The request did not come in time."),
    414: (b"URI Too Long", b"The address is too long."),
    431: (b"Request Header Fields Too Large", b"The headers are too large."),
}


class JoinedWrites(HttpToolsProtocol):
    """uvicorn's protocol, with what it writes in one turn of the loop sent as one: an answer's head and its body.

    Now and then it looks whether its client is within the limits. What can't wait that long, sizes, is looked at as it
    comes.
    """

    def __init__(self, config: uvicorn.Config, *rest: Any, **named: Any) -> None:
        super().__init__(config, *rest, **named)
        self._limits = config.limits if isinstance(config, _Config) else DEFAULT_LIMITS
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
        self._cycle: RequestResponseCycle | None = None  # as the parent's `cycle`, which is None at first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]
        self._began = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._heard = self.loop.time()
        self._piece = len(data)
        super().data_received(data)
        self._taken += self._piece
        if self._where == "head" and self._taken > self._limits.head:
            self._refuse(431)

    # what the parser says

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._enter("head")

    def on_headers_complete(self) -> None:
        limits = self._limits
        if self._refused:
            return
        if len(self.url) > limits.target:
            self._refuse(414)
        elif len(self.headers) > limits.headers or (
            self._taken + self._piece > limits.head
            and sum(len(name) + len(value) for name, value in self.headers) > limits.head
        ):
            self._refuse(431)
        else:
            self._enter("body")
            super().on_headers_complete()
            self._cycle = self.cycle

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            self._enter("")
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self._where:
            self._began = self.loop.time()
        super().on_response_complete()

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
            silent = cycle.response_started or bool(self.pipeline)
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
            cycle.disconnected = True
            cycle.message_event.set()
        # What is closed while more comes in is reset, and the client never learns why: so that is read, and forgotten.
        self.flow.resume_reading()
        self.loop.call_later(_LINGER, self.transport.close)


class _Joining:
    """A transport that holds what is written until the loop's next turn. All else goes to the real one."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held = self._held
        if held:
            self._held = []
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Server(uvicorn.Server):
    """uvicorn's server, less its signal handlers: the process has its own."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], Any]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


async def _stop_when(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True
