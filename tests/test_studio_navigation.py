"""The navigation names pages that exist, to those who may open them."""

from __future__ import annotations

import re

import pytest

from ratchet.domain.access import Member, Role
from ratchet.studio.navigation import ENTRIES, HOME, current, offered
from ratchet.studio.routes import ENDPOINTS


def member(role: Role) -> Member:
    return Member(id="m", email="m@example.org", project_id="p", role=role, created=0, has_password=True)


def test_every_entry_is_a_page_with_the_same_role() -> None:
    pages = {endpoint.path: endpoint.role for endpoint in ENDPOINTS if endpoint.method == "GET"}
    assert {entry.path: entry.role for entry in ENTRIES}.items() <= pages.items()
    assert all(path in pages for entry in ENTRIES for path in entry.also)
    assert pages[HOME] == Role.VIEWER, "everyone who signs in begins here"


def test_keys_are_letters_of_their_own() -> None:
    keys = [entry.key for entry in ENTRIES]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z,]", key) and key != "g" for key in keys)


def test_entries_of_a_group_stand_together() -> None:
    groups = [group for group, _ in offered(member(Role.ADMIN))]
    assert len(set(groups)) == len(groups)


@pytest.mark.parametrize("role", list(Role))
def test_a_member_is_offered_what_the_role_may_open(role: Role) -> None:
    seen = {entry.path for _, entries in offered(member(role)) for entry in entries}
    assert seen == {entry.path for entry in ENTRIES if role >= entry.role}
    assert offered(None) == []


def test_a_page_stands_under_its_entry() -> None:
    traces = current("/traces/abc/spans/def")
    assert traces is not None
    assert traces.path == "/traces"
    assert current("/tracesque") is None
