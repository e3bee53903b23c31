"""The ASGI app: reads requests, applies faults, keeps counts. Everything else it asks the pure core for."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.simulator.answer import Answer, answer
from ratchet.simulator.dice import Dice
from ratchet.simulator.exchange import Exchange, Gone, Receive, Scope, Send
from ratchet.simulator.faults import NO_FAULT, Fault, Rule, Script, parse_fault, parse_rules
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.openai_answer import Envelope, completion, payloads
from ratchet.simulator.openai_request import ChatRequest, Rejected, error_body, read_request
from ratchet.simulator.outcomes import Outcome, failed, whole
from ratchet.simulator.prefixes import PrefixMemory
from ratchet.simulator.streams import writes
from ratchet.simulator.tampering import tampered

__all__ = ["Simulator", "simulator_app"]

_MODELS = ("shop-bot", "shop-bot-mini", "gpt-4o", "gpt-4o-mini", "o4-mini", "deepseek-reasoner")
_EPOCH = 1_750_000_000
_SSE = b"text/event-stream; charset=utf-8"
_REMEMBERED, _REMEMBERED_SIZE = 2048, 32 * 1024
_encode = msgspec.json.Encoder().encode


def simulator_app(
    *,
    seed: int | None = 0,
    handbook: Handbook | None = None,
    script: Sequence[Rule] = (),
    pace: float = 0.0,
    api_key: str | None = None,
    max_body: int = 64 * 1024 * 1024,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> Simulator:
    """A provider that speaks OpenAI's wire format, as an ASGI app.

    `seed`: the same request gets the same bytes; None varies answers, ids and times from request to request.
    `pace` multiplies the model classes' delays (see models.py): 0 answers at once, 1 as slowly as they say.
    `api_key`: the bearer token that is asked for; None takes any request. `max_body` in bytes.
    `clock` gives seconds since the epoch; `sleep` waits seconds.
    """
    return Simulator(
        seed=seed,
        handbook=handbook or Handbook.shipped(),
        script=script,
        pace=pace,
        api_key=api_key,
        max_body=max_body,
        clock=clock,
        sleep=sleep,
    )


class Stats(msgspec.Struct, kw_only=True):
    """What `GET /_simulate/stats` shows. Counts since the start or the last reset, except `in_flight`."""

    requests: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    completed: int = 0
    disconnects: int = 0  # the client went away before its answer was complete
    faults: int = 0
    rejected: int = 0  # answered with an error of the request's own
    streams: int = 0
    by_status: dict[str, int] = {}
    by_model: dict[str, int] = {}


class Simulator:
    """The app. `stats` may be read at any time."""

    def __init__(
        self,
        *,
        seed: int | None,
        handbook: Handbook,
        script: Sequence[Rule],
        pace: float,
        api_key: str | None,
        max_body: int,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self.stats = Stats()
        self._seed = seed
        self._book = handbook
        self._script = Script(script, seed=seed or 0)
        self._pace = pace
        self._api_key = api_key
        self._max_body = max_body
        self._clock = clock
        self._sleep = sleep
        self._prefixes = PrefixMemory()
        self._counter = itertools.count(1)
        # Whole plain answers by request body. Answers are pure, so this changes nothing but the time they take.
        self._remembered: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3. Lifespan is answered; web sockets are not spoken."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        path: str = scope["path"]
        try:
            if path.startswith("/_simulate/"):
                await self._control(path, scope["method"], exchange)
            elif path == "/v1/chat/completions":
                await self._counted(self._chat, exchange)
            else:
                await exchange.reply(self._other(path, scope["method"], exchange))
        except Gone:
            pass  # counted where it matters; there is nobody left to answer

    async def _counted(self, serve: Callable[[Exchange], Awaitable[None]], exchange: Exchange) -> None:
        stats = self.stats
        stats.requests += 1
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        try:
            await serve(exchange)
            stats.completed += 1
        except Gone:
            stats.disconnects += not exchange.ended
            raise
        finally:
            stats.in_flight -= 1
            if exchange.status:
                status = str(exchange.status)
                stats.by_status[status] = stats.by_status.get(status, 0) + 1

    # -- chat ----------------------------------------------------------------------------------------------------

    async def _chat(self, exchange: Exchange) -> None:
        if exchange.method != "POST":
            await exchange.reply(_not_allowed(exchange.method, exchange.path))
            return
        try:
            self._admit(exchange)
            body = await exchange.body(self._max_body)
            asked = exchange.header(b"x-simulate")
            if not asked and not self._script:
                remembered = self._remembered.get(body)
                if remembered:
                    await exchange.send_json(*remembered)
                    return
            fault = parse_fault(asked) if asked else None
            if fault and (fault.status or fault.reset):
                await self._fail(exchange, fault)
                return
            request = read_request(body)
            fault = fault or self._fault(request)
            if fault.status or fault.reset:
                await self._fail(exchange, fault)
                return
        except Rejected as refused:
            self.stats.rejected += 1
            await exchange.reply(Outcome(refused.status, refused.body))
            return
        except InvalidRequest as mistake:
            self.stats.rejected += 1
            body = error_body(
                str(mistake), kind="invalid_request_error", param="x-simulate", code="unknown_fault"
            )
            await exchange.reply(Outcome(400, body))
            return
        await self._answer(exchange, body, request, fault)

    def _admit(self, exchange: Exchange) -> None:
        if self._api_key is None:
            return
        given = exchange.header(b"authorization")
        if not given:
            raise Rejected(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                status=401,
            )
        if given != f"Bearer {self._api_key}":
            shown = given.removeprefix("Bearer ")
            raise Rejected(
                f"Incorrect API key provided: {shown[:4]}***{shown[-4:] if len(shown) > 8 else ''}.",
                status=401,
                code="invalid_api_key",
            )

    def _fault(self, request: ChatRequest) -> Fault:
        if request.simulate:
            return parse_fault(request.simulate)
        return self._script.strike(request.ask.model, lambda: request.ask.question) or NO_FAULT

    async def _fail(self, exchange: Exchange, fault: Fault) -> None:
        self.stats.faults += 1
        if fault.latency:
            await exchange.watched(self._sleep(fault.latency))
        if fault.reset:
            await exchange.abort()
            return
        await exchange.reply(failed(fault))

    async def _answer(self, exchange: Exchange, body: bytes, request: ChatRequest, fault: Fault) -> None:
        ask = request.ask
        if fault is not NO_FAULT:
            self.stats.faults += 1
        self.stats.by_model[ask.model] = self.stats.by_model.get(ask.model, 0) + 1
        seed = self._seed if self._seed is not None else next(self._counter)
        found = answer(ask, seed=seed, handbook=self._book)
        if fault is not NO_FAULT:
            found = tampered(found, fault, self._book)
        envelope = self._envelope(body, request, found, seed)
        dice = Dice(body + f" wire {seed}".encode())
        headers = ((b"x-simulate-flaw", _plain(found.flaw)),) if found.flaw else ()
        first, gap = self._delays(found, fault)
        if request.stream and fault.body != "html":
            self.stats.streams += 1
            chunks = payloads(found, request, envelope, dice)
            stream = writes(chunks, fault, first=first, gap=gap, dice=dice)
            kind = fault.content_type.encode("latin-1", "replace") if fault.content_type else _SSE
            await exchange.watched(exchange.stream(stream, kind, envelope.id.encode(), headers, self._sleep))
            return
        made = completion(found, request, envelope, dice)
        if fault.no_usage:
            del made["usage"]
        if fault.no_finish:
            for choice in cast("list[dict[str, Any]]", made["choices"]):
                choice["finish_reason"] = None
        data = _encode(made)
        delay = first + (gap * found.output_tokens if fault.gap is None else 0.0)
        if delay:
            await exchange.watched(self._sleep(delay))
        if fault is NO_FAULT and not found.flaw:
            if self._seed is not None and not delay and not self._script and not envelope.cached_tokens:
                self._remember(body, data, envelope.id.encode(), found)
            await exchange.send_json(data, envelope.id.encode())
            return
        await exchange.reply(whole(data, fault, headers))

    def _remember(self, body: bytes, data: bytes, name: bytes, found: Answer) -> None:
        """Keeps a short answer. A prompt that could be cached upstream is left out: its usage changes."""
        if len(body) > _REMEMBERED_SIZE or found.input_tokens >= 1024:
            return
        self._remembered[body] = (data, name)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def _envelope(self, body: bytes, request: ChatRequest, found: Answer, seed: int) -> Envelope:
        dice = Dice(body + f" envelope {seed}".encode())
        fixed = self._seed is not None
        return Envelope(
            id="chatcmpl-" + dice.letters("id", 29),
            created=_EPOCH + dice.below("created", 10_000_000) if fixed else int(self._clock()),
            model=request.ask.model,
            service_tier=request.service_tier,
            fingerprint="fp_" + f"{Dice(request.ask.model.encode()).integer('fingerprint'):016x}"[:10],
            cached_tokens=self._prefixes.cached_tokens(request.ask, found.input_tokens),
        )

    def _delays(self, found: Answer, fault: Fault) -> tuple[float, float]:
        """`(seconds before the first chunk, seconds between chunks)`."""
        kind = found.model_class
        first = kind.first_token * self._pace if fault.latency is None else fault.latency
        gap = kind.per_token * self._pace if fault.gap is None else fault.gap
        thinking = found.reasoning_tokens * kind.per_token * self._pace if fault.latency is None else 0.0
        return first + thinking, gap

    # -- everything else -----------------------------------------------------------------------------------------

    def _other(self, path: str, method: str, exchange: Exchange) -> Outcome:
        if path == "/v1/models" or path.startswith("/v1/models/"):
            if method != "GET":
                return _not_allowed(method, path)
            try:
                self._admit(exchange)
            except Rejected as refused:
                return Outcome(refused.status, refused.body)
            name = path.removeprefix("/v1/models").removeprefix("/")
            return Outcome(
                200, _encode(_model(name) if name else {"object": "list", "data": [*map(_model, _MODELS)]})
            )
        if path in {"/", "/healthz"}:
            return Outcome(200, b'{"status":"ok"}')
        message = f"Invalid URL ({method} {path})"
        return Outcome(404, error_body(message, kind="invalid_request_error"))

    async def _control(self, path: str, method: str, exchange: Exchange) -> None:
        """The control paths: stats, reset, script."""
        match (method, path.removeprefix("/_simulate/")):
            case ("GET", "stats"):
                await exchange.reply(Outcome(200, _encode(self.stats)))
            case ("POST", "reset"):
                self.reset()
                await exchange.reply(Outcome(200, _encode(self.stats)))
            case ("GET", "script"):
                await exchange.reply(Outcome(200, _encode({"rules": self._script.report()})))
            case ("POST", "script"):
                try:
                    self.load(parse_rules(msgspec.json.decode(await exchange.body(self._max_body))))
                except (InvalidRequest, msgspec.DecodeError) as mistake:
                    await exchange.reply(Outcome(400, error_body(str(mistake), kind="invalid_request_error")))
                    return
                await exchange.reply(Outcome(200, _encode({"rules": self._script.report()})))
            case _:
                body = error_body(
                    f"The simulator has no {method} {path}. It has GET /_simulate/stats, POST /_simulate/reset, and "
                    "GET and POST /_simulate/script.",
                    kind="invalid_request_error",
                )
                await exchange.reply(Outcome(404, body))

    def load(self, rules: Sequence[Rule]) -> None:
        """Replaces the script; its counts start at zero."""
        self._script = Script(rules, seed=self._seed or 0)

    def reset(self) -> None:
        """Counts to zero, script and prompt cache empty. Requests in flight stay counted as in flight."""
        self.stats = Stats(in_flight=self.stats.in_flight, peak_in_flight=self.stats.in_flight)
        self._script = Script(seed=self._seed or 0)
        self._prefixes.forget()
        self._remembered.clear()


def _plain(text: str) -> bytes:
    """Text as a header can carry it."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:200]).encode()


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _EPOCH, "owned_by": "simulator"}


def _not_allowed(method: str, path: str) -> Outcome:
    message = f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    return Outcome(405, error_body(message, kind="invalid_request_error", code="method_not_supported"))


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
