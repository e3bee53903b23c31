"""When something ends, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime

from ratchet.errors import InvalidRequest

__all__ = ["parse_expiry"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LAST = 253_402_300_799  # the end of the year 9999, in seconds


def parse_expiry(text: str, now: int) -> int:
    """Nanoseconds since the epoch, from `90d`, `12h`, or a date such as 2027-01-31 (UTC). Raises InvalidRequest."""
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and unit in _UNITS:
        seconds = now // 10**9 + int(number[:12]) * _UNITS[unit]
        if seconds <= _LAST:
            return now + int(number) * _UNITS[unit] * 10**9
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is no expiry.",
            "Give a span such as 12h or 90d, or a date such as 2027-01-31.",
            param="expires",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9
