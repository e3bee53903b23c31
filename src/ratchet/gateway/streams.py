"""Relaying a stream: each chunk goes on as it comes, and is read on its way past."""

from __future__ import annotations

import asyncio
import contextlib

from ratchet.dialects.dialect import StreamHead
from ratchet.dialects.openai_chat.rewrite import without_usage_chunk
from ratchet.dialects.sse import EventStream
from ratchet.errors import UpstreamFailed
from ratchet.gateway.connection import Answer, ConnectionBroken
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.failover import EVENT_STREAM, transport_error

__all__ = ["finish_stream", "relay", "start_stream"]

_PATIENCE_AFTER_DONE = 1.0  # seconds
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


async def start_stream(exchange: Exchange) -> None:
    """Send the head of a streamed answer."""
    exchange.streaming = True
    await exchange.send(
        {
            "type": "http.response.start",
            "status": exchange.status,
            "headers": [
                (b"content-type", exchange.content_type),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),  # a reverse proxy in between must not hold chunks back
                (b"x-ratchet-trace-id", exchange.trace_id.encode()),
                *exchange.told,
                *exchange.upstream_headers,
            ],
        }
    )


async def relay(exchange: Exchange) -> None:
    """Pass the upstream's bytes on until it has said everything, and hold back the chunk that says so.

    So the record can be written before the app knows that the answer is whole. Raises UpstreamFailed where the
    stream ends before `[DONE]` or breaks off.
    """
    upstream = exchange.upstream
    wire, translation = exchange.wire, exchange.translation
    assert upstream is not None  # noqa: S101 - `attempt` has opened it
    assert wire is not None  # noqa: S101 - and knows what it speaks
    reader = exchange.stream = wire.stream_head()
    passing = translation or (_UsageHider() if _asked_for_usage_ourselves(exchange) else _WholeEvents())
    if translation is not None:
        exchange.content_type = EVENT_STREAM
    await start_stream(exchange)
    send = exchange.send
    try:
        while chunk := await _next(exchange, upstream):
            reader.feed(chunk)
            if exchange.first_token is None and reader.has_content:
                exchange.first_token = exchange.elapsed()
            raw, chunk = chunk, passing.feed(chunk)
            exchange.content.append(raw if translation is None else chunk)
            if reader.done:
                exchange.last = chunk
                break
            if chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        # However it ends, also when the client leaves: the record says what is known by then.
        reader.finish()
        _take_over(exchange, reader)
    if reader.done or reader.finish_reasons:
        rest = passing.rest()
        exchange.last += rest
        if translation is not None:
            exchange.content.append(rest)
    if reader.error is not None:
        said = translation.failure if translation is not None else ""
        exchange.error = UpstreamFailed(
            f"The provider sent an error inside its stream{': ' + said if said else '.'}",
            "Try again in a moment.",
            code="upstream_failed",
        )
    elif not reader.done and not reader.finish_reasons:
        raise UpstreamFailed(
            f"{exchange.target.name if exchange.target else 'The provider'} ended its stream before the answer was "
            "whole.",
            "Try again; what came so far may be incomplete.",
            code="upstream_truncated",
        )


async def finish_stream(exchange: Exchange, trailer: bytes = b"") -> None:
    """Send what was held back, whatever the upstream still sends after it, and the end."""
    send, upstream = exchange.send, exchange.upstream
    last = exchange.last + trailer
    if last:
        await send({"type": "http.response.body", "body": last, "more_body": True})
    if upstream is not None and exchange.stream is not None and exchange.stream.done:
        # Read to the end, so that the connection can be used again. The answer is whole: nothing can fail it now.
        with contextlib.suppress(ConnectionBroken, TimeoutError):
            async with asyncio.timeout(_PATIENCE_AFTER_DONE):
                while chunk := await upstream.chunk():
                    if exchange.translation is None:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _next(exchange: Exchange, upstream: Answer) -> bytes:
    try:
        return await upstream.chunk()
    except ConnectionBroken as error:
        assert exchange.target is not None  # noqa: S101 - somebody is answering
        raise transport_error(error, exchange.target) from error


def _take_over(exchange: Exchange, reader: StreamHead) -> None:
    exchange.response_id = reader.id
    exchange.response_model = reader.model
    exchange.service_tier = reader.service_tier
    exchange.finish_reasons = reader.finish_reasons
    exchange.usage = reader.tokens or exchange.usage


def _asked_for_usage_ourselves(exchange: Exchange) -> bool:
    return (
        exchange.target is not None
        and exchange.target.provider.ask_stream_usage
        and exchange.head is not None
        and not exchange.head.wants_usage
    )


class _WholeEvents:
    """Holds back the beginning of an event until the rest of it is there.

    An app can do nothing with half an event, and where a stream breaks off in the middle of one, the error that
    follows must not be taken for the rest of it.
    """

    _LIMIT = 16 << 20

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        if not self._held and chunk.endswith(b"\n\n"):
            return chunk
        data = self._held + chunk
        end = max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in _EVENT_ENDS)
        if len(data) - end > self._LIMIT:
            end = len(data)
        self._held = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        """What is still held: an event whose closing blank line never came."""
        held, self._held = self._held, b""
        return held


class _UsageHider:
    """Takes the usage chunk, which only the gateway asked for, out of a stream."""

    def __init__(self) -> None:
        self._events = EventStream()

    def feed(self, chunk: bytes) -> bytes:
        return self._written(self._events.feed(chunk))

    def rest(self) -> bytes:
        """A last event whose closing blank line never came."""
        return self._written(self._events.finish())

    def _written(self, events: list[bytes]) -> bytes:
        kept = without_usage_chunk(events)
        return b"".join(b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n" for data in kept)
