"""The only changes the gateway makes to a Messages request's bytes, and it makes as few as it can."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, cast

import msgspec

from ratchet.dialects.rewriting import fields_of, rewrite

__all__ = ["rewrite_request"]

# A thought without proof, or with another vendor's (`ratchet.dialects.signatures`): an answer that ratchet translated
# had it. Anthropic can't check it, and would refuse the whole request.
_FOREIGN = re.compile(rb'"signature"\s*:\s*"(?:"|(?:gemini|openai_responses|openai_chat):)')
_FOREIGN_TEXT = re.compile(r"$|(?:gemini|openai_responses|openai_chat):")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def rewrite_request(
    body: bytes,
    model: str,
    drop: Collection[str],
    _ask_usage: bool,  # noqa: FBT001 - as every dialect is called
) -> bytes:
    """`body`, a JSON object, asking for `model`, without the fields in `drop`. A stream always ends in usage.

    Also without the keys of `metadata` that are meant for ratchet, because Anthropic refuses every key but `user_id`;
    and without thoughts of other vendors' models.
    """
    put: dict[str, Any] = {}
    gone = set(drop)
    if b'"metadata"' in body:
        _clean_metadata(body, put, gone)
    if _FOREIGN.search(body):
        messages = _without_foreign_thoughts(body)
        if messages is not None:
            put["messages"] = messages
    return rewrite(body, model=model, drop=gone, put={n: value for n, value in put.items() if n not in gone})


def _clean_metadata(body: bytes, put: dict[str, Any], gone: set[str]) -> None:
    given = fields_of(body).get("metadata")
    if given is None or not bytes(given).startswith(b"{"):
        return
    metadata = fields_of(given)
    if set(metadata) <= {"user_id"}:
        return
    if "user_id" in metadata:
        put["metadata"] = {"user_id": metadata["user_id"]}
    else:
        gone.add("metadata")


def _without_foreign_thoughts(body: bytes) -> list[Any] | None:
    """The messages without them, or None where there was none after all."""
    given = fields_of(body).get("messages")
    messages = None if given is None else _decode(given)
    if not isinstance(messages, list):
        return None
    kept: list[Any] = []
    changed = False
    for message in cast("list[Any]", messages):
        content = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            kept.append(message)
            continue
        blocks = [block for block in cast("list[Any]", content) if not _is_foreign_thought(block)]
        if len(blocks) == len(cast("list[Any]", content)):
            kept.append(message)
            continue
        changed = True
        if blocks:
            kept.append({**message, "content": blocks})
    return kept if changed else None


def _is_foreign_thought(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    fields = cast("dict[str, Any]", block)
    signature = fields.get("signature")
    return (
        fields.get("type") == "thinking"
        and isinstance(signature, str)
        and _FOREIGN_TEXT.match(signature) is not None
    )
