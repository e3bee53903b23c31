"""A stream in which something goes wrong never ends as a whole one does: whatever comes behind it, however it is cut.

In every dialect of apps, from every dialect of providers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, running_gateway

from ratchet.dialects import anthropic, gemini, openai_chat, openai_responses
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.folded import unfold
from ratchet.domain.generation import Answer, Message, Request
from ratchet.domain.messages import TextPart
from ratchet.domain.usage import Usage
from ratchet.gateway.upstream.circuits import Circuit

WORDS = ["Grüße ", "aus ", "東京 ", "👋🏽\n", "— ", "ende."]
PATHS = {
    "/chat/completions": openai_chat.DIALECT,
    "/responses": openai_responses.DIALECT,
    "/messages": anthropic.DIALECT,
    "streamGenerateContent": gemini.DIALECT,
}
APPS = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    "responses": ("/v1/responses", {"input": "hi"}),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 99}),
}
PROVIDERS = ("openai", "responses", "anthropic", "gemini")
SAID = {"type": "server_error", "message": "overloaded", "code": "overloaded"}
FAULTS = {
    "error": (b"", "upstream_failed"),  # as the provider's dialect tells it
    "named": (b'event: error\ndata: {"message":"overloaded"}\n\n', "upstream_failed"),
    "named, no data": (b"event: error\n\n", "upstream_failed"),
    "half": (b'data: {"id": \n\n', "upstream_broken"),
    "html": (b"data: <html>oops</html>\n\n", "upstream_broken"),
    "a page": (b"<html>\n<p>oops</p>\n</html>\n\n", "upstream_failed"),
    "a bare object": (b'{"error": {"message": "overloaded"}}\n\n', "upstream_failed"),
    "no text": (b'data: {"id": "c1", "unknown": "\xff\xfe"}\n\n', "upstream_broken"),
}


class Pieces:
    """A provider of any dialect that answers with the pieces of bytes that `plan` makes of that dialect."""

    def __init__(self) -> None:
        self.rng = random.Random(0)
        self.fault, self.after, self.late, self.asked = "", 0, 0.0, 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await reader.readexactly(
                    int(head.lower().partition("content-length:")[2].split("\r\n", 1)[0])
                )
                dialect = next(each for path, each in PATHS.items() if path in head.split(" ")[1])
                self.asked += 1
                await asyncio.sleep(self.late)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for piece in cut(self.stream(dialect), self.rng):
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def stream(self, dialect: Dialect) -> bytes:
        """The whole of it, with the fault behind so many words."""
        events = good_events(dialect)
        said = [place for place, event in enumerate(events) if holds_a_word(event)]
        place = said[self.after - 1] + 1 if self.after else 0
        fault = FAULTS[self.fault][0] or error_of(dialect) if self.fault else b""
        end = self.rng.choice([b"\n", b"\r\n"])
        return b"".join([*events[:place], fault, *events[place:]]).replace(b"\r\n", b"\n").replace(b"\n", end)


def good_events(dialect: Dialect) -> list[bytes]:
    """A stream that says WORDS, an event each."""
    said = Message("assistant", [TextPart("".join(WORDS))], finish_reason="stop")
    answer = Answer(
        dialect=dialect.name, id="c1", model="m", choices=[said], usage=Usage(input=3, output=12), created=1
    )
    writer = dialect.stream_writer(
        Request(dialect=dialect.name, model="m", messages=[], stream=True, include_usage=True)
    )
    events: list[bytes] = []
    for event in unfold(answer):
        text = getattr(event, "text", None)
        pieces = [type(event)(0, 0, word) for word in WORDS] if text == "".join(WORDS) else [event]
        for piece in pieces:
            written = writer.write(piece).replace(b"\r\n", b"\n")
            events += [each + b"\n\n" for each in written.split(b"\n\n") if each]
    return events


def holds_a_word(event: bytes) -> bool:
    text = event.decode()
    whole = ("output_text.done", "content_part.done", "output_item.done", "response.completed")
    return any(json.dumps(word, ensure_ascii=False)[1:-1] in text for word in WORDS) and not any(
        each in text for each in whole
    )


def error_of(dialect: Dialect) -> bytes:
    data: dict[str, Any] = {"error": SAID}
    if dialect is anthropic.DIALECT:
        data["type"] = "error"
    if dialect is openai_responses.DIALECT:
        data = {**SAID, "type": "error"}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def cut(content: bytes, rng: random.Random) -> Sequence[bytes]:
    """In any pieces: single bytes, the whole, and everything between."""
    how = rng.random()
    if how < 0.1:
        return [content[at : at + 1] for at in range(len(content))]
    places = sorted({rng.randrange(1, len(content)) for _ in range(rng.choice([0, 1, 1, 3, 20]))})
    return [content[a:b] for a, b in itertools.pairwise([0, *places, len(content)])]


@pytest.fixture
async def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[RunningGateway, Pieces]]:
    provider = Pieces()
    async with await asyncio.start_server(provider, "127.0.0.1", 0) as server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = f"[gateway]\nkeep_alive = {getattr(request, 'param', 60)}\n"
        for name in PROVIDERS:
            kind = "openai" if name == "responses" else name
            settings += (
                f'[providers.{name}]\nkind = "{kind}"\nbase_url = "{base}/v1"\napi_key = "env:UPSTREAM_KEY"\n'
            )
            settings += "responses = true\n" if name == "responses" else ""
            settings += f'[routes.{name}]\ntargets = ["{name}/m"]\nmax_attempts = 1\n'
        settings += '[routes.both]\ntargets = ["openai/m", "anthropic/m"]\nmax_attempts = 2\n'
        async with running_gateway(tmp_path, settings) as gateway:
            # What becomes of a provider that fails again and again is another test's.
            monkeypatch.setattr(Circuit, "failed", lambda *_, **__: None)
            yield gateway, provider


async def ask(gateway: RunningGateway, app: str, model: str) -> httpx2.Response:
    path, body = APPS[app]
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20, verify=False) as client:
        return await client.post(f"{gateway.url}{path}", json={**body, "model": model, "stream": True})


def read(answer: httpx2.Response) -> tuple[str, list[str], bool]:
    """The words, the codes of errors, and whether it ended as a whole stream does. Every event can be read."""
    words, codes, ended = "", [], False
    for line in answer.content.decode().splitlines():
        if not line.startswith("data:"):
            continue
        if line[5:].strip() == "[DONE]":
            ended = True
            continue
        data = json.loads(line[5:])
        for choice in data.get("choices", ()):
            words += choice["delta"].get("content") or ""
        match data.get("type"):
            case "content_block_delta":
                words += data["delta"].get("text") or ""
            case "response.output_text.delta":
                words += data["delta"]
            case "message_stop" | "response.completed":
                ended = True
            case "error":
                said = data.get("error", data)
                codes.append(said.get("code") or said["message"].partition("(code: ")[2].rstrip(")"))
            case _ if "error" in data:
                codes.append(data["error"]["code"])
            case _:
                pass
    return words, codes, ended


def code_of(answer: httpx2.Response) -> str:
    error = answer.json()["error"]
    return error.get("code") or error["message"].partition("(code: ")[2].rstrip(")")


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_a_fault_it_is_whole(
    place: tuple[RunningGateway, Pieces], app: str, provider: str
) -> None:
    gateway, pieces = place
    pieces.rng = random.Random(f"{app} {provider}")
    for _ in range(8):
        answer = await ask(gateway, app, provider)
        assert read(answer) == ("".join(WORDS), [], True), answer.text
    assert {call.status for call in gateway.calls()} == {"ok"}


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_fault_is_told_whatever_follows_it(
    place: tuple[RunningGateway, Pieces], app: str, provider: str
) -> None:
    """Behind the words before it, and nothing else; or as a status, where the app has none of them yet."""
    gateway, pieces = place
    pieces.rng = rng = random.Random(f"{app} {provider}")
    for fault in list(FAULTS) * 6:
        pieces.fault, code = fault, FAULTS[fault][1]
        pieces.after = rng.randrange(1, len(WORDS) + 1)
        answer = await ask(gateway, app, provider)
        if answer.status_code == 200:
            assert read(answer) == ("".join(WORDS[: pieces.after]), [code], False), answer.text
        else:
            assert (answer.status_code, code_of(answer)) == (502, code)
    assert [call.error_type for call in gateway.calls()] == [code for _, code in FAULTS.values()] * 6


@pytest.mark.parametrize("place", [0.1], indirect=True, ids=["soon"])
@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("app", APPS)
async def test_behind_a_comment_it_is_told_inside_the_stream(
    place: tuple[RunningGateway, Pieces], app: str, after: int
) -> None:
    gateway, pieces = place
    pieces.late, pieces.after = 0.25, after
    for provider, fault in itertools.product(PROVIDERS, FAULTS):
        pieces.fault = fault
        answer = await ask(gateway, app, provider)
        assert (answer.status_code, answer.text.startswith(": waiting")) == (200, True)
        words, codes, ended = read(answer)
        assert (codes, ended) == ([FAULTS[fault][1]], False), answer.text
        assert words in ("", "".join(WORDS[:after]))


@pytest.mark.parametrize("app", APPS)
async def test_before_the_first_word_another_target_is_asked(
    place: tuple[RunningGateway, Pieces], app: str
) -> None:
    gateway, pieces = place
    for pieces.fault in FAULTS:
        pieces.asked = 0
        answer = await ask(gateway, app, "both")
        assert (answer.status_code, pieces.asked, code_of(answer)) == (502, 2, FAULTS[pieces.fault][1])
    for call in gateway.calls():
        assert [attempt.target for attempt in call.attempts] == ["openai/m"]
