"""Releases: what each label of a prompt serves, and has served. Every change is a new row; gateways read the newest."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Select, func, insert, select
from sqlalchemy.exc import IntegrityError

from ratchet.domain.prompts import CanaryPolicy, PromptVersion, Release, ServedPrompt, Share
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.keys import GATEWAY_TOPIC
from ratchet.store.records.prompts import (
    NewVersion,
    Pushed,
    no_version,
    prompt_id_of,
    push_one,
    reading_versions,
    version_from,
)
from ratchet.store.records.secret import new_id

__all__ = [
    "all_canaries",
    "current_releases",
    "release_history",
    "release_split",
    "roll_back",
    "served_prompts",
]

_prompts, _versions, _releases = schema.prompts, schema.prompt_versions, schema.releases
_MOST_SHARES = 10
_LARGEST_WEIGHT = 1_000_000
_MOST_MESSAGE = 2_000
_AT_ONCE = 500  # versions read by one query


def release_split(
    records: Records,
    prompt: str,
    label: str,
    split: Sequence[Share],
    *,
    project_id: str,
    by: str,
    now: int,
    message: str = "",
    gate_run_id: str = "",
    canary: CanaryPolicy | None = None,
    seen: int | None = None,
) -> Release:
    """Let `label` serve `split` from now on; gateways do within a second. An empty split takes the label away.

    `seen` is the number of the release that the decision was made on (0: none). The name of the label is the caller's
    to check (`ratchet.prompts.checking`), and so is who may move it. Where the label serves just that, nothing changes.

    Raises NotFound for a prompt or version that there is none of, InvalidRequest for weights that are none, and
    Conflict where somebody else has moved the label since `seen`.
    """
    shares = sorted(split, key=lambda share: share.version)
    _check_split(shares)
    _check_message(message)
    wanted = Release(
        project_id=project_id,
        prompt=prompt,
        label=label,
        number=0,
        split=shares,
        created=now,
        created_by=by,
        message=message.strip(),
        gate_run_id=gate_run_id,
        canary=canary,
    )
    with _changing(records) as connection:
        return _serve(connection, wanted, seen)


def push_and_release(
    records: Records,
    new: Sequence[NewVersion],
    label: str,
    *,
    project_id: str,
    author: str,
    message: str,
    now: int,
) -> tuple[list[Pushed], list[Release]]:
    """Push, and let `label` serve each prompt's version, all in one step: both or nothing. See `push_versions`."""
    _check_message(message)
    with _changing(records) as connection:
        pushed = [push_one(connection, each, project_id, author, message, now) for each in new]
        served = [
            _serve(
                connection,
                Release(
                    project_id=project_id,
                    prompt=each.version.prompt,
                    label=label,
                    number=0,
                    split=[Share(version=each.version.number)],
                    created=now,
                    created_by=author,
                    message=message.strip(),
                ),
                None,
            )
            for each in pushed
        ]
    return pushed, served


def roll_back(
    records: Records,
    prompt: str,
    label: str,
    *,
    project_id: str,
    by: str,
    now: int,
    message: str = "",
    seen: int | None = None,
) -> Release:
    """Let the label serve what it served before: one step back, and with every further call one more.

    Raises NotFound where there is no such label, and Conflict where there is nothing to go back to, or where
    somebody else has moved the label since `seen`.
    """
    _check_message(message)
    with _changing(records) as connection:
        prompt_id = prompt_id_of(connection, prompt, project_id)
        rows = _rows(connection, prompt_id, label)
        if not rows:
            raise _no_label(prompt, label)
        newest = rows[0]
        if seen is not None and seen != newest["number"]:
            raise _moved_meanwhile(prompt, label, newest)
        target = _standing_before(rows)
        if target is None:
            raise Conflict(
                f"{prompt}@{label} has served nothing before that.",
                "There is nothing to roll back to; release another version instead.",
                code="nothing_before",
            )
        made = Release(
            project_id=project_id,
            prompt=prompt,
            label=label,
            number=newest["number"] + 1,
            split=_split(target),
            created=now,
            created_by=by,
            message=message.strip() or f"Rolled back to release {target['number']}",
            restores=target["number"],
        )
        _insert(connection, prompt_id, made)
    return made


def release_history(records: Records, prompt: str, *, project_id: str, label: str = "") -> list[Release]:
    """Every release of the prompt, or of one label, newest first. Raises NotFound where there is no such prompt."""
    with records.read() as connection:
        rows = _rows(connection, prompt_id_of(connection, prompt, project_id), label)
    return [_release(row, project_id, prompt) for row in rows]


def current_releases(records: Records, *, project_id: str) -> dict[str, list[Release]]:
    """What each prompt's labels serve now, by the prompt's name; labels that were taken away are not among them."""
    with records.read() as connection:
        found = _current(connection, project_id)
    return {name: releases for (_, name), releases in found.items()}


def all_canaries(records: Records) -> list[Release]:
    """The releases in force that are to be watched, of every project."""
    with records.read() as connection:
        found = _current(connection, None)
    return [release for releases in found.values() for release in releases if release.canary is not None]


def served_prompts(
    records: Records, known: Mapping[str, PromptVersion]
) -> tuple[dict[str, PromptVersion], tuple[ServedPrompt, ...]]:
    """Every project's prompts, which is what a gateway needs to know; and before them their versions, by their id.

    Versions never change, so those that are `known` are not read again.
    """
    with records.read() as connection:
        # Releases first: every version that one of them names is there when the versions are read.
        releases = _current(connection, None)
        ids = [str(found) for found in connection.scalars(_every_version())]
        versions = {each: known[each] for each in ids if each in known}
        missing = [each for each in ids if each not in known]
        for start in range(0, len(missing), _AT_ONCE):
            query = reading_versions().where(_versions.c.id.in_(missing[start : start + _AT_ONCE]))
            for row in connection.execute(query).mappings():
                versions[str(row["id"])] = version_from(row)
    grouped: dict[tuple[str, str], list[PromptVersion]] = {}
    for each in ids:
        if each in versions:
            version = versions[each]
            grouped.setdefault((version.project_id, version.prompt), []).append(version)
    served = tuple(
        ServedPrompt(
            project_id=project_id,
            name=name,
            versions=tuple(found),
            releases=tuple(releases.get((project_id, name), ())),
        )
        for (project_id, name), found in sorted(grouped.items(), key=lambda entry: entry[0])
    )
    return versions, served


def _every_version() -> Select[Any]:
    return select(_versions.c.id).order_by(_versions.c.prompt_id, _versions.c.number)


def _current(connection: Connection, project_id: str | None) -> dict[tuple[str, str], list[Release]]:
    """By project and prompt, each label's release in force."""
    newest = (
        select(_releases.c.prompt_id, _releases.c.label, func.max(_releases.c.number).label("number"))
        .group_by(_releases.c.prompt_id, _releases.c.label)
        .subquery()
    )
    query = (
        select(_releases, _prompts.c.name, _prompts.c.project_id)
        .join(_prompts, _prompts.c.id == _releases.c.prompt_id)
        .join(
            newest,
            (newest.c.prompt_id == _releases.c.prompt_id)
            & (newest.c.label == _releases.c.label)
            & (newest.c.number == _releases.c.number),
        )
        .order_by(_releases.c.label)
    )
    if project_id is not None:
        query = query.where(_prompts.c.project_id == project_id)
    found: dict[tuple[str, str], list[Release]] = {}
    for row in connection.execute(query).mappings():
        if row["split"]:
            release = _release(row, row["project_id"], row["name"])
            found.setdefault((release.project_id, release.prompt), []).append(release)
    return found


def _rows(connection: Connection, prompt_id: str, label: str) -> Sequence[RowMapping]:
    """Newest first."""
    query = select(_releases).where(_releases.c.prompt_id == prompt_id)
    if label:
        query = query.where(_releases.c.label == label)
    order = (_releases.c.created.desc(), _releases.c.label, _releases.c.number.desc())
    return connection.execute(query.order_by(*(order[2:] if label else order))).mappings().all()


def _newest(connection: Connection, prompt_id: str, label: str) -> RowMapping | None:
    found = _rows(connection, prompt_id, label)
    return found[0] if found else None


def _serve(connection: Connection, wanted: Release, seen: int | None) -> Release:
    """`wanted` with the next number, or what serves the same already."""
    prompt, label = wanted.prompt, wanted.label
    prompt_id = prompt_id_of(connection, prompt, wanted.project_id)
    before = _newest(connection, prompt_id, label)
    if seen is not None and seen != (before["number"] if before is not None else 0):
        raise _moved_meanwhile(prompt, label, before)
    _check_versions(connection, prompt, prompt_id, wanted.split)
    if before is not None and _split(before) == wanted.split and _canary(before) == wanted.canary:
        return _release(before, wanted.project_id, prompt)
    if before is None and not wanted.split:
        raise _no_label(prompt, label)
    made = msgspec.structs.replace(wanted, number=(before["number"] if before is not None else 0) + 1)
    _insert(connection, prompt_id, made)
    return made


def _no_label(prompt: str, label: str) -> NotFound:
    return NotFound(
        f"The prompt {prompt!r} has no label {label!r}.",
        "`ratchet prompt show` lists its labels.",
        code="label_not_found",
    )


def _standing_before(rows: Sequence[RowMapping]) -> RowMapping | None:
    """The release that was in force before the one that is, as if roll-backs had never been releases of their own."""
    by_number = {row["number"]: row for row in rows}
    standing = rows[0]
    while True:
        before = by_number.get((standing["restores"] or standing["number"]) - 1)
        if before is None:
            return None
        standing = by_number[before["restores"] or before["number"]]
        if standing["split"]:
            return standing


def _insert(connection: Connection, prompt_id: str, made: Release) -> None:
    connection.execute(
        insert(_releases).values(
            id=new_id(),
            prompt_id=prompt_id,
            label=made.label,
            number=made.number,
            split=msgspec.to_builtins(made.split),
            created=made.created,
            created_by=made.created_by,
            message=made.message,
            gate_run_id=made.gate_run_id,
            restores=made.restores,
            canary=None if made.canary is None else msgspec.to_builtins(made.canary),
        )
    )


@contextlib.contextmanager
def _changing(records: Records) -> Generator[Connection]:
    """One transaction. Two at the same moment give the same number, and the second is refused."""
    try:
        with records.write(GATEWAY_TOPIC) as connection:
            yield connection
    except IntegrityError as error:
        raise Conflict(
            "Somebody else has moved the label at this moment; nothing was changed.",
            "Look at what it serves now, and decide again.",
            code="changed_meanwhile",
        ) from error


def _check_split(shares: Sequence[Share]) -> None:
    if len(shares) > _MOST_SHARES:
        raise InvalidRequest(
            f"A label can't serve {len(shares)} versions.", f"Give at most {_MOST_SHARES}.", param="split"
        )
    if len({share.version for share in shares}) != len(shares):
        raise InvalidRequest("A split names a version twice.", "Give each version one weight.", param="split")
    for share in shares:
        if not 1 <= share.weight <= _LARGEST_WEIGHT:
            raise InvalidRequest(
                f"Version {share.version} can't have the weight {share.weight}.",
                f"Give a whole number from 1 to {_LARGEST_WEIGHT:,}; leave a version out to give it nothing.",
                param="split",
            )


def _check_message(message: str) -> None:
    if len(message) > _MOST_MESSAGE:
        raise InvalidRequest(
            f"The message has {len(message):,} characters; the limit is {_MOST_MESSAGE:,}.",
            "Say it shorter.",
            param="message",
        )


def _check_versions(connection: Connection, prompt: str, prompt_id: str, shares: Collection[Share]) -> None:
    newest = connection.scalar(select(func.max(_versions.c.number)).where(_versions.c.prompt_id == prompt_id))
    for share in shares:
        if not 1 <= share.version <= (newest or 0):
            raise no_version(prompt, share.version, newest or 0)


def _moved_meanwhile(prompt: str, label: str, before: RowMapping | None) -> Conflict:
    who = before["created_by"] if before is not None else "Somebody"
    return Conflict(
        f"{who} has moved {prompt}@{label} meanwhile.",
        "Look at what it serves now, and decide again.",
        code="changed_meanwhile",
    )


def _split(row: RowMapping) -> list[Share]:
    return msgspec.convert(row["split"], list[Share])


def _canary(row: RowMapping) -> CanaryPolicy | None:
    return msgspec.convert(row["canary"], CanaryPolicy | None)


def _release(row: RowMapping, project_id: str, prompt: str) -> Release:
    return Release(
        project_id=project_id,
        prompt=prompt,
        label=row["label"],
        number=row["number"],
        split=_split(row),
        created=row["created"],
        created_by=row["created_by"],
        message=row["message"],
        gate_run_id=row["gate_run_id"],
        restores=row["restores"],
        canary=_canary(row),
    )
