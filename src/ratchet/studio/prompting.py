"""What pages and API do with prompts: find a version, check and push templates, move labels as a role allows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.access import Role
from ratchet.domain.prompts import PromptVersion, Release, Share, Template
from ratchet.errors import Forbidden, InvalidRequest, NotFound
from ratchet.prompts.checking import check_label, check_name, check_template, read_template
from ratchet.prompts.hashing import content_hash
from ratchet.store.records.prompts import (
    NewVersion,
    list_prompts,
    newest_version,
    newest_versions,
    push_versions,
    version_of,
    versions_of,
)
from ratchet.store.records.releases import (
    current_releases,
    push_and_release,
    release_history,
    release_split,
    roll_back,
)
from ratchet.studio.services import Visit

__all__ = [
    "LOCAL",
    "PromptLine",
    "PromptVersionLine",
    "PromptView",
    "PushedPrompt",
    "check_may_move",
    "may_move",
    "move_label",
    "prompt_lines",
    "prompt_view",
    "push",
    "step_back",
    "version_meant",
]

LOCAL = "local"  # the member that the command line on the studio's machine speaks for


class PromptVersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A version without its template. `model` is the one it names."""

    number: int
    hash: str
    author: str
    message: str
    parent: int | None
    created: int
    model: str

    @classmethod
    def of(cls, version: PromptVersion) -> PromptVersionLine:
        return cls(
            number=version.number,
            hash=version.hash,
            author=version.author,
            message=version.message,
            parent=version.parent,
            created=version.created,
            model=version.template.model,
        )


class PromptLine(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt in the list: its newest version, and what its labels serve."""

    name: str
    created: int
    created_by: str
    newest: PromptVersionLine
    labels: list[Release]


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt: its versions and releases, newest first. `required` and `optional` are the newest's variables."""

    name: str
    created: int
    created_by: str
    versions: list[PromptVersionLine]
    labels: list[Release]
    history: list[Release]
    required: list[str]
    optional: list[str]
    protected: list[str]


class PushedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one pushed prompt. `created` is false where its newest version had this content already."""

    name: str
    number: int
    hash: str
    created: bool
    release: Release | None = None


def prompt_lines(asked: Visit) -> list[PromptLine]:
    """Every prompt of the project, by name."""
    records, project = asked.services.records, asked.project_id
    newest = newest_versions(records, project_id=project)
    labels = current_releases(records, project_id=project)
    return [
        PromptLine(
            name=prompt.name,
            created=prompt.created,
            created_by=prompt.created_by,
            newest=PromptVersionLine.of(newest[prompt.name]),
            labels=labels.get(prompt.name, []),
        )
        for prompt in list_prompts(records, project_id=project)
        if prompt.name in newest
    ]


def prompt_view(asked: Visit, name: str) -> PromptView:
    """Raises NotFound."""
    records, project = asked.services.records, asked.project_id
    versions = versions_of(records, name, project_id=project)
    history = release_history(records, name, project_id=project)
    try:
        compiled = check_template(versions[0].template)
        required, optional = list(compiled.required), list(compiled.optional)
    except InvalidRequest:  # pushed by a ratchet that knew other limits; asking for it says what is wrong
        required, optional = [], []
    return PromptView(
        name=name,
        created=versions[-1].created,
        created_by=versions[-1].author,
        versions=[PromptVersionLine.of(each) for each in versions],
        labels=current_releases(records, project_id=project).get(name, []),
        history=history,
        required=required,
        optional=optional,
        protected=sorted(asked.services.protected_labels()),
    )


def version_meant(asked: Visit, name: str, said: str) -> PromptVersion:
    """The version that `said` means: a number, a label that serves one version, or "" for the newest.

    Raises NotFound, and InvalidRequest where a label serves several.
    """
    records, project = asked.services.records, asked.project_id
    if not said:
        return newest_version(records, name, project_id=project)
    if re.fullmatch(r"#?[1-9][0-9]{0,8}", said):
        return version_of(records, name, int(said.lstrip("#")), project_id=project)
    label = said.lstrip("@")
    newest_version(records, name, project_id=project)  # there is such a prompt
    serving = current_releases(records, project_id=project).get(name, [])
    release = next((each for each in serving if each.label == label), None)
    if release is None:
        there = ", ".join(each.label for each in serving) or "none yet"
        raise NotFound(
            f"The prompt {name!r} has no label {label!r}.", f"Its labels: {there}.", code="label_not_found"
        )
    if len(release.split) > 1:
        numbers = " and ".join(f"#{share.version}" for share in release.split)
        raise InvalidRequest(f"{name}@{label} serves several versions.", f"Name one: {numbers}.")
    return version_of(records, name, release.split[0].version, project_id=project)


def push(
    asked: Visit,
    templates: Sequence[tuple[str, Mapping[str, Any] | Template, int | None]],
    *,
    message: str,
    label: str = "",
    author: str = "",
) -> list[PushedPrompt]:
    """Check every (name, template, parent) and push them: all or none. With `label`, it serves them from then on.

    `author` counts for the machine's own token alone: everybody else is who they are.
    """
    new = [_new(name, template, parent) for name, template, parent in templates]
    twice = {each.prompt for each in new if sum(other.prompt == each.prompt for other in new) > 1}
    if twice:
        raise InvalidRequest(f"The prompt {min(twice)!r} stands there twice.", "Send each prompt once.")
    if label:
        check_label(label)
        _check_by_hand(asked, label, message)
    records, project, now = asked.services.records, asked.project_id, asked.services.now()
    by = (author if asked.member.id == LOCAL else "") or asked.member.email
    served: dict[str, Release] = {}
    if label:
        pushed, releases = push_and_release(
            records, new, label, project_id=project, author=by, message=message, now=now
        )
        served = {release.prompt: release for release in releases}
    else:
        pushed = push_versions(records, new, project_id=project, author=by, message=message, now=now)
    return [
        PushedPrompt(
            name=each.version.prompt,
            number=each.version.number,
            hash=each.version.hash,
            created=each.created,
            release=served.get(each.version.prompt),
        )
        for each in pushed
    ]


def move_label(
    asked: Visit,
    name: str,
    label: str,
    split: Sequence[Share],
    *,
    message: str = "",
    seen: int | None = None,
) -> Release:
    """Let a label serve `split`; an empty one takes it away. Raises Forbidden where the label takes another role."""
    check_label(label)
    if split:
        _check_by_hand(asked, label, message)
    else:
        check_may_move(asked, label)
    return release_split(
        asked.services.records,
        name,
        label,
        split,
        project_id=asked.project_id,
        by=asked.member.email,
        now=asked.services.now(),
        message=message,
        seen=seen,
    )


def step_back(asked: Visit, name: str, label: str, *, message: str = "", seen: int | None = None) -> Release:
    """Let a label serve what it served before. Raises Forbidden, NotFound and Conflict."""
    check_label(label)
    check_may_move(asked, label)
    return roll_back(
        asked.services.records,
        name,
        label,
        project_id=asked.project_id,
        by=asked.member.email,
        now=asked.services.now(),
        message=message,
        seen=seen,
    )


def may_move(asked: Visit, label: str) -> bool:
    """Whether the asker's role is enough for this label."""
    needed = Role.ADMIN if label in asked.services.protected_labels() else Role.DEVELOPER
    return asked.member.role >= needed


def check_may_move(asked: Visit, label: str) -> None:
    """Raises Forbidden."""
    if not may_move(asked, label):
        raise Forbidden(
            f"The label {label!r} is protected: moving it needs the role admin; {asked.member.email} is "
            f"{asked.member.role.label}.",
            "Ask an admin to move it, or use another label. studio.protected_labels in ratchet.toml lists them.",
        )


def _check_by_hand(asked: Visit, label: str, message: str) -> None:
    """Past the gate, a protected label's history has at least to say why. Raises Forbidden and InvalidRequest."""
    check_may_move(asked, label)
    if label in asked.services.protected_labels() and not message.strip():
        raise InvalidRequest(
            f"The label {label!r} is protected, and no gate looks at what it is given by hand.",
            "Say why, in a message; or promote a version whose gate passed, with `ratchet release create`.",
            param="message",
        )


def _new(name: str, template: Mapping[str, Any] | Template, parent: int | None) -> NewVersion:
    check_name(name)
    read = template if isinstance(template, Template) else read_template(template)
    try:
        check_template(read)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"The prompt {name!r}: {error.message}", error.remedy, code=error.reason, param=error.param
        ) from error
    return NewVersion(prompt=name, template=read, hash=content_hash(read), parent=parent)
