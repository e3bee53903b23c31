"""What a request may use, before anybody has answered it: tokens and money to set aside, and how it really went."""

from __future__ import annotations

import math
from decimal import Decimal

from ratchet.errors import BudgetExhausted
from ratchet.gateway.estimate import estimate_and_bound
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.expecting import DOLLAR, Reservation
from ratchet.store.counters import LONGEST

__all__ = [
    "money_least",
    "money_reserved",
    "money_used",
    "price_unknown",
    "reserve",
    "tokens_used",
]


def reserve(exchange: Exchange) -> Reservation:
    """What a request is expected to use, worked out once; from answers that no app has limited, their length is learnt."""
    if exchange.reservation is not None:
        return exchange.reservation
    route, head = exchange.route, exchange.head
    assert route is not None  # noqa: S101 - `resolve` has set both
    assert head is not None  # noqa: S101
    if exchange.prompt is not None:  # what the prompt's version fixes stands in the body it was rendered into
        head = exchange.dialect.request_head(exchange.body)
    limit = output = head.output_limit
    if output is None:
        output = exchange.services.lengths.expected(route.name, [target.name for target in route.targets])
        exchange.settlements.append(_learn)
    estimated, most = estimate_and_bound(exchange.body)
    exchange.reservation = found = Reservation(output, limit is not None, estimated, most)
    return found


async def _learn(exchange: Exchange) -> None:
    route, target, tokens = exchange.route, exchange.target, exchange.usage.output
    if exchange.reservation is None:
        return  # learnt already: it was worked out again for another route
    exchange.reservation = None
    if route is not None and target is not None and tokens is not None and exchange.error is None:
        exchange.services.lengths.note(route.name, target.name, tokens)


def money_reserved(exchange: Exchange) -> int | None:
    """Billionths of a dollar to set aside; None where a price is not known.

    Where the app has limited the answer's length, it is an amount that can't be exceeded.
    """
    found, route = exchange.reservation or reserve(exchange), exchange.route
    assert route is not None  # noqa: S101 - `resolve` has set it
    tokens = found.most_input if found.capped else found.input
    return exchange.services.ceilings.most(
        route, exchange.snapshot.prices, exchange.started, tokens, found.output
    )


def money_least(exchange: Exchange) -> int:
    """Where the app lets the answer be as long as it likes, what the question alone will probably cost: the least that
    has to be there. LONGEST where it has limited the answer: all that is reserved has to be there."""
    found, route = exchange.reservation or reserve(exchange), exchange.route
    if found.capped:
        return LONGEST
    assert route is not None  # noqa: S101 - `resolve` has set it
    ceilings = exchange.services.ceilings
    return ceilings.most(route, exchange.snapshot.prices, exchange.started, found.input, 0) or 1


def price_unknown(exchange: Exchange, what: str) -> BudgetExhausted:
    """Money can't be held to a limit where nobody knows the price."""
    route = exchange.route.name if exchange.route is not None else ""
    return BudgetExhausted(
        f"What {route!r} costs is not known, and {what} is in money.",
        'Say it in ratchet.toml: [prices."provider/model"] input = … output = …',
        code="price_unknown",
    )


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
    cost = exchange.cost
    return None if cost is None else math.ceil(cost * _DOLLAR)


_DOLLAR = Decimal(DOLLAR)
