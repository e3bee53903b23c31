"""Saved views: a list's filters, range and order under a name, for one member or for the whole project."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, delete, insert, or_, select, update

from ratchet.domain.views import View
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.secret import new_id

__all__ = ["change_view", "create_view", "list_views", "remove_view", "view_of"]

MAX_VIEWS = 200  # that one member can see; more would be no list but a search problem
_views = schema.saved_views


def list_views(records: Records, *, project_id: str, owner: str, page: str = "") -> list[View]:
    """What `owner` may open: their own and those that are shared, by name. `page` "" means of every page."""
    query = select(_views).where(_views.c.project_id == project_id, _seen_by(owner))
    if page:
        query = query.where(_views.c.page == page)
    with records.read() as connection:
        found = [_view(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda view: (view.page, view.name.casefold(), view.id))


def view_of(records: Records, *, project_id: str, owner: str, view_id: str) -> View:
    """One that `owner` may open. Raises NotFound."""
    query = select(_views).where(_views.c.project_id == project_id, _views.c.id == view_id, _seen_by(owner))
    with records.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"There is no view {view_id!r}.", "GET /api/views lists yours and the shared ones.")
    return _view(row)


def create_view(
    records: Records, *, project_id: str, owner: str, page: str, name: str, query: str, shared: bool, now: int
) -> View:
    """Raises InvalidRequest for a name that is none, Conflict for one that `owner` has on this page already."""
    view = View(
        id=new_id(),
        project_id=project_id,
        page=page,
        name=_checked(name),
        query=query,
        owner=owner,
        shared=shared,
        created=now,
        changed=now,
    )
    if len(list_views(records, project_id=project_id, owner=owner)) >= MAX_VIEWS:
        raise Conflict(f"There are {MAX_VIEWS} views already.", "Delete one that nobody uses.")
    with records.write() as connection:
        _refuse_taken(connection, view)
        connection.execute(
            insert(_views).values(**{field: getattr(view, field) for field in View.__struct_fields__})
        )
    return view


def change_view(records: Records, view: View, changes: dict[str, Any], *, now: int) -> View:
    """`changes` may hold `name`, `query` and `shared`. Raises InvalidRequest, Conflict, or NotFound when it is gone."""
    kept = {name: value for name, value in changes.items() if value is not None}
    if "name" in kept:
        kept["name"] = _checked(kept["name"])
    changed = msgspec.structs.replace(view, **kept, changed=now)
    with records.write() as connection:
        _refuse_taken(connection, changed)
        done = connection.execute(update(_views).where(_views.c.id == view.id).values(**kept, changed=now))
        if not done.rowcount:
            raise NotFound(f"There is no view {view.id!r} any more.", "Someone deleted it; save it again.")
    return changed


def remove_view(records: Records, view: View) -> View:
    """Deleting twice changes nothing."""
    with records.write() as connection:
        connection.execute(delete(_views).where(_views.c.id == view.id))
    return view


def _refuse_taken(connection: Any, view: View) -> None:
    taken = select(_views.c.id).where(
        _views.c.project_id == view.project_id,
        _views.c.page == view.page,
        _views.c.owner == view.owner,
        _views.c.name == view.name,
        _views.c.id != view.id,
    )
    if connection.scalar(taken) is not None:
        raise Conflict(
            f"You have a view named {view.name!r} on this page already.",
            "Choose another name, or change that one.",
        )


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 80:
        raise InvalidRequest(
            f"A view's name can't be {name[:80]!r}.", "Give 1 to 80 characters.", param="name"
        )
    return name


def _seen_by(owner: str) -> ColumnElement[bool]:
    return or_(_views.c.owner == owner, _views.c.shared.is_(True))


def _view(row: RowMapping) -> View:
    return View(**{field: row[field] for field in View.__struct_fields__})
