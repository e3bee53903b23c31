"""Do two raters, or several, say the same? Agreement beyond chance, with bootstrap intervals over the rated units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from ratchet.stats.clusters import Codes, Floats, as_floats, resampled, totalled
from ratchet.stats.intervals import Interval, bootstrap_limits

__all__ = ["Confusion", "Level", "Weights", "cohen_kappa", "confusion", "krippendorff_alpha"]

Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval"]

_MOST_CLASSES = 60  # pairs of classes are resampled together: 3,600 columns


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """`counts[i][j]`: how often the first rater said `classes[i]` and the second `classes[j]`."""

    classes: list[str]
    counts: list[list[int]]
    missing: int  # units that one of them didn't rate

    @property
    def agreement(self) -> float:
        """The share of units that both rated alike. NaN without any."""
        total = sum(map(sum, self.counts))
        return sum(row[index] for index, row in enumerate(self.counts)) / total if total else math.nan


def confusion(
    first: Sequence[str | None], second: Sequence[str | None], classes: Sequence[str] = ()
) -> Confusion:
    """Counts over what both rated (None: not rated). Classes in the given order, then others in that of the alphabet."""
    pairs = [(one, other) for one, other in _together(first, second) if one is not None and other is not None]
    seen = {each for pair in pairs for each in pair}
    named = [*dict.fromkeys(classes), *sorted(seen - set(classes))]
    place = {name: index for index, name in enumerate(named)}
    counts = [[0] * len(named) for _ in named]
    for one, other in pairs:
        counts[place[one]][place[other]] += 1
    return Confusion(classes=named, counts=counts, missing=len(first) - len(pairs))


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    clusters: Codes | None = None,
    *,
    rng: np.random.Generator,
    weights: Weights = "none",
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Cohen's κ of two raters (Cohen 1960; weighted: Cohen 1968), over units that both rated; NaN is not rated.

    Classes are the distinct numbers; with weights, their distance counts, not their rank. NaN where chance alone would
    agree always (both said one and the same class of every unit). Raises ValueError for more than 60 classes.
    """
    one, other = as_floats(first), as_floats(second)
    if len(one) != len(other):
        raise ValueError(f"One rater has {len(one)} units and the other {len(other)}; expected one for one.")
    both = ~np.isnan(one + other)
    codes = _codes(len(one), clusters)[both]
    values, coded = np.unique(np.concatenate([one[both], other[both]]), return_inverse=True)
    count = _countable(values)
    cells = coded[: len(codes)] * count + coded[len(codes) :]
    distance = np.abs(np.subtract.outer(values, values))
    penalty = {"none": (distance > 0).astype(np.float64), "linear": distance, "quadratic": distance**2}[
        weights
    ]

    def kappa(totals: Floats) -> Floats:
        tables = totals.reshape(-1, count, count)
        n = tables.sum(axis=(1, 2))
        chance = np.einsum("bi,bj,ij->b", tables.sum(axis=2), tables.sum(axis=1), penalty) / n
        return _ratio(np.einsum("bij,ij->b", tables, penalty), chance)

    rows, units = _rows(codes, cells, np.ones(len(cells)), count * count)
    return _bootstrapped(
        rows, kappa, rng=rng, confidence=confidence, resamples=resamples, n=units, total=len(one), name="κ"
    )


def krippendorff_alpha(
    ratings: ArrayLike,
    clusters: Codes | None = None,
    *,
    rng: np.random.Generator,
    level: Level = "nominal",
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Krippendorff's α of any number of raters (Krippendorff 2011, "Computing Krippendorff's alpha-reliability").

    `ratings`: (raters, units), NaN where a rater left a unit out. Units with one rating say nothing and are left out.
    `level` says what a difference means: any two values differ alike (nominal), by how many ratings lie between them
    (ordinal), or by the square of their distance (interval). Raises ValueError for more than 60 distinct values, unless
    the level is interval.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"Ratings have {table.ndim} dimensions; expected (raters, units).")
    per_unit = (~np.isnan(table)).sum(axis=0)
    kept = per_unit >= 2
    codes = _codes(table.shape[1], clusters)[kept]
    table, per_unit = table[:, kept], per_unit[kept].astype(np.float64)
    if level == "interval":
        rows, alpha = _by_squares(table, per_unit, codes)
    else:
        rows, alpha = _by_coincidence(table, per_unit, codes, level)
    return _bootstrapped(
        rows,
        alpha,
        rng=rng,
        confidence=confidence,
        resamples=resamples,
        n=len(codes),
        total=len(kept),
        name=f"α, {level}",
    )


Statistic = Callable[[Floats], Floats]
"""From totals over clusters, shape (resamples, columns), to the statistic, shape (resamples,)."""


def _by_squares(table: Floats, per_unit: Floats, codes: Codes) -> tuple[Floats, Statistic]:
    """Interval level: sums of squares say all, whatever the number of distinct values."""
    kept = ~np.isnan(table)
    centre = float(table[kept].mean()) if kept.any() else 0.0
    values = np.where(kept, table - centre, 0.0)
    sums, squares = values.sum(axis=0), (values**2).sum(axis=0)
    within = 2 * (per_unit * squares - sums**2) / (per_unit - 1)
    columns = np.column_stack([within, per_unit, sums, squares])
    count = int(codes.max()) + 1 if len(codes) else 0
    rows = np.column_stack([totalled(column, codes, count) for column in columns.T])

    def alpha(totals: Floats) -> Floats:
        observed, n, total, square = totals.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return _ratio(observed, 2 * (n * square - total**2) / (n - 1))

    return rows[np.unique(codes)], alpha


def _by_coincidence(table: Floats, per_unit: Floats, codes: Codes, level: Level) -> tuple[Floats, Statistic]:
    """Every ordered pair of ratings of one unit counts 1/(ratings − 1) in the table of coincidences."""
    values, coded = np.unique(table, return_inverse=True)
    coded = coded.reshape(table.shape)
    values = values[~np.isnan(values)]
    count = _countable(values)
    cells: list[Codes] = []
    units: list[Codes] = []
    for one in range(len(table)):
        for other in range(len(table)):
            if one != other:
                rated = np.flatnonzero((coded[one] < count) & (coded[other] < count))
                cells.append(coded[one, rated] * count + coded[other, rated])
                units.append(rated)
    where = np.concatenate(units) if units else np.empty(0, dtype=np.intp)
    cell = np.concatenate(cells) if cells else np.empty(0, dtype=np.intp)
    rows, _ = _rows(codes[where], cell, 1 / (per_unit[where] - 1), count * count)

    def alpha(totals: Floats) -> Floats:
        tables = totals.reshape(-1, count, count)
        said = tables.sum(axis=2)
        n = said.sum(axis=1)
        if level == "nominal":
            penalty = np.broadcast_to(1 - np.eye(count), tables.shape)
        else:
            up_to = np.cumsum(said, axis=1) - said / 2
            penalty = (up_to[:, :, None] - up_to[:, None, :]) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.einsum("bi,bj,bij->b", said, said, penalty) / (n - 1)
        return _ratio(np.einsum("bij,bij->b", tables, penalty), expected)

    return rows, alpha


def _ratio(observed: Floats, expected: Floats) -> Floats:
    """1 − observed / expected disagreement, NaN where none is expected."""
    expected = np.where(expected > 0, expected, np.nan)
    return 1 - observed / expected


def _rows(codes: Codes, cells: Codes, weights: Floats, columns: int) -> tuple[Floats, int]:
    """Weights summed by cluster and cell, shape (clusters that are there, columns); and how many there were."""
    present, place = np.unique(codes, return_inverse=True)
    flat = np.bincount(place * columns + cells, weights=weights, minlength=len(present) * columns)
    return flat.astype(np.float64).reshape(len(present), columns), len(codes)


def _bootstrapped(
    rows: Floats,
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    confidence: float,
    resamples: int,
    n: int,
    total: int,
    name: str,
) -> Interval:
    clusters = len(rows)
    estimate, low, high = math.nan, math.nan, math.nan
    if clusters:
        estimate = float(statistic(rows.sum(axis=0, keepdims=True))[0])
    if clusters > 1:
        used = np.flatnonzero(rows.any(axis=0))  # most pairs of classes never come together
        replicates: list[Floats] = []
        for begin in range(0, resamples, 500):
            some = resampled(rows[:, used], min(500, resamples - begin), rng)
            totals = np.zeros((len(some), rows.shape[1]))
            totals[:, used] = some
            replicates.append(statistic(totals))
        low, high = bootstrap_limits(np.concatenate(replicates), confidence=confidence, freedom=clusters - 1)
        if low == high:  # raters who never differed, say: resampling can't tell how often they would
            low, high = -math.inf, math.inf
    return Interval(
        estimate=estimate,
        low=low,
        high=high,
        confidence=confidence,
        n=n,
        clusters=clusters,
        missing=total - n,
        method=f"{name}, bootstrap",
    )


def _codes(count: int, clusters: Codes | None) -> Codes:
    return np.arange(count) if clusters is None else clusters


def _countable(values: Floats) -> int:
    if len(values) > _MOST_CLASSES:
        raise ValueError(
            f"There are {len(values)} distinct values; expected {_MOST_CLASSES} classes at most. Use the interval level."
        )
    return len(values)


def _together(
    first: Sequence[str | None], second: Sequence[str | None]
) -> list[tuple[str | None, str | None]]:
    if len(first) != len(second):
        raise ValueError(
            f"One rater has {len(first)} units and the other {len(second)}; expected one for one."
        )
    return list(zip(first, second, strict=True))
