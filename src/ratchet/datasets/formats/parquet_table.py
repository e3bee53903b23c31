"""Parquet: one row a case, with the columns that CSV has. `tags` is a list, `metadata` JSON text or a struct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from ratchet.datasets.formats.columns import COLUMNS, cells_of, fields_of_cells
from ratchet.datasets.formats.row import Row, Rows, Unreadable
from ratchet.domain.cases import Case

__all__ = ["read", "write"]

pa: Any = pyarrow  # it has no types
pq: Any = pyarrow.parquet

_LARGEST = 512 << 20
_AT_ONCE = 32  # rows
_TYPES: dict[str, Any] = {"tags": pa.list_(pa.string()), "accepted": pa.bool_()}
_SCHEMA: Any = pa.schema([(name, _TYPES.get(name, pa.string())) for name in COLUMNS])


def read(content: bytes) -> Rows:
    rows: list[Row] = []
    for number, cells in enumerate(_cells(content), 1):
        place = f"row {number}"
        rows.append(Row(place, fields_of_cells(place, cells)))
    return Rows(rows)


def _cells(content: bytes) -> Iterator[dict[str, Any]]:
    """Each row's. A small file can hold one text a million times, so it is unpacked little by little."""
    room = _LARGEST
    try:
        for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(batch_size=_AT_ONCE):
            room -= batch.nbytes
            if room < 0:
                raise Unreadable(
                    "",
                    f"Unpacked, the file is larger than {_LARGEST:,} bytes.",
                    "Divide it into several files.",
                )
            yield from batch.to_pylist()
    except (ValueError, OSError, NotImplementedError) as error:
        said = str(error).partition("\n")[0].rstrip(".")
        raise Unreadable("", f"This is not a Parquet file: {said}.", "Write the file again.") from error


def write(cases: Sequence[Case]) -> bytes:
    table = pa.Table.from_pylist([cells_of(case) for case in cases], schema=_SCHEMA)
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue().to_pybytes()
