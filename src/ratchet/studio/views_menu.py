"""The menu of saved views that stands on every list, made from the page's path and its query alone."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import msgspec

from ratchet.domain.access import Member, Role
from ratchet.domain.views import View
from ratchet.store.records.views import list_views
from ratchet.studio.services import StudioServices

__all__ = ["MenuEntry", "ViewsMenu", "place", "views_menu"]

# Where in a list one stood, and in which form: no part of what a view means.
_PASSING = frozenset({"offset", "limit", "format"})


class MenuEntry(msgspec.Struct, frozen=True):
    view: View
    current: bool
    changeable: bool


class ViewsMenu(msgspec.Struct, frozen=True):
    """`title` is the name of the view that is shown, or ""."""

    page: str
    query: str
    entries: list[MenuEntry]
    title: str
    may_share: bool
    me: str


def place(query: str) -> str:
    """A query without what is passing, in one order, so that two that mean the same are the same."""
    pairs = [(name, value) for name, value in parse_qsl(query) if name not in _PASSING]
    return urlencode(sorted(pairs))


def views_menu(services: StudioServices, member: Member, page: str, query: str) -> ViewsMenu:
    """The views of `page` that `member` may open, and which of them `query` is."""
    here = place(query)
    listed = list_views(services.records, project_id=services.project_id, owner=member.email, page=page)
    entries = [
        MenuEntry(
            view=view,
            current=view.query == here,
            changeable=view.owner == member.email or member.role >= Role.ADMIN,
        )
        for view in listed
    ]
    return ViewsMenu(
        page=page,
        query=here,
        entries=entries,
        title=next((entry.view.name for entry in entries if entry.current), ""),
        may_share=member.role >= Role.ANNOTATOR,
        me=member.email,
    )
