"""Whose answers caches are to forget."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from ratchet.domain.forgetting import Forgotten, name_hash
from ratchet.errors import InvalidRequest
from ratchet.store.records import schema
from ratchet.store.records.auditing import note
from ratchet.store.records.engine import Records
from ratchet.store.records.keys import GATEWAY_TOPIC

__all__ = ["all_forgotten", "forget"]

_LONGEST = 300  # characters of a name


def forget(records: Records, *, project_id: str, name: str, now: int) -> Forgotten:
    """Have every gateway drop what its caches keep of `name`, as apps say it. Raises InvalidRequest."""
    name = name.strip()
    if not name or len(name) > _LONGEST:
        raise InvalidRequest(
            f"Nobody is named {name[:40]!r}.",
            f"Give 1 to {_LONGEST} characters, as apps say it.",
            param="name",
        )
    found = Forgotten(project_id, name_hash(project_id, name), now)
    table = schema.forgotten
    with records.write(GATEWAY_TOPIC) as connection:
        connection.execute(
            delete(table).where(table.c.project_id == project_id, table.c.name_hash == found.name_hash)
        )
        connection.execute(insert(table).values(project_id=project_id, name_hash=found.name_hash, time=now))
        note(connection, "user.forgotten", found.name_hash, project_id=project_id)
    return found


def all_forgotten(records: Records) -> list[Forgotten]:
    """Every project's."""
    table = schema.forgotten
    query = select(table).order_by(table.c.project_id, table.c.name_hash)
    with records.read() as connection:
        return [
            Forgotten(row["project_id"], row["name_hash"], row["time"])
            for row in connection.execute(query).mappings()
        ]
