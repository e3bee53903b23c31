"""What a release's versions did for each user: one observation a user, so that observations are independent."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from decimal import Decimal

import msgspec

from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.filters import window

__all__ = ["Opinion", "Served", "opinions_of", "served_by"]

# Who always gets the same version of a split: what the gateway's choice sticks to.
_UNIT = "multiIf(user_id != '', concat('user ', user_id), session_id != '', concat('session ', session_id), trace_id)"
_MINE = "prompt = {prompt:String} AND release = {release:String} AND run_id = '' AND source = 'gateway'"


class Served(msgspec.Struct, frozen=True):
    """A user's first call of a release. Times in nanoseconds; `cost` in US dollars, None where unknown."""

    unit: str
    version: int
    start: int
    failed: bool
    duration: int
    cost: Decimal | None


class Opinion(msgspec.Struct, frozen=True):
    """A user's first score of one name on what a release answered."""

    unit: str
    version: int
    name: str
    time: int
    value: float


def served_by(
    pool: ClientPool, project_id: str, prompt: str, release: str, *, since: int, until: int, limit: int
) -> list[Served]:
    """Each user's first call in [since, until), oldest first. A user is a session or a trace where no user is named."""
    where, parameters = window(project_id, since, until)
    rows = pool.select(
        f"""
SELECT {_UNIT} AS unit, argMin(prompt_version, start), min(toUnixTimestamp64Nano(start)) AS first,
    argMin(status = 'error', start), argMin(duration, start), tupleElement(argMin(tuple(cost), start), 1)
FROM spans WHERE {where} AND {_MINE}
GROUP BY unit ORDER BY first, unit LIMIT {{limit:UInt32}}
""",
        {**parameters, "prompt": prompt, "release": release, "limit": limit},
    )
    return [
        Served(unit, int(version), first, bool(failed), duration, cost)
        for unit, version, first, failed, duration, cost in rows
        if version.isdigit()
    ]


def opinions_of(
    pool: ClientPool,
    project_id: str,
    prompt: str,
    release: str,
    *,
    since: int,
    scored_since: int,
    until: int,
    limit: int,
) -> list[Opinion]:
    """Each user's first score of each name since `scored_since`, on the release's calls since `since`, oldest first.

    Only values from 0 to 1 count: thumbs, shares, grades brought to that range. Other numbers have no best and worst.
    """
    where, parameters = window(project_id, since, until)
    scored = "project_id = {project:String} AND time >= fromUnixTimestamp64Nano({scored:Int64}, 'UTC')"
    rows = pool.select(
        f"""
WITH called AS (
    SELECT trace_id, any({_UNIT}) AS unit, any(prompt_version) AS version
    FROM spans WHERE {where} AND {_MINE} GROUP BY trace_id
)
SELECT unit, argMin(version, time), name, min(toUnixTimestamp64Nano(time)) AS first, argMin(value, time)
FROM (
    SELECT trace_id, name, time, value FROM scores
    WHERE {scored} AND value >= 0 AND value <= 1 AND run_id = ''
) AS given INNER JOIN called USING trace_id
GROUP BY unit, name ORDER BY first, unit, name LIMIT {{limit:UInt32}}
""",
        {**parameters, "prompt": prompt, "release": release, "limit": limit, "scored": scored_since},
    )
    return [
        Opinion(unit, int(version), name, first, value)
        for unit, version, name, first, value in rows
        if version.isdigit()
    ]
