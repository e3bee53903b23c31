"""Comments to an app that waits, where it has not even read what it was sent before."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.conftest import running_app, running_gateway

_LARGE = 24 << 20  # bytes: more than the kernel keeps for a client that does not read
_QUESTION = {"model": "one/m", "messages": [{"role": "user", "content": "Hello?"}]}


def _answer(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()


def _stream(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
    chunk = {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()


class Provider:
    """Answers at once, with much, where no stream is asked for; and late where one is, in the way named."""

    def __init__(self, then: str) -> None:
        self.then = then
        self.answered = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        if not json.loads(message["body"]).get("stream"):
            await self._send(send, 200, b"application/json", _answer("x" * _LARGE))
            return
        await asyncio.sleep(0.4)  # several comments' time
        match self.then:
            case "fails":
                await self._send(send, 400, b"application/json", b'{"error": {"message": "no"}}')
            case "answers whole":
                await self._send(send, 200, b"application/json", _answer("Here."))
            case _:
                await self._send(send, 200, b"text/event-stream", _stream("Here."))
        self.answered.set()

    async def _send(self, send: Any, status: int, kind: bytes, body: bytes) -> None:
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _request(key: str, **fields: Any) -> bytes:
    body = json.dumps({**_QUESTION, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines if line]
    return int(status.split()[1]), dict(pairs)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = b""
    while size := int(await reader.readline(), 16):
        found += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return found


@pytest.mark.parametrize("then", ["fails", "answers whole", "streams"])
async def test_an_answer_that_begins_while_its_client_is_stuck_has_a_head(tmp_path: Path, then: str) -> None:
    provider = Provider(then)
    async with running_app(provider) as address:
        settings = (
            f'[providers.one]\nkind = "openai"\nbase_url = "{address}/v1"\napi_key = "env:UPSTREAM_KEY"\n'
            "[gateway]\nkeep_alive = 0.05\n"
        )
        async with running_gateway(tmp_path, settings) as gateway:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
            client.setblocking(False)
            place = urlsplit(gateway.url)
            await asyncio.get_running_loop().sock_connect(client, (place.hostname, place.port))
            reader, writer = await asyncio.open_connection(sock=client)
            # The first comment wants to be sent while the first answer still fills the connection.
            writer.write(_request(gateway.key) + _request(gateway.key, stream=True))
            await asyncio.wait_for(provider.answered.wait(), 15)
            for _ in range(100):  # turns of the loop, in which the gateway learns of it
                await asyncio.sleep(0.001)
            status, headers = await _head(reader)
            first = json.loads(await reader.readexactly(int(headers["content-length"])))
            assert (status, len(first["choices"][0]["message"]["content"])) == (200, _LARGE)
            status, headers = await _head(reader)
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
            rest = await asyncio.wait_for(_chunks(reader), 15)
            writer.close()
    assert (b"upstream_refused" if then == "fails" else b"Here.") in rest
    assert rest.count(b"[DONE]") == (0 if then == "fails" else 1)
