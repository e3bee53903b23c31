"""The step that holds requests to limits and budgets: all of them at once, before anything is asked; settled when the
outcome is known."""

from __future__ import annotations

from collections.abc import Sequence
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
    def warns(self) -> bool:
        """Whether somebody is told when so much is used."""
        ...

    def ask(self, exchange: Exchange) -> Ask:
        """What to set aside for this request."""
        ...

    def used(self, exchange: Exchange, ask: Ask) -> int:
        """What it really used. Of what nobody knows, what was set aside."""
        ...

    def tell(self, exchange: Exchange, levels: dict[bytes, int], level: int) -> None:
        """Tell the app what is left. `levels` is what it was told already, by the header."""
        ...

    def warn(self, exchange: Exchange, before: int, now: int) -> None:
        """So much was used before this request, and so much is now."""
        ...

    async def refuse(self, exchange: Exchange, ask: Ask, found: Refusal) -> None:
        """Raises RateLimited or BudgetExhausted. Where it returns, a cheaper route answers, and nothing holds it here."""
        ...


def hold_step(held: Sequence[Held], *, counters_down: CountersDown) -> Step:
    """For the requests that each of `held` may apply to."""
    unconditional = all(not each.whom.conditions for each in held)
    settles, warns = any(each.settles for each in held), any(each.warns for each in held)

    async def hold(exchange: Exchange) -> None:
        """Raises RateLimited or BudgetExhausted, naming what is reached and whose it is; Unavailable where nobody can
        say."""
        applying = held if unconditional else [each for each in held if each.whom.applies(exchange)]
        if not applying:
            return
        asks = [each.ask(exchange) for each in applying]
        let_through: set[int] = set()
        while True:
            try:
                found = await exchange.services.counters.admit(asks)
            except Unavailable:
                if counters_down == "refuse":
                    raise
                return
            if type(found) is Grant:
                break
            assert type(found) is Refusal  # noqa: S101 - there is nothing else
            index = found.index
            await applying[index].refuse(exchange, asks[index], found)
            let_through.add(index)
            asks = [each.ask(exchange) for each in applying]
            for number in let_through:
                asks[number] = msgspec.structs.replace(asks[number], limit=LONGEST)
        exchange.when_settled(_Settlement(found, applying, settles=settles, warns=warns))
        told: dict[bytes, int] = {}
        for each, level in zip(applying, found.levels, strict=True):
            each.tell(exchange, told, level)

    return hold


class _Settlement:
    """What a request has taken. As a step, for `Exchange.when_settled`."""

    __slots__ = ("grant", "held", "settles", "warns")

    def __init__(self, grant: Grant, held: Sequence[Held], *, settles: bool, warns: bool) -> None:
        self.grant = grant
        self.held = held
        self.settles = settles
        self.warns = warns

    async def __call__(self, exchange: Exchange) -> None:
        if not self.settles and (exchange.error is None or not isinstance(exchange.error, Refused)):
            return
        held, grant = self.held, self.grant
        actuals = [each.used(exchange, ask) for each, ask in zip(held, grant.asks, strict=True)]
        try:
            levels = await exchange.services.counters.settle(grant, actuals)
        except Unavailable:
            return  # the counters keep it, and settle when they can
        if not self.warns:
            return
        for each, actual, level in zip(held, actuals, levels, strict=True):
            if each.warns:
                each.warn(exchange, level - actual, level)
