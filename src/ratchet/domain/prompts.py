"""A prompt: a named template that people change; a version of it never changes."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["PromptVersion", "Template", "TemplateExample", "TemplateMessage"]


class TemplateMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`content` is minijinja text; `role` is system, user or assistant."""

    role: str
    content: str


class TemplateExample(msgspec.Struct, frozen=True, kw_only=True):
    """A few-shot example: what a user might say and how to answer it. Both are plain text, never rendered."""

    input: str
    output: str


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a version fixes. Examples stand between the last system message and what follows it.

    `tools` are functions as OpenAI's chat dialect writes them, `output_schema` is a JSON Schema that the answer
    keeps to, `parameters` are fields of the request such as `temperature`, and `model` names a route or
    `provider/model`; "" leaves the choice to whoever asks.
    """

    messages: list[TemplateMessage]
    examples: list[TemplateExample] = []
    tools: list[dict[str, Any]] = []
    output_schema: dict[str, Any] | None = None
    model: str = ""
    parameters: dict[str, Any] = {}


class PromptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`number` counts from 1 within a prompt; `hash` is that of the template, in hex. `created` in nanoseconds."""

    project_id: str
    prompt: str
    number: int
    hash: str
    template: Template
    author: str
    message: str = ""
    parent: int | None = None
    created: int
