"""The gateway as an ASGI application: one table of paths."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ratchet.dialects import anthropic, openai_chat, openai_embeddings, openai_responses
from ratchet.dialects.dialect import Dialect
from ratchet.errors import Bug, Forbidden, MethodNotAllowed, NotFound, RatchetError
from ratchet.gateway.asgi import ClientGone, Receive, Scope, Send, respond
from ratchet.gateway.endpoints.crossing import crossing_headers, is_preflight, let_cross, refusal
from ratchet.gateway.endpoints.description import description
from ratchet.gateway.endpoints.feedback import take_feedback
from ratchet.gateway.endpoints.selecting import ToolSelector
from ratchet.gateway.endpoints.traces import take_traces
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.pipeline import authenticate, serve
from ratchet.gateway.routing import offered_models
from ratchet.gateway.services import Services
from ratchet.gateway.standing.proving import take_challenge
from ratchet.telemetry.spool import spool_size

__all__ = ["GatewayApp"]

log = logging.getLogger("ratchet.gateway")
Handler = Callable[[Exchange], Awaitable[None]]
_PLAIN = openai_chat.DIALECT  # whose errors are sent where no dialect is spoken


class GatewayApp:
    """ASGI 3. `ready` says whether the gateway has what it needs to serve."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.selector = ToolSelector()
        self._paths: dict[str, tuple[str, Dialect, Handler]] = {
            "/v1/chat/completions": ("POST", openai_chat.DIALECT, serve),
            "/v1/responses": ("POST", openai_responses.DIALECT, serve),
            "/v1/embeddings": ("POST", openai_embeddings.DIALECT, serve),
            "/v1/messages": ("POST", anthropic.DIALECT, serve),
            "/v1/models": ("GET", _PLAIN, _explained(_list_models)),
            "/v1/challenge": ("GET", _PLAIN, _explained(take_challenge)),
            "/v1/tools/select": ("POST", _PLAIN, _explained(_from_servers(self.selector.select))),
            "/v1/feedback": ("POST", _PLAIN, _explained(take_feedback)),
            "/v1/traces": ("POST", _PLAIN, _explained(_from_servers(take_traces))),
            "/healthz": ("GET", _PLAIN, _health),
            "/metrics": ("GET", _PLAIN, _metrics),
            "/openapi.json": ("GET", _PLAIN, _description),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # websockets are closed by the server when nobody accepts them
        known = self._paths.get(scope["path"])
        method, dialect, handler = (
            known if known is not None else ("", _dialect_at(scope["path"]), _unknown_path)
        )
        exchange = Exchange(self.services, dialect, scope, receive, send)
        headers = exchange.headers
        origin = headers.get(b"origin")
        if origin is not None:
            if origin in exchange.snapshot.origins:
                if is_preflight(scope["method"], headers):
                    await let_cross(send, origin)
                    return
                exchange.told += crossing_headers(origin)
            elif is_preflight(scope["method"], headers):
                await _refuse(exchange, refusal(origin))
                return
        asked = "GET" if scope["method"] == "HEAD" else scope["method"]  # the server leaves the body out
        if method not in (asked, ""):
            await _refuse(
                exchange,
                MethodNotAllowed(
                    f"{scope['path']} does not take {scope['method']}.",
                    f"Use {method}.",
                    code="method_not_allowed",
                ),
                [(b"allow", method.encode())],
            )
            return
        await handler(exchange)


def _dialect_at(path: str) -> Dialect:
    """Whose errors are sent at an address that nothing is at: Anthropic's API has more below `/v1/messages`."""
    return anthropic.DIALECT if path.startswith("/v1/messages/") else _PLAIN


def _explained(handler: Handler) -> Handler:
    """`handler`, with every failure answered in OpenAI's shape."""

    async def explained(exchange: Exchange) -> None:
        try:
            await authenticate(exchange)
            await handler(exchange)
        except ClientGone:
            return
        except RatchetError as error:
            await _refuse(exchange, error)
        except Exception:
            # A bug of ours must not end in silence: the log gets the trace, the app something to report.
            log.exception("a request failed inside the gateway: %s", exchange.context())
            reference = secrets.token_hex(4)
            await _refuse(
                exchange, Bug(f"The gateway failed on this request ({reference}).", "Please report it.")
            )

    return explained


def _from_servers(handler: Handler) -> Handler:
    """`handler`, for keys that may speak for others."""

    async def from_servers(exchange: Exchange) -> None:
        assert exchange.key is not None  # noqa: S101 - `_explained` has authenticated
        if exchange.key.publishable:
            raise Forbidden(
                f"The key {exchange.key.name!r} is publishable, and this address is for servers.",
                "Send it from a server, with a key of its own.",
                code="key_not_allowed",
            )
        await handler(exchange)

    return from_servers


async def _refuse(
    exchange: Exchange, error: RatchetError, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    exchange.services.metrics.count_refused(error.reason)
    extra = [(b"x-ratchet-trace-id", exchange.trace_id.encode()), *exchange.told, *(headers or [])]
    if error.status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    wait = error.retry_after or (5 if error.status == 503 else None)
    if wait is not None:
        extra.append((b"retry-after", b"%d" % max(1, math.ceil(wait))))
    await respond(exchange.send, error.status, exchange.dialect.error_body(error), extra)


async def _unknown_path(exchange: Exchange) -> None:
    await _refuse(
        exchange,
        NotFound(
            "The gateway has nothing at this path.",
            "It serves /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages, /v1/models, /v1/challenge, "
            "/v1/tools/select, /v1/feedback, /v1/traces, /healthz, /metrics and /openapi.json; an OpenAI client's base_url ends in /v1, an "
            "Anthropic client's does not.",
            code="unknown_path",
        ),
    )


async def _list_models(exchange: Exchange) -> None:
    assert exchange.key is not None  # noqa: S101 - `_explained` has authenticated
    names = offered_models(exchange.snapshot, exchange.key)
    listed = _as_anthropic(names) if b"anthropic-version" in exchange.headers else _as_openai(names)
    body = msgspec.json.encode(listed)
    headers = [(b"x-ratchet-trace-id", exchange.trace_id.encode()), *exchange.told]
    await respond(exchange.send, 200, body, headers)


def _as_openai(names: list[str]) -> dict[str, Any]:
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "ratchet"} for name in names]
    return {"object": "list", "data": models}


def _as_anthropic(names: list[str]) -> dict[str, Any]:
    created = "1970-01-01T00:00:00Z"  # what a name stands for may change at any time, so it has no date
    models = [{"id": name, "type": "model", "display_name": name, "created_at": created} for name in names]
    first, last = (names[0], names[-1]) if names else (None, None)
    return {"data": models, "has_more": False, "first_id": first, "last_id": last}


async def _description(exchange: Exchange) -> None:
    await respond(exchange.send, 200, description(), exchange.told)


async def _health(exchange: Exchange) -> None:
    await respond(exchange.send, 200, b'{"status":"ok"}', [])


async def _metrics(exchange: Exchange) -> None:
    services = exchange.services
    content = services.render_metrics(await asyncio.to_thread(spool_size, services.spool.folder))
    if services.worker is not None:
        content = await asyncio.to_thread(services.worker.all_figures, content)
    await respond(exchange.send, 200, content, [], content_type=b"text/plain; version=0.0.4; charset=utf-8")
