"""Calendar periods in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

__all__ = ["Calendar", "Period"]

_AFTERWARDS = 2 * 86_400 * 10**9  # a request may outlast its period: it is settled where it was reserved


class Period(msgspec.Struct, frozen=True):
    """`unit` is day or month, `name` is `2026-03` or `2026-03-14`. Times are nanoseconds since the epoch; `end` belongs to the next.

    When it is `forgotten`, nobody needs to know any more what was spent in it.
    """

    unit: str
    name: str
    start: int
    end: int
    forgotten: int


class Calendar:
    """Says which day or month it is, and works it out once for each."""

    def __init__(self, unit: Literal["day", "month"]) -> None:
        self._unit: Literal["day", "month"] = unit
        self._current = Period(unit, "", 0, 0, 0)

    def period(self, now: int) -> Period:
        """The one that `now` lies in."""
        current = self._current
        if not current.start <= now < current.end:
            current = self._current = _period(self._unit, now)
        return current


def _period(unit: Literal["day", "month"], now: int) -> Period:
    moment = datetime.fromtimestamp(now // 10**9, tz=UTC)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        end, name = start + timedelta(days=1), start.strftime("%Y-%m-%d")
    else:
        start = start.replace(day=1)
        end, name = (start + timedelta(days=32)).replace(day=1), start.strftime("%Y-%m")
    over = int(end.timestamp()) * 10**9
    return Period(unit, name, int(start.timestamp()) * 10**9, over, over + _AFTERWARDS)
