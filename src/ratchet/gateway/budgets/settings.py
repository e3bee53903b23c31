"""`[budgets.NAME]`"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ratchet.config import OpenAddress, shaped
from ratchet.gateway.limits.settings import Applies, Dimension

__all__ = ["BudgetSettings"]

Share = Annotated[float, Field(gt=0, le=1)]


class BudgetSettings(Applies):
    """So much money a day or a month (UTC), for each of whom `by` tells apart; without `by`, for all together."""

    by: list[Dimension] = Field(default_factory=list[Dimension])
    amount: Decimal = Field(gt=0, le=1_000_000, decimal_places=9)  # US dollars
    period: Literal["day", "month"] = "month"
    warn: list[Share] = Field(default_factory=lambda: [0.8])  # shares of it at whose passing somebody is told
    webhook: OpenAddress | None = None  # who is told
    # What answers once it is spent; without it requests are refused.
    degrade_to: (
        Annotated[str, shaped(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/.{1,300})?", "a route, or provider/model")]
        | None
    ) = None
    allow_unpriced: bool = False  # let through what nobody knows the price of; it counts as nothing

    @model_validator(mode="after")
    def _makes_sense(self) -> BudgetSettings:
        if len(set(self.by)) < len(self.by):
            raise ValueError("expected each of `by` once")
        return self
