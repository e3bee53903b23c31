"""Passing a stream on: each piece goes to the app as it comes, and is read on its way past."""

from __future__ import annotations

import asyncio
import contextlib

from ratchet.gateway.answering.asking import broken_stream, transport_failure
from ratchet.gateway.answering.failover import settle_attempt
from ratchet.gateway.attempt import Attempt, Failed
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.upstream.connection import ConnectionBroken

__all__ = ["finish_stream", "relay", "start_stream"]

_PATIENCE_AFTER_DONE = 1.0  # seconds


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


async def relay(exchange: Exchange, attempt: Attempt) -> None:
    """Pass on what `attempt` holds and what follows it, and hold back the piece that completes the answer.

    So the record can be written before the app knows that the answer is whole. Raises the error of a stream that
    breaks off, stalls, or ends before it is whole.
    """
    reader, passing = attempt.reader, attempt.passing
    assert reader is not None  # noqa: S101 - only streams are relayed
    assert passing is not None  # noqa: S101
    if not exchange.streaming:
        await start_stream(exchange)
    send = exchange.send
    pending = b"".join(attempt.held)
    failed: Failed | None = None
    try:
        while not (reader.done or reader.error is not None or reader.malformed):
            if pending:
                await send({"type": "http.response.body", "body": pending, "more_body": True})
                pending = b""
            chunk = await _next(exchange, attempt)
            if not chunk:
                reader.finish()
                break
            pending = attempt.take(chunk, exchange.elapsed())
    except Failed as broken:
        reader.finish()
        failed = None if reader.done else broken  # the provider had said everything
    finally:
        # However it ends, also when the client leaves: the record says what is known by then.
        attempt.learn()
        exchange.adopt(attempt)
    exchange.last = pending
    failed = failed or broken_stream(attempt)
    if failed is None:
        rest = passing.rest()
        exchange.last += rest
        if attempt.translation is not None:
            attempt.content.append(rest)
    attempt.failed = failed
    settle_attempt(attempt, exchange.services.health.clock())
    if failed is not None:
        failed.forget_frames()
        raise failed.error


async def finish_stream(exchange: Exchange, trailer: bytes = b"") -> None:
    """Send what was held back, whatever the upstream still sends after it, and the end."""
    send, upstream = exchange.send, exchange.upstream
    last = exchange.last + trailer
    if last:
        await send({"type": "http.response.body", "body": last, "more_body": True})
    whole = exchange.error is None and exchange.stream is not None and exchange.stream.done
    if upstream is not None and whole:
        # Read to the end, so that the connection can be used again. The answer is whole: nothing can fail it now.
        with contextlib.suppress(ConnectionBroken, TimeoutError):
            async with asyncio.timeout(_PATIENCE_AFTER_DONE):
                while chunk := await upstream.chunk():
                    if exchange.translation is None:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _next(exchange: Exchange, attempt: Attempt) -> bytes:
    try:
        return await attempt.more()
    except ConnectionBroken as error:
        raise transport_failure(error, exchange, attempt) from error
