"""HTTP/1.1 as it is served: framing, order, what applications may do wrong, and clients that leave. Over real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import running_app

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
GET = b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /%b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        more = message["more_body"]
    return body


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Says what was asked: whole at `/whole`, in pieces at any other path."""
    body = await body_of(receive)
    said = b"%b %b %b" % (scope["method"].encode(), scope["raw_path"], body)
    if scope["path"] == "/whole":
        headers = [(b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "soon": True})
        await send({"type": "http.response.body", "body": said})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": said[:3], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    await send({"type": "http.response.body", "body": said[3:]})


@asynccontextmanager
async def connected(address: str) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def said(app: App, *pieces: bytes) -> bytes:
    """All that comes back for these pieces, until the server closes."""
    async with running_app(app) as address, connected(address) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.read(), 10)


async def test_a_whole_answer_and_one_in_pieces() -> None:
    answer = await said(echo, GET % b"whole", LAST % b"pieces")
    assert answer == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nGET /whole "
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nGET\r\n9\r\n /pieces \r\n0\r\n\r\n"
    )


@pytest.mark.parametrize("path", [b"whole", b"pieces"])
async def test_head_has_the_head_alone(path: bytes) -> None:
    answer = await said(echo, b"HEAD /%b HTTP/1.1\r\nhost: x\r\n\r\n" % path, LAST % b"whole")
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_old_client_has_the_connection_closed() -> None:
    answer = await said(echo, b"GET /whole HTTP/1.0\r\n\r\n")
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\nGET /whole "


async def test_who_waits_to_be_asked_for_the_body_is_asked() -> None:
    head = b"POST /whole HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    async with running_app(echo) as address, connected(address) as (reader, writer):
        writer.write(head)
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"ok")
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"POST /whole ok")


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from([b"whole", b"pieces"]), st.binary(max_size=300)), min_size=1, max_size=6
    ),
    st.lists(st.integers(1, 400), max_size=12),
    st.booleans(),
)
def test_requests_in_any_pieces_are_answered_in_their_order(
    asked: list[tuple[bytes, bytes]], cuts: list[int], chunked: bool
) -> None:
    def request(path: bytes, body: bytes, *, last: bool) -> bytes:
        head = b"POST /%b HTTP/1.1\r\nhost: x\r\n%b" % (path, b"connection: close\r\n" if last else b"")
        if chunked and body:
            return head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)

    stream = b"".join(
        request(path, body, last=number == len(asked)) for number, (path, body) in enumerate(asked, 1)
    )
    pieces: list[bytes] = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    answer = asyncio.run(said(echo, *[piece for piece in [*pieces, stream] if piece]))
    for path, body in asked:
        head, _, rest = answer.partition(b"\r\n\r\n")
        expected = b"POST /%b %b" % (path, body)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        if path == b"whole":
            assert rest[: len(expected)] == expected
            answer = rest[len(expected) :]
        else:
            end = b"3\r\nPOS\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(expected) - 3, expected[3:])
            assert rest[: len(end)] == end
            answer = rest[len(end) :]
    assert answer == b""


async def test_what_is_no_http_is_refused() -> None:
    assert (await said(echo, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b", b"a\x1bb"])
async def test_a_header_can_hold_no_line(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", value)]})

    caplog.set_level(logging.CRITICAL)
    answer = await said(app, GET % b"")
    assert b"set-cookie" not in answer
    assert not answer.startswith(b"HTTP/1.1 200")


async def _raises(_scope: Message, _receive: Receive, _send: Send) -> None:
    raise ValueError("a bug")


async def _says_nothing(_scope: Message, _receive: Receive, _send: Send) -> None:
    return


@pytest.mark.parametrize("app", [_raises, _says_nothing])
async def test_an_application_that_fails_is_told_to_the_client(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await said(app, GET % b"")
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert answer.endswith(b"Internal Server Error")
    assert caplog.records


@pytest.mark.parametrize("length", [1, 9])
async def test_an_answer_of_another_length_than_announced_breaks_the_connection(
    length: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(_scope: Message, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    answer = await said(app, GET % b"", LAST % b"")
    assert answer.count(b"HTTP/1.1") == 1
    assert "Content-Length" in caplog.text


async def test_who_leaves_is_told_of_at_once() -> None:
    left, heard = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await body_of(receive)
        scope["ratchet.cycle"].on_leave = left.set
        await send({"type": "http.response.start", "status": 200, "headers": []})
        heard.set_result(await receive())
        await send({"type": "http.response.body", "body": b"to nobody"})

    async with running_app(app) as address:
        async with connected(address) as (reader, writer):
            writer.write(GET % b"")
            await asyncio.wait_for(reader.readline(), 10)
        await asyncio.wait_for(left.wait(), 10)
        assert (await asyncio.wait_for(heard, 10))["type"] == "http.disconnect"
