"""No address that members or their names lead to is connected to unless it is public or the operator allows it."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import RunningGateway, eventually, running_gateway

from ratchet.addresses import Guard, is_public, is_range_or_name
from ratchet.app.posting import open_post
from ratchet.gateway.upstream.pool import Endpoint, Pool, Unreachable
from ratchet.store.records.declarations import add_declared

REQUEST = b"POST /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
BODY = {"model": "inside/m", "messages": [{"role": "user", "content": "hello"}]}
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.5",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "name",
    "nonsense",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(address)
    assert not Guard().permits(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)
    assert Guard().permits(address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_counts_as_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for around in (0xFFFF << 32, 0x64FF9B << 96):
        assert is_public(str(ipaddress.IPv6Address(around | number))) is is_public(str(address))
    assert is_public(str(ipaddress.IPv6Address((0x2002 << 112) | number << 80))) is is_public(str(address))


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_what_is_allowed_is_allowed_however_it_is_written(address: ipaddress.IPv4Address) -> None:
    guard = Guard(["10.0.0.0/8"])
    assert guard.permits(str(address))
    assert guard.permits(f"::ffff:{address}")
    assert not guard.permits("11.0.0.1") or is_public("11.0.0.1")
    assert not guard.permits("127.0.0.1")


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "0177.0.0.1", "2130706433", "localhost", "a.localhost.", "::1"]
)
def test_what_can_be_told_without_a_look(host: str) -> None:
    assert Guard().refuses(host)
    assert not Guard(["127.0.0.0/8", "::1"]).refuses(host)
    assert not Guard().refuses("example.org")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("10.0.0.0/8", True),
        ("10.0.0.5", True),
        ("fd00::/8", True),
        ("localhost", True),
        ("vllm.internal", True),
        ("10.0.0.5/8", False),  # bits below the network: which was meant?
        ("10.0.0", False),
        ("http://10.0.0.5", False),
        ("", False),
        ("a b", False),
    ],
)
def test_what_may_be_allowed(text: str, good: bool) -> None:
    assert is_range_or_name(text) is good


# -- connecting ----------------------------------------------------------------------------------------------------


class Listener:
    """A server that counts who connects, and answers each request alike."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.connected = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        writer.close()


def says(text: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 %b\r\n%bcontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
        % (status, more, len(text), text)
    )


class Names:
    """A resolver whose answers change from one look to the next."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_a_name_that_turns_private_is_not_followed() -> None:
    outside, inside = Listener(says(b"{}")), Listener(says(b"{}"))
    async with await asyncio.start_server(outside, "127.0.0.2", 0) as open_server:
        port = open_server.sockets[0].getsockname()[1]
        async with await asyncio.start_server(inside, "127.0.0.1", port):
            # 127.0.0.2 stands for the Internet. The name is looked up once for each connection, and that is used.
            guard = Guard(["127.0.0.2"], resolve=Names(["127.0.0.2"], ["127.0.0.1"]))
            pool = Pool(Endpoint.of(f"http://rebind.test:{port}/v1", {}), guard=guard)
            answer = await pool.request(REQUEST, 5)
            assert (answer.status, await answer.body()) == (200, b"{}")
            with pytest.raises(Unreachable, match="private address"):
                await pool.request(REQUEST, 5)
            both = Guard(["127.0.0.2"], resolve=Names(["127.0.0.1", "127.0.0.2"]))
            mixed = Pool(Endpoint.of(f"http://both.test:{port}/v1", {}), guard=both)
            assert (await mixed.request(REQUEST, 5)).status == 200
    assert (outside.connected, inside.connected) == (2, 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]"]
)
async def test_however_an_address_is_written(host: str) -> None:
    inside = Listener(says(b"{}"))
    async with await asyncio.start_server(inside, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = Pool(Endpoint.of(f"http://{host}:{port}/v1", {}), guard=Guard())
        with pytest.raises(Unreachable, match="private address"):
            await pool.request(REQUEST, 5)
        assert inside.connected == 0
        free = Pool(Endpoint.of(f"http://{host}:{port}/v1", {}))
        assert (await free.request(REQUEST, 5)).status == 200


async def test_the_next_address_is_tried() -> None:
    there = Listener(says(b"{}"))
    async with await asyncio.start_server(there, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        guard = Guard(["127.0.0.0/8"], resolve=Names(["127.0.0.9", "127.0.0.1"]))
        pool = Pool(Endpoint.of(f"http://two.test:{port}/v1", {}), guard=guard)
        assert (await pool.request(REQUEST, 5)).status == 200


async def test_what_a_proxy_is_asked_for_is_judged_as_far_as_it_is_known_here() -> None:
    proxy = Listener(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        proxies = {"http": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}

        async def unknown(host: str, port: int) -> Sequence[str]:
            raise OSError("no such name here")

        for guard, reached, words in (
            (Guard(), 0, "private address"),
            (Guard(resolve=unknown), 1, "the proxy answered 403"),
        ):
            pool = Pool(Endpoint.of("http://10.0.0.5/v1", proxies), guard=guard)
            with pytest.raises(Unreachable, match=words):
                await pool.request(REQUEST, 5)
            assert proxy.connected == reached


# -- the gateway ---------------------------------------------------------------------------------------------------


def declare(gateway: RunningGateway, name: str, base_url: str) -> None:
    add_declared(
        gateway.records,
        "provider",
        project_id="default",
        name=name,
        settings={"kind": "openai", "base_url": base_url},
        now=time.time_ns(),
        by="dev@example.org",
    )


async def ask(gateway: RunningGateway, model: str = "inside/m") -> tuple[int, str]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(headers=headers) as client:
        reply = await client.post(f"{gateway.url}/v1/chat/completions", json={**BODY, "model": model})
    error = reply.json().get("error") or {}
    return reply.status_code, f"{error.get('code', '')}: {error.get('message', '')}"


async def test_what_members_declare_reaches_public_addresses_only_until_the_operator_allows_more(
    tmp_path: Path, simulator: tuple[str, object]
) -> None:
    address = simulator[0]
    file = f'[providers.own]\nkind = "openai"\nbase_url = "{address}"\n'
    async with running_gateway(tmp_path, file) as gateway:
        assert (await ask(gateway, "own/gpt-4o"))[0] == 200, "the file's word is the operator's"
        declare(gateway, "inside", address)

        async def known() -> bool:
            return (await ask(gateway, "inside/gpt-4o"))[0] != 404

        await eventually(known)
        status, said = await ask(gateway, "inside/gpt-4o")
        assert status == 502
        assert said.startswith("upstream_unreachable: ")
        assert "private address" in said
        assert "gateway.allow_private" in said

        gateway.config.write_text(f'{file}[gateway]\nallow_private = ["127.0.0.0/8"]\n')

        async def allowed() -> bool:
            return (await ask(gateway, "inside/gpt-4o"))[0] == 200

        await eventually(allowed)
        gateway.config.write_text(file)

        async def refused_again() -> bool:
            return (await ask(gateway, "inside/gpt-4o"))[0] == 502

        await eventually(refused_again)


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    inside = Listener(says(b'{"secret": 1}'))
    async with await asyncio.start_server(inside, "127.0.0.1", 0) as server:
        place = b"location: http://127.0.0.1:%d/latest/meta-data\r\n" % server.sockets[0].getsockname()[1]
        for status in (b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"):
            outside = Listener(says(b"", status, place))
            async with await asyncio.start_server(outside, "127.0.0.2", 0) as other:
                url = f"http://127.0.0.2:{other.sockets[0].getsockname()[1]}/v1"
                settings = f'[providers.inside]\nkind = "openai"\nbase_url = "{url}"\n'
                folder = tmp_path / status[:3].decode()
                folder.mkdir()
                async with running_gateway(folder, settings) as gateway:
                    answered, said = await ask(gateway)
                    assert (answered, said[:15]) == (502, "upstream_failed")
                async with open_post(2) as post:
                    assert (await post(url, {}, b"{}", 5)).status == int(status[:3])
                assert outside.connected == 2
    assert inside.connected == 0


# -- people's own endpoints in runs --------------------------------------------------------------------------------


async def test_apps_of_runs_that_members_begin_are_public_ones() -> None:
    inside = Listener(says(b'{"output": "hello"}'))
    async with await asyncio.start_server(inside, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat?a=b c"
        async with open_post(2, Guard()) as post:
            assert "private address" in (await post(url, {}, b"{}", 5)).problem
        assert inside.connected == 0
        async with open_post(2, Guard(["127.0.0.1"])) as post:
            answered = await post(url, {"x-mine": "1"}, b"{}", 5)
            assert (answered.status, answered.body) == (200, b'{"output": "hello"}')
            assert "can't be sent" in (await post(url, {"x-mine": "1\r\nhost: other"}, b"{}", 5)).problem
            assert "names no host" in (await post("http:///chat", {}, b"{}", 5)).problem


async def test_an_answer_of_an_app_that_is_packed_or_endless_is_refused() -> None:
    packed = Listener(says(b"xx", more=b"content-encoding: gzip\r\n"))
    endless = Listener(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * (33 << 20))
    for listener, words in ((packed, "packed (gzip)"), (endless, "longer than")):
        async with await asyncio.start_server(listener, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat"
            async with open_post(1) as post:
                assert words in (await post(url, {}, b"{}", 20)).problem
