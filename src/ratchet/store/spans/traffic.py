"""Model calls over a stretch of time: sums and quantiles in all, by piece of time, and by one property.

Plain aggregates over the spans themselves. Over a million spans they take about a tenth of a second each, so nothing
is kept in advance: what was inserted, or erased, is what is counted.
"""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.store.spans.belonging import Belonging, belonging
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import MODEL, PROVIDER, UNPRICED, counting, of_a_call, tables, window
from ratchet.store.spans.rows import TraceFilter
from ratchet.store.spans.schema import TIME_MAX, TIME_MIN
from ratchet.store.spans.traces import exact

__all__ = ["DIMENSIONS", "Figures", "Group", "Overview", "Point", "floor_of", "overview_of", "step_for"]

_SECOND = 10**9
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
MOST_POINTS = 50
_STEPS = (
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 4, 6, 12)),
    *(days * _DAY for days in (1, 2)),
    *(weeks * _WEEK for weeks in (1, 2, 4, 8, 13, 26, 52, 104, 208)),
)
_MONDAY = 4 * _DAY  # the first one after the epoch

# By what calls can be told apart.
DIMENSIONS = {
    "route": "route",
    "model": MODEL,
    "provider": PROVIDER,
    "user": "user_id",
    "organisation": "organisation_id",
    "language": "language",
}

_FIGURES = f"""
    count(), countIf(status = 'error'), sumOrNull(cost), countIf({UNPRICED}),
    quantilesExactOrNull(0.5, 0.95, 0.99)(toNullable(duration)),
    quantilesExactOrNull(0.5, 0.95)(time_to_first_token),
    sumOrNull(input_tokens), sumOrNull(output_tokens), sumOrNull(cached_tokens), sumOrNull(cache_write_tokens),
    sumOrNull(reasoning_tokens), sumOrNull(audio_input_tokens), sumOrNull(audio_output_tokens)
"""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Some model calls, each counted once, failed ones too.

    Quantiles are exact, over calls that ended well or not. `cost` is the sum of the known costs and `unpriced` counts
    the calls without one. Input holds cached, cache-writing and audio input; output holds reasoning and audio output.
    """

    requests: int = 0
    errors: int = 0
    cost: Decimal | None = None
    unpriced: int = 0
    latency_p50: int | None = None
    latency_p95: int | None = None
    latency_p99: int | None = None
    ttft_p50: int | None = None
    ttft_p95: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None

    @property
    def error_rate(self) -> float | None:
        """Failed ones, as a share of all; None where there were none."""
        return self.errors / self.requests if self.requests else None


class Point(msgspec.Struct, frozen=True):
    """One piece of time from `start` on, and the piece that lies as far into the period before."""

    start: int
    figures: Figures
    before: Figures | None


class Group(msgspec.Struct, frozen=True):
    """The calls of one route, model …; `value` is "" for those that don't say."""

    value: str
    figures: Figures


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Calls from `since` up to `until`, and in the time of the same length before, where `since` was asked for.

    `points` are `step` apart and cover the whole time, the first beginning at or before `since`. `groups` are the
    largest of `group_count`, most requests first.
    """

    since: int
    until: int
    step: int
    current: Figures
    before: Figures | None
    points: list[Point]
    dimension: str
    groups: list[Group]
    group_count: int


def step_for(width: int) -> int:
    """The shortest of the usual steps (1 s … 208 weeks) with which `width` nanoseconds make at most 50 whole pieces."""
    return next((step for step in _STEPS if width <= step * MOST_POINTS), _STEPS[-1])


def overview_of(
    pool: ClientPool, project_id: str, wanted: TraceFilter, dimension: str, now: int, groups: int
) -> Overview:
    """See `Overview`; `now` closes a time that is open. Raises InvalidRequest for an unknown dimension or filter."""
    if dimension not in DIMENSIONS:
        raise InvalidRequest(
            f"There is no {dimension!r} to group by.", f"Use one of {', '.join(DIMENSIONS)}.", param="by"
        )
    asked, parameters = of_a_call(wanted)
    until = min(max(now if wanted.until is None else wanted.until, TIME_MIN), TIME_MAX)
    since = min(
        _first(pool, project_id, until, wanted.run) if wanted.since is None else max(wanted.since, TIME_MIN),
        until,
    )
    width = until - since
    earliest = since - width if wanted.since is not None and since >= width else since
    step = step_for(width)
    where, bounds = window(project_id, earliest, until, run=wanted.run)
    parameters |= bounds
    once = counting(pool, where, parameters)
    origin = floor_of(since, step)
    column = DIMENSIONS[dimension]
    owned = Belonging("", "spans", column)
    if dimension in ("user", "organisation"):
        owned = belonging(pool, column, where, parameters)
    counted = f"WHERE {where} AND {once.condition}{asked}"
    by_time, by_value = pool.select_all(
        f"{tables(once.common)}{_BY_TIME} FROM spans {counted} {_TIMES}",
        f"{tables(once.common, owned.common)}SELECT {owned.owner} AS value_, count() OVER (), {_FIGURES} "
        f"FROM {owned.source} {counted} AND {_SINCE_BEGIN} GROUP BY value_ ORDER BY count() DESC, value_ LIMIT {{groups:UInt64}}",
        parameters={
            **parameters,
            "begin": since,
            "width": width,
            "origin": origin,
            "step": step,
            "groups": groups,
        },
    )
    current, before, points = _times(by_time, (until - 1 - origin) // step + 1 if width else 0)
    compared = earliest < since
    return Overview(
        since=since,
        until=until,
        step=step,
        current=current,
        before=before if compared else None,
        points=[
            Point(origin + number * step, figures, earlier if compared else None)
            for number, (figures, earlier) in enumerate(points)
        ],
        dimension=dimension,
        groups=[Group(row[0], _figures(row[2:])) for row in by_value],
        group_count=by_value[0][1] if by_value else 0,
    )


_START = "toUnixTimestamp64Nano(start)"
_SINCE_BEGIN = "start >= fromUnixTimestamp64Nano({begin:Int64}, 'UTC')"
# One pass: each period as a whole, and each of its pieces; the earlier period is laid over the later one.
_BY_TIME = f"""
SELECT
    {_START} < {{begin:Int64}} AS earlier_,
    intDiv({_START} + if({_START} < {{begin:Int64}}, {{width:Int64}}, 0) - {{origin:Int64}}, {{step:Int64}}) AS piece_,
    grouping(piece_) AS all_, {_FIGURES}
"""
_TIMES = "GROUP BY GROUPING SETS ((earlier_), (earlier_, piece_))"


def _first(pool: ClientPool, project_id: str, until: int, run: str) -> int:
    """When the first of these spans began, to the minute; `until` where there is none."""
    where, parameters = window(project_id, None, until, run=run)
    found = pool.select(
        f"SELECT count(), toUnixTimestamp64Nano(min(start)) FROM spans WHERE {where}", parameters
    )
    return int(found[0][1]) // _MINUTE * _MINUTE if found[0][0] else until


def floor_of(moment: int, step: int) -> int:
    """Where the piece of time begins that `moment` lies in; weeks begin on Mondays, UTC."""
    shift = _MONDAY if step >= _WEEK else 0
    return (moment - shift) // step * step + shift


def _times(rows: Sequence[Row], count: int) -> tuple[Figures, Figures, list[tuple[Figures, Figures]]]:
    nothing = Figures()
    whole = [nothing, nothing]
    pieces = [[nothing] * count, [nothing] * count]
    for earlier, piece, is_whole, *values in rows:
        if is_whole:
            whole[earlier] = _figures(values)
        elif 0 <= piece < count:
            pieces[earlier][piece] = _figures(values)
    return whole[0], whole[1], list(zip(*pieces, strict=True))


def _figures(values: Sequence[Any]) -> Figures:
    latency, first = _quantiles(values[4], 3), _quantiles(values[5], 2)
    return Figures(
        requests=values[0],
        errors=values[1],
        cost=exact(values[2]),
        unpriced=values[3],
        latency_p50=latency[0],
        latency_p95=latency[1],
        latency_p99=latency[2],
        ttft_p50=first[0],
        ttft_p95=first[1],
        input_tokens=values[6],
        output_tokens=values[7],
        cached_tokens=values[8],
        cache_write_tokens=values[9],
        reasoning_tokens=values[10],
        audio_input_tokens=values[11],
        audio_output_tokens=values[12],
    )


def _quantiles(values: Sequence[float | None], count: int) -> list[int | None]:
    """Quantiles of nothing come as no list, as NULL or as NaN, depending on the engine's version."""
    known = [None if value is None or math.isnan(value) else int(value) for value in values or ()]
    return known or [None] * count
