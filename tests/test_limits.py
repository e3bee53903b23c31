"""Limits, in front of real requests: what is counted, who is told what, and what survives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, RateLimitError
from tests.conftest import RunningGateway, eventually, running_gateway
from tests.test_counters import HOUR, SECOND, Clock

from ratchet.app.supervisor import reserved_port
from ratchet.config import describe_problems
from ratchet.domain.spans import Event
from ratchet.gateway.limits.rates import counted_rate, money_rate, span_text
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.pipeline import STEPS
from ratchet.simulator.app import Simulator
from ratchet.store.counters import Grant, LeaseAsk, MemoryCounters, Refusal

MESSAGES = [{"role": "user", "content": "When are you open?"}]


class Limited:
    """A gateway with limits whose clock stands still, and a client."""

    def __init__(self, gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
        self.gateway = gateway
        self.clock = Clock()
        gateway.services.counters = MemoryCounters(clock=self.clock)
        self._client = client

    async def ask(self, model: str = "mini", *, key: str = "", **fields: Any) -> httpx2.Response:
        return await self._client.post(
            "/v1/chat/completions",
            json={"model": model, "messages": MESSAGES, **fields},
            headers={"authorization": f"Bearer {key or self.gateway.key}"},
        )

    async def statuses(self, count: int, model: str = "mini", **fields: Any) -> list[int]:
        return [(await self.ask(model, **fields)).status_code for _ in range(count)]


@contextlib.asynccontextmanager
async def limited(folder: Path, simulator: tuple[str, Simulator], limits: str) -> AsyncIterator[Limited]:
    settings = f"""
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.mini]
targets = ["sim/gpt-4o-mini"]
[routes.large]
targets = ["sim/gpt-4o"]
{limits}
"""
    async with (
        running_gateway(folder, settings) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, timeout=20) as client,
    ):
        yield Limited(gateway, client)


def told(response: httpx2.Response, unit: str) -> tuple[str, str, str]:
    return tuple(response.headers[f"x-ratelimit-{what}-{unit}"] for what in ("limit", "remaining", "reset"))  # type: ignore[return-value]


async def test_each_user_has_so_many_requests(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    limit = '[limits.free]\nby = ["user"]\nrequests = "2/minute"'
    async with limited(tmp_path, simulator, limit) as at:
        first = await at.ask(user="ada")
        assert (first.status_code, told(first, "requests")) == (200, ("2", "1", "30s"))
        assert "x-ratelimit-limit-tokens" not in first.headers
        second = await at.ask(user="ada")
        assert (second.status_code, told(second, "requests")) == (200, ("2", "0", "1m0s"))
        third = await at.ask(user="ada")
        assert (third.status_code, third.headers["retry-after"]) == (429, "30")
        assert told(third, "requests") == ("2", "0", "1m0s")
        assert third.json()["error"]["code"] == "rate_limited"
        assert third.json()["error"]["message"] == (
            "The limit 'free' allows 2 requests a minute for each user, and user 'ada' has reached it. "
            "Ask again in 30s."
        )
        assert (await at.ask(user="bob")).status_code == 200
        nameless = [await at.ask() for _ in range(3)]
        assert [each.status_code for each in nameless] == [200, 200, 429]
        assert "user (nobody named) has reached it" in nameless[2].json()["error"]["message"]
        events = [each for each in at.gateway.recorded() if isinstance(each, Event)]
        assert [(each.kind, each.subject) for each in events] == [
            ("limit.hit", "free: user 'ada'"),
            ("limit.hit", "free: user (nobody named)"),
        ]
        assert events[0].attributes == {"limit": "free", "unit": "requests", "user": "ada", "count": "1"}


@pytest.mark.parametrize(
    "listed", ['"203.0.113.0/24"', '"203.0.113.0/25", "203.0.113.128/25"', '"::ffff:203.0.113.9"']
)
async def test_a_limit_for_networks_holds_whoever_is_in_them(
    tmp_path: Path, simulator: tuple[str, Simulator], listed: str
) -> None:
    limit = f'[limits.there]\nips = [{listed}]\nrequests = "2/hour"'
    async with limited(tmp_path, simulator, limit) as at:
        ways = ("203.0.113.9", "203.0.113.9:443", "[::ffff:203.0.113.9]:80")
        asked = [(await at.ask(metadata={"client_ip": each})).status_code for each in ways]
        assert asked == [200, 200, 429]
        for elsewhere in ("203.0.114.9", "2001:db8::1", "nowhere", ""):
            assert (await at.ask(metadata={"client_ip": elsewhere})).status_code == 200
        (call, *_) = at.gateway.calls()
        assert {call.metadata["client_ip"] for call in at.gateway.calls()[:3]} == {"203.0.113.9"}
        assert call


async def test_the_segment_default_is_everybodys_where_none_is_declared(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with limited(
        tmp_path, simulator, '[limits.all]\nsegments = ["default"]\nrequests = "1/hour"'
    ) as at:
        assert [(await at.ask(user="ada")).status_code for _ in range(2)] == [200, 429]


async def test_who_comes_again_when_told_gets_through(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    limit = '[limits.slow]\nby = ["key"]\nrequests = "7/minute burst 2"\n[limits.all]\nrequests = "3/hour burst 3"'
    async with limited(tmp_path, simulator, limit) as at:
        for _ in range(6):
            response = await at.ask()
            if response.status_code == 429:
                at.clock.now += int(response.headers["retry-after"]) * SECOND
                response = await at.ask()
            assert response.status_code == 200


async def test_what_is_refused_takes_nothing(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    limits = '[limits.wide]\nrequests = "5/hour"\n[limits.narrow]\nroutes = ["large"]\nrequests = "1/hour"'
    async with limited(tmp_path, simulator, limits) as at:
        assert await at.statuses(10, "large") == [200] + [429] * 9
        assert await at.statuses(5, "mini") == [200] * 4 + [429]


async def test_tokens_are_set_aside_and_settled_by_what_was_used(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    limit = '[limits.tokens]\nby = ["organisation"]\ntokens = "1000/hour"'
    async with limited(tmp_path, simulator, limit) as at:
        acme = {"metadata": {"organisation": "acme"}}
        slow = asyncio.create_task(at.ask(max_tokens=900, simulate="latency=30s", **acme))

        async def in_the_way() -> httpx2.Response | None:
            response = await at.ask(max_tokens=900, **acme)
            return response if response.status_code == 429 else None

        refused = await eventually(in_the_way)
        assert "allows 1000 tokens a hour for each organisation" in refused.json()["error"]["message"]
        slow.cancel()
        await asyncio.wait([slow])
        at.clock.now += HOUR
        answer = await at.ask(max_tokens=900, simulate="tokens=100", **acme)
        assert answer.status_code == 200
        used = answer.json()["usage"]["total_tokens"]
        left = int((await at.ask(max_tokens=10, **acme)).headers["x-ratelimit-remaining-tokens"])
        # What is left is told with the coming answer set aside: its ten tokens and about as much as was asked before.
        assert 1000 - used - 60 < left < 1000 - used - 10
        assert (await at.ask(max_tokens=900, metadata={"organisation": "other"})).status_code == 200


async def test_one_request_larger_than_the_limit_waits_for_all_of_it_or_is_told(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with limited(tmp_path, simulator, '[limits.tokens]\ntokens = "100/hour"') as at:
        assert (await at.ask(max_tokens=5000, simulate="tokens=300")).status_code == 200
        refused = await at.ask(max_tokens=1)
        assert refused.status_code == 429
        assert (
            int(refused.headers["retry-after"]) > 2 * 3600
        )  # what it used beyond the limit comes back first
        at.clock.now += int(refused.headers["retry-after"]) * SECOND
        assert (await at.ask(max_tokens=1)).status_code == 200
        long = await at.ask(messages=[{"role": "user", "content": "many words " * 100}])
        assert (long.status_code, long.json()["error"]["code"]) == (400, "request_exceeds_limit")


async def test_money_a_day(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    prices = (
        '[prices."sim/gpt-4o-mini"]\ninput = 0\noutput = 10\n[prices."sim/gpt-4o"]\ninput = 0\noutput = 0'
    )
    limit = f'[limits.money]\nby = ["user"]\ncost = "0.01/day"\n{prices}'
    async with limited(tmp_path, simulator, limit) as at:
        answers = [await at.ask(max_tokens=400, simulate="tokens=250") for _ in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]  # 0.0025 each, 0.004 set aside
        assert "allows $0.01/day for each user" in answers[3].json()["error"]["message"]
        assert await at.statuses(5, "large", max_tokens=600) == [200] * 5  # it costs nothing


async def test_money_where_no_price_is_known(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    limit = '[limits.money]\ncost = "1/day"\n[routes.own]\ntargets = ["sim/our-own-model"]'
    async with limited(tmp_path, simulator, limit) as at:
        refused = await at.ask("own")
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "price_unknown")


async def test_so_many_at_once(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    limit = '[limits.few]\nby = ["key"]\nconcurrency = 2'
    async with limited(tmp_path, simulator, limit) as at:
        running = [asyncio.create_task(at.ask(simulate="latency=30s")) for _ in range(2)]
        place = LeaseAsk(f"limit:few:key:concurrency:{at.gateway.key_id}", 2, HOUR)

        async def taken() -> bool:
            found = await at.gateway.services.counters.admit([place])
            if isinstance(found, Grant):
                await at.gateway.services.counters.settle(found, [0])
            return isinstance(found, Refusal)

        assert await eventually(taken)
        response = await at.ask()
        assert response.status_code == 429
        assert (
            "allows 2 requests at once for each key, and key 'test' has"
            in response.json()["error"]["message"]
        )
        assert response.headers["retry-after"] == "1"
        another = at.gateway.new_key("another")

        async def passes() -> bool:
            return (await at.ask(key=another)).status_code == 200

        assert await eventually(passes)  # as soon as the gateway knows the key
        running[0].cancel()  # the app goes away

        async def free() -> bool:
            return (await at.ask()).status_code == 200

        assert await eventually(free)
        running[1].cancel()
        await asyncio.wait(running)


async def test_the_tightest_of_several_is_told(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    limits = """
[limits.a]
by = ["user", "route"]
requests = "10/minute"
[limits.b]
by = ["user"]
requests = "4/hour"
tokens = "1M/day"
[limits.others]
users = ["somebody"]
requests = "1/hour"
"""
    async with limited(tmp_path, simulator, limits) as at:
        response = await at.ask(user="ada")
        assert told(response, "requests") == ("4", "3", "15m0s")
        assert told(response, "tokens")[0] == "1000000"
        for _ in range(9):
            at.clock.now += HOUR // 4
            response = await at.ask(user="ada")
        assert told(response, "requests") == ("4", "3", "15m0s")


async def test_streams_are_told_too(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    async with limited(tmp_path, simulator, '[limits.free]\nrequests = "1/hour"') as at:
        client = AsyncOpenAI(base_url=f"{at.gateway.url}/v1", api_key=at.gateway.key, max_retries=0)
        async with client:
            create = client.chat.completions.with_streaming_response.create
            async with create(model="mini", messages=MESSAGES, stream=True) as response:  # type: ignore[arg-type]
                assert response.headers["x-ratelimit-remaining-requests"] == "0"
                async for _ in response.iter_bytes():
                    pass
            with pytest.raises(RateLimitError):
                await client.chat.completions.create(model="mini", messages=MESSAGES, stream=True)  # type: ignore[arg-type]


async def test_limits_follow_the_file_and_cost_nothing_where_there_are_none(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    limit = '[limits.large]\nroutes = ["large"]\nrequests = "1/hour"'
    async with limited(tmp_path, simulator, limit) as at:
        routes = at.gateway.services.snapshot.routes
        assert routes["mini"].steps == STEPS
        assert len(routes["large"].steps) == len(STEPS) + 1
        assert await at.statuses(2, "large") == [200, 429]
        text = at.gateway.config.read_text()
        at.gateway.config.write_text(text.replace('"1/hour"', '"2/hour"'))

        async def again() -> bool:
            return (await at.ask("large")).status_code == 200

        assert await eventually(again)
        # By a model's own name too, which no route declares.
        at.gateway.config.write_text(text.replace('["large"]', '["sim/gpt-4o"]'))

        async def direct() -> bool:
            return (await at.ask("sim/gpt-4o")).status_code == 429

        assert await eventually(direct)
        assert at.gateway.services.snapshot.routes["large"].steps == STEPS


async def test_limits_grow_with_trust(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    """The step of trust sets `scale` before; here it is set by the test."""
    async with limited(tmp_path, simulator, '[limits.free]\nrequests = "4/hour"') as at:
        services = at.gateway.services
        route = services.snapshot.routes["mini"]

        async def halve(exchange: Any) -> None:
            exchange.scale = 0.5

        import dataclasses

        half = dataclasses.replace(route, steps=(halve, *route.steps))
        services.snapshot = dataclasses.replace(services.snapshot, routes={"mini": half})
        answers = [await at.ask() for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert told(answers[0], "requests") == ("2", "1", "30m0s")
        assert (
            "4 requests a hour (times 0.5, for the trust it is given)"
            in answers[2].json()["error"]["message"]
        )


@pytest.mark.parametrize(("down", "status"), [("refuse", 503), ("allow", 200)])
async def test_counters_that_cannot_be_reached(
    tmp_path: Path, simulator: tuple[str, Simulator], down: str, status: int
) -> None:
    from ratchet.store.counters.shared import SharedCounters

    limit = f'[gateway]\ncounters_down = "{down}"\n[limits.free]\nroutes = ["mini"]\nrequests = "1/hour"'
    async with limited(tmp_path, simulator, limit) as at:
        at.gateway.services.counters = SharedCounters("redis://127.0.0.1:9/0")
        assert await at.statuses(2) == [status, status]
        assert (await at.ask("large")).status_code == 200


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "expected at least one of requests, tokens, cost and concurrency"),
        ({"requests": "10 per minute"}, "expected a rate such as 100/minute or 50k/hour"),
        ({"requests": "10/fortnight"}, "the time is one of second, minute, hour, day, week, month"),
        ({"requests": "0.5/second"}, "expected an amount of at least 1, and no parts of one"),
        ({"cost": "0/day"}, "expected an amount of money above 0"),
        ({"tokens": "1/month burst 2"}, "expected a burst that is there again within 52 days"),
        ({"requests": "1/hour", "by": ["planet"]}, "by.0"),
        ({"requests": "1/hour", "by": ["user", "user"]}, "expected each of `by` once"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"requests": "1/hour", "user": ["ada"]}, "user is not a setting (did you mean users?)"),
    ],
)
def test_what_a_limit_cannot_be(settings: dict[str, Any], problem: str) -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as refused:
        LimitSettings.model_validate(settings)
    assert problem in describe_problems(refused.value, LimitSettings)


def test_rates_and_spans() -> None:
    rate = counted_rate("50k / hour burst 5k")
    assert (rate.amount, rate.period, rate.burst, rate.text) == (50_000, HOUR, 5_000, "50k/hour")
    assert rate.units(rate.nanoseconds(1234)) == 1234
    assert money_rate("2.50/day").amount == 2_500_000_000
    assert [span_text(each) for each in (0, 1, 999_999_999, SECOND, SECOND + 1, 3 * HOUR + 61 * SECOND)] == [
        "0ms",
        "1ms",
        "1000ms",
        "1s",
        "2s",
        "3h1m1s",
    ]


def made_key(folder: Path) -> str:
    """A key for gateways with `folder` / data as their data directory."""
    command = [
        sys.executable,
        "-m",
        "ratchet",
        "--data-dir",
        "data",
        "key",
        "create",
        "--name",
        "app",
        "--json",
    ]
    made = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return json.loads(made.stdout)["key"]


@contextlib.contextmanager
def gateway_process(folder: Path, *, port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`ratchet gateway` in a process of its own, with `folder` / ratchet.toml; it may not serve yet. And its address."""
    with contextlib.ExitStack() as stack:
        port = port or stack.enter_context(reserved_port())
        command = [sys.executable, "-m", "ratchet", "--config", "ratchet.toml", "--data-dir", "data"]
        process = subprocess.Popen([*command, "gateway", "--gateway-port", str(port)], cwd=folder)
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


async def test_a_spent_limit_is_spent_after_a_kill(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "ratchet.toml").write_text(
        '[routes.mini]\ntargets = ["simulator/gpt-4o-mini"]\n[limits.free]\nby = ["user"]\nrequests = "3/hour"\n'
    )
    key = made_key(tmp_path)
    body = {"model": "mini", "messages": MESSAGES, "user": "ada", "simulate": "latency=1ms"}
    headers = {"authorization": f"Bearer {key}"}

    async def ask(client: httpx2.AsyncClient, url: str) -> httpx2.Response | None:
        try:
            return await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
        except httpx2.TransportError:
            return None

    async with httpx2.AsyncClient(timeout=20) as client:
        with gateway_process(tmp_path, port=free_port) as (process, url):
            assert (await eventually(lambda: ask(client, url), within=30)).status_code == 200
            for _ in range(2):
                response = await ask(client, url)
                assert response is not None
                assert response.status_code == 200
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed = time.time()
        with gateway_process(tmp_path, port=free_port) as (_, url):
            response = await eventually(lambda: ask(client, url), within=30)
        assert response.status_code == 429
        waited = time.time() - killed
        assert 1200 - waited - 30 < int(response.headers["retry-after"]) <= 1200
