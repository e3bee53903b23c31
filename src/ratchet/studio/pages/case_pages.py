"""Pages of cases: one with its past, changing it, and going through those that a model wrote."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from fastapi import Form
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.datasets import Dataset
from ratchet.errors import InvalidRequest, RatchetError
from ratchet.store.records.case_pages import CaseFilter, find_cases
from ratchet.studio.case_form import CaseForm, filled_form, read_form, typed_form
from ratchet.studio.formats import segment
from ratchet.studio.pages.cases import change_case, settle, view_case
from ratchet.studio.pages.datasets import dataset_of
from ratchet.studio.rendering import page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = ["case_page", "remove_case_from_page", "review_from_page", "review_page", "save_case_from_page"]

_VERDICTS = ("accept", "reject", "skip")


def case_page(asked: Asked, name: str, id: str) -> Response:  # noqa: A002 - what the address calls it
    """One case; with `?edit` in a form."""
    dataset = dataset_of(asked, name)
    view = view_case(asked, dataset, id)
    editing = "edit" in asked.request.query_params and not (view.removed or view.case.sealed)
    form = filled_form(view.case, seen=dataset.version) if editing else None
    return _shown(asked, dataset, id, form)


def save_case_from_page(asked: Asked, name: str, id: str, typed: Typed) -> Response:  # noqa: A002 - as above
    """Change a case; one that somebody else has changed meanwhile is left alone."""
    dataset = dataset_of(asked, name)
    form = typed_form(typed)
    try:
        seen = int(form.seen) if form.seen.isascii() and form.seen.isdigit() else None
        change_case(asked, dataset, id, read_form(form), message="", seen=seen)
    except InvalidRequest as error:
        field = (error.param or "input").rpartition(".")[2]
        shown = msgspec.structs.replace(form, errors={field: f"{error.message} {error.remedy}"})
        return _shown(asked, dataset, id, shown, status=error.status)
    except RatchetError as error:
        return _shown(asked, dataset, id, form, problem=error, status=error.status)
    back = "".join(typed.get("back", [])[:1])
    if back == "review":
        return see_other(f"{_address(dataset)}/review?{urlencode({'id': id})}")
    return see_other(f"{_address(dataset)}/case?{urlencode({'id': id})}")


def remove_case_from_page(asked: Asked, name: str, id: str) -> Response:  # noqa: A002 - as above
    dataset = dataset_of(asked, name)
    settle(asked, dataset, accept=[], reject=[id], message=f"Remove {id}")
    return see_other(_address(dataset))


def review_page(asked: Asked, name: str, id: str = "", after: str = "") -> Response:  # noqa: A002 - as above
    """One of the cases that wait: the one named `id`, or the first behind `after`."""
    dataset = dataset_of(asked, name)
    waiting, total = find_cases(asked.services.records, dataset, CaseFilter(accepted=False), limit=1000)
    ids = [case.id for case in waiting]
    place = ids.index(id) if id in ids else ids.index(after) + 1 if after in ids else 0
    case = waiting[place % len(ids)] if ids else None
    return page(
        asked,
        "review.html",
        dataset=dataset,
        case=case,
        place=place % len(ids) + 1 if ids else 0,
        total=total,
        may_edit=asked.member.role >= Role.ANNOTATOR,
    )


def review_from_page(
    asked: Asked,
    name: str,
    id: Annotated[str, Form()],  # noqa: A002 - as above
    verdict: Annotated[str, Form()],
) -> Response:
    """Accept, reject or skip a case, and on to the next."""
    dataset = dataset_of(asked, name)
    if verdict not in _VERDICTS:
        raise InvalidRequest(
            f"verdict is {verdict!r}.", f"It is one of {', '.join(_VERDICTS)}.", param="verdict"
        )
    following = _following(asked, dataset, id)
    if verdict == "accept":
        settle(asked, dataset, accept=[id], reject=[], message=f"Accept {id}")
    elif verdict == "reject":
        settle(asked, dataset, accept=[], reject=[id], message=f"Reject {id}")
    where = f"?{urlencode({'id': following})}" if following else ""
    return see_other(f"{_address(dataset)}/review{where}")


def _following(asked: Visit, dataset: Dataset, case_id: str) -> str:
    waiting, _ = find_cases(asked.services.records, dataset, CaseFilter(accepted=False), limit=1000)
    ids = [case.id for case in waiting]
    place = ids.index(case_id) + 1 if case_id in ids else 0
    return ids[place] if place < len(ids) else ""


def _shown(
    asked: Visit,
    dataset: Dataset,
    case_id: str,
    form: CaseForm | None,
    *,
    problem: RatchetError | None = None,
    status: int = 200,
) -> Response:
    return page(
        asked,
        "case.html",
        status=status,
        dataset=dataset,
        view=view_case(asked, dataset, case_id),
        form=form,
        problem=problem,
        back=asked.request.query_params.get("back", ""),
        may_edit=asked.member.role >= Role.ANNOTATOR,
    )


def _address(dataset: Dataset) -> str:
    return f"/datasets/{segment(dataset.name)}"
