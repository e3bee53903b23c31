"""Users and organisations: what the calls of each came to, and what they thought of the answers."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.store.spans.belonging import belonging
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import UNPRICED, counting, of_a_call, tables, window
from ratchet.store.spans.rows import TraceFilter
from ratchet.store.spans.traces import exact

__all__ = ["OWNER_ORDERS", "Feedback", "OwnerKind", "OwnerPage", "OwnerRow", "page_of_owners"]

OwnerKind = Literal["user", "organisation"]
_COLUMNS = {"user": "user_id", "organisation": "organisation_id"}


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What users said: thumbs up and down are values of exactly 1 and 0; `mean` is over all `rated` values."""

    up: int = 0
    down: int = 0
    rated: int = 0
    mean: float | None = None

    @property
    def rate(self) -> float | None:
        """Thumbs up, as a share of all thumbs; None where there were none."""
        return self.up / (self.up + self.down) if self.up + self.down else None


class OwnerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One user or organisation. `requests` are model calls, each counted once; `errors` are the failed ones.

    `users` says how many users an organisation has; `organisation_id` which one a user was last seen with.
    """

    id: str
    requests: int
    errors: int
    sessions: int
    users: int
    cost: Decimal | None
    unpriced: int
    input_tokens: int | None
    output_tokens: int | None
    languages: list[str]
    organisation_id: str
    first: int
    last: int
    feedback: Feedback


class OwnerPage(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is the exact number that match."""

    rows: list[OwnerRow]
    total: int
    limit: int
    offset: int


OWNER_ORDERS = {
    "requests": "requests_",
    "id": "owner_",
    "sessions": "sessions_",
    "users": "users_",
    "cost": "cost_",
    "errors": "errors_",
    "tokens": "input_ + output_",
    "feedback": "rate_",
    "first": "first_",
    "last": "last_",
}


def page_of_owners(
    pool: ClientPool,
    project_id: str,
    kind: OwnerKind,
    wanted: TraceFilter,
    *,
    order: str,
    ascending: bool,
    limit: int,
    offset: int,
) -> OwnerPage:
    """Users or organisations with a span that meets `wanted`, and figures over those spans.

    Unknown values come last, equal ones in order of their ids. Raises InvalidRequest for an unknown order or filter.
    """
    if order not in OWNER_ORDERS:
        raise InvalidRequest(
            f"Users and organisations can't be sorted by {order!r}.",
            f"Use one of {', '.join(OWNER_ORDERS)}.",
            param="sort",
        )
    column = _COLUMNS[kind]
    where, parameters = window(project_id, wanted.since, wanted.until)
    asked, values = of_a_call(wanted)
    parameters |= values
    once = counting(pool, where, parameters)
    owned = belonging(pool, column, where, parameters)
    common = tables(once.common, owned.common)
    grouped = (
        f"SELECT {owned.owner} AS owned_by_, {_row(kind, once.condition)} FROM {owned.source} "
        f"WHERE {where}{asked} AND owned_by_ != '' GROUP BY owned_by_"
    )
    verdicts = _verdicts(pool, column, f"{where}{asked}", parameters)
    if order == "feedback":
        grouped = (
            f"SELECT * FROM ({grouped}) AS owners_ LEFT ANY JOIN ({verdicts}) AS said_ ON owned_by_ = of_"
        )
    key = "owned_by_" if order == "id" else OWNER_ORDERS[order]
    sql = (
        f"{common}SELECT {_NAMES}, count() OVER () FROM ({grouped}) "
        f"ORDER BY {key} {'ASC' if ascending else 'DESC'} NULLS LAST, owned_by_ "
        "LIMIT {limit:UInt64} OFFSET {offset:UInt64}"
    )
    # What everybody said, though a page shows some: asked at the same time it is there sooner than if asked after.
    found, said = pool.select_all(sql, verdicts, parameters={**parameters, "limit": limit, "offset": offset})
    total = found[0][-1] if found else 0
    if not found and offset:  # past the end, where no row carries the total
        first = pool.select(sql, {**parameters, "limit": 1, "offset": 0})
        total = first[0][-1] if first else 0
    feedback = {row[0]: _feedback(row) for row in said}
    rows = [_owner_row(row, feedback.get(row[0], Feedback())) for row in found]
    return OwnerPage(rows=rows, total=total, limit=limit, offset=offset)


_NAMES = (
    "owned_by_, requests_, errors_, sessions_, users_, cost_, unpriced_, input_, output_, languages_, "
    "organisation_, first_, last_"
)


def _row(kind: OwnerKind, counted: str) -> str:
    # The engine keeps sets of numbers far faster than sets of texts.
    sessions = "uniqExactIf(cityHash64(session_id), session_id != '')"
    users, organisation = "toUInt64(1)", "argMaxIf(organisation_id, start, organisation_id != '')"
    if kind == "organisation":
        users, organisation = "uniqExactIf(cityHash64(user_id), user_id != '')", "''"
    return f"""
    countIf({counted}) AS requests_, countIf({counted} AND status = 'error') AS errors_,
    {sessions} AS sessions_, {users} AS users_,
    sumOrNullIf(cost, {counted}) AS cost_, countIf({counted} AND {UNPRICED}) AS unpriced_,
    sumOrNullIf(input_tokens, {counted}) AS input_, sumOrNullIf(output_tokens, {counted}) AS output_,
    groupUniqArrayIf(language, language != '') AS languages_, {organisation} AS organisation_,
    min(toUnixTimestamp64Nano(start)) AS first_, max(toUnixTimestamp64Nano(start)) AS last_
"""


def _verdicts(pool: ClientPool, column: str, spans: str, parameters: dict[str, Any]) -> str:
    """Feedback by owner: of the traces that name one, and of sessions where it is about no trace."""
    project = "project_id = {project:String} AND source = 'user'"
    legs = [("trace_id", f"{project} AND trace_id != ''")]
    of_sessions = f"{project} AND trace_id = '' AND session_id != ''"
    if pool.select(f"SELECT 1 FROM scores WHERE {of_sessions} LIMIT 1", parameters):
        legs.append(("session_id", of_sessions))
    values = " UNION ALL ".join(
        f"SELECT whose_ AS of_, value FROM scores INNER JOIN (SELECT {about} AS about_, max({column}) AS whose_ "
        f"FROM spans WHERE {spans} AND {column} != '' AND {about} IN (SELECT {about} FROM scores WHERE {which}) "
        f"GROUP BY about_) AS named ON {about} = about_ WHERE {which}"
        for about, which in legs
    )
    return (
        "SELECT of_, countIf(value = 1) AS up_, countIf(value = 0) AS down_, count(value) AS rated_, "
        f"avg(value) AS mean_, if(up_ + down_ = 0, NULL, up_ / (up_ + down_)) AS rate_ FROM ({values}) GROUP BY of_"
    )


def _feedback(row: Sequence[Any]) -> Feedback:
    return Feedback(up=row[1], down=row[2], rated=row[3], mean=row[4])


def _owner_row(row: Row, feedback: Feedback) -> OwnerRow:
    return OwnerRow(
        id=row[0],
        requests=row[1],
        errors=row[2],
        sessions=row[3],
        users=row[4],
        cost=exact(row[5]),
        unpriced=row[6],
        input_tokens=row[7],
        output_tokens=row[8],
        languages=sorted(row[9]),
        organisation_id=row[10],
        first=row[11],
        last=row[12],
        feedback=feedback,
    )
