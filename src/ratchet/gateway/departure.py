"""Noticing that the client has gone away, so that nobody pays for an answer that nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from ratchet.errors import RatchetError, Unavailable
from ratchet.gateway.asgi import Scope

__all__ = ["ClientLeft", "Departure"]


class ClientLeft(RatchetError):
    """Not an error that anyone sees as an answer; it is what the record says. 499 is nginx's status for it."""

    code, status, title = "client_closed_request", 499, "Client left"


class _Cycle(Protocol):
    """What the server says of a request's connection, in the scope's `ratchet.cycle`."""

    disconnected: bool
    on_leave: Callable[[], None] | None


class Departure:
    """Cancels the current task when its client disconnects, from `watch` until `forget`."""

    __slots__ = ("_cycle", "_task", "gone")

    def __init__(self, scope: Scope) -> None:
        self._cycle: _Cycle | None = scope.get("ratchet.cycle")
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    def watch(self) -> None:
        """Call once the request's body has been read."""
        if self._cycle is None:
            return  # whoever calls from this process cancels the task itself
        self._task = asyncio.current_task()
        self._cycle.on_leave = self._leave
        if self._cycle.disconnected:
            self._leave()

    def forget(self) -> None:
        if self._cycle is not None:
            self._cycle.on_leave = None

    def explanation(self) -> RatchetError:
        """Why the task was cancelled."""
        if self.gone:
            return ClientLeft("The client closed the connection before it had its answer.", "")
        return Unavailable(
            "The gateway was stopped before the answer was whole.", "Try again.", code="gateway_stopped"
        )

    def _leave(self) -> None:
        if self._task is not None and not self.gone:
            self.gone = True
            self._task.cancel()
