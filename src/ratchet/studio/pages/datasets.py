"""Datasets: made, listed, described and split; their versions and what each changed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.datasets.growing import Split, split_dataset
from ratchet.datasets.splits import SHARES
from ratchet.domain.datasets import Dataset, DatasetVersion
from ratchet.store.records.case_pages import CaseCounts, count_cases, version_changes
from ratchet.store.records.datasets import (
    create_dataset,
    dataset_named,
    describe_dataset,
    list_datasets,
    versions_of,
)
from ratchet.studio.case_views import ShownCase, shown_case
from ratchet.studio.exports import Column, export, export_format, moment
from ratchet.studio.rendering import json_response
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "CaseChangeView",
    "DatasetChange",
    "DatasetRow",
    "DatasetView",
    "NewDataset",
    "SplitShares",
    "SplitView",
    "VersionView",
    "add_dataset",
    "alter_dataset",
    "dataset_json",
    "dataset_of",
    "dataset_rows",
    "datasets_json",
    "divide_dataset",
    "split_view",
    "version_json",
    "versions_json",
]


class NewDataset(BaseModel):
    """A dataset to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    description: str = Field(default="", max_length=10_000)


class DatasetChange(BaseModel):
    """What to change about a dataset itself; its cases have requests of their own."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(max_length=10_000)


class SplitShares(BaseModel):
    """How large each split is to be, as parts of 1."""

    model_config = ConfigDict(extra="forbid")

    shares: dict[str, float] = Field(default_factory=lambda: dict(SHARES))


class DatasetRow(msgspec.Struct, frozen=True):
    """A dataset in a list. `changed` and `changed_by` are those of its newest version."""

    name: str
    description: str
    version: int
    cases: int
    shares: dict[str, float]
    created: int
    created_by: str
    changed: int
    changed_by: str


class DatasetView(msgspec.Struct, frozen=True):
    """A dataset, and how the cases of the version that was asked for divide."""

    name: str
    description: str
    version: int
    newest: int
    shares: dict[str, float]
    created: int
    created_by: str
    counts: CaseCounts


class SplitView(msgspec.Struct, frozen=True):
    """What came of splitting. `left_out` are in no split, since they would leak; see Assignment for the rest."""

    version: int
    changed: int
    sizes: dict[str, int]
    left_out: list[str]
    groups: int
    largest: float


class CaseChangeView(msgspec.Struct, frozen=True):
    """What a version did to a case: added, changed or removed it."""

    case_id: str
    what: str
    before: ShownCase | None
    after: ShownCase | None


class VersionView(msgspec.Struct, frozen=True):
    """A version, and one page of what it changed."""

    version: DatasetVersion
    changes: list[CaseChangeView]
    total: int


_COLUMNS: tuple[Column[DatasetRow], ...] = (
    Column("name", lambda row: row.name),
    Column("description", lambda row: row.description),
    Column("version", lambda row: row.version),
    Column("cases", lambda row: row.cases),
    Column("created", lambda row: moment(row.created)),
    Column("created_by", lambda row: row.created_by),
    Column("changed", lambda row: moment(row.changed)),
    Column("changed_by", lambda row: row.changed_by),
)


def dataset_of(asked: Visit, name: str) -> Dataset:
    """Raises NotFound."""
    return dataset_named(asked.services.records, project_id=asked.project_id, name=name)


def dataset_rows(asked: Visit) -> list[DatasetRow]:
    return [
        _row(dataset, newest)
        for dataset, newest in list_datasets(asked.services.records, project_id=asked.project_id)
    ]


def datasets_json(asked: Asked) -> Response:
    """Every dataset by name. With `format`, a file of them."""
    rows = dataset_rows(asked)
    if export_format(asked):
        return export(asked, "datasets", _COLUMNS, [rows], total=len(rows))
    return json_response(rows)


def add_dataset(asked: Asked, body: NewDataset) -> Response:
    """A new dataset, with no case in it."""
    made = create_dataset(
        asked.services.records,
        project_id=asked.project_id,
        name=body.name,
        description=body.description,
        now=asked.services.now(),
        by=asked.member.email,
    )
    return json_response(_row(made, None), status=201)


def dataset_json(asked: Asked, name: str, version: Annotated[int | None, Query(ge=0)] = None) -> Response:
    """A dataset, and how the cases of its newest version (or of `version`) divide."""
    return json_response(view_dataset(asked, dataset_of(asked, name), version))


def view_dataset(asked: Visit, dataset: Dataset, version: int | None) -> DatasetView:
    counts = count_cases(asked.services.records, dataset, version=version)
    return DatasetView(
        name=dataset.name,
        description=dataset.description,
        version=dataset.version if version is None else version,
        newest=dataset.version,
        shares=dataset.shares,
        created=dataset.created,
        created_by=dataset.created_by,
        counts=counts,
    )


def alter_dataset(asked: Asked, name: str, body: DatasetChange) -> Response:
    """Give a dataset another description."""
    dataset = describe_dataset(asked.services.records, dataset_of(asked, name), body.description)
    return json_response(view_dataset(asked, dataset, None))


def divide_dataset(asked: Asked, name: str, body: SplitShares) -> Response:
    """Divide the cases into splits, so that nothing leaks. Cases that have a split keep it."""
    done = split_dataset(
        asked.services.records,
        dataset_of(asked, name),
        body.shares,
        author=asked.member.email,
        now=asked.services.now(),
    )
    return json_response(split_view(done))


def split_view(done: Split) -> SplitView:
    return SplitView(
        done.changed.version, done.changed.changed, done.sizes, done.left_out, done.groups, done.largest
    )


def versions_json(asked: Asked, name: str) -> Response:
    """A dataset's versions, newest first."""
    return json_response(versions_of(asked.services.records, dataset_of(asked, name)))


def version_json(
    asked: Asked,
    name: str,
    number: int,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """One version, and which cases it added, changed and removed."""
    return json_response(view_version(asked, dataset_of(asked, name), number, limit, offset))


def view_version(asked: Visit, dataset: Dataset, number: int, limit: int, offset: int) -> VersionView:
    """Raises NotFound."""
    changes, total = version_changes(
        asked.services.records, dataset, max(number, 1), limit=limit, offset=offset
    )
    version = next(
        one for one in versions_of(asked.services.records, dataset) if one.number == max(number, 1)
    )
    return VersionView(
        version=version,
        changes=[
            CaseChangeView(
                one.case_id,
                one.what,
                None if one.before is None else shown_case(one.before),
                None if one.after is None else shown_case(one.after),
            )
            for one in changes
        ],
        total=total,
    )


def _row(dataset: Dataset, newest: DatasetVersion | None) -> DatasetRow:
    values: dict[str, Any] = {
        name: getattr(dataset, name)
        for name in ("name", "description", "version", "shares", "created", "created_by")
    }
    return DatasetRow(
        **values,
        cases=newest.cases if newest else 0,
        changed=newest.created if newest else dataset.created,
        changed_by=newest.author if newest else dataset.created_by,
    )
