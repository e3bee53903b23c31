"""What a pasted id stands for."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import re

from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.rows import Found

__all__ = ["find"]

_TRACE_ID, _SPAN_ID = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")
_NAMES = {"user": "user_id", "session": "session_id", "organisation": "organisation_id"}


def find(pool: ClientPool, project_id: str, text: str) -> list[Found]:
    """Every kind that has this very id; for ids in hex digits their case does not matter. Each is one look-up in an
    index, so it is quick with many spans."""
    if not text:
        return []
    found: list[Found] = []
    digits = text.lower()
    if _TRACE_ID.fullmatch(digits) and _rows(pool, project_id, "trace_id", digits):
        found.append(Found(kind="trace", id=digits, trace_id=digits))
    if _SPAN_ID.fullmatch(digits):
        found += [
            Found(kind="span", id=digits, trace_id=trace_id)
            for trace_id in _rows(pool, project_id, "span_id", digits)
        ]
    found += [
        Found(kind=kind, id=text) for kind, column in _NAMES.items() if _rows(pool, project_id, column, text)
    ]
    return found


def _rows(pool: ClientPool, project_id: str, column: str, value: str) -> list[str]:
    """The trace of one span where `column` is `value`, if there is one."""
    sql = f"SELECT trace_id FROM spans WHERE project_id = {{project:String}} AND {column} = {{value:String}} LIMIT 1"
    return [row[0] for row in pool.select(sql, {"project": project_id, "value": value})]
