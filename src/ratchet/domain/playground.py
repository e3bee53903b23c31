"""A draft: columns that are tried side by side over shared variables, as somebody typed them, and what was answered.

What was typed is kept as text, also where it can't be used yet: a reload loses nothing.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ratchet.domain.prompts import TemplateExample

__all__ = ["RAW", "Column", "ColumnAnswer", "Draft", "DraftMessage", "DraftState", "ToolCallText"]

RAW = "json"  # the role of a message that is written as the JSON of a whole message


class DraftMessage(msgspec.Struct, frozen=True):
    """`role` is system, user or assistant, and `content` a template; or `role` is RAW and `content` JSON."""

    role: str
    content: str


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate. `id` is its own within the draft. `prompt` and `number` name the version that it was loaded from.

    `tools`, `schema` and `more` (further fields of the request) are JSON texts; the parameters are numbers as texts.
    """

    id: int
    messages: list[DraftMessage] = []
    examples: list[TemplateExample] = []
    model: str = ""
    temperature: str = ""
    max_tokens: str = ""
    top_p: str = ""
    more: str = ""
    tools: str = ""
    schema: str = ""
    prompt: str = ""
    number: int = 0


class DraftState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`variables` fill in the templates of every column. `origin` is the trace and span that it was opened from."""

    columns: list[Column] = []
    variables: dict[str, str] = {}
    origin: tuple[str, str] | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` grows with each change: who saves an older one is told. Times are nanoseconds since the epoch."""

    id: str
    project_id: str
    owner: str
    title: str
    state: DraftState
    revision: int
    created: int
    changed: int


class ToolCallText(msgspec.Struct, frozen=True):
    """A call that the model made; `arguments` is JSON text, as it came."""

    name: str
    arguments: str


class ColumnAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one column was last answered. `error` is "" where the model answered. Durations are nanoseconds.

    `request` is a hash of what was sent: where the column says something else by now, the answer is of before.
    """

    text: str = ""
    thought: str = ""
    calls: list[ToolCallText] = []
    error: str = ""
    remedy: str = ""
    finish_reason: str = ""
    model: str = ""
    trace_id: str = ""
    duration: int | None = None
    time_to_first_token: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    recorded: bool = False
    request: str = ""
    time: int = 0
