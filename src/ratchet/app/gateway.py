"""The gateway process: `ratchet gateway`."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ratchet.app.loading import load
from ratchet.app.paths import DataDir
from ratchet.app.settings import Settings, config_file, records_url
from ratchet.errors import Misconfigured
from ratchet.gateway.cache.exact import AnswerCache
from ratchet.gateway.loading.reload import Reloader
from ratchet.gateway.providers import ProviderPool
from ratchet.gateway.server import serve_gateway
from ratchet.gateway.services import Services
from ratchet.gateway.workers import Worker
from ratchet.serving import address_of, bind, serve_app
from ratchet.simulator.app import simulator_app
from ratchet.simulator.server import SimulatorProtocol
from ratchet.store.counters import Counters, MemoryCounters
from ratchet.store.records import Records
from ratchet.telemetry.metrics import Metrics
from ratchet.telemetry.spool import SpoolWriter

__all__ = ["run_gateway"]


async def run_gateway(
    config: Path,
    data: DataDir,
    *,
    port: int,
    stop: asyncio.Event,
    on_ready: Callable[[str], None],
    restarted: bool = False,
    worker: tuple[int, int] | None = None,
) -> None:
    """Serve until `stop` is set. Raises Misconfigured before anything listens where the settings can't be used.

    `restarted`: it ran before and died, so settings that were broken meanwhile don't keep it from coming back.
    `worker`: which of how many processes on the port it is, counted from 1.
    """
    source = config_file(config, copy=data.remembered_settings)
    settings = source.read_after_restart() if restarted else source.read()
    records = Records.open(records_url(settings, data))
    # Always there: a provider that needs it may be declared at any time.
    simulator = bind("127.0.0.1", 0, option="the built-in simulator's port")
    reloader = Reloader(
        source,
        records,
        data.remembered_records,
        ProviderPool(os.environ),
        simulator_url=f"{address_of(simulator)}/v1",
        answers=AnswerCache(data.answers, limit=settings.gateway.cache_bytes),
    )
    snapshot = reloader.start(settings, last_good=source.last_good() if restarted else None)
    listener = bind(settings.gateway.host, port, option="--gateway-port", shared=worker is not None)
    spool = SpoolWriter(
        data.spool,
        now=time.time_ns,
        segment_bytes=settings.telemetry.segment_bytes,
        spool_bytes=settings.telemetry.spool_bytes,
    )
    counters = _counters(settings, data)
    services = Services(snapshot, spool, Metrics(), counters, webhooks=data.webhooks)
    services.worker = None if worker is None else Worker(*worker, data.workers)
    drained = asyncio.Event()  # the simulator goes last: requests that are under way may need it
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_serve_simulator(simulator, drained))
            await serve_gateway(
                listener,
                services,
                reloader,
                drain_timeout=settings.gateway.drain_timeout,
                on_ready=on_ready,
                stop=stop,
            )
            drained.set()
    finally:
        await counters.close()
        records.close()


def _counters(settings: Settings, data: DataDir) -> Counters:
    """Raises Misconfigured where another gateway counts in this data directory, or the address is none."""
    store = settings.store
    if store.counters == "memory":
        return MemoryCounters(data.counters, cache_bytes=settings.gateway.cache_bytes)
    try:
        return load("store.counters.shared").SharedCounters(store.counters, prefix=store.counters_prefix)
    except ValueError as error:
        raise Misconfigured(
            f"store.counters is no address of a Redis or Valkey: {error}.", "Write redis://HOST:PORT/0."
        ) from error


async def _serve_simulator(listener: socket.socket, stop: asyncio.Event) -> None:
    """The provider `simulator` is always there, so that everything can be tried with no account."""
    app = simulator_app(pace=1.0)
    await serve_app(
        app, listener, stop=stop, on_ready=lambda: None, drain_timeout=1, protocol=SimulatorProtocol
    )
