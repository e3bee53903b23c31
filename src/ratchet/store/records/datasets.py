"""Datasets: made, listed, read, and changed a version at a time.

A case's row is written once and belongs to the versions from `since` on and before `until`: a new version writes what
it changes and closes what it replaces, however large the dataset is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ratchet.domain.cases import Case, content_hash
from ratchet.domain.datasets import SEALED, Dataset, DatasetVersion
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.case_rows import NEWEST, case_of_row, row_of_case
from ratchet.store.records.engine import Records
from ratchet.store.records.secret import new_id

__all__ = [
    "Changed",
    "change_cases",
    "create_dataset",
    "dataset_named",
    "describe_dataset",
    "list_datasets",
    "read_case",
    "read_cases",
    "read_sketched",
    "sealed",
    "versions_of",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_AT_ONCE = 500  # ids in one statement
_datasets, _versions, _cases = schema.datasets, schema.dataset_versions, schema.dataset_cases


class Changed(msgspec.Struct, frozen=True):
    """What a change came to. `version` is the newest then; where nothing changed it is the one before."""

    version: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


def create_dataset(
    records: Records, *, project_id: str, name: str, description: str = "", now: int, by: str
) -> Dataset:
    """An empty dataset. Raises InvalidRequest for a name that is none, Conflict for one that is taken."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"A dataset's name can't be {name[:100]!r}.",
            "Use letters, digits, dots, dashes and underscores, and begin with a letter or digit.",
            param="name",
        )
    made = Dataset(
        id=new_id(), project_id=project_id, name=name, description=description, created=now, created_by=by
    )
    row = {**msgspec.structs.asdict(made), "shares": ""}
    try:
        with records.write() as connection:
            connection.execute(insert(_datasets).values(**row))
    except IntegrityError as error:
        raise Conflict(
            f"There is a dataset {name!r} already.", "Choose another name, or add to that one.", param="name"
        ) from error
    return made


def list_datasets(records: Records, *, project_id: str) -> list[tuple[Dataset, DatasetVersion | None]]:
    """Every dataset by name, with its newest version: None where it has no case yet."""
    newest = (_versions.c.dataset_id == _datasets.c.id) & (_versions.c.number == _datasets.c.version)
    query = (
        select(_datasets, *(column.label(f"version_{column.name}") for column in _versions.c))
        .join(_versions, newest, isouter=True)
        .where(_datasets.c.project_id == project_id)
        .order_by(_datasets.c.name)
    )
    with records.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [(_dataset(row), _joined_version(row)) for row in rows]


def dataset_named(records: Records, *, project_id: str, name: str) -> Dataset:
    """Raises NotFound."""
    query = select(_datasets).where(_datasets.c.project_id == project_id, _datasets.c.name == name)
    with records.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            f"There is no dataset {name!r}.",
            f"`ratchet dataset list` shows what there is; `ratchet dataset create {name}` makes it.",
        )
    return _dataset(row)


def describe_dataset(records: Records, dataset: Dataset, description: str) -> Dataset:
    """Give it another description."""
    with records.write() as connection:
        connection.execute(
            update(_datasets).where(_datasets.c.id == dataset.id).values(description=description)
        )
    return msgspec.structs.replace(dataset, description=description)


def versions_of(records: Records, dataset: Dataset) -> list[DatasetVersion]:
    """Newest first."""
    query = select(_versions).where(_versions.c.dataset_id == dataset.id).order_by(_versions.c.number.desc())
    with records.read() as connection:
        return [_version(row) for row in connection.execute(query).mappings()]


def read_cases(
    records: Records,
    dataset: Dataset,
    *,
    version: int | None = None,
    include_sealed: bool,
    include_unaccepted: bool = False,
) -> list[Case]:
    """The cases of a version, the newest unless one is named, in the order they came.

    What a model wrote and nobody has accepted is no test yet, so it is there only with `include_unaccepted`.

    Whoever chooses, writes or improves prompts, judges or models reads with `include_sealed=False`: the cases of the
    sealed split are then not there, in no version. Measuring what has been chosen takes True. Raises NotFound for a version that
    there is not.
    """
    at = checked_version(dataset, version)
    query = (
        select(_cases.c.content)
        .where(_cases.c.dataset_id == dataset.id, _cases.c.since <= at, _cases.c.until > at)
        .order_by(_cases.c.position)
    )
    if at == dataset.version:
        query = query.where(_cases.c.until == NEWEST)
    if not include_sealed:
        query = query.where(~sealed(dataset))
    if not include_unaccepted:
        query = query.where(_cases.c.accepted.is_(True))
    with records.read() as connection:
        return [case_of_row(content) for content in connection.scalars(query)]


def read_case(records: Records, dataset: Dataset, case_id: str) -> tuple[Case, int]:
    """A case of the newest version, sealed or not, and the version since which it is as it is. Raises NotFound."""
    query = select(_cases.c.content, _cases.c.since).where(
        _cases.c.dataset_id == dataset.id, _cases.c.case_id == case_id, _cases.c.until == NEWEST
    )
    with records.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"The dataset {dataset.name!r} has no case {case_id!r}.", "Check the id.")
    return case_of_row(row.content), int(row.since)


def read_sketched(records: Records, dataset: Dataset) -> list[tuple[Case, bytes]]:
    """Every case of the newest version, sealed ones too, with its sketch: what a new case is compared with."""
    query = (
        select(_cases.c.content, _cases.c.sketch)
        .where(_cases.c.dataset_id == dataset.id, _cases.c.until == NEWEST)
        .order_by(_cases.c.position)
    )
    with records.read() as connection:
        return [(case_of_row(content), bytes(sketch)) for content, sketch in connection.execute(query)]


def sealed(dataset: Dataset) -> ColumnElement[bool]:
    """Whether a row is of a case that is or was sealed: what it said in earlier versions is what it says now."""
    other = _cases.alias()
    return _cases.c.case_id.in_(
        select(other.c.case_id).where(other.c.dataset_id == dataset.id, other.c.split == SEALED)
    )


def checked_version(dataset: Dataset, version: int | None) -> int:
    """The number asked for, or the newest. Raises NotFound."""
    if version is None:
        return dataset.version
    if not 0 <= version <= dataset.version:
        raise NotFound(
            f"The dataset {dataset.name!r} has no version {version}.",
            f"Its newest is version {dataset.version}.",
        )
    return version


def change_cases(
    records: Records,
    dataset: Dataset,
    *,
    put: Sequence[Case] = (),
    remove: Sequence[str] = (),
    sketches: Mapping[str, bytes] | None = None,
    shares: Mapping[str, float] | None = None,
    author: str,
    message: str = "",
    now: int,
    seen: int | None = None,
) -> Changed:
    """One new version: cases put (added, or changed where the id is there already) and removed, or none at all.

    `sketches` are what the cases resemble, by id; `shares` change how large each split is to be. `seen` is the
    version that the change was made from. Raises Conflict where somebody made another since, NotFound for a case to
    remove that is not there, InvalidRequest for an id that is put twice.
    """
    _refuse_repeated(put)
    with records.write() as connection:
        before = _locked(connection, dataset, seen, shares)
        present = _present(connection, dataset, {case.id for case in put} | set(remove))
        missing = next((case_id for case_id in remove if case_id not in present), None)
        if missing is not None:
            raise NotFound(
                f"The dataset {dataset.name!r} has no case {missing!r}.", "Somebody may have removed it."
            )
        hashes = {case.id: content_hash(case) for case in put}
        fresh = [case for case in put if case.id not in present]
        altered = [case for case in put if case.id in present and present[case.id].hash != hashes[case.id]]
        unchanged = len(put) - len(fresh) - len(altered)
        if not (fresh or altered or remove):
            return Changed(version=before, unchanged=unchanged)
        done = Changed(before + 1, len(fresh), len(altered), len(remove), unchanged)
        closed = [*(case.id for case in altered), *remove]
        _close(connection, dataset, {case_id: present[case_id].since for case_id in closed}, done.version)
        end = _end(connection, dataset)
        places = {case.id: end + place for place, case in enumerate(fresh, 1)}
        rows = [
            row_of_case(
                case,
                dataset_id=dataset.id,
                since=done.version,
                position=places[case.id] if case.id in places else present[case.id].position,
                hash_=hashes[case.id],
                sketch=(sketches or {}).get(case.id, b""),
            )
            for case in [*fresh, *altered]
        ]
        if rows:
            connection.execute(insert(_cases), rows)
        _number(connection, dataset, done, author=author, message=message, now=now)
    return done


def _number(
    connection: Connection, dataset: Dataset, done: Changed, *, author: str, message: str, now: int
) -> None:
    """Give the change its number."""
    total = connection.scalar(
        select(func.count()).where(_cases.c.dataset_id == dataset.id, _cases.c.until == NEWEST)
    )
    connection.execute(
        insert(_versions).values(
            dataset_id=dataset.id,
            number=done.version,
            author=author,
            message=message,
            created=now,
            added=done.added,
            changed=done.changed,
            removed=done.removed,
            cases=total,
        )
    )
    connection.execute(update(_datasets).where(_datasets.c.id == dataset.id).values(version=done.version))


def _refuse_repeated(put: Sequence[Case]) -> None:
    seen: set[str] = set()
    for case in put:
        if case.id in seen:
            raise InvalidRequest(
                f"The case {case.id!r} is there twice.", "Give each case an id of its own.", param="id"
            )
        seen.add(case.id)


def _locked(
    connection: Connection, dataset: Dataset, seen: int | None, shares: Mapping[str, float] | None
) -> int:
    """The newest version's number; nobody else changes the dataset until the transaction ends."""
    values: dict[str, Any] = {"version": _datasets.c.version}
    if shares is not None:
        values["shares"] = msgspec.json.encode(dict(shares)).decode()
    connection.execute(update(_datasets).where(_datasets.c.id == dataset.id).values(**values))
    before = connection.scalar(select(_datasets.c.version).where(_datasets.c.id == dataset.id))
    if before is None:
        raise NotFound(f"The dataset {dataset.name!r} is not there any more.", "Somebody deleted it.")
    if seen is not None and before != seen:
        raise Conflict(
            f"The dataset {dataset.name!r} has changed meanwhile: it is at version {before}, not {seen}.",
            "Look at what it is now, and make your change again.",
            code="changed_meanwhile",
        )
    return int(before)


class _Held(msgspec.Struct, frozen=True):
    """A row of the newest version."""

    hash: str
    position: int
    since: int


def _present(connection: Connection, dataset: Dataset, ids: set[str]) -> dict[str, _Held]:
    """Those of `ids` that the newest version holds."""
    found: dict[str, _Held] = {}
    ordered = sorted(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        query = select(_cases.c.case_id, _cases.c.hash, _cases.c.position, _cases.c.since).where(
            _cases.c.dataset_id == dataset.id,
            _cases.c.until == NEWEST,
            _cases.c.case_id.in_(ordered[start : start + _AT_ONCE]),
        )
        found.update({case_id: _Held(*held) for case_id, *held in connection.execute(query)})
    return found


def _close(connection: Connection, dataset: Dataset, since: Mapping[str, int], number: int) -> None:
    """By the whole primary key: with less, a database goes through all of the dataset for each case."""
    if since:
        connection.execute(
            update(_cases)
            .where(
                _cases.c.dataset_id == dataset.id,
                _cases.c.case_id == bindparam("closed"),
                _cases.c.since == bindparam("begun"),
            )
            .values(until=number),
            [{"closed": case_id, "begun": begun} for case_id, begun in since.items()],
        )


def _end(connection: Connection, dataset: Dataset) -> int:
    found = connection.scalar(select(func.max(_cases.c.position)).where(_cases.c.dataset_id == dataset.id))
    return -1 if found is None else int(found)


def _dataset(row: RowMapping) -> Dataset:
    values: dict[str, Any] = {name: row[name] for name in Dataset.__struct_fields__}
    values["shares"] = msgspec.json.decode(row["shares"]) if row["shares"] else {}
    return Dataset(**values)


def _version(row: RowMapping) -> DatasetVersion:
    return DatasetVersion(**{name: row[name] for name in DatasetVersion.__struct_fields__})


def _joined_version(row: RowMapping) -> DatasetVersion | None:
    if row["version_number"] is None:
        return None
    return DatasetVersion(**{name: row[f"version_{name}"] for name in DatasetVersion.__struct_fields__})
