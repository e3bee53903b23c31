"""What a model is asked and what it answers, in no vendor's words: what every dialect is translated to and from.

`extra` holds what only the dialect it came from can say, under that dialect's own field names; `dialect` names it.
Writing back to the same dialect restores it; writing to another refuses it by name (`ratchet.dialects.expressing`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ratchet.domain.messages import Extra, Message, Part
from ratchet.domain.usage import Usage

__all__ = [
    "Answer",
    "ChoiceEnded",
    "Embeddings",
    "EmbeddingsRequest",
    "HostedTool",
    "OutputFormat",
    "PartDelta",
    "PartEnded",
    "PartStarted",
    "Request",
    "SignatureDelta",
    "StreamEnded",
    "StreamEvent",
    "StreamFailed",
    "StreamStarted",
    "Thinking",
    "Tool",
    "ToolChoice",
    "UsageReported",
]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the app's that the model may call. `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None
    extra: Extra | None = None


class HostedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the provider runs itself (web search, code execution): nobody else can offer it.

    `kind` is what the dialect calls it; `definition` is all of it, as it came.
    """

    kind: str
    definition: dict[str, Any]


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`mode`: auto, none, required (some tool), tool (the one called `name`), allowed (`mode` auto or required among
    `names`; `required` tells which)."""

    mode: str
    name: str | None = None
    names: list[str] | None = None
    required: bool = False
    extra: Extra | None = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`kind`: text, json (any object), json_schema."""

    kind: str
    name: str | None = None
    schema: Any = None
    strict: bool | None = None
    description: str | None = None
    extra: Extra | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model should think before it answers. What is None was not said.

    `mode`: on, off, adaptive (the model decides). `effort`: none, minimal, low, medium, high, xhigh, max.
    `budget` in tokens. `show`: whether thoughts, or a summary of them, come back.
    """

    mode: str | None = None
    effort: str | None = None
    budget: int | None = None
    show: bool | None = None
    extra: Extra | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an answer. What is None was not said.

    `messages` holds everything in order, what the system says first. `max_tokens` bounds the output.
    """

    dialect: str
    model: str
    messages: list[Message]
    tools: list[Tool | HostedTool] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    choices: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    verbosity: str | None = None  # low, medium, high
    output: OutputFormat | None = None
    thinking: Thinking | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    stream: bool = False
    include_usage: bool = False  # a stream's usage was asked for; dialects that always tell ignore it
    extra: Extra | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. One message for each choice, each with its finish reason. `created` in seconds since the epoch.

    The provider's own word for a finish reason stands in the message's `extra` where the neutral one says less.
    `cost` in US dollars is known to whoever asked, never to a dialect.
    """

    dialect: str
    id: str
    model: str
    choices: list[Message]
    usage: Usage
    created: int | None = None
    service_tier: str | None = None
    cost: Decimal | None = None
    extra: Extra | None = None


class StreamStarted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    model: str
    created: int | None = None
    usage: Usage | None = None  # what is known at the start, as far as it is
    service_tier: str | None = None
    extra: Extra | None = None


class PartStarted(msgspec.Struct, frozen=True):
    """A part begins. `part` says what it is and holds what is known of it by now: a call's id and name, the text so
    far (often none). `index` counts a choice's parts from 0; parts of one choice may overlap."""

    choice: int
    index: int
    part: Part


class PartDelta(msgspec.Struct, frozen=True):
    """More of a part's text, thought, refusal, or of the JSON text of a call's arguments."""

    choice: int
    index: int
    text: str
    extra: Extra | None = None


class SignatureDelta(msgspec.Struct, frozen=True):
    """The proof (or more of it) that belongs to a thought or a call."""

    choice: int
    index: int
    signature: str
    origin: str


class PartEnded(msgspec.Struct, frozen=True):
    """`extra` is what only the end tells, to be added to the part's."""

    choice: int
    index: int
    extra: Extra | None = None


class ChoiceEnded(msgspec.Struct, frozen=True):
    """`finish_reason` is the message form's; `extra` is added to the message's."""

    choice: int
    finish_reason: str
    extra: Extra | None = None


class UsageReported(msgspec.Struct, frozen=True):
    """Token counts of the whole answer so far: a later one replaces an earlier one."""

    usage: Usage
    extra: Extra | None = None


class StreamFailed(msgspec.Struct, frozen=True):
    """The provider says, inside the stream, that it can't go on."""

    message: str
    code: str | None = None


class StreamEnded(msgspec.Struct, frozen=True):
    """The dialect's own sign that the answer is whole. `service_tier` where the end tells it, and the start did not."""

    extra: Extra | None = None
    service_tier: str | None = None


StreamEvent = (
    StreamStarted
    | PartStarted
    | PartDelta
    | SignatureDelta
    | PartEnded
    | ChoiceEnded
    | UsageReported
    | StreamFailed
    | StreamEnded
)


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts, or texts as token ids, to be turned into vectors. `encoding`: float or base64."""

    dialect: str
    model: str
    inputs: list[str] | list[list[int]]
    dimensions: int | None = None
    encoding: str | None = None
    user: str | None = None
    extra: Extra | None = None


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """One vector for each input, in their order."""

    dialect: str
    model: str
    vectors: list[list[float]]
    usage: Usage
    extra: Extra | None = None
