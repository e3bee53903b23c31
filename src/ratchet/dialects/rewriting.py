"""Changing a few top-level fields of a JSON object, and leaving every other value's bytes as they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ratchet.dialects.decoding import mended

__all__ = ["fields_of", "rewrite"]

_MODEL_KEY = b'"model"'
_MODEL = re.compile(rb'"model"(\s*:\s*)"(?:[^"\\]|\\.)*"')
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def rewrite(
    body: bytes, *, model: str, drop: Collection[str] = (), put: Mapping[str, Any] | None = None
) -> bytes:
    """`body`, a JSON object, asking for `model`; without the fields in `drop`; with those in `put`.

    Where only the model's name changes and it stands in the body once, the rest stays as it is to the byte.
    Otherwise each field's value does, and the space between fields may not.
    """
    if not drop and not put and body.count(_MODEL_KEY) == 1:
        encoded = _encode(model)
        renamed, count = _MODEL.subn(lambda found: _MODEL_KEY + found[1] + encoded, body)
        if count == 1:
            return renamed
    fields = fields_of(body)
    fields["model"] = msgspec.Raw(_encode(model))
    for name in drop:
        fields.pop(name, None)
    for name, value in (put or {}).items():
        fields[name] = msgspec.Raw(_encode(value))
    return _encode(fields)


def fields_of(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """A JSON object's fields, each value as its bytes."""
    try:
        return _fields.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Half a surrogate pair, say, where an app cut a text inside an emoji: readable once it is replaced.
        return _fields.decode(mended(bytes(data)))
