"""Tables as files: every row that matches, as CSV or JSON, streamed.

A page gives its columns and its rows in batches; `export` does the rest. CSV is made for people's spreadsheets, so
texts that a spreadsheet would run as a formula are defused, and JSON for programs, so values keep their types.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Generic, TypeVar

import msgspec
from starlette.responses import Response, StreamingResponse

from ratchet.errors import InvalidRequest
from ratchet.studio.description import Parameter
from ratchet.studio.services import Visit

__all__ = ["EXPORT_ROWS", "FORMAT", "Column", "export", "export_format", "milliseconds", "moment"]

EXPORT_ROWS = 100_000  # a file holds at most so many rows; its headers say how many match
_FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
FORMAT = Parameter(
    "format", "Every row as a file, instead of one page.", {"type": "string", "enum": ["csv", "json"]}
)
_MARK = "\ufeff"  # without it, spreadsheets take UTF-8 for something else
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RowT = TypeVar("RowT")


class Column(msgspec.Struct, Generic[RowT], frozen=True):
    """One column: its name in the file, with the unit where there is one (`duration_ms`), and a row's value."""

    name: str
    read: Callable[[RowT], Any]


def export_format(asked: Visit) -> str:
    """`csv`, `json`, or "" where no file is asked for. Raises InvalidRequest for another word."""
    wanted = asked.request.query_params.get("format", "").strip()
    if wanted and wanted not in _FORMATS:
        raise InvalidRequest(f"format is {wanted!r}.", "It is csv or json.", param="format")
    return wanted


def export(
    asked: Visit,
    name: str,
    columns: Sequence[Column[RowT]],
    batches: Iterable[Sequence[RowT]],
    *,
    total: int | None = None,
) -> Response:
    """The file that `?format=` asks for. `name` is the noun for its file name; `batches` are read as they are sent.

    `total` is how many rows match, where that is known; the first batch is read before anything is sent, so that a
    store that is down is answered as such. One that fails later breaks the transfer off, and no client takes a
    part for the whole.
    """
    kind = export_format(asked) or "json"
    waiting = iter(batches)
    first = next(waiting, ())
    rows = (row for batch in chain([first], waiting) for row in batch)
    # A program reads the API and needs no mark; a person saves the page's own file and opens it.
    mark = _MARK if kind == "csv" and not asked.request.url.path.startswith("/api/") else ""
    lines = _csv(columns, rows, mark) if kind == "csv" else _json(columns, rows)
    stamp = (_EPOCH + timedelta(microseconds=asked.services.now() // 1000)).strftime("%Y-%m-%dT%H%M")
    headers = {"content-disposition": f'attachment; filename="ratchet-{name}-{stamp}.{kind}"'}
    if total is not None:
        headers["x-ratchet-total-rows"] = str(total)
    if asked.request.scope.get("head"):
        return Response(media_type=_FORMATS[kind], headers=headers)
    return StreamingResponse(_chunks(lines), media_type=_FORMATS[kind], headers=headers)


def moment(nanoseconds: int | None) -> str | None:
    """ISO 8601 in UTC, to the microsecond."""
    if nanoseconds is None:
        return None
    at = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def milliseconds(nanoseconds: int | None) -> float | None:
    """To the microsecond."""
    return None if nanoseconds is None else round(nanoseconds / 1_000_000, 3)


def _csv(columns: Sequence[Column[RowT]], rows: Iterable[RowT], mark: str) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)

    def written(cells: Sequence[str]) -> str:
        writer.writerow(cells)
        text = line.getvalue()
        line.seek(0)
        line.truncate()
        return text

    yield mark + written([column.name for column in columns])
    for row in rows:
        yield written([_cell(column.read(row)) for column in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # A spreadsheet would run it; with an apostrophe before it, it is text.
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(_plain(value))
    if isinstance(value, list) and all(isinstance(one, str) for one in value):  # pyright: ignore[reportUnknownVariableType]
        return _cell(", ".join(value))  # pyright: ignore[reportUnknownArgumentType]
    return _cell(msgspec.json.encode(value).decode())


def _json(columns: Sequence[Column[RowT]], rows: Iterable[RowT]) -> Iterator[str]:
    before = "[\n"
    for row in rows:
        values = {column.name: _plain(column.read(row)) for column in columns}
        yield before + msgspec.json.encode(values).decode()
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _plain(value: Any) -> Any:
    """An exact amount as text without an exponent; everything else as it is."""
    return format(value, "f") if isinstance(value, Decimal) else value


def _chunks(lines: Iterable[str], size: int = 64 * 1024) -> Iterator[bytes]:
    """Lines gathered into pieces worth sending."""
    gathered: list[str] = []
    length = 0
    for line in lines:
        gathered.append(line)
        length += len(line)
        if length >= size:
            yield "".join(gathered).encode()
            gathered, length = [], 0
    if gathered:
        yield "".join(gathered).encode()
