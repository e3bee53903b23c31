"""Who changed what: the rows of the audit log. Times are nanoseconds since the epoch, UTC."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["SYSTEM", "Actor", "AuditRow"]


class Actor(msgspec.Struct, frozen=True):
    """On whose behalf something happens: a member's e-mail address, `local` for the command line on the same machine,
    "" for somebody who has not signed in, or `ratchet` for what it does by itself."""

    who: str
    via: str = ""  # page | api | command; "" where nobody asked
    address: str = ""  # the other end of the connection: a proxy's where there is one
    time: int | None = None  # None: whenever it is written down


SYSTEM = Actor("ratchet")


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or an attempt to sign in. `before` and `after` hold what differs, and never a secret.

    `action` is a noun and what became of it: `key.created`, `provider.changed`, `member.deleted`, `sign_in.failed`.
    """

    id: int
    time: int
    who: str
    via: str
    address: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
