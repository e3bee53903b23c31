"""What nothing else beats in everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["pareto_front"]


def pareto_front(rows: Sequence[Sequence[float]], *, larger_is_better: Sequence[bool]) -> list[bool]:
    """For each row, whether no other is at least as good in every column and better in one.

    `rows`: one for each candidate, one column for each quantity (quality, cost, latency). NaN or infinite is unknown: a row with
    an unknown value neither beats another nor is it on the front. Equal rows are on the front together.
    """
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(larger_is_better))
    turned = np.where(larger_is_better, table, -table)
    known = np.array([bool(np.isfinite(row).all()) for row in turned], dtype=np.bool_)
    others = turned[known]
    front: list[bool] = []
    for row, whole in zip(turned, known, strict=True):
        beaten = bool(((others >= row).all(axis=1) & (others > row).any(axis=1)).any())
        front.append(bool(whole) and not beaten)
    return front
