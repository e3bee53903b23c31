"""How providers and routes are doing, and which keys are in use: from the gateway's own spans."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Sequence
from typing import Any, Literal

from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import AN_ATTEMPT, window
from ratchet.store.spans.rows import Health, KeyUse

__all__ = ["HealthOf", "health_of", "key_use_of"]

HealthOf = Literal["provider", "route"]
# A target is written provider/model, and the provider there has the name that the settings give it.
_GROUPS: dict[HealthOf, str] = {"provider": "substringIndex(target, '/', 1)", "route": "route"}
_CALLS = "source = 'gateway' AND target != '' AND model_call"
# Whoever left early tells nothing of who was asked.
_FAILED = "status = 'error' AND error_type NOT IN ('client_closed_request', 'gateway_stopped')"
_NO_FAILURE = ("", "", "", "")


def health_of(pool: ClientPool, project_id: str, by: HealthOf, since: int) -> dict[str, Health]:
    """By the provider's or route's name; those without a call since then are left out. Quantiles are exact.

    In two steps: the first reads narrow columns alone, the second what there is to say of each newest failure.
    """
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
    any(provider),
    maxIf(toUnixTimestamp64Nano(start), {_FAILED})
FROM spans WHERE {where} AND {_CALLS}
GROUP BY name_
""",
        parameters,
    )
    failures = _failures(pool, project_id, by, [row[7] for row in rows if row[2]])
    return {row[0]: _health(row, failures.get((row[0], row[7]), _NO_FAILURE)) for row in rows}


def _failures(
    pool: ClientPool, project_id: str, by: HealthOf, moments: Sequence[int]
) -> dict[tuple[str, int], tuple[str, str, str, str]]:
    """Trace, span, type and message of the failures at these moments, by name and moment."""
    if not moments:
        return {}
    where, parameters = window(project_id, min(moments), max(moments) + 1)
    rows = pool.select(
        f"""
SELECT {_GROUPS[by]} AS name_, toUnixTimestamp64Nano(start) AS moment_,
    any(tuple(trace_id, span_id, toString(error_type), substringUTF8(error_message, 1, 400)))
FROM spans WHERE {where} AND {_CALLS} AND {_FAILED} AND has({{moments:Array(Int64)}}, toUnixTimestamp64Nano(start))
GROUP BY name_, moment_
""",
        {**parameters, "moments": sorted(set(moments))},
    )
    return {(row[0], row[1]): tuple(row[2]) for row in rows}


def _health(row: Row, failure: tuple[str, str, str, str]) -> Health:
    latency, first = _pair(row[3]), _pair(row[4])
    trace_id, span_id, kind, message = failure
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
        error_time=row[7] if trace_id else None,
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
        f"WHERE {where} AND key_id != '' AND NOT ({AN_ATTEMPT}) GROUP BY key_id",
        parameters,
    )
    return {row[0]: KeyUse(spans=row[1], last=row[2]) for row in rows}
