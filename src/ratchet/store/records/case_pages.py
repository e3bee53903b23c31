"""Looking at a dataset's cases: filtered and counted, one with its past, what a version changed.

What is read here is shown to people and programs, so the contents of sealed cases stay out of it, and no search
looks at them: `hidden` says what is left of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_, select

from ratchet.domain.cases import Case
from ratchet.domain.datasets import Dataset
from ratchet.errors import NotFound
from ratchet.store.records import schema
from ratchet.store.records.case_rows import NEWEST, case_of_row, tag_pattern
from ratchet.store.records.datasets import checked_version, sealed
from ratchet.store.records.engine import Records

__all__ = [
    "CaseChange",
    "CaseCounts",
    "CaseFilter",
    "CaseRevision",
    "case_revisions",
    "count_cases",
    "find_cases",
    "find_ids",
    "hidden",
    "version_changes",
]

_cases = schema.dataset_cases
_SHOWN_OF_SEALED = ("id", "tags", "source", "origin", "accepted", "split")


class CaseFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases. "" and None leave them all; `split` "none" asks for those that have none."""

    words: str = ""
    tag: str = ""
    split: str = ""
    origin: str = ""
    accepted: bool | None = None
    reference: str = ""  # whose: one of REFERENCED


class CaseCounts(msgspec.Struct, frozen=True):
    """How many cases of a version have each value. `splits` counts those without a split under ""."""

    total: int
    splits: dict[str, int]
    origins: dict[str, int]
    tags: dict[str, int]
    waiting: int  # that nobody has accepted yet
    references: dict[str, int]  # by whose they are: person, model, none


class CaseRevision(msgspec.Struct, frozen=True):
    """What a case was from version `since` on, and before version `until`: None where it still is."""

    case: Case
    since: int
    until: int | None


class CaseChange(msgspec.Struct, frozen=True):
    """What a version did to a case: `before` is None where it came, `after` where it went."""

    case_id: str
    before: Case | None
    after: Case | None

    @property
    def what(self) -> str:
        """added, changed or removed"""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def hidden(case: Case) -> Case:
    """What may be seen of a sealed case: neither what it asks nor what it expects. Its input is ""."""
    return Case(input="", **{name: getattr(case, name) for name in _SHOWN_OF_SEALED})


def find_cases(
    records: Records,
    dataset: Dataset,
    wanted: CaseFilter,
    *,
    version: int | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[list[Case], int]:
    """One page of the cases that match, and how many do. Sealed ones are hidden. Raises NotFound."""
    matching = _matching(dataset, wanted, checked_version(dataset, version))
    page = (
        select(_cases.c.content, sealed(dataset).label("shut"))
        .where(matching)
        .order_by(_cases.c.position)
        .limit(limit)
        .offset(offset)
    )
    with records.read() as connection:
        found = [_shown(content, shut) for content, shut in connection.execute(page)]
        total = connection.scalar(select(func.count()).where(matching)) or 0
    return found, total


def find_ids(
    records: Records, dataset: Dataset, wanted: CaseFilter, *, version: int | None = None
) -> list[str]:
    """The ids of all cases that match, in order."""
    matching = _matching(dataset, wanted, checked_version(dataset, version))
    with records.read() as connection:
        return list(connection.scalars(select(_cases.c.case_id).where(matching).order_by(_cases.c.position)))


def count_cases(records: Records, dataset: Dataset, *, version: int | None = None) -> CaseCounts:
    """How the cases of a version divide. Raises NotFound."""
    query = select(
        _cases.c.split, _cases.c.origin, _cases.c.accepted, _cases.c.tags, _cases.c.referenced
    ).where(_at(dataset, checked_version(dataset, version)))
    with records.read() as connection:
        rows = connection.execute(query).all()
    tags: Counter[str] = Counter()
    for _, _, _, text, _ in rows:
        if text:
            tags.update(msgspec.json.decode(text, type=list[str]))
    return CaseCounts(
        total=len(rows),
        splits=_counted([split for split, *_ in rows]),
        origins=_counted([origin for _, origin, *_ in rows]),
        tags=dict(tags.most_common()),
        waiting=sum(not accepted for _, _, accepted, *_ in rows),
        references=_counted([row.referenced for row in rows]),
    )


def case_revisions(records: Records, dataset: Dataset, case_id: str) -> list[CaseRevision]:
    """What a case is and was, newest first; a sealed one hidden at all times. Raises NotFound."""
    query = (
        select(_cases.c.content, _cases.c.since, _cases.c.until, sealed(dataset).label("shut"))
        .where(_cases.c.dataset_id == dataset.id, _cases.c.case_id == case_id)
        .order_by(_cases.c.since.desc())
    )
    with records.read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        raise NotFound(f"The dataset {dataset.name!r} has no case {case_id!r}.", "Check the id.")
    return [
        CaseRevision(_shown(content, shut), since, None if until == NEWEST else until)
        for content, since, until, shut in rows
    ]


def version_changes(
    records: Records, dataset: Dataset, number: int, *, limit: int, offset: int = 0
) -> tuple[list[CaseChange], int]:
    """One page of what a version did, and to how many cases; sealed ones are hidden. Raises NotFound."""
    checked_version(dataset, number)
    touched = and_(_cases.c.dataset_id == dataset.id, or_(_cases.c.since == number, _cases.c.until == number))
    place = func.min(_cases.c.position)
    ids = select(_cases.c.case_id).where(touched).group_by(_cases.c.case_id)
    with records.read() as connection:
        total = connection.scalar(select(func.count()).select_from(ids.subquery())) or 0
        wanted = list(connection.scalars(ids.order_by(place, _cases.c.case_id).limit(limit).offset(offset)))
        rows = connection.execute(
            select(_cases.c.case_id, _cases.c.since, _cases.c.content, sealed(dataset).label("shut")).where(
                touched, _cases.c.case_id.in_(wanted)
            )
        ).all()
    before = {case_id: _shown(content, shut) for case_id, since, content, shut in rows if since < number}
    after = {case_id: _shown(content, shut) for case_id, since, content, shut in rows if since == number}
    return [CaseChange(each, before.get(each), after.get(each)) for each in wanted], total


def _shown(content: str, shut: object) -> Case:
    case = case_of_row(content)
    return hidden(case) if shut else case


def _at(dataset: Dataset, version: int) -> ColumnElement[bool]:
    """The rows of a version; the newest have an index of their own."""
    here = _cases.c.dataset_id == dataset.id
    if version == dataset.version:
        return and_(here, _cases.c.until == NEWEST)
    return and_(here, _cases.c.since <= version, _cases.c.until > version)


def _matching(dataset: Dataset, wanted: CaseFilter, version: int) -> ColumnElement[bool]:
    rules: list[ColumnElement[bool]] = [_at(dataset, version)]
    for word in wanted.words.casefold().split():
        found = _cases.c.words.contains(word, autoescape=True)
        rules += [or_(_cases.c.case_id == wanted.words.strip(), and_(found, ~sealed(dataset)))]
    if wanted.tag:
        rules.append(_cases.c.tags.contains(tag_pattern(wanted.tag), autoescape=True))
    if wanted.split:
        rules.append(_cases.c.split == ("" if wanted.split == "none" else wanted.split))
    if wanted.origin:
        rules.append(_cases.c.origin == wanted.origin)
    if wanted.reference:  # whether a sealed case has one says nothing about what it expects
        rules.append(_cases.c.referenced == wanted.reference)
    if wanted.accepted is not None:
        rules.append(_cases.c.accepted.is_(wanted.accepted))
    return and_(*rules)


def _counted(values: Sequence[Any]) -> dict[str, int]:
    return dict(Counter(values).most_common())
