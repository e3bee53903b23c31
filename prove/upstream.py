"""A provider for the proofs: `python prove/upstream.py --port P`.

Answers a chat completion after some 5 ms, or streams six chunks some 5 ms apart. It never fails: what fails in a
proof is ratchet's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json

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


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until the other end closes it."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            at = head.find(b"content-length:")
            body = await reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0])) if at >= 0 else b""
            if head.startswith(b"get"):
                _write_json(writer, b"{}")
            elif b'"stream": true' in body or b'"stream":true' in body:
                await _stream(writer)
            else:
                await asyncio.sleep(_PACE)
                _write_json(writer, _ANSWER)
            await writer.drain()
    writer.close()


def _write_json(writer: asyncio.StreamWriter, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for event in _EVENTS:
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(_PACE)
    writer.write(b"0\r\n\r\n")


async def _serve(port: int) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(_serve(parser.parse_args().port))
