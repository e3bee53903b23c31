"""How providers and routes are doing, and which keys are in use: from the gateway's own spans."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Sequence
from typing import Any, Literal

from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import window
from ratchet.store.spans.rows import Health, KeyUse

__all__ = ["HealthOf", "health_of", "key_use_of"]

HealthOf = Literal["provider", "route"]
# A target is written provider/model, and the provider there has the name that the settings give it.
_GROUPS: dict[HealthOf, str] = {"provider": "splitByChar('/', target)[1]", "route": "route"}
# Whoever left early tells nothing of who was asked.
_FAILED = "status = 'error' AND error_type NOT IN ('client_closed_request', 'gateway_stopped')"


def health_of(pool: ClientPool, project_id: str, by: HealthOf, since: int) -> dict[str, Health]:
    """By the provider's or route's name; those without a call since then are left out. Quantiles are exact."""
    where, parameters = window(project_id, since, None)
    rows = pool.select(
        f"""
SELECT
    {_GROUPS[by]} AS name_,
    count(),
    countIf({_FAILED}),
    quantilesExactOrNull(0.5, 0.95)(toNullable(duration)),
    quantilesExactOrNull(0.5, 0.95)(time_to_first_token),
    max(toUnixTimestamp64Nano(start)),
    argMax(provider, start),
    argMaxIf(tuple(trace_id, span_id, toUnixTimestamp64Nano(start), error_type, substringUTF8(error_message, 1, 400)),
             start, {_FAILED})
FROM spans WHERE {where} AND source = 'gateway' AND target != ''
GROUP BY name_
""",
        parameters,
    )
    return {row[0]: _health(row) for row in rows}


def _health(row: Row) -> Health:
    latency, first = _pair(row[3]), _pair(row[4])
    trace_id, span_id, moment, kind, message = row[7]
    return Health(
        calls=row[1],
        errors=row[2],
        latency_p50=latency[0],
        latency_p95=latency[1],
        ttft_p50=first[0],
        ttft_p95=first[1],
        last_call=row[5],
        label=row[6],
        error_trace_id=trace_id,
        error_span_id=span_id,
        error_time=moment if trace_id else None,
        error_type=kind,
        error_message=message,
    )


def _pair(values: Sequence[Any] | None) -> tuple[int | None, int | None]:
    """Quantiles of nothing come as no list, as NULL or as NaN, depending on the engine's version."""
    known = [None if value is None or math.isnan(value) else int(value) for value in values or ()]
    return (known[0], known[1]) if len(known) == 2 else (None, None)


def key_use_of(pool: ClientPool, project_id: str, since: int) -> dict[str, KeyUse]:
    """By the key's id, those with a span since then."""
    where, parameters = window(project_id, since, None)
    rows = pool.select(
        f"SELECT key_id, count(), max(toUnixTimestamp64Nano(start)) FROM spans "
        f"WHERE {where} AND key_id != '' GROUP BY key_id",
        parameters,
    )
    return {row[0]: KeyUse(spans=row[1], last=row[2]) for row in rows}
