"""Clients that are slow, or that send heads without end, over real sockets; and providers that send too much."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.conftest import RunningGateway, eventually, running_app, running_gateway

from ratchet.gateway.endpoints.http import GatewayApp
from ratchet.serving import ClientLimits

QUICK = ClientLimits(head_time=0.3, body_pause=0.3, body_rate=100, idle=0.6, read_pause=0.4)
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHAT = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def said(address: str, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that comes back until the server closes."""
    async with connected(address) as (reader, writer), asyncio.timeout(15):

        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)

        sending = asyncio.create_task(send())
        try:
            with contextlib.suppress(ConnectionError):
                return await reader.read()
            return b""
        finally:
            sending.cancel()


@pytest.fixture
async def quick(gateway: RunningGateway) -> AsyncIterator[str]:
    """The gateway again, with a tenth of its patience."""
    async with running_app(GatewayApp(gateway.services), limits=QUICK) as address:
        yield address


def authorized(gateway: RunningGateway, length: int) -> bytes:
    return HEAD + b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n" % (gateway.key.encode(), length)


async def test_a_head_that_does_not_end(quick: str) -> None:
    began = time.monotonic()
    assert (await said(quick, HEAD)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert time.monotonic() - began < 5
    letters = [HEAD[at : at + 1] for at in range(len(HEAD))]
    assert (await said(quick, *letters, pause=0.05)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_pauses_or_trickles(quick: str, gateway: RunningGateway) -> None:
    assert (await said(quick, authorized(gateway, 100), b"{")).startswith(b"HTTP/1.1 408 ")
    letters = [b" "] * 500  # one comes in time each time, and a hundred a second would have to
    assert (await said(quick, authorized(gateway, 500), *letters, pause=0.05)).startswith(b"HTTP/1.1 408 ")
    assert gateway.recorded() == [], "there was nobody to answer"
    body = json.dumps(CHAT).encode()
    slow_enough = [body[at : at + 10] for at in range(0, len(body), 10)]
    async with connected(quick) as (reader, writer):
        writer.write(authorized(gateway, len(body)))
        for piece in slow_enough:
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"


async def test_a_body_that_nobody_waits_for_is_not_waited_for_either(quick: str) -> None:
    answer = await said(quick, b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_connection_without_a_request_is_closed(quick: str) -> None:
    assert await said(quick) == b""
    answer = await said(quick, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n", b"\r\n", pause=0.1)
    assert answer.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n" % (b"a" * 9000), b"414 URI Too Long"),
        (b"GET /healthz HTTP/1.1\r\n%b\r\n" % (b"x: y\r\n" * 101), b"431 Request Header"),
        (b"GET /healthz HTTP/1.1\r\nx: %b\r\n\r\n" % (b"y" * 66_000), b"431 Request Header"),
        (b"GET /healthz HTTP/1.1\r\nx: %b" % (b"y" * 200_000), b"431 Request Header"),
        (b"GET /%b" % (b"a" * 200_000), b"431 Request Header"),
        (b"GET /healthz HTTP/1.1\r\n%b\r\n" % (b"x: y\r\n" * 100), b"200 OK"),
        (b"GET /healthz HTTP/1.1\r\nx: %b\r\n\r\n" % (b"y" * 60_000), b"200 OK"),
    ],
)
async def test_the_size_of_a_head(quick: str, head: bytes, status: bytes) -> None:
    assert (await said(quick, head)).startswith(b"HTTP/1.1 " + status)


async def test_a_refused_head_gets_no_answer_in_the_middle_of_another(
    quick: str, gateway: RunningGateway
) -> None:
    body = json.dumps({**CHAT, "stream": True}).encode()
    too_much = b"GET /healthz HTTP/1.1\r\n%b\r\n" % (b"x: y\r\n" * 101)
    answer = await said(quick, authorized(gateway, len(body)) + body + too_much)
    assert b"431" not in answer


async def test_a_client_that_reads_nothing_is_cut_off_and_costs_little_memory() -> None:
    sent = 0
    over = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())  # the request's own end comes first
        while not gone.done() or (await gone)["type"] != "http.disconnect":
            if gone.done():
                gone = asyncio.ensure_future(receive())
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            sent += 10_000
            await asyncio.sleep(0)
        over.set()

    async with running_app(endless, limits=QUICK) as address:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await eventually(over.is_set)
    assert 0 < sent < 16 << 20, "what the network does not take is not made"


# -- what is packed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (gzip.compress(b" " * (60 << 20)), "gzip", "request_too_large"),
        (zlib.compress(b" " * (60 << 20)), "deflate", "request_too_large"),
        (gzip.compress(b"") * 100_000, "gzip", "invalid_request"),
        (gzip.compress(gzip.compress(b" " * (60 << 20))), "gzip", "invalid_request"),
        (b"\x1f\x8b" + b"\0" * 100, "gzip", "invalid_request"),
        (b"xx", "br", "unsupported_media_type"),
        (b"xx", "gzip, gzip", "unsupported_media_type"),
    ],
    ids=["gzip", "deflate", "members", "twice", "broken", "br", "list"],
)
async def test_packed_spans_that_are_bombs(
    gateway: RunningGateway, body: bytes, encoding: str, code: str
) -> None:
    headers = {
        "authorization": f"Bearer {gateway.key}",
        "content-type": "application/json",
        "content-encoding": encoding,
    }
    began = time.monotonic()
    async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
        response = await client.post(f"{gateway.url}/v1/traces", content=body)
    assert response.status_code in (400, 413, 415), response.text
    assert (
        gateway.services.metrics.render(
            spool_bytes=0, spool_refused=0, records_revision=0, settings_refused=False, providers_ready={}
        )
        .decode()
        .count(f'reason="{code}"')
        == 1
    )
    assert time.monotonic() - began < 5


# -- what providers send -------------------------------------------------------------------------------------------


def answer_with(headers: list[tuple[bytes, bytes]], *parts: bytes) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        content = [(b"content-type", b"application/json"), *headers]
        await send({"type": "http.response.start", "status": 200, "headers": content})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("app", "words"),
    [
        (answer_with([(b"content-encoding", b"gzip")], gzip.compress(b"{}")), "packed (gzip)"),
        (answer_with([], *[b" " * 100_000] * 11), "longer than 1,048,576 bytes"),
        (answer_with([(b"x-%d" % at, b"y" * 1000) for at in range(300)], b"{}"), "headers are longer than"),
    ],
    ids=["packed", "long", "head"],
)
async def test_an_answer_that_is_packed_or_without_end_is_the_providers_failure(
    tmp_path: Path, app: Any, words: str, stream: bool
) -> None:
    async with running_app(app) as address:
        settings = f"""
[gateway]
max_answer_bytes = 1048576
[providers.up]
kind = "openai"
base_url = "{address}"
"""
        async with running_gateway(tmp_path, settings) as gateway:
            headers = {"authorization": f"Bearer {gateway.key}"}
            async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
                body = {**CHAT, "model": "up/x", "stream": stream}
                response = await client.post(f"{gateway.url}/v1/chat/completions", json=body)
    assert response.status_code == 502
    error = response.json()["error"]
    assert (error["code"], words in error["message"]) == ("upstream_broken", True), error


DEEP = b'{"choices":' + b'[{"a":' * 100_000 + b"1" + b"}]" * 100_000 + b"}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
async def test_an_answer_that_is_nested_without_end_is_the_providers_failure(
    tmp_path: Path, path: str, stream: bool
) -> None:
    content = b"data: %b\n\ndata: [DONE]\n\n" % DEEP if stream else DEEP

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        media = b"text/event-stream" if stream else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
        await send({"type": "http.response.body", "body": content})

    async with running_app(app) as address:
        settings = f'[providers.up]\nkind = "openai"\nbase_url = "{address}"\n'
        async with running_gateway(tmp_path, settings) as gateway:
            headers = {"authorization": f"Bearer {gateway.key}"}
            async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
                body = {**CHAT, "model": "up/x", "stream": stream, "max_tokens": 9, "input": "hello"}
                body.pop("input" if path != "/v1/responses" else "messages")
                response = await client.post(gateway.url + path, json=body)
            (call,) = gateway.calls()
    assert call.status == "error"
    assert response.status_code == 502 or b"error" in response.content
    assert "internal_error" not in response.text
