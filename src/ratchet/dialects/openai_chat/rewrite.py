"""The only changes the gateway makes to a chat completion's bytes, and it makes as few as it can."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec

from ratchet.dialects.decoding import mended

__all__ = ["rewrite_request", "without_usage_chunk"]

_MODEL_KEY = b'"model"'
_MODEL = re.compile(rb'"model"(\s*:\s*)"(?:[^"\\]|\\.)*"')
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def rewrite_request(
    body: bytes,
    model: str,
    drop: Collection[str] = (),
    ask_usage: bool = False,  # noqa: FBT001, FBT002 - the place that `Dialect.rewrite` gives it
) -> bytes:
    """`body`, a JSON object, asking for `model`; without the fields in `drop`; with a stream's usage asked for.

    Where only the model's name changes and it stands in the body once, the rest stays as it is to the byte.
    Otherwise each field's value does, and the space between fields may not.
    """
    if not drop and not ask_usage and body.count(_MODEL_KEY) == 1:
        encoded = _encode(model)
        renamed, count = _MODEL.subn(lambda found: _MODEL_KEY + found[1] + encoded, body)
        if count == 1:
            return renamed
    fields = _decoded(body)
    fields["model"] = msgspec.Raw(_encode(model))
    for name in drop:
        fields.pop(name, None)
    if ask_usage:
        given = fields.get("stream_options", b"null")
        options = {} if bytes(given) == b"null" else _decoded(given)
        options["include_usage"] = msgspec.Raw(b"true")
        fields["stream_options"] = msgspec.Raw(_encode(options))
    return _encode(fields)


def _decoded(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _fields.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Half a surrogate pair, say, where an app cut a text inside an emoji: readable once it is replaced.
        return _fields.decode(mended(bytes(data)))


class _Choices(msgspec.Struct):
    choices: list[msgspec.Raw]
    usage: Any = None


_choices = msgspec.json.Decoder(_Choices)


def without_usage_chunk(events: list[bytes]) -> list[bytes]:
    """`events` less the one with token counts and no choices, which only the gateway asked for."""
    return [data for data in events if not _is_usage_chunk(data)]


def _is_usage_chunk(data: bytes) -> bool:
    if b'"usage"' not in data:
        return False
    try:
        chunk = _choices.decode(data)
    except msgspec.DecodeError:
        return False
    return not chunk.choices and chunk.usage is not None
