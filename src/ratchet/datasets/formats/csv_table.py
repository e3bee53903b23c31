"""CSV: one row a case, with a header. `input_json` and `reference_json` hold what is not a text.

What a spreadsheet would run as a formula gets an apostrophe when it is written, and loses it when it is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.datasets.formats.columns import COLUMNS, cells_of, fields_of_cells
from ratchet.datasets.formats.jsonl import text_of
from ratchet.datasets.formats.row import Row, Rows, Unreadable
from ratchet.domain.cases import Case

__all__ = ["read", "write"]

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_DEFUSED = re.compile(r"'+[=+\-@\t\r\n]")
_LONGEST_CELL = 2**31 - 1  # the csv module's own limit is 128 KiB, less than one long document


def read(content: bytes) -> Rows:
    text = text_of(content)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[Row] = []
    header: list[str] = []
    began = 1
    try:
        for cells in reader:
            place, began = f"line {began}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(place, cells)
                continue
            if len(cells) > len(header):
                raise Unreadable(
                    place,
                    f"There are {len(cells)} cells under {len(header)} columns.",
                    "Put a cell that holds a comma into double quotes.",
                )
            named = {name: _armed(cell) for name, cell in zip(header, cells, strict=False)}
            rows.append(Row(place, fields_of_cells(place, named)))
    except csv.Error as error:
        raise Unreadable(
            f"line {began}",
            f"This is not CSV: {error}.",
            "Put cells with commas or quotes into double quotes.",
        ) from error
    return Rows(rows)


def write(cases: Sequence[Case]) -> bytes:
    rows = [cells_of(case) for case in cases]
    used = [name for name in COLUMNS if name in ("id", "input") or any(name in row for row in rows)]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(used)
    writer.writerows([_defused(_text(row.get(name))) for name in used] for row in rows)
    return out.getvalue().encode()


def _header(place: str, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    header = [name.lower() if name.lower() in COLUMNS else name for name in header]
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated:
        raise Unreadable(
            place, f"The column {min(repeated)!r} is there more than once.", "Give each column one name."
        )
    return header


def _delimiter(text: str) -> str:
    """A comma, unless the header has none and has semicolons or tabs, as some spreadsheets write."""
    header = text.lstrip().partition("\n")[0]
    return next((mark for mark in ",;\t" if mark in header), ",")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return _tags(cast("list[str]", value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _tags(tags: list[str]) -> str:
    """With commas between them, where that can be read back."""
    simple = all(tag and tag == tag.strip() and "," not in tag and not tag.startswith("[") for tag in tags)
    return ", ".join(tags) if simple else msgspec.json.encode(tags).decode()


def _defused(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _armed(cell: str) -> str:
    return cell[1:] if _DEFUSED.match(cell) else cell
