"""What gates said: one row each time one was asked, newest first in every list."""

from __future__ import annotations

from sqlalchemy import RowMapping, insert, select

from ratchet.domain.releases import GateResult
from ratchet.store.records import schema
from ratchet.store.records.engine import Records

__all__ = ["add_gate", "gates_of_run", "gates_of_version", "list_gates"]

_gates = schema.gates


def add_gate(records: Records, result: GateResult) -> GateResult:
    """Keep what a gate said."""
    with records.write() as connection:
        connection.execute(
            insert(_gates).values(**{name: getattr(result, name) for name in GateResult.__struct_fields__})
        )
    return result


def gates_of_run(records: Records, run_id: str, *, project_id: str) -> list[GateResult]:
    """What was said of a run's candidates."""
    query = select(_gates).where(_gates.c.project_id == project_id, _gates.c.run_id == run_id)
    with records.read() as connection:
        rows = connection.execute(query.order_by(_gates.c.created.desc(), _gates.c.id)).mappings().all()
    return [_gate(row) for row in rows]


def gates_of_version(records: Records, prompt: str, content: str, *, project_id: str) -> list[GateResult]:
    """What was said of a prompt's content, which `content` is the hash of, under whatever number."""
    query = select(_gates).where(
        _gates.c.project_id == project_id, _gates.c.prompt == prompt, _gates.c.hash == content
    )
    with records.read() as connection:
        rows = connection.execute(query.order_by(_gates.c.created.desc(), _gates.c.id)).mappings().all()
    return [_gate(row) for row in rows]


def list_gates(records: Records, *, project_id: str, limit: int = 50) -> list[GateResult]:
    """The newest of the project."""
    query = select(_gates).where(_gates.c.project_id == project_id)
    query = query.order_by(_gates.c.created.desc(), _gates.c.id).limit(limit)
    with records.read() as connection:
        return [_gate(row) for row in connection.execute(query).mappings()]


def _gate(row: RowMapping) -> GateResult:
    return GateResult(**{name: row[name] for name in GateResult.__struct_fields__})
