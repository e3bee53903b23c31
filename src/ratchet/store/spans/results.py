"""What a run's spans and scores say: one result for each answer of a candidate."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from ratchet.domain.cases import UNSCORED, Output, Verdict
from ratchet.domain.messages import Message, TextPart, ToolCallPart
from ratchet.domain.runs import CACHED_COST, CACHED_LATENCY, CaseFigures, Result
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import AN_ATTEMPT, EVERY_RUN, window
from ratchet.store.spans.traces import exact

__all__ = ["figures_of_run", "results_of_run"]

_SLACK = 3600 * 10**9  # clocks of different machines differ
_messages = msgspec.json.Decoder(list[Message])
# An app's own root says what the app answered; the model calls below it carry the same names. Of several tries the
# last counts.
_SPANS = """
SELECT candidate, case_id, repeat, {text}, error_message, status, duration, time_to_first_token, cost,
       input_tokens, output_tokens, trace_id, span_id, cache_status, attributes[{{cost:String}}],
       attributes[{{latency:String}}]
FROM spans WHERE {where} AND candidate != ''
ORDER BY source = 'run' DESC, start DESC LIMIT 1 BY candidate, case_id, repeat
"""
_SCORES = """
SELECT attributes['candidate'], case_id, attributes['repeat'], name, value, label, comment, {attributes}
FROM scores WHERE {where}
ORDER BY time DESC LIMIT 1 BY score_id
"""
# What people said of the answers, wherever they said it: the last word of each counts.
_SAID = """
    SELECT trace_id, name, author, argMax(value, time) AS value_ FROM scores
    WHERE {where} AND source = 'member' AND value IS NOT NULL
    AND trace_id IN (SELECT trace_id FROM spans WHERE {spans} AND candidate != '')
    GROUP BY trace_id, name, author
"""
_LABELS = f"SELECT trace_id, name, avg(value_) FROM ({_SAID}) GROUP BY trace_id, name"
_CASE_LABELS = (
    f"SELECT candidate, case_id, name, avg(value_) FROM ({_SAID}) AS said_ INNER JOIN "
    "(SELECT DISTINCT trace_id, candidate, case_id FROM spans WHERE {spans} AND candidate != '') AS of_ USING trace_id "
    "GROUP BY candidate, case_id, name"
)

# An answer that was there already has what it cost and took when it was made; one that failed took no time at all.
_SPENT = """
SELECT candidate, case_id, groupArray(ifNull(cost_, nan)), groupArray(ifNull(latency_, nan)) FROM (
    SELECT candidate, case_id, repeat, cache_status = 'hit' AS hit_,
        if(hit_, toFloat64OrNull(attributes[{{cost:String}}]), toFloat64(cost)) AS cost_,
        if(status = 'error', NULL, if(hit_, toFloat64OrNull(attributes[{{latency:String}}]), duration / 1e9)) AS latency_
    FROM spans WHERE {where} AND candidate != ''
    ORDER BY source = 'run' DESC, start DESC LIMIT 1 BY candidate, case_id, repeat
) GROUP BY candidate, case_id
"""
_VALUES = """
SELECT candidate_, case_id, name, groupArray(ifNull(value_, nan)) FROM (
    SELECT attributes['candidate'] AS candidate_, case_id, attributes['repeat'] AS repeat_, name,
        argMax(value, time) AS value_
    FROM scores WHERE {where} GROUP BY candidate_, case_id, repeat_, name
) GROUP BY candidate_, case_id, name
"""


def figures_of_run(
    pool: ClientPool,
    project_id: str,
    run_id: str,
    candidates: Sequence[str],
    *,
    since: int,
    until: int | None,
) -> list[CaseFigures]:
    """The numbers of some candidates, case by case: what a comparison needs, and quicker than everything."""
    spans, scores, bounds = _where(project_id, run_id, since, until)
    spent, valued, said = pool.select_all(
        _SPENT.format(where=f"{spans} AND candidate IN {{candidates:Array(String)}}"),
        _VALUES.format(where=f"{scores} AND attributes['candidate'] IN {{candidates:Array(String)}}"),
        _CASE_LABELS.format(where=_since(), spans=spans),
        parameters={**bounds, "cost": CACHED_COST, "latency": CACHED_LATENCY, "candidates": list(candidates)},
    )
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for candidate, case_id, name, numbers in valued:
        values.setdefault((candidate, case_id), {})[name] = numbers
    labels: dict[tuple[str, str], dict[str, float]] = {}
    for candidate, case_id, name, value in said:
        labels.setdefault((candidate, case_id), {})[name] = value
    return [
        CaseFigures(
            candidate=row[0],
            case_id=row[1],
            values=values.get((row[0], row[1]), {}),
            costs=row[2],
            latencies=row[3],
            labels=labels.get((row[0], row[1]), {}),
        )
        for row in spent
    ]


def results_of_run(
    pool: ClientPool,
    project_id: str,
    run_id: str,
    *,
    since: int,
    until: int | None,
    whole: bool,
    case_ids: Sequence[str] = (),
) -> list[Result]:
    """Everything answered so far, in no order. `whole` reads whole answers and every attribute of a verdict;
    otherwise an answer is its first line and a verdict has no comment. `case_ids` asks for some cases alone."""
    spans, scores, bounds = _where(project_id, run_id, since, until)
    if case_ids:
        spans, scores = (f"{where} AND case_id IN {{cases:Array(String)}}" for where in (spans, scores))
        bounds["cases"] = list(case_ids)
    attributes = "attributes" if whole else "map()"
    found = pool.select_all(
        _SPANS.format(text="output_messages" if whole else "output_preview", where=spans),
        _SCORES.format(attributes=attributes, where=scores).replace(
            "label, comment", "label, comment" if whole else "label, ''"
        ),
        _LABELS.format(where=_since(), spans=spans),
        parameters={**bounds, "cost": CACHED_COST, "latency": CACHED_LATENCY},
    )
    verdicts: dict[tuple[str, str, int], list[Verdict]] = {}
    for row in found[1]:
        place = (row[0], row[1], int(row[2] or 0))
        verdicts.setdefault(place, []).append(_verdict(row))
    labels: dict[str, dict[str, float]] = {}
    for trace_id, name, value in found[2]:
        labels.setdefault(trace_id, {})[name] = value
    return [
        _result(row, verdicts.get((row[0], row[1], row[2]), []), labels.get(row[11], {}), whole=whole)
        for row in found[0]
    ]


def _where(project_id: str, run_id: str, since: int, until: int | None) -> tuple[str, str, dict[str, Any]]:
    """Conditions on spans and on scores, with their parameters."""
    earliest, latest = since - _SLACK, None if until is None else until + _SLACK
    spans, bounds = window(project_id, earliest, latest, run=run_id)
    scores, _ = window(project_id, earliest, latest, column="time", run=run_id)
    return f"{spans} AND NOT ({AN_ATTEMPT})", scores, bounds


def _since() -> str:
    """People's scores, which belong to no run: of any time from its beginning on."""
    return window("", 0, None, column="time", run=EVERY_RUN)[0]


def _verdict(row: Row) -> Verdict:
    value = UNSCORED if row[4] is None else row[4]
    attributes: Mapping[str, str] = row[7] or {}
    kept = {name: text for name, text in attributes.items() if name not in ("candidate", "repeat")}
    return Verdict(name=row[3], value=value, label=row[5], comment=row[6], attributes=kept)


def _result(row: Row, verdicts: list[Verdict], labels: dict[str, float], *, whole: bool) -> Result:
    cached = row[13] == "hit"
    text, calls = _said(row[3]) if whole else (row[3], [])
    failed = row[5] == "error"
    return Result(
        candidate=row[0],
        case_id=row[1],
        repeat=row[2],
        output=Output(
            text="" if failed and whole else text,
            tool_calls=calls,
            error=(row[4] or "it failed") if failed else "",
            latency=_seconds(row[15]) if cached else row[6] / 1e9,
            time_to_first_token=None if row[7] is None else row[7] / 1e9,
            cost=_dollars(row[14]) if cached else exact(row[8]),
            input_tokens=row[9],
            output_tokens=row[10],
            trace_id=row[11],
            span_id=row[12],
        ),
        verdicts=sorted(verdicts, key=lambda each: each.name),
        cached=cached,
        labels=labels,
    )


def _said(messages: str) -> tuple[str, list[ToolCallPart]]:
    """The text and calls of the first choice."""
    try:
        found = _messages.decode(messages) if messages else []
    except msgspec.DecodeError:
        return messages, []
    parts: list[Any] = list(found[0].parts) if found else []
    text = "".join(part.content for part in parts if isinstance(part, TextPart))
    return text, [part for part in parts if isinstance(part, ToolCallPart)]


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _dollars(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
