"""Noticing that the client has gone away, so that nobody pays for an answer that nobody reads."""

from __future__ import annotations

import asyncio

from ratchet.errors import RatchetError, Unavailable
from ratchet.gateway.asgi import Receive

__all__ = ["ClientLeft", "Departure"]

# A task for every request would cost more than all other steps together, and most answers are there sooner.
_PATIENCE = 0.05  # seconds


class ClientLeft(RatchetError):
    """Not an error that anyone sees as an answer; it is what the record says. 499 is nginx's status for it."""

    code, status, title = "client_closed_request", 499, "Client left"


class Departure:
    """Cancels the current task when its client disconnects, from `watch` until `forget`."""

    __slots__ = ("_receive", "_task", "_timer", "_watcher", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.gone = False

    def watch(self) -> None:
        """Call once the request's body has been read: `receive` then only ever says that the client left."""
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._start)

    def forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def explanation(self) -> RatchetError:
        """Why the task was cancelled."""
        if self.gone:
            return ClientLeft("The client closed the connection before it had its answer.", "")
        return Unavailable(
            "The gateway was stopped before the answer was whole.", "Try again.", code="gateway_stopped"
        )

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        if self._task is not None:
            self._task.cancel()
