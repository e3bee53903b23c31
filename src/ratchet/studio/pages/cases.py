"""Cases of a dataset, by API: listed, put, changed, removed, accepted, exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.datasets.fields import ORIGINS, SPLITS, cases_of, with_ids
from ratchet.datasets.files import FORMATS, render_cases
from ratchet.datasets.formats.jsonl import fields_of
from ratchet.datasets.growing import Grown, Reference, add_references, put_cases
from ratchet.domain.access import Role
from ratchet.domain.cases import Case
from ratchet.domain.datasets import SEALED, Dataset
from ratchet.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ratchet.store.records.case_pages import CaseFilter, case_revisions, find_cases, find_ids
from ratchet.store.records.case_rows import REFERENCED
from ratchet.store.records.datasets import read_case, read_cases
from ratchet.studio.case_views import PutView, ShownCase, put_view, shown_case
from ratchet.studio.description import Parameter
from ratchet.studio.pages.datasets import dataset_of
from ratchet.studio.rendering import json_response
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "CASES_QUERY",
    "EXPORT_QUERY",
    "MAX_CASES_BODY",
    "MEDIA",
    "CaseEdit",
    "CasePage",
    "CaseView",
    "ExportedCases",
    "Judgement",
    "NewCases",
    "NewReferences",
    "ReferencesView",
    "add_references_json",
    "case_filter",
    "case_json",
    "cases_json",
    "change_case",
    "drop_case",
    "edit_case",
    "export_cases",
    "judge_cases",
    "put_cases_json",
    "put_fields",
    "settle",
]

MAX_CASES_BODY = 256 << 20
_MOST_CASES = 200_000
_FIXED = ("id", "split", "origin", "accepted")
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "promptfoo": "application/yaml",
}
MEDIA = ("application/jsonl", *(media.partition(";")[0] for media in _TYPES.values()))
_ENDINGS = {"csv": "csv", "parquet": "parquet", "promptfoo": "yaml"}
CASES_QUERY = (
    Parameter("q", "Words that the case holds, or its id. Sealed cases are found by their id alone."),
    Parameter("tag", "A tag that it has."),
    Parameter("split", "The split it is in.", {"type": "string", "enum": [*SPLITS, "none"]}),
    Parameter("origin", "Where it came from.", {"type": "string", "enum": list(ORIGINS)}),
    Parameter("accepted", "Whether a person has accepted it.", {"type": "string", "enum": ["yes", "no"]}),
    Parameter("reference", "Whose reference it has.", {"type": "string", "enum": list(REFERENCED)}),
)
EXPORT_QUERY = (
    Parameter("format", "The file's format; without it, JSON.", {"type": "string", "enum": list(FORMATS)}),
)


class NewCases(BaseModel):
    """Cases to put, with a case's fields: added, or changed where the id is there already."""

    model_config = ConfigDict(extra="forbid")

    cases: list[dict[str, Any]] = Field(max_length=_MOST_CASES)
    message: str = Field(default="", max_length=2000)
    origin: str = "hand"
    keep_duplicates: bool = False


class CaseEdit(BaseModel):
    """Fields to change; null takes one out. `seen` is the dataset's version that the change was made from."""

    model_config = ConfigDict(extra="forbid")

    fields: dict[str, Any]
    message: str = Field(default="", max_length=2000)
    seen: int | None = None


class Judgement(BaseModel):
    """Ids of cases that a model wrote: those to accept, those to remove. `all` accepts whatever is waiting."""

    model_config = ConfigDict(extra="forbid")

    accept: list[str] = Field(default_factory=list[str], max_length=_MOST_CASES)
    reject: list[str] = Field(default_factory=list[str], max_length=_MOST_CASES)
    all: bool = False


class WrittenReference(BaseModel):
    """A reference that the model `reference_by` wrote for the case `id`."""

    model_config = ConfigDict(extra="forbid")

    id: str
    reference: Any
    reference_by: str = Field(min_length=1, max_length=500)


class NewReferences(BaseModel):
    """References for cases that have none, and the dataset's version that they were written from."""

    model_config = ConfigDict(extra="forbid")

    references: list[WrittenReference] = Field(max_length=_MOST_CASES)
    message: str = Field(default="", max_length=2000)
    seen: int = Field(ge=0)


class ReferencesView(msgspec.Struct, frozen=True):
    """What came of it. `skipped` are gone, sealed, or not what they were: they get none."""

    version: int
    changed: int
    skipped: list[str]


class CasePage(msgspec.Struct, frozen=True):
    rows: list[ShownCase]
    total: int


class ExportedCases(msgspec.Struct, frozen=True):
    """Cases with everything that they say."""

    cases: list[Case]


class Revision(msgspec.Struct, frozen=True):
    """What the case was from version `since` on and before version `until`, None where it still is."""

    case: ShownCase
    since: int
    until: int | None


class CaseView(msgspec.Struct, frozen=True):
    """A case as it is, or was before it was removed, and its past, newest first."""

    case: ShownCase
    removed: bool
    revisions: list[Revision]


def case_filter(asked: Visit) -> CaseFilter:
    """Which cases the address asks for. Raises InvalidRequest."""
    given = {
        name: asked.request.query_params.get(name, "").strip()
        for name in ("q", "tag", "split", "origin", "reference")
    }
    accepted = asked.request.query_params.get("accepted", "").strip()
    for name, value, known in (
        ("split", given["split"], (*SPLITS, "none")),
        ("origin", given["origin"], ORIGINS),
        ("accepted", accepted, ("yes", "no")),
        ("reference", given["reference"], REFERENCED),
    ):
        if value and value not in known:
            raise InvalidRequest(f"{name} is {value!r}.", f"It is one of {', '.join(known)}.", param=name)
    return CaseFilter(
        words=given["q"],
        tag=given["tag"],
        split=given["split"],
        origin=given["origin"],
        accepted=None if not accepted else accepted == "yes",
        reference=given["reference"],
    )


def cases_json(
    asked: Asked,
    name: str,
    version: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """One page of the cases that match, and how many do."""
    found, total = find_cases(
        asked.services.records,
        dataset_of(asked, name),
        case_filter(asked),
        version=version,
        limit=limit,
        offset=offset,
    )
    return json_response(CasePage([shown_case(case) for case in found], total))


def case_json(asked: Asked, name: str, id: str) -> Response:  # noqa: A002 - what the address calls it
    """One case and its past. A sealed one shows neither what it asks nor what it expects."""
    return json_response(view_case(asked, dataset_of(asked, name), id))


def view_case(asked: Visit, dataset: Dataset, case_id: str) -> CaseView:
    """Raises NotFound."""
    found = case_revisions(asked.services.records, dataset, case_id)
    revisions = [Revision(shown_case(one.case), one.since, one.until) for one in found]
    return CaseView(revisions[0].case, revisions[0].until is not None, revisions)


def put_cases_json(asked: Asked, name: str, body: NewCases) -> Response:
    """Add cases, or change those that are there already under their id: one version, whatever their number.

    A case that repeats another is not taken, and told, unless `keep_duplicates` says otherwise.
    """
    if body.origin not in ORIGINS:
        raise InvalidRequest(
            f"origin is {body.origin!r}.", f"It is one of {', '.join(ORIGINS)}.", param="origin"
        )
    dataset = dataset_of(asked, name)
    grown = put_fields(
        asked,
        dataset,
        body.cases,
        origin=body.origin,
        message=body.message,
        keep_duplicates=body.keep_duplicates,
    )
    return json_response(put_view(grown))


def put_fields(
    asked: Visit,
    dataset: Dataset,
    fields: Sequence[Mapping[str, Any]],
    *,
    origin: str = "hand",
    message: str,
    keep_duplicates: bool,
) -> Grown:
    """Put cases as a program or a form gives them. Raises InvalidRequest naming the case and the field.

    A case that brings its id changes the one that has it. One that brings none does so only where it comes from a
    file, which may have been edited since; otherwise it is new or a duplicate.
    """
    said = cases_of(fields, origin=origin)
    cases = with_ids(said)
    new = [case.id for case, given in zip(cases, said, strict=True) if not given.id and origin != "file"]
    return put_cases(
        asked.services.records,
        dataset,
        cases,
        new=new,
        keep_duplicates=keep_duplicates,
        author=asked.member.email,
        message=message,
        now=asked.services.now(),
    )


def edit_case(asked: Asked, name: str, id: str, body: CaseEdit) -> Response:  # noqa: A002 - as above
    """Change some fields of a case; a sealed one takes none."""
    dataset = dataset_of(asked, name)
    grown = change_case(asked, dataset, id, body.fields, message=body.message, seen=body.seen)
    return json_response(put_view(grown))


def change_case(
    asked: Visit, dataset: Dataset, case_id: str, fields: dict[str, Any], *, message: str, seen: int | None
) -> Grown:
    """Raises NotFound, Forbidden, Conflict, and InvalidRequest naming the field."""
    case, since = read_case(asked.services.records, dataset, case_id)
    if case.split == SEALED:
        raise Forbidden(
            f"The case {case_id!r} is sealed: who can't see it can't change it.",
            "Remove it, or let a developer export the sealed cases, change it there and import it.",
            code="sealed",
        )
    fixed = next((name for name in fields if name in _FIXED), None)
    if fixed is not None:
        raise InvalidRequest(
            f"{fixed} is not changed case by case.",
            "Splits come from splitting, and accepting is a request of its own.",
            param=fixed,
        )
    if seen is not None and since > seen:
        raise Conflict(
            f"Somebody has changed the case {case_id!r} meanwhile.",
            "Look at what it is now, and make your change again.",
            code="changed_meanwhile",
        )
    merged = {**fields_of(case), **fields}
    if "reference_by" not in fields and merged.get("reference") != case.reference:
        merged["reference_by"] = None  # it is this person's now
    (changed,) = cases_of([merged], origin=case.origin)
    return put_cases(
        asked.services.records,
        dataset,
        [changed],
        keep_duplicates=True,
        author=asked.member.email,
        message=message or f"Change {case_id}",
        now=asked.services.now(),
    )


def add_references_json(asked: Asked, name: str, body: NewReferences) -> Response:
    """Give cases without a reference those that a model wrote: one version, and each says so."""
    empty = next((each.id for each in body.references if each.reference in (None, "")), None)
    if empty is not None:
        raise InvalidRequest(f"The reference for {empty!r} is empty.", "Leave it out.", param="references")
    changed, skipped = add_references(
        asked.services.records,
        dataset_of(asked, name),
        [Reference(each.id, each.reference, each.reference_by) for each in body.references],
        seen=body.seen,
        author=asked.member.email,
        message=body.message,
        now=asked.services.now(),
    )
    return json_response(ReferencesView(changed.version, changed.changed, skipped))


def drop_case(asked: Asked, name: str, id: str) -> Response:  # noqa: A002 - as above
    """Remove a case; earlier versions keep it."""
    return json_response(
        settle(asked, dataset_of(asked, name), accept=[], reject=[id], message=f"Remove {id}")
    )


def judge_cases(asked: Asked, name: str, body: Judgement) -> Response:
    """Accept cases that a model wrote, so that they count, or remove them: one version."""
    dataset = dataset_of(asked, name)
    accept = body.accept
    if body.all:
        accept = find_ids(asked.services.records, dataset, CaseFilter(accepted=False))
    said = [f"{word} {len(ids)}" for word, ids in (("Accept", accept), ("Reject", body.reject)) if ids]
    return json_response(settle(asked, dataset, accept=accept, reject=body.reject, message=", ".join(said)))


def settle(asked: Visit, dataset: Dataset, *, accept: list[str], reject: list[str], message: str) -> PutView:
    """One version in which `accept` are accepted and `reject` are gone. Raises NotFound."""
    records = asked.services.records
    held: dict[str, Case] = {}
    if accept:
        every = read_cases(records, dataset, include_sealed=True, include_unaccepted=True)
        held = {case.id: case for case in every}
    missing = next((case_id for case_id in accept if case_id not in held), None)
    if missing is not None:
        raise NotFound(
            f"The dataset {dataset.name!r} has no case {missing!r}.", "Somebody may have removed it."
        )
    cases = [msgspec.structs.replace(held[case_id], accepted=True) for case_id in dict.fromkeys(accept)]
    grown = put_cases(
        records,
        dataset,
        cases,
        remove=reject,
        keep_duplicates=True,
        author=asked.member.email,
        message=message,
        now=asked.services.now(),
    )
    return put_view(grown)


def export_cases(
    asked: Asked,
    name: str,
    version: Annotated[int | None, Query(ge=0)] = None,
    *,
    sealed: bool = False,
) -> Response:
    """Every case of a version with all that it says, as a file or as JSON. `sealed` opens the sealed ones, for developers."""
    if sealed and asked.member.role < Role.DEVELOPER:
        raise Forbidden(
            f"Sealed cases are exported by developers; {asked.member.email} is {asked.member.role.label}.",
            "Export the others, or ask an admin of the project to change your role.",
        )
    dataset = dataset_of(asked, name)
    cases = read_cases(
        asked.services.records, dataset, version=version, include_sealed=sealed, include_unaccepted=True
    )
    kind = asked.request.query_params.get("format", "").strip()
    if not kind:
        # `origin` is always said: where it is missing, who reads a file of cases takes it for that file's own.
        return json_response({"cases": [fields_of(case) for case in cases]})
    content = render_cases(cases, kind)
    number = dataset.version if version is None else version
    file = f"{dataset.name}-v{number}.{_ENDINGS.get(kind, 'jsonl')}"
    return Response(
        content,
        media_type=_TYPES.get(kind, "application/jsonl"),
        headers={
            "content-disposition": f'attachment; filename="{file}"',
            "x-ratchet-total-rows": str(len(cases)),
        },
    )
