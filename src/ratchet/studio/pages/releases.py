"""Releases: what every label serves, how canaries do, what gates said; promote a version, step back."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.prompts import Release
from ratchet.domain.releases import GateResult
from ratchet.errors import InvalidRequest, NotFound, RatchetError
from ratchet.store.records.gates import list_gates
from ratchet.store.records.prompts import list_prompts, newest_versions
from ratchet.store.records.releases import release_history
from ratchet.studio.exports import Column, export, export_format, moment
from ratchet.studio.prompting import step_back
from ratchet.studio.releasing import Promotion, ReleaseView, promote, release_views
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = [
    "NewPromotion",
    "ReleaseHistory",
    "add_release",
    "gates_json",
    "promote_from_page",
    "release_json",
    "releases_json",
    "releases_page",
    "roll_back_from_page",
]

_GATES = 20  # that the page shows
_HISTORY = 50


class NewPromotion(BaseModel):
    """A version for a label to serve. `share` is the part of the users in per cent, 100 everybody; less is a canary.

    `run_id` names the run whose gate is to count, "" for the newest. `without_gate` says why none need have passed.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=100)
    version: int = Field(ge=1, le=10**9)
    label: str = Field(max_length=40)
    share: int = Field(default=100, ge=1, le=100)
    run_id: str = Field(default="", max_length=64)
    without_gate: str = Field(default="", max_length=1000)
    message: str = Field(default="", max_length=900)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    latency_ratio: float = Field(default=1.1, ge=1, le=100)
    cost_ratio: float = Field(default=1.1, ge=1, le=100)


class ReleaseHistory(msgspec.Struct, frozen=True):
    """What a label serves, None where it serves nothing now, and all that it served, newest first."""

    serving: ReleaseView | None
    history: list[Release]


class ReleaseForm(msgspec.Struct, frozen=True):
    """What was typed into the form, and what is wrong with it."""

    prompt: str = ""
    version: str = ""
    label: str = "production"
    share: str = "100"
    without_gate: str = ""
    message: str = ""
    problem: RatchetError | None = None
    open: bool = False


_TYPED = ("prompt", "version", "label", "share", "without_gate", "message")
_COLUMNS: tuple[Column[ReleaseView], ...] = (
    Column("prompt", lambda row: row.release.prompt),
    Column("label", lambda row: row.release.label),
    Column("release", lambda row: row.release.number),
    Column("versions", lambda row: [f"{each.version}={each.weight}" for each in row.release.split]),
    Column("created", lambda row: moment(row.release.created)),
    Column("created_by", lambda row: row.release.created_by),
    Column("gate_run_id", lambda row: row.release.gate_run_id),
    Column("message", lambda row: row.release.message),
)


def releases_json(asked: Asked) -> Response:
    """What every label serves now, and how its canary does. With `format`, a file of it."""
    views = release_views(asked)
    if export_format(asked):
        return export(asked, "releases", _COLUMNS, [views], total=len(views))
    return json_response(views)


def release_json(asked: Asked, prompt: str, label: str) -> Response:
    """One label: what it serves, and its history, newest first."""
    history = release_history(asked.services.records, prompt, project_id=asked.project_id, label=label)
    if not history:
        raise NotFound(
            f"The prompt {prompt!r} has no label {label!r}.",
            "`ratchet release list` shows every label that there is.",
        )
    serving = [
        view for view in release_views(asked) if (view.release.prompt, view.release.label) == (prompt, label)
    ]
    return json_response(ReleaseHistory(serving[0] if serving else None, history))


def add_release(asked: Asked, body: NewPromotion) -> Response:
    """Promote a version, whole or as a canary. A protected label takes a gate that passed, or a reason."""
    return json_response(promote(asked, Promotion(**body.model_dump())), status=201)


def gates_json(asked: Asked) -> Response:
    """What gates said lately, newest first."""
    return json_response(list_gates(asked.services.records, project_id=asked.project_id))


def releases_page(asked: Asked) -> Response:
    """The page; with `?format=` the file of it."""
    if export_format(asked):
        views = release_views(asked)
        return export(asked, "releases", _COLUMNS, [views], total=len(views))
    query = asked.request.query_params
    form = ReleaseForm(prompt=query.get("prompt", ""), version=query.get("version", ""), open="new" in query)
    return _page(asked, form)


def promote_from_page(asked: Asked, typed: Typed) -> Response:
    """The form for a release. What is refused comes back with why."""
    given = {name: values[-1].strip() for name, values in typed.items() if values}
    form = msgspec.convert(
        {**{name: given[name] for name in _TYPED if name in given}, "open": True}, ReleaseForm
    )
    try:
        body = NewPromotion.model_validate({name: getattr(form, name) for name in _TYPED})
    except ValueError:
        problem = InvalidRequest(
            "The version or the share can't be used.",
            "Give a version such as 3, and a share in per cent from 1 to 100.",
        )
        return _page(asked, msgspec.structs.replace(form, problem=problem), status=400)
    try:
        made = promote(asked, Promotion(**body.model_dump()))
    except RatchetError as error:
        return _page(asked, msgspec.structs.replace(form, problem=error), status=error.status)
    return see_other(f"/releases?done={made.prompt}@{made.label}")


def roll_back_from_page(asked: Asked, prompt: str, label: str) -> Response:
    """The button beside a release."""
    try:
        made = step_back(asked, prompt, label)
    except RatchetError as error:
        return _page(asked, ReleaseForm(problem=error), status=error.status)
    return see_other(f"/releases?done={made.prompt}@{made.label}")


def _page(asked: Visit, form: ReleaseForm, *, status: int = 200) -> Response:
    records, project = asked.services.records, asked.project_id
    views = release_views(asked)
    newest = newest_versions(records, project_id=project)
    history: list[Release] = []
    for prompt in list_prompts(records, project_id=project):
        history += release_history(records, prompt.name, project_id=project)
    history.sort(key=lambda release: (-release.created, release.prompt, release.label, -release.number))
    gates: list[GateResult] = list_gates(records, project_id=project, limit=_GATES)
    values: dict[str, Any] = {
        "views": views,
        "history": history[:_HISTORY],
        "history_total": len(history),
        "gates": gates,
        "prompts": {name: version.number for name, version in sorted(newest.items())},
        "form": form,
        "done": asked.request.query_params.get("done", ""),
        "may": asked.member.role >= Role.DEVELOPER,
        "may_protected": asked.member.role >= Role.ADMIN,
        "protected": sorted(asked.services.protected_labels()),
    }
    return page(asked, "releases.html", status=status, **values)
