"""Saved views: a list's filters, range and order under a name, from its page or the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.views import View
from ratchet.errors import Forbidden, InvalidRequest, RatchetError
from ratchet.store.records.views import change_view, create_view, list_views, remove_view, view_of
from ratchet.studio import navigation
from ratchet.studio.rendering import fragment, is_fragment, json_response, see_other
from ratchet.studio.services import Visit
from ratchet.studio.views_menu import place, views_menu
from ratchet.studio.visiting import Asked

__all__ = [
    "NewView",
    "SavedView",
    "ViewChange",
    "add_view",
    "add_view_from_page",
    "alter_view",
    "drop_view",
    "drop_view_from_page",
    "rename_view_from_page",
    "views_json",
]

_MAX_QUERY = 4000


class NewView(BaseModel):
    """A view to keep. `page` is a list's path, `query` what stands behind its `?`; `shared` shows it to everyone."""

    model_config = ConfigDict(extra="forbid")

    page: str = Field(max_length=100)
    name: str = Field(max_length=200)
    query: str = Field(default="", max_length=_MAX_QUERY)
    shared: bool = False


class ViewChange(BaseModel):
    """What to change about a view; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=200)
    query: str | None = Field(default=None, max_length=_MAX_QUERY)
    shared: bool | None = None


class ViewForm(BaseModel):
    """A page's own form: saving what is shown, or renaming. A checkbox that is not ticked sends nothing."""

    model_config = ConfigDict(extra="forbid")

    page: str = Field(max_length=100)
    query: str = Field(default="", max_length=_MAX_QUERY)
    name: str = Field(default="", max_length=200)
    shared: bool = False


class SavedView(msgspec.Struct, frozen=True):
    """A view as programs see it. `address` is the page with the query, `mine` whether it is the asker's own."""

    id: str
    page: str
    name: str
    query: str
    address: str
    owner: str
    shared: bool
    mine: bool
    created: int
    changed: int


def views_json(asked: Asked, page: str = "") -> Response:
    """Your views and the shared ones, by page and name; `page` asks for those of one page."""
    found = list_views(
        asked.services.records, project_id=asked.project_id, owner=asked.member.email, page=page
    )
    return json_response([_shown(asked, view) for view in found])


def add_view(asked: Asked, body: NewView) -> Response:
    """Keep a view. Sharing one takes the role annotator."""
    _may_share(asked, shared=body.shared)
    view = create_view(
        asked.services.records,
        project_id=asked.project_id,
        owner=asked.member.email,
        page=_known_page(body.page),
        name=body.name,
        query=place(body.query),
        shared=body.shared,
        now=asked.services.now(),
    )
    return json_response(_shown(asked, view), status=201)


def alter_view(asked: Asked, view_id: str, body: ViewChange) -> Response:
    """Rename a view, give it another query, share it or take it back. An admin may do so with every shared one."""
    _may_share(asked, shared=bool(body.shared))
    changes: dict[str, Any] = body.model_dump(exclude_none=True)
    if "query" in changes:
        changes["query"] = place(changes["query"])
    view = change_view(asked.services.records, _changeable(asked, view_id), changes, now=asked.services.now())
    return json_response(_shown(asked, view))


def drop_view(asked: Asked, view_id: str) -> Response:
    """Delete a view; an admin may delete every shared one."""
    return json_response(_shown(asked, remove_view(asked.services.records, _changeable(asked, view_id))))


def add_view_from_page(asked: Asked, form: Annotated[ViewForm, Form()]) -> Response:
    """Keep what the page shows; under a name of one's own that is there already, in its place."""

    def save() -> None:
        _may_share(asked, shared=form.shared)
        records, owner, now = asked.services.records, asked.member.email, asked.services.now()
        page, query, name = _known_page(form.page), place(form.query), " ".join(form.name.split())
        listed = list_views(records, project_id=asked.project_id, owner=owner, page=page)
        same = [view for view in listed if view.owner == owner and view.name == name]
        if same:
            change_view(records, same[0], {"query": query, "shared": form.shared}, now=now)
            return
        create_view(
            records,
            project_id=asked.project_id,
            owner=owner,
            page=page,
            name=name,
            query=query,
            shared=form.shared,
            now=now,
        )

    return _menu(asked, form, save)


def rename_view_from_page(asked: Asked, view_id: str, form: Annotated[ViewForm, Form()]) -> Response:
    records, now = asked.services.records, asked.services.now()
    return _menu(
        asked, form, lambda: change_view(records, _changeable(asked, view_id), {"name": form.name}, now=now)
    )


def drop_view_from_page(asked: Asked, view_id: str, form: Annotated[ViewForm, Form()]) -> Response:
    return _menu(asked, form, lambda: remove_view(asked.services.records, _changeable(asked, view_id)))


def _menu(asked: Visit, form: ViewForm, change: Callable[[], object]) -> Response:
    """Make the change and answer with the menu as it is then, or as it was with what went wrong."""
    problem: RatchetError | None = None
    try:
        change()
    except RatchetError as error:
        if not is_fragment(asked.request):
            raise
        problem = error
    page = _known_page(form.page)
    if not is_fragment(asked.request):
        return see_other(f"{page}?{place(form.query)}")
    menu = views_menu(asked.services, asked.member, page, form.query)
    answer = fragment(asked, "views.html", menu=menu, opened=True, problem=problem)
    answer.status_code = problem.status if problem else 200
    return answer


def _may_share(asked: Visit, *, shared: bool) -> None:
    if shared and asked.member.role < Role.ANNOTATOR:
        raise Forbidden(
            f"Sharing a view needs the role annotator; {asked.member.email} is {asked.member.role.label}.",
            "Keep it for yourself, or ask an admin of the project to change your role.",
        )


def _changeable(asked: Visit, view_id: str) -> View:
    """The view, if the asker may change it. Raises NotFound, Forbidden."""
    view = view_of(
        asked.services.records, project_id=asked.project_id, owner=asked.member.email, view_id=view_id
    )
    if view.owner != asked.member.email and asked.member.role < Role.ADMIN:
        raise Forbidden(
            f"The view {view.name!r} is {view.owner}'s.", "Save one of your own, or ask them or an admin."
        )
    return view


def _known_page(page: str) -> str:
    pages = [path for entry in navigation.ENTRIES for path in (entry.path, *entry.also)]
    if page not in pages:
        raise InvalidRequest(f"There is no page {page!r}.", f"It is one of {', '.join(pages)}.", param="page")
    return page


def _shown(asked: Visit, view: View) -> SavedView:
    return SavedView(
        id=view.id,
        page=view.page,
        name=view.name,
        query=view.query,
        address=view.address,
        owner=view.owner,
        shared=view.shared,
        mine=view.owner == asked.member.email,
        created=view.created,
        changed=view.changed,
    )
