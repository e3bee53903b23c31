"""JSON objects as Google's servers read them: proto3 JSON, leniently.

A field may be named in camelCase or in snake_case, and null says the same as nothing (protobuf.dev, "ProtoJSON
format"). Both are canonicalised here: what is read has camelCase names and no nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from ratchet.dialects.decoding import mended
from ratchet.domain.messages import Extra

__all__ = ["NUMBER", "decoded", "fields", "items", "nested", "restored", "take", "take_object"]

_Kind = TypeVar("_Kind")
NUMBER = (int, float)
_decoder = msgspec.json.Decoder()


def decoded(data: bytes) -> Any:
    """The JSON value. Raises ValueError where it is none (half a surrogate pair is mended)."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # may still be read once it is mended
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    try:
        return _decoder.decode(mended(data))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error).removeprefix("JSON is malformed: ")) from error


def fields(value: Any) -> dict[str, Any]:
    """An object's fields, canonicalised, as a dict of the caller's own; none where it is no object."""
    if not isinstance(value, dict):
        return {}
    given = cast("dict[str, Any]", value)
    return {
        name if "_" not in name else _camel(name): field for name, field in given.items() if field is not None
    }


def items(value: Any) -> list[Any]:
    """A list's items; anything else as the only item; none where there is nothing."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if value is None else [value]


def take(found: dict[str, Any], name: str, kind: type[_Kind] | tuple[type[_Kind], ...]) -> _Kind | None:
    """Takes the field out of `found` where it is of that kind; what is not stays there, to be kept as it came."""
    value = found.get(name)
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        del found[name]
        return value
    return None


def take_object(found: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The same for an object whose names are the app's own, or the model's: they stay as they came."""
    return cast("dict[str, Any] | None", take(found, name, dict))


def nested(name: str, rest: Mapping[str, Any]) -> Extra:
    """What is left of the object `name`, to be kept in its owner's `extra`: `{"name.field": value}`."""
    return {f"{name}.{field}": value for field, value in rest.items()}


def restored(target: dict[str, Any], extra: Extra | None) -> dict[str, Any]:
    """`target` with what `nested` kept put back where it was, and all else beside it.

    What stands under `wire` says how something was written that the neutral form holds anyway; null, that it was not.
    """
    for name, value in (extra or {}).items():
        if name == "wire":
            target.update(value)
            continue
        owner, dot, field = name.partition(".")
        if dot:
            held = target.setdefault(owner, {})
            if value is None:
                held.pop(field, None)
            else:
                held[field] = value
        else:
            target[name] = value
    return target


def _camel(name: str) -> str:
    first, *rest = name.lstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
