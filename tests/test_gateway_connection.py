"""The gateway's own HTTP client: any cutting of bytes, idle connections, TLS, proxies, deadlines, hanging up."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.conftest import eventually

from ratchet.errors import Misconfigured
from ratchet.gateway.upstream.connection import ConnectionBroken, ConnectionSlow
from ratchet.gateway.upstream.pool import Endpoint, Pool, Unreachable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello world"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


@contextlib.asynccontextmanager
async def server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A raw TCP (or TLS) server on a free port."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def pool_for(port: int) -> Pool:
    return Pool(Endpoint.of(f"http://127.0.0.1:{port}/v1", {}))


async def asked(pool: Pool, due_in: float = 5) -> bytes:
    answer = await pool.request(REQUEST, due_in, 5)
    assert answer.status == 200
    return await answer.body()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(len(REQUEST))


@pytest.mark.parametrize("content", [PLAIN, CHUNKED, CONTINUED], ids=["length", "chunked", "continue"])
async def test_any_cutting_of_an_answer_gives_the_same(content: bytes) -> None:
    sizes = iter([1, 2, 3, 5, 8, 13, 1000])

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size in sizes:
            await read_request(reader)
            for at in range(0, len(content), size):
                writer.write(content[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)

    async with server(handler) as port:
        pool = pool_for(port)
        assert [await asked(pool) for _ in range(7)] == [b"hello world"] * 7
        pool.close()


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(UNFRAMED)
        await writer.drain()

    async with server(handler) as port:
        assert await asked(pool_for(port)) == b"hello world"


async def test_a_connection_is_used_again_and_a_second_one_is_made_when_it_is_busy() -> None:
    connections = 0
    together = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            if connections == 2:
                together.set()
            elif together.is_set() is False and second_round:
                await together.wait()
            writer.write(PLAIN)

    second_round = False
    async with server(handler) as port:
        pool = pool_for(port)
        for _ in range(5):
            await asked(pool)
        assert connections == 1
        second_round = True
        await asyncio.gather(asked(pool), asked(pool))
        assert connections == 2
        pool.close()


async def test_a_connection_that_the_provider_closed_while_idle_is_replaced_unnoticed() -> None:
    seen = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await read_request(reader)
        seen += 1
        writer.write(PLAIN)
        await writer.drain()
        # The next request finds the connection closing: it may or may not have been told yet.

    async with server(handler) as port:
        pool = pool_for(port)
        for _ in range(50):
            assert await asked(pool) == b"hello world"
        assert seen == 50


async def test_a_fresh_connection_that_breaks_is_not_tried_again() -> None:
    seen = 0

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await read_request(reader)
        seen += 1

    async with server(handler) as port:
        with pytest.raises(ConnectionBroken, match="closed"):
            await asked(pool_for(port))
        assert seen == 1


async def test_an_answer_cut_in_the_middle_is_broken_and_not_short() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(PLAIN[:-4])
        await writer.drain()

    async with server(handler) as port:
        with pytest.raises(ConnectionBroken):
            await asked(pool_for(port))


async def test_nonsense_instead_of_http() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        await asyncio.sleep(10)

    async with server(handler) as port:
        with pytest.raises(ConnectionBroken, match="not HTTP"):
            await asked(pool_for(port))


async def test_a_deadline_covers_the_whole_answer_and_hangs_up() -> None:
    gone = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(PLAIN[:-1])
        await reader.read()
        gone.set()

    async with server(handler) as port:
        with pytest.raises(ConnectionSlow):
            await asked(pool_for(port), due_in=0.2)
        await asyncio.wait_for(gone.wait(), 5)


async def test_connecting_counts_against_the_deadline() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # and says nothing of TLS
        await asyncio.sleep(60)

    async with server(silent) as port:
        pool = Pool(Endpoint.of(f"https://127.0.0.1:{port}/v1", {}))
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"no connection within 0\.2 s"):
            await asked(pool, due_in=0.2)
        assert time.monotonic() - began < 2


async def test_what_connecting_took_is_not_there_for_the_answer(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda *_: time.sleep(0.3)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(60)

    async with server(handler, context) as port:
        with pytest.raises(ConnectionSlow, match=r"not whole within 0\.[67]"):
            await asked(Pool(Endpoint.of(f"https://localhost:{port}/v1", {})), due_in=1.0)


@pytest.mark.parametrize(
    "sent", [b"", PLAIN[:20], PLAIN[:-4]], ids=["before the head", "in the head", "in the body"]
)
async def test_cancelling_hangs_up_at_once(sent: bytes) -> None:
    gone = asyncio.Event()
    arrived = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        arrived.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()

    async def work(pool: Pool) -> None:
        answer = await pool.request(REQUEST, 30, 5)
        try:
            await answer.body()
        finally:
            answer.close()

    async with server(handler) as port:
        task = asyncio.create_task(work(pool_for(port)))
        await arrived.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_slow_reader_makes_the_provider_wait() -> None:
    written = 0
    piece = b"x" * 65_536
    total = 400

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * total))
        for _ in range(total):
            writer.write(piece)
            await writer.drain()
            written += 1

    async with server(handler) as port:
        pool = pool_for(port)
        answer = await pool.request(REQUEST, 30, 5)
        before = -1
        while before != written:  # until the provider gets no further
            before = written
            await asyncio.sleep(0.1)
        assert written < total
        assert len(await answer.body()) == len(piece) * total
        pool.close()


async def test_nobody_listening_and_a_name_that_does_not_exist(free_port: int) -> None:
    with pytest.raises(Unreachable):
        await asked(pool_for(free_port))
    nowhere = Pool(Endpoint.of("http://name.invalid/v1", {}))
    with pytest.raises(Unreachable):
        await asked(nowhere)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def echo_plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(PLAIN)


async def test_tls_is_checked(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with server(echo_plain, context) as port:
        endpoint = Endpoint.of(f"https://localhost:{port}/v1", {})
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            await asked(Pool(endpoint))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        trusting = Pool(endpoint)
        assert [await asked(trusting) for _ in range(2)] == [b"hello world"] * 2
        trusting.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_is_asked_for_a_tunnel(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    wanted: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        wanted.append(head.split(b"\r\n")[0])
        host, _, port = head.split(b" ")[1].partition(b":")
        there_reader, there_writer = await asyncio.open_connection(host.decode(), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    scheme = "https" if tls else "http"
    async with server(echo_plain, context) as port, server(proxy) as proxy_port:
        proxies = {scheme: f"http://127.0.0.1:{proxy_port}", "no": "internal.example"}
        pool = Pool(Endpoint.of(f"{scheme}://localhost:{port}/v1", proxies))
        assert [await asked(pool) for _ in range(2)] == [b"hello world"] * 2
        assert wanted == [f"CONNECT localhost:{port} HTTP/1.1".encode()]
        pool.close()
        await eventually(lambda: True)


async def test_a_proxy_that_refuses_is_named() -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        await writer.drain()

    async with server(proxy) as proxy_port:
        proxies = {"http": f"127.0.0.1:{proxy_port}"}
        with pytest.raises(Unreachable, match="the proxy answered 407"):
            await asked(Pool(Endpoint.of("http://provider.example/v1", proxies)))


@pytest.mark.parametrize(
    ("host", "exceptions", "used"),
    [
        ("api.example.org", "", True),
        ("api.example.org", "example.org", False),
        ("api.example.org", ".example.org, other", False),
        ("badexample.org", "example.org", True),
        ("localhost", "localhost,127.0.0.1", False),
        ("anything", "*", False),
    ],
)
def test_which_hosts_go_through_the_proxy(host: str, exceptions: str, used: bool) -> None:
    proxies = {"https": "http://proxy:3128", "no": exceptions}
    assert (Endpoint.of(f"https://{host}/v1", proxies).proxy is not None) is used


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1080", "https://proxy:3128", "http://me:secret@proxy:3128"]
)
def test_a_proxy_of_another_kind_is_refused_at_the_start(proxy: str) -> None:
    with pytest.raises(Misconfigured, match="proxy") as caught:
        Endpoint.of("https://api.example.org/v1", {"https": proxy})
    assert "secret" not in str(caught.value)
