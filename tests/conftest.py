"""Shared by all tests: a real gateway over real sockets, and what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings as hypothesis_settings
from tests.runs_harness import Upstream

from ratchet.app.settings import SettingsFile, config_file
from ratchet.app.supervisor import reserved_port
from ratchet.gateway.cache.exact import AnswerCache
from ratchet.gateway.loading.reload import Reloader
from ratchet.gateway.providers import ProviderPool
from ratchet.gateway.server import serve_gateway
from ratchet.gateway.services import Services
from ratchet.serving import address_of, bind, serve_app
from ratchet.simulator.app import Simulator, simulator_app
from ratchet.simulator.server import SimulatorProtocol
from ratchet.store.records import Records, keys
from ratchet.store.records.migrate import migrate
from ratchet.telemetry.calls import Call, Record, decode_record
from ratchet.telemetry.frames import Frame, pieces
from ratchet.telemetry.metrics import Metrics
from ratchet.telemetry.spool import SpoolWriter, segments

# How long one example takes says more about the machine than about the code.
hypothesis_settings.register_profile("ratchet", deadline=None)
hypothesis_settings.load_profile("ratchet")

NO_SKIP = os.environ.get("RATCHET_TEST_NO_SKIP") == "1"
DEADLINE = 15.0  # seconds that a condition gets to come true


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything that the suite wants has been installed, a skipped test is a failed one."""
    report = yield
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report


async def eventually(condition: Callable[[], Any], *, within: float = DEADLINE) -> Any:
    """The first true value of `condition`, polled. Fails when there is none in time."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.01)
    raise AssertionError(f"did not come true within {within} s: {condition}")


def spooled(folder: Path) -> list[Record]:
    """Every record in a spool, in order."""
    found: list[Record] = []
    for segment in segments(folder):
        for piece in pieces(segment.read(0, 1 << 30), complete=False):
            assert isinstance(piece, Frame), piece
            found.append(decode_record(piece.payload))
    return found


@dataclasses.dataclass
class RunningGateway:
    """A gateway with everything real but the processes around it."""

    url: str
    key: str
    services: Services
    records: Records
    folder: Path
    config: Path
    key_id: str
    answers: AnswerCache

    def recorded(self) -> list[Record]:
        return spooled(self.folder / "spool")

    def calls(self) -> list[Call]:
        return [record for record in self.recorded() if isinstance(record, Call)]

    def new_key(self, name: str, **limits: Any) -> str:
        return keys.create_key(
            self.records, project_id="default", name=name, now=time.time_ns(), created_by="test", **limits
        )[1]


@contextlib.asynccontextmanager
async def running_app(app: Any, protocol: Any = None, **options: Any) -> AsyncIterator[str]:
    """Any ASGI application on a free port; `options` are `serve_app`'s."""
    listener = bind("127.0.0.1", 0, option="--port")
    stop, ready = asyncio.Event(), asyncio.Event()
    extra = {**options, "protocol": protocol} if protocol else options
    task = asyncio.create_task(
        serve_app(app, listener, stop=stop, on_ready=ready.set, drain_timeout=1, **extra)
    )
    await ready.wait()
    try:
        yield address_of(listener)
    finally:
        stop.set()
        await task


@contextlib.contextmanager
def nothing_blocks() -> Generator[None]:
    """Any call in the gateway that blocks the event loop raises; writing down what must not be lost may."""
    with blockbuster_ctx("ratchet.gateway") as blockbuster:
        for function in blockbuster.functions.values():
            function.can_block_in("telemetry/spool.py", ("_write", "_open_segment"))
            function.can_block_in("gateway/telling/outbox.py", ("_write", "_begin", "strike"))
            function.can_block_in("telemetry/metrics.py", "process_figures")  # /proc is memory, not a disk
        yield


@contextlib.asynccontextmanager
async def running_gateway(
    folder: Path, settings: str, *, environment: dict[str, str] | None = None, spool_bytes: int = 1 << 30
) -> AsyncIterator[RunningGateway]:
    """A gateway with `settings` as its ratchet.toml and one key that may use everything."""
    config = folder / "ratchet.toml"
    config.write_text(settings)
    variables = environment if environment is not None else {"UPSTREAM_KEY": "sk-upstream"}
    source: SettingsFile = config_file(config, variables)
    records = Records.open(f"sqlite:///{folder / 'records.db'}")
    migrate(records)
    made, secret = keys.create_key(
        records, project_id="default", name="test", now=time.time_ns(), created_by="test"
    )
    answers = AnswerCache(folder / "answers.journal")
    reloader = Reloader(
        source,
        records,
        folder / "keys.json",
        ProviderPool(variables),
        "http://127.0.0.1:9/v1",
        answers,
    )
    services = Services(
        reloader.start(source.read()),
        SpoolWriter(folder / "spool", now=time.time_ns, spool_bytes=spool_bytes),
        Metrics(),
        webhooks=folder / "webhooks",
    )
    listener = bind("127.0.0.1", 0, option="--gateway-port")
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        serve_gateway(
            listener, services, reloader, drain_timeout=1, on_ready=lambda _address: ready.set(), stop=stop
        )
    )
    await ready.wait()
    try:
        with nothing_blocks():
            yield RunningGateway(
                address_of(listener), secret, services, records, folder, config, made.id, answers
            )
    finally:
        stop.set()
        await task
        records.close()


@pytest.fixture
def free_port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    """A provider for runs: what it says is known beforehand, and it counts who asked what; and its address."""
    app = Upstream()
    async with running_app(app) as address:
        yield app, address


@pytest.fixture
async def simulator() -> AsyncIterator[tuple[str, Simulator]]:
    """The address of a simulated provider that answers at once, and the application itself."""
    app = simulator_app(seed=0, pace=0)
    async with running_app(app, SimulatorProtocol) as address:
        yield f"{address}/v1", app


@pytest.fixture
async def gateway(tmp_path: Path, simulator: tuple[str, Simulator]) -> AsyncIterator[RunningGateway]:
    """A gateway in front of the simulator, with the routes `support` and `mini`."""
    settings = f"""
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"

[routes.support]
targets = ["sim/gpt-4o"]

[routes.mini]
targets = ["sim/gpt-4o-mini"]
"""
    async with running_gateway(tmp_path, settings) as running:
        yield running


def redis_address() -> str:
    """Where a Redis for tests is; tests use keys with a random prefix there."""
    address = os.environ.get("RATCHET_TEST_REDIS")
    if not address:
        pytest.skip("RATCHET_TEST_REDIS is not set")
    return address


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    """Records on SQLite, and on PostgreSQL where RATCHET_TEST_POSTGRES says where one is."""
    if request.param == "sqlite":
        opened = Records.open(f"sqlite:///{tmp_path / 'records.db'}")
        migrate(opened)
        yield opened
        opened.close()
        return
    address = os.environ.get("RATCHET_TEST_POSTGRES")
    if not address:
        pytest.skip("RATCHET_TEST_POSTGRES is not set")
    name = f"ratchet_{secrets.token_hex(6)}"
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    opened = Records.open(address.rsplit("/", 1)[0] + f"/{name}")
    try:
        migrate(opened)
        yield opened
    finally:
        opened.close()
        with psycopg.connect(address, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
