"""How dependable targets are: what each was asked, what it lost and to whom, and what gateways say of circuits, probes
and queues.

Calls of runs count as production's do: to a provider they are the same. What a cache answered asked nobody.
"""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.domain.spans import Event
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import AN_ATTEMPT, EVERY_RUN, LOST_COST, SILENT, tables, window
from ratchet.store.spans.schema import COLUMNS, TIME_MAX, TIME_MIN
from ratchet.store.spans.traces import exact
from ratchet.store.spans.traffic import floor_of, step_for

__all__ = [
    "LastFailure",
    "LostPoint",
    "ProbePoint",
    "Probed",
    "Reliability",
    "TargetFigures",
    "reliability_of",
]

_DAY = 86_400 * 10**9
_MINUTE = 60 * 10**9
_NEWEST = 30  # events
_SILENCE = 3 * _MINUTE  # gateways with something to tell give a sign of life each minute
_CREDENTIALS = "kind IN ('credential.refused', 'credential.accepted')"
_CIRCUITS = f"(kind IN ('circuit.closed', 'circuit.open', 'circuit.half_open') OR {_CREDENTIALS})"
_PROBES = "kind IN ('probe.answered', 'probe.failed')"
_TOLD = f"({_CIRCUITS} OR kind = 'probe.failed')"
_START = "toUnixTimestamp64Nano(start)"
_TIME = "toUnixTimestamp64Nano(time)"
_CALL = (
    "source = 'gateway' AND model_call AND target != '' AND cache_status NOT IN ('hit', 'semantic_hit') "
    "AND error_type NOT IN ('client_closed_request', 'gateway_stopped')"
)
_FAILED = f"{_CALL} AND status = 'error'"


class LastFailure(msgspec.Struct, frozen=True):
    """The newest attempt that failed, or call that did. `kind` is a class of failure or the call's error."""

    trace_id: str
    span_id: str
    time: int
    kind: str
    message: str


class TargetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One target. Times in nanoseconds, costs in US dollars; None is unknown.

    `calls` are those whose last word was this target's, `answered` the good ones among them, and `failed` the others by
    their error. `lost` are attempts at it that gave no answer, by class of failure; they are in no call's number.
    `taken_over` counts calls that another target answered after this one had failed, `took_over` those that this one
    answered after another had. Latencies are exact quantiles over the answered calls, from when the attempt before had
    ended; what a hedge waited is in them. `lost_cost` is what is known or estimated of lost attempts.
    """

    target: str
    calls: int = 0
    answered: int = 0
    failed: dict[str, int] = {}
    lost: dict[str, int] = {}
    lost_cost: Decimal | None = None
    taken_over: int = 0
    took_over: int = 0
    latency_p50: int | None = None
    latency_p95: int | None = None
    ttft_p50: int | None = None
    ttft_p95: int | None = None
    last_answer: int | None = None
    last_failure: LastFailure | None = None


class LostPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of time from `start` on: attempts lost by class of failure, calls failed by error, calls taken over."""

    start: int
    lost: dict[str, int] = {}
    failed: dict[str, int] = {}
    taken_over: int = 0


class ProbePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of time of a provider's probes; the medians are of those that were answered, in nanoseconds."""

    start: int
    answered: int = 0
    failed: int = 0
    latency: int | None = None
    time_to_first_token: int | None = None


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's probes: all of them, and piece by piece."""

    provider: str
    model: str  # of the newest
    answered: int
    failed: int
    latency_p50: int | None
    latency_p95: int | None
    ttft_p50: int | None
    ttft_p95: int | None
    cost: Decimal | None
    last: int
    last_failure: int | None
    last_message: str  # of the newest that failed
    points: list[ProbePoint]


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Everything from `since` up to `until`, in pieces of `step`; `circuits` and `queues` are each one's last word
    within the last day, newest first, of a circuit's credential too; but for those of gateways that are gone."""

    since: int
    until: int
    step: int
    targets: list[TargetFigures]
    points: list[LostPoint]
    probes: list[Probed]
    circuits: list[Event]
    queues: list[Event]
    events: list[Event]


def reliability_of(
    pool: ClientPool, project_id: str, *, since: int | None, until: int, now: int
) -> Reliability:
    """See `Reliability`; without `since` it begins with the first call or probe."""
    until = min(max(until, TIME_MIN), TIME_MAX)
    begin = min(_first(pool, project_id, until) if since is None else max(since, TIME_MIN), until)
    step = step_for(until - begin)
    origin = floor_of(begin, step)
    count = (until - 1 - origin) // step + 1 if until > begin else 0
    where, parameters = window(project_id, begin, until, run=EVERY_RUN)
    told, _ = window(project_id, begin, until, column="time", run=EVERY_RUN)
    told = told.replace("project_id = {project:String}", "project_id IN ({project:String}, '')")
    parameters |= {"origin": origin, "step": step}
    rows = pool.select_all(
        _answers(where),
        f"SELECT target, error_type, count(), sumOrNull({LOST_COST}) FROM spans "
        f"WHERE {where} AND {AN_ATTEMPT} GROUP BY target, error_type",
        f"SELECT target, error_type, count() FROM spans WHERE {where} AND {_FAILED} GROUP BY target, error_type",
        f"SELECT lost_, won_, count() FROM ({_taken_over(where)}) GROUP BY lost_, won_",
        _last_failures(where),
        f"SELECT {_piece(_START)}, operation = 'attempt', error_type, count() FROM spans "
        f"WHERE {where} AND ({AN_ATTEMPT} OR {_FAILED}) GROUP BY 1, 2, 3",
        f"SELECT {_piece('start_')}, uniqExact(trace_id, span_id) FROM ({_taken_over(where)}) GROUP BY 1",
        _probes_by_time(told),
        f"SELECT {_EVENT} FROM events WHERE {told} AND {_TOLD} ORDER BY time DESC, event_id LIMIT {_NEWEST}",
        parameters=parameters,
    )
    circuits, queues = _last_words(pool, project_id, now)
    return Reliability(
        since=begin,
        until=until,
        step=step,
        targets=_targets(*rows[:5]),
        points=_points(rows[5], rows[6], origin, step, count),
        probes=_probed(rows[7], origin, step, count),
        circuits=circuits,
        queues=queues,
        events=[_event(row) for row in rows[8]],
    )


def _piece(moment: str) -> str:
    return f"intDiv({moment} - {{origin:Int64}}, {{step:Int64}})"


def _first(pool: ClientPool, project_id: str, until: int) -> int:
    where, parameters = window(project_id, None, until, run=EVERY_RUN)
    told, _ = window(project_id, None, until, column="time", run=EVERY_RUN)
    called, probed = pool.select_all(
        f"SELECT count(), min({_START}) FROM spans WHERE {where} AND {_CALL}",
        f"SELECT count(), min({_TIME}) FROM events WHERE {told} AND {_PROBES}",
        parameters=parameters,
    )
    found = [int(row[1]) for row in (called[0], probed[0]) if row[0]]
    return min(found) // _MINUTE * _MINUTE if found else until


def _answers(where: str) -> str:
    """Calls by target. Most were answered at once; of the others, the time before the last attempt is not theirs."""
    lost = (
        f"lost AS (SELECT trace_id, parent_id AS span_id, attempt AS number_, {_START} + duration AS ended_ "
        f"FROM spans WHERE {where} AND {AN_ATTEMPT} AND error_type NOT IN {SILENT})"
    )
    at_once = (
        f"SELECT target AS target_, status = 'ok' AS good_, {_START} AS start_, duration AS took_, "
        f"time_to_first_token AS first_ FROM spans WHERE {where} AND {_CALL} AND attempt <= 1"
    )
    later = f"""
        SELECT any(target) AS target_, any(status) = 'ok' AS good_, any({_START}) AS start_,
            any(duration) - before_ AS took_, any(time_to_first_token) - before_ AS first_,
            greatest(maxIf(ended_, number_ < attempt) - start_, 0) AS before_
        FROM spans LEFT JOIN lost USING (trace_id, span_id) WHERE {where} AND {_CALL} AND attempt > 1
        GROUP BY trace_id, span_id"""
    return f"""
{tables(lost)}SELECT target_, count(), countIf(good_),
    quantilesExactOrNullIf(0.5, 0.95)(toNullable(took_), good_), quantilesExactOrNullIf(0.5, 0.95)(first_, good_),
    maxIf(start_, good_)
FROM ({at_once} UNION ALL SELECT target_, good_, start_, took_, first_ FROM ({later})) GROUP BY target_
"""


def _taken_over(where: str) -> str:
    """Answered calls beside each other target that had failed at them."""
    return f"""
SELECT DISTINCT trace_id, span_id, lost_, won_, start_ FROM (
    SELECT trace_id, span_id, target AS won_, {_START} AS start_ FROM spans
    WHERE {where} AND {_CALL} AND status = 'ok' AND attempt > 1
) AS called INNER JOIN (
    SELECT trace_id, parent_id AS span_id, target AS lost_ FROM spans
    WHERE {where} AND {AN_ATTEMPT} AND error_type NOT IN {SILENT}
) AS lost USING (trace_id, span_id) WHERE lost_ != won_
"""


def _last_failures(where: str) -> str:
    return (
        f"SELECT target, argMax(tuple(trace_id, span_id, {_START}, toString(error_type), "
        "substringUTF8(error_message, 1, 400)), start) FROM spans "
        f"WHERE {where} AND ({AN_ATTEMPT} AND error_type NOT IN {SILENT} OR {_FAILED}) GROUP BY target"
    )


def _probes_by_time(told: str) -> str:
    """Each provider's probes, as a whole and piece by piece."""
    good = "kind = 'probe.answered'"
    seconds, first = (f"toFloat64OrNull(attributes['{name}'])" for name in ("seconds", "time_to_first_token"))
    return f"""
SELECT subject, {_piece(_TIME)} AS piece_, grouping(piece_) AS whole_, countIf({good}), countIf(NOT {good}),
    quantilesExactOrNullIf(0.5, 0.95)({seconds}, {good}), quantilesExactOrNullIf(0.5, 0.95)({first}, {good}),
    sumOrNull(toDecimal128OrNull(attributes['cost'], 18)), max({_TIME}), maxIf({_TIME}, NOT {good}),
    argMax(attributes['model'], time), argMaxIf(message, time, NOT {good})
FROM events WHERE {told} AND {_PROBES} GROUP BY GROUPING SETS ((subject), (subject, piece_)) ORDER BY subject, piece_
"""


_EVENT = ", ".join(_TIME if name == "time" else name for name in COLUMNS["events"])


def _event(row: Row) -> Event:
    return Event(**dict(zip(COLUMNS["events"], row, strict=True)))


def _last_words(pool: ClientPool, project_id: str, now: int) -> tuple[list[Event], list[Event]]:
    """Of each circuit, of each credential, and of each queue, by the gateway that tells of it.

    Where a gateway is silent that should give signs of life, it is gone, and so is what it said.
    """
    told, parameters = window(project_id, now - _DAY, None, column="time", run=EVERY_RUN)
    told = told.replace("project_id = {project:String}", "project_id IN ({project:String}, '')")
    newest = (
        "ORDER BY time DESC, event_id LIMIT 1 BY subject, attributes['credential'], attributes['gateway']"
    )
    circuits, queues, heard = pool.select_all(
        f"SELECT {_EVENT} FROM events WHERE {told} AND {_CIRCUITS} {newest}, {_CREDENTIALS} LIMIT 1000",
        f"SELECT {_EVENT} FROM events WHERE {told} AND kind = 'queue.state' {newest} LIMIT 1000",
        f"SELECT attributes['gateway'] FROM events WHERE {told} AND {_TIME} > {{alive:Int64}} GROUP BY 1",
        parameters={**parameters, "alive": now - _SILENCE},
    )
    alive = {row[0] for row in heard}

    def holds(event: Event) -> bool:
        return event.attributes.get("gateway", "") in alive or not _has_something_to_tell(event)

    return (
        [event for event in map(_event, circuits) if holds(event)],
        [event for event in map(_event, queues) if holds(event)],
    )


def _has_something_to_tell(event: Event) -> bool:
    if event.kind == "queue.state":
        return any(event.attributes.get(name, "0") != "0" for name in ("held", "waiting"))
    return event.kind not in ("circuit.closed", "credential.accepted")


def _targets(
    answers: Sequence[Row],
    lost: Sequence[Row],
    failed: Sequence[Row],
    taken: Sequence[Row],
    newest: Sequence[Row],
) -> list[TargetFigures]:
    found: dict[str, dict[str, Any]] = {}
    for name, calls, answered, latency, first, last in answers:
        p50, p95 = _quantiles(latency)
        ttft_p50, ttft_p95 = _quantiles(first)
        found[name] = {
            "calls": calls,
            "answered": answered,
            "latency_p50": p50,
            "latency_p95": p95,
            "ttft_p50": ttft_p50,
            "ttft_p95": ttft_p95,
            "last_answer": last if answered else None,
        }
    for name, kind, count, cost in lost:
        target = found.setdefault(name, {})
        target.setdefault("lost", {})[kind] = count
        if cost is not None:
            target["lost_cost"] = target.get("lost_cost", Decimal(0)) + cost
    for name, kind, count in failed:
        found.setdefault(name, {}).setdefault("failed", {})[kind] = count
    for loser, winner, count in taken:
        for name, field in ((loser, "taken_over"), (winner, "took_over")):
            target = found.setdefault(name, {})
            target[field] = target.get(field, 0) + count
    for name, failure in newest:
        found.setdefault(name, {})["last_failure"] = LastFailure(*failure)
    for target in found.values():
        target["lost_cost"] = exact(target.get("lost_cost"))
    return [TargetFigures(target=name, **found[name]) for name in sorted(found)]


def _points(
    failures: Sequence[Row], taken: Sequence[Row], origin: int, step: int, count: int
) -> list[LostPoint]:
    lost: list[dict[str, int]] = [{} for _ in range(count)]
    failed: list[dict[str, int]] = [{} for _ in range(count)]
    taken_over = [0] * count
    for piece, is_attempt, kind, times in failures:
        if 0 <= piece < count:
            (lost if is_attempt else failed)[piece][kind] = times
    for piece, times in taken:
        if 0 <= piece < count:
            taken_over[piece] = times
    return [
        LostPoint(start=origin + at * step, lost=lost[at], failed=failed[at], taken_over=taken_over[at])
        for at in range(count)
    ]


def _probed(rows: Sequence[Row], origin: int, step: int, count: int) -> list[Probed]:
    pieces: dict[str, list[ProbePoint]] = {}
    for subject, piece, whole, answered, failed, seconds, first, *_ in rows:
        if whole or not 0 <= piece < count:
            continue
        points = pieces.setdefault(
            subject, [ProbePoint(start=origin + number * step) for number in range(count)]
        )
        points[piece] = ProbePoint(
            start=origin + piece * step,
            answered=answered,
            failed=failed,
            latency=_quantiles(seconds, 10**9)[0],
            time_to_first_token=_quantiles(first, 10**9)[0],
        )
    return [_probed_one(row, pieces.get(row[0], [])) for row in rows if row[2]]


def _probed_one(row: Row, points: list[ProbePoint]) -> Probed:
    latency, first = _quantiles(row[5], 10**9), _quantiles(row[6], 10**9)
    return Probed(
        provider=row[0],
        model=row[10],
        answered=row[3],
        failed=row[4],
        latency_p50=latency[0],
        latency_p95=latency[1],
        ttft_p50=first[0],
        ttft_p95=first[1],
        cost=exact(row[7]),
        last=row[8],
        last_failure=row[9] if row[4] else None,
        last_message=row[11],
        points=points,
    )


def _quantiles(values: Sequence[float | None] | None, times: int = 1) -> tuple[int | None, int | None]:
    """Quantiles of nothing come as no list, as NULL or as NaN, depending on the engine's version."""
    known = [
        None if value is None or not math.isfinite(value) else round(value * times) for value in values or ()
    ]
    return (known[0], known[1]) if len(known) == 2 else (None, None)
