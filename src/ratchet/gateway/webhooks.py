"""Telling other programs of what happened, off the path of requests: one JSON object by POST, tried again when it fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from ratchet.addresses import Guard
from ratchet.gateway.connection import ConnectionBroken
from ratchet.gateway.pool import Endpoint, NotAllowed, Pool, Unreachable

__all__ = ["Call", "Webhooks"]

log = logging.getLogger("ratchet.gateway")

_PAUSES = (1.0, 5.0, 30.0, 120.0)  # seconds between tries
_DEADLINE = 10.0  # seconds for one
_MOST_WAITING = 1000
_AT_ONCE = 8
_LONGEST_ANSWER = 1 << 16  # bytes; nobody reads it


class Call(msgspec.Struct, frozen=True):
    """Something to tell. `allowed`: the private addresses that may be reached; None: all of them, as the file's own."""

    url: str
    payload: Mapping[str, object]
    allowed: tuple[str, ...] | None = None


class Webhooks:
    """What waits to be told. `run` tells it; what is not told when the gateway ends is lost, and the event of it isn't."""

    def __init__(self, *, pauses: tuple[float, ...] = _PAUSES) -> None:
        self._pauses = pauses
        self._waiting: asyncio.Queue[Call] = asyncio.Queue(_MOST_WAITING)

    def tell(self, call: Call) -> None:
        """Never waits. More than a thousand at a time are one too many, and the log says so."""
        try:
            self._waiting.put_nowait(call)
        except asyncio.QueueFull:
            log.error("too many webhooks wait to be called; %s is not told", _place(call.url))  # noqa: TRY400 - a trace would tell no more

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            call = await self._waiting.get()
            for pause in (*self._pauses, None):
                problem = await _post(call)
                if problem is None:
                    break
                if pause is None:
                    log.error("the webhook at %s could not be told: %s", _place(call.url), problem)
                else:
                    await asyncio.sleep(pause)


async def _post(call: Call) -> str | None:
    """What went wrong, or None."""
    parts = urlsplit(call.url)
    endpoint = Endpoint.of(call.url)
    guard = None if call.allowed is None else Guard(call.allowed)
    body = msgspec.json.encode(call.payload)
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
