"""Somebody whom gateways have seen: how they were seen last, who came with them, and what was told of them."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Sequence

import msgspec

from ratchet.domain.spans import Event
from ratchet.domain.standings import SubjectKind
from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.filters import EVERY_RUN, window
from ratchet.store.spans.schema import COLUMNS

__all__ = ["Companion", "Sighting", "events_about", "sighting_of"]

_COMPANIONS = 10
# What a call says of whom it is from. Addresses and devices are as a server tells them.
_SAID: dict[SubjectKind, str] = {
    "user": "user_id",
    "organisation": "organisation_id",
    "ip": "attributes['metadata.client_ip']",
    "fingerprint": "attributes['metadata.fingerprint']",
    "key": "key_id",
}
_TRUST = "attributes['ratchet.trust']"
# Whom an event is about stands in its attributes, or, of these kinds, is its subject.
_ABOUT = (
    "(has({names:Array(String)}, attributes[{kind:String}]) OR has({names:Array(String)}, subject) AND multiIf("
    "kind IN ('trust.changed', 'trust.told'), 'user', kind = 'abuse.suspected', attributes['source'], "
    "kind = 'caller.blocked', attributes['subject'], '') = {kind:String})"
)


class Companion(msgspec.Struct, frozen=True):
    """A user seen together with somebody, and how far they were trusted last, from 0 to 1; None where that was not
    told."""

    user: str
    last: int
    trust: float | None


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What the last call said of who it is from. `requests` and `users` count all of the time that was looked at, and
    `companions` are the newest of these users.

    `trust` is the last that was told, from 0 to 1, at `trust_at`; None where no call tells any.
    """

    requests: int
    users: int
    last: int
    user: str
    organisation: str
    ip: str
    fingerprint: str
    key_id: str
    segment: str
    trust: float | None
    trust_at: int | None
    companions: list[Companion]


def sighting_of(
    pool: ClientPool, project_id: str, kind: SubjectKind, name: str, *, since: int
) -> Sighting | None:
    """Of calls through gateways since then, runs' left out; None where there was none. A key goes by its id."""
    where, parameters = window(project_id, since, None)
    where += f" AND source = 'gateway' AND operation != 'attempt' AND {_SAID[kind]} = {{name:String}}"
    parameters["name"] = name
    said = ", ".join(f"toString({column})" for column in _SAID.values())
    ((count, users, last, seen, trust, trust_at),) = pool.select(
        f"SELECT count(), uniqIf(user_id, user_id != ''), max(toUnixTimestamp64Nano(start)), "
        f"argMax(tuple({said}, toString(segment)), start), argMaxIf({_TRUST}, start, {_TRUST} != ''), "
        f"maxIf(toUnixTimestamp64Nano(start), {_TRUST} != '') FROM spans WHERE {where}",
        parameters,
    )
    if not count:
        return None
    user, organisation, ip, fingerprint, key_id, segment = seen
    companions = [] if kind == "user" else _companions(pool, where, parameters)
    return Sighting(
        requests=int(count),
        users=int(users),
        last=last,
        user=user,
        organisation=organisation,
        ip=ip,
        fingerprint=fingerprint,
        key_id=key_id,
        segment=segment,
        trust=_number(trust),
        trust_at=trust_at if trust else None,
        companions=companions,
    )


def _companions(pool: ClientPool, where: str, parameters: dict[str, object]) -> list[Companion]:
    rows = pool.select(
        f"SELECT user_id, max(toUnixTimestamp64Nano(start)) AS last_, argMaxIf({_TRUST}, start, {_TRUST} != '') "
        f"FROM spans WHERE {where} AND user_id != '' GROUP BY user_id ORDER BY last_ DESC, user_id LIMIT {_COMPANIONS}",
        parameters,
    )
    return [Companion(user, last, _number(trust)) for user, last, trust in rows]


def events_about(
    pool: ClientPool,
    project_id: str,
    *,
    kind: SubjectKind,
    names: Sequence[str],
    kinds: Sequence[str],
    since: int,
    limit: int,
) -> list[Event]:
    """Events of these kinds about somebody who has one of these names, the newest first."""
    where, parameters = window(project_id, since, None, column="time", run=EVERY_RUN)
    columns = ", ".join(
        "toUnixTimestamp64Nano(time)" if name == "time" else name for name in COLUMNS["events"]
    )
    rows = pool.select(
        f"SELECT {columns} FROM events WHERE {where} AND has({{kinds:Array(String)}}, kind) AND {_ABOUT} "
        "ORDER BY time DESC, event_id LIMIT {limit:UInt64}",
        {**parameters, "kind": kind, "names": list(names), "kinds": list(kinds), "limit": limit},
    )
    return [Event(**dict(zip(COLUMNS["events"], row, strict=True))) for row in rows]


def _number(text: str) -> float | None:
    return float(text) if text else None
