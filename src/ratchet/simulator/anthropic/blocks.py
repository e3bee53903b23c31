"""Content blocks: their fields checked one by one, and what they say to a model."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.anthropic.checks import (
    array,
    at,
    boolean,
    literal,
    need,
    object_at,
    only,
    string,
    tagged,
)
from ratchet.simulator.anthropic.errors import refusal
from ratchet.simulator.anthropic.signatures import signed, unsealed
from ratchet.simulator.ask import Call
from ratchet.simulator.wire import encode

__all__ = ["Block", "cache_ttl", "read_content", "read_texts"]

_TOOL_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_IMAGE_TOKENS, _DOCUMENT_TOKENS = 765, 1500
# Known fields beside `type`. None: a block of a tool that runs at the provider, which is taken as it is.
_BLOCKS: dict[str, frozenset[str] | None] = {
    "text": frozenset({"text", "cache_control", "citations"}),
    "image": frozenset({"source", "cache_control", "transformations"}),
    "document": frozenset({"source", "cache_control", "citations", "context", "title"}),
    "search_result": frozenset({"content", "source", "title", "cache_control", "citations"}),
    "thinking": frozenset({"thinking", "signature"}),
    "redacted_thinking": frozenset({"data"}),
    "tool_use": frozenset({"id", "name", "input", "cache_control", "caller", "toolset_name"}),
    "tool_result": frozenset({"tool_use_id", "content", "is_error", "cache_control", "toolset_name"}),
    "server_tool_use": None,
    "web_search_tool_result": None,
    "web_fetch_tool_result": None,
    "code_execution_tool_result": None,
    "bash_code_execution_tool_result": None,
    "text_editor_code_execution_tool_result": None,
    "tool_search_tool_result": None,
    "container_upload": None,
    "mcp_tool_use": None,
    "mcp_tool_result": None,
    "compaction": None,
    "tool_addition": None,
}
_IN_RESULTS = ("document", "image", "search_result", "text", "tool_reference")
_SOURCES = {
    "image": {"base64": ("media_type", "data"), "url": ("url",), "file": ("file_id",)},
    "document": {
        "base64": ("media_type", "data"),
        "text": ("media_type", "data"),
        "url": ("url",),
        "file": ("file_id",),
        "content": ("content",),
    },
}


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A block, read. `data` is it without its cache marker, for the prompt cache; `ttl` the marker: 5m, 1h or ""."""

    type: str
    where: str
    text: str = ""
    blobs: tuple[tuple[str, str], ...] = ()
    call: Call | None = None
    result_of: str = ""  # tool_use_id
    data: bytes = b""
    tokens: int = 0
    ttl: str = ""
    cites: bool = False  # a text with citations


def read_content(content: Any, where: str) -> list[Block]:
    """The blocks of a message's content: text alone stands for one block. Raises `Rejected`."""
    if isinstance(content, str):
        return [_of_text(content, where)]
    return [_block(block, at(where, index)) for index, block in enumerate(array(content, where))]


def read_texts(content: Any, where: str) -> list[Block]:
    """Content that may only be text: the system prompt's. Raises `Rejected`."""
    if isinstance(content, str):
        return [_of_text(content, where)]
    blocks: list[Block] = []
    for index, value in enumerate(array(content, where)):
        literal(
            need(object_at(value, at(where, index)), "type", at(where, index)),
            ("text",),
            f"{where}.{index}.type",
        )
        blocks.append(_block(value, at(where, index)))
    return blocks


def cache_ttl(fields: dict[str, Any], where: str) -> str:
    """The cache marker among an object's fields: how long it asks for, or nothing. Raises `Rejected`."""
    marker = fields.get("cache_control")
    if marker is None:
        return ""
    spot = at(where, "cache_control")
    found = object_at(marker, spot)
    tagged(found, ("ephemeral",), spot)
    only(found, {"type", "ttl"}, at(spot, "ephemeral"))
    return literal(found.get("ttl") or "5m", ("5m", "1h"), at(spot, "ephemeral.ttl"))


def _of_text(text: str, where: str) -> Block:
    data = encode({"type": "text", "text": text})
    return Block(type="text", where=where, text=text, data=data, tokens=tokens.count(text))


def _block(value: Any, where: str) -> Block:
    tag, fields = tagged(value, _BLOCKS, where)
    known = _BLOCKS[tag]
    inside = at(where, tag)
    if known is not None:
        only(fields, known | {"type"}, inside)
    data = encode({name: field for name, field in fields.items() if name != "cache_control"})
    made = _READERS.get(tag, _anything)(fields, where, inside, data)
    ttl = cache_ttl(fields, inside)
    if ttl and tag == "text" and not made.text:
        raise refusal(f"{inside}: cache_control cannot be set for empty text blocks")
    return msgspec.structs.replace(made, data=data, ttl=ttl)


def _text(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    text = string(need(fields, "text", inside), at(inside, "text"))
    if not text:
        raise refusal("messages: text content blocks must be non-empty")
    if not text.strip():
        raise refusal("messages: text content blocks must contain non-whitespace text")
    return Block(
        type="text", where=where, text=text, tokens=tokens.count(text), cites=bool(fields.get("citations"))
    )


def _anything(fields: dict[str, Any], where: str, _inside: str, data: bytes) -> Block:
    return Block(type=fields["type"], where=where, tokens=tokens.count(data.decode()))


# -- images and documents ----------------------------------------------------------------------------------------


def _source(fields: dict[str, Any], inside: str, kind: str) -> tuple[str, dict[str, Any], str]:
    spot = at(inside, "source")
    tags = _SOURCES[kind]
    tag, source = tagged(need(fields, "source", inside), tags, spot)
    spot = at(spot, tag)
    only(source, {"type", *tags[tag]}, spot)
    for name in tags[tag]:
        if name != "content":
            string(need(source, name, spot), at(spot, name))
    if tag == "base64":
        try:
            b64decode(source["data"], validate=True)
        except (binascii.Error, ValueError):
            raise refusal(f"{spot}.data: The data is not valid base64") from None
    if tag == "url" and not source["url"].startswith(("http://", "https://")):
        raise refusal(f"{spot}.url: Only HTTPS URLs are supported.")
    return tag, source, spot


def _image(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    tag, source, spot = _source(fields, inside, "image")
    if tag == "base64":
        literal(source["media_type"], _IMAGES, at(spot, "media_type"))
    content = source.get("data") or source.get("url") or source.get("file_id")
    return Block(type="image", where=where, blobs=(("image", str(content)),), tokens=_IMAGE_TOKENS)


def _document(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    """A document as text is read by the model; the others are files to it."""
    tag, source, spot = _source(fields, inside, "document")
    for name in ("title", "context"):
        if fields.get(name) is not None:
            string(fields[name], at(inside, name))
    if tag == "base64":
        literal(source["media_type"], ("application/pdf",), at(spot, "media_type"))
    if tag == "text":
        literal(source["media_type"], ("text/plain",), at(spot, "media_type"))
    if tag in {"text", "content"}:
        text = source["data"] if tag == "text" else _inner_text(need(source, "content", spot), spot)
        shown = f"<document>\n{text}\n</document>"
        return Block(type="document", where=where, text=shown, tokens=tokens.count(text))
    content = source.get("data") or source.get("url") or source.get("file_id")
    return Block(type="document", where=where, blobs=(("file", str(content)),), tokens=_DOCUMENT_TOKENS)


def _inner_text(content: Any, spot: str) -> str:
    return "\n".join(block.text for block in read_content(content, at(spot, "content")))


def _search_result(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    for name in ("source", "title"):
        string(need(fields, name, inside), at(inside, name))
    inner = read_texts(need(fields, "content", inside), at(inside, "content"))
    text = "\n".join(block.text for block in inner)
    shown = f"<document>\n{fields['title']}\n{text}\n</document>"
    cites = any(block.cites for block in inner)
    return Block(type="search_result", where=where, text=shown, tokens=tokens.count(text), cites=cites)


# -- thoughts ----------------------------------------------------------------------------------------------------


def _thinking(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    text = string(need(fields, "thinking", inside), at(inside, "thinking"))
    given = string(need(fields, "signature", inside), at(inside, "signature"))
    if not signed(text, given):
        raise refusal(f"{where}: Invalid `signature` in `thinking` block")
    return Block(type="thinking", where=where, tokens=tokens.count(text))


def _redacted(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    text = unsealed(string(need(fields, "data", inside), at(inside, "data")))
    if text is None:
        raise refusal(f"{where}: Invalid `data` in `redacted_thinking` block")
    return Block(type="redacted_thinking", where=where, tokens=tokens.count(text))


# -- tools -------------------------------------------------------------------------------------------------------


def _tool_use(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    name = string(need(fields, "name", inside), at(inside, "name"))
    given = need(fields, "input", inside)
    if not isinstance(given, dict):
        raise refusal(f"{inside}.input: Input should be a valid dictionary")
    call = Call(_tool_id(fields, "id", inside), name, encode(given).decode())
    count = tokens.count(name) + tokens.count(call.arguments)
    return Block(type="tool_use", where=where, call=call, tokens=count)


def _tool_result(fields: dict[str, Any], where: str, inside: str, _data: bytes) -> Block:
    name = _tool_id(fields, "tool_use_id", inside)
    failed = boolean(fields["is_error"], at(inside, "is_error")) if "is_error" in fields else False
    content = fields.get("content")
    blocks: list[Block] = []
    if isinstance(content, str):
        blocks = [_of_text(content, inside)]
    elif content is not None:
        for index, value in enumerate(array(content, at(inside, "content"))):
            spot = at(inside, f"content.{index}")
            tag, inner = tagged(value, _IN_RESULTS, spot)
            blocks.append(
                _anything(inner, spot, spot, encode(inner))
                if tag == "tool_reference"
                else _block(value, spot)
            )
    text = "\n".join(block.text for block in blocks if block.text)
    if failed and not text:
        raise refusal(f"{inside}: content cannot be empty if `is_error` is true")
    if failed and any(block.type != "text" for block in blocks):
        raise refusal(f"{inside}: all content must be type `text` if `is_error` is true")
    return Block(
        type="tool_result",
        where=where,
        text=text,
        blobs=tuple(blob for block in blocks for blob in block.blobs),
        result_of=name,
        tokens=sum(block.tokens for block in blocks),
    )


def _tool_id(fields: dict[str, Any], name: str, inside: str) -> str:
    found = string(need(fields, name, inside), at(inside, name))
    if not _TOOL_ID.match(found):
        raise refusal(f"{at(inside, name)}: String should match pattern '^[a-zA-Z0-9_-]+$'")
    return found


_READERS = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
