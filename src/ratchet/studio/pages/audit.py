"""The audit log: who changed what, with files of it. Admins only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from ratchet.domain.auditing import AuditRow
from ratchet.errors import InvalidRequest
from ratchet.store.records import schema
from ratchet.store.records.auditing import AuditFilter, audit_rows, count_audit
from ratchet.studio.description import Parameter
from ratchet.studio.exports import EXPORT_ROWS, FORMAT, Column, export, export_format, moment
from ratchet.studio.filters import parse_time
from ratchet.studio.listing import whole
from ratchet.studio.rendering import json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = ["AUDIT_QUERY", "AuditPage", "Change", "audit_json", "audit_page"]

_PAGE = 50
_BATCH = 2000
_MOMENTS = ("created", "expires", "revoked")
_SAID_ALREADY = frozenset({"name", "email", "created", "created_by", "author", "hash", "number"})
_TEXTS = ("q", "who", "action", "address")
AUDIT_QUERY = (
    Parameter("q", "Words in what was changed."),
    Parameter(
        "who", "A member's address, `local` for the command line, or `ratchet` for what it did by itself."
    ),
    Parameter("action", "A noun such as `key`, or one thing that becomes of it, such as `key.created`."),
    Parameter("address", "Where it was asked from."),
    Parameter("since", "From this moment on: ISO 8601, or nanoseconds since the epoch."),
    Parameter("until", "Up to this moment."),
    Parameter("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": _PAGE}),
    Parameter("offset", "How many to skip.", {"type": "integer", "minimum": 0, "default": 0}),
    FORMAT,
)
_COLUMNS: tuple[Column[AuditRow], ...] = (
    Column("time", lambda row: moment(row.time)),
    Column("who", lambda row: row.who),
    Column("via", lambda row: row.via),
    Column("address", lambda row: row.address),
    Column("action", lambda row: row.action),
    Column("subject", lambda row: row.subject),
    Column("before", lambda row: row.before),
    Column("after", lambda row: row.after),
    Column("id", lambda row: row.id),
)


class AuditPage(msgspec.Struct, frozen=True):
    """Newest first; `total` is how many match."""

    rows: list[AuditRow]
    total: int


class Change(msgspec.Struct, frozen=True):
    """One field of a row, as people read it. "" where there was or is nothing."""

    name: str
    before: str
    after: str


def audit_json(asked: Asked) -> Response:
    """Who changed what, newest first."""
    if export_format(asked):
        return _export(asked)
    return json_response(_found(asked))


def audit_page(asked: Asked) -> Response:
    """The list with its filters; with `?format=` the file of it."""
    if export_format(asked):
        return _export(asked)
    found = _found(asked)
    given = {
        name: value.strip()
        for name, value in asked.request.query_params.items()
        if value.strip() and name != "offset"
    }
    offset = whole(asked.request.query_params, "offset", 0, at_least=0, at_most=10**9)

    def href(**changes: Any) -> str:
        kept = {name: value for name, value in {**given, **changes}.items() if value not in ("", 0, None)}
        return f"/audit?{urlencode(kept)}" if kept else "/audit"

    return page(
        asked,
        "audit.html",
        rows=[(row, _changes(row)) for row in found.rows],
        total=found.total,
        given=given,
        nouns=sorted({str(table.info["audited"]) for table in _audited_tables()} | {"sign_in", "sign_out"}),
        href=href,
        offset=offset,
        size=_PAGE,
    )


def _audited_tables() -> list[Any]:
    return [table for table in schema.metadata.tables.values() if "audited" in table.info]


def _found(asked: Visit) -> AuditPage:
    params = asked.request.query_params
    chosen = _filter(params)
    limit = whole(params, "limit", _PAGE, at_least=1, at_most=1000)
    offset = whole(params, "offset", 0, at_least=0, at_most=10**9)
    with asked.services.records.read() as connection:
        rows = audit_rows(connection, chosen, project_id=asked.project_id, limit=limit, offset=offset)
        return AuditPage(rows, count_audit(connection, chosen, project_id=asked.project_id))


def _filter(params: Mapping[str, str]) -> AuditFilter:
    """Raises InvalidRequest naming the parameter."""
    text, who, action, address = (params.get(name, "").strip() for name in _TEXTS)
    since, until = (
        parse_time(name, params[name].strip()) if params.get(name, "").strip() else None
        for name in ("since", "until")
    )
    if since is not None and until is not None and since >= until:
        raise InvalidRequest("since is not before until.", "Swap them, or leave one out.", param="since")
    return AuditFilter(text=text, who=who, action=action, address=address, since=since, until=until)


def _export(asked: Visit) -> Response:
    chosen = _filter(asked.request.query_params)
    with asked.services.records.read() as connection:
        total = count_audit(connection, chosen, project_id=asked.project_id)

    def batches() -> Iterator[Sequence[AuditRow]]:
        for offset in range(0, min(total, EXPORT_ROWS), _BATCH):
            with asked.services.records.read() as connection:
                yield audit_rows(connection, chosen, project_id=asked.project_id, limit=_BATCH, offset=offset)

    return export(asked, "audit", _COLUMNS, batches(), total=total)


def _changes(row: AuditRow) -> list[Change]:
    """What differs, field by field; settings are told one by one. Of what is new or gone, what its row does not say."""
    before, after = _flat(row.before), _flat(row.after)
    whole_row = row.before is None or row.after is None
    return [
        Change(name.removeprefix("settings."), before.get(name, ""), after.get(name, ""))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name) and not (whole_row and name in _SAID_ALREADY)
    ]


def _flat(found: Mapping[str, Any] | None, within: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in (found or {}).items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{within}{name}.")  # pyright: ignore[reportUnknownArgumentType]  # JSON
        elif name in _MOMENTS and isinstance(value, int):
            flat[within + name] = (moment(value) or "")[:19].replace("T", " ")
        elif value not in (None, "", []):
            flat[within + name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return flat
