"""What an app that wants vectors calls the neutral form's fields, and what has the wrong type in its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ratchet.dialects.checking import INTEGER, LIST, TEXT, Kinds, check_entries, check_fields

__all__ = ["check_request", "field_name"]

_KINDS: dict[str, Kinds] = {
    "input": TEXT + LIST,
    "dimensions": INTEGER,
    "encoding_format": TEXT,
    "user": TEXT,
}


def check_request(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for the first of these fields of a request's body that has the wrong type."""
    check_fields(fields, _KINDS)
    given = fields.get("input")
    entries = cast("list[Any]", given) if isinstance(given, list) else []
    if not entries:
        return
    first = entries[0]
    # Texts, token ids of one text, or of several: what comes first says which.
    kind = TEXT if isinstance(first, str) else LIST if isinstance(first, list) else TEXT + INTEGER + LIST
    if isinstance(first, int) and not isinstance(first, bool):
        kind = INTEGER
    check_entries(entries, kind, "input")
    for number, entry in enumerate(entries):
        check_entries(entry, INTEGER, f"input[{number}]")


def field_name(wire: dict[str, Any], field: str) -> str:
    """The name that this dialect has for the neutral form's `field`, in a request with that body."""
    given = wire.get("input")
    entries = cast("list[Any]", given) if isinstance(given, list) else []
    if field.startswith("input[") and not (entries and isinstance(entries[0], list)):
        return "input"  # one text, or the token ids of one
    return field
