"""HTTP to people's own endpoints: one client for a run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import RequestError

from ratchet.errors import reason_of
from ratchet.evals.answering import Post, Posted

__all__ = ["open_post"]

_LONGEST = 32 << 20  # bytes of an answer


@contextlib.asynccontextmanager
async def open_post(connections: int) -> AsyncGenerator[Post]:
    """`Post` over at most so many connections at once."""
    builder = ClientBuilder().follow_redirects(False).tcp_nodelay(True).max_connections(connections)
    async with builder.build() as client:

        async def post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Posted:
            try:
                request = client.post(url).headers(dict(headers)).body_bytes(body)
                response = await request.timeout(timedelta(seconds=seconds)).build().send()
                content = bytes(await response.bytes())
            except (RequestError, ValueError) as error:
                return Posted(0, b"", problem=f"{url} did not answer: {reason_of(error)}")
            if len(content) > _LONGEST:
                return Posted(
                    0, b"", problem=f"{url} answered with {len(content):,} bytes; {_LONGEST:,} are taken"
                )
            return Posted(response.status, content, response.headers.get("content-type") or "")

        yield post
