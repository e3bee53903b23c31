"""Structs to columns: what makes an insert fit its table, whatever an app sent.

The common batch goes straight through. Only when a column refuses a value (a number too large, text that is no
UTF-8) is the batch gone over value by value; so one odd row costs time and never the rows beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from math import isfinite
from typing import Any, cast

import msgspec
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name

from ratchet.domain.spans import ORIGINAL_TIME
from ratchet.store.spans.schema import COLUMNS, TIME_COLUMNS, TIME_MAX, TIME_MIN, TYPES

__all__ = ["columns_of", "mended", "telling", "types_of"]


_INT64 = (-(2**63), 2**63 - 1)
_INT32 = (-(2**31), 2**31 - 1)
_DECIMAL_LIMIT = Decimal(10) ** 20
_DECIMAL_STEP = Decimal(1).scaleb(-18)


def types_of(table: str) -> list[ClickHouseType]:
    """The driver's column types, so that an insert need not ask the server for them."""
    return [get_from_name(kind) for kind in TYPES[table].values()]


def columns_of(table: str, rows: Sequence[msgspec.Struct]) -> list[Sequence[Any]]:
    """One sequence per column of `table`, times clamped to what it can hold. `rows` must not be empty."""
    columns: list[Sequence[Any]] = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
    names = COLUMNS[table]
    if table == "scores":
        value = names.index("value")
        # Not a number is unscored, and one of them would make every mean over it none as well.
        columns[value] = [one if one is None or isfinite(one) else None for one in columns[value]]
    at = names.index(TIME_COLUMNS[table])
    times = columns[at]
    if min(times) < TIME_MIN or max(times) > TIME_MAX:
        columns[at] = [min(max(time, TIME_MIN), TIME_MAX) for time in times]
        kept = names.index("attributes")
        columns[kept] = [
            attributes if TIME_MIN <= time <= TIME_MAX else {**attributes, ORIGINAL_TIME: str(time)}
            for time, attributes in zip(times, columns[kept], strict=True)
        ]
    return columns


def telling(table: str, columns: Sequence[Sequence[Any]]) -> list[int]:
    """Which columns say anything. The engine fills the others with the same defaults, and much faster.

    Never empty: the columns of the sort key always tell.
    """
    found: list[int] = []
    for place, (column, kind) in enumerate(zip(columns, TYPES[table].values(), strict=True)):
        # In a column that may hold nothing, zero is something.
        if column.count(None) != len(column) if kind.startswith("Nullable(") else any(column):
            found.append(place)
    return found


def mended(table: str, columns: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """The same columns with every value that its type can't hold brought to the nearest one that it can."""
    return [
        [_fit(value, kind) for value in column]
        for column, kind in zip(columns, TYPES[table].values(), strict=True)
    ]


def _fit(value: Any, kind: str) -> Any:
    if kind.startswith("Nullable("):
        return None if value is None else _fit_known(value, kind[9:-1])
    if kind.startswith("Array("):
        return [_fit(item, kind[6:-1]) for item in cast("list[Any]", value or [])]
    if kind.startswith("Map("):
        entries = cast("dict[Any, Any]", value or {}).items()
        return {_fit(key, "String"): _fit(item, "String") for key, item in entries}
    fitted = _fit_known(value, kind)
    return _EMPTY.get(kind, "") if fitted is None else fitted


_EMPTY = {"Int64": 0, "Int32": 0, "Bool": False, "Float32": 0.0, "DateTime64(9, 'UTC')": 0}


def _fit_known(value: Any, kind: str) -> Any:
    """`value` as one that `kind` can hold, or None where there is none."""
    match kind:
        case "Bool":
            return bool(value)
        case "Int64" | "Int32" | "DateTime64(9, 'UTC')":
            low, high = _INT32 if kind == "Int32" else _INT64
            number = _number(value)
            return None if number is None else min(max(int(number), low), high)
        case "Float64" | "Float32":
            return _number(value)
        case "Decimal(38, 18)":
            return _fit_decimal(value)
        case _:
            return str(value if value is not None else "").encode("utf-8", "replace").decode("utf-8")


def _number(value: Any) -> float | int | None:
    if isinstance(value, int):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def _fit_decimal(value: Any) -> Decimal | None:
    if not isinstance(value, Decimal) or not value.is_finite() or abs(value) >= _DECIMAL_LIMIT:
        return None
    with localcontext(prec=60):
        return value.quantize(_DECIMAL_STEP, rounding=ROUND_HALF_EVEN)
