"""The audit log: a row for every change to what an admin cares about, written in the change's own transaction.

No function that changes something has to think of it. Tables that are worth it say so in the schema (`audited`), and
every statement that changes one of them leaves rows here, whoever wrote it. Rows are never changed and never deleted:
the database refuses it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Engine,
    Insert,
    Table,
    Update,
    event,
    func,
    insert,
    select,
)

from ratchet.domain.access import Role
from ratchet.domain.auditing import SYSTEM, Actor, AuditRow
from ratchet.store.records import schema

__all__ = ["AuditFilter", "acting", "actor", "audit_rows", "count_audit", "note", "watch"]

_ACTOR: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)
_SECRET = "…"  # noqa: S105 - stands for one
_LONGEST = 2000  # characters of a text
_PLUMBING = frozenset(
    {"id", "project_id", "member_id", "prompt_id", "updated", "updated_by", "secret_hash", "token_hash"}
)
_HELD = "ratchet.audit"
_MOST = 1000  # rows that are written at once


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows; "" and None for all. `text` stands somewhere in the subject, `action` is one or a noun's all."""

    who: str = ""
    action: str = ""
    text: str = ""
    address: str = ""
    since: int | None = None
    until: int | None = None


@contextlib.contextmanager
def acting(who: Actor) -> Generator[None]:
    """Whatever changes in here was done by `who`."""
    token = _ACTOR.set(who)
    try:
        yield
    finally:
        _ACTOR.reset(token)


def actor() -> Actor:
    """On whose behalf this runs."""
    return _ACTOR.get()


def note(
    connection: Connection,
    action: str,
    subject: str,
    *,
    project_id: str,
    who: str | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down something that is no change to a table, such as a sign-in; `who` where that is only now known."""
    _write(connection, [_row(project_id, action, subject, None, dict(after) if after else None, who)])


def audit_rows(
    connection: Connection, asked: AuditFilter, *, project_id: str, limit: int, offset: int = 0
) -> list[AuditRow]:
    """Newest first."""
    table = schema.audit
    query = (
        select(table)
        .where(*_where(asked, project_id))
        .order_by(table.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return [
        AuditRow(**{field: row[field] for field in AuditRow.__struct_fields__})
        for row in connection.execute(query).mappings()
    ]


def count_audit(connection: Connection, asked: AuditFilter, *, project_id: str) -> int:
    query = select(func.count()).select_from(schema.audit).where(*_where(asked, project_id))
    return int(connection.scalar(query) or 0)


def _where(asked: AuditFilter, project_id: str) -> list[ColumnElement[bool]]:
    columns = schema.audit.c
    found: list[ColumnElement[bool]] = [columns.project_id == project_id]
    if asked.who:
        found.append(columns.who == asked.who)
    if asked.action:
        whole = columns.action == asked.action
        found.append(
            whole if "." in asked.action else columns.action.startswith(f"{asked.action}.", autoescape=True)
        )
    if asked.text:
        found.append(columns.subject.icontains(asked.text, autoescape=True))
    if asked.address:
        found.append(columns.address == asked.address)
    if asked.since is not None:
        found.append(columns.time >= asked.since)
    if asked.until is not None:
        found.append(columns.time < asked.until)
    return found


# -- watching --------------------------------------------------------------------------------------------------------


def watch(engine: Engine) -> None:
    """From now on, changes through this engine are written down."""
    event.listen(engine, "before_execute", _before)
    event.listen(engine, "after_execute", _after)


def _audited(statement: Any) -> Table[Any] | None:
    if isinstance(statement, Insert | Update | Delete) and isinstance(statement.table, Table):
        return statement.table if "audited" in statement.table.info else None  # pyright: ignore[reportUnknownVariableType]
    return None


def _before(connection: Connection, statement: Any, many: Any, one: Any, _options: Any) -> None:
    """What is about to be changed is looked at while it is still there."""
    table = _audited(statement)
    if table is not None and not isinstance(statement, Insert):
        query = select(table)
        if statement.whereclause is not None:
            query = query.where(statement.whereclause)
        rows: list[dict[str, Any]] = []
        parameters: list[dict[str, Any]] = many or [one or {}]
        for values in parameters:
            rows += [dict(row) for row in connection.execute(query, values).mappings()]
        connection.info[_HELD] = (statement, rows)


def _after(connection: Connection, statement: Any, many: Any, one: Any, _options: Any, _result: Any) -> None:
    table = _audited(statement)
    if table is None:
        return
    if isinstance(statement, Insert):
        rows = many or [one or statement.compile(dialect=connection.dialect).params]
        changes = [(None, dict(row)) for row in rows]
    else:
        held, befores = connection.info.pop(_HELD, (None, []))
        if held is not statement:
            return
        changes = [
            (before, None if isinstance(statement, Delete) else _again(connection, table, before))
            for before in befores
        ]
    _write(connection, [row for before, after in changes if (row := _told(connection, table, before, after))])


def _again(connection: Connection, table: Table[Any], before: Mapping[str, Any]) -> dict[str, Any] | None:
    query = select(table).where(*[column == before[column.name] for column in table.primary_key])
    row = connection.execute(query).mappings().first()
    return None if row is None else dict(row)


def _told(
    connection: Connection, table: Table[Any], before: dict[str, Any] | None, after: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The row for one changed row; None where nothing that counts has changed."""
    row = after or before or {}
    if "unless_by" in table.info and row["created_by"] == table.info["unless_by"]:
        return None
    if before is None and "label" in row:
        return _moved(connection, row)
    verb = "created" if before is None else "deleted" if after is None else "changed"
    shown_before, shown_after = _shown(table, before), _shown(table, after)
    if before is not None and after is not None:
        changed = {name for name in before if before[name] != after.get(name)} - _PLUMBING
        differ = {_value(name, after[name])[0] for name in changed}
        if not differ:
            return None
        shown_before = {name: value for name, value in shown_before.items() if name in differ}
        shown_after = {name: value for name, value in shown_after.items() if name in differ}
    project_id, subject = _about(connection, row)
    return _row(
        project_id, f"{table.info['audited']}.{verb}", subject, shown_before or None, shown_after or None
    )


def _moved(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """A label's release: a row of its own each time, which takes the place of the one before."""
    releases = schema.releases.c
    earlier = connection.execute(
        select(releases.split, releases.canary)
        .where(
            releases.prompt_id == row["prompt_id"],
            releases.label == row["label"],
            releases.number < row["number"],
        )
        .order_by(releases.number.desc())
        .limit(1)
    ).first()
    project_id, subject = _about(connection, row)
    before = None if earlier is None else {"split": earlier.split, "canary": earlier.canary}
    after = {name: row[name] for name in ("split", "canary", "message", "gate_run_id", "restores")}
    return _row(
        project_id, "release.created" if before is None else "release.changed", subject, before, after
    )


def _shown(table: Table[Any], row: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a row may stand in the log: no secret, not even its hash, and no more of a text than one reads."""
    hidden = table.info.get("left_out", ())
    return dict(
        _value(name, value)
        for name, value in (row or {}).items()
        if name not in _PLUMBING and name not in hidden
    )


def _value(name: str, value: Any) -> tuple[str, Any]:
    """The field as the log has it."""
    if name == "password_hash":
        return "password", _SECRET if value else None
    if name == "role":
        return name, Role(value).label
    if isinstance(value, str) and len(value) > _LONGEST:
        return name, f"{value[:_LONGEST]}… ({len(value):,} characters)"
    return name, value


def _about(connection: Connection, row: Mapping[str, Any]) -> tuple[str, str]:
    """The project, and the name by which people know it."""
    project_id = str(row.get("project_id") or "")
    if "prompt_id" in row:
        prompts = schema.prompts.c
        found = connection.execute(
            select(prompts.project_id, prompts.name).where(prompts.id == row["prompt_id"])
        ).first()
        project_id, name = (found[0], found[1]) if found else ("", "")
        return project_id, f"{name}@{row['label']}" if "label" in row else f"{name}#{row['number']}"
    email = str(row.get("email") or "")
    if "member_id" in row:
        email = str(
            connection.scalar(select(schema.members.c.email).where(schema.members.c.id == row["member_id"]))
            or ""
        )
    if not project_id:
        member_id = row.get("member_id") or row.get("id")
        project_id = str(
            connection.scalar(
                select(schema.memberships.c.project_id)
                .where(schema.memberships.c.member_id == member_id)
                .limit(1)
            )
            or ""
        )
    name = str(row.get("name") or "")
    return project_id, f"{email} ({name})" if email and name else email or name


def _row(
    project_id: str,
    action: str,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    who: str | None = None,
) -> dict[str, Any]:
    by = _ACTOR.get()
    return {
        "project_id": project_id or "default",
        "time": time.time_ns() if by.time is None else by.time,
        "who": by.who if who is None else who,
        "via": by.via,
        "address": by.address,
        "action": action,
        "subject": subject[:400],
        "before": before,
        "after": after,
    }


def _write(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    for begin in range(0, len(rows), _MOST):
        connection.execute(insert(schema.audit), list(rows[begin : begin + _MOST]))
