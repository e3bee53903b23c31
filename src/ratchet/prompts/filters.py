"""The filters that templates may use beside minijinja's own: those of its own that could fill the memory, bounded.

minijinja's `indent`, `join` and `replace` make as much of a text as they are asked to, in one instruction. Its `tojson`
writes for web pages (`<` becomes `\\u003c`), where a model should read what the app has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

__all__ = ["FILTERS", "GONE", "KNOWN", "MOST_CHARACTERS", "as_json"]

MOST_CHARACTERS = 4 << 20
"""Of everything that a version's messages render to."""

# They fill the memory, reach into objects, or give another text each time.
GONE = (
    "attr",
    "batch",
    "chain",
    "filesizeformat",
    "format",
    "pprint",
    "random",
    "safe",
    "slice",
    "urlize",
    "wordwrap",
    "xmlattr",
    "zip",
)


def _indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002 - as templates call it
    text = _text(value)
    if not 0 <= width <= 100:
        raise ValueError(f"indent takes 0 to 100 spaces, not {width}")
    _refuse_longer(len(text) + (text.count("\n") + 1) * width, "indent")
    space = " " * width
    lines = text.split("\n")
    return "\n".join(
        line if (number == 0 and not first) or (not line and not blank) else space + line
        for number, line in enumerate(lines)
    )


def _join(value: Any, separator: str = "", attribute: str | None = None) -> str:
    entries = list(cast("Iterable[Any]", value)) if isinstance(value, Iterable) else [value]
    if attribute is not None:
        entries = [_attribute(each, attribute) for each in entries]
    texts = [_text(each) for each in entries]
    _refuse_longer(sum(map(len, texts)) + len(texts) * len(separator), "join")
    return separator.join(texts)


def _attribute(value: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", value).get(name, "") if isinstance(value, Mapping) else ""


def _replace(value: Any, old: str, new: str) -> str:
    text = _text(value)
    _refuse_longer(len(text) + text.count(old) * len(new), "replace")
    return text.replace(old, new)


def as_json(value: Any, indent: int | None = None) -> str:
    """`value` as models read it best: no escapes beyond what JSON needs."""
    encoded = msgspec.json.encode(value)
    if indent is None:
        return encoded.decode()
    if not 0 <= indent <= 8:
        raise ValueError(f"tojson indents by 0 to 8 spaces, not {indent}")
    return msgspec.json.format(encoded, indent=indent).decode()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return str(value)
    return as_json(value)


def _refuse_longer(length: int, name: str) -> None:
    if length > MOST_CHARACTERS:
        raise ValueError(f"{name} would make {length:,} characters; the limit is {MOST_CHARACTERS:,}")


FILTERS = {"indent": _indent, "join": _join, "replace": _replace, "tojson": as_json}

KNOWN = frozenset(
    (
        *FILTERS,
        *("abs", "bool", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float"),
        *(
            "groupby",
            "int",
            "items",
            "last",
            "length",
            "lines",
            "list",
            "lower",
            "map",
            "max",
            "min",
            "pluralize",
        ),
        *("reject", "rejectattr", "reverse", "round", "select", "selectattr", "sort", "split", "string"),
        *("striptags", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode"),
    )
)
"""Every filter that a template may name."""
