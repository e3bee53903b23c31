"""The ledger: what has been paid for, on disk before it is used.

One SQLite file beside the spool. `answers` holds each reply of a model, an endpoint or a callable under a key of what
was asked: a run that is resumed asks again and finds them there, and so does a later run that asks the same. `results`
holds each answer of a run that has been scored, so that a resumed run begins where it stopped. `spending` is what a run has cost that several
processes work at, so that they hold its limit together.

A killed process loses nothing: SQLite's log is written before `keep` returns. A power cut may lose the last moments.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Generator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from ratchet.domain.runs import Result, RunTag
from ratchet.errors import Unavailable

__all__ = ["Kept", "Ledger", "key_of"]

_DAYS_KEPT = 30
_DAY = 86_400 * 10**9
_FINEST = 10**12  # parts of a dollar that spending is counted in
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, run_id TEXT, candidate TEXT, case_id TEXT, repeat INTEGER, time INTEGER, reply BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (time);
CREATE TABLE IF NOT EXISTS results (
    run_id TEXT, candidate TEXT, case_id TEXT, repeat INTEGER, time INTEGER, result BLOB,
    PRIMARY KEY (run_id, candidate, case_id, repeat)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spending (run_id TEXT PRIMARY KEY, time INTEGER, cost INTEGER, dearest INTEGER) WITHOUT ROWID;
"""

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_results = msgspec.msgpack.Decoder(Result)


class Kept(msgspec.Struct, Generic[T], frozen=True):
    """A reply that was kept, and for which answer of which run it was paid."""

    reply: T
    tag: RunTag


def key_of(*parts: Any) -> bytes:
    """Names what was asked: the same parts, the same key."""
    return hashlib.sha256(_encoder.encode(parts)).digest()


class Ledger:
    """One file, for any number of runs at once. Belongs to one thread. Methods raise Unavailable where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._refusals():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = sqlite3.connect(path, timeout=10, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES)

    def close(self) -> None:
        self._database.close()

    def find(self, key: bytes, kind: type[T]) -> Kept[T] | None:
        """What was answered to this before, by any run."""
        with self._refusals():
            row = self._database.execute(
                "SELECT reply, run_id, candidate, case_id, repeat FROM answers WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        return Kept(msgspec.msgpack.decode(row[0], type=kind), RunTag(*row[1:]))

    def keep(self, key: bytes, reply: Any, tag: RunTag, now: int) -> None:
        """On disk when it returns. What was kept first stays."""
        with self._refusals():
            self._database.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, tag.run_id, tag.candidate, tag.case_id, tag.repeat, now, _encoder.encode(reply)),
            )

    def add(self, run_id: str, result: Result, now: int) -> None:
        """Keep a scored answer; a later one of the same place replaces it."""
        with self._refusals():
            self._database.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)",
                (run_id, result.candidate, result.case_id, result.repeat, now, _encoder.encode(result)),
            )

    def results(self, run_id: str) -> list[Result]:
        """Everything scored so far, in no order."""
        with self._refusals():
            rows: Sequence[tuple[bytes]] = self._database.execute(
                "SELECT result FROM results WHERE run_id = ?", (run_id,)
            ).fetchall()
        return [_results.decode(row[0]) for row in rows]

    def reserve(self, run_id: str, limit: Decimal | None, now: int) -> Decimal | None:
        """Set aside what one more answer of a run may cost: as much as its dearest so far. That, in US dollars.

        None where it would exceed `limit`, all processes that work at the run together.
        """
        most = (1 << 62) if limit is None else int(limit * _FINEST)
        with self._refusals():
            self._database.execute("INSERT OR IGNORE INTO spending VALUES (?, ?, 0, 0)", (run_id, now))
            row = self._database.execute(
                "UPDATE spending SET cost = cost + dearest WHERE run_id = ? AND cost + dearest <= ? RETURNING dearest",
                (run_id, most),
            ).fetchone()
        return None if row is None else Decimal(row[0]) / _FINEST

    def settle(self, run_id: str, reserved: Decimal, cost: Decimal, *, answers: int = 1) -> None:
        """What was set aside for so many answers has become `cost`."""
        with self._refusals():
            self._database.execute(
                "UPDATE spending SET cost = cost + ?, dearest = max(dearest, ?) WHERE run_id = ?",
                (int((cost - reserved) * _FINEST), int(cost * _FINEST / answers), run_id),
            )

    def spent(self, run_id: str) -> Decimal:
        """What a run has cost so far or set aside, in US dollars."""
        with self._refusals():
            row = self._database.execute("SELECT cost FROM spending WHERE run_id = ?", (run_id,)).fetchone()
        return Decimal(row[0] if row else 0) / _FINEST

    def forget_old(self, now: int) -> int:
        """Drop what is older than 30 days; how many answers that were."""
        with self._refusals():
            before = now - _DAYS_KEPT * _DAY
            self._database.execute("DELETE FROM results WHERE time < ?", (before,))
            self._database.execute("DELETE FROM spending WHERE time < ?", (before,))
            return self._database.execute("DELETE FROM answers WHERE time < ?", (before,)).rowcount

    @contextlib.contextmanager
    def _refusals(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(
                f"The ledger {self._path} can't be used: {error}.",
                "Free disk space there. Without the file nothing that was paid is known; runs start anew.",
                code="ledger_unusable",
            ) from error
