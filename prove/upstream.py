"""A provider for the proofs: `python prove/upstream.py --port P`.

Answers a chat completion after some 5 ms, or streams six chunks some 5 ms apart. With `--faults 0.05` that share of
requests meets a fault, each kind as often as the others; without, it never fails: what fails in a proof is ratchet's
own. After `GET /down` it answers 503 to everything until `GET /up`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable

_PACE = 0.005  # seconds
_MODEL = "gpt-4o-mini"
_USAGE = {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}
_ANSWER = json.dumps(
    {
        "id": "chatcmpl-prove",
        "object": "chat.completion",
        "created": 1767225600,
        "model": _MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It leaves tomorrow."},
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
).encode()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-prove",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": _MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


_EVENTS = [
    _chunk({"role": "assistant", "content": ""}),
    *(_chunk({"content": word}) for word in ("It ", "leaves ", "tomorrow", ".")),
    _chunk({}, "stop"),
    b"data: [DONE]\n\n",
]


class Provider:
    """Serves connections; `share` of the requests meet a fault."""

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._rng = random.Random(seed)
        self._down = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either end closes it."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.find(b"content-length:")
                body = await reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0])) if at >= 0 else b""
                streamed = b'"stream": true' in body or b'"stream":true' in body
                if head.startswith(b"get"):
                    self._down = (self._down or b"/down " in head) and b"/up " not in head
                    _write(writer, b"{}")
                elif self._down:
                    _write(writer, b'{"error":{"message":"down"}}', b"503 Service Unavailable")
                elif self._rng.random() < self._share:
                    await self._rng.choice(_FAULTS)(writer, streamed)
                elif streamed:
                    await _stream(writer)
                else:
                    await asyncio.sleep(_PACE)
                    _write(writer, _ANSWER)
                await writer.drain()
        writer.close()


def _write(
    writer: asyncio.StreamWriter,
    body: bytes,
    status: bytes = b"200 OK",
    more: bytes = b"Content-Type: application/json",
) -> None:
    writer.write(b"HTTP/1.1 %b\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body))


async def _stream(writer: asyncio.StreamWriter, events: int | None = None) -> None:
    """The first `events` of the stream, and its end where they are all."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for event in _EVENTS[:events]:
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(_PACE)
    if events is None:
        writer.write(b"0\r\n\r\n")


# -- faults --------------------------------------------------------------------------------------------------------


Fault = Callable[[asyncio.StreamWriter, bool], Awaitable[None]]


def _says(status: bytes, body: bytes, more: bytes = b"Content-Type: application/json") -> Fault:
    async def fault(writer: asyncio.StreamWriter, streamed: bool) -> None:  # noqa: FBT001, ARG001 - as all faults
        _write(writer, body, status, more)

    return fault


async def _hang_up(writer: asyncio.StreamWriter, streamed: bool) -> None:  # noqa: FBT001, ARG001 - as all faults
    writer.transport.abort()


async def _cut(writer: asyncio.StreamWriter, streamed: bool) -> None:  # noqa: FBT001 - as all faults
    """Before the first content of a stream, and in the middle of another answer."""
    if streamed:
        await _stream(writer, 1)
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")
        await writer.drain()
    writer.transport.abort()


async def _cut_late(writer: asyncio.StreamWriter, streamed: bool) -> None:  # noqa: FBT001 - as all faults
    """After the first content of a stream."""
    if streamed:
        await _stream(writer, 3)
    writer.transport.abort()


async def _stall(writer: asyncio.StreamWriter, streamed: bool) -> None:  # noqa: FBT001 - as all faults
    """Nothing more after the head, for longer than anybody waits."""
    if streamed:
        await _stream(writer, 1)
    await asyncio.sleep(30)
    writer.transport.abort()


_FAULTS: tuple[Fault, ...] = (
    _says(b"500 Internal Server Error", b'{"error":{"message":"no"}}'),
    _says(b"502 Bad Gateway", b"<html><body>Bad gateway</body></html>", b"Content-Type: text/html"),
    _says(b"503 Service Unavailable", b""),
    _says(b"429 Too Many Requests", b'{"error":{"message":"slow down"}}'),
    _says(b"429 Too Many Requests", b'{"error":{"message":"slow down"}}', b"retry-after-ms: 20"),
    _says(b"200 OK", b"<html>Welcome</html>", b"Content-Type: text/html"),
    _says(b"200 OK", b""),
    _says(b"200 OK", b'{"id": "chatcmpl-1", "choices": [{"mess'),
    _says(b"200 OK", b'{"error": {"message": "overloaded", "type": "server_error"}}'),
    _hang_up,
    _cut,
    _cut_late,
    _stall,
)


async def _serve(port: int, share: float, seed: int) -> None:
    provider = Provider(share, seed)
    async with await asyncio.start_server(provider, "127.0.0.1", port, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(_serve(given.port, given.faults, given.seed))
