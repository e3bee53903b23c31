"""The studio process: pages, JSON API and the collector that drains the spool. `ratchet studio`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from ratchet.app.export import exporter_of
from ratchet.app.in_force import CurrentSettings, GatewayPlace, installation
from ratchet.app.loading import load
from ratchet.app.paths import DataDir
from ratchet.app.run_keeper import RunKeeper
from ratchet.app.settings import Settings, SettingsFile, config_file, records_url, spans_dsn
from ratchet.app.stores import LazySpanStore, SharedSpool
from ratchet.catalog.prices import PriceBook
from ratchet.domain.access import Role
from ratchet.domain.spans import Event
from ratchet.errors import RatchetError
from ratchet.files import exclusive_lock, replace_file
from ratchet.gateway.loading.merging import merge
from ratchet.serving import address_of, bind, serve_app
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.records.declarations import all_declared
from ratchet.store.records.members import create_link, has_members
from ratchet.store.records.migrate import migrate
from ratchet.studio.application import studio_app
from ratchet.studio.services import RouteView, StudioServices
from ratchet.telemetry.collector import Collector
from ratchet.telemetry.languages import language_of
from ratchet.telemetry.spool import SpoolWriter, segments, spool_size

__all__ = ["OpenStudio", "open_studio", "run_collector", "run_studio"]

log = logging.getLogger("ratchet.studio")
_SOMEWHERE = GatewayPlace()  # where the settings say, or at its usual place


class OpenStudio:
    """The studio's parts, open in this process: the application, and the collector with its exporter."""

    def __init__(
        self,
        source: SettingsFile,
        settings: Settings,
        data: DataDir,
        *,
        gateway: GatewayPlace = _SOMEWHERE,
    ) -> None:
        self._settings = CurrentSettings(source, settings)
        self._started_with = settings
        self._data = data
        self.records = Records.open(records_url(settings, data))
        migrate(self.records)
        self.spans = LazySpanStore(spans_dsn(settings, data), settings.store.spans_memory_bytes)
        self._spool: SharedSpool | None = None
        self._spool_lock = threading.Lock()
        self.local_token = secrets.token_urlsafe(32)
        self.exporter = exporter_of(
            settings.telemetry,
            data,
            os.environ,
            now=time.time_ns,
            report=lambda event: self._own_spool().append(event),
        )
        self.collector = Collector(
            data.spool,
            data.collector_state,
            insert=self.spans,
            price=PriceBook(settings.prices).price_span,
            language_of=language_of,
            now=time.time_ns,
            keep_until=self.exporter.keeps if self.exporter is not None else None,
        )
        self.runs = RunKeeper(source.path, data, self.records, now=time.time_ns)
        self._keeper: Any = None
        self._keeper_lock = threading.Lock()
        self.app: FastAPI = studio_app(
            StudioServices(
                records=self.records,
                spans=self.spans,
                now=time.time_ns,
                append_score=lambda score: self._own_spool().append_score(score),
                routes=self._routes,
                local_token=self.local_token,
                spool_status=self.spool_status,
                gateway_url=gateway.shown(settings),
                gateway_address=gateway.asked(settings),
                in_force=self._settings.in_force,
                protected_labels=self._protected_labels,
                installation=lambda: installation(settings, data),
                begin_run=self.runs.begin,
                canary_report=lambda release: self.keeper().report(release),
            )
        )

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()
        self.spans.close()
        self.records.close()

    def keeper(self) -> Any:
        """The `CanaryKeeper`. Its statistics take long to import, and most commands never need them."""
        with self._keeper_lock:
            if self._keeper is None:
                self._keeper = load("release.keeper").CanaryKeeper(
                    self.records,
                    self.spans,
                    now=time.time_ns,
                    append_event=self._append_event,
                )
            return self._keeper

    def watch_canaries(self, stop: threading.Event) -> None:
        """Take back canaries that are worse, until `stop` is set."""
        self.keeper().run(stop)

    def _append_event(self, event: Event) -> None:
        self._own_spool().append(event)

    def spool_status(self) -> Mapping[str, object]:
        """How much waits to be drained, and what the collector has done so far."""
        return {
            "bytes": spool_size(self._data.spool),
            "segments": len(segments(self._data.spool)),
            "limit_bytes": self._started_with.telemetry.spool_bytes,
            "collector": self.collector.status(),
            "exporter": self.exporter.status() if self.exporter is not None else None,
        }

    def first_link(self, address: str) -> str | None:
        """Where the first admin sets a password, as long as nobody can sign in."""
        if has_members(self.records):
            return None
        secret = create_link(
            self.records, project_id=DEFAULT_PROJECT, email="", role=Role.ADMIN, now=time.time_ns()
        )
        return f"{address}/welcome/{secret}"

    def _own_spool(self) -> SharedSpool:
        with self._spool_lock:
            if self._spool is None:
                telemetry = self._started_with.telemetry
                writer = SpoolWriter(
                    self._data.spool,
                    now=time.time_ns,
                    segment_bytes=telemetry.segment_bytes,
                    spool_bytes=telemetry.spool_bytes,
                )
                self._spool = SharedSpool(writer)
            return self._spool

    def _protected_labels(self) -> frozenset[str]:
        self._settings.in_force()  # which looks at the file again
        return frozenset(self._settings.newest().studio.protected_labels)

    def _routes(self) -> list[RouteView]:
        merged = merge(self._settings.in_force().file, all_declared(self.records))
        return [RouteView(name, tuple(route.targets)) for name, route in sorted(merged.routes.items())]


@contextlib.contextmanager
def open_studio(config: Path, data: DataDir, *, gateway: GatewayPlace = _SOMEWHERE) -> Generator[OpenStudio]:
    """Open everything under the data directory's lock. Raises Conflict while another process holds it."""
    source = config_file(config)
    settings = source.read()
    with exclusive_lock(data.lock, "The data directory"):
        studio = OpenStudio(source, settings, data, gateway=gateway)
        try:
            yield studio
        finally:
            studio.close()


async def run_studio(
    config: Path,
    data: DataDir,
    *,
    port: int,
    gateway: GatewayPlace,
    stop: asyncio.Event,
    on_ready: Callable[[str, str | None], Any],
) -> None:
    """Serve until `stop` is set. `on_ready` gets the address, and the first sign-in link where there is no member."""
    with open_studio(config, data, gateway=gateway) as studio:
        settings = config_file(config).read()
        listener = bind(settings.studio.host, port, option="--studio-port")
        address = str(settings.studio.url or "").rstrip("/") or address_of(listener)

        def ready() -> None:
            running = {"url": address_of(listener), "token": studio.local_token, "pid": os.getpid()}
            replace_file(data.studio_address, json.dumps(running).encode())
            on_ready(address, studio.first_link(address))

        with background(studio, alone=False):
            try:
                await serve_app(studio.app, listener, stop=stop, on_ready=ready)
            finally:
                data.studio_address.unlink(missing_ok=True)


def run_collector(config: Path, data: DataDir, stop: threading.Event, on_ready: Callable[[], Any]) -> None:
    """The collector alone, for a machine whose studio runs elsewhere."""
    with open_studio(config, data) as studio:
        on_ready()
        with background(studio, alone=True):
            stop.wait()


@contextlib.contextmanager
def background(studio: OpenStudio, *, alone: bool) -> Generator[None]:
    """The collector and the exporter, and unless they are `alone` the keepers of canaries and of runs, each in a
    thread, until the block ends."""
    # Threads take turns more often than Python's 5 ms: a page waits less for the collector, and the collector's
    # insert less for its reader (a tenth more spans a second).
    sys.setswitchinterval(0.001)
    stop = threading.Event()
    threads = [threading.Thread(target=_guarded, args=(studio.collector.run, stop), name="collector")]
    if studio.exporter is not None:
        threads.append(threading.Thread(target=_guarded, args=(studio.exporter.run, stop), name="exporter"))
    if not alone:
        keepers = {"canaries": studio.watch_canaries, "runs": studio.runs.run}
        threads += [
            threading.Thread(target=_guarded, args=(run, stop), name=name) for name, run in keepers.items()
        ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)


def _guarded(run: Callable[[threading.Event], None], stop: threading.Event) -> None:
    """A background thread that fails takes the process down, so that its supervisor starts it afresh."""
    try:
        run(stop)
    except RatchetError as error:
        log.critical("%s: %s", threading.current_thread().name, error)
        os._exit(1)
    except BaseException:
        log.critical("%s failed", threading.current_thread().name, exc_info=True)
        os._exit(1)
