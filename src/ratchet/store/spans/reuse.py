"""Answers given again: how many, what that saved, and what audits found."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.filters import EVERY_RUN, window
from ratchet.store.spans.traces import exact

__all__ = ["Audited", "Reuse", "ReuseDay", "SemanticHit", "reuse_of"]

_DAY = 86_400 * 10**9
_NEWEST = 50  # of the answers to nearly the same question, and of audits
_COST = "toDecimal128OrNull(attributes['ratchet.cache.saved_cost'], 18)"
_SECONDS = "toFloat64OrZero(attributes['ratchet.cache.saved_seconds'])"
_HELD = "source = 'gateway' AND cache_status != ''"
_HITS = "cache_status IN ('hit', 'semantic_hit')"


class ReuseDay(msgspec.Struct, frozen=True, kw_only=True):
    """One route on one day from `start` on. `saved` in US dollars, of the hits whose cost was known; `unpriced` are the
    others. `seconds` is what the answers took when they were made."""

    route: str
    start: int
    misses: int
    hits: int
    semantic_hits: int
    saved: Decimal
    unpriced: int
    seconds: float


class SemanticHit(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to nearly the same question. The questions are "" where content is not kept."""

    trace_id: str
    time: int
    route: str
    user_id: str
    question: str
    earlier: str
    cosine: float | None
    risk: float | None


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """A kept answer that was asked for anew, and whether a judge found that it would have been right."""

    time: int
    route: str
    right: bool
    question: str
    earlier: str
    cosine: float | None
    risk: float | None


class Reuse(msgspec.Struct, frozen=True, kw_only=True):
    """`audits` are counts by route: all, those found wrong, and how the judge errs (see JudgeErrors). `unjudged` counts
    the verdicts by route that a judge was to give and didn't. `states` is what
    gateways last said of each route: `answers`, `questions`, `bytes`, `max_error`, `risk`. `selected` counts the tools
    that were chosen without a model."""

    days: list[ReuseDay]
    recent: list[SemanticHit]
    audits: dict[str, tuple[int, int, float, float]]
    audited: list[Audited]
    unjudged: dict[str, int]
    states: dict[str, dict[str, str]]
    selected: int


def reuse_of(pool: ClientPool, project_id: str, *, since: int, until: int) -> Reuse:
    """Of production's calls between two times."""
    where, parameters = window(project_id, since, until)
    told, told_parameters = window(project_id, since, until, column="time", run=EVERY_RUN)
    return Reuse(
        days=_days(pool, where, parameters),
        recent=_recent(pool, where, parameters),
        audits=_audits(pool, told, told_parameters),
        audited=_audited(pool, told, told_parameters),
        unjudged=_unjudged(pool, told, told_parameters),
        states=_states(pool, told, told_parameters),
        selected=_selected(pool, where, parameters),
    )


def _days(pool: ClientPool, where: str, parameters: dict[str, Any]) -> list[ReuseDay]:
    rows = pool.select(
        "SELECT route, intDiv(toUnixTimestamp64Nano(start), {day:Int64}) AS day_, countIf(cache_status = 'miss'), "
        "countIf(cache_status = 'hit'), countIf(cache_status = 'semantic_hit'), "
        f"sumOrNullIf({_COST}, {_HITS}), countIf({_HITS} AND {_COST} IS NULL), sumIf({_SECONDS}, {_HITS}) FROM spans "
        f"WHERE {where} AND {_HELD} AND operation != 'select_tool' GROUP BY route, day_ ORDER BY route, day_",
        {**parameters, "day": _DAY},
    )
    return [
        ReuseDay(
            route=row[0],
            start=int(row[1]) * _DAY,
            misses=int(row[2]),
            hits=int(row[3]),
            semantic_hits=int(row[4]),
            saved=exact(row[5]) or Decimal(0),
            unpriced=int(row[6]),
            seconds=float(row[7]),
        )
        for row in rows
    ]


def _recent(pool: ClientPool, where: str, parameters: dict[str, Any]) -> list[SemanticHit]:
    rows = pool.select(
        "SELECT trace_id, toUnixTimestamp64Nano(start), route, user_id, input_preview, "
        "attributes['ratchet.cache.earlier_question'], attributes['ratchet.cache.cosine'], "
        f"attributes['ratchet.cache.risk'] FROM spans WHERE {where} AND {_HELD} AND cache_status = 'semantic_hit' "
        "AND operation != 'select_tool' ORDER BY start DESC, span_id LIMIT {newest:UInt64}",
        {**parameters, "newest": _NEWEST},
    )
    return [
        SemanticHit(
            trace_id=row[0],
            time=int(row[1]),
            route=row[2],
            user_id=row[3],
            question=row[4],
            earlier=row[5],
            cosine=_number(row[6]),
            risk=_number(row[7]),
        )
        for row in rows
    ]


def _audits(
    pool: ClientPool, where: str, parameters: dict[str, Any]
) -> dict[str, tuple[int, int, float, float]]:
    rows = pool.select(
        "SELECT subject, count(), countIf(attributes['right'] = 'false'), "
        "argMax(toFloat64OrZero(attributes['judge_strict']), time), "
        f"argMax(toFloat64OrZero(attributes['judge_lax']), time) FROM events WHERE {where} "
        "AND kind = 'cache.audited' GROUP BY subject",
        parameters,
    )
    return {row[0]: (int(row[1]), int(row[2]), float(row[3]), float(row[4])) for row in rows}


def _audited(pool: ClientPool, where: str, parameters: dict[str, Any]) -> list[Audited]:
    """The newest, those found wrong first."""
    rows = pool.select(
        "SELECT toUnixTimestamp64Nano(time), subject, attributes['right'], attributes['question'], "
        "attributes['earlier_question'], attributes['cosine'], attributes['risk'] FROM events "
        f"WHERE {where} AND kind = 'cache.audited' ORDER BY attributes['right'] = 'true', time DESC, event_id "
        "LIMIT {newest:UInt64}",
        {**parameters, "newest": _NEWEST},
    )
    return [
        Audited(
            time=int(row[0]),
            route=row[1],
            right=row[2] == "true",
            question=row[3],
            earlier=row[4],
            cosine=_number(row[5]),
            risk=_number(row[6]),
        )
        for row in rows
    ]


def _unjudged(pool: ClientPool, where: str, parameters: dict[str, Any]) -> dict[str, int]:
    rows = pool.select(
        f"SELECT subject, sum(toUInt64OrZero(attributes['count'])) FROM events WHERE {where} "
        "AND kind = 'cache.unjudged' GROUP BY subject",
        parameters,
    )
    return {row[0]: int(row[1]) for row in rows}


def _states(pool: ClientPool, where: str, parameters: dict[str, Any]) -> dict[str, dict[str, str]]:
    rows = pool.select(
        f"SELECT subject, argMax(attributes, time) FROM events WHERE {where} AND kind = 'cache.state' GROUP BY subject",
        parameters,
    )
    return {row[0]: dict(row[1]) for row in rows}


def _selected(pool: ClientPool, where: str, parameters: dict[str, Any]) -> int:
    rows = pool.select(
        f"SELECT count() FROM spans WHERE {where} AND {_HELD} AND operation = 'select_tool'", parameters
    )
    return int(rows[0][0])


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
