"""Keys: create, list, revoke."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, insert, select, update

from ratchet.domain.access import Key
from ratchet.domain.origins import origin_of
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.secret import hash_secret, new_id, new_secret

__all__ = [
    "GATEWAY_TOPIC",
    "STUDIO",
    "create_key",
    "key_named",
    "lend_key",
    "list_keys",
    "live_keys",
    "revoke_key",
]

GATEWAY_TOPIC = "gateway"
STUDIO = "studio"  # who made the keys that the studio lends itself
KEY_PREFIX = "rk-"
PUBLISHABLE_PREFIX = "rk-pub-"


def create_key(
    records: Records,
    *,
    project_id: str,
    name: str,
    now: int,
    created_by: str,
    routes: list[str] | None = None,
    expires: int | None = None,
    publishable: bool = False,
    origins: Sequence[str] = (),
) -> tuple[Key, str]:
    """A new key and its secret, which is not kept. Names are unique among a project's unrevoked keys.

    A publishable one needs `origins`, and no other may have any.
    """
    if not name.strip() or len(name) > 200:
        raise InvalidRequest(
            f"A key's name can't be {name!r}.", "Give 1 to 200 characters, e.g. the app's name.", param="name"
        )
    if expires is not None and expires <= now:
        raise InvalidRequest(
            f"The key {name!r} would have expired already.", "Give a moment in the future.", param="expires"
        )
    at = sorted({origin_of(origin) for origin in origins})
    _check_origins(name, at, publishable=publishable)
    secret = new_secret(PUBLISHABLE_PREFIX if publishable else KEY_PREFIX)
    key = Key(
        id=new_id(),
        project_id=project_id,
        name=name.strip(),
        prefix=secret[: secret.rindex("-") + 7],
        secret_hash=hash_secret(secret),
        routes=sorted(set(routes or [])),
        created=now,
        created_by=created_by,
        expires=expires,
        publishable=publishable,
        origins=at,
        signing_secret=secrets.token_hex(32) if publishable else "",
    )
    with records.write(GATEWAY_TOPIC) as connection:
        if connection.scalar(select(schema.projects.c.id).where(schema.projects.c.id == project_id)) is None:
            raise NotFound(
                f"There is no project {project_id!r}.", "Use the project `default`.", param="project"
            )
        taken = select(schema.keys.c.id).where(
            schema.keys.c.project_id == project_id,
            schema.keys.c.name == key.name,
            schema.keys.c.revoked.is_(None),
        )
        if connection.scalar(taken) is not None:
            raise Conflict(
                f"There is a key named {key.name!r} already.",
                "Choose another name, or revoke that key first.",
            )
        connection.execute(insert(schema.keys).values(**_row(key)))
    return key, secret


def _check_origins(name: str, origins: list[str], *, publishable: bool) -> None:
    if publishable and not origins:
        raise InvalidRequest(
            f"The publishable key {name!r} has no origin.",
            "Name the pages that it is for, such as https://app.example.org: it counts nowhere else.",
            param="origins",
        )
    if origins and not publishable:
        raise InvalidRequest(
            f"The key {name!r} has origins, and is not publishable.",
            "Make it publishable, or leave the origins out: a server's requests come from no page.",
            param="origins",
        )


def lend_key(records: Records, *, project_id: str, name: str, now: int, expires: int) -> str:
    """A secret for the studio's own use. Several studios may hold one of the same name; expired ones are revoked."""
    secret = new_secret(KEY_PREFIX)
    key = Key(
        id=new_id(),
        project_id=project_id,
        name=name,
        prefix=secret[:9],
        secret_hash=hash_secret(secret),
        routes=[],
        created=now,
        created_by=STUDIO,
        expires=expires,
    )
    columns = schema.keys.c
    expired = (columns.created_by == STUDIO) & columns.revoked.is_(None) & (columns.expires <= now)
    with records.write(GATEWAY_TOPIC) as connection:
        connection.execute(update(schema.keys).where(expired).values(revoked=now))
        connection.execute(insert(schema.keys).values(**_row(key)))
    return secret


def list_keys(records: Records, *, project_id: str) -> list[Key]:
    """Every key of the project, newest first, revoked and expired ones too, and those that the studio lent itself."""
    query = (
        select(schema.keys)
        .where(schema.keys.c.project_id == project_id)
        .order_by(schema.keys.c.created.desc())
    )
    with records.read() as connection:
        return [_key(row) for row in connection.execute(query).mappings()]


def live_keys(records: Records) -> list[Key]:
    """Every project's unrevoked keys: what a gateway needs to know."""
    with records.read() as connection:
        rows = connection.execute(select(schema.keys).where(schema.keys.c.revoked.is_(None))).mappings()
        return [_key(row) for row in rows]


def key_named(records: Records, *, project_id: str, name_or_id: str) -> Key:
    """The key with that id, or the unrevoked one with that name (else the newest revoked). Raises NotFound."""
    found = [key for key in list_keys(records, project_id=project_id) if name_or_id in (key.id, key.name)]
    if not found:
        raise NotFound(f"There is no key {name_or_id!r}.", "`ratchet key list` shows the keys there are.")
    return next((key for key in found if key.revoked is None), found[0])


def revoke_key(records: Records, *, project_id: str, name_or_id: str, now: int) -> Key:
    """Revoke a key; gateways refuse it within a second. Revoking twice changes nothing."""
    key = key_named(records, project_id=project_id, name_or_id=name_or_id)
    if key.revoked is not None:
        return key
    with records.write(GATEWAY_TOPIC) as connection:
        connection.execute(update(schema.keys).where(schema.keys.c.id == key.id).values(revoked=now))
    return key_named(records, project_id=project_id, name_or_id=key.id)


def _row(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in Key.__struct_fields__}


def _key(row: RowMapping) -> Key:
    return Key(**{name: row[name] for name in Key.__struct_fields__})
