"""An overview as pages show it: headline figures beside the time before, charts, and one property's break-down. Pure.

Every figure leads to the traces behind it: the same filters, and the piece of time as `since` and `until`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.store.spans import UNSAID, Figures, Group, Overview, Point
from ratchet.studio import charts, formats
from ratchet.studio.charts import Chart, Track
from ratchet.studio.filters import Selection

__all__ = [
    "DIMENSION_LABELS",
    "Change",
    "Figure",
    "GroupRow",
    "PointRow",
    "Traffic",
    "moment",
    "traffic_of",
    "without",
]

DIMENSION_LABELS = {
    "route": "Route",
    "model": "Model",
    "provider": "Provider",
    "user": "User",
    "organisation": "Organisation",
    "language": "Language",
}
_SECOND = 10**9


class Change(msgspec.Struct, frozen=True):
    """How a figure differs from the time before: what to show, what it was, and whether that is good or bad."""

    text: str
    was: str
    direction: str  # up, down or same
    tone: str  # good, bad or ""


class Figure(msgspec.Struct, frozen=True):
    """One headline: its value as text, a second line, and the change where there is a time before."""

    label: str
    value: str
    note: str
    change: Change | None
    href: str = ""  # where the note leads


class GroupRow(msgspec.Struct, frozen=True):
    """One line of a break-down. `share` is of all requests, `bar` of the largest row's, both in percent."""

    value: str
    label: str
    share: float
    bar: float
    figures: Figures
    traces: str  # its traces
    errors: str  # its failed traces
    page: str  # the row's own page, where it has one


class PointRow(msgspec.Struct, frozen=True):
    """One line of the charts' figures."""

    start: int
    label: str
    figures: Figures
    traces: str


class Traffic(msgspec.Struct, frozen=True):
    """Everything that a page shows of an overview."""

    overview: Overview
    beside: str  # what the figures are compared with
    figures: list[Figure]
    charts: list[Chart]
    points: list[PointRow]
    groups: list[GroupRow]


def moment(nanoseconds: int) -> str:
    """A moment for an address, as short as it can be said exactly: `20260131T0930Z`, else digits."""
    if nanoseconds % _SECOND:
        return str(nanoseconds)
    text = formats.iso(nanoseconds).replace("-", "").replace(":", "")
    return f"{text[:13]}Z" if nanoseconds % (60 * _SECOND) == 0 else f"{text[:15]}Z"


def traffic_of(overview: Overview, selection: Selection) -> Traffic:
    """`selection` is what the overview was asked with."""
    points = [_point_row(point, overview, selection) for point in overview.points]
    return Traffic(
        overview=overview,
        beside=_beside(overview, selection),
        figures=_headlines(overview, selection),
        charts=_charts(overview, points),
        points=points,
        groups=_groups(overview, selection),
    )


# ---- headlines -------------------------------------------------------------------------------------------------


def _headlines(overview: Overview, selection: Selection) -> list[Figure]:
    now, was = overview.current, overview.before
    unpriced = ""
    if now.unpriced:
        unpriced = f"{formats.plural(now.unpriced, 'call')} of unknown cost"
    return [
        Figure(
            "Requests",
            formats.count(now.requests),
            "",
            _change(now, was, lambda it: it.requests, formats.count),
        ),
        Figure(
            "Error rate",
            formats.percent(now.error_rate),
            formats.plural(now.errors, "failed request") if now.errors else "",
            _points(now.error_rate, was.error_rate if was else None),
            f"/traces?{selection.query(status='error')}",
        ),
        Figure(
            "Cost",
            formats.money(now.cost) if now.cost is not None or now.unpriced else formats.count(None),
            unpriced,
            _change(now, was, lambda it: it.cost, formats.money),
            f"/traces?{without(selection, 'cost')}",
        ),
        _quantiles("Latency", overview, lambda it: it.latency_p50, lambda it: it.latency_p95),
        _quantiles("Time to first token", overview, lambda it: it.ttft_p50, lambda it: it.ttft_p95),
        Figure(
            "Tokens", formats.short(_tokens(now)), _classes(now), _change(now, was, _tokens, formats.short)
        ),
    ]


def _quantiles(
    label: str,
    overview: Overview,
    middle: Callable[[Figures], int | None],
    high: Callable[[Figures], int | None],
) -> Figure:
    now, was = overview.current, overview.before
    note = f"p95 {formats.duration(high(now))}" if high(now) is not None else ""
    return Figure(
        label,
        formats.duration(middle(now)),
        note,
        _change(now, was, high, formats.duration, bad="up", of="p95 "),
    )


def _tokens(figures: Figures) -> int | None:
    known = [tokens for tokens in (figures.input_tokens, figures.output_tokens) if tokens is not None]
    return sum(known) if known else None


def _classes(figures: Figures) -> str:
    """What the tokens were: input and output, and the parts of these that have a price of their own."""
    parts = [f"{formats.short(figures.input_tokens)} in", f"{formats.short(figures.output_tokens)} out"]
    for name, tokens in (
        ("cached", figures.cached_tokens),
        ("cache writes", figures.cache_write_tokens),
        ("reasoning", figures.reasoning_tokens),
        ("audio", (figures.audio_input_tokens or 0) + (figures.audio_output_tokens or 0)),
    ):
        if tokens:
            parts.append(f"{formats.short(tokens)} {name}")
    return ", ".join(parts) if _tokens(figures) is not None else ""


def _change(
    now: Figures,
    was: Figures | None,
    read: Callable[[Figures], int | Decimal | None],
    show: Callable[[Any], str],
    *,
    bad: str = "",
    of: str = "",
) -> Change | None:
    """`bad` is the direction that is bad news, "" where neither is; `of` says which of two values is compared."""
    if was is None:
        return None
    before, after = read(was), read(now)
    if before is None or after is None:
        return None
    if before == 0:
        return (
            Change("new", f"{of}{show(before)} before", "up", "bad" if bad == "up" else "") if after else None
        )
    share = float((after - before) / before)
    direction = "same" if abs(share) < 0.005 else "up" if share > 0 else "down"
    tone = "" if not bad or direction == "same" else "bad" if direction == bad else "good"
    return Change(_much(share), f"{of}{show(before)} before", direction, tone)


def _much(share: float) -> str:
    """A change as a person would say it: in per cent up to double, then how many times as much."""
    if share < 1:
        return f"{abs(share):.0%}".replace("%", " %")
    return f"{1 + share:.1f}×" if share < 9 else f"{1 + share:,.0f}×"


def _points(now: float | None, was: float | None) -> Change | None:
    """The change of a share, in percentage points: more failures are bad news."""
    if now is None or was is None:
        return None
    by = 100 * (now - was)
    direction = "same" if abs(by) < 0.05 else "up" if by > 0 else "down"
    tone = {"same": "", "up": "bad", "down": "good"}[direction]
    return Change(f"{abs(by):.1f} points", f"{formats.percent(was)} before", direction, tone)


# ---- charts ----------------------------------------------------------------------------------------------------


def _point_row(point: Point, overview: Overview, selection: Selection) -> PointRow:
    begin = max(point.start, overview.since)
    end = min(point.start + overview.step, overview.until)
    query = selection.query(since=moment(begin), until=moment(end), range="")
    return PointRow(
        begin, formats.day_and_time(point.start, overview.step), point.figures, f"/traces?{query}"
    )


def _charts(overview: Overview, points: Sequence[PointRow]) -> list[Chart]:
    return [
        _chart(
            overview, points, "requests", "Requests", "bars", charts.round_ticks, formats.short,
            [
                Track("answered", "c-model", [row.figures.requests - row.figures.errors for row in points]),
                Track("failed", "c-bad", [row.figures.errors for row in points]),
            ],
            lambda it: it.requests,
            lambda it: f"{formats.plural(it.requests, 'request')}, {formats.plural(it.errors, 'error')}",
        ),
        _chart(
            overview, points, "cost", "Cost", "bars", charts.round_ticks, formats.money_tick,
            [Track("known cost", "c-model", [_float(row.figures.cost) for row in points])],
            lambda it: _float(it.cost),
            _cost_label,
        ),
        _chart(
            overview, points, "latency", "Latency", "lines", charts.round_times, formats.tick,
            [
                Track("p50", "c-search", [row.figures.latency_p50 for row in points]),
                Track("p95", "c-model", [row.figures.latency_p95 for row in points]),
                Track("p99", "c-agent", [row.figures.latency_p99 for row in points]),
            ],
            lambda it: it.latency_p95,
            lambda it: f"p50 {formats.duration(it.latency_p50)}, p95 {formats.duration(it.latency_p95)}, "
            f"p99 {formats.duration(it.latency_p99)}",
        ),
        _chart(
            overview, points, "ttft", "Time to first token", "lines", charts.round_times, formats.tick,
            [
                Track("p50", "c-search", [row.figures.ttft_p50 for row in points]),
                Track("p95", "c-model", [row.figures.ttft_p95 for row in points]),
            ],
            lambda it: it.ttft_p95,
            lambda it: f"p50 {formats.duration(it.ttft_p50)}, p95 {formats.duration(it.ttft_p95)}",
        ),
        _chart(
            overview, points, "tokens", "Tokens", "bars", charts.round_ticks, formats.short,
            [
                Track("input", "c-model", [_less(row.figures.input_tokens, row.figures.cached_tokens) for row in points]),
                Track("cached input", "c-search", [_part(row.figures.cached_tokens, row.figures.input_tokens) for row in points]),
                Track("output", "c-tool", [_less(row.figures.output_tokens, row.figures.reasoning_tokens) for row in points]),
                Track("reasoning", "c-agent", [_part(row.figures.reasoning_tokens, row.figures.output_tokens) for row in points]),
            ],
            _tokens,
            _classes,
        ),
    ]  # fmt: skip


def _chart(
    overview: Overview,
    points: Sequence[PointRow],
    key: str,
    title: str,
    form: charts.Form,
    ticks_for: Callable[[float], list[float]],
    tick_label: Callable[[Any], str],
    tracks: list[Track],
    whole: Callable[[Figures], float | None],
    says: Callable[[Figures], str],
) -> Chart:
    """`whole` is the one number that the time before is drawn with; `says` puts a piece of time into words."""
    before = [whole(point.before) if point.before is not None else None for point in overview.points]
    if form == "bars":
        before = [value or 0 for value in before] if any(before) else []
    return charts.chart_of(
        key,
        title,
        f"{title} from {formats.utc(overview.since)[:16]} to {formats.utc(overview.until)[:16]} UTC, "
        f"in steps of {formats.duration(overview.step)}: {says(overview.current)} in all.",
        form,
        tracks,
        before=before,
        ticks_for=ticks_for,
        tick_label=tick_label,
        x_ticks=charts.time_ticks(overview.points[0].start, overview.points[-1].start + overview.step)
        if overview.points
        else [],
        hits=charts.hits_of(
            [
                (row.traces, f"{row.label}: {says(row.figures) if row.figures.requests else 'nothing'}")
                for row in points
            ]
        ),
    )


def _cost_label(figures: Figures) -> str:
    unknown = f", {formats.plural(figures.unpriced, 'call')} of unknown cost" if figures.unpriced else ""
    return f"{formats.money(figures.cost)}{unknown}"


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _part(part: int | None, whole: int | None) -> int:
    """A class of tokens within its total; what is more than the total can't be drawn within it."""
    return min(part or 0, whole or 0)


def _less(whole: int | None, part: int | None) -> int:
    return (whole or 0) - _part(part, whole)


# ---- break-down ------------------------------------------------------------------------------------------------


def _groups(overview: Overview, selection: Selection) -> list[GroupRow]:
    total = overview.current.requests
    largest = max((group.figures.requests for group in overview.groups), default=0)
    return [_group_row(group, overview.dimension, selection, total, largest) for group in overview.groups]


def _group_row(group: Group, dimension: str, selection: Selection, total: int, largest: int) -> GroupRow:
    query = selection.query(**{dimension: group.value}) if group.value else without(selection, dimension)
    joined = f"{query}&" if query else ""
    pages = {"user": "users", "organisation": "organisations"}
    return GroupRow(
        value=group.value,
        label=group.value or "not said",
        share=100 * group.figures.requests / total if total else 0,
        bar=100 * group.figures.requests / largest if largest else 0,
        figures=group.figures,
        traces=f"/traces?{query}",
        errors=f"/traces?{joined}status=error",
        page=f"/{pages[dimension]}/{formats.segment(group.value)}?{_times(selection)}"
        if dimension in pages and group.value
        else "",
    )


_SPANS = {"15m": "15 minutes", "1h": "hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}


def _beside(overview: Overview, selection: Selection) -> str:
    if overview.before is None:
        return f"since {formats.utc(overview.since)[:16]} UTC"
    return f"compared with the {_SPANS.get(selection.range, 'same length of time')} before"


def _times(selection: Selection) -> str:
    return selection.query(
        **{param: "" for param in selection.params if param not in ("range", "since", "until")}
    )


def without(selection: Selection, name: str) -> str:
    """The query string that also asks for what a call leaves unsaid."""
    if name not in UNSAID:
        return selection.query()
    known = [one for one in selection.params.get("without", "").split(",") if one]
    return selection.query(without=",".join(dict.fromkeys([*known, name])))
