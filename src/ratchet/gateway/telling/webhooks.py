"""Telling other programs of what happened, off the path of requests: one JSON object by POST, tried again when it fails.

Each is told at least once: what waits is on disk, and a gateway that starts goes on with what another has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from ratchet.addresses import Guard
from ratchet.gateway.telling.outbox import Call, Outbox
from ratchet.gateway.upstream.connection import ConnectionBroken
from ratchet.gateway.upstream.pool import Endpoint, NotAllowed, Pool, Unreachable

__all__ = ["Call", "Webhooks"]

log = logging.getLogger("ratchet.gateway")

_PAUSES = (1.0, 5.0, 30.0, 120.0)  # seconds between tries
_DEADLINE = 10.0  # seconds for one
_GRACE = 3.0  # seconds at the end
_MOST_WAITING = 1000
_AT_ONCE = 8
_LONGEST_ANSWER = 1 << 16  # bytes; nobody reads it


class Webhooks:
    """What waits to be told, in `outbox`. `run` tells it."""

    def __init__(
        self,
        new_id: Callable[[], str],
        outbox: Outbox,
        *,
        pauses: tuple[float, ...] = _PAUSES,
        grace: float = _GRACE,
    ) -> None:
        self._new_id = new_id
        self._outbox = outbox
        self._pauses = pauses
        self._grace = grace
        self._ending = asyncio.Event()
        self._waiting: asyncio.Queue[Call | None] = asyncio.Queue()  # None: there is nothing more to come
        for call in outbox.calls.values():
            self._waiting.put_nowait(call)
        if outbox.calls:
            log.info("%d webhooks that were not told before are told now", len(outbox.calls))

    def tell(self, call: Call) -> None:
        """Never waits. More than a thousand at a time are one too many, and the log says so."""
        if len(self._outbox.calls) >= _MOST_WAITING:
            log.error("too many webhooks wait to be called; %s is not told", _place(call.url))
            return
        call = msgspec.structs.replace(call, id=self._new_id())
        self._outbox.add(call)
        self._waiting.put_nowait(call)

    async def run(self) -> None:
        """Runs until cancelled. Then what waits is tried once more, for a few seconds; what is left is kept."""
        workers = [asyncio.create_task(self._work()) for _ in range(_AT_ONCE)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()  # raises what went wrong
        finally:
            self._ending.set()
            for _ in workers:
                self._waiting.put_nowait(None)
            await asyncio.wait(workers, timeout=self._grace)
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
            self._outbox.close()
            if self._outbox.calls:
                log.warning("%d webhooks wait for the gateway's next start", len(self._outbox.calls))

    async def _work(self) -> None:
        while (call := await self._waiting.get()) is not None:
            await self._make_durable()
            if await self._is_done_with(call):
                self._outbox.strike(call)

    async def _is_done_with(self, call: Call) -> bool:
        """Whether it is told, or has been tried often enough. Where the gateway ends, nobody can say yet."""
        for pause in (*self._pauses, None):
            last = self._ending.is_set()
            problem = await _post(call)
            if problem is None:
                return True
            if pause is None:
                log.error("the webhook at %s could not be told: %s", _place(call.url), problem)
                return True
            if last:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
        return False

    async def _make_durable(self) -> None:
        """From here on not even a power cut loses what waits."""
        descriptor = self._outbox.sync_target()
        if descriptor is None:
            return
        try:
            await asyncio.to_thread(os.fdatasync, descriptor)
        except OSError as error:
            log.warning("webhooks that wait may not outlast a power cut: %s", error)
        finally:
            os.close(descriptor)


async def _post(call: Call) -> str | None:
    """What went wrong, or None."""
    parts = urlsplit(call.url)
    endpoint = Endpoint.of(call.url)
    guard = None if call.allowed is None else Guard(call.allowed)
    body = msgspec.json.encode({"id": call.id, **call.payload})
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nuser-agent: ratchet\r\nconnection: close\r\n\r\n"
    )
    # Making one reads all the certificates that are trusted.
    pool = await asyncio.to_thread(Pool, endpoint, guard=guard, longest=_LONGEST_ANSWER)
    try:
        answer = await pool.request(head.encode() + body, _DEADLINE)
        await answer.body()
    except NotAllowed as error:
        return str(error)
    except (Unreachable, ConnectionBroken) as error:
        return str(error)
    finally:
        pool.close()
    return None if 200 <= answer.status < 300 else f"it answered with status {answer.status}"


def _place(url: str) -> str:
    """What may be logged of an address: its query and path may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"
