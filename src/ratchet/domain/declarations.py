"""What members declare in the studio, beside what `ratchet.toml` declares: providers, routes, limits, segments, budgets."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["KINDS", "Declaration", "Declarations", "DeclaredKind"]

DeclaredKind = Literal["provider", "route", "limit", "segment", "budget"]
KINDS: tuple[DeclaredKind, ...] = ("provider", "route", "limit", "segment", "budget")


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. Times are nanoseconds since the epoch; `settings` holds what `ratchet.toml` would say.

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
    limits: tuple[Declaration, ...] = ()
    segments: tuple[Declaration, ...] = ()
    budgets: tuple[Declaration, ...] = ()

    def of(self, kind: DeclaredKind) -> tuple[Declaration, ...]:
        """Those of one kind."""
        return getattr(self, f"{kind}s")

    def replacing(self, kind: DeclaredKind, others: tuple[Declaration, ...]) -> Declarations:
        """The same, with `others` for those of one kind."""
        return msgspec.structs.replace(self, **{f"{kind}s": others})
