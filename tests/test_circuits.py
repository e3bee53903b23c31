"""Circuit breakers: when they open, who is let through, and that nothing comes back all at once."""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import eventually, running_app, running_gateway

from ratchet.domain.spans import Event
from ratchet.gateway.upstream.circuits import Circuit
from ratchet.simulator.app import Simulator


def circuit(changes: list[str] | None = None) -> Circuit:
    def changed(_circuit: Circuit, change: str, why: str) -> None:
        if changes is not None:
            changes.append(change)
        assert why

    return Circuit("p/m", "KEY", chance=lambda: 0.5, on_change=changed)


def good(one: Circuit) -> None:
    number = one.begin()
    one.ended(number)
    one.succeeded(number)


def bad(one: Circuit, now: float = 0.0) -> None:
    number = one.begin()
    one.ended(number)
    one.failed(now, "500", number)


def opened(changes: list[str] | None = None) -> Circuit:
    one = circuit(changes)
    for _ in range(5):
        bad(one)
    return one


def test_a_circuit_opens_rests_probes_one_at_a_time_and_closes() -> None:
    changes: list[str] = []
    one = circuit(changes)
    early, late = one.begin(), one.begin()
    for _ in range(4):
        bad(one, 10.0)
    assert one.ready_at(10.0) == 10.0
    bad(one, 10.0)
    assert changes == ["open"]
    assert one.ready_at(10.0) == 15.0
    assert one.ready_at(10.0, last_hope=True) == 11.0
    assert one.ready_at(15.0) == 15.0
    probe = one.begin()
    assert changes == ["open", "half_open"]
    assert one.ready_at(15.0) == math.inf, "one probe at a time"
    one.ended(early)
    one.succeeded(early)
    one.ended(late)
    one.failed(15.05, "late", late)
    assert one.ready_at(15.05) == math.inf, "what was sent before it opened says nothing"
    one.ended(probe)
    one.succeeded(probe)
    assert one.ready_at(15.1) == 15.1
    good(one)
    assert changes == ["open", "half_open", "closed"]
    assert one.ready_at(15.2) == 15.2


def test_a_circuit_rests_longer_after_each_failed_probe_and_no_longer_than_a_minute() -> None:
    one = opened()
    now, rests = 0.0, []
    for _ in range(6):
        rests.append(one.ready_at(now) - now)
        now = one.ready_at(now)
        bad(one, now)
    assert rests == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_one_that_opens_again_before_it_is_well_rests_as_long_as_before() -> None:
    one = opened()
    bad(one, 5.0)
    for _ in range(2):
        good(one)
    for _ in range(5):
        bad(one, 20.0)
    assert one.ready_at(20.0) == 30.0
    for _ in range(4):
        good(one)
    for _ in range(5):
        bad(one, 40.0)
    assert one.ready_at(40.0) == 45.0, "with room for all it is as new"


def test_half_of_the_last_twenty_open_a_circuit_and_a_few_do_not() -> None:
    one = circuit()
    for turn in range(100):
        bad(one) if turn % 4 == 0 else good(one)
    assert one.state == "closed"
    for turn in range(100):
        bad(one) if turn % 2 else good(one)
        if one.state == "open":
            return
    raise AssertionError("it never opened")


def test_a_probe_that_nobody_waits_for_gives_its_place_back() -> None:
    one = opened()
    one.ended(one.begin())
    assert one.ready_at(6.0) == 6.0


def test_a_credential_that_is_good_again_is_told_once() -> None:
    changes: list[str] = []
    one = circuit(changes)
    before, number = one.begin(), one.begin()
    one.ended(number)
    one.refused(10.0, "401")
    one.ended(before)
    one.succeeded(before)
    assert (changes, one.dead_until) == (["refused"], 70.0), "that was sent before"
    good(one)
    good(one)
    assert (changes, one.dead_until) == (["refused", "accepted"], 0.0)
    one.begin()
    one.refused(20.0, "401")
    one.refused(30.0, "401")
    assert changes == ["refused", "accepted", "refused"]


# -- coming back ---------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(("answer", "answer", "fail", "leave", "wait")), max_size=60), st.randoms())
@settings(max_examples=200)
def test_however_many_want_to_no_more_come_at_a_time_than_were_answered(
    outcomes: list[str], chance: random.Random
) -> None:
    """Everybody asks whenever they may, and whatever becomes of requests, in whatever order."""
    one, now = opened(), 0.0
    under_way: list[int] = []
    answered = 0
    for what in outcomes:
        while one.ready_at(now) <= now:
            number = one.begin()
            under_way.append(number)
            assert len(under_way) <= (answered if one.state == "closed" else 1)
        if one.state == "closed":
            assert len(under_way) >= answered, "turned away with room left"
        if what == "wait" or not under_way:
            now += 10.0
            continue
        number = under_way.pop(chance.randrange(len(under_way)))
        one.ended(number)
        if what == "answer":
            answered += 1
            one.succeeded(number)
        elif what == "fail":
            one.failed(now, "500", number)
        if one.state == "open":
            under_way.clear()
            answered = 0


@given(st.lists(st.sampled_from(("ask", "ask", "answer", "answer", "fail", "leave")), max_size=200))
def test_nobody_is_turned_away_without_need(actions: list[str]) -> None:
    one, now, answered = opened(), 100.0, 0
    under_way: list[int] = []
    for what in actions:
        if what == "ask":
            if one.ready_at(now) <= now:
                under_way.append(one.begin())
            else:
                assert len(under_way) >= (answered if one.state == "closed" else 1)
        elif under_way:
            one.ended(under_way[0])
            if what == "answer":
                answered += 1
                one.succeeded(under_way[0])
            elif what == "fail":
                one.failed(now, "500", under_way[0])
            del under_way[0]
        if one.state == "open":
            under_way.clear()
            answered, now = 0, now + 100.0


class Crowd:
    """So many ask at once when a target is back, each again when it has found no room; and what the target sees."""

    def __init__(self, size: int, latency: float, bears: int, seed: int) -> None:
        self.chance = random.Random(seed).random
        self.one = Circuit("t", "", chance=self.chance, on_change=lambda *_: None)
        for _ in range(5):
            bad(self.one)
        self.latency, self.bears = latency, bears
        self.seen: list[int] = []  # requests under way, whenever one more was sent
        self.failures = self.answered = 0
        self._moments: list[tuple[float, int, int]] = [(6.0, each, 0) for each in range(size)]
        self._under_way = 0

    def run(self, until: float) -> float:
        """When the last was answered."""
        one, now = self.one, 0.0
        while self._moments:
            now, who, number = heapq.heappop(self._moments)
            assert now < until, f"{self.answered} answered, {self.failures} failed by {now:.1f}"
            if number:
                self._over(now, who, number)
                continue
            ready = one.ready_at(now)
            if ready > now:
                again = now + 0.1 if math.isinf(ready) else ready
                heapq.heappush(self._moments, (again, who, 0))
                continue
            number = one.begin()
            self._under_way += 1
            self.seen.append(self._under_way)
            took = self.latency * (0.5 + self.chance())
            heapq.heappush(
                self._moments, (now + took, who, -number if self._under_way > self.bears else number)
            )
        return now

    def _over(self, now: float, who: int, number: int) -> None:
        self._under_way -= 1
        self.one.ended(abs(number))
        if number < 0:
            self.failures += 1
            self.one.failed(now, "overloaded", abs(number))
            heapq.heappush(self._moments, (now + 0.25, who, 0))
        else:
            self.answered += 1
            self.one.succeeded(number)


@pytest.mark.parametrize("latency", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_comes_back_step_by_step_and_everybody_is_answered(latency: float, seed: int) -> None:
    crowd = Crowd(1000, latency, bears=10**9, seed=seed)
    crowd.run(until=16 + 15 * latency)
    assert crowd.answered == 1000
    for before, at_once in enumerate(crowd.seen[:200]):
        assert at_once <= max(before, 1)
    if latency == 2.0:
        assert max(crowd.seen) > 200, "room is made for those who wait"


@pytest.mark.parametrize("seed", range(3))
def test_a_target_that_bears_little_is_not_flooded_when_it_is_back(seed: int) -> None:
    """Were they all let in at once, 924 requests would fail, 298 at a time."""
    crowd = Crowd(300, 0.3, bears=40, seed=seed)
    crowd.run(until=35)
    assert crowd.answered == 300
    assert max(crowd.seen) <= 90
    assert crowd.failures < 250


# -- over sockets --------------------------------------------------------------------------------------------------


class Provider:
    """Down until it is told to be up; then it answers after a while, and counts who asks at a time."""

    def __init__(self) -> None:
        self.down: int | None = 500
        self.at_once = self.answered = 0
        self.peaks: list[tuple[int, int]] = []  # answered before, and how many were asking then
        self.gate: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        message = {"role": "assistant", "content": "Here."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        status, body = 200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}
        if self.down:
            status, body = self.down, {"error": {"message": "down"}}
        else:
            self.at_once += 1
            self.peaks.append((self.answered, self.at_once))
            await asyncio.sleep(0.05)
            self.at_once -= 1
            self.answered += 1
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


QUESTION = {"model": "mini", "messages": [{"role": "user", "content": "Hello?"}]}


async def test_hundreds_that_wait_for_their_only_target_come_step_by_step(tmp_path: Path) -> None:
    provider = Provider()
    async with running_app(provider) as address:
        settings = (
            f'[providers.one]\nkind = "openai"\nbase_url = "{address}/v1"\napi_key = "env:UPSTREAM_KEY"\n'
            '[routes.mini]\ntargets = ["one/m"]\nmax_attempts = 1\n'
        )
        async with (
            running_gateway(tmp_path, settings) as gateway,
            httpx2.AsyncClient(
                base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}, timeout=60
            ) as client,
        ):

            async def ask() -> int:
                return (await client.post("/v1/chat/completions", json=QUESTION)).status_code

            for _ in range(5):
                assert await ask() == 502
            assert await ask() == 503
            provider.down = None
            for _ in range(2):
                await eventually(ask_until(ask, 200))
            found = await asyncio.gather(*[ask() for _ in range(300)])
            events = [each for each in gateway.recorded() if isinstance(each, Event)]
    assert set(found) == {200}
    assert [each.kind for each in events] == ["circuit.open", "circuit.half_open", "circuit.closed"]
    for answered, at_once in provider.peaks[2:50]:
        assert at_once <= answered


def ask_until(ask: Any, status: int) -> Any:
    async def asked() -> bool:
        return await ask() == status

    return asked


async def test_a_gateway_gives_signs_of_life_while_something_is_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratchet.gateway.server._STATE_INTERVAL", 0.05)
    async with running_app(Provider()) as address:
        settings = (
            f'[providers.one]\nkind = "openai"\nbase_url = "{address}/v1"\napi_key = "env:UPSTREAM_KEY"\n'
            '[routes.mini]\ntargets = ["one/m"]\nmax_attempts = 1\n'
        )
        async with (
            running_gateway(tmp_path, settings) as gateway,
            httpx2.AsyncClient(
                base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
            ) as client,
        ):

            def signs() -> list[Event]:
                found = [each for each in gateway.recorded() if isinstance(each, Event)]
                return [each for each in found if each.kind == "gateway.state"]

            for _ in range(5):
                assert not signs()
                await client.post("/v1/chat/completions", json=QUESTION)
            await eventually(lambda: len(signs()) >= 3)
            assert signs()[0].attributes["circuits"] == "1"
            assert signs()[0].subject == signs()[0].attributes["gateway"] == gateway.services.name


async def test_a_credential_that_works_again_is_an_event(tmp_path: Path) -> None:
    provider = Provider()
    provider.down = 401
    async with running_app(provider) as address:
        settings = (
            f'[providers.one]\nkind = "openai"\nbase_url = "{address}/v1"\napi_key = "env:UPSTREAM_KEY"\n'
            '[routes.mini]\ntargets = ["one/m"]\n'
        )
        async with (
            running_gateway(tmp_path, settings) as gateway,
            httpx2.AsyncClient(
                base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
            ) as client,
        ):
            assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 502
            provider.down = None
            for _ in range(3):
                assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200
            events = [each for each in gateway.recorded() if isinstance(each, Event)]
    assert [(each.kind, each.severity) for each in events] == [
        ("credential.refused", "error"),
        ("credential.accepted", "info"),
    ]
    assert events[1].attributes["credential"] == "UPSTREAM_KEY"


async def test_whoever_leaves_a_stream_gives_its_places_back(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    settings = (
        f'[providers.sim]\nkind = "simulator"\nbase_url = "{simulator[0]}"\nmax_concurrency = 2\nqueue = 1\n'
        '[routes.mini]\ntargets = ["sim/gpt-4o-mini"]\n'
    )
    async with (
        running_gateway(tmp_path, settings) as gateway,
        httpx2.AsyncClient(
            base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
        ) as client,
    ):
        for number in range(5):
            body = {**QUESTION, "stream": True, "simulate": "gap=20ms; tokens=500"}
            async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                assert answer.status_code == 200
                await anext(answer.aiter_bytes())
            await eventually(lambda so_far=number + 1: len(gateway.calls()) == so_far)
        [target] = gateway.services.snapshot.routes["mini"].targets
        assert target.queue is not None
        assert (target.pace.in_flight, target.queue.held) == (0, 0)
