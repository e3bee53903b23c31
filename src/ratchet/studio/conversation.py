"""What was said in a span, ready to be shown: bounded, and safe whatever a model or an app put there. Pure.

Text stays text: a template escapes it, and nothing is rendered as markup. Images are shown only when their bytes came
with the span; an address elsewhere is shown as a link, so that opening a trace never calls another machine.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any, Literal, cast
from urllib.parse import unquote_to_bytes

import msgspec

from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.studio.formats import pretty_json

__all__ = [
    "MAX_CHARACTERS",
    "MAX_MESSAGES",
    "MAX_TURN_MESSAGES",
    "Bubble",
    "Direction",
    "Picture",
    "Piece",
    "Tool",
    "Transcript",
    "picture_of",
    "read_messages",
    "some_of",
    "text_of",
    "tools_of",
    "transcript",
]

MAX_CHARACTERS = 4_000
MAX_MESSAGES = 40
MAX_TURN_MESSAGES = 12
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w=.+-]+)*?)(;base64)?,", re.IGNORECASE)
_SNIFFED = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))

Direction = Literal["input", "output"]


class Piece(msgspec.Struct, frozen=True):
    """One part of a message. `kind`: text, reasoning, tool_call, tool_result, refusal, image, link, file or other.

    `text` is cut at `MAX_CHARACTERS`; `length` is its whole length. `address` is "<direction>/<message>/<part>", for
    asking for the rest or for an image's bytes.
    """

    kind: str
    text: str
    address: str
    length: int = 0
    name: str = ""
    call_id: str = ""
    uri: str = ""
    failed: bool = False  # a tool that reports a failure of its own

    @property
    def cut(self) -> bool:
        return self.length > len(self.text)


class Bubble(msgspec.Struct, frozen=True):
    """One message. `folded` says that it starts closed (system prompts)."""

    role: str
    name: str
    finish_reason: str
    pieces: list[Piece]
    folded: bool


class Transcript(msgspec.Struct, frozen=True):
    """The conversation of one span, oldest first. `skipped` counts earlier messages that are not shown.

    `unread` names a column whose text is not in the message form; it can still be seen raw.
    """

    bubbles: list[Bubble]
    skipped: int
    unread: list[str]


class Tool(msgspec.Struct, frozen=True):
    """A tool that the model was offered."""

    name: str
    description: str
    parameters: str


class Picture(msgspec.Struct, frozen=True):
    content_type: str
    content: bytes


def transcript(input_messages: str, output_messages: str, *, everything: bool = False) -> Transcript:
    """The last `MAX_MESSAGES` messages and the system prompts before them; all of them with `everything`."""
    unread: list[str] = []
    asked = _read("input_messages", input_messages, unread)
    answered = _read("output_messages", output_messages, unread)
    shown = list(enumerate(asked))
    return _transcript(shown, answered, unread, most=None if everything else MAX_MESSAGES)


def some_of(asked: Sequence[tuple[int, Message]], answered: Sequence[Message]) -> Transcript:
    """A turn of a longer conversation: messages with their places in what went in, and what came out.

    At most the last `MAX_TURN_MESSAGES` that went in; what tools answered starts closed.
    """
    shown = _transcript(asked, answered, [], most=MAX_TURN_MESSAGES)
    bubbles = [
        msgspec.structs.replace(bubble, folded=bubble.folded or bubble.role == "tool")
        for bubble in shown.bubbles
    ]
    return msgspec.structs.replace(shown, bubbles=bubbles)


def read_messages(text: str) -> list[Message]:
    """Messages as they are stored; none where the text is not in the message form."""
    return _read("", text, [])


def _transcript(
    asked: Sequence[tuple[int, Message]], answered: Sequence[Message], unread: list[str], *, most: int | None
) -> Transcript:
    skipped = 0
    chosen = list(asked)
    if most is not None and len(chosen) > most:
        tail = chosen[-most:]
        prompts = [(index, message) for index, message in chosen[:-most] if _is_prompt(message)][:2]
        skipped = len(chosen) - len(tail) - len(prompts)
        chosen = prompts + tail
    bubbles = [_bubble(message, "input", index) for index, message in chosen]
    bubbles += [_bubble(message, "output", index) for index, message in enumerate(answered)]
    return Transcript(bubbles=bubbles, skipped=skipped, unread=unread)


def text_of(messages: str, message: int, part: int) -> str | None:
    """The whole text of one part, or None when there is no such part."""
    found = _part(messages, message, part)
    return None if found is None else _text(found)


def picture_of(messages: str, message: int, part: int) -> Picture | None:
    """The bytes of one image part, or None when it is no image that a browser may show."""
    found = _part(messages, message, part)
    if isinstance(found, BlobPart):
        content = _decoded(found.content)
        kind = (found.mime_type or "").lower()
    elif isinstance(found, UriPart) and (match := _DATA_URI.match(found.uri)):
        data = found.uri[match.end() :]
        content = _decoded(data) if match[3] else unquote_to_bytes(data)
        kind = (match[1] or found.mime_type or "").lower()
    else:
        return None
    if content is None:
        return None
    if not kind or kind == "image/jpg":
        kind = next((known for start, known in _SNIFFED if content.startswith(start)), "")
    return Picture(content_type=kind, content=content) if kind in IMAGE_TYPES else None


def tools_of(tool_definitions: str) -> list[Tool]:
    """The tools a model was offered: flat definitions, or OpenAI's nested under `function`."""
    try:
        listed: Any = json.loads(tool_definitions) if tool_definitions else []
    except (ValueError, RecursionError):
        return [Tool(name="(not JSON)", description="", parameters=tool_definitions[:MAX_CHARACTERS])]
    entries = cast("list[Any]", listed) if isinstance(listed, list) else [listed]
    return [_tool(entry) for entry in entries]


def _tool(entry: Any) -> Tool:
    known = _object(entry) or {"name": str(entry)}
    body = _object(known.get("function")) or known
    schema: Any = body.get("parameters") or body.get("input_schema") or {}
    return Tool(
        name=str(body.get("name") or known.get("type") or "tool"),
        description=str(body.get("description") or ""),
        parameters=pretty_json(schema)[:MAX_CHARACTERS],
    )


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _read(column: str, text: str, unread: list[str]) -> list[Message]:
    if not text:
        return []
    try:
        return msgspec.json.decode(text, type=list[Message])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        unread.append(column)
        return []


def _part(messages: str, message: int, part: int) -> Part | None:
    read = read_messages(messages)
    if message < len(read) and part < len(read[message].parts):
        return read[message].parts[part]
    return None


def _is_prompt(message: Message) -> bool:
    return message.role in ("system", "developer")


def _bubble(message: Message, direction: Direction, index: int) -> Bubble:
    pieces = [_piece(part, f"{direction}/{index}/{position}") for position, part in enumerate(message.parts)]
    return Bubble(
        role=message.role,
        name=message.name or "",
        finish_reason=message.finish_reason or "",
        pieces=pieces,
        folded=_is_prompt(message),
    )


def _piece(part: Part, address: str) -> Piece:
    whole = _text(part)
    cut, length = whole[:MAX_CHARACTERS], len(whole)
    match part:
        case TextPart():
            return Piece("text", cut, address, length)
        case ReasoningPart():
            return Piece("reasoning", cut, address, length)
        case ToolCallPart(id=identity, name=name):
            return Piece("tool_call", cut, address, length, name=name, call_id=identity or "")
        case ToolCallResponsePart(id=identity, name=name, failed=failed):
            return Piece("tool_result", cut, address, length, name or "", identity or "", failed=bool(failed))
        case RefusalPart():
            return Piece("refusal", cut, address, length)
        case GenericPart(name=name):
            return Piece("other", cut, address, length, name=name)
        case _:
            return _attachment(part, address)


def _attachment(part: BlobPart | UriPart | FilePart, address: str) -> Piece:
    match part:
        case BlobPart(modality=modality, content=content, mime_type=kind):
            shown = "image" if modality == "image" and (kind or "image/png") in IMAGE_TYPES else "file"
            return Piece(
                shown, f"{kind or modality}, {len(content) * 3 // 4:,} bytes", address, name=modality
            )
        case UriPart(modality=modality, uri=uri) if uri[:5].lower() == "data:":
            match = _DATA_URI.match(uri)
            kind = (match[1] if match else "") or ""
            shown = "image" if kind.lower() in IMAGE_TYPES else "file"
            return Piece(shown, f"{kind or modality}, {len(uri):,} characters", address, name=modality)
        case UriPart(modality=modality, uri=uri):
            safe = uri if uri[:8].lower().startswith(("http://", "https://")) else ""
            return Piece("link", uri[:500], address, name=modality, uri=safe)
        case FilePart(modality=modality, file_id=identity):
            return Piece("file", identity, address, name=modality)


def _text(part: Part) -> str:
    match part:
        case TextPart(content=content) | ReasoningPart(content=content) | RefusalPart(content=content):
            return content
        case ToolCallPart(arguments=value) | ToolCallResponsePart(response=value) | GenericPart(value=value):
            return "" if value is None else pretty_json(value)
        case _:
            return ""


def _decoded(content: str) -> bytes | None:
    try:
        return base64.b64decode(content, validate=False)
    except (binascii.Error, ValueError):
        return None
