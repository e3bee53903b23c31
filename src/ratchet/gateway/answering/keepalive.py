"""Comments to an app that waits for its stream, so that nothing between it and the gateway takes the silence for death."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from ratchet.gateway.answering.asking import EVENT_STREAM
from ratchet.gateway.answering.streams import start_stream
from ratchet.gateway.exchange import Exchange

__all__ = ["KeepAlive"]

_COMMENT = b": waiting\n\n"  # a comment of an event stream (WHATWG HTML, section 9.2.6): clients skip it


class KeepAlive:
    """From `start` until `stop`, a comment after each `interval` seconds in which nothing was sent.

    The first one begins the answer, with status 200: what goes wrong after it is told inside the stream.
    """

    __slots__ = ("_exchange", "_interval", "_lock", "_loop", "_send", "_sent", "_task", "_timer")

    def __init__(self, exchange: Exchange, interval: float) -> None:
        self._exchange = exchange
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._send = exchange.send
        self._sent = self._loop.time()
        self._timer = self._loop.call_later(interval, self._begin)
        self._task: asyncio.Task[None] | None = None
        self._lock: asyncio.Lock | None = None

    async def stop(self) -> None:
        """Waits for what is being sent: the head of an answer that is given up halfway would never be sent again."""
        self._timer.cancel()
        if self._task is None or self._lock is None:
            return
        try:
            async with self._lock:
                pass
        finally:
            self._task.cancel()
            self._exchange.send = self._send

    def _begin(self) -> None:
        # Only an app that has waited for so long pays for the lock that keeps two senders apart.
        self._lock = asyncio.Lock()
        self._exchange.send = self._locked
        self._task = self._loop.create_task(self._beat())

    async def _locked(self, message: MutableMapping[str, Any]) -> None:
        assert self._lock is not None  # noqa: S101 - made before this is anybody's `send`
        async with self._lock:
            self._sent = self._loop.time()
            await self._send(message)

    async def _beat(self) -> None:
        exchange = self._exchange
        while True:
            if self._loop.time() - self._sent >= self._interval:
                if not exchange.streaming:
                    exchange.status, exchange.content_type = 200, EVENT_STREAM
                    await start_stream(exchange)
                await exchange.send({"type": "http.response.body", "body": _COMMENT, "more_body": True})
            await asyncio.sleep(self._interval)
