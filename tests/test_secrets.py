"""A provider that says the credential it was shown: nobody else hears it, and it is written nowhere."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import RunningGateway, running_app, running_gateway

from ratchet.gateway.upstream.connection import Connection

SECRET = "sk-proj-0123456789abcdefABCDEF"
BODY = {"model": "up/m", "messages": [{"role": "user", "content": "hello"}]}


class Echo:
    """A provider that repeats the key it was shown, in a way that the request names."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        shown = dict(scope["headers"])[b"authorization"].decode().split(" ")[1]
        assert shown == SECRET
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        how = json.loads(body)["messages"][0]["content"]
        status, kind, parts = self.answer(how, shown)
        headers = [(b"content-type", kind.encode()), (b"x-request-id", f"req {shown}".encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in parts:
            await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
            await asyncio.sleep(0.005)
        await send({"type": "http.response.body", "body": b""})

    def answer(self, how: str, shown: str) -> tuple[int, str, list[str]]:
        error = json.dumps({"error": {"message": f"Incorrect API key provided: {shown}.", "type": "x"}})
        chunk = {"id": "1", "model": "m", "object": "chat.completion.chunk", "created": 1}
        match how:
            case "event":
                first = json.dumps({**chunk, "choices": [{"index": 0, "delta": {"content": "A"}}]})
                text = f"data: {first}\n\ndata: {error}\n\n"
                return 200, "text/event-stream", [text[at : at + 7] for at in range(0, len(text), 7)]
            case "page":
                return 500, "text/html", [f"<html>no {shown[:9]}", f"{shown[9:]} here</html>"]
            case "nonsense":
                return 200, "application/json", [f"no {shown} here"]
            case status:
                return int(status), "application/json", [error[:50], error[50:]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "how", ["400", "401", "404", "422", "429", "500", "503", "page", "nonsense", "event"]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_what_a_provider_repeats_goes_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, stream: bool, path: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_app(Echo()) as address:
        settings = f'[providers.up]\nkind = "openai"\nbase_url = "{address}"\napi_key = "env:UP_KEY"\n'
        async with running_gateway(tmp_path, settings, environment={"UP_KEY": SECRET}) as gateway:
            body = {**BODY, "messages": [{"role": "user", "content": how}], "stream": stream, "max_tokens": 9}
            headers = {"authorization": f"Bearer {gateway.key}"}
            async with httpx2.AsyncClient(headers=headers) as client:
                response = await client.post(gateway.url + path, json=body)
                metrics = (await client.get(f"{gateway.url}/metrics")).text
            assert_nowhere(gateway, response, metrics, caplog)


def assert_nowhere(
    gateway: RunningGateway, response: httpx2.Response, metrics: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = response.text + str(response.headers)
    written = b"".join(
        path.read_bytes()
        for path in gateway.folder.rglob("*")
        if path.is_file() and "records" not in path.name
    )
    assert gateway.calls(), "it was written down"
    for place, text in (
        ("answer", told),
        ("spool", written.decode("latin-1")),
        ("log", caplog.text),
        ("metrics", metrics),
    ):
        for secret in (SECRET, gateway.key):
            assert secret not in text, place
            assert secret[3:-3] not in text, place


async def test_a_word_that_some_servers_want_for_a_key_stays_a_word(tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        content = b'{"id": "1", "choices": [], "note": "ollama is a word"}'
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async with running_app(app) as address:
        settings = f'[providers.up]\nkind = "openai"\nbase_url = "{address}"\napi_key = "env:UP_KEY"\n'
        async with running_gateway(tmp_path, settings, environment={"UP_KEY": "ollama"}) as gateway:
            headers = {"authorization": f"Bearer {gateway.key}"}
            async with httpx2.AsyncClient(headers=headers) as client:
                response = await client.post(f"{gateway.url}/v1/chat/completions", json=BODY)
    assert response.json()["note"] == "ollama is a word"


class Wire(asyncio.Transport):
    """A transport on which nothing goes anywhere."""

    def write(self, data: Any) -> None:
        """Nobody listens."""

    def abort(self) -> None:
        """There is nothing to close."""

    def pause_reading(self) -> None:
        """Nothing comes but what the test hands over."""

    def resume_reading(self) -> None:
        """As above."""


async def through(pieces: list[bytes], secret: bytes) -> bytes:
    connection = Connection(lambda _: None, 1 << 20)
    connection.connection_made(Wire())
    answer = connection.send(b"", 60, secret)
    for piece in pieces:
        connection.data_received(piece)
    return await answer.body()


WORDS = st.lists(
    st.sampled_from([SECRET, SECRET[:9], SECRET[9:], SECRET[:-1], "sk-", "s", "\n", "}", "x"]), max_size=12
)


@given(words=WORDS, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=8), chunked=st.booleans())
def test_wherever_an_answer_is_cut(words: list[str], cuts: list[int], chunked: bool) -> None:
    text = "".join(words).encode()
    if chunked:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        wire = head + (b"%x\r\n%b\r\n" % (len(text), text) if text else b"") + b"0\r\n\r\n"
    else:
        wire = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)
    pieces: list[bytes] = []
    at = 0
    while at < len(wire):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(wire[at : at + size])
        at += size
    assert asyncio.run(through(pieces, SECRET.encode())) == text.replace(SECRET.encode(), b"[redacted]")
