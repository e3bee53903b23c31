"""Content blocks and the parts of the message form, both ways.

A block whose fields are not exactly those that a part can hold becomes a `GenericPart` with the whole block, so that
Anthropic gets it back as it was and nobody else gets half of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, cast

import msgspec

from ratchet.dialects.expressing import cannot_express
from ratchet.dialects.signatures import tagged, untagged
from ratchet.domain.messages import (
    BlobPart,
    Extra,
    FilePart,
    GenericPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)

__all__ = [
    "NAME",
    "REDACTED",
    "only_text",
    "read_block",
    "read_content",
    "response_of",
    "text_block",
    "thought_block",
    "write_content",
    "write_part",
]

NAME = "anthropic"
REDACTED = "redacted_thinking:"
"""A thought that Anthropic keeps to itself has no text, and as its signature this word and the block's `data`."""

_encode = msgspec.json.Encoder().encode


def read_content(content: Any) -> list[Part] | None:
    """The parts of a `content` or `system`: a text, or a list of blocks. None where it is neither."""
    if isinstance(content, str):
        return [TextPart(content)]
    if isinstance(content, list):
        return [read_block(block) for block in cast("list[Any]", content)]
    return None


def read_block(block: Any) -> Part:
    """One block as a part. Never raises."""
    if not isinstance(block, dict):
        return GenericPart("unknown", block)
    fields = cast("dict[str, Any]", block)
    kind = fields.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    part = None if read is None else read(fields)
    return GenericPart(kind if isinstance(kind, str) else "unknown", fields) if part is None else part


def only_text(parts: list[Part]) -> str | None:
    """The text, where there is one part and it is plain text. To Anthropic that and a list of it are the same."""
    if len(parts) == 1 and isinstance(parts[0], TextPart) and not parts[0].extra:
        return parts[0].content
    return None


def write_content(parts: list[Part], where: str, *, own: bool) -> str | list[dict[str, Any]]:
    """A `content`: text where it is only that, else blocks. Raises InvalidRequest for what can't be expressed.

    `where` names the message in errors; `own` tells that the parts were read by this dialect.
    """
    text = only_text(parts)
    if text is not None:
        return text
    blocks: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        block = write_part(part, f"{where}content[{number}]", own=own)
        if block is not None:
            blocks.append(block)
    return blocks


def write_part(  # noqa: PLR0911 - a kind of part each
    part: Part, where: str, *, own: bool
) -> dict[str, Any] | None:
    """One part of a request as a block; None where it says nothing that Anthropic could use."""
    match part:
        case TextPart(content=text):
            if text == "" and not own:
                return None  # Anthropic refuses an empty block
            return text_block(text, _extra(part.extra, own=own))
        case RefusalPart(content=text):
            return text_block(text, None) if text else None
        case ReasoningPart():
            return thought_block(part, own=own) if part.signature and part.origin == NAME else None
        case ToolCallPart():
            return _write_call(part, where, own=own)
        case ToolCallResponsePart():
            return _write_response(part, where, own=own)
        case BlobPart():
            return _write_blob(part, where, own=own)
        case UriPart():
            source = {"type": "url", "url": part.uri}
            return _write_source(part, source, where, own=own)
        case FilePart():
            if not own:
                raise cannot_express(where, NAME, because="A file's id is known to one provider alone.")
            return _write_source(part, {"type": "file", "file_id": part.file_id}, where, own=own)
        case GenericPart():
            if not own:
                raise cannot_express(f"{where} ({part.name})", NAME)
            return part.value


def text_block(text: str, extra: Extra | None) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": text, **(extra or {})}


def thought_block(part: ReasoningPart, *, own: bool) -> dict[str, Any]:
    """A thought as an app or Anthropic gets it; the proof of another vendor's model is tagged with whose it is.

    `own` tells that it was read by this dialect: what another said beside it is none of Anthropic's business.
    """
    signature, extra = part.signature or "", (part.extra if own else None) or {}
    if part.origin == NAME and signature.startswith(REDACTED) and not part.content:
        return {"type": "redacted_thinking", "data": signature.removeprefix(REDACTED), **extra}
    proof = tagged(signature, part.origin, NAME) if signature else ""
    return {"type": "thinking", "thinking": part.content, "signature": proof, **extra}


def response_of(content: Any) -> tuple[Any, bool]:
    """(what a tool_result's `content` is in the form, whether it could be read)."""
    parts = read_content(content)
    if parts is None:
        return None, content is None
    text = only_text(parts)
    return (parts if text is None else text), True


# reading


def _rest(fields: dict[str, Any], *known: str) -> Extra | None:
    rest = {name: value for name, value in fields.items() if name not in known and name != "type"}
    return rest or None


def _read_text(fields: dict[str, Any]) -> Part | None:
    text = fields.get("text")
    return TextPart(text, _rest(fields, "text")) if isinstance(text, str) else None


def _read_thinking(fields: dict[str, Any]) -> Part | None:
    text, signature = fields.get("thinking"), fields.get("signature", "")
    if not isinstance(text, str) or not isinstance(signature, str):
        return None
    extra = _rest(fields, "thinking", "signature")
    if not signature:
        return ReasoningPart(text, None, None, extra)
    proof, origin = untagged(signature, NAME)
    return ReasoningPart(text, proof, origin, extra)


def _read_redacted(fields: dict[str, Any]) -> Part | None:
    data = fields.get("data")
    if not isinstance(data, str):
        return None
    return ReasoningPart("", REDACTED + data, NAME, _rest(fields, "data"))


def _read_call(fields: dict[str, Any]) -> Part | None:
    call, name = fields.get("id"), fields.get("name")
    if not isinstance(call, str) or not isinstance(name, str):
        return None
    return ToolCallPart(call, name, fields.get("input"), extra=_rest(fields, "id", "name", "input"))


def _read_result(fields: dict[str, Any]) -> Part | None:
    call, failed = fields.get("tool_use_id"), fields.get("is_error")
    response, readable = response_of(fields.get("content"))
    if not isinstance(call, str) or not isinstance(failed, bool | None) or not readable:
        return None
    extra = _rest(fields, "tool_use_id", "is_error", "content")
    return ToolCallResponsePart(call, response, None, failed, extra)


def _read_image(fields: dict[str, Any]) -> Part | None:
    return _read_source("image", fields, None, _rest(fields, "source"))


def _read_document(fields: dict[str, Any]) -> Part | None:
    title = fields.get("title")
    if isinstance(title, str):
        return _read_source("document", fields, title, _rest(fields, "source", "title"))
    return _read_source("document", fields, None, _rest(fields, "source"))


def _read_source(  # noqa: PLR0911 - a kind of source each
    modality: str, fields: dict[str, Any], name: str | None, extra: Extra | None
) -> Part | None:
    given = fields.get("source")
    if not isinstance(given, dict):
        return None
    source = cast("dict[str, Any]", given)
    if not all(isinstance(value, str) for value in source.values()):
        return None
    names = set(source) - {"type"}
    match source.get("type"):
        case "base64" if names == {"media_type", "data"}:
            mime = source["media_type"]
            if modality == "document" and _is_text(mime):
                return None  # it would be written as text: only PDFs are meant to come so
            return BlobPart(modality, source["data"], mime, name, extra)
        case "text" if names == {"media_type", "data"} and modality == "document":
            if source["media_type"] != "text/plain":
                return None
            data = base64.b64encode(source["data"].encode()).decode()
            return BlobPart(modality, data, "text/plain", name, extra)
        case "url" if names == {"url"}:
            return UriPart(modality, source["url"], None, name, extra)
        case "file" if names == {"file_id"}:
            return FilePart(modality, source["file_id"], None, name, extra)
        case _:
            return None


_READERS: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
    "tool_result": _read_result,
    "image": _read_image,
    "document": _read_document,
}


# writing


def _extra(extra: Extra | None, *, own: bool) -> Extra | None:
    """What is written beside a part's own fields. Of another dialect's only the cache's marks: many apps set those
    for Anthropic's models whatever they speak."""
    if own or not extra:
        return extra
    return {"cache_control": extra["cache_control"]} if "cache_control" in extra else None


def _write_call(part: ToolCallPart, where: str, *, own: bool) -> dict[str, Any]:
    given = part.arguments
    if given is None or (given == "" and not own):
        given = {}
    if not own and not isinstance(given, dict):
        raise cannot_express(f"{where}.arguments", NAME, because="A call's input is a JSON object there.")
    extra = _extra(part.extra, own=own)
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": given, **(extra or {})}


def _write_response(part: ToolCallResponsePart, where: str, *, own: bool) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.id}
    response = part.response
    if isinstance(response, str):
        block["content"] = response
    elif isinstance(response, list) and all(
        isinstance(p, msgspec.Struct) for p in cast("list[Any]", response)
    ):
        block["content"] = write_content(cast("list[Part]", response), f"{where}.", own=own)
    elif response is not None:
        block["content"] = _encode(response).decode()
    if part.failed is not None:
        block["is_error"] = part.failed
    return {**block, **(_extra(part.extra, own=own) or {})}


def _write_blob(part: BlobPart, where: str, *, own: bool) -> dict[str, Any]:
    if part.mime_type is None:
        raise cannot_express(where, NAME, because="It needs the picture's or document's media type.")
    if part.modality == "document" and _is_text(part.mime_type):
        text = _decoded(part.content)
        if text is not None:
            source = {"type": "text", "media_type": "text/plain", "data": text}
            return _write_source(part, source, where, own=own)
    source = {"type": "base64", "media_type": part.mime_type, "data": part.content}
    return _write_source(part, source, where, own=own)


def _write_source(
    part: BlobPart | UriPart | FilePart, source: dict[str, Any], where: str, *, own: bool
) -> dict[str, Any]:
    if part.modality not in ("image", "document"):
        raise cannot_express(f"{where} ({part.modality})", NAME)
    block: dict[str, Any] = {"type": part.modality, "source": source}
    if part.modality == "document" and part.name is not None:
        block["title"] = part.name
    return {**block, **(_extra(part.extra, own=own) or {})}


def _is_text(mime: str) -> bool:
    kind = mime.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("+json", "+xml")) or kind in _TEXTUAL


def _decoded(content: str) -> str | None:
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


_TEXTUAL = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/javascript",
        "application/sql",
        "application/toml",
    }
)
