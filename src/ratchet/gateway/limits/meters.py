"""What limits count, each as a request meets it: requests, tokens, money, and requests at once."""

from __future__ import annotations

from typing import NoReturn

from ratchet.errors import InvalidRequest, RateLimited, Refused
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.limits.rates import Rate, span_text
from ratchet.gateway.limits.whom import Whom
from ratchet.gateway.reserving import (
    input_expected,
    money_reserved,
    money_used,
    price_unknown,
    tokens_reserved,
    tokens_used,
)
from ratchet.store.counters import Ask, LeaseAsk, RateAsk, Refusal

__all__ = ["CostMeter", "Meter", "PlacesMeter", "RequestsMeter", "TokensMeter"]

_SECOND = 10**9
_MILLISECOND = 10**6
_PLACE_AGAIN = 1.0  # seconds until somebody who finds all places taken may look again


class Meter:
    """`prefix` begins the counter's key; the share's name follows."""

    unit = ""
    settles = True
    warns = False

    def __init__(self, name: str, whom: Whom, prefix: str) -> None:
        self.name = name  # the limit's
        self.whom = whom
        self.prefix = prefix

    def ask(self, exchange: Exchange) -> Ask:
        """What to set aside for this request."""
        raise NotImplementedError

    def used(self, exchange: Exchange, ask: Ask) -> int:  # noqa: ARG002 - others look at it
        """What it really used."""
        return ask.amount

    def tell(self, exchange: Exchange, levels: dict[bytes, int], level: int) -> None:
        """Nothing, of what there is no header for."""

    def warn(self, exchange: Exchange, before: int, now: int) -> None:
        """Nobody waits for that."""

    async def refuse(self, exchange: Exchange, ask: Ask, found: Refusal) -> NoReturn:
        """Raises RateLimited, naming the limit and whose it is."""
        self.tell(exchange, {}, min(found.level, ask.limit))
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


class _RateMeter(Meter):
    """Of something that there is so much of in a time. `headers`: limit, remaining and reset, or none."""

    def __init__(self, name: str, whom: Whom, start: str, rate: Rate) -> None:
        super().__init__(name, whom, f"{start}:{self.unit}:{rate.amount}/{rate.period}/{rate.burst}:")
        self.rate = rate
        self.room = rate.room  # the nanoseconds that an empty bucket takes to be full

    def allowance(self) -> str:
        amount, _, period = self.rate.text.partition("/")
        return f"{amount} {self.unit} a {period}"


class _ToldMeter(_RateMeter):
    """Of what apps are told in headers."""

    def __init__(self, name: str, whom: Whom, start: str, rate: Rate) -> None:
        super().__init__(name, whom, start, rate)
        unit = self.unit.encode()
        self._limit, self._remaining, self._reset = (
            b"x-ratelimit-%b-%b" % (what, unit) for what in (b"limit", b"remaining", b"reset")
        )
        self._allowed = b"%d" % rate.amount

    def tell(self, exchange: Exchange, levels: dict[bytes, int], level: int) -> None:
        """Of several limits the one of which least is left."""
        rate, scale, name, told = self.rate, exchange.scale, self._limit, exchange.told
        if scale == 1.0:
            left = (self.room - level) * rate.amount // rate.period
            allowed = self._allowed
        else:
            left = int((self.room - level) * rate.amount * scale / rate.period)
            allowed = b"%d" % int(rate.amount * scale)
        if name in levels:
            if levels[name] <= left:
                return
            mine = (name, self._remaining, self._reset)
            told[:] = [each for each in told if each[0] not in mine]
        levels[name] = left
        told.append((name, allowed))
        told.append((self._remaining, b"%d" % left))
        told.append(
            (
                self._reset,
                b"%dms" % -(-level // _MILLISECOND) if level < _SECOND else span_text(level).encode(),
            )
        )


class RequestsMeter(_ToldMeter):
    """Of requests. One that was refused is none."""

    unit = "requests"
    settles = False

    def __init__(self, name: str, whom: Whom, start: str, rate: Rate) -> None:
        super().__init__(name, whom, start, rate)
        self._one = min(rate.nanoseconds(1), rate.room)

    def ask(self, exchange: Exchange) -> Ask:
        scale = exchange.scale
        one = self._one if scale == 1.0 else min(self.rate.nanoseconds(1, scale), self.room)
        return RateAsk(self.prefix + self.whom.share(exchange), one, self.room)

    def used(self, exchange: Exchange, ask: Ask) -> int:
        return 0 if exchange.error is not None and isinstance(exchange.error, Refused) else ask.amount


class TokensMeter(_ToldMeter):
    """Of tokens, of question and answer."""

    unit = "tokens"

    def ask(self, exchange: Exchange) -> Ask:
        """An answer that could be longer than all there is takes all there is: what it really used beyond that has to
        come back before the next. Raises InvalidRequest where the question alone is more."""
        room = self.room
        taken = self.rate.nanoseconds(tokens_reserved(exchange), exchange.scale)
        if taken > room:
            self._check_question(exchange)
            taken = room
        return RateAsk(self.prefix + self.whom.share(exchange), taken, room)

    def used(self, exchange: Exchange, ask: Ask) -> int:
        used = tokens_used(exchange)
        return ask.amount if used is None else self.rate.nanoseconds(used, exchange.scale)

    def _check_question(self, exchange: Exchange) -> None:
        asked, rate = input_expected(exchange), self.rate
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
        taken = min(self.rate.nanoseconds(cost, exchange.scale), self.room)
        return RateAsk(self.prefix + self.whom.share(exchange), taken, self.room)

    def used(self, exchange: Exchange, ask: Ask) -> int:
        used = money_used(exchange)
        return ask.amount if used is None else self.rate.nanoseconds(used, exchange.scale)

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
        return LeaseAsk(self.prefix + self.whom.share(exchange), most, self._lifetime)

    def allowance(self) -> str:
        return f"{self._most:,} requests at once"

    def again(self, wait: int) -> tuple[str, float]:  # noqa: ARG002 - nobody knows when somebody leaves
        return "a moment", _PLACE_AGAIN
