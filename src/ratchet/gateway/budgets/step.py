"""The step that holds requests to budgets: money is set aside before a provider is asked, and settled afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NoReturn

from ratchet.errors import BudgetExhausted, RateLimited, Unavailable
from ratchet.gateway.budgets.calendar import Period
from ratchet.gateway.budgets.rules import Budget, dollars
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.limits.step import CountersDown, price_unknown
from ratchet.gateway.reserving import money_reserved, money_used
from ratchet.gateway.routing import route_named
from ratchet.gateway.snapshot import Step
from ratchet.gateway.webhooks import Call
from ratchet.store.counters import LONGEST, BudgetAsk, Grant, Refusal

__all__ = ["budgets_step"]

_AGAIN = 1.0  # seconds until somebody who found the rest set aside may look again
_DEGRADED = b"x-ratchet-degraded"


def budgets_step(budgets: Sequence[Budget], *, counters_down: CountersDown) -> Step:
    """For the requests that `budgets` may apply to."""

    unconditional = all(not budget.whom.conditions for budget in budgets)

    async def reserve(exchange: Exchange) -> None:
        """Raises BudgetExhausted, RateLimited where the rest is only set aside, Unavailable where nobody can say."""
        applying = (
            budgets if unconditional else [budget for budget in budgets if budget.whom.applies(exchange)]
        )
        if not applying:
            return
        now = exchange.services.now()
        periods = [budget.calendar.period(now) for budget in applying]
        cost = _cost(exchange, applying)
        asks = [
            # Counted under the route that was asked for, whichever answers.
            BudgetAsk(
                f"{budget.prefix}{period.name}:{budget.whom.share(exchange)}",
                cost,
                budget.amount,
                period.forgotten,
            )
            for budget, period in zip(applying, periods, strict=True)
        ]
        while True:
            try:
                found = await exchange.services.counters.admit(asks)
            except Unavailable:
                if counters_down == "refuse":
                    raise
                return
            if type(found) is Grant:
                exchange.when_settled(_Held(found, applying, periods))
                return
            assert type(found) is Refusal  # noqa: S101 - there is nothing else
            budget, period, ask = applying[found.index], periods[found.index], asks[found.index]
            if not budget.degrade_to or ask.limit == LONGEST:
                await _refuse(exchange, budget, period, ask, found)
            # It is spent, and a cheaper target answers: what that costs is counted, and has no end.
            _degrade(exchange, budget)
            cost = _cost(exchange, applying)
            asks = [
                BudgetAsk(each.key, cost, LONGEST if index == found.index else each.limit, each.expires)
                for index, each in enumerate(asks)
            ]

    return reserve


def _cost(exchange: Exchange, budgets: Sequence[Budget]) -> int:
    """What to set aside. Raises BudgetExhausted where nobody knows, and a budget does not let that through."""
    cost = money_reserved(exchange)
    if cost is None:
        for budget in budgets:
            if not budget.allow_unpriced:
                raise price_unknown(exchange, f"the budget {budget.name!r}")
    return cost or 0


class _Held:
    """What is set aside, to be settled. As a step, for `Exchange.when_settled`."""

    __slots__ = ("budgets", "grant", "periods")

    def __init__(self, grant: Grant, budgets: Sequence[Budget], periods: Sequence[Period]) -> None:
        self.grant = grant
        self.budgets = budgets
        self.periods = periods

    async def __call__(self, exchange: Exchange) -> None:
        """Of what nobody knows, all that was set aside counts as spent."""
        used = money_used(exchange)
        actuals = [ask.amount if used is None else used for ask in self.grant.asks]
        try:
            spent = await exchange.services.counters.settle(self.grant, actuals)
        except Unavailable:
            return  # the counters keep it, and settle when they can
        for budget, period, now_spent, actual in zip(self.budgets, self.periods, spent, actuals, strict=True):
            for share, threshold in budget.warn:
                if now_spent - actual < threshold <= now_spent:
                    _tell(exchange, budget, period, "warning", now_spent, f"{share:.0%}")


def _degrade(exchange: Exchange, budget: Budget) -> None:
    """Have a cheaper route answer. What it costs counts all the same."""
    route = exchange.route
    assert route is not None  # noqa: S101 - `resolve` has set it
    cheaper = route_named(exchange.snapshot, budget.degrade_to)
    exchange.route = dataclasses.replace(cheaper, name=route.name, steps=route.steps)
    exchange.reservation = None
    exchange.told.append((_DEGRADED, budget.degrade_to.encode()))
    _notice(exchange, budget, "degraded", f"and {budget.degrade_to} answers instead")


async def _refuse(
    exchange: Exchange, budget: Budget, period: Period, ask: BudgetAsk, found: Refusal
) -> NoReturn:
    whose = _whose(exchange, budget)
    amount = f"${dollars(budget.amount)} for {period.name}"
    if found.spent + ask.amount <= budget.amount:
        raise RateLimited(
            f"The rest of the budget {budget.name!r}{whose} ({amount}) is set aside for requests under way.",
            "Ask again in a moment, or for a shorter answer.",
            retry_after=_AGAIN,
            code="budget_reserved",
        )
    _notice(exchange, budget, "exhausted", "and requests are refused")
    try:
        first = await exchange.services.counters.claim(
            f"exhausted:{ask.key}", keep=period.forgotten - exchange.services.now()
        )
    except Unavailable:
        first = False
    if first:
        _tell(exchange, budget, period, "exhausted", found.spent, "all")
    raise BudgetExhausted(
        f"The budget {budget.name!r}{whose} is spent: ${dollars(found.spent)} of {amount}, and this request may "
        f"cost ${dollars(ask.amount)}.",
        "It begins anew with the next "
        + ("month" if len(period.name) == len("2026-03") else "day")
        + " (UTC); an operator can raise it.",
    )


def _whose(exchange: Exchange, budget: Budget) -> str:
    described = budget.whom.described(exchange)
    return f" of {described}" if described else ""


def _notice(exchange: Exchange, budget: Budget, what: str, then: str) -> None:
    whose = _whose(exchange, budget)
    key = exchange.key
    assert key is not None  # noqa: S101 - `authenticate` has set it
    exchange.services.notices.tell(
        f"budget.{what}",
        f"{budget.name}{whose}",
        f"The budget {budget.name!r}{whose} is spent, {then}.",
        project_id=key.project_id,
        severity="error" if what == "exhausted" else "warning",
        attributes={"budget": budget.name, **budget.whom.told(exchange)},
    )


def _tell(exchange: Exchange, budget: Budget, period: Period, what: str, spent: int, share: str) -> None:
    """An event and a webhook, once for each share and period, whichever gateway passes it."""
    told = budget.whom.told(exchange)
    key = exchange.key
    assert key is not None  # noqa: S101 - `authenticate` has set it
    if what == "warning":
        exchange.services.notices.tell(
            "budget.warning",
            f"{budget.name}{_whose(exchange, budget)} {share}",
            f"{share} of the budget {budget.name!r}{_whose(exchange, budget)} is spent: ${dollars(spent)} of "
            f"${dollars(budget.amount)} for {period.name}.",
            project_id=key.project_id,
            attributes={"budget": budget.name, "share": share, "period": period.name, **told},
        )
    if budget.webhook:
        exchange.services.webhooks.tell(
            Call(
                budget.webhook,
                {
                    "type": f"budget.{what}",
                    "budget": budget.name,
                    "by": told,
                    "period": period.name,
                    "share": share,
                    "spent": dollars(spent),
                    "amount": dollars(budget.amount),
                    "time": exchange.services.now(),
                },
                budget.allowed,
            )
        )
