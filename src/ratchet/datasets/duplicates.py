"""Cases that are the same, and cases that resemble each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ratchet.datasets.fields import input_id
from ratchet.datasets.sketches import SketchTable, resemblance, runs_of
from ratchet.domain.cases import Case

__all__ = ["ALIKE", "SAME", "Duplicate", "clusters", "find_duplicates"]

ALIKE = 0.55
"""From this resemblance on two cases belong to one cluster, and so to one split."""

SAME = 0.9
"""From this resemblance on, with the same reference, a case adds nothing to a dataset that has the other."""

_DOUBT = 0.19  # three standard deviations of what a sketch estimates
_CLOSEST = 5  # candidates that are compared exactly


class Duplicate(msgspec.Struct, frozen=True):
    """A case that asks what the case `of` asks. `resemblance` is 1 where they ask the very same.

    `differs`: they don't expect the same, so one of the two references may be wrong.
    """

    case: Case
    of: str
    resemblance: float
    differs: bool = False

    @property
    def exact(self) -> bool:
        return self.resemblance >= 1.0


def clusters(cases: Sequence[Case], sketches: Sequence[bytes], *, start: int = 0) -> NDArray[np.int64]:
    """The cluster of each case: a number that those share whom a chain of resemblances of at least ALIKE joins.

    Cases before `start` are not compared with each other.
    """
    table = SketchTable(sketches)
    labels = np.arange(len(cases))
    runs: dict[int, NDArray[np.uint64]] = {}
    for row, estimates in table.estimates(start):
        # A row stands alone until it is joined here, so it takes over a label and nothing else has to change.
        sure = np.unique(labels[:row][estimates >= ALIKE + _DOUBT])
        _join(labels, row, sure)
        doubtful = np.flatnonzero((estimates >= ALIKE - _DOUBT) & (labels[:row] != labels[row]))
        doubtful = doubtful[np.argsort(-estimates[doubtful], kind="stable")]
        while len(doubtful := doubtful[labels[doubtful] != labels[row]]):
            other, doubtful = int(doubtful[0]), doubtful[1:]
            if _exactly(cases, runs, row, other) >= ALIKE:
                _join(labels, row, labels[[other]])
    return labels


def find_duplicates(
    fresh: Sequence[Case],
    sketches: Mapping[str, bytes],
    known: Sequence[tuple[Case, bytes]] = (),
) -> list[Duplicate]:
    """Those of `fresh` that add nothing to `known` and to those before them, each with the case that it repeats.

    The same input and context is one case, whatever else is said of it. One that nearly asks the same is a duplicate
    where the references are the same too, or where it has none: "plan A" and "plan B" are a letter apart, and not
    the same question. Of what a model wrote and nobody has accepted, SAME_WRITTEN is enough. `sketches` are those of
    `fresh`, by id. A case of `fresh` that has the id of a known one is a change to that and not its duplicate.
    """
    known = [(case, sketch) for case, sketch in known if case.id not in sketches]
    cases = [*(case for case, _ in known), *fresh]
    if not fresh:
        return []
    table = SketchTable([*(sketch for _, sketch in known), *(sketches[case.id] for case in fresh)])
    asked: dict[str, Case] = {}
    for case, _ in known:
        asked.setdefault(input_id(case), case)
    kept = np.ones(len(cases), dtype=bool)
    runs: dict[int, NDArray[np.uint64]] = {}
    found: list[Duplicate] = []
    for row, estimates in table.estimates(len(known)):
        case = cases[row]
        twin = asked.setdefault(input_id(case), case)
        if twin.id != case.id:
            found.append(Duplicate(case, twin.id, 1.0, not _expects_the_same(case, twin)))
            kept[row] = False
            continue
        near = _nearest(cases, runs, row, estimates, kept)
        if near is not None:
            found.append(near)
            kept[row] = False
    return found


def _nearest(
    cases: Sequence[Case],
    runs: dict[int, NDArray[np.uint64]],
    row: int,
    estimates: NDArray[Any],
    kept: NDArray[np.bool_],
) -> Duplicate | None:
    candidates = np.flatnonzero((estimates >= SAME - _DOUBT) & kept[:row])
    if len(candidates) > _CLOSEST:
        candidates = candidates[np.argpartition(-estimates[candidates], _CLOSEST)[:_CLOSEST]]
    for other in candidates[np.argsort(-estimates[candidates])]:
        if not _expects_the_same(cases[row], cases[int(other)]):
            continue
        near = _exactly(cases, runs, row, int(other))
        if near >= SAME:
            return Duplicate(cases[row], cases[int(other)].id, min(near, 0.999))
    return None


def _expects_the_same(case: Case, other: Case) -> bool:
    return case.context == other.context and case.reference in (None, other.reference)


def _exactly(cases: Sequence[Case], runs: dict[int, NDArray[np.uint64]], one: int, other: int) -> float:
    for row in (one, other):
        if row not in runs:
            runs[row] = runs_of(cases[row])
    return resemblance(runs[one], runs[other])


def _join(labels: NDArray[np.int64], row: int, others: NDArray[np.int64]) -> None:
    """Make one cluster of that of `row` and those labelled `others`."""
    for other in others:
        if labels[row] == row:
            labels[row] = other
        elif other != labels[row]:
            labels[: row + 1][labels[: row + 1] == other] = labels[row]
