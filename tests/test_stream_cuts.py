"""However the bytes of a stream are written and cut, an app gets the same of it."""

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

from ratchet.gateway.upstream.circuits import Circuit

WORDS = ["Grüße", " aus", " 東京", " 👋🏽", "\n", "— ende."]
USAGE = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}


class Pieces:
    """A provider that answers every request with the same pieces of bytes, each in a write of its own."""

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] = ()
        self.cut = False  # hang up behind them

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for piece in self.pieces:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.cut:
                    break
                writer.write(b"0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RunningGateway, Pieces]]:
    provider = Pieces()
    async with await asyncio.start_server(provider, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = (
            f'[providers.raw]\nkind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
            '[routes.raw]\ntargets = ["raw/gpt-4o"]\nmax_attempts = 1\n'
        )
        async with running_gateway(tmp_path, settings) as gateway:
            # What becomes of a provider that fails again and again is another test's.
            monkeypatch.setattr(Circuit, "failed", lambda *_, **__: None)
            yield gateway, provider


def event(choices: list[dict[str, Any]], **more: Any) -> str:
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": choices,
    }
    return json.dumps({**chunk, **more}, ensure_ascii=False)


def events(usage: str) -> list[str]:
    """The data of a whole stream; `usage` is told in its last chunk, in one with the end, or nowhere."""
    said = [event([{"index": 0, "delta": {"role": "assistant", "content": ""}}])]
    said += [event([{"index": 0, "delta": {"content": word}}]) for word in WORDS]
    with_end = {"usage": USAGE} if usage == "with the end" else {}
    said.append(event([{"index": 0, "delta": {}, "finish_reason": "stop"}], **with_end))
    if usage == "last":
        said.append(event([], usage=USAGE))
    return [*said, "[DONE]"]


def written(data: Sequence[str], rng: random.Random) -> bytes:
    """As bytes, in one of the ways in which servers write such a stream."""
    end = rng.choice(["\n", "\r\n"])
    space = rng.choice([" ", ""])
    text = "\ufeff" if rng.random() < 0.3 else ""
    for each in data:
        if rng.random() < 0.3:
            text += rng.choice([f": keep-alive{end}{end}", f":{end}", f"event: message{end}", f"id: 7{end}"])
        text += f"data:{space}{each}{end}{end}"
    return text.encode()


def cut(content: bytes, rng: random.Random) -> list[bytes]:
    """In any pieces: single bytes, the whole, and everything between."""
    how = rng.random()
    if how < 0.1:
        return [content[at : at + 1] for at in range(len(content))]
    places = sorted(
        {rng.randrange(1, len(content)) for _ in range(rng.choice([0, 1, 3, 20])) if len(content) > 1}
    )
    return [content[a:b] for a, b in itertools.pairwise([0, *places, len(content)])]


async def ask(gateway: RunningGateway) -> httpx2.Response:
    headers = {"authorization": f"Bearer {gateway.key}"}
    body = {"model": "raw", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
        return await client.post(f"{gateway.url}/v1/chat/completions", json=body)


def read(answer: httpx2.Response) -> tuple[str, list[str], bool]:
    """The words, the codes of errors, and whether it ended as a whole stream does. Every event can be read."""
    text = answer.content.decode().lstrip("\ufeff").replace("\r\n", "\n")
    data = [line[5:].strip() for line in text.split("\n") if line.startswith("data:")]
    chunks = [json.loads(each) for each in data if each != "[DONE]"]
    words = "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ())
    )
    return (
        words,
        [chunk["error"].get("code", "") for chunk in chunks if "error" in chunk],
        data[-1:] == ["[DONE]"],
    )


@pytest.mark.parametrize("usage", ["last", "with the end", "nowhere"])
async def test_a_whole_stream(place: tuple[RunningGateway, Pieces], usage: str) -> None:
    gateway, provider = place
    rng = random.Random(f"whole {usage}")
    for turn in range(60):
        content = written(events(usage), rng)
        provider.pieces = cut(content, rng)
        answer = await ask(gateway)
        assert read(answer) == ("".join(WORDS), [], True), (turn, provider.pieces)
    for call in gateway.calls():
        assert (call.status, call.finish_reasons) == ("ok", ["stop"])
        assert call.usage.output == (None if usage == "nowhere" else 6)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ('{"error": {"message": "overloaded", "type": "server_error"}}', "upstream_failed"),
        ('{"id": "c1", "choices": [{"ind', "upstream_broken"),
        ("<html>", "upstream_broken"),
        (None, "upstream_truncated"),
    ],
    ids=["error", "half", "html", "nothing"],
)
async def test_a_stream_that_goes_wrong(
    place: tuple[RunningGateway, Pieces], wrong: str | None, code: str
) -> None:
    """It is told inside the stream behind the words that came before; or, where no word has left yet, as a status."""
    gateway, provider = place
    rng = random.Random(f"wrong {code}")
    told_as = set()
    for turn in range(60):
        good = events("nowhere")[: rng.randrange(0, 7)]
        content = written([*good, *([wrong] if wrong is not None else [])], rng) or b": nothing\n\n"
        provider.pieces = cut(content, rng)
        answer = await ask(gateway)
        told_as.add(answer.status_code)
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, code), (
                turn,
                provider.pieces,
            )
            continue
        words, codes, ended = read(answer)
        assert words == "".join(WORDS)[: len(words)], (turn, provider.pieces)
        assert codes[-1] == code, (turn, answer.text)
        assert not ended
    assert told_as == {200, 502}, "both ways were tried"
    assert {call.error_type for call in gateway.calls()} == {code}


async def test_a_stream_that_is_cut_never_ends_cleanly(place: tuple[RunningGateway, Pieces]) -> None:
    gateway, provider = place
    provider.cut = True
    rng = random.Random("cut")
    whole = written(events("last"), rng)
    end = whole.index(b'"stop"')
    for _ in range(60):
        provider.pieces = cut(whole[: rng.randrange(1, end)], rng)
        answer = await ask(gateway)
        if answer.status_code == 200:
            words, codes, ended = read(answer)
            assert "".join(WORDS).startswith(words)
            assert (codes, ended) == (["upstream_broken"], False)
        else:
            assert answer.json()["error"]["code"] == "upstream_broken"
