"""The gateway process: one event loop that serves, follows changes and keeps the spool durable."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable

from ratchet.gateway.http import GatewayApp
from ratchet.gateway.reload import Reloader
from ratchet.gateway.services import Services
from ratchet.gateway.snapshot import Snapshot
from ratchet.serving import address_of, serve_app
from ratchet.telemetry.spool import SpoolWriter

__all__ = ["serve_gateway"]

_SYNC_INTERVAL = 0.1  # seconds: what a power cut can lose
_MEASURE_INTERVAL = 1.0


async def serve_gateway(
    listener: socket.socket,
    services: Services,
    reloader: Reloader,
    *,
    drain_timeout: float,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Serve on `listener` until `stop` is set; then let running requests finish for `drain_timeout` seconds."""

    def ready() -> None:
        # What start-up made stays for good: the garbage collector need never look at it again.
        gc.collect()
        gc.freeze()
        on_ready(address_of(listener))

    def swap(snapshot: Snapshot) -> None:
        services.snapshot = snapshot

    async with asyncio.TaskGroup() as tasks:
        helpers = [
            tasks.create_task(reloader.follow(swap)),
            tasks.create_task(_keep_durable(services.spool)),
            tasks.create_task(_measure(services.spool)),
        ]
        try:
            await serve_app(
                GatewayApp(services), listener, stop=stop, on_ready=ready, drain_timeout=drain_timeout
            )
        finally:
            for helper in helpers:
                helper.cancel()
    services.spool.close()


async def _keep_durable(spool: SpoolWriter) -> None:
    """Group `fdatasync`: at most `_SYNC_INTERVAL` of what was answered is at the mercy of a power cut."""
    while True:
        await asyncio.sleep(_SYNC_INTERVAL)
        descriptor = spool.sync_target()
        if descriptor is not None:
            try:
                await asyncio.to_thread(os.fdatasync, descriptor)
            finally:
                os.close(descriptor)


async def _measure(spool: SpoolWriter) -> None:
    """Keep the spool's idea of its folder's size fresh, for its limit."""
    while True:
        await asyncio.sleep(_MEASURE_INTERVAL)
        spool.measure()
