"""A project over a stretch of time: totals, latencies, models, scores; and the values that filters can offer."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Sequence

from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import MODEL, PROVIDER, UNPRICED, counting, tables, window
from ratchet.store.spans.rows import Facets, ModelSummary, ScoreSummary, Summary
from ratchet.store.spans.traces import exact

__all__ = ["facets_of", "summary_of"]

FACET_VALUES = 1000
ERROR_KINDS = 20

_TOTALS = f"""
    count(), countIf(status = 'error'),
    quantilesExactOrNull(0.5, 0.95, 0.99)(toNullable(duration)),
    quantilesExactOrNull(0.5, 0.95)(time_to_first_token),
    sumOrNull(input_tokens), sumOrNull(output_tokens), sumOrNull(cached_tokens), sumOrNull(reasoning_tokens),
    sumOrNull(cost), countIf({UNPRICED}),
    uniqExactIf(user_id, user_id != ''), uniqExactIf(session_id, session_id != '')
"""
_BY_MODEL = f"""
    {MODEL} AS model, count() AS n, sumOrNull(input_tokens), sumOrNull(output_tokens), sumOrNull(cost),
    countIf({UNPRICED})
"""

_SPAN_FACETS = {
    "routes": "route",
    "models": MODEL,
    "providers": PROVIDER,
    "services": "service",
    "operations": "operation",
    "keys": "key_id",
    "organisations": "organisation_id",
    "languages": "language",
}


def summary_of(pool: ClientPool, project_id: str, since: int, until: int | None) -> Summary:
    """See `Summary`. Quantiles are exact, over requests that ended well or not; None where there is none."""
    where, parameters = window(project_id, since, until)
    once = counting(pool, where, parameters)
    common = tables(once.common)
    counted = f"FROM spans WHERE {where} AND {once.condition}"
    totals = pool.select(f"{common}SELECT {_TOTALS} {counted}", parameters)[0]
    models = pool.select(
        f"{common}SELECT {_BY_MODEL} {counted} GROUP BY model ORDER BY n DESC, model", parameters
    )
    by_error = pool.select(
        f"{common}SELECT if(error_type != '', error_type, 'error') AS kind, count() AS n {counted} "
        f"AND status = 'error' GROUP BY kind ORDER BY n DESC, kind LIMIT {ERROR_KINDS}",
        parameters,
    )
    latency = _quantiles(totals[2], 3)
    ttft = _quantiles(totals[3], 2)
    return Summary(
        requests=totals[0],
        errors=totals[1],
        models=[_model(row) for row in models],
        latency_p50=latency[0],
        latency_p95=latency[1],
        latency_p99=latency[2],
        ttft_p50=ttft[0],
        ttft_p95=ttft[1],
        input_tokens=totals[4],
        output_tokens=totals[5],
        cached_tokens=totals[6],
        reasoning_tokens=totals[7],
        cost=exact(totals[8]),
        unpriced=totals[9],
        scores=_scores(pool, project_id, since, until),
        users=totals[10],
        sessions=totals[11],
        by_error=[(row[0], row[1]) for row in by_error],
    )


def _model(row: Row) -> ModelSummary:
    return ModelSummary(
        model=row[0],
        requests=row[1],
        input_tokens=row[2],
        output_tokens=row[3],
        cost=exact(row[4]),
        unpriced=row[5],
    )


def _scores(pool: ClientPool, project_id: str, since: int, until: int | None) -> list[ScoreSummary]:
    where, parameters = window(project_id, since, until, column="time")
    rows = pool.select(
        f"SELECT name, count(), avg(value) FROM scores WHERE {where} GROUP BY name ORDER BY name", parameters
    )
    return [ScoreSummary(name=row[0], count=row[1], mean=row[2]) for row in rows]


def _quantiles(values: Sequence[float | None], count: int) -> list[int | None]:
    """Quantiles of nothing come as no list, as NULL or as NaN, depending on the engine's version."""
    known = [None if value is None or math.isnan(value) else int(value) for value in values or ()]
    return known or [None] * count


def facets_of(pool: ClientPool, project_id: str, since: int) -> Facets:
    """Values that occur in spans and scores since then."""
    where, parameters = window(project_id, since, None)
    columns = [f"groupUniqArray({FACET_VALUES})({column})" for column in _SPAN_FACETS.values()]
    columns.append(f"groupUniqArrayArray({FACET_VALUES})(tags)")
    found = pool.select(f"SELECT {', '.join(columns)} FROM spans WHERE {where}", parameters)[0]
    where, parameters = window(project_id, since, None, column="time")
    names = pool.select(f"SELECT groupUniqArray({FACET_VALUES})(name) FROM scores WHERE {where}", parameters)[
        0
    ][0]
    values = dict(zip((*_SPAN_FACETS, "tags"), found, strict=True)) | {"score_names": names}
    return Facets(**{name: sorted(value for value in listed if value) for name, listed in values.items()})
