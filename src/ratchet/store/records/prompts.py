"""Prompts: versions are pushed and never change. Reading them, pushing several at once, comments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Select, func, insert, select
from sqlalchemy.exc import IntegrityError

from ratchet.domain.prompts import Prompt, PromptComment, PromptVersion, Template
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.keys import GATEWAY_TOPIC
from ratchet.store.records.secret import new_id

__all__ = [
    "NewVersion",
    "Pushed",
    "add_comment",
    "comments_of",
    "list_prompts",
    "newest_version",
    "newest_versions",
    "no_version",
    "prompt_id_of",
    "push_one",
    "push_versions",
    "reading_versions",
    "version_from",
    "version_of",
    "versions_of",
]

_prompts, _versions, _comments = schema.prompts, schema.prompt_versions, schema.prompt_comments
_MOST_COMMENT = 10_000
_MOST_MESSAGE = 2_000


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What to push. `template` is checked and normalised, and `hash` is its own (`ratchet.prompts`).

    `parent` is the number of the version that it was made from; None stands for the newest.
    """

    prompt: str
    template: Template
    hash: str
    parent: int | None = None


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one: `created` is False where the newest version had this content already."""

    version: PromptVersion
    created: bool


def push_versions(
    records: Records, new: Sequence[NewVersion], *, project_id: str, author: str, message: str, now: int
) -> list[Pushed]:
    """Add a version to each prompt, and the prompts that are not there yet: all of them or none.

    A prompt whose newest version has the same content keeps it. Raises NotFound for a parent that there is none of,
    InvalidRequest for a message that is too long, and Conflict where somebody else pushes at the same moment.
    """
    if len(message) > _MOST_MESSAGE:
        raise InvalidRequest(
            f"The message has {len(message):,} characters; the limit is {_MOST_MESSAGE:,}.", "Say it shorter."
        )
    try:
        with records.write(GATEWAY_TOPIC) as connection:
            return [push_one(connection, each, project_id, author, message, now) for each in new]
    except IntegrityError as error:
        raise Conflict(
            "Somebody else has pushed the same prompt at this moment; nothing was pushed.",
            "Look at what is there now, and push again.",
            code="changed_meanwhile",
        ) from error


def list_prompts(records: Records, *, project_id: str) -> list[Prompt]:
    """Every prompt of the project, by name."""
    query = select(_prompts).where(_prompts.c.project_id == project_id).order_by(_prompts.c.name)
    with records.read() as connection:
        return [
            Prompt(**{field: row[field] for field in Prompt.__struct_fields__})
            for row in connection.execute(query).mappings()
        ]


def versions_of(
    records: Records, prompt: str, *, project_id: str, numbers: Collection[int] | None = None
) -> list[PromptVersion]:
    """Its versions, newest first; with `numbers` only those. Raises NotFound where there is no such prompt."""
    with records.read() as connection:
        query = reading_versions().where(
            _versions.c.prompt_id == prompt_id_of(connection, prompt, project_id)
        )
        if numbers is not None:
            query = query.where(_versions.c.number.in_(numbers))
        return [
            version_from(row)
            for row in connection.execute(query.order_by(_versions.c.number.desc())).mappings()
        ]


def version_of(records: Records, prompt: str, number: int, *, project_id: str) -> PromptVersion:
    """Raises NotFound."""
    found = versions_of(records, prompt, project_id=project_id, numbers=[number])
    if not found:
        newest = newest_version(records, prompt, project_id=project_id)
        raise no_version(prompt, number, newest.number)
    return found[0]


def newest_version(records: Records, prompt: str, *, project_id: str) -> PromptVersion:
    """Raises NotFound."""
    with records.read() as connection:
        prompt_id = prompt_id_of(connection, prompt, project_id)
        query = (
            reading_versions().where(_versions.c.prompt_id == prompt_id).order_by(_versions.c.number.desc())
        )
        row = connection.execute(query.limit(1)).mappings().one()
    return version_from(row)


def newest_versions(records: Records, *, project_id: str) -> dict[str, PromptVersion]:
    """The newest version of every prompt of the project."""
    newest = (
        select(_versions.c.prompt_id, func.max(_versions.c.number).label("number"))
        .group_by(_versions.c.prompt_id)
        .subquery()
    )
    query = (
        reading_versions()
        .join(
            newest,
            (newest.c.prompt_id == _versions.c.prompt_id) & (newest.c.number == _versions.c.number),
        )
        .where(_prompts.c.project_id == project_id)
    )
    with records.read() as connection:
        return {row["name"]: version_from(row) for row in connection.execute(query).mappings()}


def add_comment(
    records: Records, prompt: str, number: int, text: str, *, project_id: str, author: str, now: int
) -> PromptComment:
    """Raises NotFound, and InvalidRequest for a text that is none."""
    text = text.replace("\r\n", "\n").strip()
    if not 1 <= len(text) <= _MOST_COMMENT:
        raise InvalidRequest(
            f"A comment can't have {len(text):,} characters.", f"Write 1 to {_MOST_COMMENT:,}.", param="text"
        )
    made = PromptComment(id=new_id(), prompt=prompt, version=number, author=author, text=text, created=now)
    with records.write() as connection:
        prompt_id = prompt_id_of(connection, prompt, project_id)
        newest = _newest(connection, prompt_id)
        if newest is None or not 1 <= number <= newest["number"]:
            raise no_version(prompt, number, newest["number"] if newest else 0)
        connection.execute(
            insert(_comments).values(
                id=made.id, prompt_id=prompt_id, version=number, author=author, text=text, created=now
            )
        )
    return made


def comments_of(records: Records, prompt: str, *, project_id: str) -> list[PromptComment]:
    """Of all its versions, oldest first. Raises NotFound."""
    with records.read() as connection:
        prompt_id = prompt_id_of(connection, prompt, project_id)
        query = select(_comments).where(_comments.c.prompt_id == prompt_id)
        rows = connection.execute(query.order_by(_comments.c.created, _comments.c.id)).mappings().all()
    return [
        PromptComment(
            id=row["id"],
            prompt=prompt,
            version=row["version"],
            author=row["author"],
            text=row["text"],
            created=row["created"],
        )
        for row in rows
    ]


def prompt_id_of(connection: Connection, prompt: str, project_id: str) -> str:
    """Raises NotFound."""
    query = select(_prompts.c.id).where(_prompts.c.project_id == project_id, _prompts.c.name == prompt)
    found = connection.scalar(query)
    if found is None:
        raise NotFound(
            f"There is no prompt {prompt!r}.",
            "`ratchet prompt list` shows what there is; `ratchet prompt push` adds one.",
            code="prompt_not_found",
        )
    return str(found)


def push_one(
    connection: Connection, new: NewVersion, project_id: str, author: str, message: str, now: int
) -> Pushed:
    """One of `push_versions`, in a transaction that is open already."""
    query = select(_prompts.c.id).where(_prompts.c.project_id == project_id, _prompts.c.name == new.prompt)
    prompt_id = connection.scalar(query)
    if prompt_id is None:
        prompt_id = new_id()
        connection.execute(
            insert(_prompts).values(
                id=prompt_id, project_id=project_id, name=new.prompt, created=now, created_by=author
            )
        )
    before = _newest(connection, prompt_id)
    if before is not None and before["hash"] == new.hash:
        return Pushed(version=version_from(before), created=False)
    newest = before["number"] if before is not None else 0
    parent = new.parent if new.parent is not None else newest or None
    if parent is not None and not 1 <= parent <= newest:
        raise no_version(new.prompt, parent, newest)
    made = PromptVersion(
        project_id=project_id,
        prompt=new.prompt,
        number=newest + 1,
        hash=new.hash,
        template=new.template,
        author=author,
        message=message.strip(),
        parent=parent,
        created=now,
    )
    connection.execute(
        insert(_versions).values(
            id=new_id(),
            prompt_id=prompt_id,
            number=made.number,
            hash=made.hash,
            template=msgspec.to_builtins(made.template),
            author=made.author,
            message=made.message,
            parent=made.parent,
            created=made.created,
        )
    )
    return Pushed(version=made, created=True)


def _newest(connection: Connection, prompt_id: str) -> RowMapping | None:
    query = (
        reading_versions()
        .where(_versions.c.prompt_id == prompt_id)
        .order_by(_versions.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def reading_versions() -> Select[Any]:
    """Versions with their prompt's name and project, for `version_from`."""
    return select(_versions, _prompts.c.name, _prompts.c.project_id).join(
        _prompts, _prompts.c.id == _versions.c.prompt_id
    )


def version_from(row: RowMapping) -> PromptVersion:
    """A row of `reading_versions`."""
    return PromptVersion(
        project_id=row["project_id"],
        prompt=row["name"],
        number=row["number"],
        hash=row["hash"],
        template=msgspec.convert(row["template"], Template),
        author=row["author"],
        message=row["message"],
        parent=row["parent"],
        created=row["created"],
    )


def no_version(prompt: str, number: int, newest: int) -> NotFound:
    """The error that says which versions there are."""
    there = (
        f"It has the versions 1 to {newest}."
        if newest > 1
        else "It has version 1 only."
        if newest
        else "It has none."
    )
    return NotFound(f"The prompt {prompt!r} has no version {number}.", there, code="version_not_found")
