"""Observations of one source are not independent: what belongs together is drawn together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Codes", "Floats", "as_floats", "clusters_of", "per_cluster", "resampled", "reweighed", "totalled"]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

_BLOCK = 1 << 19  # weights drawn at a time: 2 to 4 MB, so that a block stays in the cache


def as_floats(values: ArrayLike) -> Floats:
    """One-dimensional float64. Raises ValueError for another shape."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"Values have {array.ndim} dimensions; expected one.")
    return array


def clusters_of(sources: Sequence[str]) -> Codes:
    """A number for each observation, the same for the same source. "" makes a source of its own."""
    known: dict[str, int] = {}
    codes = np.empty(len(sources), dtype=np.intp)
    following = 0
    for index, source in enumerate(sources):
        place = known.get(source) if source else None
        if place is None:
            place = following
            following += 1
            if source:
                known[source] = place
        codes[index] = place
    return codes


def per_cluster(values: Floats, clusters: Codes | None) -> tuple[Floats, Floats]:
    """Sums and sizes of the clusters that have a scored value; `clusters` None makes each value its own."""
    there = ~np.isnan(values)
    kept = values[there]
    if clusters is None:
        return kept, np.ones(len(kept))
    codes = clusters[there]
    count = int(codes.max()) + 1 if len(codes) else 0
    sizes = totalled(np.ones(len(kept)), codes, count)
    present = sizes > 0
    return totalled(kept, codes, count)[present], sizes[present]


def totalled(values: Floats, clusters: Codes, count: int) -> Floats:
    """The sum of each cluster's values, shape (count,). Clusters without any have 0."""
    return np.bincount(clusters, weights=values, minlength=count).astype(np.float64)


def resampled(columns: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Totals of each column over clusters drawn with replacement, as often as there are clusters.

    `columns`: (clusters, columns). Returns (resamples, columns). Weights are counted in blocks and multiplied, so
    10,000 clusters × 2,000 resamples take about 0.15 s for any few columns. Sums are taken in single precision:
    centre the columns, and what is lost is a millionth of their spread.
    """
    count = len(columns)
    single = columns.astype(np.float32)
    totals = np.empty((resamples, columns.shape[1]))
    for begin, rows in _blocks(resamples, count):
        drawn = rng.integers(0, count, (rows, count))
        drawn += (np.arange(rows) * count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * count).astype(np.float32)
        totals[begin : begin + rows] = weights.reshape(rows, count) @ single
    return totals


def reweighed(columns: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Totals of each column under independent exponential weights, one for each row: Rubin's Bayesian bootstrap.

    A ratio of two such totals is weighted by a flat Dirichlet. Shapes as in `resampled`. Rows that are alike are drawn
    as one: n exponential weights together are a gamma weight of shape n. Thousands of yes and no are then a few rows.
    """
    alike, times = np.unique(columns, axis=0, return_counts=True)
    single = alike.astype(np.float32)
    shape = times.astype(np.float32)
    totals = np.empty((resamples, columns.shape[1]))
    for begin, rows in _blocks(resamples, len(alike)):
        size = (rows, len(alike))
        if len(alike) < len(columns):
            weights = rng.standard_gamma(shape, size, dtype=np.float32)
        else:
            weights = rng.standard_exponential(size, dtype=np.float32)
        totals[begin : begin + rows] = weights @ single
    return totals


def _blocks(resamples: int, count: int) -> Iterator[tuple[int, int]]:
    rows = max(1, _BLOCK // max(count, 1))
    for begin in range(0, resamples, rows):
        yield begin, min(rows, resamples - begin)
