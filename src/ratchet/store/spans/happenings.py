"""What gateways tell again and again, such as a limit that is hit: each kind and subject once, with how often. What
speaks for somebody is one thing, what speaks against them another: they differ in severity."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Sequence

import msgspec

from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.filters import EVERY_RUN, window

__all__ = ["Happening", "happenings_of"]


class Happening(msgspec.Struct, frozen=True):
    """All events of one kind and severity about one subject. The words are those of the last; `count` is how often it happened,
    each event telling of itself and of those that it stands for."""

    kind: str
    subject: str
    count: int
    first: int
    last: int
    message: str
    severity: str
    attributes: dict[str, str]


def happenings_of(
    pool: ClientPool, project_id: str, *, kinds: Sequence[str], since: int | None, limit: int
) -> list[Happening]:
    """The newest first."""
    where, parameters = window(project_id, since, None, column="time", run=EVERY_RUN)
    rows = pool.select(
        f"""
SELECT kind, subject, sum(toUInt64OrDefault(attributes['count'], toUInt64(1))) AS count_,
    min(toUnixTimestamp64Nano(time)), max(toUnixTimestamp64Nano(time)) AS last_,
    argMax(tuple(message, attributes), tuple(time, event_id)), severity
FROM events WHERE {where} AND has({{kinds:Array(String)}}, kind)
GROUP BY kind, subject, severity ORDER BY last_ DESC, kind, subject, severity LIMIT {{limit:UInt64}}
""",
        {**parameters, "kinds": list(kinds), "limit": limit},
    )
    return [
        Happening(row[0], row[1], int(row[2]), row[3], row[4], row[5][0], row[6], dict(row[5][1]))
        for row in rows
    ]
