"""An upstream that streams: `python -m bench.stream_server --port P`.

Each answer is a role chunk, 64 deltas, a finish chunk, and `[DONE]`; the role chunk at once, then one frame
every 20 ms after it, held to the clock so that a late frame doesn't delay those behind it. Every chunk carries its
number and when it left (`CLOCK_MONOTONIC`, nanoseconds), so that the other end can say what was lost and how long
each took. Written on uvloop's bare protocol: it must cost less than what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import cast

import uvloop

__all__ = ["CADENCE", "DELTAS", "FRAMES"]

CADENCE = 0.020  # seconds
DELTAS = 64
FRAMES = DELTAS + 3  # role, deltas, finish, [DONE]

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_ROLE = '"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null'
_DELTA = '"delta":{"content":" parcel"},"logprobs":null,"finish_reason":null'
_FINISH = '"delta":{},"logprobs":null,"finish_reason":"stop"'
_HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def frame(number: int) -> bytes:
    """Frame `number` of an answer, in the chunked transfer coding."""
    if number == FRAMES - 1:
        event = b"data: [DONE]\n\n"
    else:
        kind = _ROLE if number == 0 else _FINISH if number == FRAMES - 2 else _DELTA
        event = (
            f'data: {{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"frame":{number},'
            f'"left":{time.monotonic_ns()},"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,{kind}}}]'
            "}\n\n"
        ).encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


class _Answering(asyncio.Protocol):
    """One connection; reads a request to its end, streams an answer, and is ready for the next."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self._received = body[length:]
        if head.startswith(b"GET"):
            self._transport.write(_HEALTHY)
            return
        self._began = self._loop.time()
        self._transport.write(_HEAD + frame(0))
        self._next = 1
        self._timer = self._loop.call_at(self._began + CADENCE, self._send)

    def _send(self) -> None:
        last = self._next == FRAMES - 1
        self._transport.write(frame(self._next) + (b"0\r\n\r\n" if last else b""))
        self._next += 1
        self._timer = None if last else self._loop.call_at(self._began + CADENCE * self._next, self._send)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        if self._timer:
            self._timer.cancel()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))
