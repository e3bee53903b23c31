"""Asking models from this process, over the gateway's own path and with the settings that it would serve with."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from ratchet.app.loading import load
from ratchet.app.paths import DataDir
from ratchet.app.settings import Settings, config_file, records_url
from ratchet.gateway.inside import Ask, Inside
from ratchet.gateway.loading.reload import Reloader
from ratchet.gateway.providers import ProviderPool
from ratchet.gateway.server import keep_durable
from ratchet.serving import address_of, bind, serve_app
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.records.currency import is_current
from ratchet.telemetry.spool import SpoolWriter

__all__ = ["Asking", "open_ask", "open_asking", "open_inside"]


@dataclasses.dataclass(frozen=True, slots=True)
class Asking:
    """A gateway inside this process, the records it was made from, and the settings."""

    inside: Inside
    records: Records
    settings: Settings


@contextlib.asynccontextmanager
async def open_inside(
    config: Path, data: DataDir, *, name: str = "ratchet", project_id: str = DEFAULT_PROJECT
) -> AsyncGenerator[Inside]:
    """A gateway inside this process, with the providers, routes and prompts as they are now.

    `generator(inside.ask)` of `ratchet.gateway.inside` is the `generate` that scorers want. `name` stands in the
    spans in place of a key's. Raises Misconfigured where the settings can't be used, Unavailable where
    the records can't be reached.
    """
    async with open_asking(config, data, name=name, project_id=project_id) as opened:
        yield opened.inside


@contextlib.asynccontextmanager
async def open_ask(config: Path, data: DataDir, *, name: str) -> AsyncGenerator[Ask]:
    """The `ask` of `open_inside` alone."""
    async with open_inside(config, data, name=name) as inside:
        yield inside.ask


@contextlib.asynccontextmanager
async def open_asking(
    config: Path, data: DataDir, *, name: str = "ratchet", project_id: str = DEFAULT_PROJECT
) -> AsyncGenerator[Asking]:
    """As `open_inside`, for those who need the records too."""
    source = config_file(config)
    settings = source.read()
    records = Records.open(records_url(settings, data))
    simulator = bind("127.0.0.1", 0, option="the built-in simulator's port")
    url = f"{address_of(simulator)}/v1"
    reloader = Reloader(source, records, data.remembered_records, ProviderPool(os.environ), simulator_url=url)
    try:
        if not is_current(records):
            load("store.records.migrate").migrate(records)
        snapshot = reloader.start(settings)
        spool = SpoolWriter(
            data.spool,
            now=time.time_ns,
            segment_bytes=settings.telemetry.segment_bytes,
            spool_bytes=settings.telemetry.spool_bytes,
        )
        inside = Inside(snapshot, spool, project_id=project_id, now=time.time_ns, name=name, builtin=url)
        async with _simulated(simulator):
            durable = asyncio.create_task(keep_durable(spool))
            try:
                yield Asking(inside, records, settings)
            finally:
                durable.cancel()
                spool.close()
    finally:
        simulator.close()
        records.close()


@contextlib.asynccontextmanager
async def _simulated(listener: socket.socket) -> AsyncGenerator[None]:
    """The provider `simulator` answers from the first connection on: nobody waits for it who doesn't ask it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    serving: list[asyncio.Task[None]] = []

    def start() -> None:
        loop.remove_reader(listener)
        app = load("simulator.app").simulator_app(pace=1.0)
        protocol = load("simulator.server").SimulatorProtocol
        serving.append(
            loop.create_task(
                serve_app(app, listener, stop=stop, on_ready=bool, drain_timeout=1, protocol=protocol)
            )
        )

    loop.add_reader(listener, start)
    try:
        yield
    finally:
        loop.remove_reader(listener)
        stop.set()
        if serving:
            await asyncio.gather(*serving)
