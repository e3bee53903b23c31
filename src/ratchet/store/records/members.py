"""Members: accounts, roles, passwords, tokens, one-time links and logins.

Secrets (tokens, links, login cookies) are random and kept as SHA-256; passwords are kept as Argon2id hashes.
"""

from __future__ import annotations

import re
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, Select, Table, delete, func, insert, select, update

from ratchet.domain.access import Member, Role
from ratchet.errors import Conflict, InvalidRequest, NotFound, Unauthenticated
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.secret import hash_secret, new_id, new_secret

__all__ = [
    "accept_link",
    "create_link",
    "create_token",
    "end_login",
    "has_members",
    "invite_member",
    "list_members",
    "member_named",
    "member_of_login",
    "member_of_token",
    "peek_link",
    "remove_member",
    "set_role",
    "start_login",
    "verify_password",
]

LINK_LIFETIME = 24 * 3600 * 10**9
LOGIN_LIFETIME = 14 * 24 * 3600 * 10**9
MIN_PASSWORD = 10
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_hasher = PasswordHasher()
# Verified when the account is unknown, so that a stranger can't tell by the clock which addresses exist.
# It costs what every other does, and is written down because making one takes a tenth of a second of every start.
_DECOY = "$argon2id$v=19$m=65536,t=3,p=4$iS5FbCrmc/jd03F9PfCOEg$7QtbukRbBYMU3UBBR5zTHAkWdcOMWpC/pyu2x7mpaRk"


def has_members(records: Records) -> bool:
    """Whether anyone can sign in yet."""
    with records.read() as connection:
        return bool(connection.scalar(select(func.count()).select_from(schema.members)))


def create_link(records: Records, *, project_id: str, email: str, role: Role, now: int) -> str:
    """A one-time secret that lets its holder set a password; good for 24 hours.

    `email` is empty for the first start's link (its holder chooses the address). A newer link for the same address
    replaces the older ones.
    """
    secret = new_secret("rl-")
    with records.write() as connection:
        links = schema.sign_in_links
        connection.execute(delete(links).where((links.c.email == email) | (links.c.expires <= now)))
        connection.execute(
            insert(links).values(
                token_hash=hash_secret(secret),
                project_id=project_id,
                email=email,
                role=int(role),
                created=now,
                expires=now + LINK_LIFETIME,
            )
        )
    return secret


def peek_link(records: Records, secret: str, *, now: int) -> str:
    """The e-mail address a link is for ("" for the first start's), without using it up. Raises NotFound."""
    with records.read() as connection:
        return str(_link(connection, secret, now).email)


def accept_link(records: Records, secret: str, *, email: str, password: str, now: int) -> Member:
    """Use up a link: create the member or set their password. Raises NotFound for a used or expired link."""
    check_password_form(password)
    with records.write() as connection:
        link = _link(connection, secret, now)
        address = str(link.email) or _checked_email(email)
        member_id = _ensure_member(connection, address, now)
        connection.execute(
            update(schema.members)
            .where(schema.members.c.id == member_id)
            .values(password_hash=_hasher.hash(password))
        )
        _ensure_role(connection, member_id, str(link.project_id), Role(link.role))
        connection.execute(
            delete(schema.sign_in_links).where(schema.sign_in_links.c.token_hash == link.token_hash)
        )
        # Whoever held an older session under this account has to sign in again.
        connection.execute(delete(schema.logins).where(schema.logins.c.member_id == member_id))
        project_id = str(link.project_id)
    return member_named(records, project_id=project_id, email=address)


def invite_member(
    records: Records, *, project_id: str, email: str, role: Role, now: int
) -> tuple[Member, str]:
    """A new member and the one-time link that lets them set a password. Raises Conflict for a known address."""
    address = _checked_email(email)
    with records.write() as connection:
        exists = _members(project_id).where(schema.members.c.email == address)
        if connection.execute(exists).first() is not None:
            raise Conflict(
                f"{address} is a member already.", "Change the role instead, or remove them first."
            )
        member_id = _ensure_member(connection, address, now)
        _ensure_role(connection, member_id, project_id, role)
    link = create_link(records, project_id=project_id, email=address, role=role, now=now)
    return member_named(records, project_id=project_id, email=address), link


def list_members(records: Records, *, project_id: str) -> list[Member]:
    with records.read() as connection:
        rows = connection.execute(_members(project_id).order_by(schema.members.c.email)).all()
    return [_member(*row) for row in rows]


def member_named(records: Records, *, project_id: str, email: str) -> Member:
    with records.read() as connection:
        row = connection.execute(
            _members(project_id).where(schema.members.c.email == email.strip().lower())
        ).first()
    if row is None:
        raise NotFound(f"There is no member {email!r}.", "`ratchet member list` shows the members there are.")
    return _member(*row)


def set_role(records: Records, *, project_id: str, email: str, role: Role) -> Member:
    """Change a role. Raises Conflict rather than leave a project with no admin."""
    member = member_named(records, project_id=project_id, email=email)
    with records.write() as connection:
        if role < Role.ADMIN:
            _refuse_to_lose_last_admin(connection, member)
        _ensure_role(connection, member.id, project_id, role)
    return member_named(records, project_id=project_id, email=email)


def remove_member(records: Records, *, project_id: str, email: str) -> Member:
    """Remove a member with their logins and tokens. Raises Conflict for the last admin."""
    member = member_named(records, project_id=project_id, email=email)
    with records.write() as connection:
        _refuse_to_lose_last_admin(connection, member)
        connection.execute(delete(schema.sign_in_links).where(schema.sign_in_links.c.email == member.email))
        connection.execute(delete(schema.members).where(schema.members.c.id == member.id))
    return member


def verify_password(records: Records, *, project_id: str, email: str, password: str) -> Member:
    """The member, or Unauthenticated: the same error, as slowly, for a wrong password and an unknown address."""
    address = email.strip().lower()
    with records.read() as connection:
        row = connection.execute(
            select(schema.members.c.password_hash).where(schema.members.c.email == address)
        ).first()
    stored = row.password_hash if row is not None else None
    try:
        _hasher.verify(stored or _DECOY, password)
        if stored is None:
            raise VerificationError
        return member_named(records, project_id=project_id, email=address)
    except (VerificationError, InvalidHashError, NotFound) as error:
        raise Unauthenticated(
            "The e-mail address or the password is wrong.",
            "Try again, or ask an admin for a new link (`ratchet member link`).",
        ) from error


def start_login(records: Records, member: Member, *, now: int) -> str:
    """A session secret for the cookie; good for 14 days."""
    secret = new_secret("rs-")
    with records.write() as connection:
        connection.execute(delete(schema.logins).where(schema.logins.c.expires <= now))
        connection.execute(
            insert(schema.logins).values(
                secret_hash=hash_secret(secret),
                member_id=member.id,
                created=now,
                expires=now + LOGIN_LIFETIME,
            )
        )
    return secret


def member_of_login(records: Records, secret: str, *, project_id: str, now: int) -> Member | None:
    """Who holds this session, or None."""
    return _member_by_secret(records, schema.logins, secret, project_id, now)


def end_login(records: Records, secret: str) -> None:
    with records.write() as connection:
        connection.execute(delete(schema.logins).where(schema.logins.c.secret_hash == hash_secret(secret)))


def create_token(records: Records, member: Member, *, name: str, now: int, expires: int | None = None) -> str:
    """A token that stands for the member in the API and at sign-in; shown once."""
    secret = new_secret("rt-")
    with records.write() as connection:
        connection.execute(
            insert(schema.tokens).values(
                secret_hash=hash_secret(secret), member_id=member.id, name=name, created=now, expires=expires
            )
        )
    return secret


def member_of_token(records: Records, secret: str, *, project_id: str, now: int) -> Member | None:
    """Whom this token stands for, or None."""
    return _member_by_secret(records, schema.tokens, secret, project_id, now)


def check_password_form(password: str) -> None:
    if len(password) < MIN_PASSWORD or len(password) > 1000:
        raise InvalidRequest(
            f"The password has {len(password)} characters.",
            f"Use at least {MIN_PASSWORD}; a few unrelated words make a good one.",
            param="password",
        )


def _member_by_secret(
    records: Records, table: Table, secret: str, project_id: str, now: int
) -> Member | None:
    columns = table.c
    query = (
        _members(project_id)
        .join(table, columns.member_id == schema.members.c.id)
        .where(columns.secret_hash == hash_secret(secret))
        .where(columns.expires.is_(None) | (columns.expires > now))
    )
    with records.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _member(*row)


def _members(project_id: str) -> Select[str, str, str | None, int, str, int]:
    table, roles = schema.members, schema.memberships
    return (
        select(
            table.c.id,
            table.c.email,
            table.c.password_hash,
            table.c.created,
            roles.c.project_id,
            roles.c.role,
        )
        .join_from(table, roles, roles.c.member_id == table.c.id)
        .where(roles.c.project_id == project_id)
    )


def _member(
    identity: str, email: str, password_hash: str | None, created: int, project_id: str, role: int
) -> Member:
    return Member(
        id=identity,
        email=email,
        project_id=project_id,
        role=Role(role),
        created=created,
        has_password=password_hash is not None,
    )


def _link(connection: Connection, secret: str, now: int) -> Row[Any]:
    links = schema.sign_in_links
    row = connection.execute(
        select(links).where(links.c.token_hash == hash_secret(secret), links.c.expires > now)
    ).first()
    if row is None:
        raise NotFound(
            "This sign-in link has been used or has expired.",
            "Ask an admin for a new one (`ratchet member link`); before there is any member, `ratchet serve` prints one.",
        )
    return row


def _checked_email(email: str) -> str:
    address = email.strip().lower()
    if not _EMAIL.fullmatch(address) or len(address) > 320:
        raise InvalidRequest(
            f"{email!r} is not an e-mail address.", "Give one like ada@example.org.", param="email"
        )
    return address


def _ensure_member(connection: Connection, email: str, now: int) -> str:
    found = connection.scalar(select(schema.members.c.id).where(schema.members.c.email == email))
    if found is not None:
        return str(found)
    identity = new_id()
    connection.execute(insert(schema.members).values(id=identity, email=email, created=now))
    return identity


def _ensure_role(connection: Connection, member_id: str, project_id: str, role: Role) -> None:
    roles = schema.memberships
    where = (roles.c.member_id == member_id) & (roles.c.project_id == project_id)
    if connection.execute(update(roles).where(where).values(role=int(role))).rowcount == 0:
        connection.execute(insert(roles).values(member_id=member_id, project_id=project_id, role=int(role)))


def _refuse_to_lose_last_admin(connection: Connection, member: Member) -> None:
    if member.role < Role.ADMIN:
        return
    roles = schema.memberships
    others = connection.scalar(
        select(func.count())
        .select_from(roles)
        .where(
            roles.c.project_id == member.project_id,
            roles.c.role == int(Role.ADMIN),
            roles.c.member_id != member.id,
        )
    )
    if not others:
        raise Conflict(f"{member.email} is the only admin.", "Make someone else admin first.")
