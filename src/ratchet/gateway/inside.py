"""The gateway without a socket: the same application, called in this process.

Runs, judges and whatever else asks models outside an app go this way, so that what is tested is what production does.
A call is in the spool before its answer is handed back.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.dialects import anthropic, openai_chat, openai_responses
from ratchet.dialects.dialect import Dialect
from ratchet.domain.access import Key
from ratchet.domain.generation import Answer, Request
from ratchet.domain.runs import PRODUCTION, RUN_HEADER, RunTag
from ratchet.domain.usage import Usage
from ratchet.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    RatchetError,
    Unavailable,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)
from ratchet.gateway.endpoints.http import GatewayApp
from ratchet.gateway.routing import find_route
from ratchet.gateway.services import Services
from ratchet.gateway.snapshot import Snapshot
from ratchet.telemetry.calls import Call
from ratchet.telemetry.metrics import Metrics
from ratchet.telemetry.spool import SpoolWriter

__all__ = ["PURPOSE", "Ask", "Inside", "Purpose", "Reply", "generator"]

CHAT = "/v1/chat/completions"
_PATHS: Mapping[str, tuple[str, Dialect]] = {
    "openai_chat": (CHAT, openai_chat.DIALECT),
    "openai_responses": ("/v1/responses", openai_responses.DIALECT),
    "anthropic": ("/v1/messages", anthropic.DIALECT),
}
_SEEDED = frozenset({"openai_chat", "gemini"})  # the dialects that know the field
# What is known before a provider has done anything that costs: asking again is right, and pays nothing twice.
_AGAIN = frozenset({"upstream_rate_limited", "upstream_unreachable", "queue_full"})
_AWAY = frozenset({"upstream_unreachable", "upstream_unavailable"})
_AGAIN_STATUSES = frozenset({429, 503, 529})
_TRIES = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds


class Purpose(msgspec.Struct, frozen=True):
    """What a call is made for: which answer of which run, and the span it belongs below."""

    tag: RunTag = PRODUCTION
    trace_id: str = ""
    parent_id: str = ""


PURPOSE: ContextVar[Purpose] = ContextVar("ratchet.purpose", default=Purpose())  # noqa: B039 - it is frozen
"""What the model calls of the current task are for: a run sets it around each case, and scorers need not know."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back. `latency` and `time_to_first_token` in seconds; `cost` in US dollars, None where unknown.

    `error` is the stable code of what went wrong, "" where nothing did. `cached`: it was answered and paid earlier.
    """

    status: int
    body: bytes
    error: str = ""
    trace_id: str = ""
    span_id: str = ""
    latency: float = 0.0
    time_to_first_token: float | None = None
    cost: Decimal | None = None
    usage: Usage = Usage()
    retry_after: float | None = None
    cached: bool = False


Ask = Callable[[str, bytes], Awaitable[Reply]]
"""Path and body to what came back, for the current `PURPOSE`. Raises Unavailable where the call can't be recorded."""


class _Watched(Services):
    """Services that keep the record of each call until the one who asked has taken it."""

    def __init__(self, *arguments: Any, **effects: Any) -> None:
        super().__init__(*arguments, **effects)
        self.calls: dict[str, Call] = {}

    def record_call(self, call: Call) -> None:
        super().record_call(call)
        self.calls[call.trace_id + call.parent_id] = call


class Inside:
    """A gateway for this process alone. Belongs to one event loop."""

    def __init__(
        self,
        snapshot: Snapshot,
        spool: SpoolWriter,
        *,
        project_id: str,
        now: Callable[[], int],
        name: str = "ratchet",
        builtin: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`name` is what the spans' key is called, `builtin` where the simulator of this process listens. `chance` gives numbers from 0 to 1, which spread retries."""
        secret = secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        # It exists in this snapshot and nowhere else, so no other gateway takes it.
        key = Key(
            id=name,
            project_id=project_id,
            name=name,
            prefix="",
            secret_hash=digest.hex(),
            routes=[],
            created=now(),
            created_by=name,
        )
        self.snapshot = dataclasses.replace(snapshot, keys={digest: key})
        self._services = _Watched(self.snapshot, spool, Metrics(), now=now)
        self._app = GatewayApp(self._services)
        self._key = key
        self._builtin = builtin
        self._authorization = b"Bearer " + secret.encode()
        self._sleep = sleep
        self._chance = chance

    @property
    def services(self) -> Services:
        """For those who record spans and scores of their own beside the calls."""
        return self._services

    def identity(self, model: str) -> str:
        """What answers to a route or `provider/model` here: equal texts, equal answers. Raises NotFound."""
        targets = find_route(self.snapshot, self._key, model).targets
        places = (
            # The built-in simulator has another port in every process, and is the same thing everywhere.
            (target.name, "" if target.provider.base_url == self._builtin else target.provider.base_url)
            for target in targets
        )
        return "\n".join(f"{name} at {address}" for name, address in places)

    def takes_seed(self, model: str) -> bool:
        """Whether whatever answers to a route or `provider/model` can be told a seed. Raises NotFound."""
        return all(
            target.provider.wire_for(openai_chat.DIALECT).dialect.name in _SEEDED
            and "seed" not in target.provider.drop_fields
            for target in find_route(self.snapshot, self._key, model).targets
        )

    async def ask(self, path: str, body: bytes) -> Reply:
        """One request in any dialect, such as `/v1/chat/completions`, for the current `PURPOSE`.

        What a provider turned away for now (429, 503, no connection) is asked again after the time it names, six
        times in all. Raises Unavailable where the spool can't take the call, so that nothing more may be paid, and where
        a provider can't be reached at all.
        """
        pause = _FIRST_PAUSE
        unreachable: Reply | None = None
        for left in range(_TRIES - 1, -1, -1):
            reply = await self._once(path, body)
            again = reply.error in _AGAIN or (
                reply.status in _AGAIN_STATUSES and reply.error.startswith("upstream")
            )
            if reply.error == "upstream_unreachable":
                unreachable = reply
            if again and not left and unreachable is not None and reply.error in _AWAY:
                raise Unavailable(
                    error_of(unreachable).message,
                    "Bring it up, or correct its base_url, and go on; what is done is kept.",
                    code="upstream_unreachable",
                )
            if not again or not left:
                return reply
            await self._sleep(reply.retry_after or pause * (0.5 + self._chance()))
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise AssertionError("unreachable: the last try returns")

    async def _once(self, path: str, body: bytes) -> Reply:
        services = self._services
        purpose = PURPOSE.get()
        trace_id = purpose.trace_id or services.trace_context(None)[0]
        parent_id = purpose.parent_id or services.new_span_id()
        exchange = _InProcess(body)
        refused = services.spool.refused
        await self._app(
            {
                "type": "http",
                "method": "POST",
                "path": path,
                "headers": self._headers(purpose.tag, trace_id, parent_id, len(body)),
            },
            exchange.receive,
            exchange.send,
        )
        call = services.calls.pop(trace_id + parent_id, None)
        if services.spool.refused > refused:
            raise Unavailable(
                f"The call could not be written down in {services.spool.folder}.",
                "Free disk space, or start the studio so that the spool is drained; then resume.",
                code="spool_full",
            )
        return _reply(exchange, call, trace_id)

    def _headers(self, tag: RunTag, trace_id: str, parent_id: str, size: int) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"authorization", self._authorization),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % size),
            (b"traceparent", f"00-{trace_id}-{parent_id}-01".encode("ascii")),
        ]
        if tag.run_id:
            headers.append((RUN_HEADER, tag.header()))
        return headers


class _InProcess:
    """One request's body going in, and what comes out."""

    __slots__ = ("_body", "_taken", "body", "headers", "status")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._taken = False
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def receive(self) -> dict[str, Any]:
        if self._taken:  # nobody leaves: who asks is this process
            await asyncio.get_running_loop().create_future()
        self._taken = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body += message.get("body", b"")


def _reply(exchange: _InProcess, call: Call | None, trace_id: str) -> Reply:
    after = exchange.headers.get(b"retry-after", b"")
    seconds = float(after) if after.isdigit() else None
    if call is None:  # refused before there was anything to record
        return Reply(
            status=exchange.status,
            body=exchange.body,
            error="refused",
            trace_id=trace_id,
            cost=Decimal(0),
            retry_after=seconds,
        )
    first = call.time_to_first_token
    return Reply(
        status=exchange.status,
        body=exchange.body,
        error=call.error_type,
        trace_id=trace_id,
        span_id=call.span_id,
        latency=call.duration / 1e9,
        time_to_first_token=None if first is None else first / 1e9,
        cost=None if call.cost is None else Decimal(call.cost),
        usage=call.usage,
        retry_after=seconds,
    )


def generator(ask: Ask) -> Callable[[Request], Awaitable[Answer]]:
    """The neutral form over `ask`: what judges and other tools are handed as `generate`.

    It raises RatchetError where the request is refused or the provider fails, with the gateway's words.
    """

    async def generate(request: Request) -> Answer:
        path, dialect = _PATHS.get(request.dialect, _PATHS["openai_chat"])
        reply = await ask(path, dialect.write_request(msgspec.structs.replace(request, stream=False)))
        if reply.error or reply.status >= 400:
            raise error_of(reply, dialect, request.model)
        answer: Answer = dialect.read_answer(reply.body)
        return msgspec.structs.replace(answer, cost=reply.cost)

    return generate


def error_of(reply: Reply, dialect: Dialect = openai_chat.DIALECT, model: str = "") -> RatchetError:
    """What went wrong, as the error that the gateway meant."""
    message = (
        dialect.error_message(reply.body) or f"{model or 'The gateway'} answered with status {reply.status}."
    )
    if reply.error == "upstream_timeout":
        return UpstreamTimeout(message, "", code=reply.error)
    if reply.error in ("upstream_refused", "upstream_rate_limited"):
        return UpstreamRefused(message, "", status=reply.status, body=reply.body, code=reply.error)
    if reply.error.startswith("upstream"):
        return UpstreamFailed(message, "", code=reply.error)
    kind = {400: InvalidRequest, 403: Forbidden, 404: NotFound, 503: Unavailable}.get(
        reply.status, RatchetError
    )
    return kind(message, "", code=reply.error)
