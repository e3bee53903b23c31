"""A prompt: a named template that people change; a version of it never changes. A release says what a label serves.

Times are nanoseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = [
    "DEFAULT_LABEL",
    "LABEL",
    "NAME",
    "PREFIX",
    "ROLES",
    "CanaryPolicy",
    "Prompt",
    "PromptComment",
    "PromptReference",
    "PromptVersion",
    "Release",
    "ServedPrompt",
    "Share",
    "Template",
    "TemplateExample",
    "TemplateMessage",
]

ROLES = ("system", "user", "assistant")
PREFIX = "prompt:"  # what `model` begins with where an app asks for a prompt
DEFAULT_LABEL = "production"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LABEL = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_REFERENCE = re.compile(rf"({NAME.pattern})(?:@({LABEL.pattern})|#([1-9][0-9]{{0,8}}))?")


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
    keeps to, `parameters` are fields of the request such as `temperature`, under the names that OpenAI's chat dialect
    gives them, and `model` names a route or `provider/model`; "" leaves the choice to whoever asks.
    """

    messages: list[TemplateMessage]
    examples: list[TemplateExample] = []
    tools: list[dict[str, Any]] = []
    output_schema: dict[str, Any] | None = None
    model: str = ""
    parameters: dict[str, Any] = {}


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """The name that versions, labels and comments belong to."""

    project_id: str
    name: str
    created: int
    created_by: str


class PromptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`number` counts from 1 within a prompt; `hash` is that of the template, in hex."""

    project_id: str
    prompt: str
    number: int
    hash: str
    template: Template
    author: str
    message: str = ""
    parent: int | None = None
    created: int


class PromptComment(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said of a version."""

    id: str
    prompt: str
    version: int
    author: str
    text: str
    created: int


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A version's part of a label's traffic: its weight over the sum of all weights."""

    version: int
    weight: int = 1


class CanaryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A split that is watched: the version `canary` goes when it is worse than `baseline`.

    A canary that is no worse is rolled back with probability `alpha` at most. Its latency and cost may be up to
    `latency_ratio` and `cost_ratio` times the baseline's.
    """

    baseline: int
    canary: int
    alpha: float = 0.05
    latency_ratio: float = 1.1
    cost_ratio: float = 1.1


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a label serves from `created` on, until the next release of the same label. The newest one is in force.

    `number` counts from 1 within a prompt's label. `restores` is the number of the release that a roll-back brought
    back, 0 for one that nobody rolled back to. `gate_run_id` names the run whose gate let it pass, "" without one.
    An empty `split` takes the label away. A split with a `canary` is watched.
    """

    project_id: str
    prompt: str
    label: str
    number: int
    split: list[Share]
    created: int
    created_by: str
    message: str = ""
    gate_run_id: str = ""
    restores: int = 0
    canary: CanaryPolicy | None = None

    @property
    def name(self) -> str:
        """What spans say: `production.7`."""
        return f"{self.label}.{self.number}"


class ServedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to know of a prompt: every version, oldest first, and what each label serves now."""

    project_id: str
    name: str
    versions: tuple[PromptVersion, ...]
    releases: tuple[Release, ...] = ()


class PromptReference(msgspec.Struct, frozen=True):
    """`support`, `support@production` or `support#3`. Neither label nor number: whatever is served by default."""

    name: str
    label: str = ""
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> PromptReference | None:
        """What `text` refers to, with or without `prompt:` in front; None where it is no reference."""
        found = _REFERENCE.fullmatch(text.removeprefix(PREFIX))
        return cls(found[1], found[2] or "", int(found[3] or 0)) if found else None

    def __str__(self) -> str:
        return self.name + (f"@{self.label}" if self.label else f"#{self.number}" if self.number else "")
