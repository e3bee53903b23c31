"""Bringing the records' tables up to date. Kept apart so that a gateway, which only reads, never loads Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ratchet.errors import Unavailable
from ratchet.store.records.engine import Records

__all__ = ["migrate"]

_ADVISORY_LOCK = 0x7261746368  # "ratch": one migrating process at a time on PostgreSQL


def migrate(records: Records) -> None:
    """Create or upgrade the tables; a no-op when they are current.

    Raises Unavailable when a newer ratchet has already been here.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    scripts = ScriptDirectory.from_config(config)
    with records.write() as connection:
        _lock(connection)
        current = MigrationContext.configure(connection).get_current_revision()
        if current == scripts.get_current_head():
            return
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            raise Unavailable(
                f"The records were last used by a newer ratchet (their revision is {current}).",
                "Install that version or a later one; nothing was changed.",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    else:
        connection.execute(text("BEGIN IMMEDIATE"))
