"""Lists of traces, one trace, one span.

A list takes two steps. The first finds which traces match and in what order, reading only the few narrow columns
that the filter names; the second reads what a row shows, for the traces of one page alone.
"""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.domain.spans import ATTEMPT, Score, Span
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import (
    AN_ATTEMPT,
    COUNTED,
    LOST_COST,
    MODEL,
    UNPRICED,
    Conditions,
    Counting,
    conditions,
    counting,
    doubled,
    tables,
)
from ratchet.store.spans.rows import SpanHead, TraceFilter, TracePage, TraceRow, TraceTree
from ratchet.store.spans.schema import COLUMNS, TIME_COLUMNS

__all__ = [
    "every_score",
    "every_trace",
    "exact",
    "load_span",
    "load_trace",
    "matching",
    "page_of_traces",
    "scores_of",
    "selected_scores",
]

TREE_SCORES = 1000
BATCH_ROWS = 1000


def page_of_traces(
    pool: ClientPool, project_id: str, wanted: TraceFilter, limit: int, offset: int
) -> TracePage:
    """Newest first. A trace's place is the start of its earliest span in the window that meets a condition on spans
    (of any span, where there is none); within the page rows are in order of the traces' own starts."""
    asked = conditions(project_id, wanted)
    sql = _matching(pool, asked)
    found = pool.select(sql, {**asked.parameters, "limit": limit, "offset": offset})
    total = found[0][1] if found else 0
    if not found and offset:  # past the end, where no row carries the total
        first = pool.select(sql, {**asked.parameters, "limit": 1, "offset": 0})
        total = first[0][1] if first else 0
    rows = _rows(pool, project_id, [row[0] for row in found]) if found else []
    return TracePage(rows=rows, total=total, limit=limit, offset=offset)


def every_trace(
    pool: ClientPool, project_id: str, wanted: TraceFilter, limit: int
) -> tuple[int, Iterator[list[TraceRow]]]:
    """How many traces match, and the newest `limit` of them, a batch at a time.

    Which traces they are is settled at once; what comes in meanwhile neither repeats a row nor hides one.
    """
    asked = conditions(project_id, wanted)
    found = pool.select(_matching(pool, asked), {**asked.parameters, "limit": limit, "offset": 0})
    ids = [row[0] for row in found]
    batches = (_rows(pool, project_id, ids[at : at + BATCH_ROWS]) for at in range(0, len(ids), BATCH_ROWS))
    return (found[0][1] if found else 0), batches


def _matching(pool: ClientPool, asked: Conditions) -> str:
    """Ids of one page of the traces that match, each beside the exact number that match in all."""
    common, rest = matching(pool, asked)
    return (
        f"{tables(common)}SELECT trace_id, count() OVER (), min(start) AS start_{rest} "
        "ORDER BY start_ DESC, trace_id LIMIT {limit:UInt64} OFFSET {offset:UInt64}"
    )


def matching(pool: ClientPool, asked: Conditions, once: Counting | None = None) -> tuple[str, str]:
    """The traces that match: common tables, and what follows the columns of a SELECT, grouped by `trace_id`.

    `once` is a way to count that the statement has already, with its common tables.
    """
    common = ""
    if once is None:
        once = Counting("", "model_call")
        if "cost_" in " ".join(asked.whole) or COUNTED in " ".join(asked.some):
            once = counting(pool, asked.window, asked.parameters)
            common = once.common
    some = [condition.replace(COUNTED, once.condition) for condition in asked.some]
    where = [asked.window, *asked.others]
    having = [f"max({condition})" for condition in some]
    if some:
        where.append(f"({' OR '.join(some)})")
    columns = ""
    if asked.whole:
        # Aggregates of whole traces need all their spans, so the other conditions move into a query within.
        if len(where) > 1:
            within = (
                f"SELECT trace_id FROM spans WHERE {' AND '.join(where)} GROUP BY trace_id{_having(having)}"
            )
            where = [asked.window, f"trace_id IN ({within})"]
        columns = _aggregates(asked, once.condition)
        having = asked.whole
    return common, f"{columns} FROM spans WHERE {' AND '.join(where)} GROUP BY trace_id{_having(having)}"


def _having(conditions: Sequence[str]) -> str:
    return f" HAVING {' AND '.join(conditions)}" if conditions else ""


def _aggregates(asked: Conditions, counted: str) -> str:
    """The columns that conditions on whole traces need."""
    columns = ""
    used = " ".join(asked.whole)
    if "errors_" in used:
        columns += ", countIf(status = 'error') AS errors_"
    if "duration_" in used:
        columns += (
            ", max(toUnixTimestamp64Nano(start) + duration) - toUnixTimestamp64Nano(min(start)) AS duration_"
        )
    if "cost_" in used:
        columns += f", sumOrNullIf(cost, {counted}) AS cost_"
    for owner in ("user_id", "organisation_id", "session_id"):
        if f"{owner}_ " in used:
            columns += f", max({owner}) AS {owner}_"
    return columns


_ROOT_FIRST = "(parent_id != '', start)"
_IDS = "project_id = {project:String} AND trace_id IN {ids:Array(String)}"


def _page(common: str, counted: str) -> str:
    """What a row of a list shows; its last column tells of traces in which calls may be recorded twice."""
    return f"""
{tables(common)}
SELECT
    trace_id,
    min(toUnixTimestamp64Nano(start)) AS start_,
    max(toUnixTimestamp64Nano(start) + duration) - start_ AS duration_,
    argMin(name, {_ROOT_FIRST}),
    argMin(service, {_ROOT_FIRST}),
    count(),
    countIf(status = 'error') AS errors_,
    argMinIf(route, start, route != ''),
    groupUniqArrayIf({MODEL}, {MODEL} != ''),
    argMinIf(user_id, start, user_id != ''),
    argMinIf(session_id, start, session_id != ''),
    argMinIf(organisation_id, start, organisation_id != ''),
    sumOrNullIf(input_tokens, {counted}),
    sumOrNullIf(output_tokens, {counted}),
    sumOrNullIf(cost, {counted}),
    countIf({counted} AND {UNPRICED}),
    argMinIf(time_to_first_token, start, time_to_first_token IS NOT NULL AND NOT ({AN_ATTEMPT})),
    argMinIf(input_preview, {_ROOT_FIRST}, input_preview != ''),
    argMinIf(output_preview, parent_id, parent_id = '' AND output_preview != '') AS root_output,
    if(root_output != '', root_output, argMaxIf(output_preview, start, output_preview != '')),
    groupUniqArrayArray(tags),
    max(source != 'gateway' AND model_call) AND max(source = 'gateway' AND parent_id != '')
FROM spans WHERE {_IDS} GROUP BY trace_id
"""


_PAGE = _page("", "model_call")
_PAGE_COUNTED_ONCE = _page(doubled(_IDS), COUNTED)
_PAGE_SCORES = """
SELECT trace_id, name, avg(value), count() FROM scores
WHERE project_id = {project:String} AND trace_id IN {ids:Array(String)}
GROUP BY trace_id, name ORDER BY name
"""


def _rows(pool: ClientPool, project_id: str, ids: Sequence[str]) -> list[TraceRow]:
    parameters = {"project": project_id, "ids": list(ids)}
    scores: dict[str, list[tuple[str, float | None, int]]] = {}
    for trace_id, name, mean, count in pool.select(_PAGE_SCORES, parameters):
        scores.setdefault(trace_id, []).append((name, mean, count))
    found = {row[0]: row for row in pool.select(_PAGE, parameters)}
    if twice := [trace_id for trace_id, row in found.items() if row[-1]]:
        found |= {row[0]: row for row in pool.select(_PAGE_COUNTED_ONCE, {**parameters, "ids": twice})}
    rows = [_trace_row(row, scores.get(trace_id, [])) for trace_id, row in found.items()]
    return sorted(rows, key=lambda row: (-row.start, row.trace_id))


def _trace_row(row: Row, scores: list[tuple[str, float | None, int]]) -> TraceRow:
    return TraceRow(
        trace_id=row[0],
        start=row[1],
        duration=row[2],
        name=row[3],
        service=row[4],
        span_count=row[5],
        error_count=row[6],
        status="error" if row[6] else "ok",
        route=row[7],
        models=sorted(row[8]),
        user_id=row[9],
        session_id=row[10],
        organisation_id=row[11],
        input_tokens=row[12],
        output_tokens=row[13],
        cost=exact(row[14]),
        unpriced_calls=row[15],
        time_to_first_token=row[16],
        input_preview=row[17],
        output_preview=row[19],
        tags=sorted(row[20]),
        scores=scores,
    )


def exact(amount: Decimal | None) -> Decimal | None:
    """The same number without the zeros that a column's fixed scale adds."""
    if amount is None:
        return None
    short = amount.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


_HEAD = tuple(name for name in SpanHead.__struct_fields__ if name != "attempt_cost")


def _selected(table: str, names: Sequence[str]) -> str:
    # As numbers: a Python datetime would lose the nanoseconds.
    time = TIME_COLUMNS[table]
    return ", ".join(f"toUnixTimestamp64Nano({name})" if name == time else f"`{name}`" for name in names)


def load_trace(pool: ClientPool, project_id: str, trace_id: str) -> TraceTree | None:
    """All spans of a trace without their messages, or None where there are none."""
    sql = (
        f"SELECT {_selected('spans', _HEAD)} FROM spans "
        "WHERE project_id = {project:String} AND trace_id = {trace:String} ORDER BY start, parent_id != '', span_id"
    )
    rows = pool.select(sql, {"project": project_id, "trace": trace_id})
    if not rows:
        return None
    spans = [SpanHead(**_named(_HEAD, row)) for row in rows]
    if any(span.operation == ATTEMPT for span in spans):
        spans = _with_lost_costs(pool, project_id, trace_id, spans)
    return TraceTree(
        trace_id=trace_id,
        spans=spans,
        scores=scores_of(pool, project_id, trace_id=trace_id, limit=TREE_SCORES),
    )


def _with_lost_costs(
    pool: ClientPool, project_id: str, trace_id: str, spans: list[SpanHead]
) -> list[SpanHead]:
    """The attributes hold it, and those of a whole trace are much to read."""
    sql = (
        f"SELECT span_id, {LOST_COST} FROM spans "
        f"WHERE project_id = {{project:String}} AND trace_id = {{trace:String}} AND {AN_ATTEMPT}"
    )
    found = {row[0]: exact(row[1]) for row in pool.select(sql, {"project": project_id, "trace": trace_id})}
    return [
        msgspec.structs.replace(span, attempt_cost=found[span.span_id]) if span.span_id in found else span
        for span in spans
    ]


def _named(names: Sequence[str], row: Row) -> dict[str, Any]:
    values = dict(zip(names, row, strict=True))
    values["cost"] = exact(values["cost"])
    return values


def load_span(pool: ClientPool, project_id: str, trace_id: str, span_id: str) -> Span | None:
    """One span, whole, or None."""
    sql = (
        f"SELECT {_selected('spans', COLUMNS['spans'])} FROM spans WHERE project_id = {{project:String}} "
        "AND trace_id = {trace:String} AND span_id = {span:String} LIMIT 1"
    )
    rows = pool.select(sql, {"project": project_id, "trace": trace_id, "span": span_id})
    return Span(**_named(COLUMNS["spans"], rows[0])) if rows else None


def scores_of(
    pool: ClientPool,
    project_id: str,
    *,
    trace_id: str = "",
    span_id: str = "",
    session_id: str = "",
    limit: int = 200,
) -> list[Score]:
    """Newest first; each id that is given must match."""
    ids = {"trace_id": trace_id, "span_id": span_id, "session_id": session_id}
    return _scores(pool, project_id, ids, limit, None)


def every_score(
    pool: ClientPool, project_id: str, ids: Mapping[str, str], limit: int
) -> Iterator[list[Score]]:
    """The newest `limit` scores, a batch at a time; `ids` as in `scores_of`, by column."""
    last: Score | None = None
    while limit > 0 and (batch := _scores(pool, project_id, ids, min(limit, BATCH_ROWS), last)):
        yield batch
        limit, last = limit - len(batch), batch[-1]


def _scores(
    pool: ClientPool, project_id: str, ids: Mapping[str, str], limit: int, after: Score | None
) -> list[Score]:
    """`after` is the last score of the batch before, in the order of `time` downwards, then `score_id`."""
    where = ["project_id = {project:String}"]
    parameters: dict[str, Any] = {"project": project_id, "limit": limit}
    for column, value in ids.items():
        if value:
            where.append(f"{column} = {{{column}:String}}")
            parameters[column] = value
    if after is not None:
        at = "fromUnixTimestamp64Nano({after:Int64}, 'UTC')"
        where.append(f"time <= {at} AND (time < {at} OR score_id > {{after_id:String}})")
        parameters |= {"after": after.time, "after_id": after.score_id}
    return selected_scores(pool, " AND ".join(where), parameters)


def selected_scores(pool: ClientPool, where: str, parameters: Mapping[str, Any]) -> list[Score]:
    """Newest first, at most `limit`, which is among the parameters."""
    sql = (
        f"SELECT {_selected('scores', COLUMNS['scores'])} FROM scores WHERE {where} "
        "ORDER BY time DESC, score_id LIMIT {limit:UInt64}"
    )
    return [Score(**dict(zip(COLUMNS["scores"], row, strict=True))) for row in pool.select(sql, parameters)]
