"""The only changes the gateway makes to a chat completion's bytes, and it makes as few as it can."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from ratchet.dialects.rewriting import fields_of, rewrite

__all__ = ["rewrite_request", "without_usage_chunk"]


def rewrite_request(
    body: bytes,
    model: str,
    drop: Collection[str] = (),
    ask_usage: bool = False,  # noqa: FBT001, FBT002 - the place that `Dialect.rewrite` gives it
) -> bytes:
    """`body`, a JSON object, asking for `model`; without the fields in `drop`; with a stream's usage asked for.

    As few bytes change as can be: see `ratchet.dialects.rewriting.rewrite`.
    """
    if not ask_usage:
        return rewrite(body, model=model, drop=drop)
    given = fields_of(body).get("stream_options", b"null")
    options: dict[str, Any] = (
        {} if "stream_options" in drop or bytes(given) == b"null" else {**fields_of(given)}
    )
    return rewrite(body, model=model, drop=drop, put={"stream_options": {**options, "include_usage": True}})


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
