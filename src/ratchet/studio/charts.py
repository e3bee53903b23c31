"""Charts over time as numbers that a template draws: scales with round ticks, bars, lines with gaps. Pure.

Everything is measured in hundredths of the plot (x to the right, y down), so a chart fits any width without a script
and nothing moves while a page loads. All axes are linear and begin at zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

__all__ = [
    "Chart",
    "Hit",
    "Shape",
    "Tick",
    "Track",
    "bars",
    "chart_of",
    "hits_of",
    "lines",
    "round_ticks",
    "round_times",
    "time_ticks",
]

_SECOND = 10**9
_DAY = 86_400 * _SECOND
_LEAST = 1e-100  # less than that is nothing: further down, floats lose their digits
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Form = Literal["bars", "lines"]
Label = Callable[[float], str]
# How far apart round times may be, in seconds: those a clock or a calendar would name.
_CLOCK = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21_600, 43_200, 86_400)
_CALENDAR = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200),
    *(days * 86_400 for days in (1, 2, 5, 7, 14, 28, 56, 91, 182, 364, 728, 1820, 3640)),
)
_MARGIN = 8  # percent: a label nearer to an edge than this would be cut off


class Tick(msgspec.Struct, frozen=True):
    """A mark on an axis: where (percent) and what it says."""

    at: float
    label: str


class Track(msgspec.Struct, frozen=True):
    """One thing that is drawn, with a value for each piece of time; None where there is nothing to say.

    `style` is the class that gives it its colour.
    """

    name: str
    style: str
    values: Sequence[float | None]


_ALONE = re.compile(r"M[^MLh]*h0")


class Shape(msgspec.Struct, frozen=True):
    """A track as the `d` of an SVG path in a box of 1,000 by 100."""

    name: str
    style: str
    path: str

    @property
    def dots(self) -> str:
        """The points that stand alone. As wide as a line they would not be seen, so they are drawn once more."""
        return "".join(_ALONE.findall(self.path))


class Hit(msgspec.Struct, frozen=True):
    """A piece of time that can be pointed at, and where it leads."""

    at: float
    width: float
    href: str
    label: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart, ready to be drawn. `faint` is the path of the period before, "" where there is none."""

    key: str
    title: str
    summary: str  # what it shows, in a sentence, for those who don't see it
    form: Form
    shapes: list[Shape]
    faint: str
    y_ticks: list[Tick]
    x_ticks: list[Tick]
    hits: list[Hit]
    total: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(shape.path for shape in self.shapes)


def chart_of(
    key: str,
    title: str,
    summary: str,
    form: Form,
    tracks: Sequence[Track],
    *,
    before: Sequence[float | None] = (),
    ticks_for: Callable[[float], list[float]],
    tick_label: Callable[[Any], str],
    x_ticks: list[Tick],
    hits: list[Hit],
) -> Chart:
    """The tracks on one axis from zero up to a round value that holds them all, and `before`."""
    if form == "bars":
        sums = [
            sum(values)
            for values in zip(*([value or 0 for value in track.values] for track in tracks), strict=True)
        ]
    else:
        sums = [value for track in tracks for value in track.values if value is not None]
    ticks = ticks_for(max([*sums, *(value for value in before if value is not None)], default=0))
    *shapes, earlier = (bars if form == "bars" else lines)(tracks, before, ticks)
    return Chart(
        key=key,
        title=title,
        summary=summary,
        form=form,
        shapes=[shape for shape in shapes if shape.path],
        faint=earlier.path,
        y_ticks=[
            Tick(round(100 - 100 * value / ticks[-1], 2), tick_label(value) if value else "0")
            for value in ticks
        ],
        x_ticks=x_ticks,
        hits=hits,
    )


def hits_of(pieces: Sequence[tuple[str, str]]) -> list[Hit]:
    """Pieces of time side by side: where each leads, and what it says."""
    return [
        Hit(
            at=round(100 * number / len(pieces), 2),
            width=round(100 / len(pieces), 2),
            href=href,
            label=label,
        )
        for number, (href, label) in enumerate(pieces)
    ]


def round_ticks(top: float, count: int = 3) -> list[float]:
    """Round values from 0 up to at least `top`, about `count` steps: 1, 2 or 5 times a power of ten apart."""
    if top < _LEAST:
        return [0, 1]
    wanted = top / count
    power = 10.0 ** _exponent(wanted)
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))
    return _up_to(top, step)


def round_times(top: float, count: int = 3) -> list[float]:
    """As `round_ticks`, for nanoseconds: above a second the steps are those of a clock."""
    wanted = top / count
    if wanted < _SECOND:
        return round_ticks(top, count)
    step = next((one for one in _CLOCK if one * _SECOND >= wanted), None)
    if step is None:
        return [days * _DAY for days in round_ticks(top / _DAY, count)]
    return _up_to(top, step * _SECOND)


def time_ticks(since: int, until: int, count: int = 6) -> list[Tick]:
    """At most about `count` round moments between two (nanoseconds, UTC), those too near an edge left out."""
    width = until - since
    if width <= 0:
        return []
    step = next((one for one in _CALENDAR if one * _SECOND * count >= width), _CALENDAR[-1]) * _SECOND
    shift = 4 * _DAY if step >= 7 * _DAY else 0  # weeks begin on Mondays
    moment = (since - shift) // step * step + shift
    found: list[Tick] = []
    while moment < until:
        at = 100 * (moment - since) / width
        if _MARGIN / 2 <= at <= 100 - _MARGIN / 2:
            found.append(Tick(round(at, 2), _moment_label(moment, step)))
        moment += step
    return found


def _moment_label(moment: int, step: int) -> str:
    when = _EPOCH + timedelta(microseconds=moment // 1000)
    if step >= _DAY:
        return f"{when.day} {when:%b}" if step < 182 * _DAY else f"{when:%b %Y}"
    if moment % _DAY == 0:
        return f"{when.day} {when:%b}"
    return f"{when:%H:%M}" if step >= 60 * _SECOND else f"{when:%H:%M:%S}"


def bars(tracks: Sequence[Track], before: Sequence[float | None], ticks: Sequence[float]) -> list[Shape]:
    """The tracks stacked, the first at the bottom; the last shape is the time before, a line with the name ""."""
    top, count = ticks[-1], max((len(track.values) for track in tracks), default=0)
    below = [0.0] * count
    shapes: list[Shape] = []
    for track in tracks:
        steps: list[str] = []
        for place, value in enumerate(track.values):
            if value:
                steps.append(_bar(place, count, below[place] / top, (below[place] + value) / top))
                below[place] += value
        shapes.append(Shape(track.name, track.style, "".join(steps)))
    return [*shapes, Shape("", "before", _line(before, count, top))]


def lines(tracks: Sequence[Track], before: Sequence[float | None], ticks: Sequence[float]) -> list[Shape]:
    """Each track a line through the middles of its pieces of time, broken where a value is missing."""
    top, count = ticks[-1], max((len(track.values) for track in tracks), default=0)
    shapes = [Shape(track.name, track.style, _line(track.values, count, top)) for track in tracks]
    return [*shapes, Shape("", "before", _line(before, count, top))]


def _bar(place: int, count: int, low: float, high: float) -> str:
    gap = 1000 / count
    left, width = gap * (place + 0.12), gap * 0.76
    # Never thinner than can be seen: something happened there.
    height = max(100 * (high - low), 0.6)
    return f"M{_n(left)} {_n(100 - 100 * low)}h{_n(width)}v{_n(-height)}h{_n(-width)}z"


def _line(values: Sequence[float | None], count: int, top: float) -> str:
    steps: list[str] = []
    drawing = False
    for place, value in enumerate(values[:count]):
        if value is None:
            drawing = False
            continue
        x, y = 1000 / count * (place + 0.5), 100 - 100 * min(value / top, 1)
        alone = not drawing and (place + 1 >= len(values) or values[place + 1] is None)
        # A point alone has no length; a line of none with round ends is a dot.
        steps.append(f"{'L' if drawing else 'M'}{_n(x)} {_n(y)}{'h0' if alone else ''}")
        drawing = True
    return "".join(steps)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])  # the logarithm is off by one at some powers of ten


def _up_to(top: float, step: float) -> list[float]:
    steps = 1
    while step * steps < top * (1 - 1e-9):
        steps += 1
    return [step * number for number in range(steps + 1)]
