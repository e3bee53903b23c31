"""What a run's spans and scores say: one result for each answer of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from ratchet.domain.cases import UNSCORED, Output, Verdict
from ratchet.domain.messages import Message, TextPart, ToolCallPart
from ratchet.domain.runs import CACHED_COST, CACHED_LATENCY, Result
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import EVERY_RUN, window
from ratchet.store.spans.traces import exact

__all__ = ["results_of_run"]

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
_LABELS = """
SELECT trace_id, name, avg(value_) FROM (
    SELECT trace_id, name, author, argMax(value, time) AS value_ FROM scores
    WHERE {where} AND source = 'member' AND value IS NOT NULL
    AND trace_id IN (SELECT trace_id FROM spans WHERE {spans} AND candidate != '')
    GROUP BY trace_id, name, author
) GROUP BY trace_id, name
"""


def results_of_run(
    pool: ClientPool, project_id: str, run_id: str, *, since: int, until: int | None, whole: bool
) -> list[Result]:
    """Everything answered so far, in no order. `whole` reads whole answers and every attribute of a verdict;
    otherwise an answer is its first line and a verdict has no comment."""
    earliest, latest = since - _SLACK, None if until is None else until + _SLACK
    spans, bounds = window(project_id, earliest, latest, run=run_id)
    scores, _ = window(project_id, earliest, latest, column="time", run=run_id)
    attributes = "attributes" if whole else "map()"
    found = pool.select_all(
        _SPANS.format(text="output_messages" if whole else "output_preview", where=spans),
        _SCORES.format(attributes=attributes, where=scores).replace(
            "label, comment", "label, comment" if whole else "label, ''"
        ),
        _LABELS.format(where=_since(earliest), spans=spans),
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


def _since(earliest: int) -> str:
    """People's scores, which belong to no run: of any time from its beginning on."""
    return window("", earliest, None, column="time", run=EVERY_RUN)[0]


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
