"""Sessions: a list with what each came to, and one session turn by turn.

A turn is a trace. A session's figures are of the whole of it, whatever the window in which it was looked for.
"""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.domain.spans import Score
from ratchet.errors import InvalidRequest
from ratchet.store.spans.belonging import Belonging, belonging
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import (
    AN_ATTEMPT,
    MODEL,
    UNPRICED,
    Conditions,
    Counting,
    conditions,
    counting,
    tables,
)
from ratchet.store.spans.rows import TraceFilter
from ratchet.store.spans.traces import exact, matching, selected_scores

__all__ = [
    "SESSION_ORDERS",
    "Session",
    "SessionPage",
    "SessionRow",
    "Turn",
    "load_session",
    "page_of_sessions",
]

SESSION_SCORES = 1000
EARLIER_TURNS = 5
BATCH_ROWS = 1000


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One session. `calls` are its model calls, each counted once; `error_count` counts failed spans of any kind.

    `scores` are those of the session and of its traces, as (name, mean, count).
    """

    session_id: str
    start: int
    end: int
    turns: int
    calls: int
    error_count: int
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced_calls: int
    user_id: str
    organisation_id: str
    routes: list[str]
    models: list[str]
    languages: list[str]
    input_preview: str
    output_preview: str
    scores: list[tuple[str, float | None, int]]

    @property
    def duration(self) -> int:
        """Nanoseconds from the first span's start to the last one's end."""
        return self.end - self.start


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is the exact number that match."""

    rows: list[SessionRow]
    total: int
    limit: int
    offset: int


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One trace of a session. `span_id` is the model call that holds most of the conversation, with its messages as
    they are stored; "" where no call says anything, and then the previews are all there is."""

    trace_id: str
    start: int
    duration: int
    name: str
    route: str
    models: list[str]
    error_count: int
    error_message: str
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced_calls: int
    calls: int
    span_count: int
    time_to_first_token: int | None
    input_preview: str
    output_preview: str
    span_id: str
    input_messages: str
    output_messages: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session, some of its turns from number `offset` on, oldest first, and its newest 1,000 scores.

    `earlier` are up to five turns before the first one, so that what they said need not be told again.
    """

    row: SessionRow
    turns: list[Turn]
    earlier: list[Turn]
    total: int
    limit: int
    offset: int
    scores: list[Score]


_PROJECT = "project_id = {project:String}"
_START = "toUnixTimestamp64Nano(start)"
_DURATION = f"max({_START} + duration) - min({_START})"
# The engine keeps sets of numbers far faster than sets of texts.
_TURNS = "uniqExact(cityHash64(trace_id))"
SESSION_ORDERS = {
    "last": f"max({_START} + duration)",
    "start": "min(start)",
    "turns": _TURNS,
    "duration": _DURATION,
    "tokens": "sumIf(input_tokens, {counted}) + sumIf(output_tokens, {counted})",
    "cost": "sumOrNullIf(cost, {counted})",
    "errors": "countIf(status = 'error')",
}


def page_of_sessions(
    pool: ClientPool,
    project_id: str,
    wanted: TraceFilter,
    *,
    order: str,
    ascending: bool,
    limit: int,
    offset: int,
) -> SessionPage:
    """Sessions with a trace that meets `wanted`; but status "ok" and cost are asked of the session as a whole.

    Equal ones are in order of their ids. Raises InvalidRequest for an unknown order or filter.
    """
    ids, total, strays = _found(
        pool, project_id, wanted, order=order, ascending=ascending, limit=limit, offset=offset
    )
    rows = _rows(pool, project_id, ids, strays=strays)
    return SessionPage(rows=rows, total=total, limit=limit, offset=offset)


def every_session(
    pool: ClientPool, project_id: str, wanted: TraceFilter, *, order: str, ascending: bool, limit: int
) -> tuple[int, Iterator[list[SessionRow]]]:
    """How many sessions match, and the first `limit` of them, a batch at a time. Which they are is settled at once."""
    ids, total, strays = _found(
        pool, project_id, wanted, order=order, ascending=ascending, limit=limit, offset=0
    )
    batches = (
        _rows(pool, project_id, ids[at : at + BATCH_ROWS], strays=strays)
        for at in range(0, len(ids), BATCH_ROWS)
    )
    return total, batches


def _found(
    pool: ClientPool,
    project_id: str,
    wanted: TraceFilter,
    *,
    order: str,
    ascending: bool,
    limit: int,
    offset: int,
) -> tuple[list[str], int, bool]:
    """The ids of one page in order, how many match in all, and whether calls may belong to sessions they don't name."""
    if order not in SESSION_ORDERS:
        raise InvalidRequest(
            f"Sessions can't be sorted by {order!r}.",
            f"Use one of {', '.join(SESSION_ORDERS)}.",
            param="sort",
        )
    whole = conditions(project_id, _of_sessions(wanted))
    asked = conditions(project_id, _of_traces(wanted))
    parameters = asked.parameters | whole.parameters
    owned = belonging(pool, "session_id", _PROJECT, parameters)
    once = counting(pool, _PROJECT, parameters)
    having = " AND ".join(_having(whole, once.condition)) or "1"
    sql = (
        f"{tables(once.common, owned.common)}"
        f"SELECT {owned.owner} AS session_, {SESSION_ORDERS[order].format(counted=once.condition)} AS order_, "
        f"count() OVER () FROM {owned.source} "
        f"WHERE {_PROJECT} AND {owned.owner} != ''{_chosen(pool, asked, owned, once)} "
        f"GROUP BY session_ HAVING {having} ORDER BY order_ {'ASC' if ascending else 'DESC'} NULLS LAST, session_ "
        "LIMIT {limit:UInt64} OFFSET {offset:UInt64}"
    )
    found = pool.select(sql, {**parameters, "limit": limit, "offset": offset})
    total = found[0][2] if found else 0
    if not found and offset:  # past the end, where no row carries the total
        first = pool.select(sql, {**parameters, "limit": 1, "offset": 0})
        total = first[0][2] if first else 0
    return [row[0] for row in found], total, bool(owned.common)


def _of_traces(wanted: TraceFilter) -> TraceFilter:
    status = "" if wanted.status == "ok" else wanted.status
    return msgspec.structs.replace(wanted, status=status, cost_min=None, cost_max=None)


def _of_sessions(wanted: TraceFilter) -> TraceFilter:
    status = "ok" if wanted.status == "ok" else ""
    return TraceFilter(status=status, cost_min=wanted.cost_min, cost_max=wanted.cost_max)


def _having(whole: Conditions, counted: str) -> list[str]:
    values = {"errors_": "countIf(status = 'error')", "cost_": f"sumOrNullIf(cost, {counted})"}
    found: list[str] = []
    for condition in whole.whole:
        name, rest = condition.split(" ", 1)
        found.append(f"{values[name]} {rest}")
    return found


def _chosen(pool: ClientPool, asked: Conditions, owned: Belonging, once: Counting) -> str:
    """A condition that keeps the sessions with a trace that matches; nothing where all do."""
    narrow = asked.some or asked.others or asked.whole
    if not narrow and asked.window == _PROJECT:
        return ""
    # The spans that match may be others than those that name the session, and at other times.
    naming = f"SELECT session_id FROM spans WHERE {_PROJECT} AND session_id != ''"
    if not narrow:
        return f" AND {owned.owner} IN (SELECT {owned.owner} FROM {owned.source} WHERE {asked.window})"
    _, rest = matching(pool, asked, once)
    traces = f"SELECT cityHash64(trace_id) FROM (SELECT trace_id{rest})"
    return f" AND {owned.owner} IN ({naming} AND cityHash64(trace_id) IN ({traces}))"


def _row(counted: str) -> str:
    return f"""
    min({_START}), max({_START} + duration), {_TURNS}, countIf({counted}), countIf(status = 'error'),
    sumOrNullIf(input_tokens, {counted}), sumOrNullIf(output_tokens, {counted}), sumOrNullIf(cost, {counted}),
    countIf({counted} AND {UNPRICED}),
    argMaxIf(user_id, start, user_id != ''), argMaxIf(organisation_id, start, organisation_id != ''),
    groupUniqArrayIf(route, route != ''), groupUniqArrayIf({MODEL}, model_call),
    groupUniqArrayIf(language, language != ''),
    minIf({_START}, model_call), maxIf({_START}, model_call)
"""


def _rows(pool: ClientPool, project_id: str, ids: Sequence[str], *, strays: bool) -> list[SessionRow]:
    """What a list shows of these sessions, in the order of `ids`; those that have no span are left out.

    `strays` says that some calls may belong to a session that they don't name.
    """
    if not ids:
        return []
    parameters: dict[str, Any] = {"project": project_id, "ids": list(ids)}
    naming = f"{_PROJECT} AND session_id IN {{ids:Array(String)}}"
    where, owned = naming, Belonging("", "spans", "session_id")
    if strays:
        where = f"{_PROJECT} AND trace_id IN (SELECT trace_id FROM spans WHERE {naming})"
        owned = belonging(pool, "session_id", where, parameters)
    once = counting(pool, where, parameters)
    figures, scores = pool.select_all(
        f"{tables(once.common, owned.common)}SELECT {owned.owner} AS session_, {_row(once.condition)} "
        f"FROM {owned.source} WHERE {where} GROUP BY session_ HAVING session_ IN {{ids:Array(String)}}",
        "SELECT if(session_id IN {ids:Array(String)}, session_id, named_) AS session_, name, avg(value), count() "
        f"FROM scores LEFT ANY JOIN (SELECT trace_id AS trace_, max(session_id) AS named_ FROM spans WHERE {naming} "
        f"GROUP BY trace_) AS named ON trace_id = trace_ WHERE {_PROJECT} "
        "AND (session_id IN {ids:Array(String)} OR named_ != '') GROUP BY session_, name ORDER BY session_, name",
        parameters=parameters,
    )
    scored: dict[str, list[tuple[str, float | None, int]]] = {}
    for session, name, mean, count in scores:
        scored.setdefault(session, []).append((name, mean, count))
    said = _previews(pool, figures, {**parameters, "project": project_id})
    found = {
        row[0]: _session_row(
            row, scored.get(row[0], []), said.get(row[-2], ("", "")), said.get(row[-1], ("", ""))
        )
        for row in figures
    }
    return [found[one] for one in ids if one in found]


def _previews(
    pool: ClientPool, figures: Sequence[Row], parameters: dict[str, Any]
) -> dict[int, tuple[str, str]]:
    """What was asked and answered in the model calls that began at these moments: the first and last of each session.

    Read apart, by time, which leads straight to a few rows: their texts are the widest columns of a list.
    """
    times = sorted({moment for row in figures for moment in row[-2:] if moment})
    if not times:
        return {}
    rows = pool.select(
        f"SELECT {_START}, input_preview, output_preview FROM spans WHERE {_PROJECT} AND model_call "
        "AND start IN (SELECT fromUnixTimestamp64Nano(arrayJoin({times:Array(Int64)}), 'UTC'))",
        {**parameters, "times": times},
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _session_row(
    row: Row, scores: list[tuple[str, float | None, int]], first: tuple[str, str], last: tuple[str, str]
) -> SessionRow:
    return SessionRow(
        session_id=row[0],
        start=row[1],
        end=row[2],
        turns=row[3],
        calls=row[4],
        error_count=row[5],
        input_tokens=row[6],
        output_tokens=row[7],
        cost=exact(row[8]),
        unpriced_calls=row[9],
        user_id=row[10],
        organisation_id=row[11],
        routes=sorted(row[12]),
        models=sorted(row[13]),
        languages=sorted(row[14]),
        input_preview=first[0],
        output_preview=last[1],
        scores=scores,
    )


_ROOT_FIRST = "(parent_id != '', start)"
_TALK = "model_call AND operation NOT IN ('embeddings', 'rerank') AND (input_messages != '' OR output_messages != '')"


def load_session(
    pool: ClientPool, project_id: str, session_id: str, *, limit: int, offset: int
) -> Session | None:
    """See `Session`; None where no span names it."""
    rows = _rows(pool, project_id, [session_id], strays=True)
    if not rows:
        return None
    parameters: dict[str, Any] = {"project": project_id, "session": session_id}
    where = (
        f"{_PROJECT} AND trace_id IN "
        f"(SELECT trace_id FROM spans WHERE {_PROJECT} AND session_id = {{session:String}})"
    )
    once = counting(pool, where, parameters)
    before = min(offset, EARLIER_TURNS)
    heads = pool.select(
        f"{tables(once.common)}SELECT {_turn(once.condition)} FROM spans WHERE {where} GROUP BY trace_id "
        "ORDER BY start_, trace_id LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
        {**parameters, "limit": limit + before, "offset": offset - before},
    )
    traces = {"project": project_id, "session": session_id, "traces": [row[0] for row in heads]}
    said = pool.select(
        "SELECT trace_id, argMax((span_id, input_messages, output_messages), (length(input_messages), start)) "
        f"FROM spans WHERE {_PROJECT} AND trace_id IN {{traces:Array(String)}} AND {_TALK} GROUP BY trace_id",
        traces,
    )
    talks = {row[0]: row[1] for row in said}
    turns = [_turn_of(row, talks.get(row[0], ("", "", ""))) for row in heads]
    return Session(
        row=rows[0],
        turns=turns[before:],
        earlier=turns[:before],
        total=rows[0].turns,
        limit=limit,
        offset=offset,
        scores=selected_scores(
            pool,
            "project_id = {project:String} AND (trace_id IN {traces:Array(String)} "
            "OR trace_id = '' AND session_id = {session:String})",
            {**traces, "limit": SESSION_SCORES},
        ),
    )


def _turn(counted: str) -> str:
    return f"""
    trace_id, min({_START}) AS start_, {_DURATION}, argMin(name, {_ROOT_FIRST}), argMinIf(route, start, route != ''),
    groupUniqArrayIf({MODEL}, model_call), countIf(status = 'error'),
    argMinIf(if(error_message != '', error_message, error_type), start, status = 'error'),
    sumOrNullIf(input_tokens, {counted}), sumOrNullIf(output_tokens, {counted}), sumOrNullIf(cost, {counted}),
    countIf({counted} AND {UNPRICED}), countIf({counted}), count(),
    argMinIf(time_to_first_token, start, time_to_first_token IS NOT NULL AND NOT ({AN_ATTEMPT})),
    argMinIf(input_preview, {_ROOT_FIRST}, input_preview != ''),
    argMaxIf(output_preview, (parent_id = '', start), output_preview != '')
"""


def _turn_of(row: Row, talk: Sequence[str]) -> Turn:
    return Turn(
        trace_id=row[0],
        start=row[1],
        duration=row[2],
        name=row[3],
        route=row[4],
        models=sorted(row[5]),
        error_count=row[6],
        error_message=row[7],
        input_tokens=row[8],
        output_tokens=row[9],
        cost=exact(row[10]),
        unpriced_calls=row[11],
        calls=row[12],
        span_count=row[13],
        time_to_first_token=row[14],
        input_preview=row[15],
        output_preview=row[16],
        span_id=talk[0],
        input_messages=talk[1],
        output_messages=talk[2],
    )
