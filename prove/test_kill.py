"""`kill -9` at random points under load, fifty times: every request that got an answer is stored exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from bench.processes import Children

from prove.load import Load
from prove.town import Town, assert_exactly_once

_KILLS = 50
_VICTIMS = ("gateway", "gateway", "studio", "studio", "both", "both", "serve")
_MOMENTS = ("at work", "at work", "starting", "inserting")


async def test_fifty_kills_lose_no_answered_call_and_store_none_twice(
    children: Children, say: Callable[[str], None]
) -> None:
    seed = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(10**6))
    say(f"PROVE_SEED={seed}")
    rng = random.Random(seed)
    town = Town(children, say)
    town.start()
    await town.ready()
    load = Load(town.gateway_port, town.key, seed=seed)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(load.run())
        for number in range(_KILLS):
            victim, moment = rng.choice(_VICTIMS), rng.choice(_MOMENTS)
            if moment == "inserting":
                victim = rng.choice(("studio", "both", "serve"))  # the gateway inserts nothing
            await _reach(moment, town, rng)
            before = len(load.whole)
            killed = await town.kill(victim)
            say(
                f"{number + 1:>2}/{_KILLS}  {victim} ({killed} processes) {moment}; {before:,} answers so far"
            )
            if victim == "serve":
                await _all_gone(town)
                town.start()
        await town.ready()
        await _answers_again(load)
        asking.cancel()
    await town.stop()
    assert load.streamed > 100, "hardly any stream was answered, so the proof proves little about them"
    assert len(load.whole) > 1000, "hardly any request was answered, so the proof proves little"
    assert_exactly_once(load, await town.settle(), say)


async def _reach(moment: str, town: Town, rng: random.Random) -> None:
    if moment == "starting":  # while what was killed last comes back, at any point from exec to ready
        await asyncio.sleep(rng.uniform(0, 1.5))
        return
    await town.ready()
    if moment == "at work":
        await asyncio.sleep(rng.uniform(0.1, 2.0))
        return
    # The collector writes down what it is about to insert, then inserts it.
    note = town.data / "collector.json"
    before, deadline = _stamp(note), time.monotonic() + 5
    while _stamp(note) == before and time.monotonic() < deadline:
        await asyncio.sleep(0.001)
    await asyncio.sleep(rng.uniform(0, 0.03))


def _stamp(note: Path) -> tuple[int, int]:
    try:
        found = note.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


async def _all_gone(town: Town) -> None:
    """Wait until nothing listens on the old ports: the supervisor's children must not outlive it."""
    deadline = time.monotonic() + 15
    for port in (town.gateway_port, town.studio_port):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                break
            writer.close()
            assert time.monotonic() < deadline, (
                f"something still listens on {port} after the supervisor was killed"
            )
            await asyncio.sleep(0.01)


async def _answers_again(load: Load) -> None:
    goal, deadline = len(load.whole) + 200, time.monotonic() + 30
    while len(load.whole) < goal:
        assert time.monotonic() < deadline, f"no answers any more: {load.broken}, {load.refused}"
        await asyncio.sleep(0.05)
