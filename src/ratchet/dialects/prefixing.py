"""Putting a prompt's messages before those of a request, in each dialect that has messages.

Only the fields that change are written anew; every other value's bytes stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ratchet.errors import InvalidRequest

__all__ = ["Fields", "Said", "prefix_anthropic", "prefix_chat", "prefix_responses"]

Fields = dict[str, msgspec.Raw]
Said = tuple[str, str]  # role (system, user, assistant) and text

_encode = msgspec.json.Encoder().encode
_items = msgspec.json.Decoder(list[msgspec.Raw])
_texts = msgspec.json.Decoder(str)
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ALIKE = ({"max_tokens", "max_completion_tokens"}, {"tools", "functions"}, {"tool_choice", "function_call"})
_MERGED = frozenset({"text", "reasoning", "output_config", "stream_options"})  # objects of several settings


def prefix_chat(fields: Fields, said: Sequence[Said], defaults: Mapping[str, msgspec.Raw]) -> None:
    """Chat completions. Raises InvalidRequest where the request's own messages are no list."""
    own = _list(fields, "messages")
    fields["messages"] = _raw([*({"role": role, "content": text} for role, text in said), *own])
    _fill(fields, defaults)


def prefix_responses(fields: Fields, said: Sequence[Said], defaults: Mapping[str, msgspec.Raw]) -> None:
    """The Responses API, whose `input` may be a text."""
    given = bytes(fields.get("input", b"null"))
    own: Sequence[Any] = (
        [{"role": "user", "content": _texts.decode(given)}] if given[:1] == b'"' else _list(fields, "input")
    )
    fields["input"] = _raw([*({"role": role, "content": text} for role, text in said), *own])
    _fill(fields, defaults)


def prefix_anthropic(fields: Fields, said: Sequence[Said], defaults: Mapping[str, msgspec.Raw]) -> None:
    """Messages, which has what the system says in a field of its own."""
    own = _list(fields, "messages")
    talk = [{"role": role, "content": text} for role, text in said if role != "system"]
    fields["messages"] = _raw([*talk, *own])
    system: list[Any] = [{"type": "text", "text": text} for role, text in said if role == "system"]
    if system:
        given = bytes(fields.get("system", b"null"))
        more: Sequence[Any] = (
            [{"type": "text", "text": _texts.decode(given)}]
            if given[:1] == b'"' and given != b'""'
            else []
            if given == b'""'
            else _list(fields, "system")
        )
        fields["system"] = _raw([*system, *more])
    _fill(fields, defaults)


def _fill(fields: Fields, defaults: Mapping[str, msgspec.Raw]) -> None:
    """What the request does not say itself. Of a field with several settings, each that it does not say."""
    said = {name for name, value in fields.items() if bytes(value) != b"null"}
    for names in _ALIKE:
        if names & said:
            said |= names
    for name, value in defaults.items():
        if name not in said:
            fields[name] = value
        elif name in _MERGED and bytes(fields[name])[:1] == b"{":
            fields[name] = _raw({**_objects.decode(value), **_objects.decode(fields[name])})


def _list(fields: Fields, name: str) -> Sequence[msgspec.Raw]:
    given = fields.get(name)
    if given is None or bytes(given) == b"null":
        return ()
    try:
        return _items.decode(given)
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            f"`{name}` in the request body has the wrong type: expected a list.",
            "The prompt's messages stand before it; send a list, or leave it out.",
            code="invalid_type",
            param=name,
        ) from error


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
