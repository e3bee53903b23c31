"""Who is behind a request, as far as the app says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["NOBODY", "Caller", "caller_of"]


class Caller(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The app's own people, named by the app. "" where it does not say."""

    user: str = ""
    organisation: str = ""
    session: str = ""
    ip: str = ""
    fingerprint: str = ""


NOBODY = Caller()


def caller_of(user: str, metadata: Mapping[str, str] | None) -> Caller:
    """From the request's `user` and `metadata`, which are believed from keys that may speak for their users."""
    if not metadata:
        return Caller(user=user) if user else NOBODY
    return Caller(
        user=user,
        organisation=metadata.get("organisation") or metadata.get("organization") or "",
        session=metadata.get("session_id", ""),
        ip=metadata.get("client_ip", ""),
        fingerprint=metadata.get("fingerprint", ""),
    )
