"""HTTP to people's own endpoints: one set of connections for a run, by the gateway's own client.

Where somebody else than the operator named the endpoints, a guard says which addresses may be connected to.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ratchet.addresses import Guard
from ratchet.errors import Misconfigured
from ratchet.evals.answering import Post, Posted
from ratchet.gateway.upstream.connection import ConnectionBroken
from ratchet.gateway.upstream.pool import Endpoint, Pool, Unreachable

__all__ = ["open_post"]

_LONGEST = 32 << 20  # bytes of an answer
_CONNECT_SECONDS = 30.0
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OUR_OWN = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})


@contextlib.asynccontextmanager
async def open_post(connections: int, guard: Guard | None = None) -> AsyncGenerator[Post]:
    """`Post` over at most so many connections at once. Redirects are not followed.

    `guard` None: every address may be connected to.
    """
    pools: dict[tuple[str, str], Pool] = {}
    turns = asyncio.Semaphore(connections)

    async def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Posted:
        try:
            parts = urlsplit(url)
            payload = _head(parts, headers, len(body)) + body
            pool = pools.get((parts.scheme, parts.netloc))
            if pool is None:
                endpoint = Endpoint.of(url)
                pool = pools[parts.scheme, parts.netloc] = Pool(endpoint, guard=guard, longest=_LONGEST)
            async with turns:
                return await _answered(pool, payload, seconds)
        except (ConnectionBroken, Unreachable, Misconfigured, ValueError) as error:
            return Posted(0, b"", problem=f"{url} did not answer: {error}")

    try:
        yield post
    finally:
        for pool in pools.values():
            pool.close()


async def _answered(pool: Pool, payload: bytes, seconds: float) -> Posted:
    """Raises ConnectionBroken and Unreachable."""
    answer = await pool.request(payload, seconds, min(seconds, _CONNECT_SECONDS))
    try:
        body = await answer.body()
    finally:
        answer.close()
    return Posted(answer.status, body, answer.headers.get(b"content-type", b"").decode("latin-1"))


def _head(url: SplitResult, headers: Mapping[str, str], length: int) -> bytes:
    """The request down to its empty line. Raises ValueError for a header or an address that can't be sent."""
    if not url.hostname:
        raise ValueError("the address names no host")
    path = quote(url.path or "/", safe="/%:@!$&'()*+,;=~")
    if url.query:
        path += "?" + quote(url.query, safe="/%:@!$&'()*+,;=~?")
    given = {"content-type": "application/json"} | {name.lower(): value for name, value in headers.items()}
    if url.username is not None and "authorization" not in given:
        said = f"{unquote(url.username)}:{unquote(url.password or '')}"
        given["authorization"] = "Basic " + base64.b64encode(said.encode()).decode()
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} can't be sent")
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {url.netloc.rpartition('@')[2].encode('idna').decode()}",
        "accept-encoding: identity",
        f"content-length: {length}",
        *(f"{name}: {value}" for name, value in given.items() if name not in _OUR_OWN),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
