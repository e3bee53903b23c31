"""A number and its noun, for sentences that people read."""

from __future__ import annotations

__all__ = ["plural"]


def plural(value: int, one: str, many: str = "") -> str:
    """`1 span`, `2 spans`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"
