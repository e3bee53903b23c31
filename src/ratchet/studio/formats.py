"""How numbers and times look on a page. Pure: every function takes what it needs and gives text.

An unknown number is written out as unknown, never as zero.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from urllib.parse import quote

import msgspec

from ratchet.domain.cases import text_of_input
from ratchet.domain.counting import plural

__all__ = [
    "as_json",
    "asked_text",
    "clip",
    "count",
    "day_and_time",
    "dollars",
    "duration",
    "iso",
    "money",
    "money_tick",
    "number",
    "original_time",
    "percent",
    "plural",
    "pretty_json",
    "rate",
    "relative",
    "segment",
    "short",
    "tick",
    "usd",
    "utc",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_NONE = "–"  # does not apply, or is not known


def duration(nanoseconds: int | None) -> str:
    """Three significant figures and the unit a person would pick: `840 µs`, `842 ms`, `1.24 s`, `2 min 03 s`."""
    if nanoseconds is None:
        return _NONE
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1000:.0f} µs"
    milliseconds = nanoseconds / 1_000_000
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = nanoseconds / _SECOND
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def tick(nanoseconds: int) -> str:
    """A duration short enough for an axis: two figures and one unit."""
    for size, unit in ((3600 * _SECOND, "h"), (60 * _SECOND, "min"), (_SECOND, "s"), (1_000_000, "ms")):
        if nanoseconds >= size:
            value = nanoseconds / size
            return f"{value:.1f}".removesuffix(".0") + f" {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{nanoseconds / 1000:.0f} µs"


def money(dollars: Decimal | None) -> str:
    """US dollars with as many places as the amount needs; `unknown` when there is no price."""
    if dollars is None:
        return "unknown"
    if dollars == 0:
        return "$0"
    size = abs(dollars)
    if size >= 1:
        return f"${dollars:,.2f}"
    if size < Decimal("0.000001"):
        return "<$0.000001"
    places = min(6, max(2, -size.adjusted() + 2))
    return f"${dollars:.{places}f}"


def usd(amount: float | None) -> str:
    """An amount that was computed, as `money` writes exact ones."""
    return money(None if amount is None else Decimal(f"{amount:.12f}"))


def dollars(amount: Decimal | None) -> str:
    """A price as its source writes it, to the last digit: `$0.075`, `$2`."""
    if amount is None:
        return "unknown"
    text = f"{amount:,f}"
    return "$" + (text.rstrip("0").rstrip(".") if "." in text else text)


def money_tick(dollars: float) -> str:
    """An amount short enough for an axis."""
    return (
        "$0"
        if dollars == 0
        else f"${dollars:,.0f}"
        if dollars >= 10
        else f"${dollars:.6f}".rstrip("0").rstrip(".")
    )


def percent(share: float | None) -> str:
    """`0.4 %`, `12 %`: one place below ten; a dash when there is nothing to be a share of."""
    if share is None:
        return _NONE
    value = 100 * share
    return f"{value:.1f}".removesuffix(".0") + " %" if value < 9.95 else f"{value:.0f} %"


def rate(value: float | None) -> str:
    """So many in a second, in three figures: `76.9`, `1,240`."""
    if value is None:
        return _NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def short(value: float | None) -> str:
    """A count in three figures: `950`, `12.4k`, `3.06M`; a dash when unknown."""
    if value is None:
        return _NONE
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            places = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            text = f"{scaled:.{places}f}"
            return (text.rstrip("0").rstrip(".") if places else text) + unit
    return f"{value:g}" if value != int(value) else f"{int(value)}"


def count(value: int | None) -> str:
    """Thousands apart; a dash when unknown."""
    return _NONE if value is None else f"{value:,}"


def number(value: float | None) -> str:
    """A score's value: no trailing zeros, at most three places."""
    if value is None:
        return _NONE
    return f"{value:.3f}".rstrip("0").rstrip(".")


def iso(nanoseconds: int) -> str:
    """`2026-01-31T09:30:00.123Z`, for `<time datetime>`."""
    return _moment(nanoseconds).strftime("%Y-%m-%dT%H:%M:%S.") + f"{nanoseconds % _SECOND // 1_000_000:03d}Z"


def utc(nanoseconds: int) -> str:
    """`2026-01-31 09:30:00.123 UTC`, for people."""
    return iso(nanoseconds).replace("T", " ").removesuffix("Z") + " UTC"


def original_time(nanoseconds: str) -> str:
    """A moment that an app gave and that was too far out to be kept in its column."""
    try:
        return utc(int(nanoseconds))
    except (ValueError, OverflowError):
        return nanoseconds


def day_and_time(nanoseconds: int, step: int) -> str:
    """The beginning of a piece of time, UTC: `21 Nov 14:30`, or the day alone where pieces are days or longer."""
    when = _moment(nanoseconds)
    if step >= 86_400 * _SECOND:
        return f"{when.day} {when:%b %Y}"
    return f"{when.day} {when:%b %H:%M}" if step >= 60 * _SECOND else f"{when.day} {when:%b %H:%M:%S}"


def segment(text: str) -> str:
    """`text` as one step of an address, whatever an app has put into it; `unquote` reads what arrives."""
    once = text.replace("%", "%25").replace("/", "%2F")
    if not once.strip("."):
        once = once.replace(".", "%2E")  # browsers take . and .. for steps of their own
    return quote(once, safe="")


def relative(nanoseconds: int, now: int) -> str:
    """How long ago, in one unit: `now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 d ago`."""
    seconds = (now - nanoseconds) // _SECOND
    if seconds < -1:
        return "in the future"
    if seconds < 5:
        return "just now"
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600} h ago"
    return f"{seconds // 86_400} d ago"


def as_json(value: Any) -> str:
    """A value or struct as JSON, for a hidden field."""
    return msgspec.json.encode(value).decode()


def pretty_json(value: Any) -> str:
    """Indented JSON; text that already is JSON is laid out, other text is left as it came."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
        if not isinstance(value, dict | list):
            return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _is_users(message: Any) -> bool:
    return isinstance(message, dict) and cast("Any", message).get("role") == "user"


def asked_text(value: Any) -> str:
    """What a case asks or expects, on one line; of a conversation, what the user said last."""
    if isinstance(value, list):
        listed = cast("list[Any]", value)
        value = next((one for one in reversed(listed) if _is_users(one)), None)
        value = listed if value is None else [value]
    return " ".join(text_of_input(value).split())


def clip(text: str, limit: int) -> str:
    """At most `limit` characters on one line, with an ellipsis where something is missing."""
    line = " ".join(text[: limit * 2].split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
