"""`[limits.NAME]`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ratchet.gateway.limits.rates import counted_rate, money_rate
from ratchet.gateway.settings import NetworkText

__all__ = ["Applies", "Dimension", "LimitSettings", "Whose"]

Dimension = Literal["key", "user", "organisation", "ip", "route", "segment"]
Whose = Annotated[str, Field(min_length=1, max_length=300)]
Whoever = Annotated[list[Whose], Field(min_length=1)]  # nobody is held to what is for nobody


def _checked(read: Callable[[str], object]) -> BeforeValidator:
    """A rate; what is no text is told what was expected too."""

    def check(value: object) -> object:
        read(value if isinstance(value, str) else "")
        return value

    return BeforeValidator(check)


CountedRate = Annotated[str, _checked(counted_rate)]
MoneyRate = Annotated[str, _checked(money_rate)]


class Applies(BaseModel):
    """Which requests it is for: those that each list given here has. Keys by their name or id, `ips` are addresses or
    networks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Whoever | None = None
    users: Whoever | None = None
    organisations: Whoever | None = None
    ips: Annotated[list[NetworkText], Field(min_length=1)] | None = None
    routes: Whoever | None = None
    segments: Whoever | None = None


class LimitSettings(Applies):
    """How much may be asked for, by each of whom `by` tells apart; without `by`, by all of them together."""

    by: list[Dimension] = Field(default_factory=list[Dimension])
    requests: CountedRate | None = None
    tokens: CountedRate | None = None
    cost: MoneyRate | None = None  # US dollars
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # requests at once

    @model_validator(mode="after")
    def _limits_something(self) -> LimitSettings:
        if self.requests is self.tokens is self.cost is self.concurrency is None:
            raise ValueError("expected at least one of requests, tokens, cost and concurrency")
        if len(set(self.by)) < len(self.by):
            raise ValueError("expected each of `by` once")
        return self
