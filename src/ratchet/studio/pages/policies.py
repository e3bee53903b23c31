"""Limits, segments and budgets: pages and API. The three are alike: declared in ratchet.toml or here, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.errors import Conflict, RatchetError
from ratchet.studio.declaring import (
    MODELS,
    Declared,
    Kind,
    change,
    create,
    drop,
    list_declared,
    one_declared,
)
from ratchet.studio.model_form import ModelForm, blank_form, filled_form, read_form
from ratchet.studio.pages.declared import form_again
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = ["BUDGETS", "LIMITS", "SEGMENTS", "Change", "New", "Pages"]

Handler = Callable[..., Response]


class New(BaseModel):
    """One to declare. `settings` are what its section in ratchet.toml would say."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    settings: dict[str, Any]


class Change(BaseModel):
    """Settings to change; null takes one out. `seen` is its `updated` that the change was made from."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    seen: int | None = None


class Pages(msgspec.Struct, frozen=True):
    """The handlers of one kind: three of pages, five of the API."""

    kind: Kind
    list_page: Handler
    create: Handler
    one_page: Handler
    save: Handler
    delete: Handler
    list_json: Handler
    one_json: Handler
    add: Handler
    change: Handler
    drop: Handler

    @property
    def many(self) -> str:
        return f"{self.kind}s"


def _of_pages(kind: Kind) -> tuple[Handler, ...]:
    def list_page(asked: Asked) -> Response:
        return _list(asked, kind)

    def create_from_page(asked: Asked, typed: Typed) -> Response:
        try:
            made = create(asked, kind, "".join(typed.get("name", ())[:1]), read_form(MODELS[kind], typed))
        except RatchetError as error:
            return _list(asked, kind, form=form_again(asked, kind, typed, error), status=error.status)
        return see_other(f"/{kind}s/{made.name}")

    def one_page(asked: Asked, name: str) -> Response:
        return _one(asked, kind, name)

    def save_from_page(asked: Asked, name: str, typed: Typed) -> Response:
        own = one_declared(asked, kind, name).origin == "studio"
        seen = "".join(typed.get("seen", ())[:1])
        try:
            change(
                asked, kind, name, read_form(MODELS[kind], typed), seen=int(seen) if seen.isdigit() else None
            )
        except RatchetError as error:
            form = form_again(asked, kind, typed, error) if own else None
            return _one(asked, kind, name, form=form, error=error, status=error.status)
        return see_other(f"/{kind}s/{name}?saved=1")

    def drop_from_page(asked: Asked, name: str) -> Response:
        try:
            drop(asked, kind, name)
        except Conflict as error:
            return _one(asked, kind, name, error=error, status=error.status)
        return see_other(f"/{kind}s")

    return list_page, create_from_page, one_page, save_from_page, drop_from_page


def _of_api(kind: Kind) -> tuple[Handler, ...]:
    def list_json(asked: Asked) -> Response:
        return json_response([_as_json(each) for each in list_declared(asked, kind)])

    def one_json(asked: Asked, name: str) -> Response:
        return json_response(_as_json(one_declared(asked, kind, name)))

    def add(asked: Asked, body: New) -> Response:
        return json_response(_as_json(create(asked, kind, body.name, body.settings)), status=201)

    def change_some(asked: Asked, name: str, body: Change) -> Response:
        before = one_declared(asked, kind, name)
        merged = {**before.settings, **body.settings}
        settings = {key: value for key, value in merged.items() if value is not None}
        return json_response(_as_json(change(asked, kind, name, settings, seen=body.seen)))

    def drop_one(asked: Asked, name: str) -> Response:
        return json_response(drop(asked, kind, name))

    list_json.__doc__ = f"Every {kind}, wherever it is declared."
    one_json.__doc__ = f"One {kind}: where it is declared, and its settings."
    add.__doc__ = f"Declare a {kind}; gateways hold to it within a second."
    change_some.__doc__ = f"Change some settings of a {kind} that the studio declares."
    drop_one.__doc__ = f"Take out a {kind} that the studio declares."
    return list_json, one_json, add, change_some, drop_one


def _pages(kind: Kind) -> Pages:
    return Pages(kind, *_of_pages(kind), *_of_api(kind))


LIMITS, SEGMENTS, BUDGETS = _pages("limit"), _pages("segment"), _pages("budget")


def _as_json(declared: Declared) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(declared)
    del shown["kind"]
    return {**shown, "place": declared.place}


def _list(asked: Visit, kind: Kind, *, form: ModelForm | None = None, status: int = 200) -> Response:
    """All of them; `form` is one that has to be corrected."""
    return page(
        asked,
        "policies.html",
        status=status,
        kind=kind,
        rows=list_declared(asked, kind),
        may_edit=asked.member.role >= Role.DEVELOPER,
        form=form or blank_form(MODELS[kind]),
        form_open=form is not None or "new" in asked.request.query_params,
        in_force=asked.services.in_force(),
    )


def _one(
    asked: Visit,
    kind: Kind,
    name: str,
    *,
    form: ModelForm | None = None,
    error: RatchetError | None = None,
    status: int = 200,
) -> Response:
    """One of them, and its form where the studio may change it."""
    declared = one_declared(asked, kind, name)
    return page(
        asked,
        "policy.html",
        status=status,
        declared=declared,
        form=form or filled_form(MODELS[kind], declared.settings, seen=declared.updated),
        may_edit=asked.member.role >= Role.DEVELOPER,
        error=None if form is not None else error,
        saved="saved" in asked.request.query_params and form is None,
        in_force=asked.services.in_force(),
    )
