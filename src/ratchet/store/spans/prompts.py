"""What was done with prompts: their versions' traffic, cost, latency and scores, and every combination that was tried."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.filters import EVERY_RUN, UNPRICED, window
from ratchet.store.spans.traces import exact

__all__ = [
    "PromptScore",
    "PromptTotal",
    "PromptUse",
    "PromptUses",
    "prompt_totals",
    "prompt_uses",
    "variables_of",
]

_MOST = 500  # combinations of one prompt
_TEMPERATURE = "attributes['gen_ai.request.temperature']"
_FIGURES = f"""
    count(), countIf(status = 'error'), sumOrNull(cost), countIf({UNPRICED}),
    quantilesExactOrNull(0.5, 0.95)(toNullable(duration)), quantilesExactOrNull(0.5, 0.95)(time_to_first_token),
    sumOrNull(input_tokens), sumOrNull(output_tokens),
    toUnixTimestamp64Nano(min(start)), toUnixTimestamp64Nano(max(start))
"""


class PromptScore(msgspec.Struct, frozen=True):
    """All scores of one name: how many have a number, and their mean."""

    name: str
    count: int
    mean: float


class PromptUse(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one version, or of one version with one target at one temperature ("" where none was asked for).

    `tested` counts those among them that runs made. Times in nanoseconds; `cost` in US dollars is the sum of the known
    ones, and `unpriced` counts the calls without one.
    """

    version: int
    target: str = ""
    temperature: str = ""
    calls: int
    tested: int
    errors: int
    cost: Decimal | None
    unpriced: int
    latency_p50: int | None
    latency_p95: int | None
    ttft_p50: int | None
    ttft_p95: int | None
    input_tokens: int | None
    output_tokens: int | None
    first: int
    last: int
    scores: list[PromptScore] = []

    @property
    def error_rate(self) -> float:
        return self.errors / self.calls


class PromptUses(msgspec.Struct, frozen=True):
    """`versions`: production's calls alone, newest version first. `combinations`: runs' calls too, and only those that
    a provider was asked."""

    versions: list[PromptUse]
    combinations: list[PromptUse]


class PromptTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Production's calls of one prompt."""

    calls: int
    errors: int
    cost: Decimal | None
    unpriced: int
    latency_p50: int | None
    latency_p95: int | None


def prompt_totals(pool: ClientPool, project_id: str, *, since: int | None) -> dict[str, PromptTotal]:
    """By the prompt's name."""
    where, parameters = window(project_id, since, None)
    rows = pool.select(
        f"SELECT prompt, {_FIGURES} FROM spans WHERE {where} AND prompt != '' GROUP BY prompt",
        parameters,
    )
    found: dict[str, PromptTotal] = {}
    for name, calls, errors, cost, unpriced, latency, *_ in rows:
        p50, p95 = _quantiles(latency)
        found[name] = PromptTotal(
            calls=calls,
            errors=errors,
            cost=exact(cost),
            unpriced=unpriced,
            latency_p50=p50,
            latency_p95=p95,
        )
    return found


def prompt_uses(pool: ClientPool, project_id: str, prompt: str, *, since: int | None) -> PromptUses:
    """See `PromptUses`. Quantiles are exact, over calls that ended well or not."""
    where, parameters = window(project_id, since, None, run=EVERY_RUN)
    mine = f"FROM spans WHERE {where} AND prompt = {{prompt:String}} AND prompt_version != ''"
    scored_since = window(project_id, since, None, column="time", run=EVERY_RUN)[0]
    by_version, by_combination, by_score = pool.select_all(
        f"SELECT prompt_version, '', '', 0, {_FIGURES} {mine} AND run_id = '' GROUP BY prompt_version",
        f"SELECT prompt_version, target, {_TEMPERATURE} AS temperature_, countIf(run_id != ''), {_FIGURES} {mine} "
        f"AND target != '' GROUP BY prompt_version, target, temperature_ ORDER BY count() DESC LIMIT {_MOST}",
        f"""
WITH called AS (
    SELECT trace_id, span_id, prompt_version, target, {_TEMPERATURE} AS temperature_, run_id != '' AS tested_ {mine}
)
SELECT prompt_version, target, temperature_, tested_, name, count(), avg(value) FROM (
    SELECT DISTINCT prompt_version, target, temperature_, tested_, score_id, name, value
    FROM called INNER JOIN (
        SELECT trace_id, span_id AS scored_, score_id, name, value FROM scores
        WHERE {scored_since} AND value IS NOT NULL AND isFinite(value)
    ) AS given ON called.trace_id = given.trace_id
    WHERE scored_ = '' OR scored_ = called.span_id
) GROUP BY prompt_version, target, temperature_, tested_, name
""",
        parameters={**parameters, "prompt": prompt},
    )
    scores = _Scores(by_score)
    return PromptUses(
        versions=sorted(
            (_use(row, scores.of(row[0])) for row in by_version if row[0].isdigit()),
            key=lambda use: -use.version,
        ),
        combinations=sorted(
            (_use(row, scores.of(row[0], (row[1], row[2]))) for row in by_combination if row[0].isdigit()),
            key=lambda use: (-use.version, use.target, use.temperature),
        ),
    )


def variables_of(pool: ClientPool, project_id: str, prompt: str, *, since: int) -> str:
    """What filled the prompt in when it was last asked for, as JSON; "" where nobody says."""
    where, parameters = window(project_id, since, None)
    rows = pool.select(
        "SELECT attributes['ratchet.variables'] FROM spans "
        f"WHERE {where} AND prompt = {{prompt:String}} AND attributes['ratchet.variables'] != '' AND status != 'error' "
        "ORDER BY start DESC LIMIT 1",
        {**parameters, "prompt": prompt},
    )
    return str(rows[0][0]) if rows else ""


class _Scores:
    """Means of scores, put together for a version's production calls, or for one combination."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows = rows

    def of(self, version: str, combination: tuple[str, str] | None = None) -> list[PromptScore]:
        sums: dict[str, tuple[int, float]] = {}
        for its_version, target, temperature, tested, name, count, mean in self._rows:
            wanted = not tested if combination is None else (target, temperature) == combination
            if its_version == version and wanted:
                before = sums.get(name, (0, 0.0))
                sums[name] = (before[0] + count, before[1] + count * mean)
        return [PromptScore(name, count, total / count) for name, (count, total) in sorted(sums.items())]


def _use(row: Sequence[Any], scores: list[PromptScore]) -> PromptUse:
    version, target, temperature, tested, calls, errors, cost, unpriced, latency, first_token, *rest = row
    latency_p50, latency_p95 = _quantiles(latency)
    ttft_p50, ttft_p95 = _quantiles(first_token)
    return PromptUse(
        version=int(version),
        target=target,
        temperature=temperature,
        calls=calls,
        tested=tested,
        errors=errors,
        cost=exact(cost),
        unpriced=unpriced,
        latency_p50=latency_p50,
        latency_p95=latency_p95,
        ttft_p50=ttft_p50,
        ttft_p95=ttft_p95,
        input_tokens=rest[0],
        output_tokens=rest[1],
        first=rest[2],
        last=rest[3],
        scores=scores,
    )


def _quantiles(values: Sequence[float | None]) -> tuple[int | None, int | None]:
    """Quantiles of nothing come as no list, as NULL or as NaN, depending on the engine's version."""
    known = [None if value is None or math.isnan(value) else int(value) for value in values or ()]
    return (known[0], known[1]) if known else (None, None)
