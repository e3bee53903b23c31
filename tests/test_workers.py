"""Several gateway processes on one port: one limit, one set of figures, and none missed when one of them dies."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import eventually, redis_address
from tests.test_limits import MESSAGES

from ratchet.gateway.workers import together

COMMAND = [sys.executable, "-m", "ratchet"]


class Served:
    """`ratchet serve --workers 2`, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "serve.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--gateway-port", "0", "--studio-port", "0", "--workers", "2"],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, pattern: str) -> list[str]:
        assert self.process.poll() is None, self.log.read_text()
        return re.findall(pattern, self.log.read_text(), re.MULTILINE)

    def gateways(self) -> dict[int, int]:
        """Process ids by their worker's number."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.findall(r"^ *(\d+) .*--worker (\d)/2", listed.stdout, re.MULTILINE)
        return {int(number): int(pid) for pid, number in found}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "ratchet.toml").write_text(f"""
[store]
counters = "{redis_address()}"
counters_prefix = "{secrets.token_hex(6)}"
[routes.mini]
targets = ["simulator/gpt-4o-mini"]
[limits.ten]
users = ["ada"]
requests = "10/day"
""")
    running = Served(tmp_path)
    yield running
    running.process.terminate()
    running.process.wait(timeout=60)


async def test_two_workers_share_a_port_and_a_limit(served: Served) -> None:
    address = (await eventually(lambda: served.said(r"^gateway 1  (\S+)"), within=60))[0]
    assert await eventually(lambda: served.said(r"^gateway 2  (\S+)"), within=60) == [address]
    await eventually(lambda: served.said(r"^ready in"), within=60)
    made = await asyncio.to_thread(
        subprocess.run,
        [*COMMAND, "key", "create", "--name", "app", "--json"],
        cwd=served.folder,
        capture_output=True,
        check=True,
    )
    headers = {"authorization": f"Bearer {json.loads(made.stdout)['key']}", "connection": "close"}

    async def ask(user: str) -> int:
        # A connection of its own: the kernel deals them out.
        async with httpx2.AsyncClient(timeout=30) as client:
            body = {"model": "mini", "messages": MESSAGES, "user": user, "simulate": "latency=1ms"}
            return (
                await client.post(f"{address}/v1/chat/completions", json=body, headers=headers)
            ).status_code

    async def known() -> bool:
        return await asyncio.gather(*[ask("eve") for _ in range(10)]) == [200] * 10

    assert await eventually(known)  # both have learnt of the key
    found = await asyncio.gather(*[ask("ada") for _ in range(40)])
    assert sorted(found) == [200] * 10 + [429] * 30
    await _figures_of_both(address)
    # One dies: the other serves on, and the dead one comes back.
    before = served.gateways()
    os.kill(before[1], signal.SIGKILL)
    await eventually(lambda: 1 in served.gateways() and served.gateways()[1] != before[1], within=30)
    await eventually(lambda: len(served.said(r"^gateway 1  (\S+)")) == 2, within=60)
    assert set(await asyncio.gather(*[ask("ada") for _ in range(10)])) == {429}
    assert set(await asyncio.gather(*[ask("eve") for _ in range(10)])) == {200}


async def _figures_of_both(address: str) -> None:
    async def both() -> bool:
        async with httpx2.AsyncClient() as client:
            text = (await client.get(f"{address}/metrics")).text
        counts = {
            sample.labels["worker"]
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.endswith("duration_seconds_count") and sample.value
        }
        return set(counts) == {"1", "2"}

    # Whoever is asked knows of both, after a second at the latest.
    for _ in range(5):
        assert await eventually(both)


def test_without_shared_counters_more_than_one_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "serve", "--workers", "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert "2 gateway processes can't count in the memory of one" in done.stderr
    assert '[store] counters = "redis://HOST:6379/0"' in done.stderr


async def test_a_second_gateway_on_a_data_directory_is_refused(tmp_path: Path) -> None:
    """With counters in memory. It would allow everybody as much again."""
    with subprocess.Popen(
        [*COMMAND, "gateway", "--gateway-port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as first:
        try:
            assert first.stdout is not None
            line = await asyncio.to_thread(first.stdout.readline)
            assert line.startswith("gateway")
            second = await asyncio.to_thread(
                subprocess.run,
                [*COMMAND, "gateway", "--gateway-port", "0"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert second.returncode == 78
            assert "Another gateway counts in" in second.stderr
        finally:
            first.kill()


def test_figures_of_several_are_one_text() -> None:
    one = '# HELP a_total What.\n# TYPE a_total counter\na_total{x="}"} 1\n# TYPE b gauge\nb 2\n'
    other = '# HELP a_total What.\n# TYPE a_total counter\na_total{x="y"} 3\n# TYPE c gauge\nc 4\n'
    text = together([(1, one), (2, other)])
    assert text == (
        "# HELP a_total What.\n# TYPE a_total counter\n"
        'a_total{x="}",worker="1"} 1\na_total{x="y",worker="2"} 3\n'
        '# TYPE b gauge\nb{worker="1"} 2\n# TYPE c gauge\nc{worker="2"} 4\n'
    )
    assert {family.name for family in text_string_to_metric_families(text)} == {"a", "b", "c"}
