"""What a role knows better than a schema's names tell: looked at before a property is filled from what was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["NOTHING", "Knowing"]

NOTHING: Any = object()


class Knowing(Protocol):
    """One object's worth of knowledge. What it says is used where the schema allows it."""

    def value(self, name: str, schema: dict[str, Any]) -> Any:
        """What stands under `name`, or NOTHING."""
        ...

    def items(self, name: str, schema: dict[str, Any]) -> Sequence[Knowing] | None:
        """What the items of the list `name` know, one each; None where it says nothing about that list."""
        ...
