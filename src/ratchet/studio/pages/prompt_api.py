"""Prompts for programs: list, push, versions, differences, rendering, labels, comments."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.prompts import PromptComment, Share
from ratchet.prompts.checking import check_template, read_template
from ratchet.prompts.difference import difference
from ratchet.store.records.prompts import add_comment, comments_of
from ratchet.studio.prompting import (
    move_label,
    prompt_lines,
    prompt_view,
    push,
    step_back,
    version_meant,
)
from ratchet.studio.rendering import json_response
from ratchet.studio.visiting import Asked

__all__ = [
    "NewPrompts",
    "Rendered",
    "comment_version",
    "difference_json",
    "drop_label",
    "prompt_comments_json",
    "prompt_json",
    "prompts_json",
    "push_prompts",
    "render_prompt",
    "roll_back_label",
    "set_label",
    "version_json",
]


class NewPrompt(BaseModel):
    """A prompt to push. `template` is what a version fixes; `parent` the version it was made from, else the newest."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    template: dict[str, Any]
    parent: int | None = Field(default=None, ge=1)


class NewPrompts(BaseModel):
    """Prompts to push, all or none. With `label`, that serves them from then on.

    `author` is believed from the command line on the studio's own machine alone.
    """

    model_config = ConfigDict(extra="forbid")

    prompts: list[NewPrompt] = Field(min_length=1, max_length=1000)
    message: str = Field(default="", max_length=5000)
    label: str = Field(default="", max_length=100)
    author: str = Field(default="", max_length=320)


class Weight(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=10**9)
    weight: int = Field(default=1, ge=1, le=1_000_000)


class NewRelease(BaseModel):
    """What a label shall serve. `seen` is the number of the release that this was decided on, 0 for none."""

    model_config = ConfigDict(extra="forbid")

    split: list[Weight] = Field(min_length=1, max_length=10)
    message: str = Field(default="", max_length=5000)
    seen: int | None = None


class StepBack(BaseModel):
    """Why, and the number of the release that this was decided on."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(default="", max_length=5000)
    seen: int | None = None


class NewComment(BaseModel):
    """What to say of a version."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=10**9)
    text: str = Field(max_length=20_000)


class Rendering(BaseModel):
    """What to render: a version (a number or a label; "" is the newest), or a template that is none yet."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(default="", max_length=100)
    template: dict[str, Any] | None = None
    variables: dict[str, Any] = Field(default_factory=dict)


class RenderedMessage(msgspec.Struct, frozen=True):
    role: str
    content: str


class Rendered(msgspec.Struct, frozen=True):
    """The messages, and the variables that the template takes."""

    messages: list[RenderedMessage]
    required: list[str]
    optional: list[str]


def prompts_json(asked: Asked) -> Response:
    """Every prompt: its newest version, and what its labels serve."""
    return json_response(prompt_lines(asked))


def push_prompts(asked: Asked, body: NewPrompts) -> Response:
    """Push versions. What is the newest version's content already makes none."""
    pushed = push(
        asked,
        [(each.name, each.template, each.parent) for each in body.prompts],
        message=body.message,
        label=body.label,
        author=body.author,
    )
    return json_response(pushed)


def prompt_json(asked: Asked, name: str) -> Response:
    """One prompt: its versions and releases, newest first."""
    return json_response(prompt_view(asked, name))


def version_json(asked: Asked, name: str, version: str) -> Response:
    """One version with its template. `version` is a number, a label that serves one, or `newest`."""
    return json_response(version_meant(asked, name, "" if version == "newest" else version))


def difference_json(asked: Asked, name: str, before: str = "", after: str = "") -> Response:
    """What changed from `before` to `after`: numbers or labels; by default the newest version and its parent."""
    new = version_meant(asked, name, after)
    old = version_meant(asked, name, before or str(new.parent or new.number))
    return json_response(difference(old.template, new.template))


def render_prompt(asked: Asked, name: str, body: Rendering) -> Response:
    """The messages as a model would get them. Nothing is sent anywhere."""
    if body.template is not None:
        template = read_template(body.template)
    else:
        template = version_meant(asked, name, body.version).template
    compiled = check_template(template)
    messages = compiled.render(body.variables, who=f"The prompt {name}")
    return json_response(
        Rendered(
            [RenderedMessage(each.role, each.content) for each in messages],
            list(compiled.required),
            list(compiled.optional),
        )
    )


def set_label(asked: Asked, name: str, label: str, body: NewRelease) -> Response:
    """Let a label serve a version, or a split of several. A protected label takes an admin."""
    split = [Share(version=each.version, weight=each.weight) for each in body.split]
    return json_response(move_label(asked, name, label, split, message=body.message, seen=body.seen))


def drop_label(asked: Asked, name: str, label: str) -> Response:
    """Take a label away; its history stays."""
    return json_response(move_label(asked, name, label, []))


def roll_back_label(asked: Asked, name: str, label: str, body: StepBack) -> Response:
    """Let a label serve what it served before; once more goes one step further."""
    return json_response(step_back(asked, name, label, message=body.message, seen=body.seen))


def prompt_comments_json(asked: Asked, name: str) -> Response:
    """What was said of the prompt's versions, oldest first."""
    found: list[PromptComment] = comments_of(asked.services.records, name, project_id=asked.project_id)
    return json_response(found)


def comment_version(asked: Asked, name: str, body: NewComment) -> Response:
    """Say something of a version."""
    made = add_comment(
        asked.services.records,
        name,
        body.version,
        body.text,
        project_id=asked.project_id,
        author=asked.member.email,
        now=asked.services.now(),
    )
    return json_response(made, status=201)
