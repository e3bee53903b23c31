"""Single values of a request, checked as Anthropic checks them, in its words: `messages.0.role: Field required`.

Every function raises `Rejected`. `where` is the dotted path of the value.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from ratchet.simulator.anthropic.errors import refusal

__all__ = [
    "array",
    "at",
    "boolean",
    "integer",
    "literal",
    "need",
    "number",
    "object_at",
    "only",
    "string",
    "tagged",
]


def at(where: str, name: str | int) -> str:
    """The path of a value inside the one at `where`."""
    return f"{where}.{name}" if where else str(name)


def need(fields: dict[str, Any], name: str, where: str) -> Any:
    """The field's value, which has to be there."""
    if name not in fields:
        raise refusal(f"{at(where, name)}: Field required")
    return fields[name]


def only(fields: dict[str, Any], known: Collection[str], where: str) -> None:
    """Nothing but the known fields."""
    for name in fields:
        if name not in known:
            raise refusal(f"{at(where, name)}: Extra inputs are not permitted")


def object_at(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        prefix = f"{where}: " if where else ""
        raise refusal(f"{prefix}Input should be a valid dictionary or object to extract fields from")
    return cast("dict[str, Any]", value)


def array(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise refusal(f"{where}: Input should be a valid list")
    return cast("list[Any]", value)


def string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise refusal(f"{where}: Input should be a valid string")
    return value


def boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise refusal(f"{where}: Input should be a valid boolean")
    return value


def integer(value: Any, where: str, low: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(f"{where}: Input should be a valid integer")
    if low is not None and value < low:
        raise refusal(f"{where}: Input should be greater than or equal to {low}")
    return value


def number(value: Any, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refusal(f"{where}: Input should be a valid number")
    if value < low:
        raise refusal(f"{where}: Input should be greater than or equal to {low:g}")
    if value > high:
        raise refusal(f"{where}: Input should be less than or equal to {high:g}")
    return value


def literal(value: Any, options: Sequence[str], where: str) -> str:
    """One of the options."""
    if value not in options:
        shown = [f"'{option}'" for option in options]
        listed = ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else shown[0]
        raise refusal(f"{where}: Input should be {listed}")
    return value


def tagged(value: Any, tags: Collection[str], where: str) -> tuple[str, dict[str, Any]]:
    """An object told apart by its `type`: that and the object."""
    fields = object_at(value, where)
    tag = need(fields, "type", where)
    if not isinstance(tag, str) or tag not in tags:
        listed = ", ".join(f"'{name}'" for name in sorted(tags))
        raise refusal(
            f"{where}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {listed}"
        )
    return tag, fields
