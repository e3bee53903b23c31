"""What changes in a request's bytes where app and provider both speak the Responses API: as little as can be."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec

from ratchet.dialects.decoding import decode_leniently
from ratchet.dialects.openai_responses.words import NAME
from ratchet.dialects.rewriting import fields_of, rewrite
from ratchet.dialects.signatures import untagged

__all__ = ["rewrite_request"]

_TAGGED = re.compile(rb'"encrypted_content"\s*:\s*"[a-z_]+:')
_items = msgspec.json.Decoder(list[msgspec.Raw])


class _Item(msgspec.Struct, frozen=True):
    type: str | None = None
    encrypted_content: str | None = None


_item = msgspec.json.Decoder(_Item)
_NO_ITEM = _Item()


def rewrite_request(body: bytes, model: str, drop: Collection[str], ask_usage: bool) -> bytes:  # noqa: FBT001 - Dialect's shape
    """`body`, a JSON object, asking for `model`; without the fields in `drop`, and without thoughts that aren't OpenAI's.

    Those came with earlier answers of other providers, and the API refuses a request with one. A stream tells its
    token counts without being asked, so `ask_usage` changes nothing.
    """
    del ask_usage
    put: dict[str, Any] = {}
    if _TAGGED.search(body) and "input" not in drop:
        try:
            items = _items.decode(fields_of(body)["input"])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            items = []  # no list of items: whatever it is, the provider says so
        kept = [item for item in items if not _is_foreign(bytes(item))]
        if len(kept) != len(items):
            put["input"] = kept
    return rewrite(body, model=model, drop=drop, put=put)


def _is_foreign(data: bytes) -> bool:
    if not _TAGGED.search(data):
        return False
    item = decode_leniently(data, _item, _NO_ITEM)
    return item.type == "reasoning" and untagged(item.encrypted_content or "", NAME)[1] != NAME
