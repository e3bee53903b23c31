"""JSON Lines: one object a line, with a case's fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.datasets.formats.row import Row, Rows, Unreadable
from ratchet.domain.cases import Case

__all__ = ["fields_of", "objects", "read", "text_of", "write"]


def text_of(content: bytes) -> str:
    """UTF-8, with or without the mark that some editors put first. Raises Unreadable."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"line {line}", "This is not UTF-8 text.", "Save the file as UTF-8.") from error


def objects(content: bytes) -> list[Row]:
    """Every line that is not empty. Raises Unreadable."""
    rows: list[Row] = []
    # Not `splitlines`: JSON texts may hold line separators that are none here.
    for number, line in enumerate(text_of(content).split("\n"), 1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            found: Any = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unreadable(
                place, f"This is not JSON: {error}.", "Write one JSON object on each line."
            ) from error
        if not isinstance(found, dict):
            raise Unreadable(
                place, "This is not a JSON object.", 'Write a line such as {"input": "…", "reference": "…"}.'
            )
        rows.append(Row(place, cast("dict[str, Any]", found)))
    return rows


def read(content: bytes) -> Rows:
    return Rows(objects(content))


def fields_of(case: Case) -> dict[str, Any]:
    """A case's fields, without those that say nothing. `origin` is always said: a file's default is another one."""
    return {**msgspec.to_builtins(case), "origin": case.origin}


def write(cases: Sequence[Case]) -> bytes:
    return b"".join(msgspec.json.encode(fields_of(case)) + b"\n" for case in cases)
