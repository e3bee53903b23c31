"""Webhooks: told off the path of requests, tried again, and lost by no stop and no kill."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import eventually, running_app
from tests.test_limits import MESSAGES, Limited, gateway_process, limited, made_key

from ratchet.gateway.telling.outbox import Outbox
from ratchet.gateway.telling.webhooks import Call, Webhooks
from ratchet.simulator.app import Simulator

PRICES = """
[prices."sim/gpt-4o-mini"]
input = 0
output = 10
[prices."simulator/gpt-4o-mini"]
input = 0
output = 10
"""  # an answer of 100 tokens costs $0.001


class Hook:
    """Hears what webhooks tell, after failing a few times; `silent`, it never answers."""

    def __init__(self, failures: float = 0, *, silent: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self.failures = failures
        self.silent = silent
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked += 1
        if self.silent:
            await receive()  # until whoever asks hangs up
            return
        status = 500 if self.asked <= self.failures else 204
        if status == 204:
            self.heard.append({"path": scope["path"], **json.loads(body)})
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(at: Limited) -> httpx2.Response:
    """A hundred tokens, and no more."""
    return await at.ask("mini", max_tokens=100, simulate="tokens=100")


@contextlib.asynccontextmanager
async def running(folder: Path | None, **options: Any) -> AsyncIterator[Webhooks]:
    """Webhooks that are told, and ended as a gateway ends them."""
    numbers = itertools.count()
    webhooks = Webhooks(lambda: f"{os.getpid()}-{next(numbers)}", Outbox(folder), **options)
    task = asyncio.create_task(webhooks.run())
    try:
        yield webhooks
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_webhook_is_told_once_at_each_threshold(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    hook = Hook()
    async with running_app(hook) as address:
        budget = f'[budgets.all]\namount = 0.01\nwarn = [0.5, 0.8]\nwebhook = "{address}/told"\n{PRICES}'
        async with limited(tmp_path, simulator, budget) as at:
            at.gateway.services.now = lambda: 1_700_000_000 * 10**9
            for _ in range(12):
                await ask(at)
            await eventually(lambda: len(hook.heard) == 3)
            for _ in range(3):
                await ask(at)
    assert [(each["type"], each["share"], each["spent"]) for each in hook.heard] == [
        ("budget.warning", "50%", "0.005"),
        ("budget.warning", "80%", "0.008"),
        ("budget.exhausted", "all", "0.01"),
    ]
    assert len({each["id"] for each in hook.heard}) == 3
    assert hook.heard[0] == {
        "id": hook.heard[0]["id"],
        "path": "/told",
        "type": "budget.warning",
        "budget": "all",
        "by": {},
        "period": "2023-11",
        "share": "50%",
        "spent": "0.005",
        "amount": "0.01",
        "time": 1_700_000_000 * 10**9,
    }


async def test_a_spent_budget_is_told_though_some_requests_were_too_large_before(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    hook = Hook()
    async with running_app(hook) as address:
        budget = f'[budgets.all]\namount = 0.004\nwarn = []\nwebhook = "{address}"\n{PRICES}'
        async with limited(tmp_path, simulator, budget) as at:
            assert (await at.ask("mini", max_tokens=401)).status_code == 400
            await ask(at)
            for _ in range(3):
                assert (await at.ask("mini", max_tokens=301)).status_code == 402
            for _ in range(6):
                await ask(at)
            await eventually(lambda: len(hook.heard) == 2)
    assert [(each["type"], each["share"], each["spent"]) for each in hook.heard] == [
        ("budget.short", "25%", "0.001"),
        ("budget.exhausted", "all", "0.004"),
    ]


async def test_a_webhook_is_tried_again_and_kept_from_private_addresses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = Hook(failures=2)
    async with running_app(hook) as address, running(None, pauses=(0.0, 0.0, 0.0)) as webhooks:
        webhooks.tell(Call(f"{address}/a", {"n": 1}))
        await eventually(lambda: hook.heard)
        assert (hook.asked, hook.heard[0]["n"]) == (3, 1)
        webhooks.tell(Call(f"{address}/b?key=s3cret", {"n": 2}, allowed=()))
        await eventually(lambda: "could not be told: it leads to a private address" in caplog.text)
        assert "s3cret" not in caplog.text
        assert hook.asked == 3
        webhooks.tell(Call(f"{address}/c", {"n": 3}, allowed=("127.0.0.0/8",)))
        await eventually(lambda: len(hook.heard) == 2)


async def test_what_waits_when_a_gateway_stops_is_tried_once_more(tmp_path: Path) -> None:
    hook = Hook(failures=20)
    async with running_app(hook) as address:
        async with running(tmp_path, pauses=(3600.0,)) as webhooks:
            for number in range(20):
                webhooks.tell(Call(f"{address}/told", {"n": number}))
            await eventually(lambda: hook.asked == 8)  # as many as are told at a time; these wait an hour
            hook.failures = 0
        assert {each["n"] for each in hook.heard} == set(range(20))
        assert list(tmp_path.iterdir()) == []


async def test_what_a_stop_leaves_is_told_by_the_next_gateway(tmp_path: Path) -> None:
    hook = Hook(failures=math.inf)
    async with running_app(hook) as address:
        async with running(tmp_path, pauses=(3600.0,), grace=0.5) as webhooks:
            for number in range(20):
                webhooks.tell(Call(f"{address}/told?key=s3cret", {"n": number}, allowed=("127.0.0.0/8",)))
            await eventually(lambda: hook.asked == 8)
            hook.silent = True  # the grace ends also where nobody answers
        assert not hook.heard
        [left] = tmp_path.iterdir()
        assert left.stat().st_mode & 0o777 == 0o600
        hook.silent, hook.failures = False, 0
        async with running(tmp_path):
            await eventually(lambda: len(hook.heard) == 20)
        assert {each["n"] for each in hook.heard} == set(range(20))
        assert list(tmp_path.iterdir()) == []


async def test_two_gateways_of_a_folder_leave_each_other_alone(tmp_path: Path) -> None:
    hook = Hook(silent=True)
    async with running_app(hook) as address, running(tmp_path, grace=0.1) as one:
        one.tell(Call(f"{address}/told", {"n": 1}))
        async with running(tmp_path, grace=0.1) as two:
            two.tell(Call(f"{address}/told", {"n": 2}))
            await eventually(lambda: hook.asked == 2)
        other = Outbox(tmp_path)
        assert [call.payload["n"] for call in other.calls.values()] == [2], "the first is alive"


async def test_more_than_a_thousand_are_refused_aloud(caplog: pytest.LogCaptureFixture) -> None:
    webhooks = Webhooks(iter(map(str, range(2000))).__next__, Outbox(None))
    for number in range(1001):
        webhooks.tell(Call("http://127.0.0.1:9/told", {"n": number}))
    assert caplog.text.count("too many webhooks wait") == 1


# -- the file ------------------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
from pathlib import Path
from ratchet.gateway.telling.outbox import Call, Outbox
outbox = Outbox(Path(sys.argv[1]))
calls = [Call(f"http://127.0.0.1:9/{n}", {"n": n}, ("10.0.0.0/8",) if n % 2 else None, str(n)) for n in range(200)]
for call in calls:
    outbox.add(call)
for call in calls[:150]:
    outbox.strike(call)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_nothing_that_waits(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    with left.open("ab") as file:
        file.write(b'{"line":"call","url":"http://half')  # as a full disk or a power cut tears it
    outbox = Outbox(tmp_path)
    assert list(outbox.calls) == [str(number) for number in range(150, 200)]
    assert outbox.calls["151"] == Call("http://127.0.0.1:9/151", {"n": 151}, ("10.0.0.0/8",), "151")
    assert outbox.calls["152"].allowed is None
    assert left not in tmp_path.iterdir()
    outbox.close()
    again = Outbox(tmp_path)
    assert list(again.calls) == list(outbox.calls)


@given(st.lists(st.tuples(st.sampled_from(("add", "strike", "end")), st.integers(0, 30_000)), max_size=60))
def test_the_file_holds_what_waits_whatever_happens(actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outbox, expected, numbers = Outbox(folder), dict[str, Call](), itertools.count()
        for what, size in actions:
            if what == "add":
                call = Call("http://127.0.0.1:9/", {"text": "ü\n" * size}, None, str(next(numbers)))
                outbox.add(call)
                expected[call.id] = call
            elif what == "strike" and expected:
                outbox.strike(expected.pop(sorted(expected)[size % len(expected)]))
            elif what == "end":
                outbox.close()
                assert bool(expected) == bool(list(folder.iterdir()))
                outbox = Outbox(folder)
            assert outbox.calls == expected
        outbox.close()
        assert Outbox(folder).calls == expected


def test_the_file_does_not_grow_while_something_waits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    waits = Call("http://127.0.0.1:9/", {}, None, "waits")
    outbox.add(waits)
    for number in range(20_000):
        call = Call("http://127.0.0.1:9/", {"text": "x" * 100}, None, str(number))
        outbox.add(call)
        outbox.strike(call)
    [file] = tmp_path.iterdir()
    assert file.stat().st_size < 1_100_000
    outbox.close()
    assert list(Outbox(tmp_path).calls) == ["waits"]


async def test_a_gateway_that_is_killed_tells_its_webhook_when_it_is_back(
    tmp_path: Path, free_port: int
) -> None:
    hook = Hook(failures=math.inf)
    async with running_app(hook) as address, httpx2.AsyncClient(timeout=20) as client:
        (tmp_path / "ratchet.toml").write_text(
            '[routes.mini]\ntargets = ["simulator/gpt-4o-mini"]\n'
            f'[budgets.all]\namount = 0.001\nwarn = [0.5]\nwebhook = "{address}/told"\n{PRICES}'
        )
        headers = {"authorization": f"Bearer {made_key(tmp_path)}"}
        body = {
            "model": "mini",
            "messages": MESSAGES,
            "max_tokens": 100,
            "simulate": "latency=1ms; tokens=100",
        }

        async def status(url: str) -> int:
            with contextlib.suppress(httpx2.TransportError):
                answer = await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
                return answer.status_code
            return 0

        with gateway_process(tmp_path, port=free_port) as (process, url):
            assert await eventually(lambda: status(url), within=30) == 200
            await eventually(lambda: hook.asked)
            process.kill()
            process.wait()
        assert not hook.heard
        hook.failures = 0
        with gateway_process(tmp_path, port=free_port):
            await eventually(lambda: hook.heard, within=30)
        assert [(each["type"], each["share"]) for each in hook.heard] == [("budget.warning", "50%")]
