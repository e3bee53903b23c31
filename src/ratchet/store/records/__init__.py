"""Records: projects, members, keys. SQLite in the data directory, or PostgreSQL."""

from __future__ import annotations

from ratchet.store.records.engine import DEFAULT_PROJECT, Records

__all__ = ["DEFAULT_PROJECT", "Records"]
