"""How quick models are, measured where calls went through a gateway."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import math
from collections.abc import Mapping, Sequence

import msgspec

from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import EVERY_RUN, MODEL, window

__all__ = ["ModelCalls", "Speed", "calls_of", "speed_of"]

# Only what a model answered to the end tells of its speed: not what was refused, broke off, or came out of a cache.
_ANSWERED = (
    "source = 'gateway' AND target != '' AND model_call AND status != 'error' "
    "AND cache_status NOT IN ('hit', 'semantic_hit')"
)
# A streamed answer is written from its first token on. One that comes whole tells no more than how long all of it took.
_RATE = "output_tokens * 1e9 / nullIf(duration - ifNull(time_to_first_token, 0), 0)"


class ModelCalls(msgspec.Struct, frozen=True):
    """What was called: the target, the model that answered by its own name, and how often."""

    target: str
    model: str
    calls: int


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that were answered. Durations are nanoseconds; quantiles are exact; None where nothing is known.

    `tokens_per_second` is the median over calls of the output's tokens by the time from the first token to the end:
    over `streamed` answers where there are any, else over the whole of each call, which is less than the model's own.
    """

    calls: int
    streamed: int
    latency_p50: int | None
    latency_p95: int | None
    ttft_p50: int | None
    ttft_p95: int | None
    tokens_per_second: float | None


def calls_of(pool: ClientPool, project_id: str, since: int) -> list[ModelCalls]:
    """Which models answered through a gateway since then, the most called first."""
    where, parameters = window(project_id, since, None, run=EVERY_RUN)
    rows = pool.select(
        f"SELECT target, {MODEL} AS model_, count() AS n FROM spans WHERE {where} AND {_ANSWERED} "
        "GROUP BY target, model_ ORDER BY n DESC, target, model_",
        parameters,
    )
    return [ModelCalls(row[0], row[1], row[2]) for row in rows]


def speed_of(
    pool: ClientPool, project_id: str, since: int, groups: Mapping[tuple[str, str], str]
) -> dict[str, Speed]:
    """The speed of each group; `groups` says to which one the calls of a target and a model belong."""
    if not groups:
        return {}
    where, parameters = window(project_id, since, None, run=EVERY_RUN)
    # One text for the pair: neither part can hold the character between.
    pairs = [f"{target}\n{model}" for target, model in groups]
    rows = pool.select(
        f"""
SELECT
    transform(concat(target, '\\n', {MODEL}), {{pairs:Array(String)}}, {{groups:Array(String)}}, '') AS group_,
    count(),
    countIf(time_to_first_token IS NOT NULL),
    quantilesExactOrNull(0.5, 0.95)(toNullable(duration)),
    quantilesExactOrNull(0.5, 0.95)(time_to_first_token),
    quantileExactOrNullIf(0.5)({_RATE}, time_to_first_token IS NOT NULL AND output_tokens > 0),
    quantileExactOrNullIf(0.5)({_RATE}, time_to_first_token IS NULL AND output_tokens > 0)
FROM spans WHERE {where} AND {_ANSWERED}
GROUP BY group_ HAVING group_ != ''
""",
        {**parameters, "pairs": pairs, "groups": list(groups.values())},
    )
    return {row[0]: _speed(row) for row in rows}


def _speed(row: Row) -> Speed:
    latency, first = _pair(row[3]), _pair(row[4])
    streamed, whole = _number(row[5]), _number(row[6])
    return Speed(
        calls=row[1],
        streamed=row[2],
        latency_p50=latency[0],
        latency_p95=latency[1],
        ttft_p50=first[0],
        ttft_p95=first[1],
        tokens_per_second=whole if streamed is None else streamed,
    )


def _pair(values: Sequence[float | None] | None) -> tuple[int | None, int | None]:
    """Quantiles of nothing come as no list, as NULL or as NaN, depending on the engine's version."""
    known = [_number(value) for value in values or ()]
    whole = [None if value is None else int(value) for value in known]
    return (whole[0], whole[1]) if len(whole) == 2 else (None, None)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
