"""Budgets compiled when a snapshot is built."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ratchet.gateway.budgets.calendar import Calendar
from ratchet.gateway.budgets.meter import Budget
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.gateway.expecting import DOLLAR
from ratchet.gateway.limits.whom import compiled_whom

__all__ = ["compiled_budgets"]


def compiled_budgets(
    budgets: Mapping[str, BudgetSettings],
    route: str | None,
    *,
    lifetime: int,
    guarded: Collection[str] = (),
    allow_private: Sequence[str] = (),
) -> tuple[Budget, ...]:
    """Those that may apply to requests of this route, or, without its name, of routes that nobody declared.

    Those that let a cheaper target answer stand first: of several that are spent the first is told of, and a cheaper
    answer may be within the others. `lifetime`: nanoseconds that no request outlasts. The webhooks of those in `guarded`
    reach private addresses only as far as `allow_private` names them.
    """
    found: list[Budget] = []
    for name, settings in sorted(budgets.items(), key=lambda item: (not item[1].degrade_to, item[0])):
        whom = compiled_whom(settings, settings.by, route)
        if whom is None:
            continue
        amount = int(settings.amount * DOLLAR)
        found.append(
            Budget(
                name,
                whom,
                f"budget:{name}:{'+'.join(settings.by)}:",
                Calendar(settings.period),
                amount=amount,
                lifetime=lifetime,
                warn=tuple((share, int(share * amount)) for share in sorted(settings.warn)),
                webhook=str(settings.webhook or ""),
                allowed=tuple(allow_private) if name in guarded else None,
                degrade_to=settings.degrade_to or "",
                allow_unpriced=settings.allow_unpriced,
            )
        )
    return tuple(found)
