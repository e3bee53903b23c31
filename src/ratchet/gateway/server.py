"""The gateway process: one event loop that serves, follows changes and keeps the spool durable."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
from collections.abc import Callable

from ratchet.domain.spans import Event
from ratchet.errors import Unavailable
from ratchet.gateway.answering.probing import probe_providers
from ratchet.gateway.endpoints.http import GatewayApp
from ratchet.gateway.judging import own_generators
from ratchet.gateway.loading.reload import Reloader
from ratchet.gateway.services import Services
from ratchet.gateway.snapshot import Snapshot
from ratchet.serving import address_of, serve_app
from ratchet.telemetry.spool import SpoolWriter, spool_size

__all__ = ["keep_durable", "serve_gateway"]

log = logging.getLogger("ratchet.gateway")
_SYNC_INTERVAL = 0.1  # seconds: what a power cut can lose
_MEASURE_INTERVAL = 1.0
_QUEUE_INTERVAL = 5.0
_STATE_INTERVAL = 60.0
_NOTICE_INTERVAL = 1.0
_ROOM_TO_TELL = 4096  # bytes


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
        # Requests leave no cycles behind; looking for some after every few hundred objects costs a tenth of them.
        gc.set_threshold(20_000, 50, 100)
        on_ready(address_of(listener))

    def swap(snapshot: Snapshot) -> None:
        services.snapshot = snapshot

    answers = reloader.answers
    async with asyncio.TaskGroup() as tasks:
        helpers = [
            tasks.create_task(reloader.follow(swap)),
            tasks.create_task(keep_durable(services.spool)),
            tasks.create_task(_watch_spool(services)),
            tasks.create_task(_tell_queues(services)),
            tasks.create_task(_tell_state(services)),
            *([tasks.create_task(answers.work(services, own_generators(services)))] if answers else []),
            tasks.create_task(_flush_notices(services)),
            tasks.create_task(services.webhooks.run()),
            *_shared_figures(services, tasks),
            tasks.create_task(probe_providers(services, services.health.chance)),
        ]
        try:
            await serve_app(
                GatewayApp(services), listener, stop=stop, on_ready=ready, drain_timeout=drain_timeout
            )
        finally:
            for helper in helpers:
                helper.cancel()
    await services.trust.flush(everything=True)
    services.notices.flush(everything=True)
    services.spool.close()


async def keep_durable(spool: SpoolWriter) -> None:
    """Group `fdatasync`: at most `_SYNC_INTERVAL` of what was answered is at the mercy of a power cut."""
    while True:
        await asyncio.sleep(_SYNC_INTERVAL)
        descriptor = spool.sync_target()
        if descriptor is not None:
            try:
                await asyncio.to_thread(os.fdatasync, descriptor)
            finally:
                os.close(descriptor)


async def _tell_queues(services: Services) -> None:
    """An event for each provider's queue that is not what it was when it was told last."""
    told: dict[str, tuple[int, int, int]] = {}
    while True:
        await asyncio.sleep(_QUEUE_INTERVAL)
        for name, line in services.health.queues.items():
            now = (line.held, line.waiting, line.refused)
            before = told.get(name)
            if now == before or (before is None and not line.waiting and not line.refused):
                continue
            told[name] = now
            with contextlib.suppress(Unavailable):
                services.record(_queue_state(services, name, *now))


def _queue_state(services: Services, provider: str, held: int, waiting: int, refused: int) -> Event:
    return services.event(
        "queue.state",
        provider,
        f"{held} requests under way, {waiting} wait.",
        attributes={
            "held": str(held),
            "waiting": str(waiting),
            "refused": str(refused),
            "gateway": services.name,
        },
    )


async def _tell_state(services: Services) -> None:
    """A sign of life while something is not as it should be: what a gateway said of that holds as long as it lives."""
    while True:
        await asyncio.sleep(_STATE_INTERVAL)
        unwell = services.health.unwell()
        used = sum(bool(line.held or line.waiting) for line in services.health.queues.values())
        if unwell or used:
            with contextlib.suppress(Unavailable):
                services.record(_state(services, unwell, used))


def _state(services: Services, unwell: int, used: int) -> Event:
    return services.event(
        "gateway.state",
        services.name,
        f"Circuits that are not well: {unwell}. Queues in use: {used}.",
        attributes={"gateway": services.name, "circuits": str(unwell), "queues": str(used)},
    )


async def _watch_spool(services: Services) -> None:
    """Keep the spool's idea of its folder's size fresh, and tell what it refused as soon as it takes records again."""
    told = logged = 0
    while True:
        await asyncio.sleep(_MEASURE_INTERVAL)
        since = services.spool.written
        services.spool.measured(await asyncio.to_thread(spool_size, services.spool.folder), since)
        refused = services.spool.refused
        if refused > logged:
            log.error("%d records could not be kept: the spool is full or its disk refuses", refused - logged)
            logged = refused
        if refused > told and services.spool.room() > _ROOM_TO_TELL:
            with contextlib.suppress(Unavailable):  # full again already: the next round tells it
                services.record(_refusal(services, refused - told))
                told = refused


def _shared_figures(services: Services, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    worker = services.worker
    if worker is None:
        return []
    # The spool's size is the same for all of them: whoever is asked tells it.
    return [tasks.create_task(worker.leave_figures(lambda: services.render_metrics(None)))]


async def _flush_notices(services: Services) -> None:
    while True:
        await asyncio.sleep(_NOTICE_INTERVAL)
        services.notices.flush()
        await services.trust.flush()


def _refusal(services: Services, count: int) -> Event:
    return services.event(
        "spool.refused",
        str(services.spool.folder),
        f"{count:,} records could not be kept: the spool was full or the disk could not be written.",
        severity="error",
        attributes={"count": str(count)},
    )
