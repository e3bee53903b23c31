"""A spool that is full: requests are served all the same, and what could not be kept is counted and shown."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from bench.processes import Children, get

from prove.load import Load
from prove.town import Town, assert_exactly_once

_MEGABYTE = 1 << 20


async def test_what_a_full_spool_refuses_is_counted_to_the_last_call(
    children: Children, say: Callable[[str], None]
) -> None:
    town = Town(children, say, more=f"\n[telemetry]\nspool_bytes = {_MEGABYTE}\n")
    gateway = town.start_gateway()  # no studio: nothing drains
    load = Load(town.gateway_port, town.key, seed=2)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(load.run())
        deadline = time.monotonic() + 120
        while await asyncio.to_thread(_refused, town.gateway_port) < 500:
            assert time.monotonic() < deadline, "the spool never refused anything"
            await asyncio.sleep(0.2)
        served = len(load.whole)
        await asyncio.sleep(5)
        assert len(load.whole) > served, "no request was served once the spool was full"
        asking.cancel()
    assert not load.broken, f"requests got no whole answer: {load.broken}"
    assert not load.refused, f"requests were refused: {load.refused}"
    # Calls that were cut off when the load ended are answered to nobody, and may be recorded either way.
    refused = await asyncio.to_thread(_refused, town.gateway_port)
    await asyncio.to_thread(children.stop, gateway)
    held = await town.settle()
    say(f"{len(load.whole):,} answers, {len(held.calls):,} in the store, {refused:,} counted as refused")
    kept = sum(trace in held.calls for trace in load.whole)
    cut_off = len(held.calls) - kept
    assert len(load.whole) - kept <= refused <= len(load.whole) - kept + 16 - cut_off
    stored = {trace: answered for trace, answered in load.whole.items() if trace in held.calls}
    load.whole = stored
    assert_exactly_once(load, held, say)


def _refused(port: int) -> int:
    """What /metrics says was refused by the spool."""
    status, body = get(port, "/metrics")
    assert status == 200
    found = re.search(rb"^ratchet_spool_refused\w*(?:\{[^}]*\})? ([0-9.e+]+)$", body, re.MULTILINE)
    assert found, f"/metrics doesn't say what the spool refused: {body.decode()[:2000]}"
    return int(float(found[1]))
