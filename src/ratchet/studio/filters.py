"""The filters of the trace list: from URL parameters to a `TraceFilter` and back to chips. Pure.

The table `CRITERIA` is the one place that knows a filter's parameter, its label and how its value is read; the page,
the JSON API and the CLI all go through it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

import msgspec

from ratchet.domain.expiry import LATEST
from ratchet.errors import InvalidRequest
from ratchet.store.spans import UNSAID, TraceFilter
from ratchet.studio.description import Parameter

__all__ = [
    "CRITERIA",
    "DEFAULT_RANGE",
    "RANGES",
    "TRACE_QUERY",
    "Chip",
    "Criterion",
    "Selection",
    "parse_duration",
    "parse_time",
    "select_traces",
]

_SECOND = 1_000_000_000
DEFAULT_RANGE = "24h"
RANGES: dict[str, tuple[str, int]] = {
    "15m": ("15 min", 900 * _SECOND),
    "1h": ("1 h", 3600 * _SECOND),
    "24h": ("24 h", 86_400 * _SECOND),
    "7d": ("7 d", 7 * 86_400 * _SECOND),
    "30d": ("30 d", 30 * 86_400 * _SECOND),
    "all": ("All", 0),
}
_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|min|m|h)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TEXT = 500


class Criterion(msgspec.Struct, frozen=True):
    """One filter: its URL parameter, what people call it, the field of `TraceFilter`, and how a value is read."""

    param: str
    label: str
    field: str
    read: Callable[[str, str], Any]
    form: str = "is"  # how a chip says it: is | at least | at most | contains


class Chip(msgspec.Struct, frozen=True):
    """An active filter, and the query string of the page without it."""

    param: str
    label: str
    form: str
    value: str
    without: str


class Selection(msgspec.Struct, frozen=True):
    """What the URL asks for. `params` holds only what was given, in the table's order."""

    filter: TraceFilter
    params: dict[str, str]
    range: str  # a key of RANGES, or "custom"
    chips: list[Chip]

    def query(self, **changes: str) -> str:
        """The query string with `changes`; "" takes a parameter out."""
        merged = {**self.params, **changes}
        return urlencode({name: value for name, value in merged.items() if value != ""})


def parse_duration(param: str, text: str) -> int:
    """Nanoseconds of `800ms`, `2s`, `1.5` (seconds) or `2 min`. Raises InvalidRequest."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidRequest(
            f"{param} is {text!r}, which is not a duration.", "Write it like 800ms, 2s or 1.5.", param=param
        )
    return round(Decimal(match[1]) * _UNITS[match[2] or "s"])


def parse_time(param: str, text: str) -> int:
    """Nanoseconds of an ISO 8601 moment (UTC unless it says otherwise), or of digits: nanoseconds since the epoch."""
    text = text.strip()
    if re.fullmatch(r"\d{1,19}", text):
        return min(int(text), LATEST)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{param} is {text!r}, which is not a moment.",
            "Write it like 2026-01-31T09:30 or 2026-01-31T09:30:00Z.",
            param=param,
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Nothing is later than the last moment that stores can hold, nor earlier than the first.
    return max(-LATEST, min((moment - _EPOCH) // timedelta(microseconds=1) * 1000, LATEST))


def _text(param: str, text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise InvalidRequest(f"{param} has {len(text)} characters.", f"Use at most {_MAX_TEXT}.", param=param)
    return text


def _status(param: str, text: str) -> str:
    if text not in ("ok", "error"):
        raise InvalidRequest(f"{param} is {text!r}.", "It is either ok or error.", param=param)
    return text


def _number(param: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest(
            f"{param} is {text!r}, which is not a number.", "Write it like 0.5.", param=param
        )
    return value


def _money(param: str, text: str) -> Decimal:
    try:
        value = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) > 10**9 or value.adjusted() < -30:
        raise InvalidRequest(
            f"{param} is {text!r}, which is not an amount in US dollars.", "Write it like 0.002.", param=param
        )
    return value


def _without(param: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in UNSAID]:
        raise InvalidRequest(
            f"{param} names {unknown[0]!r}.", f"Use some of {', '.join(UNSAID)}, with commas.", param=param
        )
    return names


CRITERIA: tuple[Criterion, ...] = (
    Criterion("q", "text", "query", _text, "contains"),
    Criterion("route", "route", "route", _text),
    Criterion("prompt", "prompt", "prompt", _text),
    Criterion("prompt_version", "prompt version", "prompt_version", _text),
    Criterion("model", "model", "model", _text),
    Criterion("provider", "provider", "provider", _text),
    Criterion("target", "target", "target", _text),
    Criterion("failure", "failed attempt", "failure", _text),
    Criterion("user", "user", "user_id", _text),
    Criterion("session", "session", "session_id", _text),
    Criterion("organisation", "organisation", "organisation_id", _text),
    Criterion("key", "key", "key_id", _text),
    Criterion("tag", "tag", "tag", _text),
    Criterion("language", "language", "language", _text),
    Criterion("without", "no", "without", _without, "given"),
    Criterion("run", "run", "run", _text),
    Criterion("status", "status", "status", _status),
    Criterion("score", "score", "score_name", _text),
    Criterion("score_min", "score", "score_min", _number, "at least"),
    Criterion("score_max", "score", "score_max", _number, "at most"),
    Criterion("cost_min", "cost", "cost_min", _money, "at least"),
    Criterion("cost_max", "cost", "cost_max", _money, "at most"),
    Criterion("latency_min", "latency", "latency_min", parse_duration, "at least"),
    Criterion("latency_max", "latency", "latency_max", parse_duration, "at most"),
)


TRACE_QUERY: tuple[Parameter, ...] = (
    *(Parameter(each.param, f"Traces whose {each.label} {each.form} this.") for each in CRITERIA),
    Parameter("range", "The last stretch of time.", {"type": "string", "enum": ["", *RANGES]}),
    Parameter("since", "From this moment on: ISO 8601, or nanoseconds since the epoch."),
    Parameter("until", "Up to this moment."),
)


def select_traces(params: Mapping[str, str], *, now: int, default_range: str = DEFAULT_RANGE) -> Selection:
    """Read a list's URL parameters. Raises InvalidRequest naming the parameter; empty values count as absent."""
    given = {name: value.strip() for name, value in params.items() if value.strip()}
    fields: dict[str, Any] = {}
    kept: dict[str, str] = {}
    for criterion in CRITERIA:
        if (value := given.get(criterion.param)) is not None:
            fields[criterion.field] = criterion.read(criterion.param, value)
            kept[criterion.param] = value
    name, since, until = _window(given, now, default_range)
    if name == "custom":
        kept |= {param: given[param] for param in ("since", "until") if param in given}
    elif name != default_range:
        kept["range"] = name
    selection = Selection(
        filter=TraceFilter(since=since, until=until, **fields), params=kept, range=name, chips=[]
    )
    chips = [
        Chip(
            param=criterion.param,
            label=_chip_label(criterion, kept),
            form=criterion.form,
            value=kept[criterion.param],
            without=selection.query(**{criterion.param: ""}),
        )
        for criterion in CRITERIA
        if criterion.param in kept
    ]
    return msgspec.structs.replace(selection, chips=chips)


def _chip_label(criterion: Criterion, kept: Mapping[str, str]) -> str:
    # A bound on a named score reads better with the name: "helpful at least 0.5".
    if criterion.param in ("score_min", "score_max") and "score" in kept:
        return kept["score"]
    return criterion.label


def _window(given: Mapping[str, str], now: int, default_range: str) -> tuple[str, int | None, int | None]:
    if "since" in given or "until" in given:
        since = parse_time("since", given["since"]) if "since" in given else None
        until = parse_time("until", given["until"]) if "until" in given else None
        if since is not None and until is not None and since >= until:
            raise InvalidRequest("since is not before until.", "Swap them, or leave one out.", param="since")
        return "custom", since, until
    name = given.get("range", default_range)
    if name not in RANGES:
        raise InvalidRequest(f"range is {name!r}.", f"It is one of {', '.join(RANGES)}.", param="range")
    width = RANGES[name][1]
    return name, now - width if width else None, None
