"""Providers and routes that members declare in the studio, beside those of `ratchet.toml`."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Declaration", "Declarations"]


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One provider or route. Times are nanoseconds since the epoch; `settings` holds what `ratchet.toml` would say.

    Secrets are references (`env:NAME`) there, never values.
    """

    project_id: str
    name: str
    settings: dict[str, Any]
    created: int
    created_by: str
    updated: int
    updated_by: str


class Declarations(msgspec.Struct, frozen=True):
    """Everything declared in the studio at one moment."""

    providers: tuple[Declaration, ...] = ()
    routes: tuple[Declaration, ...] = ()
