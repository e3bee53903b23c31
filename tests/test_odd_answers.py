"""Answers that look good and are not, streams that say nothing new, and what is told of each."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import RunningGateway, running_gateway

from ratchet.dialects import anthropic as messages
from ratchet.dialects import openai_chat, openai_responses
from ratchet.domain.generation import Answer, Message, Request
from ratchet.domain.messages import TextPart
from ratchet.domain.usage import Usage
from ratchet.gateway.attempt import Stall

Reply = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
GOOD = (
    b'{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}]}'
)
WORD = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"one "}}]}\n\n'


@asynccontextmanager
async def listening(reply: Reply) -> AsyncIterator[str]:
    """A provider that answers by `reply`, which is handed the request's path."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(
                    int(head.lower().partition("content-length:")[2].split("\r\n", 1)[0])
                )
                await reply(head.split(" ")[1], writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def send(writer: asyncio.StreamWriter, body: bytes, status: int = 200, more: bytes = b"") -> None:
    writer.write(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%b" % (status, more))
    writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))


def begin(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")


async def never(_path: str, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


def sending(body: bytes, status: int = 200, more: bytes = b"") -> Reply:
    async def reply(_path: str, writer: asyncio.StreamWriter) -> None:
        send(writer, body, status, more)

    return reply


async def ask(gateway: RunningGateway, model: str, *, stream: bool = False) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20, verify=False) as client:
        return await client.post(f"{gateway.url}/v1/chat/completions", json=body)


async def test_an_answer_that_is_no_utf8_is_no_answer(tmp_path: Path) -> None:
    async with (
        listening(sending(GOOD % b"\xff\xfe")) as bad,
        listening(sending(GOOD % "schön".encode())) as good,
    ):
        settings = f"""
[providers.bad]
kind = "openai"
base_url = "{bad}"
[providers.good]
kind = "openai"
base_url = "{good}"
[routes.alone]
targets = ["bad/m"]
max_attempts = 1
[routes.both]
targets = ["bad/m", "good/m"]
"""
        async with running_gateway(tmp_path, settings) as gateway:
            alone, both = await ask(gateway, "alone"), await ask(gateway, "both")
    error = alone.json()["error"]
    assert (alone.status_code, error["code"]) == (502, "upstream_broken")
    assert "instead of a JSON object in UTF-8." in error["message"]
    assert both.json()["choices"][0]["message"]["content"] == "schön"


async def whole_always(path: str, writer: asyncio.StreamWriter) -> None:
    """A provider that knows no streams, in every dialect."""
    found = {"/v1/messages": messages, "/v1/responses": openai_responses}.get(path, openai_chat)
    said = Message("assistant", [TextPart("All of it.")], finish_reason="stop")
    name = found.DIALECT.name
    answer = Answer(
        dialect=name, id="1", model="m", choices=[said], usage=Usage(input=3, output=4), created=1
    )
    send(writer, found.DIALECT.write_answer(answer, Request(dialect=name, model="m", messages=[])))


async def test_official_clients_get_a_stream_from_a_provider_that_knows_none(tmp_path: Path) -> None:
    async with listening(whole_always) as base:
        settings = f"""
[providers.one]
kind = "openai"
base_url = "{base}"
responses = true
[providers.two]
kind = "anthropic"
base_url = "{base}"
api_key = "env:UPSTREAM_KEY"
"""
        async with running_gateway(tmp_path, settings) as gateway:
            one = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
            two = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)
            asked: Any = {"messages": [{"role": "user", "content": "hi"}]}
            async with one, two:
                chat = ""
                async for chunk in await one.chat.completions.create(model="one/m", stream=True, **asked):
                    chat += "".join(choice.delta.content or "" for choice in chunk.choices)
                async with one.responses.stream(model="one/m", input="hi") as events:
                    answered = await events.get_final_response()
                async with two.messages.stream(model="two/m", max_tokens=9, **asked) as events:
                    message = await events.get_final_text()
            calls = gateway.calls()
    assert (chat, answered.output_text, message) == ("All of it.",) * 3
    assert [(call.status, call.usage.output, call.finish_reasons) for call in calls] == [
        ("ok", 4, ["stop"])
    ] * 3


@pytest.mark.parametrize("pieces", [(b": ping\n\n",), (b": pi", b"ng\n\n"), (b"\n", b":\r\n")])
async def test_comments_do_not_keep_a_stream_alive(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    async def reply(_path: str, writer: asyncio.StreamWriter) -> None:
        begin(writer)
        writer.write(WORD)
        for _ in range(100):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)

    async with listening(reply) as base:
        settings = f'[providers.one]\nkind = "openai"\nbase_url = "{base}"\n'
        settings += '[routes.quiet]\ntargets = ["one/m"]\nstall_timeout = 0.4\n'
        async with running_gateway(tmp_path, settings) as gateway:
            answer = await ask(gateway, "quiet", stream=True)
            (call,) = gateway.calls()
    assert '"content":"one "' in answer.text
    assert '"code":"upstream_timeout"' in answer.text
    assert "nothing new within 0.4 s. Try again, or raise stall_timeout of the route 'quiet'." in answer.text
    assert 0.4e9 < call.duration < 4e9


class _GivenUp:
    """Stands for an answer, to see whether it is given up."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def give_up(self, error: Exception) -> None:
        self.error = error


async def test_the_time_that_an_app_takes_to_read_is_not_the_providers() -> None:
    answer: Any = _GivenUp()
    stall = Stall(answer, 0.1)
    for _ in range(3):  # the provider is quick, the app is not
        stall.wait()
        stall.came(b": ping\n\n")
        await asyncio.sleep(0.15)
    assert answer.error is None
    stall.wait()
    await asyncio.sleep(0.2)
    assert answer.error is not None


LINES = st.lists(st.sampled_from([": ping", ":", "", "data: one", "event: x", "data"]), max_size=8)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.lists(st.integers(0, 80), max_size=12))
def test_what_is_new_is_told_from_comments_however_it_is_cut(
    lines: list[str], end: str, cuts: list[int]
) -> None:
    stream = "".join(line + end for line in lines).encode()
    stall = Stall.__new__(Stall)
    stall._line = b""
    places = [0, *sorted(place for place in cuts if place < len(stream)), len(stream)]
    said = [stall._says_something(stream[a:b]) for a, b in itertools.pairwise(places)]
    assert any(said) == any(line and not line.startswith(":") for line in lines)


@pytest.mark.parametrize(
    ("reply", "route", "told"),
    [
        (never, "timeout = 0.5", "not whole within 0.5 s. Try again, or raise timeout of the route 'r'"),
        (never, "", "not whole within 0.7 s. Try again, or raise timeout of the provider 'one'."),
        (
            never,
            '[routes.r.options."one/m"]\ntimeout = 0.3',
            "not whole within 0.3 s. Try again, or raise timeout of one/m in the route 'r'.",
        ),
        (
            sending(b'{"error":{"message":"overloaded"}}', 500),
            "",
            "status 500: overloaded. Try again in a moment",
        ),
        (sending(b'{"error":{"message":"overloaded"}}'), "", "an error: overloaded. Try again in a moment."),
        (
            sending(b"", 302, b"location: /elsewhere\r\n"),
            "",
            "which is not followed. The gateway's operator has to check providers.one.base_url.",
        ),
    ],
    ids=["route", "provider", "target", "status", "object", "redirect"],
)
async def test_what_is_said_of_it(tmp_path: Path, reply: Reply, route: str, told: str) -> None:
    async with listening(reply) as base:
        settings = f'[providers.one]\nkind = "openai"\nbase_url = "{base}"\ntimeout = 0.7\n'
        settings += f'[routes.r]\ntargets = ["one/m"]\nmax_attempts = 1\n{route}\n'
        async with running_gateway(tmp_path, settings) as gateway:
            answer = await ask(gateway, "r")
    assert told in answer.json()["error"]["message"]


async def test_first_token_and_no_connection(tmp_path: Path, free_port: int) -> None:
    async with listening(never) as base:
        settings = f"""
[providers.one]
kind = "openai"
base_url = "{base}"
[providers.none]
kind = "openai"
base_url = "http://127.0.0.1:{free_port}/v1"
[routes.first]
targets = ["one/m"]
max_attempts = 1
first_token_timeout = 0.2
[routes.none]
targets = ["none/m"]
max_attempts = 1
"""
        async with running_gateway(tmp_path, settings) as gateway:
            first, none = await ask(gateway, "first", stream=True), await ask(gateway, "none")
    assert (
        "one/m said nothing within 0.2 s. Try again, or raise first_token_timeout of the route 'first'."
        in first.json()["error"]["message"]
    )
    assert ".." not in none.json()["error"]["message"]


async def test_an_account_that_is_out_of_money_is_no_quota_of_the_apps(tmp_path: Path) -> None:
    out = json.dumps(
        {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}
    ).encode()
    async with listening(sending(out, 429)) as base:
        settings = f'[providers.one]\nkind = "openai"\nbase_url = "{base}"\n'
        async with running_gateway(tmp_path, settings) as gateway:
            answer = await ask(gateway, "one/m")
            events = [
                each for each in gateway.recorded() if getattr(each, "kind", "") == "credential.refused"
            ]
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_credentials")
    assert len(events) == 1
