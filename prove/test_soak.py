"""Ten minutes at 1,000 requests a second, with 5 % mixed faults at two of three providers, and one of them down twice.

No app sees an error before it has had its first word, the gateway's memory stays what it is, and every answer is in
the store.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import numpy as np
from bench.figures import percentile
from bench.processes import Children, get, resident

from prove.load import AFTER_CONTENT, Load
from prove.town import Town, assert_exactly_once, start_upstream

_SECONDS = float(os.environ.get("PROVE_SOAK_SECONDS") or 600)
_RATE = 1000.0
_FAULTS = 0.05
_WARM_UP = 60.0  # seconds at most, after which memory is looked at
_SAMPLE = 2.0
_SLOPE = 1.0  # MB a minute
_DOWN = 10.0  # seconds


async def test_ten_minutes_of_faults_are_not_noticed_before_the_first_word(
    children: Children, say: Callable[[str], None]
) -> None:
    ports = {
        name: start_upstream(children, name, "--faults", str(share), "--seed", str(seed))
        for seed, (name, share) in enumerate((("one", _FAULTS), ("two", _FAULTS), ("three", 0.0)))
    }
    providers = "".join(
        f'\n[providers.{name}]\nkind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
        for name, port in ports.items()
    )
    route = """
[routes.soak]
targets = ["one/gpt-4o-mini", "two/gpt-4o-mini", "three/gpt-4o-mini"]
first_token_timeout = 3
stall_timeout = 3
max_attempts = 8
"""
    timeouts = "".join(f'[routes.soak.options."{name}/gpt-4o-mini"]\ntimeout = 6\n' for name in ports)
    town = Town(children, say, more=providers + route + timeouts)
    town.start()
    await town.ready()
    load = Load(town.gateway_port, town.key, seed=5, workers=400, rate=_RATE, model="soak")
    memory: list[tuple[float, float]] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        helpers = [
            group.create_task(load.run()),
            group.create_task(_watch(town, memory)),
            group.create_task(_outages(ports["one"], say)),
        ]
        while (left := began + _SECONDS - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 60))
            say(
                f"{len(load.whole):,} answers; {memory[-1][1]:.0f} MB; {dict(load.broken)} {dict(load.refused)}"
            )
        for helper in helpers:
            helper.cancel()
    took = time.monotonic() - began
    await town.stop()
    held = await town.settle()
    assert_exactly_once(load, held, say)

    after = load.broken.pop(AFTER_CONTENT, 0)
    asked = len(load.whole) + after
    slope = _slope([point for point in memory if point[0] > min(_WARM_UP, _SECONDS / 5)])
    waited = sorted(answered.took for answered in load.whole.values())
    say(
        f"{asked / took:,.0f} requests/s for {took:.0f} s; {after:,} streams broke after their first word; "
        f"p50 {percentile(waited, 0.5) * 1000:.0f} ms, p99 {percentile(waited, 0.99) * 1000:.0f} ms; "
        f"memory {slope:+.2f} MB a minute"
    )
    assert not load.refused, "an error reached an app before its first word"
    assert not load.broken, "an answer was cut before its first word"
    assert after < 0.01 * asked
    assert asked / took > 0.9 * _RATE
    assert slope <= _SLOPE


async def _watch(town: Town, memory: list[tuple[float, float]]) -> None:
    began = time.monotonic()
    while True:
        pids = town.pids("gateway")
        memory.append((time.monotonic() - began, sum(map(resident, pids)) / 1e6))
        await asyncio.sleep(_SAMPLE)


async def _outages(port: int, say: Callable[[str], None]) -> None:
    """The first provider is down twice, so that its circuit opens and closes under load."""
    for _ in range(2):
        await asyncio.sleep(_SECONDS / 3)
        await asyncio.to_thread(get, port, "/down")
        say("the first provider answers 503 to everything")
        await asyncio.sleep(min(_DOWN, _SECONDS / 10))
        await asyncio.to_thread(get, port, "/up")


def _slope(points: list[tuple[float, float]]) -> float:
    """MB a minute, by least squares."""
    seconds, megabytes = np.array(points).T
    return float(np.polyfit(seconds, megabytes, 1)[0] * 60)
