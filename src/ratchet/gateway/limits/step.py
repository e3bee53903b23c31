"""The step that holds requests to limits: all rules at once, before anything is asked; settled when the outcome is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NoReturn

from ratchet.errors import BudgetExhausted, InvalidRequest, RateLimited, Refused, Unavailable
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.limits.rates import Rate, span_text
from ratchet.gateway.limits.rules import Meter, Rule
from ratchet.gateway.reserving import money_used, reservation_of, tokens_used
from ratchet.gateway.snapshot import Step
from ratchet.store.counters import Ask, Grant, LeaseAsk, RateAsk, Refusal

__all__ = ["CountersDown", "limits_step", "price_unknown"]

CountersDown = Literal["refuse", "allow"]

_SECOND = 10**9
_PLACE_AGAIN = 1.0  # seconds until somebody who finds all places taken may look again
_TOLD = ("requests", "tokens")


def limits_step(rules: Sequence[Rule], *, lifetime: int, counters_down: CountersDown) -> Step:
    """`lifetime`: nanoseconds that no request outlasts; a place is free again then, whatever became of who took it."""

    async def limit(exchange: Exchange) -> None:
        """Raises RateLimited, naming the limit and whose it is; Unavailable where nobody can say."""
        applying = [rule for rule in rules if rule.whom.applies(exchange)]
        if not applying:
            return
        asks, meters = _asks(exchange, applying, lifetime)
        try:
            found = await exchange.services.counters.admit(asks)
        except Unavailable:
            if counters_down == "refuse":
                raise
            return
        if isinstance(found, Refusal):
            rule, meter = meters[found.index]
            _tell(exchange, meter, found.level)
            _refuse(exchange, rule, meter, found)
        exchange.when_settled(_Held(found, meters, exchange.scale))
        _tell_tightest(exchange, meters, found.levels)

    return limit


class _Held:
    """What a request has taken, to be settled. As a step, for `Exchange.when_settled`."""

    __slots__ = ("grant", "meters", "scale")

    def __init__(self, grant: Grant, meters: Sequence[tuple[Rule, Meter]], scale: float) -> None:
        self.grant = grant
        self.meters = meters
        self.scale = scale

    async def __call__(self, exchange: Exchange) -> None:
        """What was refused later on takes nothing; of what nobody knows, what was set aside stays taken."""
        refused = isinstance(exchange.error, Refused)
        if not refused and all(meter.unit == "requests" for _, meter in self.meters):
            return
        actuals: list[int] = []
        for ask, (_, meter) in zip(self.grant.asks, self.meters, strict=True):
            used: int | None = None
            if meter.unit == "tokens":
                used = tokens_used(exchange)
            elif meter.unit == "cost":
                used = money_used(exchange)
            elif refused:
                used = 0
            if used is None or meter.rate is None:
                actuals.append(ask.amount)
            else:
                actuals.append(meter.rate.nanoseconds(used, self.scale))
        try:
            await exchange.services.counters.settle(self.grant, actuals)
        except Unavailable:
            return  # the counters keep it, and settle when they can


def _asks(
    exchange: Exchange, rules: Sequence[Rule], lifetime: int
) -> tuple[list[Ask], list[tuple[Rule, Meter]]]:
    asks: list[Ask] = []
    meters: list[tuple[Rule, Meter]] = []
    scale = exchange.scale
    for rule in rules:
        share = rule.whom.share(exchange)
        for meter in rule.meters:
            rate = meter.rate
            key = meter.prefix + share
            if rate is None:
                asks.append(LeaseAsk(key, max(1, int(meter.most * scale)), lifetime))
            elif meter.unit == "requests":
                asks.append(RateAsk(key, min(rate.nanoseconds(1, scale), rate.room), rate.room))
            else:
                asks.append(RateAsk(key, _reserved(exchange, rule, meter, rate), rate.room))
            meters.append((rule, meter))
    return asks, meters


def _reserved(exchange: Exchange, rule: Rule, meter: Meter, rate: Rate) -> int:
    """What is set aside of tokens or money. An answer that could be longer than all there is takes all there is:
    what it really used beyond that has to come back before the next."""
    reservation = reservation_of(exchange)
    if meter.unit == "cost":
        if reservation.cost is None:
            raise price_unknown(exchange, f"the limit {rule.name!r}")
        return min(rate.nanoseconds(reservation.cost, exchange.scale), rate.room)
    if rate.nanoseconds(reservation.input_tokens, exchange.scale) > rate.room:
        raise InvalidRequest(
            f"The request is about {reservation.input_tokens:,} tokens, more than the limit {rule.name!r} ever lets "
            f"through at once ({rate.units(rate.room, exchange.scale):,}).",
            f"Send less, or raise limits.{rule.name}.tokens.",
            code="request_exceeds_limit",
        )
    return min(rate.nanoseconds(reservation.tokens, exchange.scale), rate.room)


def price_unknown(exchange: Exchange, what: str) -> BudgetExhausted:
    """Money can't be held to a limit where nobody knows the price."""
    route = exchange.route.name if exchange.route is not None else ""
    return BudgetExhausted(
        f"What {route!r} costs is not known, and {what} is in money.",
        'Say it in ratchet.toml: [prices."provider/model"] input = … output = …',
        code="price_unknown",
    )


def _refuse(exchange: Exchange, rule: Rule, meter: Meter, found: Refusal) -> NoReturn:
    whose = rule.whom.described(exchange)
    subject = f"{rule.name}: {whose}" if whose else rule.name
    what = _allowance(meter, exchange.scale)
    message = f"The limit {rule.name!r} allows {what}" + (f" for each {_each(rule)}" if rule.whom.by else "")
    message += f", and {whose} has reached it." if whose else ", and that is reached."
    attributes = {"limit": rule.name, "unit": meter.unit, **rule.whom.told(exchange)}
    if exchange.key is not None:
        exchange.services.notices.tell(
            "limit.hit",
            subject,
            message,
            project_id=exchange.key.project_id,
            attributes=attributes,
        )
    wait = found.wait / _SECOND if meter.rate is not None else _PLACE_AGAIN
    remedy = (
        f"Ask again in {span_text(int(wait * _SECOND))}."
        if meter.rate is not None
        else "Ask again in a moment."
    )
    raise RateLimited(message, remedy, retry_after=wait)


def _each(rule: Rule) -> str:
    return " and ".join(dimension for dimension, _ in rule.whom.by)


def _allowance(meter: Meter, scale: float) -> str:
    trusted = "" if scale == 1.0 else f" (times {scale:.2g}, for the trust it is given)"
    if meter.rate is None:
        return f"{meter.most:,} requests at once{trusted}"
    if meter.unit == "cost":
        return f"${meter.rate.text}{trusted}"
    amount, _, period = meter.rate.text.partition("/")
    return f"{amount} {meter.unit} a {period}{trusted}"


def _tell_tightest(exchange: Exchange, meters: Sequence[tuple[Rule, Meter]], levels: Sequence[int]) -> None:
    """Of several rules the one of which least is left."""
    for unit in _TOLD:
        tightest: tuple[int, Meter, int] | None = None
        for (_, meter), level in zip(meters, levels, strict=True):
            if meter.unit == unit and meter.rate is not None:
                left = meter.rate.units(meter.rate.room - level, exchange.scale)
                if tightest is None or left < tightest[0]:
                    tightest = (left, meter, level)
        if tightest is not None:
            _tell(exchange, tightest[1], tightest[2])


def _tell(exchange: Exchange, meter: Meter, level: int) -> None:
    rate, unit = meter.rate, meter.unit
    if rate is None or unit not in _TOLD:
        return
    left = max(0, rate.units(rate.room - level, exchange.scale))
    exchange.told += [
        (b"x-ratelimit-limit-%b" % unit.encode(), b"%d" % int(rate.amount * exchange.scale)),
        (b"x-ratelimit-remaining-%b" % unit.encode(), b"%d" % left),
        (b"x-ratelimit-reset-%b" % unit.encode(), span_text(level).encode()),
    ]
