"""A small pool of clickhouse-connect clients for one address, and the engine's failures in our own words.

One client runs one query at a time; several clients in a process run beside each other, on chDB as on ClickHouse.
"""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

from ratchet.errors import Misconfigured, Unavailable

__all__ = ["UNFIT", "ClientPool", "Row"]

Row = Sequence[Any]
# What the driver raises, before anything is sent, for a value that a column's type can't hold.
UNFIT = (DataError, ValueError, TypeError, AttributeError, OverflowError, InvalidOperation, struct.error)

POOL_SIZE = 4
DEFAULT_DATABASE = "ratchet"
DEFAULT_MEMORY_BYTES = 1 << 30
LEAST_MEMORY_BYTES = 768 << 20  # a collector's largest batch must always fit, or it would be tried for ever
QUERY_SECONDS = 20
WAIT_SECONDS = 30
_MEBIBYTE = 1 << 20

_SLOW_OR_BIG = {159: "took too long", 160: "would take too long", 241: "needs more memory than it may have"}


class ClientPool:
    """Lends clients to threads. Safe to share; `close` waits for those that are lent."""

    def __init__(self, dsn: str, *, memory_bytes: int | None = None) -> None:
        """`dsn` is `chdb:///absolute/folder` or `clickhouse://user:password@host:port/database`."""
        self.embedded = dsn.startswith("chdb:")
        self._memory = max(memory_bytes or DEFAULT_MEMORY_BYTES, LEAST_MEMORY_BYTES)
        self._arguments = self._embedded(dsn) if self.embedded else self._served(dsn)
        self._idle: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(POOL_SIZE):
            self._idle.put(None)  # opened when first needed
        self._opening = threading.Lock()
        self._closed = False
        self.address = _without_password(dsn)

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of one bounded query. Raises Unavailable."""
        settings = {
            "max_execution_time": QUERY_SECONDS,
            "max_memory_usage": self._memory // 2,
            "max_bytes_before_external_group_by": self._memory // 4,
        }
        with self._lend() as client:
            # The driver copies what it is given only when it must; a plain dict keeps its binding simple.
            return list(client.query(sql, parameters=dict(parameters or {}), settings=settings).result_rows)

    def select_all(self, *statements: str, parameters: Mapping[str, Any]) -> list[list[Row]]:
        """The rows of several queries, asked beside each other: the embedded engine gives each one core.

        Each may use some of `parameters`. Raises Unavailable when one of them fails.
        """
        with ThreadPoolExecutor(max_workers=len(statements)) as threads:
            asked = [threads.submit(self.select, sql, parameters) for sql in statements]
            return [one.result() for one in asked]

    def command(self, sql: str) -> None:
        """Run a statement that returns nothing. Raises Unavailable."""
        with self._lend() as client:
            client.command(sql)

    def insert(
        self,
        table: str,
        names: Sequence[str],
        types: Sequence[Any],
        columns: Sequence[Sequence[Any]],
        *,
        token: str,
    ) -> None:
        """Insert whole columns; a second insert with the same token changes nothing. Raises Unavailable, or
        one of `UNFIT` before anything is inserted."""
        settings = {"insert_deduplication_token": token, "max_partitions_per_insert_block": 0}
        with self._lend() as client:
            client.insert(
                table,
                columns,
                column_names=names,
                column_types=types,
                column_oriented=True,
                settings=settings,
            )

    def close(self) -> None:
        """Close every client, waiting for those at work."""
        if self._closed:
            return
        self._closed = True
        for _ in range(POOL_SIZE):
            client = self._idle.get(timeout=WAIT_SECONDS)
            if client is not None:
                client.close()

    def _embedded(self, dsn: str) -> dict[str, Any]:
        folder = Path(unquote(urlsplit(dsn).path))
        if urlsplit(dsn).netloc or not folder.is_absolute() or folder == Path("/"):
            raise Misconfigured(
                f"The span store's address {dsn!r} names no absolute folder.",
                "Write store.spans as chdb:///absolute/folder, or clickhouse://host:port/database.",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        return {
            "dsn": f"chdb://{quote(str(folder))}",
            "path": str(folder),
            "chdb_options": _limits(self._memory),
        }

    def _served(self, dsn: str) -> dict[str, Any]:
        parts = urlsplit(dsn)
        if parts.scheme not in ("clickhouse", "clickhouses", "http", "https") or not parts.hostname:
            raise Misconfigured(
                f"The span store's address {_without_password(dsn)!r} is of no known kind.",
                "Write store.spans as chdb:///absolute/folder, or clickhouse://user:password@host:port/database.",
            )
        return {
            "dsn": dsn,
            "autogenerate_session_id": False,
            "connect_timeout": 5,
            "send_receive_timeout": 60,
        }

    def _open(self) -> Client:
        if "database" not in self._arguments:
            self._arguments["database"] = self._make_database()
        return clickhouse_connect.get_client(**self._arguments)

    def _make_database(self) -> str:
        parts = urlsplit(str(self._arguments["dsn"]))
        name = DEFAULT_DATABASE if self.embedded else unquote(parts.path.strip("/")) or DEFAULT_DATABASE
        arguments = dict(self._arguments)
        if not self.embedded:
            # Connecting to a database that doesn't exist yet is refused, so the first visit names none.
            arguments["dsn"] = parts._replace(path="").geturl()
        first = clickhouse_connect.get_client(**arguments)
        try:
            first.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": name})
        finally:
            first.close()
        return name

    @contextmanager
    def _lend(self) -> Generator[Client]:
        if self._closed:
            raise Unavailable(
                f"The span store {self.address} is closed.", "Open it again.", code="store_closed"
            )
        try:
            client = self._idle.get(timeout=WAIT_SECONDS)
        except queue.Empty as error:
            raise Unavailable(
                f"The span store {self.address} is busy: no connection came free in {WAIT_SECONDS} s.",
                "Try again; ask for a shorter stretch of time.",
                code="store_busy",
            ) from error
        try:
            with self._opening:
                client = client or self._open()
            yield client
        except DataError:
            raise
        except (ClickHouseError, RuntimeError, OSError) as error:
            raise self._unavailable(error) from error
        finally:
            self._idle.put(client)

    def _unavailable(self, error: Exception) -> Unavailable:
        text = " ".join(str(error).split())[:500]
        code = getattr(error, "code", None)
        if code in _SLOW_OR_BIG:
            return Unavailable(
                f"The query {_SLOW_OR_BIG[code]} in the span store {self.address}.",
                "Ask for a shorter stretch of time or fewer rows, or raise store.spans_memory_bytes.",
                code="query_too_large",
            )
        if self.embedded and "lock" in text.lower():
            return Unavailable(
                f"The span store {self.address} is open in another process.",
                "Stop that process, or reach it through its own address.",
                code="store_locked",
            )
        return Unavailable(
            f"The span store {self.address} failed: {text}",
            "Check that it is running and that its disk has room; `ratchet doctor` shows which store is meant.",
            code="store_unavailable",
        )


def _limits(memory: int) -> dict[str, int]:
    """chDB's server settings, for a process that also serves pages: its defaults are those of a whole machine."""
    return {
        "max_server_memory_usage": memory,
        "mark_cache_size": 32 * _MEBIBYTE,
        "index_mark_cache_size": 16 * _MEBIBYTE,
        "primary_index_cache_size": 16 * _MEBIBYTE,
        "uncompressed_cache_size": 0,
        "index_uncompressed_cache_size": 0,
        "query_condition_cache_size": 8 * _MEBIBYTE,
        "compiled_expression_cache_size": 8 * _MEBIBYTE,
        "text_index_tokens_cache_size": 16 * _MEBIBYTE,
        "text_index_header_cache_size": 16 * _MEBIBYTE,
        "text_index_postings_cache_size": 16 * _MEBIBYTE,
        "vector_similarity_index_cache_size": _MEBIBYTE,
        "mmap_cache_size": 64,
        "max_thread_pool_size": 64,
        "max_thread_pool_free_size": 4,
        "max_io_thread_pool_size": 4,
        "background_schedule_pool_size": 2,
    }


def _without_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()
