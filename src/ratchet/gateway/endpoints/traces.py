"""`POST /v1/traces`: OTLP/HTTP, so that an app's own spans join the gateway's."""

from __future__ import annotations

import asyncio

from ratchet.errors import RatchetError
from ratchet.gateway.asgi import read_body, respond
from ratchet.gateway.exchange import Exchange
from ratchet.telemetry import otlp
from ratchet.telemetry.calls import OtlpBody

__all__ = ["take_traces"]

_MAX_INFLATED = 64 << 20
_SMALL = 1 << 20  # what any body may be unpacked to
_MAX_RATIO = 100  # spans get about 20 times smaller; what gets much smaller than that is made to
# Checking a body of this size takes about as long as the loop may be held up; larger ones go to a thread.
_INLINE = 256 << 10
_INLINE_PACKED = 4 << 10


async def take_traces(exchange: Exchange) -> None:
    """Answers 200 once the whole, checked body is in the spool; a malformed one is a 400 and nothing of it is kept.

    Once the encoding is known, errors are what OTLP wants: a google.rpc.Status in that encoding.
    """
    encoding = otlp.encoding_of(exchange.headers.get(b"content-type", b"").decode("latin-1"))
    content_type = otlp.content_type(encoding).encode()
    trace_id = (b"x-ratchet-trace-id", exchange.trace_id.encode())
    try:
        await _keep(exchange, encoding)
    except RatchetError as error:
        exchange.services.metrics.count_refused(error.reason)
        headers = [trace_id, (b"retry-after", b"5")] if error.status == 503 else [trace_id]
        content = otlp.error_response(error, encoding)
        await respond(exchange.send, error.status, content, headers, content_type=content_type)
        return
    await respond(exchange.send, 200, otlp.EXPORT_RESPONSES[encoding], [trace_id], content_type=content_type)


async def _keep(exchange: Exchange, encoding: str) -> None:
    assert exchange.key is not None  # noqa: S101 - authenticated before
    body = await read_body(exchange.headers, exchange.receive, exchange.snapshot.max_body_bytes)
    compression = exchange.headers.get(b"content-encoding", b"").decode("latin-1")
    if len(body) > (_INLINE_PACKED if compression else _INLINE):
        body = await asyncio.to_thread(_checked, body, encoding, compression)
    else:
        body = _checked(body, encoding, compression)
    exchange.services.record(
        OtlpBody(
            project_id=exchange.key.project_id,
            key_id=exchange.key.id,
            received=exchange.started,
            encoding=encoding,
            body=body,
        )
    )


def _checked(body: bytes, encoding: str, compression: str) -> bytes:
    plain = otlp.decompress(body, compression, min(_MAX_INFLATED, max(_SMALL, _MAX_RATIO * len(body))))
    otlp.check(plain, encoding)
    return plain
