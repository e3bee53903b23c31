"""What is declared in the studio: list, add, change, drop. Each change moves the gateways' revision."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ratchet.domain.declarations import KINDS, Declaration, Declarations, DeclaredKind
from ratchet.errors import Conflict, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.keys import GATEWAY_TOPIC

__all__ = ["add_declared", "all_declared", "change_declared", "declared", "drop_declared"]

_TABLES: dict[DeclaredKind, Table] = {kind: schema.metadata.tables[f"{kind}s"] for kind in KINDS}


def declared(records: Records, *, project_id: str) -> Declarations:
    """What the project's members have declared, by name."""
    with records.read() as connection:
        return _read(connection, project_id)


def all_declared(records: Records) -> Declarations:
    """What the members of every project have declared: what a gateway needs to know."""
    with records.read() as connection:
        return _read(connection, None)


def add_declared(
    records: Records,
    kind: DeclaredKind,
    *,
    project_id: str,
    name: str,
    settings: dict[str, Any],
    now: int,
    by: str,
) -> Declaration:
    """Declare one more. Raises Conflict where the name is taken, in whichever project: apps see one list of names."""
    made = Declaration(
        project_id=project_id,
        name=name,
        settings=settings,
        created=now,
        created_by=by,
        updated=now,
        updated_by=by,
    )
    try:
        with records.write(GATEWAY_TOPIC) as connection:
            connection.execute(insert(_TABLES[kind]).values(**_row(made)))
    except IntegrityError as error:
        raise Conflict(
            f"There is a {kind} {name!r} already.", "Choose another name, or change that one.", param="name"
        ) from error
    return made


def change_declared(
    records: Records,
    kind: DeclaredKind,
    *,
    project_id: str,
    name: str,
    settings: dict[str, Any],
    now: int,
    by: str,
    seen: int | None = None,
) -> Declaration:
    """Replace its settings. `seen` is the `updated` of what the change was made from.

    Raises NotFound; and Conflict where somebody else has changed it since `seen`.
    """
    table = _TABLES[kind]
    with records.write(GATEWAY_TOPIC) as connection:
        before = _one(connection, kind, project_id, name)
        if seen is not None and before.updated != seen:
            raise Conflict(
                f"{before.updated_by} has changed the {kind} {name!r} meanwhile.",
                "Look at what it is now, and make your change again.",
                code="changed_meanwhile",
            )
        # The clock may not have moved on since the last change, and `updated` has to.
        moment = max(now, before.updated + 1)
        connection.execute(
            update(table)
            .where(table.c.project_id == project_id, table.c.name == name)
            .values(settings=settings, updated=moment, updated_by=by)
        )
        return _one(connection, kind, project_id, name)


def drop_declared(records: Records, kind: DeclaredKind, *, project_id: str, name: str) -> Declaration:
    """Take it out. Raises NotFound."""
    table = _TABLES[kind]
    with records.write(GATEWAY_TOPIC) as connection:
        before = _one(connection, kind, project_id, name)
        connection.execute(delete(table).where(table.c.project_id == project_id, table.c.name == name))
    return before


def _read(connection: Connection, project_id: str | None) -> Declarations:
    found = Declarations()
    for kind, table in _TABLES.items():
        query = select(table).order_by(table.c.name)
        if project_id is not None:
            query = query.where(table.c.project_id == project_id)
        rows = connection.execute(query).mappings()
        found = found.replacing(kind, tuple(_declaration(row) for row in rows))
    return found


def _one(connection: Connection, kind: DeclaredKind, project_id: str, name: str) -> Declaration:
    table = _TABLES[kind]
    query = select(table).where(table.c.project_id == project_id, table.c.name == name)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            f"No {kind} {name!r} is declared in the studio.",
            f"`ratchet {kind} list` shows what there is and where it is declared.",
        )
    return _declaration(row)


def _row(made: Declaration) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Declaration.__struct_fields__}


def _declaration(row: RowMapping) -> Declaration:
    return Declaration(**{name: row[name] for name in Declaration.__struct_fields__})
