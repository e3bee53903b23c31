"""A budget as a request meets it: money is set aside before a provider is asked, and settled afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NoReturn

from ratchet.errors import BudgetExhausted, InvalidRequest, RateLimited, Unavailable
from ratchet.gateway.budgets.calendar import Calendar, Period
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.expecting import DOLLAR
from ratchet.gateway.limits.whom import Whom
from ratchet.gateway.reserving import money_least, money_reserved, money_used, price_unknown
from ratchet.gateway.routing import route_named
from ratchet.gateway.telling.webhooks import Call
from ratchet.store.counters import LONGEST, Ask, BudgetAsk, Refusal

__all__ = ["Budget", "dollars"]

_AGAIN = 1.0  # seconds until somebody who found the rest set aside may look again
_DEGRADED = b"x-ratchet-degraded"


class Budget:
    """Money is in billionths of a dollar; `warn` are sums at whose passing somebody is told, the smallest first.

    `lifetime`: nanoseconds that no request outlasts. `allowed`: what its webhook may reach of private addresses; None: all of them. A request is counted under the route
    that was asked for, whichever answers.
    """

    settles = True
    tells = ""  # what is left of the money is the operator's business

    def __init__(
        self,
        name: str,
        whom: Whom,
        prefix: str,
        calendar: Calendar,
        *,
        amount: int,
        lifetime: int,
        warn: Sequence[tuple[float, int]],
        webhook: str,
        allowed: tuple[str, ...] | None,
        degrade_to: str,
        allow_unpriced: bool,
    ) -> None:
        self.name = name
        self.whom = whom
        self.amount = amount
        self.warns = bool(warn)
        self.degrade_to = degrade_to
        self._prefix = prefix
        self._share = whom.share
        self._lifetime = lifetime
        self._calendar = calendar
        self._warn = warn
        self._first_warning = warn[0][1] if warn else 0
        self._webhook = webhook
        self._allowed = allowed
        self._allow_unpriced = allow_unpriced

    def ask(self, exchange: Exchange) -> Ask:
        """What it costs at most where the app limits the answer. Otherwise what it probably costs, or what is left where
        that is less and nothing else is set aside: a guess of an answer's length never says that money is spent. Raises
        BudgetExhausted where nobody knows the price, and that is not let through."""
        period = self._calendar.period(exchange.started)
        cost = money_reserved(exchange)
        if cost is None:
            if not self._allow_unpriced:
                raise price_unknown(exchange, f"the budget {self.name!r}")
            cost = 0
        return BudgetAsk(
            f"{self._prefix}{period.name}:{self._share(exchange)}",
            cost,
            self.amount,
            period.forgotten,
            money_least(exchange),
            self._lifetime,
        )

    def used(self, exchange: Exchange, ask: Ask) -> int:
        """See Held. Where nobody knows, all that was set aside is spent."""
        used = money_used(exchange)
        return ask.amount if used is None else used

    def left(self, exchange: Exchange, level: int) -> Sequence[tuple[bytes, bytes]]:  # noqa: ARG002 - see Held
        """Nothing."""
        return ()

    def warn(self, exchange: Exchange, before: int, now: int) -> None:
        """An event and a webhook, once for each share and period, whichever gateway passes it."""
        if now < self._first_warning:
            return
        for share, threshold in self._warn:
            if before < threshold <= now:
                self._tell(exchange, self._calendar.period(exchange.started), "warning", now, f"{share:.0%}")

    async def refuse(self, exchange: Exchange, ask: Ask, found: Refusal) -> None:
        """See Held."""
        assert type(ask) is BudgetAsk  # noqa: S101 - it is this one's
        spent = found.spent >= self.amount
        if not self.degrade_to or ask.limit == LONGEST:
            await self._refuse(exchange, ask, found.spent)
        # A cheaper target answers: what that costs is counted, and has no end.
        self._degrade(exchange, spent=spent)

    def _degrade(self, exchange: Exchange, *, spent: bool) -> None:
        """Have a cheaper route answer. What it costs counts all the same."""
        route = exchange.route
        assert route is not None  # noqa: S101 - `resolve` has set it
        cheaper = route_named(exchange.snapshot, self.degrade_to)
        exchange.route = dataclasses.replace(cheaper, name=route.name, steps=route.steps)
        exchange.reservation = None
        exchange.told.append((_DEGRADED, self.degrade_to.encode()))
        state = "is spent" if spent else "has too little left"
        self._notice(exchange, "degraded", f"{state}, and {self.degrade_to} answers instead")

    async def _refuse(self, exchange: Exchange, ask: BudgetAsk, spent: int) -> NoReturn:
        period = self._calendar.period(exchange.started)
        named = f"budget {self.name!r}{self._whose(exchange)}"
        amount, needed = f"${dollars(self.amount)}", min(ask.least, ask.amount)
        whole = "may cost" if ask.least == LONGEST else "may cost, its question alone,"
        if needed > self.amount:
            raise InvalidRequest(
                f"The request {whole} ${dollars(needed)}, more than the whole {named} allows ({amount} a "
                f"{period.unit}).",
                f"Send less, ask for a shorter answer, or raise budgets.{self.name}.amount.",
                code="request_exceeds_budget",
            )
        if spent + needed <= self.amount:
            raise RateLimited(
                f"What is left of the {named} ({amount} for {period.name}) is set aside for requests under way, or too "
                "little beside them.",
                "Ask again in a moment, or for a shorter answer.",
                retry_after=_AGAIN,
                code="budget_reserved",
            )
        anew = f"It begins anew with the next {period.unit} (UTC); an operator can raise it."
        if spent >= self.amount:
            self._notice(exchange, "exhausted", "is spent, and requests are refused")
            await self._tell_once(exchange, ask, period, "exhausted", spent)
            raise BudgetExhausted(
                f"The {named} is spent: ${dollars(spent)} of {amount} for {period.name}.", anew
            )
        self._notice(exchange, "short", "has too little left for some requests, which are refused")
        await self._tell_once(exchange, ask, period, "short", spent)
        raise BudgetExhausted(
            f"The {named} has too little left: ${dollars(spent)} of {amount} for {period.name} is spent, and this "
            f"request {whole} ${dollars(needed)}.",
            f"Send less, or ask for a shorter answer. {anew}",
            code="budget_short",
        )

    async def _tell_once(
        self, exchange: Exchange, ask: BudgetAsk, period: Period, what: str, spent: int
    ) -> None:
        """A webhook, once for each share and period, whichever gateway refuses first."""
        if not self._webhook:
            return
        try:
            first = await exchange.services.counters.claim(
                f"{what}:{ask.key}", keep=period.forgotten - exchange.services.now()
            )
        except Unavailable:
            return
        if first:
            share = "all" if what == "exhausted" else f"{spent * 100 // self.amount}%"
            self._tell(exchange, period, what, spent, share)

    def _whose(self, exchange: Exchange) -> str:
        described = self.whom.described(exchange)
        return f" of {described}" if described else ""

    def _notice(self, exchange: Exchange, what: str, then: str) -> None:
        whose = self._whose(exchange)
        key = exchange.key
        assert key is not None  # noqa: S101 - `authenticate` has set it
        exchange.services.notices.tell(
            f"budget.{what}",
            f"{self.name}{whose}",
            f"The budget {self.name!r}{whose} {then}.",
            project_id=key.project_id,
            severity="error" if what == "exhausted" else "warning",
            attributes={"budget": self.name, **self.whom.told(exchange)},
        )

    def _tell(self, exchange: Exchange, period: Period, what: str, spent: int, share: str) -> None:
        told = self.whom.told(exchange)
        key = exchange.key
        assert key is not None  # noqa: S101 - `authenticate` has set it
        if what == "warning":
            whose = self._whose(exchange)
            exchange.services.notices.tell(
                "budget.warning",
                f"{self.name}{whose} {share}",
                f"{share} of the budget {self.name!r}{whose} is spent: ${dollars(spent)} of "
                f"${dollars(self.amount)} for {period.name}.",
                project_id=key.project_id,
                attributes={"budget": self.name, "share": share, "period": period.name, **told},
            )
        if self._webhook:
            exchange.services.webhooks.tell(
                Call(
                    self._webhook,
                    {
                        "type": f"budget.{what}",
                        "budget": self.name,
                        "by": told,
                        "period": period.name,
                        "share": share,
                        "spent": dollars(spent),
                        "amount": dollars(self.amount),
                        "time": exchange.services.now(),
                    },
                    self._allowed,
                )
            )


def dollars(billionths: int) -> str:
    """An amount for people and programs: `4.2`, no more digits than it has, two at least."""
    whole, part = divmod(billionths, DOLLAR)
    digits = f"{part:09d}".rstrip("0")
    return f"{whole}.{digits:0<2}"
