"""The step that holds requests to limits: all rules at once, before anything is asked; settled when the outcome is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NoReturn

from ratchet.errors import BudgetExhausted, InvalidRequest, RateLimited, Refused, Unavailable
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.limits.rates import Rate, span_text
from ratchet.gateway.limits.rules import Meter, Rule
from ratchet.gateway.reserving import (
    input_expected,
    money_reserved,
    money_used,
    tokens_reserved,
    tokens_used,
)
from ratchet.gateway.snapshot import Step
from ratchet.store.counters import Ask, Grant, LeaseAsk, RateAsk, Refusal

__all__ = ["CountersDown", "limits_step", "price_unknown"]

CountersDown = Literal["refuse", "allow"]

_SECOND = 10**9
_PLACE_AGAIN = 1.0  # seconds until somebody who finds all places taken may look again


def limits_step(rules: Sequence[Rule], *, lifetime: int, counters_down: CountersDown) -> Step:
    """`lifetime`: nanoseconds that no request outlasts; a place is free again then, whatever became of who took it."""
    unconditional = all(not rule.whom.conditions for rule in rules)

    async def limit(exchange: Exchange) -> None:
        """Raises RateLimited, naming the limit and whose it is; Unavailable where nobody can say."""
        applying = rules if unconditional else [rule for rule in rules if rule.whom.applies(exchange)]
        if not applying:
            return
        asks: list[Ask] = []
        meters: list[Meter] = []
        settles = False
        for rule in applying:
            share = rule.whom.share(exchange)
            asks += [_ask(exchange, meter, meter.prefix + share, lifetime) for meter in rule.meters]
            meters += rule.meters
            settles = settles or rule.settles
        try:
            found = await exchange.services.counters.admit(asks)
        except Unavailable:
            if counters_down == "refuse":
                raise
            return
        if type(found) is Refusal:
            _refuse(exchange, meters[found.index], found)
        assert type(found) is Grant  # noqa: S101 - there is nothing else
        exchange.when_settled(_Held(found, meters, exchange.scale, settles=settles))
        _tell_tightest(exchange, meters, found.levels)

    return limit


class _Held:
    """What a request has taken, to be settled. As a step, for `Exchange.when_settled`."""

    __slots__ = ("grant", "meters", "scale", "settles")

    def __init__(self, grant: Grant, meters: Sequence[Meter], scale: float, *, settles: bool) -> None:
        self.grant = grant
        self.meters = meters
        self.scale = scale
        self.settles = settles

    async def __call__(self, exchange: Exchange) -> None:
        """What was refused later on takes nothing; of what nobody knows, what was set aside stays taken."""
        refused = exchange.error is not None and isinstance(exchange.error, Refused)
        if not refused and not self.settles:
            return
        actuals: list[int] = []
        for ask, meter in zip(self.grant.asks, self.meters, strict=True):
            unit, rate = meter.unit, meter.rate
            if unit == "tokens":
                used = tokens_used(exchange)
            elif unit == "cost":
                used = money_used(exchange)
            else:
                used = 0 if refused else None
            if used is None or rate is None:
                actuals.append(ask.amount)
            else:
                actuals.append(rate.nanoseconds(used, self.scale))
        try:
            await exchange.services.counters.settle(self.grant, actuals)
        except Unavailable:
            return  # the counters keep it, and settle when they can


def _ask(exchange: Exchange, meter: Meter, key: str, lifetime: int) -> Ask:
    rate = meter.rate
    if rate is None:
        return LeaseAsk(key, max(1, int(meter.most * exchange.scale)), lifetime)
    if meter.unit == "requests":
        one = meter.one if exchange.scale == 1.0 else min(rate.nanoseconds(1, exchange.scale), meter.room)
        return RateAsk(key, one, meter.room)
    if meter.unit == "tokens":
        return RateAsk(key, _tokens_set_aside(exchange, meter, rate), meter.room)
    cost = money_reserved(exchange)
    if cost is None:
        raise price_unknown(exchange, f"the limit {meter.name!r}")
    return RateAsk(key, min(rate.nanoseconds(cost, exchange.scale), meter.room), meter.room)


def _tokens_set_aside(exchange: Exchange, meter: Meter, rate: Rate) -> int:
    """An answer that could be longer than all there is takes all there is: what it really used beyond that has to come
    back before the next. Raises InvalidRequest where the question alone is more."""
    taken = rate.nanoseconds(tokens_reserved(exchange), exchange.scale)
    if taken <= meter.room:
        return taken
    asked = input_expected(exchange)
    if rate.nanoseconds(asked, exchange.scale) > meter.room:
        raise InvalidRequest(
            f"The request is about {asked:,} tokens, more than the limit {meter.name!r} ever lets through at once "
            f"({rate.units(meter.room, exchange.scale):,}).",
            f"Send less, or raise limits.{meter.name}.tokens.",
            code="request_exceeds_limit",
        )
    return meter.room


def price_unknown(exchange: Exchange, what: str) -> BudgetExhausted:
    """Money can't be held to a limit where nobody knows the price."""
    route = exchange.route.name if exchange.route is not None else ""
    return BudgetExhausted(
        f"What {route!r} costs is not known, and {what} is in money.",
        'Say it in ratchet.toml: [prices."provider/model"] input = … output = …',
        code="price_unknown",
    )


def _refuse(exchange: Exchange, meter: Meter, found: Refusal) -> NoReturn:
    _tell_tightest(exchange, [meter], [min(found.level, meter.room)])
    whom = meter.whom
    whose = whom.described(exchange)
    subject = f"{meter.name}: {whose}" if whose else meter.name
    each = " and ".join(dimension for dimension, _ in whom.by)
    message = f"The limit {meter.name!r} allows {_allowance(meter, exchange.scale)}" + (
        f" for each {each}, and {whose} has reached it." if whose else ", and that is reached."
    )
    attributes = {"limit": meter.name, "unit": meter.unit, **whom.told(exchange)}
    if exchange.key is not None:
        exchange.services.notices.tell(
            "limit.hit",
            subject,
            message,
            project_id=exchange.key.project_id,
            attributes=attributes,
        )
    wait = found.wait / _SECOND if meter.rate is not None else _PLACE_AGAIN
    remedy = f"Ask again in {span_text(found.wait)}." if meter.rate is not None else "Ask again in a moment."
    raise RateLimited(message, remedy, retry_after=wait)


def _allowance(meter: Meter, scale: float) -> str:
    trusted = "" if scale == 1.0 else f" (times {scale:.2g}, for the trust it is given)"
    if meter.rate is None:
        return f"{meter.most:,} requests at once{trusted}"
    if meter.unit == "cost":
        return f"${meter.rate.text}{trusted}"
    amount, _, period = meter.rate.text.partition("/")
    return f"{amount} {meter.unit} a {period}{trusted}"


def _tell_tightest(exchange: Exchange, meters: Sequence[Meter], levels: Sequence[int]) -> None:
    """Of several rules the one of which least is left."""
    scale, told = exchange.scale, exchange.told
    tightest: dict[bytes, int] = {}
    for meter, level in zip(meters, levels, strict=True):
        limit, remaining, reset = meter.headers
        rate = meter.rate
        if not limit or rate is None:
            continue
        left = rate.units(meter.room - level, scale)
        known = tightest.get(limit)
        if known is not None:
            if known <= left:
                continue
            told[:] = [each for each in told if each[0] not in meter.headers]
        tightest[limit] = left
        allowed = meter.told if scale == 1.0 else b"%d" % int(rate.amount * scale)
        told += ((limit, allowed), (remaining, b"%d" % left), (reset, span_text(level).encode()))
