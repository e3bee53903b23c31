"""The pages that the side bar, the keyboard and the command palette lead to. One line a page; pure."""

from __future__ import annotations

from itertools import groupby

import msgspec

from ratchet.domain.access import Member, Role

__all__ = ["ACTIONS", "ENTRIES", "HOME", "Action", "Entry", "current", "offered"]


class Entry(msgspec.Struct, frozen=True):
    """One page. `key` is what follows `g` on the keyboard; `also` are addresses that count as this page's own."""

    path: str
    label: str
    icon: str  # a symbol of icons.svg
    key: str
    group: str
    role: Role = Role.VIEWER
    also: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether the page at `path` stands under this entry."""
        return any(path == own or path.startswith(f"{own}/") for own in (self.path, *self.also))


# In the order they are shown; entries of a group stand together. A page that is not built yet has no line here.
ENTRIES: tuple[Entry, ...] = (
    Entry("/overview", "Overview", "overview", "o", "Observe"),
    Entry("/traces", "Traces", "traces", "t", "Observe"),
    Entry("/sessions", "Sessions", "sessions", "s", "Observe"),
    Entry("/users", "Users", "users", "u", "Observe", also=("/organisations",)),
    Entry("/reliability", "Reliability", "reliability", "h", "Observe"),
    Entry("/prompts", "Prompts", "prompts", "w", "Improve"),
    Entry("/playground", "Playground", "playground", "y", "Improve", Role.DEVELOPER),
    Entry("/datasets", "Datasets", "dataset", "d", "Test"),
    Entry("/runs", "Runs", "runs", "n", "Test"),
    Entry("/releases", "Releases", "releases", "e", "Test"),
    Entry("/keys", "Keys", "key", "k", "Connect", Role.DEVELOPER),
    Entry("/providers", "Providers", "providers", "p", "Connect"),
    Entry("/routes", "Routes", "routes", "r", "Connect"),
    Entry("/models", "Models", "models", "l", "Connect"),
    Entry("/limits", "Limits and trust", "limits", "i", "Protect", also=("/segments",)),
    Entry("/budgets", "Budgets", "budgets", "b", "Protect"),
    Entry("/cache", "Cache", "cache", "c", "Protect"),
    Entry("/members", "Members", "members", "m", "Project", Role.ADMIN),
    Entry("/audit", "Audit", "audit", "a", "Project", Role.ADMIN),
    Entry("/settings", "Settings", "settings", ",", "Project"),
)  # fmt: skip


class Action(msgspec.Struct, frozen=True):
    """Something to do that the command palette offers: an address, or with `run` what the page itself does."""

    label: str
    icon: str
    path: str = ""
    run: str = ""  # theme | help | copy-address | sign-out: see `palette.js`
    role: Role = Role.VIEWER
    words: str = ""  # what else people may call it


# A page that can do something at an address of its own adds a line.
ACTIONS: tuple[Action, ...] = (
    Action("Failed traces of the last 24 hours", "alert", "/traces?status=error", words="errors broken"),
    Action(
        "Begin a draft in the playground",
        "plus",
        "/playground?new",
        role=Role.DEVELOPER,
        words="try prompt compare",
    ),
    Action("Release a version", "plus", "/releases?new", role=Role.DEVELOPER, words="promote canary label"),
    Action("Begin a run", "plus", "/runs?new", role=Role.DEVELOPER, words="test suite evaluate start"),
    Action("Make a key", "plus", "/keys?new", role=Role.DEVELOPER, words="create new api"),
    Action("Add a provider", "plus", "/providers?new", role=Role.DEVELOPER, words="create new declare"),
    Action("Add a route", "plus", "/routes?new", role=Role.DEVELOPER, words="create new declare model"),
    Action("Add a limit", "plus", "/limits?new", role=Role.DEVELOPER, words="create new rate throttle"),
    Action("Add a budget", "plus", "/budgets?new", role=Role.DEVELOPER, words="create new money spend"),
    Action("Recommend a model", "models", "/models/recommend", words="choose base compare price"),
    Action("Make a dataset", "plus", "/datasets?new", role=Role.ANNOTATOR, words="create new test cases"),
    Action("Write a prompt", "plus", "/prompts?new", role=Role.DEVELOPER, words="create new template"),
    Action("Invite someone", "plus", "/members?new", role=Role.ADMIN, words="create new member user"),
    Action(
        "Block somebody",
        "lock",
        "/limits?decide&action=block",
        role=Role.DEVELOPER,
        words="ban user abuse standing",
    ),
    Action(
        "Raise somebody’s limits",
        "up",
        "/limits?decide&action=raise",
        role=Role.DEVELOPER,
        words="more room standing",
    ),
    Action("Change the colour theme", "half", run="theme", words="dark light"),
    Action("Copy this page's address", "copy", run="copy-address", words="link share url"),
    Action("Keyboard shortcuts", "keyboard", run="help", words="help keys"),
    Action("Sign out", "out", run="sign-out", words="log off leave"),
)

HOME = ENTRIES[0].path


def current(path: str) -> Entry | None:
    """The entry that the page at `path` stands under."""
    return next((entry for entry in ENTRIES if entry.holds(path)), None)


def offered(member: Member | None) -> list[tuple[str, list[Entry]]]:
    """The groups with the entries that `member` may use; nothing for nobody."""
    if member is None:
        return []
    may = [entry for entry in ENTRIES if member.role >= entry.role]
    return [(group, list(entries)) for group, entries in groupby(may, key=lambda entry: entry.group)]
