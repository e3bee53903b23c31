"""What limits count, each as a request meets it: requests, tokens, money, and requests at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import msgspec

from ratchet.errors import InvalidRequest, RateLimited, Refused
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.limits.rates import Rate, span_text
from ratchet.gateway.limits.whom import Whom
from ratchet.gateway.reserving import money_reserved, money_used, price_unknown, reserve, tokens_used
from ratchet.store.counters import Ask, LeaseAsk, RateAsk, Refusal

__all__ = ["CostMeter", "Meter", "PlacesMeter", "RequestsMeter", "TokensMeter"]

_SECOND = 10**9
_MILLISECOND = 10**6
_MOST_SCALES = 10_000  # trust has so many values, and a segment's scale others
_PLACE_AGAIN = 1.0  # seconds until somebody who finds all places taken may look again


class Meter:
    """`prefix` begins the counter's key; the share's name follows."""

    unit = ""
    tells = ""
    settles = True
    warns = False

    def __init__(self, name: str, whom: Whom, prefix: str) -> None:
        self.name = name  # the limit's
        self.whom = whom
        self.prefix = prefix
        self.share = whom.share

    def ask(self, exchange: Exchange) -> Ask:
        """What to set aside for this request."""
        raise NotImplementedError

    def used(self, exchange: Exchange, ask: Ask) -> int | None:  # noqa: ARG002 - others look at it
        """What it really used."""
        return ask.amount

    def left(self, exchange: Exchange, level: int) -> Sequence[tuple[bytes, bytes]]:  # noqa: ARG002 - others do
        """Nothing, of what there is no header for."""
        return ()

    def warn(self, exchange: Exchange, before: int, now: int) -> None:
        """Nobody waits for that."""

    async def refuse(self, exchange: Exchange, ask: Ask, found: Refusal) -> NoReturn:
        """Raises RateLimited, naming the limit and whose it is."""
        exchange.told += self.left(exchange, min(found.level, ask.limit))
        whom = self.whom
        whose = whom.described(exchange)
        subject = f"{self.name}: {whose}" if whose else self.name
        each = " and ".join(dimension for dimension, _ in whom.by)
        trusted = "" if exchange.scale == 1.0 else f" (times {exchange.scale:.2g}, for the trust it is given)"
        message = f"The limit {self.name!r} allows {self.allowance()}{trusted}" + (
            f" for each {each}, and {whose} has reached it." if whose else ", and that is reached."
        )
        if exchange.key is not None:
            exchange.services.notices.tell(
                "limit.hit",
                subject,
                message,
                project_id=exchange.key.project_id,
                attributes={"limit": self.name, "unit": self.unit, **whom.told(exchange)},
            )
        again, wait = self.again(found.wait)
        raise RateLimited(message, f"Ask again in {again}.", retry_after=wait)

    def allowance(self) -> str:
        """What it allows, for people."""
        raise NotImplementedError

    def again(self, wait: int) -> tuple[str, float]:
        """When to come back, for people and in seconds."""
        return span_text(wait), wait / _SECOND


class _Scaled(msgspec.Struct, frozen=True, gc=False):
    """A rate for those whose limits are so many times as large."""

    unit: float  # nanoseconds that one takes from the bucket
    one: int  # the same, as far as there is room
    allowed: tuple[bytes, bytes]  # a header


class _RateMeter(Meter):
    """Of something that there is so much of in a time."""

    def __init__(self, name: str, whom: Whom, start: str, rate: Rate) -> None:
        super().__init__(name, whom, f"{start}:{self.unit}:{rate.amount}/{rate.period}/{rate.burst}:")
        self.rate = rate
        self.room = rate.room  # the nanoseconds that an empty bucket takes to be full
        self._limit, self._remaining, self._reset = (
            f"x-ratelimit-{what}-{self.unit}".encode() for what in ("limit", "remaining", "reset")
        )
        self._scales: dict[float, _Scaled] = {}

    def _at(self, scale: float) -> _Scaled:
        """It is worked out once for each."""
        known = self._scales.get(scale)
        if known is not None:
            return known
        if len(self._scales) >= _MOST_SCALES:
            self._scales.clear()
        rate = self.rate
        unit = rate.period / (rate.amount * scale)
        allowed = (self._limit, b"%d" % int(rate.amount * scale))
        self._scales[scale] = found = _Scaled(unit, min(int(unit), rate.room), allowed)
        return found

    def left(self, exchange: Exchange, level: int) -> Sequence[tuple[bytes, bytes]]:
        """See Held."""
        scaled = self._scales.get(exchange.scale) or self._at(exchange.scale)
        reset = b"%dms" % -(-level // _MILLISECOND) if level < _SECOND else span_text(level).encode()
        return (
            scaled.allowed,
            (self._remaining, b"%d" % int((self.room - level) / scaled.unit)),
            (self._reset, reset),
        )

    def allowance(self) -> str:
        amount, _, period = self.rate.text.partition("/")
        return f"{amount} {self.unit} a {period}"


class RequestsMeter(_RateMeter):
    """Of requests. One that was refused is none."""

    unit = tells = "requests"
    settles = False

    def ask(self, exchange: Exchange) -> Ask:
        scaled = self._scales.get(exchange.scale) or self._at(exchange.scale)
        return RateAsk(self.prefix + self.share(exchange), scaled.one, self.room)

    def used(self, exchange: Exchange, ask: Ask) -> int | None:  # noqa: ARG002 - others look at it
        return 0 if exchange.error is not None and isinstance(exchange.error, Refused) else None


class TokensMeter(_RateMeter):
    """Of tokens, of question and answer."""

    unit = tells = "tokens"

    def ask(self, exchange: Exchange) -> Ask:
        """An answer that could be longer than all there is takes all there is: what it really used beyond that has to
        come back before the next. Raises InvalidRequest where the question alone is more."""
        scaled = self._scales.get(exchange.scale) or self._at(exchange.scale)
        found, room = exchange.reservation or reserve(exchange), self.room
        taken = int((found.input + found.output) * scaled.unit)
        if taken > room:
            self._check_question(exchange)
            taken = room
        return RateAsk(self.prefix + self.share(exchange), taken, room)

    def used(self, exchange: Exchange, ask: Ask) -> int | None:  # noqa: ARG002 - others look at it
        used = tokens_used(exchange)
        return None if used is None else int(used * self._at(exchange.scale).unit)

    def _check_question(self, exchange: Exchange) -> None:
        asked, rate = reserve(exchange).input, self.rate
        if rate.nanoseconds(asked, exchange.scale) > self.room:
            raise InvalidRequest(
                f"The request is about {asked:,} tokens, more than the limit {self.name!r} ever lets through at once "
                f"({rate.units(self.room, exchange.scale):,}).",
                f"Send less, or raise limits.{self.name}.tokens.",
                code="request_exceeds_limit",
            )


class CostMeter(_RateMeter):
    """Of money."""

    unit = "cost"

    def ask(self, exchange: Exchange) -> Ask:
        """Raises BudgetExhausted where nobody knows the price."""
        cost = money_reserved(exchange)
        if cost is None:
            raise price_unknown(exchange, f"the limit {self.name!r}")
        scaled = self._scales.get(exchange.scale) or self._at(exchange.scale)
        return RateAsk(self.prefix + self.share(exchange), min(int(cost * scaled.unit), self.room), self.room)

    def used(self, exchange: Exchange, ask: Ask) -> int | None:  # noqa: ARG002 - others look at it
        used = money_used(exchange)
        return None if used is None else int(used * self._at(exchange.scale).unit)

    def allowance(self) -> str:
        return f"${self.rate.text}"


class PlacesMeter(Meter):
    """Of requests at once."""

    unit = "concurrency"

    def __init__(self, name: str, whom: Whom, start: str, most: int, lifetime: int) -> None:
        """`lifetime`: nanoseconds that no request outlasts; a place is free again then, whatever became of who took it."""
        super().__init__(name, whom, f"{start}:concurrency:")
        self._most = most
        self._lifetime = lifetime

    def ask(self, exchange: Exchange) -> Ask:
        most = max(1, int(self._most * exchange.scale))
        return LeaseAsk(self.prefix + self.share(exchange), most, self._lifetime)

    def allowance(self) -> str:
        return f"{self._most:,} requests at once"

    def again(self, wait: int) -> tuple[str, float]:  # noqa: ARG002 - nobody knows when somebody leaves
        return "a moment", _PLACE_AGAIN
