"""Which requests are the same: a hash of what decides the answer, however its JSON is written. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object

__all__ = ["digest", "last_question", "request_fields"]

# What says who asks and how the answer is to be sent, and nothing of what is asked. A route and its targets are told
# apart by the partition, whatever name the app gave.
_NOT_ASKED = frozenset(
    {
        "metadata",
        "model",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "stream",
        "stream_options",
        "user",
    }
)
# These requests change something at the provider, or are answered later: they are not the same when sent again.
_HAS_EFFECTS = frozenset({"background", "conversation"})
_encode = msgspec.json.Encoder(order="deterministic").encode


def request_fields(body: bytes) -> dict[str, Any] | None:
    """What a request's body asks, less who asks it and how it is sent; None where it can't be answered from memory."""
    fields = decode_object(body)
    if fields is None or any(fields.get(name) for name in _HAS_EFFECTS):
        return None
    return {name: value for name, value in fields.items() if name not in _NOT_ASKED}


def digest(partition: Sequence[str], fields: dict[str, Any]) -> str:
    """A hash: equal for equal fields in one partition, in whatever order and spacing the JSON came."""
    return hashlib.sha256(_encode([list(partition), fields])).hexdigest()


def last_question(fields: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """What a request asks last, and the request without it; None where that is no plain text of a user's."""
    name = "messages" if "messages" in fields else "input"
    turns = fields.get(name)
    if isinstance(turns, str):
        return turns, {**fields, name: ""}
    if not isinstance(turns, list) or not turns:
        return None
    *earlier, last = cast("list[Any]", turns)
    if not isinstance(last, dict):
        return None
    said = cast("dict[str, Any]", last)
    text = _plain_text(said.get("content"))
    if said.get("role") != "user" or text is None:
        return None
    return text, {**fields, name: [*earlier, {**said, "content": ""}]}


def _plain_text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        return None
    texts: list[str] = []
    for part in cast("list[Any]", content):
        if not isinstance(part, dict):
            return None
        given = cast("dict[str, Any]", part)
        text = given.get("text")
        if given.get("type") not in ("text", "input_text") or not isinstance(text, str):
            return None
        texts.append(text)
    return "\n".join(texts)
