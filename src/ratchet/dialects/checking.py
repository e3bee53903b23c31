"""What is of the wrong type in a request that has to be translated: refused by name, with what was expected.

An app that speaks its provider's own dialect is told so by the provider. Readers keep what they can't read, so without
this another provider's app would hear that its field can't be expressed, when it was only written wrongly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from ratchet.errors import InvalidRequest

__all__ = ["BOOLEAN", "EFFORTS", "INTEGER", "LIST", "NUMBER", "OBJECT", "TEXT", "VERBOSITIES", "Kinds", "check_entries", "check_fields", "check_word", "objects_in"]  # fmt: skip

Kinds = tuple[type, ...]
NUMBER: Kinds = (int, float)
INTEGER: Kinds = (int,)
BOOLEAN: Kinds = (bool,)
TEXT: Kinds = (str,)
OBJECT: Kinds = (dict,)
LIST: Kinds = (list,)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The neutral form's words for how much to think. Chat completions and responses have the same."""
VERBOSITIES = ("low", "medium", "high")

_SAID: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    dict: "an object",
    list: "a list",
}


def check_fields(
    fields: Mapping[str, Any], kinds: Mapping[str, Kinds], where: str = "", *, needed: Collection[str] = ()
) -> None:
    """Raises InvalidRequest for the first of `fields` that is not of its kind, or is `needed` and not there.

    `where` is the path of the object that they stand in, with its dot. What is null counts as not there.
    """
    for name, kind in kinds.items():
        value = fields.get(name)
        if value is not None:
            _check(value, kind, where + name)
        elif name in needed:
            raise InvalidRequest(
                f"`{where}{name}` is missing in the request body.",
                f"Send {_either(kind)} there.",
                code="missing_required_parameter",
                param=where + name,
            )


def check_entries(values: Any, kind: Kinds, where: str) -> None:
    """Raises InvalidRequest for the first entry that is not of that kind; nothing where `values` is no list."""
    for number, value in enumerate(cast("list[Any]", values) if isinstance(values, list) else ()):
        _check(value, kind, f"{where}[{number}]")


def check_word(value: Any, words: Collection[str], where: str) -> None:
    """Raises InvalidRequest for a text that is none of the words."""
    if isinstance(value, str) and value not in words:
        raise InvalidRequest(
            f"`{where}` in the request body is {value!r}, which is no value for it.",
            f"Expected is one of {', '.join(words)}.",
            code="invalid_value",
            param=where,
        )


def objects_in(values: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(its path, the object) for each entry of a list. Raises InvalidRequest for an entry that is none."""
    check_entries(values, OBJECT, where)
    for number, value in enumerate(cast("list[Any]", values) if isinstance(values, list) else ()):
        yield f"{where}[{number}]", cast("dict[str, Any]", value)


def _check(value: Any, kind: Kinds, where: str) -> None:
    # JSON's true is no number, though Python's is.
    if isinstance(value, kind) and (bool in kind or not isinstance(value, bool)):
        return
    raise InvalidRequest(
        f"`{where}` in the request body has the wrong type: expected {_either(kind)}, got {_said(value)}.",
        f"Correct `{where}` and send it again.",
        code="invalid_type",
        param=where,
    )


def _either(kind: Kinds) -> str:
    return " or ".join(_SAID[each] for each in kind if each is not int or float not in kind)


def _said(value: Any) -> str:
    return next((said for kind, said in _SAID.items() if isinstance(value, kind)), "null")
