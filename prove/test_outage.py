"""The span store is unusable for a minute under load: requests are served as before, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.figures import percentile
from bench.processes import Child, Children, free_port

from prove.load import Load
from prove.town import Town, assert_exactly_once

_ROOT = Path(__file__).resolve().parent.parent
_BEFORE, _OUTAGE, _AFTER = 20.0, 60.0, 15.0  # seconds


async def test_a_clickhouse_that_is_away_for_a_minute_is_not_noticed_by_callers(
    children: Children, say: Callable[[str], None]
) -> None:
    port = free_port()
    server = _clickhouse(children, port)
    town = Town(children, say, spans=f"clickhouse://127.0.0.1:{port}/ratchet")
    town.start()
    await town.ready()

    async def fail() -> None:
        await asyncio.to_thread(children.stop, server)
        say("ClickHouse is stopped")

    async def mend() -> None:
        _clickhouse(children, port)
        say("ClickHouse is back")

    load = await _minute_without_store(town, fail, mend)
    await town.stop()
    assert_exactly_once(load, await town.settle(), say)


async def test_a_studio_that_hangs_for_a_minute_is_not_noticed_by_callers(
    children: Children, say: Callable[[str], None]
) -> None:
    town = Town(children, say)
    town.start()
    await town.ready()
    stopped: list[int] = []

    async def fail() -> None:
        stopped.extend(town.pids("studio"))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        say(f"the studio (process {stopped}) is stopped where it was")

    async def mend() -> None:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        say("the studio goes on")

    load = await _minute_without_store(town, fail, mend)
    await town.stop()
    assert_exactly_once(load, await town.settle(), say)


async def _minute_without_store(
    town: Town, fail: Callable[[], Awaitable[None]], mend: Callable[[], Awaitable[None]]
) -> Load:
    load = Load(town.gateway_port, town.key, seed=1)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(load.run())
        await asyncio.sleep(5)  # a warm-up that counts for nothing
        began = time.monotonic()
        await asyncio.sleep(_BEFORE)
        failed = time.monotonic()
        await fail()
        await asyncio.sleep(_OUTAGE)
        mended = time.monotonic()
        await mend()
        await asyncio.sleep(_AFTER)
        asking.cancel()
    before, during = _took(load, began, failed), _took(load, failed, mended)
    for name, took in (
        ("before", before),
        ("during", during),
        ("after", _took(load, mended, time.monotonic())),
    ):
        town.say(
            f"{name:<6} {len(took):>7,} answers, p50 {percentile(took, 0.5) * 1000:.1f} ms, "
            f"p99 {percentile(took, 0.99) * 1000:.1f} ms"
        )
    assert not load.broken, f"requests got no whole answer: {load.broken}"
    assert not load.refused, f"requests were refused: {load.refused}"
    per_second = len(during) / _OUTAGE, len(before) / _BEFORE
    assert per_second[0] > 0.8 * per_second[1], f"fewer answers a second without the store: {per_second}"
    # What other work on the machine does to a median and a tail; a request that waits for the store waits seconds.
    _assert_no_worse(before, during, 0.5, slack=0.005)
    _assert_no_worse(before, during, 0.99, slack=0.050)
    return load


def _took(load: Load, since: float, until: float) -> list[float]:
    return [answered.took for answered in load.whole.values() if since <= answered.at < until]


def _assert_no_worse(before: list[float], during: list[float], share: float, *, slack: float) -> None:
    old, new = percentile(before, share), percentile(during, share)
    assert new <= max(1.5 * old, old + slack), f"p{share * 100:.0f} went from {old:.4f} s to {new:.4f} s"


def _clickhouse(children: Children, port: int) -> Child:
    """The test server that answers ClickHouse's HTTP interface out of chDB, on the same folder each time."""
    folder = children.folder / "clickhouse"
    command = [sys.executable, _ROOT / "tests" / "clickhouse_server.py", folder, str(port)]
    server = children.start("clickhouse", command, cwd=_ROOT)
    server.wait_answer(port, "/ping")
    return server
