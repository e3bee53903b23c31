"""What a limit's settings say, in numbers: `100/minute`, `50k/hour burst 5k`, `2.50/day`. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from ratchet.gateway.expecting import DOLLAR
from ratchet.store.counters import LONGEST

__all__ = ["Rate", "counted_rate", "money_rate", "span_text"]

_SECOND = 10**9
_PERIODS = {
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 3600 * _SECOND,
    "day": 86_400 * _SECOND,
    "week": 7 * 86_400 * _SECOND,
    "month": 30 * 86_400 * _SECOND,
}
_AMOUNT = r"([0-9]+(?:\.[0-9]+)?)([kM]?)"
_RATE = re.compile(rf"{_AMOUNT} ?/ ?({'|'.join(_PERIODS)})(?: burst {_AMOUNT})?")
_FACTORS = {"": 1, "k": 1000, "M": 1_000_000}
_MOST = 10**15  # units; a million dollars


class Rate(msgspec.Struct, frozen=True):
    """`amount` units in `period` nanoseconds, evenly; `burst` of them at once.

    A unit is a request, a token, or a billionth of a dollar. A month is 30 days: a rate knows no calendar.
    """

    amount: int
    period: int
    burst: int
    text: str  # as it was written, without the burst

    @property
    def room(self) -> int:
        """The nanoseconds that an empty bucket takes to be full."""
        return self.burst * self.period // self.amount

    def nanoseconds(self, units: int, scale: float = 1.0) -> int:
        """What `units` take from the bucket of somebody whose limit is `scale` times as large."""
        if scale == 1.0:
            return units * self.period // self.amount
        return int(units * self.period / (self.amount * scale))

    def units(self, nanoseconds: int, scale: float = 1.0) -> int:
        """How many units such a stretch of the bucket is."""
        if scale == 1.0:
            return nanoseconds * self.amount // self.period
        return int(nanoseconds * self.amount * scale / self.period)


def counted_rate(text: str) -> Rate:
    """A rate of requests or tokens. Raises ValueError, saying what is expected."""
    return _rate(text, 1, "a rate such as 100/minute or 50k/hour")


def money_rate(text: str) -> Rate:
    """A rate of US dollars. Raises ValueError, saying what is expected."""
    return _rate(text, DOLLAR, "dollars for a time, such as 5/day or 0.20/hour")


def _rate(text: str, unit: int, expected: str) -> Rate:
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"expected {expected}; the time is one of {', '.join(_PERIODS)}, and ` burst 20` says how much of it may "
            "come at once"
        )
    amount = _units(found[1], found[2], unit)
    burst = _units(found[4], found[5], unit) if found[4] else amount
    rate = Rate(amount, _PERIODS[found[3]], burst, text.strip().partition(" burst")[0].replace(" ", ""))
    if rate.room > LONGEST // 2:
        raise ValueError("expected a burst that is there again within 52 days")
    return rate


def _units(number: str, factor: str, unit: int) -> int:
    units = Decimal(number) * _FACTORS[factor] * unit
    if units < 1 or units > _MOST or units != int(units):
        raise ValueError(
            "expected an amount of at least 1, and no parts of one"
            if unit == 1
            else "expected an amount of money above 0, a million dollars at most"
        )
    return int(units)


def span_text(nanoseconds: int) -> str:
    """As providers write it into `x-ratelimit-reset-…`: `120ms`, `1s`, `6m0s`. Rounded up: then it is over."""
    if nanoseconds < _SECOND:
        return f"{-(-nanoseconds // 1_000_000)}ms"
    seconds = -(-nanoseconds // _SECOND)
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
