"""The command palette: what it offers to whom, and what a pasted id stands for."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query
from starlette.responses import Response

from ratchet.store.records.views import list_views
from ratchet.store.spans import Found
from ratchet.studio import navigation
from ratchet.studio.rendering import json_response
from ratchet.studio.visiting import Asked

__all__ = ["Choice", "find_json", "palette_json"]

_PAGES = frozenset(entry.path for entry in navigation.ENTRIES)
# Where what was found is shown: its own page, and the filter of the trace list where there is none.
_SHOWN_AT = {
    "user": ("/users", "user"),
    "session": ("/sessions", "session"),
    "organisation": ("/organisations", "organisation"),
}


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the palette: it leads to `address`, or the page does `run` itself."""

    label: str
    group: str
    icon: str
    address: str = ""
    run: str = ""
    keys: str = ""
    words: str = ""


def palette_json(asked: Asked) -> Response:
    """Pages, saved views and actions that the asker's role may use."""
    member = asked.member
    pages = [
        Choice(entry.label, "Page", entry.icon, entry.path, keys=f"g {entry.key}", words=group)
        for group, entries in navigation.offered(member)
        for entry in entries
    ]
    views = [
        Choice(view.name, "View", "bookmark", view.address, words=view.page.strip("/"))
        for view in list_views(asked.services.records, project_id=asked.project_id, owner=member.email)
    ]
    actions = [
        Choice(action.label, "Action", action.icon, action.path, action.run, words=action.words)
        for action in navigation.ACTIONS
        if member.role >= action.role
    ]
    return json_response([*pages, *views, *actions])


def find_json(asked: Asked, text: Annotated[str, Query(min_length=1, max_length=500)]) -> Response:
    """What an id stands for: a trace, a span, a user, a session, an organisation. Nothing when it is none."""
    found = asked.services.spans().find(asked.project_id, text.strip())
    return json_response([_choice(one) for one in found])


def _choice(found: Found) -> Choice:
    if found.kind in ("trace", "span"):
        address = f"/traces/{found.trace_id}" + (f"?span={found.id}" if found.kind == "span" else "")
        return Choice(f"{found.kind.capitalize()} {found.id}", "Found", "traces", address)
    page, parameter = _SHOWN_AT[found.kind]
    if page in _PAGES:
        address = f"{page}/{quote(found.id, safe='')}"
    else:
        address = f"/traces?{urlencode({parameter: found.id, 'range': 'all'})}"
    return Choice(f"{found.kind.capitalize()} {found.id}", "Found", _ICONS[found.kind], address)


_ICONS = {"user": "users", "session": "sessions", "organisation": "users"}
