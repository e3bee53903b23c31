"""Train, dev and the sealed test: by cluster and by source, never by row, and for good.

What a case of one split teaches must not answer a case of another. So cases that resemble each other, and cases of one
source, form a group (chains of both, too), and a group goes into one split. A case keeps its split when the dataset
grows: a new one joins the split of its group. Where it would join two groups of different splits it gets none, since
in either it would leak into the other.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from ratchet.datasets.duplicates import clusters
from ratchet.datasets.fields import SPLITS
from ratchet.domain.cases import Case
from ratchet.errors import InvalidRequest

__all__ = ["SHARES", "Assignment", "assign_splits", "checked_shares", "groups_of"]

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}


class Assignment(msgspec.Struct, frozen=True):
    """Which split each case is in, by id. `left_out` are those that would leak, whichever split they were in.

    `groups` is how many there are, `largest` the share of all cases that the largest group has: no split can be
    smaller, if it gets that one.
    """

    splits: dict[str, str]
    left_out: list[str]
    groups: int
    largest: float

    @property
    def sizes(self) -> dict[str, int]:
        return dict(Counter(self.splits.values()))


def checked_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """`shares` without empty ones, in the order train, dev, test. Raises InvalidRequest."""
    unknown = next((name for name in shares if name not in SPLITS), None)
    if unknown is not None:
        raise InvalidRequest(
            f"There is no split {unknown!r}.", f"Splits are {', '.join(SPLITS)}.", param="shares"
        )
    wrong = next((name for name, share in shares.items() if not 0 <= share <= 1), None)
    if wrong is not None or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        said = ", ".join(f"{name} {share:g}" for name, share in shares.items()) or "nothing"
        raise InvalidRequest(
            f"The shares are {said}, which is not a whole.",
            "Give shares from 0 to 1 that sum to 1, such as train 0.6, dev 0.2, test 0.2.",
            param="shares",
        )
    return {name: shares[name] for name in SPLITS if shares.get(name)}


def groups_of(cases: Sequence[Case], sketches: Sequence[bytes], *, start: int = 0) -> NDArray[np.int64]:
    """The group of each case: its cluster, joined with those that have a source in common with it.

    Cases before `start` are not compared with each other.
    """
    labels = clusters(cases, sketches, start=start)
    by_source: dict[str, int] = {}
    parents: dict[int, int] = {}

    def root(label: int) -> int:
        while (above := parents.get(label, label)) != label:
            parents[label] = parents.get(above, above)
            label = above
        return label

    for case, label in zip(cases, labels, strict=True):
        if case.source:
            first = by_source.setdefault(case.source, int(label))
            parents[root(int(label))] = root(first)
    return np.array([root(int(label)) for label in labels], dtype=np.int64)


def assign_splits(
    cases: Sequence[Case],
    sketches: Sequence[bytes],
    shares: Mapping[str, float],
    *,
    start: int = 0,
    moved: frozenset[str] = frozenset(),
) -> Assignment:
    """A split for every case that has none; those that have one keep it. No case is in two groups.

    Cases before `start` have a split, and are not compared with each other. `moved` are ids of cases that are new,
    or ask something new: the split they say they have is theirs only where it can be their whole group's. Groups
    without a split are dealt out largest first, each to the split that is furthest from its share, ties by a hash of
    the group's first id, so that the same cases get the same splits. With no `shares`, they stay without.
    """
    labels = groups_of(cases, sketches, start=start)
    members: dict[int, list[Case]] = defaultdict(list)
    for case, label in zip(cases, labels, strict=True):
        members[int(label)].append(case)
    splits: dict[str, str] = {}
    left_out: list[str] = []
    waiting: list[list[Case]] = []
    for group in members.values():
        settled = {case.id: case.split for case in group if case.split and case.id not in moved}
        wished = {case.split for case in group if case.split} if not settled else set(settled.values())
        splits.update(settled)
        free = [case for case in group if case.id not in settled]
        if len(wished) > 1:
            left_out += [case.id for case in free]
        elif wished:
            kept: list[str] = []
            split = wished.pop()
            for case in free:
                (kept if case.split in ("", split) else left_out).append(case.id)
            splits.update(dict.fromkeys(kept, split))
        else:
            waiting.append(group)
    if shares:
        _deal(waiting, splits, shares, len(cases) - len(left_out))
    return Assignment(
        splits=splits,
        left_out=left_out,
        groups=len(members),
        largest=max(map(len, members.values()), default=0) / max(1, len(cases)),
    )


def _deal(waiting: list[list[Case]], splits: dict[str, str], shares: Mapping[str, float], total: int) -> None:
    sizes = Counter(splits.values())
    for group in sorted(waiting, key=lambda cases: (-len(cases), _order(cases))):
        chosen = max(shares, key=lambda name: shares[name] * total - sizes[name])
        sizes[chosen] += len(group)
        splits.update({case.id: chosen for case in group})


def _order(group: Sequence[Case]) -> bytes:
    return hashlib.sha256(min(case.id for case in group).encode()).digest()
