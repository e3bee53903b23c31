"""Points by two figures, one of them a price: what a page draws, and what it says to those who don't see it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from ratchet.studio.charts import Tick, round_ticks

__all__ = ["Dot", "Point", "Scatter", "scatter"]

_INSET = 5.0  # percent kept free at each edge, so that no dot is cut off
_STEPS = (1, 2, 5)


class Point(msgspec.Struct, frozen=True):
    """A name, where it leads, its price (above 0), the other figure, and both in words. `faint` is drawn hollow."""

    name: str
    href: str
    price: float
    value: float
    says: str
    faint: bool = False


class Dot(msgspec.Struct, frozen=True):
    """A point in percent of the plot. `best`: nothing is cheaper and better at once. `left`: its name stands before it."""

    point: Point
    x: float
    y: float
    best: bool
    left: bool


class Scatter(msgspec.Struct, frozen=True):
    """The price lies on a logarithmic axis, for it spans powers of ten; the other figure on one that begins at 0."""

    title: str
    x_label: str
    y_label: str
    dots: list[Dot]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str,
    y_label: str,
    money: Callable[[float], str],
    number: Callable[[float], str],
    higher_is_better: bool = True,
) -> Scatter | None:
    """None where fewer than two points could be compared."""
    if len(points) < 2:
        return None
    lows, highs = min(point.price for point in points), max(point.price for point in points)
    low, high = math.log10(lows), math.log10(highs)
    if high - low < 0.2:
        low, high = low - 0.1, high + 0.1
    ticks = round_ticks(max(point.value for point in points))
    top = ticks[-1]

    def across(price: float) -> float:
        return round(_INSET + (100 - 2 * _INSET) * (math.log10(price) - low) / (high - low), 2)

    def up(value: float) -> float:
        return round(100 - (100 - _INSET) * value / top, 2)

    ordered = sorted(points, key=lambda point: (point.price, point.name))
    return Scatter(
        title=title,
        x_label=x_label,
        y_label=y_label,
        dots=[
            Dot(
                point,
                across(point.price),
                up(point.value),
                _best(point, points, higher=higher_is_better),
                across(point.price) > 70,
            )
            for point in ordered
        ],
        x_ticks=[Tick(across(price), money(price)) for price in _prices(low, high)],
        y_ticks=[Tick(up(value), number(value)) for value in ticks],
    )


def _best(point: Point, points: Sequence[Point], *, higher: bool) -> bool:
    """Whether it stands on the Pareto front: no other is at least as good in both, and better in one."""
    sign = 1 if higher else -1
    return not any(
        other.price <= point.price
        and sign * other.value >= sign * point.value
        and (other.price < point.price or other.value != point.value)
        for other in points
    )


def _prices(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two logarithms; only the powers where that would be many."""
    found = [
        step * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for step in _STEPS
        if low <= math.log10(step * 10.0**power) <= high
    ]
    if len(found) <= 6:
        return found
    powers = [price for price in found if abs(math.log10(price) - round(math.log10(price))) < 1e-9]
    return powers if len(powers) >= 2 else found[:: math.ceil(len(found) / 6)]
