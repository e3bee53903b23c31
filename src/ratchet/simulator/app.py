"""The ASGI app: reads requests, applies faults, keeps counts. Everything else it asks the pure core for."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.simulator.answer import Answer
from ratchet.simulator.exchange import Exchange, Gone, Receive, Scope, Send, TooLarge
from ratchet.simulator.faults import NO_FAULT, Fault, Rule, Script, parse_fault, parse_rules
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai.errors import error_body
from ratchet.simulator.outcomes import Headers, Outcome, shaped
from ratchet.simulator.paths import not_allowed, plain, wire_at
from ratchet.simulator.streams import writes
from ratchet.simulator.wire import Occasion, Refused, Rejected, Wanted, Wire, encode

__all__ = ["Simulator", "simulator_app"]

_REMEMBERED, _REMEMBERED_SIZE = 2048, 32 * 1024


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
    """A provider that speaks OpenAI's, Anthropic's, Google's and Azure's wire formats, as an ASGI app.

    `seed`: the same request gets the same bytes; None varies answers, ids and times from request to request.
    `pace` multiplies the model classes' delays (see models.py): 0 answers at once, 1 as slowly as they say.
    `api_key`: the key that is asked for, where each vendor wants it; None takes any request. `max_body` in bytes.
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
        self._memory = Memory()
        self._counter = itertools.count(1)
        # Whole plain answers by path, body and headers. Answers are pure, so this changes nothing but the time they take.
        self._remembered: OrderedDict[tuple[object, ...], tuple[bytes, Headers]] = OrderedDict()

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
                return
            wire = wire_at(path)
            if wire:
                await self._counted(wire, exchange)
            else:
                await exchange.reply(plain(exchange, self._api_key, self._memory))
        except Gone:
            pass  # counted where it matters; there is nobody left to answer

    async def _counted(self, wire: Wire, exchange: Exchange) -> None:
        stats = self.stats
        stats.requests += 1
        stats.in_flight += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        try:
            await self._serve(wire, exchange)
            stats.completed += 1
        except Gone:
            stats.disconnects += not exchange.ended
            raise
        finally:
            stats.in_flight -= 1
            if exchange.status:
                status = str(exchange.status)
                stats.by_status[status] = stats.by_status.get(status, 0) + 1

    # -- one request ---------------------------------------------------------------------------------------------

    async def _serve(self, wire: Wire, exchange: Exchange) -> None:
        if exchange.method != "POST":
            await exchange.reply(wire.vendor.refused(not_allowed(exchange)))
            return
        try:
            wire.vendor.admit(exchange, self._api_key)
            body = await exchange.body(self._max_body)
            asked = exchange.header(b"x-simulate")
            if not asked and not self._script:
                remembered = self._remembered.get(exchange.key(body, wire.vendor.heeds))
                if remembered:
                    await exchange.send_json(*remembered)
                    return
            fault = parse_fault(asked) if asked else None
            if fault and (fault.status or fault.reset):
                await self._fail(wire, exchange, fault)
                return
            wanted = wire.read(body, exchange, self._memory)
            fault = fault or self._fault(wanted)
            if fault.status or fault.reset:
                await self._fail(wire, exchange, fault)
                return
        except (Rejected, TooLarge, InvalidRequest) as refused:
            self.stats.rejected += 1
            await exchange.reply(_refusal(wire, refused))
            return
        await self._answer(wire, exchange, body, wanted, fault)

    def _fault(self, wanted: Wanted) -> Fault:
        if wanted.simulate:
            return parse_fault(wanted.simulate)
        return self._script.strike(wanted.ask.model, lambda: wanted.ask.question) or NO_FAULT

    async def _fail(self, wire: Wire, exchange: Exchange, fault: Fault) -> None:
        self.stats.faults += 1
        if fault.latency:
            await exchange.watched(self._sleep(fault.latency))
        if fault.reset:
            await exchange.abort()
            return
        await exchange.reply(wire.vendor.failed(fault))

    async def _answer(
        self, wire: Wire, exchange: Exchange, body: bytes, wanted: Wanted, fault: Fault
    ) -> None:
        if fault is not NO_FAULT:
            self.stats.faults += 1
        self.stats.by_model[wanted.ask.model] = self.stats.by_model.get(wanted.ask.model, 0) + 1
        occasion = Occasion(
            body=body,
            seed=self._seed if self._seed is not None else next(self._counter),
            fixed=self._seed is not None,
            streamed=wanted.stream and fault.body != "html",
            fault=fault,
            book=self._book,
            memory=self._memory,
            clock=self._clock,
        )
        made = wanted.make(occasion)
        flaw = made.answer.flaw if made.answer else ""
        headers = (*made.headers, (b"x-simulate-flaw", _plain(flaw))) if flaw else made.headers
        first, gap = self._delays(made.answer, fault)
        if occasion.streamed:
            self.stats.streams += 1
            stream = writes(
                made.payloads, fault, made.framing, first=first, gap=gap, dice=occasion.dice("wire")
            )
            kind = fault.content_type.encode("latin-1", "replace") or made.framing.content_type
            await exchange.watched(exchange.stream(stream, kind, headers, self._sleep))
            return
        delay = first + (gap * made.answer.output_tokens if made.answer and fault.gap is None else 0.0)
        if delay:
            await exchange.watched(self._sleep(delay))
        if fault is NO_FAULT and not flaw:
            plain_headers = (
                (b"content-type", made.content_type),
                *headers,
                (b"content-length", b"%d" % len(made.data)),
            )
            short = len(body) <= _REMEMBERED_SIZE
            if made.repeatable and short and occasion.fixed and not delay and not self._script:
                self._remember(exchange.key(body, wire.vendor.heeds), made.data, plain_headers)
            await exchange.send_json(made.data, plain_headers)
            return
        await exchange.reply(shaped(Outcome(200, made.data, made.content_type, headers), fault))

    def _remember(self, key: tuple[object, ...], data: bytes, headers: Headers) -> None:
        """Keeps a short answer."""
        self._remembered[key] = (data, headers)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def _delays(self, found: Answer | None, fault: Fault) -> tuple[float, float]:
        """`(seconds before the first chunk, seconds between chunks)`."""
        if found is None:
            return fault.latency or 0.0, fault.gap or 0.0
        kind = found.model_class
        first = kind.first_token * self._pace if fault.latency is None else fault.latency
        gap = kind.per_token * self._pace if fault.gap is None else fault.gap
        thinking = found.reasoning_tokens * kind.per_token * self._pace if fault.latency is None else 0.0
        return first + thinking, gap

    # -- control -------------------------------------------------------------------------------------------------

    async def _control(self, path: str, method: str, exchange: Exchange) -> None:
        """The control paths: stats, reset, script."""
        match (method, path.removeprefix("/_simulate/")):
            case ("GET", "stats"):
                await exchange.reply(Outcome(200, encode(self.stats)))
            case ("POST", "reset"):
                self.reset()
                await exchange.reply(Outcome(200, encode(self.stats)))
            case ("GET", "script"):
                await exchange.reply(Outcome(200, encode({"rules": self._script.report()})))
            case ("POST", "script"):
                try:
                    self.load(parse_rules(msgspec.json.decode(await exchange.body(self._max_body))))
                except (InvalidRequest, msgspec.DecodeError) as mistake:
                    await exchange.reply(Outcome(400, error_body(str(mistake), kind="invalid_request_error")))
                    return
                await exchange.reply(Outcome(200, encode({"rules": self._script.report()})))
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
        self._memory.forget()
        self._remembered.clear()


def _plain(text: str) -> bytes:
    """Text as a header can carry it."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:200]).encode()


def _refusal(wire: Wire, mistake: Rejected | TooLarge | InvalidRequest) -> Outcome:
    """The answer to a request that can't be served, in the vendor's shape."""
    if isinstance(mistake, Rejected):
        return mistake.outcome
    if isinstance(mistake, TooLarge):
        message = f"Maximum content size limit ({mistake.most}) exceeded ({mistake.size} bytes read)."
        return wire.vendor.refused(Refused(status=413, message=message, code="request_too_large"))
    return wire.vendor.refused(
        Refused(status=400, message=str(mistake), param="x-simulate", code="unknown_fault")
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif event["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
