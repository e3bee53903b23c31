"""Listening: the one way ratchet's processes open a port and run an ASGI application on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet.errors import Misconfigured
from ratchet.serving.protocol import DEFAULT_LIMITS, ClientLimits, Config, HttpProtocol

__all__ = ["ClientLimits", "address_of", "bind", "serve_app"]

_BACKLOG = 2048


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
    config = Config(
        limits,
        app,
        http=protocol or HttpProtocol,
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
