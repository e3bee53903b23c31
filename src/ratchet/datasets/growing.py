"""Changing a dataset: duplicates stay out, new cases get their split, and everything becomes one version."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from ratchet.datasets.duplicates import Duplicate, find_duplicates
from ratchet.datasets.fields import input_id
from ratchet.datasets.sketches import sketch_of
from ratchet.datasets.splits import Assignment, assign_splits, checked_shares
from ratchet.domain.cases import Case
from ratchet.domain.datasets import Dataset
from ratchet.errors import Conflict
from ratchet.store.records import Records
from ratchet.store.records.datasets import (
    Changed,
    change_cases,
    dataset_named,
    read_cases,
    read_sketched,
)

__all__ = ["Grown", "Reference", "Split", "add_references", "put_cases", "split_dataset"]

T = TypeVar("T")
_TRIES = 5


class Grown(msgspec.Struct, frozen=True):
    """What came of a change. `duplicates` were not taken; `left_out` are in no split, since they would leak."""

    changed: Changed
    duplicates: list[Duplicate] = []
    left_out: list[str] = []


class Reference(msgspec.Struct, frozen=True):
    """What a model wrote for the case `id`."""

    id: str
    reference: Any
    reference_by: str


class Split(msgspec.Struct, frozen=True):
    """What came of splitting: the version, how many cases each split has now, and see Assignment."""

    changed: Changed
    sizes: dict[str, int]
    left_out: list[str]
    groups: int
    largest: float


def put_cases(
    records: Records,
    dataset: Dataset,
    cases: Sequence[Case],
    *,
    remove: Sequence[str] = (),
    new: Collection[str] = (),
    keep_duplicates: bool = False,
    author: str,
    message: str,
    now: int,
) -> Grown:
    """Add `cases`, change those that are there already under their id, and remove others: one version.

    `new` are ids of cases that are to change nothing: one that is there already is a duplicate of itself.
    A known case keeps its split, whatever it is put with. What somebody else changes meanwhile is taken into account.
    Raises what `change_cases` does.
    """
    sketches = {case.id: sketch_of(case) for case in cases}
    gone = set(remove)

    def change(at: Dataset) -> Grown:
        known = [pair for pair in read_sketched(records, at) if pair[0].id not in gone]
        duplicates = _there_already([case for case in cases if case.id in new], known)
        skipped = {one.case.id for one in duplicates}
        put = [case for case in cases if case.id not in skipped]
        if not keep_duplicates:
            repeated = find_duplicates(put, {case.id: sketches[case.id] for case in put}, known)
            skipped |= {one.case.id for one in repeated}
            duplicates += repeated
        put = [case for case in put if case.id not in skipped]
        put, left_out = _with_splits(put, sketches, known, at.shares)
        changed = change_cases(
            records,
            at,
            put=put,
            remove=remove,
            sketches=sketches,
            author=author,
            message=message,
            now=now,
            seen=at.version,
        )
        return Grown(changed, duplicates, left_out)

    return _newest(records, dataset, change)


def add_references(
    records: Records,
    dataset: Dataset,
    references: Sequence[Reference],
    *,
    seen: int,
    author: str,
    message: str,
    now: int,
) -> tuple[Changed, list[str]]:
    """Give references to cases that have none: one version. And the ids of those that get none.

    That is whoever has changed since version `seen`, which the references were written from, and is gone, sealed, or
    has a reference. Raises NotFound for a version that there is not.
    """
    shown = {case.id: case for case in _open_cases(records, dataset, seen)}
    given = {each.id: each for each in references}

    def change(at: Dataset) -> tuple[Changed, list[str]]:
        known = {case.id: (case, sketch) for case, sketch in read_sketched(records, at)}
        fit = [
            case_id
            for case_id in given
            if case_id in known
            and known[case_id][0] == shown.get(case_id)
            and known[case_id][0].reference is None
        ]
        put = [
            msgspec.structs.replace(
                known[case_id][0],
                reference=given[case_id].reference,
                reference_by=given[case_id].reference_by,
            )
            for case_id in fit
        ]
        changed = change_cases(
            records,
            at,
            put=put,
            sketches={case_id: known[case_id][1] for case_id in fit},
            author=author,
            message=message,
            now=now,
            seen=at.version,
        )
        return changed, [case_id for case_id in given if case_id not in set(fit)]

    return _newest(records, dataset, change)


def _newest(records: Records, dataset: Dataset, change: Callable[[Dataset], T]) -> T:
    """What `change` makes of the newest version; anew from that which somebody else has made meanwhile."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Conflict):
            return change(dataset_named(records, project_id=dataset.project_id, name=dataset.name))
    return change(dataset_named(records, project_id=dataset.project_id, name=dataset.name))


def _open_cases(records: Records, dataset: Dataset, version: int) -> list[Case]:
    return read_cases(records, dataset, version=version, include_sealed=False, include_unaccepted=True)


def split_dataset(
    records: Records,
    dataset: Dataset,
    shares: Mapping[str, float],
    *,
    author: str,
    now: int,
) -> Split:
    """Give every accepted case a split; those that have one keep it, and later ones get theirs as they come.

    Raises InvalidRequest for shares that are not a whole, Conflict where somebody changes the dataset meanwhile.
    """
    checked = checked_shares(shares)
    known = [pair for pair in read_sketched(records, dataset) if pair[0].accepted]
    done = assign_splits([case for case, _ in known], [sketch for _, sketch in known], checked)
    changed = change_cases(
        records,
        dataset,
        put=[
            msgspec.structs.replace(case, split=done.splits[case.id])
            for case, _ in known
            if case.id in done.splits and done.splits[case.id] != case.split
        ],
        sketches={case.id: sketch for case, sketch in known},
        shares=checked,
        author=author,
        message="Split into " + ", ".join(f"{name} {share:.0%}" for name, share in checked.items()),
        now=now,
        seen=dataset.version,
    )
    return Split(changed, done.sizes, done.left_out, done.groups, done.largest)


def _there_already(cases: Sequence[Case], known: Sequence[tuple[Case, bytes]]) -> list[Duplicate]:
    before = {case.id: case for case, _ in known}
    return [
        Duplicate(case, case.id, 1.0, case.reference not in (None, before[case.id].reference))
        for case in cases
        if case.id in before
    ]


def _with_splits(
    put: Sequence[Case],
    sketches: Mapping[str, bytes],
    known: Sequence[tuple[Case, bytes]],
    shares: Mapping[str, float],
) -> tuple[list[Case], list[str]]:
    """The cases with the split that each is to have, and the ids of those that can have none."""
    before = {case.id: case for case, _ in known}
    settled: list[Case] = []
    moved: list[Case] = []
    for case in put:
        old = before.get(case.id)
        split = old.split if old is not None and old.split else case.split
        wished = msgspec.structs.replace(case, split=split if case.accepted else "")
        same = old is not None and old.split and input_id(old) == input_id(case) and old.source == case.source
        (settled if same or not case.accepted else moved).append(wished)
    if not (shares or any(case.split for case in moved) or any(case.split for case, _ in known)):
        return [*put], []
    done = _assigned(moved, sketches, known, shares)
    fresh = {case.id: msgspec.structs.replace(case, split=done.splits.get(case.id, "")) for case in moved}
    kept = {case.id: case for case in settled}
    return [fresh.get(case.id) or kept[case.id] for case in put], done.left_out


def _assigned(
    moved: Sequence[Case],
    sketches: Mapping[str, bytes],
    known: Sequence[tuple[Case, bytes]],
    shares: Mapping[str, float],
) -> Assignment:
    ids = frozenset(case.id for case in moved)
    others = [(case, sketch) for case, sketch in known if case.split and case.id not in ids]
    return assign_splits(
        [*(case for case, _ in others), *moved],
        [*(sketch for _, sketch in others), *(sketches[case.id] for case in moved)],
        shares,
        start=len(others),
        moved=ids,
    )
