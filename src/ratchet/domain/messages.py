"""The message form: one shape for what goes into a model and what comes out.

It is OpenTelemetry's GenAI message schema (semantic conventions v1.41.1), so what is stored is what is exported.
Every dialect is translated to this and from this. What the schema has no field for stands in `extra`, under the name
that the dialect it came from gives it: the schema allows further properties, and so nothing is lost on the way back.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "BlobPart",
    "Extra",
    "FilePart",
    "GenericPart",
    "Message",
    "Part",
    "ReasoningPart",
    "RefusalPart",
    "TextPart",
    "ToolCallPart",
    "ToolCallResponsePart",
    "UriPart",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
Extra = dict[str, Any]


class TextPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="text", omit_defaults=True):
    content: str
    extra: Extra | None = None


class ReasoningPart(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="reasoning", omit_defaults=True
):
    """What the model thought. `signature` is the provider's proof of it, and `origin` the dialect whose models can
    check that proof (anthropic, gemini, openai_responses): another vendor's model can't, and is never sent it.

    A thought that the provider keeps to itself has an empty `content`.
    """

    content: str
    signature: str | None = None
    origin: str | None = None
    extra: Extra | None = None


class ToolCallPart(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool_call", omit_defaults=True
):
    """`arguments` is the decoded object, or the text as it came when it was not JSON.

    `signature` and `origin` are as in ReasoningPart: Gemini signs calls themselves.
    """

    id: str | None
    name: str
    arguments: Any = None
    signature: str | None = None
    origin: str | None = None
    extra: Extra | None = None


class ToolCallResponsePart(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool_call_response", omit_defaults=True
):
    """`response` is text, or an object (Gemini), or a list of parts where the tool gave pictures or documents.

    `name` is the tool's, where the dialect repeats it. `failed` says that the tool itself reports a failure.
    """

    id: str | None
    response: Any = None
    name: str | None = None
    failed: bool | None = None
    extra: Extra | None = None


class BlobPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="blob", omit_defaults=True):
    """`content` is base64; `modality` is image, audio, video or document."""

    modality: str
    content: str
    mime_type: str | None = None
    name: str | None = None  # the file's
    extra: Extra | None = None


class UriPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="uri", omit_defaults=True):
    modality: str
    uri: str
    mime_type: str | None = None
    name: str | None = None
    extra: Extra | None = None


class FilePart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="file", omit_defaults=True):
    """A file that lies at the provider, under an id that only this provider knows."""

    modality: str
    file_id: str
    mime_type: str | None = None
    name: str | None = None
    extra: Extra | None = None


class RefusalPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="refusal", omit_defaults=True):
    """The model's own words on why it won't answer."""

    content: str
    extra: Extra | None = None


class GenericPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="generic"):
    """What no other part can hold: `name` says what the dialect called it, `value` is it, whole."""

    name: str
    value: Any = None


Part = (
    TextPart
    | ReasoningPart
    | ToolCallPart
    | ToolCallResponsePart
    | BlobPart
    | UriPart
    | FilePart
    | RefusalPart
    | GenericPart
)


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`finish_reason` (stop, length, content_filter, tool_call, error) is set on output messages only."""

    role: str
    parts: list[Part]
    name: str | None = None
    finish_reason: str | None = None
    extra: Extra | None = None
