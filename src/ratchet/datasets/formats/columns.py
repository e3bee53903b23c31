"""A case as columns of a table, which CSV and Parquet share."""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.datasets.formats.jsonl import fields_of
from ratchet.datasets.formats.row import Unreadable
from ratchet.domain.cases import Case

__all__ = ["COLUMNS", "cells_of", "fields_of_cells"]

# A text stands in `input`, everything else as JSON in `input_json`: a text that looks like JSON stays a text.
COLUMNS = (
    "id",
    "input",
    "input_json",
    "reference",
    "reference_json",
    *(name for name in Case.__struct_fields__ if name not in ("id", "input", "reference")),
)
_AS_JSON = ("input", "reference")


def cells_of(case: Case) -> dict[str, Any]:
    """The columns that this case fills. `metadata` is JSON text, `tags` a list, `accepted` a boolean."""
    cells = fields_of(case)
    for name in _AS_JSON:
        value = cells.get(name)
        # An empty cell says nothing, so an empty text is said as JSON.
        if value is not None and (not isinstance(value, str) or value == ""):
            cells[f"{name}_json"] = msgspec.json.encode(value).decode()
            del cells[name]
    if "metadata" in cells:
        cells["metadata"] = msgspec.json.encode(cells["metadata"]).decode()
    return cells


def fields_of_cells(place: str, cells: dict[str, Any]) -> dict[str, Any]:
    """What the cells say, as fields of a case; empty ones say nothing. Raises Unreadable."""
    fields = {name: value for name, value in cells.items() if name and value is not None and value != ""}
    for name in _AS_JSON:
        if (text := fields.pop(f"{name}_json", None)) is not None:
            if name in fields:
                raise Unreadable(
                    place, f"Both {name} and {name}_json are filled.", "Leave one of the two empty."
                )
            fields[name] = _json(place, f"{name}_json", text)
    metadata = fields.get("metadata")
    if isinstance(metadata, str):
        fields["metadata"] = _json(place, "metadata", metadata)
    tags = fields.get("tags")
    if isinstance(tags, str):
        fields["tags"] = (
            _json(place, "tags", tags)
            if tags.startswith("[")
            else [tag.strip() for tag in tags.split(",") if tag.strip()]
        )
    accepted = fields.get("accepted")
    if isinstance(accepted, str) and accepted.lower() in ("true", "false"):
        fields["accepted"] = accepted.lower() == "true"
    return fields


def _json(place: str, name: str, text: Any) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, TypeError) as error:
        raise Unreadable(place, f"{name} is not JSON: {error}.", f"Write JSON into {name}.") from error
