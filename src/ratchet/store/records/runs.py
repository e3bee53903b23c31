"""Runs: what was tested, how far it is, how it ended; and the cases as they were when it began."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import RowMapping, insert, select, update

from ratchet.domain.cases import Case
from ratchet.domain.runs import OPEN_STATUSES, Run
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records

__all__ = [
    "add_run",
    "cases_of_run",
    "change_run",
    "fill_run",
    "find_run",
    "list_runs",
    "new_run_id",
    "run_of",
    "take_run",
]

LATEST = "latest"
_runs, _cases = schema.runs, schema.run_cases
_case_list = msgspec.json.Decoder(list[Case])
_STRUCTURED = ("settings", "candidates", "scorers", "progress", "summary")


def add_run(records: Records, run: Run, cases: Sequence[Case]) -> Run:
    """Write a new run down, with its cases."""
    with records.write() as connection:
        connection.execute(insert(_runs).values(**_row(run)))
        connection.execute(
            insert(_cases).values(run_id=run.id, content=zlib.compress(msgspec.json.encode(cases), 1))
        )
    return run


def fill_run(records: Records, run: Run, cases: Sequence[Case]) -> None:
    """A queued run has been planned: what it will do, and its cases."""
    values = {name: value for name, value in _row(run).items() if name not in ("id", "project_id", "created")}
    content = zlib.compress(msgspec.json.encode(cases), 1)
    with records.write() as connection:
        connection.execute(update(_runs).where(_runs.c.id == run.id).values(**values))
        connection.execute(update(_cases).where(_cases.c.run_id == run.id).values(content=content))


def run_of(records: Records, run_id: str) -> Run:
    """One run, of whatever project. Raises NotFound."""
    with records.read() as connection:
        row = connection.execute(select(_runs).where(_runs.c.id == run_id)).mappings().first()
    if row is None:
        raise _none(run_id)
    return _run(row)


def find_run(records: Records, *, project_id: str, text: str) -> Run:
    """The run that `text` names: its id, the beginning of it that no other has, or `latest`.

    Raises NotFound, and InvalidRequest where several begin so.
    """
    query = select(_runs).where(_runs.c.project_id == project_id)
    if text != LATEST:
        query = query.where(_runs.c.id.startswith(text, autoescape=True)).order_by(
            (_runs.c.id == text).desc()
        )
    query = query.order_by(_runs.c.created.desc()).limit(2)
    with records.read() as connection:
        rows = connection.execute(query).mappings().all()
    if text == LATEST and rows:
        return _run(rows[0])
    exact = [row for row in rows if row["id"] == text]
    if len(rows) == 1 or exact:
        return _run((exact or rows)[0])
    if not rows or not text:
        raise _none(text)
    raise InvalidRequest(
        f"Several runs begin with {text!r}: {rows[0]['id']} and {rows[1]['id']} are two.",
        "Write more of the id.",
        param="run",
    )


def list_runs(
    records: Records, *, project_id: str, suite: str = "", status: str = "", limit: int = 50, offset: int = 0
) -> list[Run]:
    """Newest first."""
    query = select(_runs).where(_runs.c.project_id == project_id)
    for column, wanted in ((_runs.c.suite, suite), (_runs.c.status, status)):
        if wanted:
            query = query.where(column == wanted)
    query = query.order_by(_runs.c.created.desc(), _runs.c.id).limit(limit).offset(offset)
    with records.read() as connection:
        return [_run(row) for row in connection.execute(query).mappings()]


def cases_of_run(records: Records, run_id: str) -> list[Case]:
    """The cases as they were when the run began. Raises NotFound."""
    with records.read() as connection:
        content = connection.scalar(select(_cases.c.content).where(_cases.c.run_id == run_id))
    if content is None:
        raise _none(run_id)
    return _case_list.decode(zlib.decompress(content))


def change_run(records: Records, run_id: str, **values: Any) -> None:
    """Set fields of a run."""
    with records.write() as connection:
        connection.execute(
            update(_runs)
            .where(_runs.c.id == run_id)
            .values(**{name: _plain(name, value) for name, value in values.items()})
        )


def take_run(records: Records, run: Run, *, now: int, place: str) -> Run:
    """Begin to work at a run, anew or again. Raises Conflict where it is done already."""
    with records.write() as connection:
        taken = connection.execute(
            update(_runs)
            .where(_runs.c.id == run.id, _runs.c.status.in_(OPEN_STATUSES))
            .values(
                status="running",
                reason="",
                started=run.started or now,
                ended=None,
                touched=now,
                place=place,
            )
        )
    if not taken.rowcount:
        raise Conflict(
            f"The run {run.id} is done: there is nothing left to ask.",
            "`ratchet run show` shows it; `ratchet run start` begins another.",
        )
    return run_of(records, run.id)


def new_run_id(now: int, suffix: str = "") -> str:
    """Sorts by time, and can be read aloud. `now` in nanoseconds since the epoch; `suffix` is drawn unless given."""
    moment = datetime.fromtimestamp(now / 1e9, tz=UTC)
    return f"{moment:%y%m%d-%H%M%S}-{suffix or secrets.token_hex(2)}"


def _none(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id!r}.", "`ratchet run list` shows those there are.")


def _row(run: Run) -> dict[str, Any]:
    return {name: _plain(name, getattr(run, name)) for name in Run.__struct_fields__}


def _plain(name: str, value: Any) -> Any:
    return msgspec.to_builtins(value) if name in _STRUCTURED else value


def _run(row: RowMapping) -> Run:
    return msgspec.convert({name: row[name] for name in Run.__struct_fields__}, Run)
