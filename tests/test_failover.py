"""Failing over, seen from outside: a real gateway over real sockets, in front of simulators that misbehave."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, eventually, running_app, running_gateway

from ratchet.domain.spans import Event
from ratchet.gateway import server
from ratchet.gateway.attempt import Attempt, Failed
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.upstream.connection import Connection
from ratchet.simulator.app import Simulator, simulator_app
from ratchet.simulator.faults import Rule
from ratchet.simulator.server import SimulatorProtocol
from ratchet.telemetry.spans import ATTEMPT, span_of_call, spans_of_attempts

QUESTION = {"messages": [{"role": "user", "content": "How long do I have to return shoes?"}]}


class Town:
    """A gateway, and the providers `one`, `two` and `three`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simulators: dict[str, Simulator] = {}
        self.gateway: RunningGateway
        self._stack = AsyncExitStack()

    async def start(self, routes: str, **provider: str) -> RunningGateway:
        """`routes` is what the settings say of routes, `provider` what they say of a provider, by its name."""
        settings = routes
        for name in ("one", "two", "three"):
            simulator = self.simulators[name] = simulator_app(seed=0, pace=0)
            address = await self._stack.enter_async_context(running_app(simulator, SimulatorProtocol))
            settings += f'\n[providers.{name}]\nkind = "openai"\nbase_url = "{address}/v1"\n'
            settings += provider.get(name, "")
        environment = {name: f"sk-{name}" for name in ("KEY_A", "KEY_B")}
        self.gateway = await self._stack.enter_async_context(
            running_gateway(self.folder, settings, environment=environment)
        )
        return self.gateway

    def fault(self, name: str, fault: str, **rule: Any) -> None:
        self.simulators[name].load([Rule(fault=fault, **rule)])

    def well(self, name: str) -> None:
        self.simulators[name].load([])

    def asked(self, name: str) -> int:
        return self.simulators[name].stats.requests

    def events(self, kind: str) -> list[Event]:
        return [
            record
            for record in self.gateway.recorded()
            if isinstance(record, Event) and record.kind.startswith(kind)
        ]

    async def ask(self, *, stream: bool = False, model: str = "pair", **fields: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.gateway.key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
            body = {**QUESTION, "model": model, "stream": stream, **fields}
            return await client.post(f"{self.gateway.url}/v1/chat/completions", json=body)

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    made = Town(tmp_path)
    yield made
    await made.close()


PAIR = '[routes.pair]\ntargets = ["one/gpt-4o", "two/gpt-4o-mini"]\n'


# -- targets and credentials ---------------------------------------------------------------------------------------


async def test_what_was_tried_is_written_down_below_the_call(town: Town) -> None:
    gateway = await town.start(PAIR)
    town.fault("one", "status=503")
    assert (await town.ask()).status_code == 200
    (call,) = gateway.calls()
    (lost,) = spans_of_attempts(call)
    span = span_of_call(call)
    assert (span.target, span.attempt, span.status) == ("two/gpt-4o-mini", 2, "ok")
    assert (lost.parent_id, lost.trace_id) == (span.span_id, span.trace_id)
    assert (lost.operation, lost.target, lost.attempt) == (ATTEMPT, "one/gpt-4o", 1)
    assert (lost.error_type, lost.http_status, lost.status) == ("upstream_broken", 503, "unset")
    assert lost.request_model == "", "so it is no model call"
    assert span.start <= lost.start
    assert lost.start + lost.duration <= span.start + span.duration


async def test_a_refused_credential_gives_way_to_the_next_and_somebody_is_told(town: Town) -> None:
    await town.start(PAIR, one='api_key = "env:KEY_A"\napi_keys = ["env:KEY_B"]\n')
    shown: list[str] = []
    town.simulators["one"]._api_key = "sk-KEY_B"  # the only one it takes
    for _ in range(8):
        answer = await town.ask()
        shown.append(str(answer.status_code))
    assert set(shown) == {"200"}
    assert town.asked("two") == 0
    (event,) = town.events("credential.refused")
    assert (event.subject, event.attributes["credential"], event.severity) == ("one/gpt-4o", "KEY_A", "error")
    assert "sk-" not in event.message
    # After its first refusal a credential is only used where there is no other: 8 answers, at most one refusal.
    assert town.asked("one") == 9


async def test_all_credentials_refused_is_the_gateways_trouble_not_the_apps(town: Town) -> None:
    await town.start(PAIR, one='api_key = "env:KEY_A"\n', two='api_key = "env:KEY_A"\n')
    for name in ("one", "two"):
        town.simulators[name]._api_key = "sk-other"
    answer = await town.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_credentials")


async def test_a_circuit_opens_and_the_target_is_left_alone_until_a_probe_succeeds(town: Town) -> None:
    gateway = await town.start(PAIR)
    moment = 1000.0
    gateway.services.health.clock = lambda: moment
    town.fault("one", "status=500")
    for _ in range(5):
        assert (await town.ask()).status_code == 200
    assert [event.kind for event in town.events("circuit")] == ["circuit.open"]
    for _ in range(5):
        assert (await town.ask()).status_code == 200
    assert town.asked("one") == 5, "an open circuit lets nobody through"
    moment += 7
    answers = await asyncio.gather(*(town.ask() for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert town.asked("one") == 6, "one probe, not all requests at once"
    town.well("one")
    moment += 15
    for _ in range(3):
        assert (await town.ask()).status_code == 200
    assert town.asked("one") == 9
    assert [event.kind for event in town.events("circuit")] == [
        "circuit.open", "circuit.half_open", "circuit.open", "circuit.half_open", "circuit.closed",
    ]  # fmt: skip


async def test_with_every_circuit_open_the_app_is_told_at_once_when_to_come_back(town: Town) -> None:
    gateway = await town.start('[routes.pair]\ntargets = ["one/gpt-4o"]\nmax_attempts = 1\n')
    moment = 1000.0
    gateway.services.health.clock = lambda: moment
    town.fault("one", "status=500")
    for _ in range(5):
        assert (await town.ask()).status_code == 502
    refused = await town.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_unavailable")
    assert int(refused.headers["retry-after"]) == 1
    assert town.asked("one") == 5
    town.well("one")
    moment += int(refused.headers["retry-after"])
    assert (await town.ask()).status_code == 200, "the time it told was true"


async def test_one_target_is_asked_again_after_what_it_says(town: Town) -> None:
    await town.start('[routes.pair]\ntargets = ["one/gpt-4o"]\n')
    town.fault("one", "status=429; retry-after=1", times=1)
    began = time.monotonic()
    assert (await town.ask()).status_code == 200
    assert time.monotonic() - began >= 1.0
    assert town.asked("one") == 2


async def test_a_provider_that_wants_long_to_be_left_alone_is(town: Town) -> None:
    await town.start('[routes.pair]\ntargets = ["one/gpt-4o"]\n')
    town.fault("one", "status=429; retry-after=90", times=1)
    first = await town.ask()
    assert (first.status_code, first.headers["retry-after"]) == (429, "90")
    second = await town.ask()
    assert (second.status_code, second.json()["error"]["code"]) == (429, "upstream_rate_limited")
    assert 85 <= int(second.headers["retry-after"]) <= 90
    assert town.asked("one") == 1


async def test_too_long_a_conversation_goes_to_a_model_that_reads_more(town: Town) -> None:
    await town.start(
        '[routes.pair]\ntargets = ["one/gpt-4o", "two/gpt-4o", "three/gpt-4.1"]\n'
        '[routes.pair.options."one/gpt-4o"]\ncontext_window = 5000\n'
        '[routes.pair.options."two/gpt-4o"]\ncontext_window = 5000\n'
    )
    town.fault("one", "status=400; code=context_length_exceeded")
    assert (await town.ask()).status_code == 200
    assert [town.asked(name) for name in ("one", "two", "three")] == [1, 0, 1]


async def test_refusals_are_gone_around_only_where_the_route_says_so(town: Town) -> None:
    await town.start(
        PAIR + '[routes.around]\ntargets = ["one/gpt-4o", "two/gpt-4o-mini"]\naround_refusals = true\n'
    )
    town.fault("one", "refusal")
    for stream in (False, True):
        assert "can't assist" in (await town.ask(stream=stream)).text.replace(" ", " ") or stream
        assert town.asked("two") == stream
        around = await town.ask(stream=stream, model="around")
        assert around.status_code == 200
        assert '"refusal":"' not in around.text
        assert town.asked("two") == stream + 1
    town.fault("two", "refusal")
    last = await town.ask(model="around")
    assert last.json()["choices"][0]["message"]["refusal"], "where all refuse, the refusal is passed on"


async def test_attempts_and_time_are_bounded(town: Town) -> None:
    await town.start(
        '[routes.pair]\ntargets = ["one/gpt-4o", "two/gpt-4o"]\nmax_attempts = 3\n'
        '[routes.quick]\ntargets = ["three/gpt-4o"]\ntimeout = 0.3\nmax_attempts = 20\n'
    )
    for name in ("one", "two"):
        town.fault(name, "status=500")
    assert (await town.ask()).status_code == 502
    assert town.asked("one") + town.asked("two") == 3
    town.fault("three", "latency=10s")
    began = time.monotonic()
    answer = await town.ask(model="quick")
    assert answer.json()["error"]["code"] == "upstream_timeout"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        "status=500",
        "status=429; retry-after=0",
        "reset",
        "empty",
        "cut=1",
        "cut=6; gap=5ms",
        "latency=2s",
        "status=400",
    ],
)
async def test_failures_leave_nothing_for_the_garbage_collector(town: Town, fault: str, stream: bool) -> None:
    """Rings of what belongs to a request would pile up: the gateway lets the collector look at it rarely."""
    await town.start(PAIR + "first_token_timeout = 0.1\n[routes.pair.options.'one/gpt-4o']\ntimeout = 0.2\n")
    town.fault("one", fault)
    await town.ask(stream=stream)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await town.ask(stream=stream)
        await asyncio.sleep(0)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(
            type(each).__name__
            for each in gc.garbage
            if isinstance(each, (Exchange, Attempt, Failed, Connection))
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left


# -- hedging -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_first_target_is_raced_by_the_second(town: Town, stream: bool) -> None:
    gateway = await town.start(PAIR + "hedge = true\n")
    for _ in range(20):
        await town.ask(stream=stream)
    assert town.asked("two") == 0
    town.fault("one", "latency=30s")
    began = time.monotonic()
    answer = await town.ask(stream=stream)
    assert answer.status_code == 200
    assert time.monotonic() - began < 10
    await eventually(lambda: town.simulators["one"].stats.disconnects == 1)
    call = gateway.calls()[-1]
    assert (call.target, call.attempt) == ("two/gpt-4o-mini", 2)
    (lost,) = call.attempts
    assert (lost.target, lost.failure) == ("one/gpt-4o", "hedge_lost")
    assert lost.cost is not None, "what the loser costs is estimated"
    if not stream:  # of a stream that tells no counts, the cost is not known
        assert call.cost is not None
        assert float(call.cost) > float(lost.cost) > 0, "and is part of what the request cost"


async def test_a_race_in_which_the_second_fails_goes_to_the_first(town: Town) -> None:
    gateway = await town.start(PAIR + "hedge = true\n")
    for _ in range(20):
        await town.ask()
    town.fault("one", "latency=600ms")
    town.fault("two", "status=500")
    assert (await town.ask()).status_code == 200
    call = gateway.calls()[-1]
    assert call.target == "one/gpt-4o"
    assert [(lost.target, lost.failure) for lost in call.attempts] == [("two/gpt-4o-mini", "upstream_broken")]


# -- streams -------------------------------------------------------------------------------------------------------


async def test_with_commit_whole_nothing_of_a_broken_stream_is_seen(town: Town) -> None:
    gateway = await town.start(PAIR + 'commit = "whole"\n')
    town.fault("one", "cut=9; gap=5ms")
    answer = await town.ask(stream=True)
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert "error" not in answer.text
    assert gateway.calls()[0].attempt == 2


async def test_with_a_number_so_much_has_to_be_there(town: Town) -> None:
    gateway = await town.start(PAIR + "commit = 8\n")
    town.fault("one", "cut=6; gap=5ms")
    assert (await town.ask(stream=True)).text.rstrip().endswith("data: [DONE]")
    assert gateway.calls()[0].attempt == 2
    town.fault("one", "cut=14; gap=5ms")
    assert "upstream_broken" in (await town.ask(stream=True)).text
    assert gateway.calls()[1].attempt == 1


@pytest.mark.parametrize(
    "shape", ["split", "merge", "crlf", "comments", "bom", "no-space", "split; crlf; comments; bom"]
)
async def test_however_a_stream_is_cut_it_is_the_same(town: Town, shape: str) -> None:
    await town.start(PAIR)
    plain = _words((await town.ask(stream=True)).text)
    town.fault("one", shape)
    answer = await town.ask(stream=True)
    assert _words(answer.text) == plain != ""
    assert answer.text.replace("\r\n", "\n").rstrip().endswith("[DONE]")
    assert town.asked("two") == 0


async def test_an_app_that_waits_gets_comments(town: Town) -> None:
    await town.start(PAIR + "[gateway]\nkeep_alive = 0.05\n")
    town.fault("one", "latency=400ms")
    answer = await town.ask(stream=True)
    assert answer.text.startswith(": waiting\n\n")
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert _words(answer.text)
    town.fault("one", "latency=300ms; status=500")
    town.fault("two", "status=500")
    failed = await town.ask(stream=True)
    assert failed.status_code == 200, "the first comment began the answer"
    assert json.loads(failed.text.rstrip().rsplit("data: ", 1)[1])["error"]["code"] == "upstream_failed"


async def test_comments_of_a_provider_are_no_progress(town: Town) -> None:
    await town.start(PAIR + "stall_timeout = 0.3\n")
    town.fault("one", "stall=5; gap=5ms; stall-for=2s")
    began = time.monotonic()
    answer = await town.ask(stream=True)
    assert "upstream_timeout" in answer.text
    assert time.monotonic() - began < 2


def _words(stream: str) -> str:
    lines = [line.lstrip("﻿") for line in stream.replace("\r\n", "\n").split("\n")]
    events = [json.loads(line[5:]) for line in lines if line.startswith("data:") and "[DONE]" not in line]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


# -- waiting -------------------------------------------------------------------------------------------------------


async def test_a_provider_gets_only_so_many_at_once_and_the_rest_wait_their_turn(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_QUEUE_INTERVAL", 0.05)
    await town.start('[routes.pair]\ntargets = ["one/gpt-4o"]\n', one="max_concurrency = 2\nqueue = 3\n")
    town.fault("one", "latency=800ms")
    first = [asyncio.create_task(town.ask()) for _ in range(5)]
    await eventually(lambda: town.gateway.services.health.queues["one"].waiting == 3)
    began = time.monotonic()
    others = await asyncio.gather(*(town.ask() for _ in range(3)))
    assert time.monotonic() - began < 0.7, "who finds it full does not wait"
    answers = [*await asyncio.gather(*first), *others]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert town.simulators["one"].stats.peak_in_flight == 2
    full = next(answer for answer in answers if answer.status_code == 429)
    assert full.json()["error"]["code"] == "queue_full"
    assert int(full.headers["retry-after"]) >= 1
    told = await eventually(
        lambda: [event for event in town.events("queue.state") if event.attributes["held"] == "0"]
    )
    assert (told[-1].subject, told[-1].attributes["refused"]) == ("one", "3")


async def test_waiting_for_a_place_counts_against_the_routes_time(town: Town) -> None:
    await town.start(
        '[routes.pair]\ntargets = ["one/gpt-4o"]\n[routes.hasty]\ntargets = ["one/gpt-4o"]\ntimeout = 0.3\n',
        one="max_concurrency = 1\n",
    )
    town.fault("one", "latency=2s")
    first = asyncio.create_task(town.ask())
    await eventually(lambda: town.asked("one") == 1)
    began = time.monotonic()
    hasty = await town.ask(model="hasty")
    assert (hasty.status_code, hasty.json()["error"]["code"]) == (429, "queue_full")
    assert time.monotonic() - began < 1.8
    assert (await first).status_code == 200
    assert town.asked("one") == 1


async def test_where_the_queue_is_full_another_target_is_asked(town: Town) -> None:
    await town.start(PAIR, one="max_concurrency = 1\nqueue = 0\n")
    town.fault("one", "latency=300ms")
    answers = await asyncio.gather(*(town.ask() for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    assert (town.asked("one"), town.asked("two")) == (1, 2)
    lost = [each for call in town.gateway.calls() for each in call.attempts]
    assert [(each.target, each.failure) for each in lost] == [("one/gpt-4o", "queue_full")] * 2


async def test_a_full_queue_is_no_attempt_and_holds_for_all_of_a_providers_targets(town: Town) -> None:
    targets = '["one/gpt-4o", "one/gpt-4o-mini", "two/gpt-4o"]'
    await town.start(
        f"[routes.pair]\ntargets = {targets}\nmax_attempts = 1\n", one="max_concurrency = 1\nqueue = 0\n"
    )
    town.fault("one", "latency=300ms")
    answers = await asyncio.gather(*(town.ask() for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    assert (town.asked("one"), town.asked("two")) == (1, 2)
    assert town.gateway.services.health.queues["one"].refused == 2, "each was refused there once"


async def test_a_stream_that_waited_too_long_for_a_place_is_not_held_against_the_provider(town: Town) -> None:
    gateway = await town.start(
        '[routes.pair]\ntargets = ["one/gpt-4o"]\n'
        '[routes.hasty]\ntargets = ["one/gpt-4o"]\nfirst_token_timeout = 0.1\n',
        one="max_concurrency = 1\n",
    )
    town.fault("one", "latency=2s")
    first = asyncio.create_task(town.ask())
    await eventually(lambda: town.asked("one") == 1)
    answers = await asyncio.gather(*(town.ask(model="hasty", stream=True) for _ in range(6)))
    assert {(each.status_code, each.json()["error"]["code"]) for each in answers} == {(429, "queue_full")}
    assert gateway.services.health.unwell() == 0
    assert gateway.services.health.queues["one"].waiting == 0
    assert (await first).status_code == 200


async def test_a_users_requests_go_one_after_another_where_a_route_asks_for_it(town: Town) -> None:
    gateway = await town.start(PAIR + "one_at_a_time = true\n")
    town.fault("one", "latency=150ms")
    answers = await asyncio.gather(*(town.ask(user="ada") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert town.simulators["one"].stats.peak_in_flight == 1
    await asyncio.gather(*(town.ask(user=f"user {number}") for number in range(3)), town.ask())
    assert town.simulators["one"].stats.peak_in_flight > 1
    assert not gateway.services.turns, "nobody is remembered who asks nothing"


# -- probes --------------------------------------------------------------------------------------------------------


async def test_probes_tell_how_a_provider_is_and_are_no_calls(town: Town) -> None:
    gateway = await town.start(
        PAIR,
        one='probe = "gpt-4o-mini"\nprobe_interval = 1\n',
        two='probe = "gpt-4o"\nprobe_interval = 1\n',
    )
    town.fault("two", "status=500")
    answered = await eventually(lambda: town.events("probe.answered"))
    failed = await eventually(lambda: town.events("probe.failed"))
    assert (answered[0].subject, answered[0].attributes["model"]) == ("one", "gpt-4o-mini")
    assert (
        0 < float(answered[0].attributes["time_to_first_token"]) <= float(answered[0].attributes["seconds"])
    )
    assert float(answered[0].attributes["cost"]) > 0
    assert (failed[0].subject, failed[0].severity) == ("two", "warning")
    assert "500" in failed[0].message
    assert gateway.calls() == []
    assert town.asked("three") == 0
