"""Which requests are the same: a hash of what decides the answer, however its JSON is written. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from ratchet.dialects.decoding import decode_object

__all__ = ["digest", "request_fields"]

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
