"""Users and organisations: what the calls of each came to, and what they thought of the answers."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.store.spans.belonging import belonging
from ratchet.store.spans.clients import ClientPool, Row
from ratchet.store.spans.filters import UNPRICED, counting, of_a_call, tables, window
from ratchet.store.spans.rows import TraceFilter
from ratchet.store.spans.traces import exact

__all__ = ["GRADED", "OWNER_ORDERS", "Feedback", "OwnerKind", "OwnerPage", "OwnerRow", "page_of_owners"]

OwnerKind = Literal["user", "organisation"]
_COLUMNS = {"user": "user_id", "organisation": "organisation_id"}


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What users said. Thumbs up and down are values of 1 and 0 under names that have no others: a star is no thumb.

    `mean` is over all `rated` values.
    """

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


# What a sort needs of every owner; the rest is asked of those that a page shows.
OWNER_ORDERS = {
    "requests": "requests_",
    "id": "owned_by_",
    "sessions": "sessions_",
    "users": "users_",
    "cost": "cost_",
    "errors": "errors_",
    "tokens": "input_ + output_",
    "feedback": "rate_",
    "first": "first_",
    "last": "last_",
}
# The names of scores that have other values than a thumb's.
GRADED = "SELECT name FROM scores WHERE project_id = {project:String} AND value NOT IN (0, 1) GROUP BY name"
_SAID = "up_, down_, rated_, mean_"
_NARROW = 1000  # owners at most that a statement lists; for more it reads all, to be picked from afterwards


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
    where, parameters = window(project_id, wanted.since, wanted.until, run=wanted.run)
    asked, values = of_a_call(wanted)
    parameters |= values
    once = counting(pool, where, parameters)
    owned = belonging(pool, column, where, parameters)
    common = tables(once.common, owned.common)
    figures = _figures(kind, once.condition)
    source = f"FROM {owned.source} WHERE {where}{asked} AND owned_by_ != ''"
    verdicts = _verdicts(pool, column, f"{where}{asked}", parameters)
    key = OWNER_ORDERS[order]
    needed = "".join(f", {sql} AS {name}" for name, sql in figures.items() if name in key.split(" "))
    listed = f"SELECT {owned.owner} AS owned_by_{needed} {source} GROUP BY owned_by_"
    said = ""
    if order == "feedback":
        said = f", {_SAID}"
        listed = f"SELECT * FROM ({listed}) AS owners_ LEFT ANY JOIN ({verdicts}) AS said_ ON owned_by_ = of_"
    sql = (
        f"{common}SELECT owned_by_, count() OVER (){said} FROM ({listed}) "
        f"ORDER BY {key} {'ASC' if ascending else 'DESC'} NULLS LAST, owned_by_ "
        "LIMIT {limit:UInt64} OFFSET {offset:UInt64}"
    )
    found = pool.select(sql, {**parameters, "limit": limit, "offset": offset})
    total = found[0][1] if found else 0
    if not found and offset:  # past the end, where no row carries the total
        first = pool.select(sql, {**parameters, "limit": 1, "offset": 0})
        total = first[0][1] if first else 0
    ids = [row[0] for row in found]
    columns = f"{owned.owner} AS owned_by_, {', '.join(f'{sql} AS {name}' for name, sql in figures.items())}"
    narrow = ""
    if len(ids) <= _NARROW:
        narrow, parameters = " AND owned_by_ IN {ids:Array(String)}", {**parameters, "ids": ids}
    statements = [f"{common}SELECT {columns} {source}{narrow} GROUP BY owned_by_"]
    if not said:
        statements.append(f"SELECT of_, {_SAID} FROM ({verdicts})")
    known, *rest = pool.select_all(*statements, parameters=parameters) if ids else [[]]
    opinions = {row[0]: _feedback(row[-4:]) for row in (rest[0] if rest else found)}
    rows = {row[0]: _owner_row(row, opinions.get(row[0], Feedback())) for row in known}
    return OwnerPage(rows=[rows[one] for one in ids if one in rows], total=total, limit=limit, offset=offset)


def _feedback(row: Row) -> Feedback:
    return Feedback(up=row[0], down=row[1], rated=row[2], mean=row[3])


def _figures(kind: OwnerKind, counted: str) -> dict[str, str]:
    """Expressions over an owner's spans, by name, in the order of `OwnerRow`'s fields."""
    # The engine keeps sets of numbers far faster than sets of texts.
    users, organisation = "toUInt64(1)", "argMaxIf(organisation_id, start, organisation_id != '')"
    if kind == "organisation":
        users, organisation = "uniqExactIf(cityHash64(user_id), user_id != '')", "''"
    return {
        "requests_": f"countIf({counted})",
        "errors_": f"countIf({counted} AND status = 'error')",
        "sessions_": "uniqExactIf(cityHash64(session_id), session_id != '')",
        "users_": users,
        "cost_": f"sumOrNullIf(cost, {counted})",
        "unpriced_": f"countIf({counted} AND {UNPRICED})",
        "input_": f"sumOrNullIf(input_tokens, {counted})",
        "output_": f"sumOrNullIf(output_tokens, {counted})",
        "languages_": "groupUniqArrayIf(language, language != '')",
        "organisation_": organisation,
        "first_": "min(toUnixTimestamp64Nano(start))",
        "last_": "max(toUnixTimestamp64Nano(start))",
    }


def _verdicts(pool: ClientPool, column: str, spans: str, parameters: Mapping[str, Any]) -> str:
    """Feedback by owner: of the traces that name one, and of sessions where it is about no trace."""
    project = "project_id = {project:String} AND source = 'user'"
    legs = [("trace_id", f"{project} AND trace_id != ''")]
    of_sessions = f"{project} AND trace_id = '' AND session_id != ''"
    if pool.select(f"SELECT 1 FROM scores WHERE {of_sessions} LIMIT 1", parameters):
        legs.append(("session_id", of_sessions))
    thumb = f"name NOT IN ({GRADED})"
    counts = (
        f"countIf(value = 1 AND {thumb}) AS ups, countIf(value = 0 AND {thumb}) AS downs, "
        "count(value) AS rates, sum(value) AS worth"
    )
    named = " UNION ALL ".join(
        f"SELECT max({column}) AS of_, any(ups) AS up, any(downs) AS down, any(rates) AS rated, any(worth) AS sum "
        f"FROM spans INNER JOIN (SELECT {about}, {counts} FROM scores WHERE {which} GROUP BY {about}) AS said "
        f"USING {about} WHERE {spans} AND {column} != '' GROUP BY {about}"
        for about, which in legs
    )
    return (
        "SELECT of_, sum(up) AS up_, sum(down) AS down_, sum(rated) AS rated_, "
        "if(rated_ = 0, NULL, sum(sum) / rated_) AS mean_, if(up_ + down_ = 0, NULL, up_ / (up_ + down_)) AS rate_ "
        f"FROM ({named}) GROUP BY of_"
    )


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
