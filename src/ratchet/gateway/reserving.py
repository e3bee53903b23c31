"""What a request may use, before anybody has answered it: tokens and money to set aside, and how it really went."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from ratchet.catalog.prices import MILLION, PriceBook, Rate, Rates
from ratchet.gateway.estimate import estimate_tokens, upper_bound_tokens
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.expecting import DOLLAR, Reservation
from ratchet.gateway.snapshot import Target

__all__ = ["money_used", "reservation_of", "tokens_used"]

_TIERS = ("", "priority")  # whoever answers chooses; the dearer one is reserved for


def reservation_of(exchange: Exchange) -> Reservation:
    """What to set aside for a request. It is worked out once, and the answer's length is learnt from."""
    if exchange.reservation is not None:
        return exchange.reservation
    route, head = exchange.route, exchange.head
    assert route is not None  # noqa: S101 - `resolve` has set both
    assert head is not None  # noqa: S101
    if exchange.prompt is not None:  # what the prompt's version fixes stands in the body it was rendered into
        head = exchange.dialect.request_head(exchange.body)
    services = exchange.services
    limit = head.output_limit
    output = (
        services.lengths.expected(route.name, [target.name for target in route.targets])
        if limit is None
        else limit
    )
    estimate = estimate_tokens(exchange.body)
    certain = upper_bound_tokens(exchange.body) if limit is not None else estimate
    cost = _dearest(exchange, certain, output)
    exchange.reservation = found = Reservation(estimate, estimate + output, cost, limit is not None)
    exchange.when_settled(_learn)
    return found


async def _learn(exchange: Exchange) -> None:
    route, target, tokens = exchange.route, exchange.target, exchange.usage.output
    if exchange.reservation is None:
        return  # learnt already: it was worked out again for another route
    exchange.reservation = None
    if route is not None and target is not None and tokens is not None and exchange.error is None:
        exchange.services.lengths.note(route.name, target.name, tokens)


def _dearest(exchange: Exchange, input_tokens: int, output_tokens: int) -> int | None:
    """The most it may cost at any of the route's targets; None where one has no price."""
    route, dearest = exchange.route, 0
    for target in route.targets if route is not None else ():
        rates = _rates_of(exchange.snapshot.prices, target, exchange.started)
        if not rates:
            return None
        for each in rates:
            cost = _most(each, input_tokens, output_tokens)
            if cost is None:
                return None
            dearest = max(dearest, cost)
    # A second target that is asked beside a slow first may be paid as well.
    return dearest * 2 if route is not None and route.hedge else dearest


def _rates_of(prices: PriceBook, target: Target, when: int) -> list[Rates]:
    """The target's prices by service tier; none where it has no price."""
    provider = target.provider
    price = prices.price(provider.name, target.model, vendor=provider.vendor)
    return [] if price is None else [price.rates(when, tier) for tier in _TIERS]


def _most(rates: Rates, input_tokens: int, output_tokens: int) -> int | None:
    """Billionths of a dollar: every token as the dearest of its class."""
    dear_input = _highest(
        rates.input, rates.cached, rates.cache_write, rates.cache_write_1h, rates.audio_input
    )
    dear_output = _highest(rates.output, rates.reasoning, rates.audio_output)
    if dear_input is None or (dear_output is None and output_tokens):
        return None
    total = rates.request + (input_tokens * dear_input + output_tokens * (dear_output or 0)) / MILLION
    return _billionths(total)


def _highest(first: Rate | None, *others: Rate | None) -> Decimal | None:
    """None where the class itself has no rate."""
    if first is None:
        return None
    return max(
        amount
        for rate in (first, *others)
        if rate is not None
        for amount in (rate.base, *(step for _, step in rate.steps))
    )


def _billionths(dollars: Decimal) -> int:
    return int((dollars * DOLLAR).to_integral_value(ROUND_CEILING))


def tokens_used(exchange: Exchange) -> int | None:
    """The tokens that were really used; None where nobody knows, as of a stream that was left."""
    if exchange.target is None or not exchange.owed:
        return 0
    usage = exchange.usage
    if exchange.broke_off or (usage.input is None and usage.output is None):
        return None
    return (usage.input or 0) + (usage.output or 0)


def money_used(exchange: Exchange) -> int | None:
    """What it cost, in billionths of a dollar; None where nobody knows."""
    return None if exchange.cost is None else _billionths(exchange.cost)
