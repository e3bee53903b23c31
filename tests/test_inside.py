"""The gateway inside this process: the production path with no socket, and calls that say which run they are of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import msgspec
import pytest
from tests.conftest import RunningGateway, running_app, spooled

from ratchet.app.asking import open_inside
from ratchet.app.paths import DataDir
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.runs import PRODUCTION, RunTag
from ratchet.errors import NotFound, Unavailable, UpstreamFailed
from ratchet.gateway.inside import PURPOSE, Inside, Purpose, generator
from ratchet.simulator.app import Simulator, simulator_app
from ratchet.simulator.faults import parse_rules
from ratchet.simulator.server import SimulatorProtocol
from ratchet.telemetry.calls import Call, decode_record, encode_record
from ratchet.telemetry.spans import span_of_call

TAG = RunTag("r1", "route:support & more", "Fall 1/ü", 2)


def settings(folder: Path, address: str) -> Path:
    config = folder / "ratchet.toml"
    config.write_text(
        f'[providers.sim]\nkind = "simulator"\nbase_url = "{address}"\n[routes.support]\ntargets = ["sim/gpt-4o"]\n'
    )
    return config


def question(model: str, text: str = "What is 2 + 2?") -> Request:
    return Request(dialect="openai_chat", model=model, messages=[Message("user", [TextPart(text)])])


def calls_in(data: DataDir) -> list[Call]:
    return [record for record in spooled(data.spool) if isinstance(record, Call)]


async def test_a_neutral_request_is_answered_and_spooled(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    data = DataDir.at(tmp_path / "data")
    async with open_inside(settings(tmp_path, simulator[0]), data, name="judge") as inside:
        answer = await generator(inside.ask)(question("support"))
        (call,) = calls_in(data)  # before it is used
    part = answer.choices[0].parts[0]
    assert isinstance(part, TextPart)
    assert part.content
    assert (call.route, call.key_id, call.run_id, call.status) == ("support", "judge", "", "ok")


async def test_calls_say_which_answer_of_which_run_they_are(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    data = DataDir.at(tmp_path / "data")
    async with open_inside(settings(tmp_path, simulator[0]), data) as inside:
        token = PURPOSE.set(Purpose(TAG, trace_id="ab" * 16, parent_id="cd" * 8))
        body = {"model": "sim/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
        reply = await inside.ask("/v1/chat/completions", msgspec.json.encode(body))
        PURPOSE.reset(token)
    (call,) = calls_in(data)
    span = span_of_call(call)
    assert RunTag(span.run_id, span.candidate, span.case_id, span.repeat) == TAG
    assert (span.trace_id, span.parent_id) == ("ab" * 16, "cd" * 8)
    assert (reply.status, reply.error, reply.trace_id, reply.span_id) == (
        200,
        "",
        span.trace_id,
        span.span_id,
    )
    assert reply.cost == span.cost
    assert reply.cost is not None
    assert reply.latency == pytest.approx(span.duration / 1e9)


async def test_the_built_in_simulator_answers_here_too(tmp_path: Path) -> None:
    data = DataDir.at(tmp_path / "data")
    async with open_inside(tmp_path / "ratchet.toml", data) as inside:
        answer = await generator(inside.ask)(question("simulator/instant"))
    assert answer.choices[0].parts


async def test_errors_are_the_gateways_own(tmp_path: Path) -> None:
    rules = parse_rules([{"fault": "status=500"}])
    async with running_app(simulator_app(seed=0, script=rules), SimulatorProtocol) as address:
        data = DataDir.at(tmp_path / "data")
        async with open_inside(settings(tmp_path, f"{address}/v1"), data) as inside:
            generate = generator(inside.ask)
            with pytest.raises(NotFound, match="no model 'suport'"):
                await generate(question("suport"))
            with pytest.raises(UpstreamFailed, match="status 500"):
                await generate(question("support"))


async def test_what_a_provider_turns_away_for_now_is_asked_again(tmp_path: Path) -> None:
    rules = parse_rules([{"fault": "status=429; retry-after=70", "times": 2}])
    pauses: list[float] = []
    moment = 1000.0

    async def sleep(seconds: float) -> None:
        nonlocal moment
        moment += seconds
        pauses.append(seconds)

    async with running_app(simulator_app(seed=0, script=rules), SimulatorProtocol) as address:
        data = DataDir.at(tmp_path / "data")
        async with open_inside(settings(tmp_path, f"{address}/v1"), data) as opened:
            opened.snapshot.health.clock = lambda: moment
            inside = Inside(
                opened.snapshot, opened.services.spool, project_id="p", now=lambda: 1, sleep=sleep
            )
            await generator(inside.ask)(question("support"))
    assert pauses == [70.0, 70.0]
    assert [call.http_status for call in calls_in(data)] == [429, 429, 200]


async def test_who_finds_a_providers_queue_full_asks_again(tmp_path: Path) -> None:
    rules = parse_rules([{"fault": "latency=100ms"}])
    pauses: list[float] = []
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await over.wait()

    async def ask(inside: Inside) -> Answer:
        answer = await generator(inside.ask)(question("support"))
        over.set()
        return answer

    async with running_app(simulator_app(seed=0, script=rules), SimulatorProtocol) as address:
        config = settings(tmp_path, f"{address}/v1")
        config.write_text(config.read_text().replace("[routes", "max_concurrency = 1\nqueue = 0\n[routes"))
        async with open_inside(config, DataDir.at(tmp_path / "data")) as opened:
            inside = Inside(
                opened.snapshot, opened.services.spool, project_id="p", now=lambda: 1, sleep=sleep
            )
            first, second = await asyncio.gather(ask(inside), ask(inside))
    assert first.choices[0].parts
    assert second.choices[0].parts
    assert pauses == [1.0]


async def test_nothing_more_is_asked_when_the_spool_is_full(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    config = settings(tmp_path, simulator[0])
    config.write_text(config.read_text() + "[telemetry]\nspool_bytes = 1048576\n")
    data = DataDir.at(tmp_path / "data")
    data.spool.mkdir()
    (data.spool / "1-1-1.spool").write_bytes(bytes(1048000))
    async with open_inside(config, data) as inside:
        with pytest.raises(Unavailable, match="could not be written down"):
            await generator(inside.ask)(question("support", "x" * 2000))


async def test_a_running_gateway_takes_the_header_from_any_client(gateway: RunningGateway) -> None:
    headers = {"authorization": f"Bearer {gateway.key}", "x-ratchet-run": TAG.header().decode()}
    body = {"model": "mini", "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers) as http:
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    (call,) = gateway.calls()
    assert RunTag(call.run_id, call.candidate, call.case_id, call.repeat) == TAG


@pytest.mark.parametrize(
    "tag", [TAG, PRODUCTION, RunTag("r", "", "c", 0), RunTag("r", "a=b&run=x", "%", 999)]
)
def test_the_header_says_the_tag(tag: RunTag) -> None:
    assert RunTag.read(tag.header()) == tag


@pytest.mark.parametrize(
    "value", [b"", b"\xff\xfe", b"repeat=-1", b"repeat=9999999999", b"run", b"&&==", None]
)
def test_a_header_that_says_nothing_is_production(value: bytes | None) -> None:
    assert RunTag.read(value) == PRODUCTION


def test_calls_spooled_before_there_were_runs_stay_readable() -> None:
    call = msgspec.convert(_whole_call(), Call)
    written = msgspec.msgpack.decode(msgspec.msgpack.encode(call))
    older = b"C" + msgspec.msgpack.encode(written[: Call.__struct_fields__.index("run_id")])
    assert decode_record(older) == call
    assert decode_record(encode_record(call)) == call


def _whole_call() -> list[object]:
    named = {"usage": [], "stream": False, "tags": [], "finish_reasons": [], "metadata": {}, "notes": {}, "attempts": [], "request": b"",
             "response": b"", "time_to_first_token": None, "cost": None, "attempt": 1, "repeat": 0}  # fmt: skip
    numbers = {"start", "duration", "http_status"}
    return [named.get(name, 1 if name in numbers else "") for name in Call.__struct_fields__]
