"""What limits, budgets and trust cost: requests per second with and without, and a check by itself.

`python -m bench.limits REDIS_PORT` is the process that checks; it prints seconds as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench.figures import Figure, Part, at_least, at_most, percentile
from bench.gateways import Running, start_ratchet
from bench.nginx import MODEL, start_upstream
from bench.processes import BenchError, Children, free_port
from bench.setting import Setting, chat_body
from bench.throughput import check_answers
from bench.wrk import Round, load
from ratchet.store.counters import BudgetAsk, Counters, Grant, LeaseAsk, MemoryCounters, RateAsk
from ratchet.store.counters.shared import SharedCounters

__all__ = ["measure"]

_PATH = "/v1/chat/completions"
_USERS = 500
_PRICES = f"""
[prices."up/{MODEL}"]
input = 0.15
output = 0.6
"""
_SETTINGS = f"""{_PRICES}
[segments.default]
starts = "untrusted"
[limits.users]
by = ["user"]
requests = "1M/hour"
tokens = "1000M/hour"
[budgets.users]
by = ["user"]
amount = 1000000
"""
_ASKS = [
    RateAsk("requests", 1000, 10**15),
    RateAsk("tokens", 1000, 10**15),
    LeaseAsk("places", 10**6, 10**12),
    BudgetAsk("money", 1, 10**15, 4 * 10**18),
]
_ACTUALS = [500, 500, 0, 1]


def measure(setting: Setting) -> Part:
    with (
        Children(setting.room("unlimited")) as plain,
        Children(setting.room("limited")) as limited,
    ):
        upstream = start_upstream(plain, core=setting.load_core)
        gateways = {
            "without": start_ratchet(plain, upstream, setting.gateway_core, more=_PRICES),
            "with": start_ratchet(limited, upstream, setting.gateway_core, more=_SETTINGS),
        }
        rates, cpu = _rates(setting, gateways)
        redis = _redis(setting, plain)
        figures = _throughput(rates, cpu) + _checks(setting, redis)
    return Part(
        name="limits",
        title="Limits, trust and budgets",
        figures=figures,
        remarks=[
            f"{_USERS} users over 64 kept-open connections; each has a limit of requests and tokens, a budget, and trust.",
            "The two gateways in turn for a second each, the other paused; the share is the median of 30 pairs.",
            "A check is four rules at once: two rates, places, a budget.",
        ],
    )


def _rates(
    setting: Setting, gateways: dict[str, Running]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Requests a second, and seconds of its core that a request takes, by round."""
    found: dict[str, list[float]] = {name: [] for name in gateways}
    cpu: dict[str, list[float]] = {name: [] for name in gateways}
    for running in gateways.values():
        check_answers(running)
        running.child.pause()
    # Short rounds in turn: what else the machine does in one second, it does in the next.
    seconds, rounds = (1, 4) if setting.quick else (1, 30)
    for turn in range(rounds):
        for name, running in gateways.items():
            running.child.resume()
            _load(setting, running, 0.2 if turn else 3)
            used = running.child.cpu_seconds()
            done = _load(setting, running, seconds)
            used = running.child.cpu_seconds() - used
            running.child.pause()
            if done.errors:
                raise BenchError(f"{done.errors} answers {name} limits were errors\n{running.child.tail()}")
            found[name].append(done.rate)
            cpu[name].append(used / done.requests)
            setting.say(f"round {turn + 1}/{rounds}  {name:<8} {done.rate:>9,.0f} requests/s")
    for running in gateways.values():
        running.child.resume()
    return found, cpu


def _load(setting: Setting, running: Running, seconds: float) -> Round:
    plain = json.loads(chat_body(running.model))
    return load(
        setting.room("wrk"),
        port=running.port,
        path=_PATH,
        headers=running.headers | {"Content-Type": "application/json"},
        bodies=[json.dumps({**plain, "user": f"user-{number}"}).encode() for number in range(_USERS)],
        core=setting.load_core,
        seconds=seconds,
    )


def _throughput(rates: dict[str, list[float]], cpu: dict[str, list[float]]) -> list[Figure]:
    shares = [on / off for on, off in zip(rates["with"], rates["without"], strict=True)]
    return [
        at_least(
            "throughput with, of that without",
            100 * statistics.median(shares),
            85,
            "%",
            digits=1,
            note=f"half of the rounds between {100 * percentile(shares, 0.25):.0f} and {100 * percentile(shares, 0.75):.0f} %",
        ),
        *(
            Figure(
                name=name,
                value=statistics.median(rates[name]),
                unit="requests/s",
                note=f"{statistics.median(cpu[name]) * 1e6:.0f} µs of its core a request",
            )
            for name in rates
        ),
    ]


def _redis(setting: Setting, children: Children) -> int:
    if shutil.which("redis-server") is None:
        raise BenchError("redis-server is not installed, and the counters can be in one")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    children.start("redis", command, core=setting.load_core)
    return port


def _checks(setting: Setting, redis: int) -> list[Figure]:
    command = ["taskset", "-c", str(setting.gateway_core), sys.executable, "-m", "bench.limits", str(redis)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the checks ended with {done.returncode}: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    return [
        at_most("a check in memory", found["memory"] * 1e6, 5.0, "µs", digits=2, note="mean of 200,000"),
        Figure(name="settling it", value=found["settle"] * 1e6, unit="µs", digits=2),
        Figure(name="a check of a user never seen", value=found["new"] * 1e6, unit="µs", digits=2),
        at_most(
            "a check through Redis, p99",
            found["redis_p99"] * 1e3,
            1.0,
            "ms",
            digits=2,
            note="500 a second on the average, at random moments",
        ),
        Figure(name="p50", value=found["redis_p50"] * 1e3, unit="ms", digits=2),
        Figure(name="checks through one gateway", value=found["redis_rate"], unit="/s", note="256 at once"),
    ]


async def _main(port: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        memory = MemoryCounters(Path(folder) / "counters")
        found = {
            "memory": await _mean(200_000, lambda _: memory.admit(_ASKS)),
            "new": await _mean(100_000, lambda number: memory.admit([RateAsk(f"u{number}", 1000, 10**15)])),
        }
        grant = await memory.admit(_ASKS)
        assert isinstance(grant, Grant)
        found["settle"] = await _mean(200_000, lambda _: memory.settle(grant, _ACTUALS))
        await memory.close()
    shared = SharedCounters(f"redis://127.0.0.1:{port}/0", prefix="bench")
    for _ in range(200):
        await shared.admit(_ASKS)
    took: list[float] = []
    await _at_random(shared, took)
    found["redis_p50"], found["redis_p99"] = percentile(took, 0.5), percentile(took, 0.99)
    began = time.perf_counter()
    await asyncio.gather(*[_in_a_row(shared, 100) for _ in range(256)])
    found["redis_rate"] = 25_600 / (time.perf_counter() - began)
    await shared.close()
    return found


async def _mean(times: int, step: Callable[[int], Awaitable[object]]) -> float:
    began = time.perf_counter()
    for number in range(times):
        await step(number)
    return (time.perf_counter() - began) / times


async def _at_random(counters: Counters, took: list[float]) -> None:
    """Requests come when they come: not when the last one is done."""
    dice = random.Random(3)

    async def one() -> None:
        began = time.perf_counter()
        await counters.admit(_ASKS)
        took.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        due = time.perf_counter()
        for _ in range(5000):
            due += dice.expovariate(500)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(one())


async def _in_a_row(counters: Counters, times: int) -> None:
    for _ in range(times):
        await counters.admit(_ASKS)


if __name__ == "__main__":
    # As the gateway runs: its event loop, its garbage collector.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    print(json.dumps(uvloop.run(_main(int(sys.argv[1])))))
