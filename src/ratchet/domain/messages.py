"""The message form: one shape for what goes into a model and what comes out.

It is OpenTelemetry's GenAI message schema (semantic conventions v1.41.1), so what is stored is what is exported.
Every dialect is translated to this and from this.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "BlobPart",
    "FilePart",
    "GenericPart",
    "Message",
    "Part",
    "ReasoningPart",
    "TextPart",
    "ToolCallPart",
    "ToolCallResponsePart",
    "UriPart",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]


class TextPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="text"):
    content: str


class ReasoningPart(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="reasoning", omit_defaults=True
):
    content: str
    signature: str | None = None


class ToolCallPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool_call"):
    """`arguments` is the decoded object, or the text as it came when it was not JSON."""

    id: str | None
    name: str
    arguments: Any = None


class ToolCallResponsePart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool_call_response"):
    id: str | None
    response: Any = None


class BlobPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="blob"):
    """`content` is base64; `modality` is image, audio, video or document."""

    modality: str
    content: str
    mime_type: str | None = None


class UriPart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="uri"):
    modality: str
    uri: str
    mime_type: str | None = None


class FilePart(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="file"):
    modality: str
    file_id: str
    mime_type: str | None = None


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
    | GenericPart
)


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`finish_reason` (stop, length, content_filter, tool_call, error) is set on output messages only."""

    role: str
    parts: list[Part]
    name: str | None = None
    finish_reason: str | None = None
