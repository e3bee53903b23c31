"""Opening the records: one engine, SQLite in a file or PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from ratchet.errors import Misconfigured, Unavailable
from ratchet.store.records import schema
from ratchet.store.records.auditing import watch

__all__ = ["DEFAULT_PROJECT", "Records"]

DEFAULT_PROJECT = "default"


class Records:
    """A handle on the records. Thread-safe; each call is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        watch(engine)

    @classmethod
    def open(cls, url: str) -> Records:
        """Connect lazily to `url` (`sqlite:///…` or `postgresql://…`). Nothing is created: see `migrate`."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise Misconfigured(
                f"store.records is {url!r}, which is not a database address.",
                "Use postgresql://user:password@host/name, or leave it out for the embedded SQLite.",
            ) from error
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if not parsed.drivername.startswith(("sqlite", "postgresql+psycopg")):
            raise Misconfigured(
                f"store.records names the database kind {parsed.drivername!r}, which ratchet does not support.",
                "Use sqlite:///path or postgresql://user:password@host/name.",
            )
        if parsed.drivername.startswith("sqlite"):
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(parsed, connect_args={"timeout": 10, "check_same_thread": False})
            event.listen(engine, "connect", _configure_sqlite)
        else:
            try:
                engine = create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 5})
            except (NoSuchModuleError, SQLAlchemyError) as error:
                raise Misconfigured(
                    f"store.records could not be opened: {error}.", "Check the address."
                ) from error
        return cls(engine)

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def read(self) -> Generator[Connection]:
        """A connection for reading. Raises Unavailable when the database can't be reached."""
        with _unavailable_if_down(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, topic: str | None = None) -> Generator[Connection]:
        """One transaction; with `topic`, its revision goes up by one when it commits."""
        with _unavailable_if_down(), self.engine.begin() as connection:
            yield connection
            if topic is not None:
                connection.execute(
                    update(schema.revisions)
                    .where(schema.revisions.c.topic == topic)
                    .values(value=schema.revisions.c.value + 1)
                )

    def revision(self, topic: str) -> int:
        """A number that grows with every change to `topic`."""
        with self.read() as connection:
            value = connection.scalar(
                select(schema.revisions.c.value).where(schema.revisions.c.topic == topic)
            )
        return int(value) if value is not None else -1


def _configure_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@contextlib.contextmanager
def _unavailable_if_down() -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        if "no such table" in str(error.orig) or type(error.orig).__name__ == "UndefinedTable":
            raise Unavailable(
                "The records have not been set up yet.",
                "Start the studio (`ratchet serve` does), or make a key with `ratchet key create`.",
                code="records_not_set_up",
            ) from error
        if not error.connection_invalidated and not _cannot_connect(error):
            raise
        raise Unavailable(
            f"The records can't be reached: {error.orig}.",
            "Check store.records in ratchet.toml and that the database is up; `ratchet doctor` tests it.",
            code="records_unavailable",
        ) from error


def _cannot_connect(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")
