"""Pages of datasets: the list, one with its cases, its versions, import and splitting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from fastapi import File, Form, Query, UploadFile
from starlette.responses import Response

from ratchet.datasets.fields import ORIGINS, SPLITS
from ratchet.datasets.files import FORMATS, format_of, parse_cases
from ratchet.datasets.growing import put_cases, split_dataset
from ratchet.domain.access import Role
from ratchet.domain.datasets import Dataset
from ratchet.errors import InvalidRequest, RatchetError
from ratchet.store.records.case_pages import find_cases
from ratchet.store.records.datasets import create_dataset, versions_of
from ratchet.studio.case_form import CaseForm, read_form, typed_form
from ratchet.studio.case_views import PutView, put_view, shown_case
from ratchet.studio.exports import export_format
from ratchet.studio.formats import segment
from ratchet.studio.listing import Pager
from ratchet.studio.pages.cases import case_filter, put_fields
from ratchet.studio.pages.datasets import (
    DatasetView,
    SplitView,
    dataset_of,
    dataset_rows,
    datasets_json,
    split_view,
    view_dataset,
    view_version,
)
from ratchet.studio.rendering import page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = [
    "MAX_UPLOAD",
    "Told",
    "add_case_from_page",
    "create_dataset_from_page",
    "dataset_page",
    "datasets_page",
    "import_from_page",
    "show_dataset",
    "split_from_page",
    "version_page",
    "versions_page",
]

MAX_UPLOAD = 256 << 20
PAGE_ROWS = 50
_FILTERS = ("q", "tag", "split", "origin", "accepted", "reference", "version")


class Bar(msgspec.Struct, frozen=True):
    """The filters that a page shows, and addresses with others."""

    action: str
    params: dict[str, str]

    @property
    def filtered(self) -> bool:
        return any(name != "version" for name in self.params)

    def href(self, **changes: str) -> str:
        """The page with other filters, from its first row on; "" takes one out."""
        kept = {name: value for name, value in {**self.params, **changes}.items() if value}
        return f"{self.action}?{urlencode(kept)}" if kept else self.action


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a form: cases put, a dataset split, or what went wrong."""

    put: PutView | None = None
    notes: list[str] = []
    split: SplitView | None = None
    problem: RatchetError | None = None


def datasets_page(asked: Asked) -> Response:
    """The list; with `?format=` the file of it."""
    if export_format(asked):
        return datasets_json(asked)
    return _list(asked, opened="new" in asked.request.query_params)


def create_dataset_from_page(
    asked: Asked, name: Annotated[str, Form()] = "", description: Annotated[str, Form()] = ""
) -> Response:
    try:
        made = create_dataset(
            asked.services.records,
            project_id=asked.project_id,
            name=name.strip(),
            description=description.strip()[:10_000],
            now=asked.services.now(),
            by=asked.member.email,
        )
    except RatchetError as error:
        return _list(asked, opened=True, typed=(name, description), error=error)
    return see_other(_address(made))


def _list(
    asked: Visit,
    *,
    opened: bool,
    typed: tuple[str, str] = ("", ""),
    error: RatchetError | None = None,
) -> Response:
    return page(
        asked,
        "datasets.html",
        status=error.status if error else 200,
        rows=dataset_rows(asked),
        opened=opened,
        typed=typed,
        error=error,
        may_edit=asked.member.role >= Role.ANNOTATOR,
    )


def dataset_page(
    asked: Asked,
    name: str,
    version: Annotated[int | None, Query(ge=0)] = None,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """A dataset and one page of its cases."""
    opened = "new" in asked.request.query_params
    return show_dataset(
        asked, dataset_of(asked, name), version=version, offset=offset, form=CaseForm() if opened else None
    )


def add_case_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    """The form for a new case."""
    dataset = dataset_of(asked, name)
    form = typed_form(typed)
    try:
        fields = {field: value for field, value in read_form(form).items() if value is not None}
        done = put_view(put_fields(asked, dataset, [fields], message="Add a case", keep_duplicates=False))
    except InvalidRequest as error:
        field = (error.param or "input").rpartition(".")[2]
        shown = msgspec.structs.replace(form, errors={field: f"{error.message} {error.remedy}"})
        return show_dataset(asked, dataset, form=shown, status=error.status)
    if done.duplicates:
        twin = done.duplicates[0]
        message = f"The case {twin.of} asks the same{', and expects something else' if twin.differs else ''}."
        shown = msgspec.structs.replace(form, errors={"input": message})
        return show_dataset(asked, dataset, form=shown, status=409)
    return show_dataset(asked, dataset_of(asked, name), told=Told(put=done))


def import_from_page(
    asked: Asked,
    name: str,
    file: Annotated[UploadFile, File()],
    kind: Annotated[str, Form()] = "",
    *,
    keep_duplicates: Annotated[bool, Form()] = False,
) -> Response:
    """A file of cases, as one version."""
    dataset = dataset_of(asked, name)
    called = (file.filename or "the file").rpartition("/")[2]
    try:
        parsed = parse_cases(file.file.read(), kind or format_of(called), called)
        grown = put_cases(
            asked.services.records,
            dataset,
            parsed.cases,
            keep_duplicates=keep_duplicates,
            author=asked.member.email,
            message=f"Import {called}"[:2000],
            now=asked.services.now(),
        )
    except RatchetError as error:
        return show_dataset(asked, dataset, told=Told(problem=error), status=error.status)
    return show_dataset(asked, dataset_of(asked, name), told=Told(put=put_view(grown), notes=parsed.notes))


def split_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    """Divide the dataset; the form gives percentages."""
    dataset = dataset_of(asked, name)
    try:
        shares = {split: _percentage(split, "".join(typed.get(split, [])[:1])) for split in SPLITS}
        done = split_dataset(
            asked.services.records, dataset, shares, author=asked.member.email, now=asked.services.now()
        )
    except RatchetError as error:
        return show_dataset(asked, dataset, told=Told(problem=error), status=error.status)
    return show_dataset(asked, dataset_of(asked, name), told=Told(split=split_view(done)))


def versions_page(asked: Asked, name: str) -> Response:
    """Every version, newest first."""
    dataset = dataset_of(asked, name)
    return page(
        asked, "dataset_versions.html", dataset=dataset, versions=versions_of(asked.services.records, dataset)
    )


def version_page(
    asked: Asked, name: str, number: int, offset: Annotated[int, Query(ge=0, le=10**9)] = 0
) -> Response:
    """What one version changed."""
    dataset = dataset_of(asked, name)
    view = view_version(asked, dataset, number, PAGE_ROWS, offset)
    action = f"{_address(dataset)}/versions/{number}"
    return page(
        asked,
        "dataset_version.html",
        dataset=dataset,
        view=view,
        action=action,
        pager=_pager({}, offset, len(view.changes), view.total),
    )


def show_dataset(
    asked: Visit,
    dataset: Dataset,
    *,
    version: int | None = None,
    offset: int = 0,
    form: CaseForm | None = None,
    told: Told | None = None,
    status: int = 200,
) -> Response:
    """The dataset's page. A form's address has no filters, so after a form it shows every case."""
    given = asked.request.query_params
    params = {name: value for name in _FILTERS if (value := given.get(name, "").strip())}
    found, total = find_cases(
        asked.services.records,
        dataset,
        case_filter(asked),
        version=version,
        limit=PAGE_ROWS,
        offset=offset,
    )
    view: DatasetView = view_dataset(asked, dataset, version)
    return page(
        asked,
        "dataset.html",
        status=status,
        view=view,
        cases=[shown_case(case) for case in found],
        bar=Bar(_address(dataset), params),
        action=_address(dataset),
        pager=_pager(params, offset, len(found), total),
        form=form,
        told=told or Told(),
        formats=list(FORMATS),
        choices={
            "tag": [(tag, tag) for tag in list(view.counts.tags)[:150]],
            "origin": [(origin, origin) for origin in ORIGINS],
        },
        may_edit=asked.member.role >= Role.ANNOTATOR,
        may_divide=asked.member.role >= Role.DEVELOPER,
    )


def _pager(params: Mapping[str, str], offset: int, shown: int, total: int) -> Pager:
    def at(first: int) -> str:
        return urlencode({**params, **({"offset": str(first)} if first else {})})

    end = offset + shown
    return Pager(
        first=offset + 1 if shown else 0,
        last=end,
        total=total,
        wanted=offset + 1,
        before=at(max(0, offset - PAGE_ROWS)) if offset else None,
        after=at(end) if shown and end < total else None,
        first_page=at(0),
        last_page=at(max(0, total - 1) // PAGE_ROWS * PAGE_ROWS),
    )


def _percentage(split: str, text: str) -> float:
    try:
        return float(text.strip().removesuffix("%") or 0) / 100
    except ValueError:
        raise InvalidRequest(f"{split} is {text!r}.", "Write a percentage such as 20.", param=split) from None


def _address(dataset: Dataset) -> str:
    return f"/datasets/{segment(dataset.name)}"
