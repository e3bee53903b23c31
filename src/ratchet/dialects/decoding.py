"""Decoding what others sent: strictly where it fits, and otherwise the parts of it that do."""

from __future__ import annotations

import re
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec

__all__ = ["decode_leniently", "decode_object", "is_text", "mended"]

_Kind = TypeVar("_Kind", bound=msgspec.Struct)
_any_decoder = msgspec.json.Decoder()

# Half of a surrogate pair, escaped, behind an even number of backslashes.
_HALF_PAIR = re.compile(
    rb"(?<!\\)((?:\\\\)*)"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


def mended(data: bytes) -> bytes:
    """`data` with half surrogate pairs replaced by U+FFFD, to be read, not to be passed on.

    JavaScript that cuts a text in the middle of an emoji writes such halves. JSON's grammar allows them (RFC 8259,
    section 8.2) and providers take them, but they are no characters, and the decoder refuses them.
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return data
    return _HALF_PAIR.sub(rb"\1\\ufffd", data)


def is_text(data: bytes) -> bool:
    """Whether `data` is UTF-8, all of it. The decoder looks only at what it is to keep."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode_leniently(data: bytes, decoder: msgspec.json.Decoder[_Kind], empty: _Kind) -> _Kind:
    """`data` as the decoder's kind, less the fields of a wrong type; `empty` where it is no JSON. Never raises."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        pass  # a field has the wrong type: the others may still be read
    except RecursionError:
        return empty
    except (msgspec.DecodeError, UnicodeDecodeError):
        whole = mended(data)
        return empty if whole is data or whole == data else decode_leniently(whole, decoder, empty)
    try:
        fitted = _fit(_any_decoder.decode(data), type(empty))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return empty
    return empty if fitted is None else fitted


def decode_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that `body` is, with the characters that are none replaced; None where it is no such thing."""
    try:
        value = _any_decoder.decode(body)
    except RecursionError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            value = _any_decoder.decode(mended(body).decode("utf-8", "replace"))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _fit(value: Any, kind: Any) -> Any:
    """`value` as a `kind`, less what does not fit; None where nothing does."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        pass  # go on with its parts
    for option in get_args(kind) or (kind,):
        if option is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, dict) and isinstance(option, type) and issubclass(option, msgspec.Struct):
            given = cast("dict[str, Any]", value)
            fields = (field for field in msgspec.structs.fields(option) if field.encode_name in given)
            return option(**{field.name: _fit(given[field.encode_name], field.type) for field in fields})
        if isinstance(value, list) and get_origin(option) is list:
            items = (_fit(item, get_args(option)[0]) for item in cast("list[Any]", value))
            return [item for item in items if item is not None]
    return None
