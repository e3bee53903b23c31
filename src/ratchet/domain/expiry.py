"""When something ends, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime

from ratchet.errors import InvalidRequest

__all__ = ["LATEST", "parse_expiry"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LATEST = 2**63 - 1  # nanoseconds: a moment in the year 2262, the last that can be kept


def parse_expiry(text: str, now: int) -> int:
    """Nanoseconds since the epoch, from `90d`, `12h`, or a date such as 2027-01-31 (UTC). Raises InvalidRequest."""
    found = _ending(text, now)
    if found is None or found > LATEST:
        raise InvalidRequest(
            f"{text[:100]!r} is no expiry." if found is None else f"{text!r} is too far away.",
            "Give a span such as 12h or 90d, or a date such as 2027-01-31, before the year 2262.",
            param="expires",
        )
    return found


def _ending(text: str, now: int) -> int | None:
    number, unit = text[:-1].lstrip("0") or "0", text[-1:]
    if text[:-1].isascii() and text[:-1].isdigit() and unit in _UNITS:
        return now + int(number[:20]) * _UNITS[unit] * 10**9
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9
