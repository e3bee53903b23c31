"""The step that holds requests to limits and budgets: all of them at once, before anything is asked; settled when the
outcome is known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Literal, Protocol

import msgspec

from ratchet.errors import Refused, Unavailable
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.limits.whom import Whom
from ratchet.gateway.snapshot import Step
from ratchet.store.counters import LONGEST, Ask, Grant, Refusal

__all__ = ["CountersDown", "Held", "hold_step"]

CountersDown = Literal["refuse", "allow"]


class Held(Protocol):
    """One thing that requests are held to: what a limit counts, or a budget."""

    @property
    def whom(self) -> Whom: ...

    @property
    def settles(self) -> bool:
        """Whether there is something to settle where a request was not refused."""
        ...

    @property
    def tells(self) -> str:
        """What of it the app is told in headers; "" where nothing is."""
        ...

    @property
    def warns(self) -> bool:
        """Whether somebody is told when so much is used."""
        ...

    def ask(self, exchange: Exchange) -> Ask:
        """What to set aside for this request."""
        ...

    def used(self, exchange: Exchange, ask: Ask) -> int | None:
        """What it really used. None where what was asked for stays taken as it is."""
        ...

    def left(self, exchange: Exchange, level: int) -> Sequence[tuple[bytes, bytes]]:
        """The headers that tell the app what is left: the limit, what remains of it, and when it is all there again."""
        ...

    def warn(self, exchange: Exchange, before: int, now: int) -> None:
        """So much was used before this request, and so much is now."""
        ...

    async def refuse(self, exchange: Exchange, ask: Ask, found: Refusal) -> None:
        """Raises RateLimited or BudgetExhausted. Where it returns, a cheaper route answers, and nothing holds it here."""
        ...


class _Holding:
    """Some of what requests may be held to, and of that, by its place: what tells apps, what settles, what warns."""

    __slots__ = ("held", "rivals", "settling", "telling", "warning")

    def __init__(self, held: Sequence[Held]) -> None:
        self.held = held
        self.telling = [(number, each) for number, each in enumerate(held) if each.tells]
        self.settling = [(number, each) for number, each in enumerate(held) if each.settles]
        self.warning = [(number, each) for number, each in enumerate(held) if each.warns]
        self.rivals = len({each.tells for _, each in self.telling}) < len(self.telling)  # of one header

    def tell(self, exchange: Exchange, levels: Sequence[int]) -> None:
        """What is left. Of several limits of one thing the one of which least is left."""
        if not self.rivals:
            for number, each in self.telling:
                exchange.told += each.left(exchange, levels[number])
            return
        least: dict[str, Sequence[tuple[bytes, bytes]]] = {}
        for number, each in self.telling:
            left = each.left(exchange, levels[number])
            told = least.setdefault(each.tells, left)
            if int(left[1][1]) < int(told[1][1]):
                least[each.tells] = left
        for told in least.values():
            exchange.told += told

    async def settle(self, grant: Grant, exchange: Exchange) -> None:
        """What becomes of what a request has taken."""
        asks = grant.asks
        actuals: list[int | None] = [None] * len(asks)
        if exchange.error is not None and isinstance(exchange.error, Refused):
            actuals = [each.used(exchange, ask) for each, ask in zip(self.held, asks, strict=True)]
        elif self.settling:
            for number, each in self.settling:
                actuals[number] = each.used(exchange, asks[number])
        else:
            return
        try:
            levels = await exchange.services.counters.settle(grant, actuals)
        except Unavailable:
            return  # the counters keep it, and settle when they can
        for number, each in self.warning:
            each.warn(exchange, levels[number] - (actuals[number] or 0), levels[number])


def hold_step(held: Sequence[Held], *, counters_down: CountersDown) -> Step:
    """For the requests that each of `held` may apply to."""
    everything = _Holding(held)
    unconditional = all(not each.whom.conditions for each in held)
    known: dict[tuple[bool, ...], _Holding] = {}

    def applying(exchange: Exchange) -> _Holding:
        which = tuple(each.whom.applies(exchange) for each in held)
        found = known.get(which)
        if found is None:
            found = known[which] = _Holding(list(itertools.compress(held, which)))
        return found

    async def hold(exchange: Exchange) -> None:
        """Raises RateLimited or BudgetExhausted, naming what is reached and whose it is; Unavailable where nobody can
        say."""
        holding = everything if unconditional else applying(exchange)
        asks = [each.ask(exchange) for each in holding.held]
        if not asks:
            return
        try:
            found = await exchange.services.counters.admit(asks)
            if isinstance(found, Refusal):
                found = await _let_through(exchange, holding.held, asks, found)
        except Unavailable:
            if counters_down == "refuse":
                raise
            return
        exchange.settlements.append(partial(holding.settle, found))
        holding.tell(exchange, found.levels)

    return hold


async def _let_through(
    exchange: Exchange, held: Sequence[Held], asks: Sequence[Ask], refused: Refusal
) -> Grant:
    """Raises what whoever is in the way says, unless a cheaper route answers."""
    let_through: set[int] = set()
    found: Grant | Refusal = refused
    while isinstance(found, Refusal):
        await held[found.index].refuse(exchange, asks[found.index], found)
        let_through.add(found.index)
        asks = [each.ask(exchange) for each in held]
        for number in let_through:
            asks[number] = msgspec.structs.replace(asks[number], limit=LONGEST)
        found = await exchange.services.counters.admit(asks)
    return found
