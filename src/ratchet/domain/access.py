"""Who may do what: projects, members and their roles, keys.

Times are nanoseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import enum

import msgspec

__all__ = ["Key", "Member", "Project", "Role"]


class Role(enum.IntEnum):
    """Each role may do everything the one below it may."""

    VIEWER = 1  # reads
    ANNOTATOR = 2  # adds scores
    DEVELOPER = 3  # manages keys
    ADMIN = 4  # manages members

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: str) -> Role:
        """The role called `name`. Raises KeyError for any other word."""
        return cls[name.upper()]


class Project(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created: int


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person with an account, and their role in one project."""

    id: str
    email: str
    project_id: str
    role: Role
    created: int
    has_password: bool


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What an app shows the gateway. The secret itself is not here: only its SHA-256 is kept, in `secret_hash`.

    A server's key may speak for the app's users. A publishable one lives in browsers, where anybody can read it: it
    counts at its `origins` only, and what comes with it about users is not believed.
    """

    id: str
    project_id: str
    name: str
    prefix: str  # the first characters, so that people can tell their keys apart
    secret_hash: str
    routes: list[str]  # what it may ask for as `model`; empty: everything
    created: int
    created_by: str
    expires: int | None = None
    revoked: int | None = None
    publishable: bool = False
    origins: list[str] = []  # where a publishable one is at home, as browsers write it
    signing_secret: str = (
        ""  # of a publishable one, in hex: signs its challenges and passes, and never leaves
    )

    def state(self, now: int) -> str:
        """active, expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "active"
