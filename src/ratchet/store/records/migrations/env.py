"""Alembic's entry: runs migrations on the connection handed in by `ratchet.store.records.migrate`."""

from __future__ import annotations

from alembic import context

from ratchet.store.records.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
