"""A request's whole way, top to bottom."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from decimal import Decimal

from ratchet.domain.prompts import PREFIX
from ratchet.domain.usage import Usage
from ratchet.errors import Bug, RatchetError, ServerError, Unauthenticated, UpstreamError, UpstreamRefused
from ratchet.gateway.answering.failover import pursue
from ratchet.gateway.answering.keepalive import KeepAlive
from ratchet.gateway.answering.streams import finish_stream, relay
from ratchet.gateway.asgi import ClientGone, Headers, read_body, require_json, respond
from ratchet.gateway.caller import caller_of
from ratchet.gateway.departure import Departure
from ratchet.gateway.estimate import estimate_tokens
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.identity import check_origin, seen_caller
from ratchet.gateway.prompting import resolve_prompt
from ratchet.gateway.recording import call_of, error_content
from ratchet.gateway.routing import find_route
from ratchet.gateway.snapshot import Step

__all__ = ["STEPS", "authenticate", "serve", "settle"]

log = logging.getLogger("ratchet.gateway")
_NOTHING = Decimal(0)


async def serve(exchange: Exchange) -> None:
    """Take one request from its headers to its last byte, in whichever dialect it comes.

    The record is written before that byte leaves, so an app that has its answer can be sure it is on disk.
    """
    departure = Departure(exchange.scope)
    try:
        try:
            await authenticate(exchange)
            await read(exchange)
            departure.watch()
            for step in exchange.snapshot.admission:
                await step(exchange)
            await resolve(exchange)
            for step in exchange.route.steps if exchange.route else ():
                await step(exchange)
                if exchange.answered:
                    break
        except RatchetError as error:
            exchange.error = error.with_traceback(None)  # its frames hold the exchange, which holds it
        except ClientGone:
            return
        except Exception:
            # A bug of ours must not end in silence: the log gets the trace, the app something to report.
            log.exception("a request failed inside the gateway: %s", exchange.context())
            exchange.error = _bug(exchange)
        departure.forget()
        await settle(exchange)
        await record(exchange)
        await finish(exchange)
    except asyncio.CancelledError:
        exchange.error = departure.explanation()
        await settle(exchange)
        await record(exchange)
        if not departure.gone:
            raise
    finally:
        departure.forget()
        if exchange.upstream is not None:
            exchange.upstream.close()


async def authenticate(exchange: Exchange) -> None:
    """Whose key is it?"""
    secret = _shown_key(exchange.headers)
    key = exchange.snapshot.keys.get(hashlib.sha256(secret.strip()).digest())
    if key is None:
        raise Unauthenticated(
            "The key is unknown or has been revoked.", "`ratchet key list` shows the keys there are."
        )
    if key.expires is not None and key.expires <= exchange.started:
        raise Unauthenticated(
            f"The key {key.name!r} has expired.",
            "Create a new one with `ratchet key create`.",
            code="expired_api_key",
        )
    if key.publishable:
        check_origin(key, exchange.headers)
    exchange.key = key


def _shown_key(headers: Headers) -> bytes:
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and secret:
        return secret
    secret = headers.get(b"x-api-key", b"")  # where Anthropic's clients put it
    if secret:
        return secret
    raise Unauthenticated(
        "The request shows no key.",
        "Send the header `Authorization: Bearer rk-…` or `x-api-key: rk-…`; `ratchet key create --name my-app` makes "
        "a key.",
        code="missing_api_key",
    )


async def read(exchange: Exchange) -> None:
    """What is asked? Only the few fields that matter here are parsed."""
    require_json(exchange.headers)
    exchange.body = await read_body(exchange.headers, exchange.receive, exchange.snapshot.max_body_bytes)
    exchange.head = head = exchange.dialect.request_head(exchange.body)
    assert exchange.key is not None  # noqa: S101 - `authenticate` has set it
    if exchange.key.publishable:
        session = (head.metadata or {}).get("session_id", "")
        trusted = exchange.snapshot.trusted_proxies
        exchange.caller = seen_caller(exchange.scope, exchange.headers, trusted, session)
    else:
        exchange.caller = caller_of(head.user_id, head.metadata)


async def resolve(exchange: Exchange) -> None:
    """Which route is meant, and may this key use it? A prompt is rendered into the body first."""
    assert exchange.key is not None  # noqa: S101 - `authenticate` has set it
    assert exchange.head is not None  # noqa: S101 - `read` has set it
    if exchange.head.model.startswith(PREFIX):
        exchange.route = resolve_prompt(exchange)
    else:
        exchange.route = find_route(exchange.snapshot, exchange.key, exchange.head.model)


async def answer(exchange: Exchange) -> None:
    """Ask upstream. A stream is passed on here, all but its end."""
    assert exchange.head is not None  # noqa: S101 - `read` has set it
    waiting = KeepAlive(exchange, exchange.snapshot.keep_alive) if exchange.head.stream else None
    try:
        attempt = await pursue(exchange)
        if attempt.reader is not None:
            await relay(exchange, attempt)
        elif exchange.streaming:
            exchange.last = attempt.content[0]
    finally:
        for each in exchange.attempts:
            each.leave()  # its places at the provider and in the circuit, also where the app has left midway
        if waiting is not None:
            await waiting.stop()


STEPS: tuple[Step, ...] = (answer,)


async def settle(exchange: Exchange) -> None:
    """What did it cost? Exactly nothing, where no provider was asked or it turned the request down.

    What a stream that broke off or was left costs is unknown: the counts so far are not those of the bill.
    """
    target = exchange.target
    if target is None or not exchange.owed:
        exchange.cost = _NOTHING
    elif exchange.broke_off:
        exchange.cost = None
    else:
        exchange.cost = exchange.snapshot.prices.cost(
            target.provider.name,
            (exchange.response_model, target.model),
            exchange.usage,
            exchange.started,
            vendor=target.provider.vendor,
            tier=exchange.service_tier,
        )
    if len(exchange.attempts) > 1:
        _charge_others(exchange)
    settlements = exchange.settlements
    while settlements:
        await settlements.pop()(exchange)


def _charge_others(exchange: Exchange) -> None:
    """Add what the attempts cost that were not the answer, as far as it is known or can be estimated.

    Of one that was closed midway, the question counts what it counted for the answer (or an estimate), and the pieces
    that had come are counted as tokens.
    """
    for attempt in exchange.attempts:
        if attempt.number == exchange.attempt or not attempt.owed:
            continue
        usage = attempt.usage
        if usage.input is None or usage.output is None:
            asked = exchange.usage.input
            usage = Usage(
                input=estimate_tokens(exchange.body) if asked is None else asked, output=attempt.pieces
            )
        attempt.cost = exchange.snapshot.prices.cost(
            attempt.target.provider.name,
            (attempt.response_model, attempt.target.model),
            usage,
            exchange.started,
            vendor=attempt.target.provider.vendor,
            tier=attempt.service_tier,
        )
        if exchange.cost is not None and attempt.cost is not None:
            exchange.cost += attempt.cost


async def record(exchange: Exchange) -> None:
    """Write down what happened. Callers without a valid key are counted, not recorded: they have no project."""
    if exchange.recorded:
        return
    exchange.recorded = True
    if exchange.key is None:
        exchange.services.metrics.count_refused(exchange.error.reason if exchange.error else "unknown")
        return
    exchange.services.record_call(call_of(exchange))


async def finish(exchange: Exchange) -> None:
    """Send the answer, or the rest of it, or what went wrong."""
    error = _shown(exchange)
    if exchange.streaming:
        await finish_stream(exchange, exchange.dialect.error_event(error) if error is not None else b"")
        return
    headers = [
        (b"x-ratchet-trace-id", exchange.trace_id.encode()),
        *exchange.told,
        *exchange.upstream_headers,
    ]
    if error is None:
        await respond(
            exchange.send, exchange.status, exchange.content[0], headers, content_type=exchange.content_type
        )
        return
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retry_after is not None and not any(name == b"retry-after" for name, _ in headers):
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    await respond(exchange.send, error.status, error_content(error, exchange.dialect), headers)


def _shown(exchange: Exchange) -> RatchetError | None:
    """The error as it is told. Anybody can read what a page is told: of failures behind the gateway no more than their
    kind. The record has it whole."""
    error, key = exchange.error, exchange.key
    if error is None or key is None or not key.publishable:
        return error
    if isinstance(error, UpstreamRefused) or not isinstance(error, UpstreamError | ServerError):
        return error
    told = type(error)("The model can't be asked right now.", "Try again in a moment.", code=error.reason)
    told.retry_after = error.retry_after
    return told


def _bug(exchange: Exchange) -> Bug:
    return Bug(
        f"The gateway failed on this request (trace {exchange.trace_id}).",
        "Please report it with the gateway's log.",
    )
