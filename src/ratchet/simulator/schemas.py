"""JSON Schema without values: following references, merging, telling the type. Pure."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, cast
from urllib.parse import unquote

import jsonschema
import msgspec
from jsonschema import Draft202012Validator

__all__ = ["Schema", "circular", "distinct", "flaw_of", "merged", "resolve", "type_of"]

Schema = dict[str, Any] | bool


def resolve(root: Schema, reference: str) -> Schema:
    """The schema that a local reference names: `#`, `#/$defs/x`, `#anchor`. Others are taken as anything."""
    if not isinstance(root, dict):
        return True
    if reference in {"#", root.get("$id")}:
        return root
    if not reference.startswith("#"):
        return True
    if not reference.startswith("#/"):
        return _anchor(root, reference[1:]) or True
    found: Any = root
    for step in reference[2:].split("/"):
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = cast("list[Any]", found)[int(key)]
        elif isinstance(found, dict) and key in found:
            found = cast("dict[str, Any]", found)[key]
        else:
            return True
    return cast("Schema", found)


def _anchor(schema: Any, name: str) -> Schema | None:
    if isinstance(schema, dict):
        fields = cast("dict[str, Any]", schema)
        if name in {fields.get("$anchor"), fields.get("$dynamicAnchor")}:
            return fields
        return next((found for value in fields.values() if (found := _anchor(value, name))), None)
    if isinstance(schema, list):
        return next((found for value in cast("list[Any]", schema) if (found := _anchor(value, name))), None)
    return None


def flaw_of(schema: Any) -> str:
    """What is wrong with a JSON Schema (2020-12), or nothing."""
    return _flaw_of(msgspec.json.encode(schema))


@functools.lru_cache(maxsize=512)
def _flaw_of(schema: bytes) -> str:
    decoded = msgspec.json.decode(schema)
    try:
        Draft202012Validator.check_schema(decoded)
    except jsonschema.SchemaError as flaw:
        where = "/".join(str(step) for step in cast("Sequence[object]", flaw.absolute_path))
        return f"In context=({where}), {flaw.message}"
    return "a reference leads back to itself." if circular(decoded) else ""


_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")


def circular(root: Schema) -> bool:
    """Whether a reference leads back to itself without going into a property or an item first: such a schema says
    nothing, and checking anything against it would never end.
    """
    done: set[int] = set()

    def loops(schema: Any, path: frozenset[int]) -> bool:
        """Over the schemas that look at the same value."""
        if not isinstance(schema, dict) or id(cast("Any", schema)) in done:
            return False
        fields = cast("dict[str, Any]", schema)
        if id(fields) in path:
            return True
        beside: list[Any] = []
        for key in _IN_PLACE:
            part = fields.get(key)
            beside.extend(cast("list[Any]", part) if isinstance(part, list) else [part])
        references = (fields.get(key) for key in ("$ref", "$dynamicRef"))
        beside.extend(resolve(root, reference) for reference in references if isinstance(reference, str))
        found = any(loops(one, path | {id(fields)}) for one in beside)
        done.add(id(fields))
        return found

    return any(loops(schema, frozenset()) for schema in _nodes(root))


def _nodes(value: Any) -> Iterator[Any]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield cast("Any", value)
        for inner in cast("dict[str, Any]", value).values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _nodes(inner)


_LARGER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"})
_SMALLER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"})


def merged(a: Schema, b: Schema) -> Schema:
    """A schema that asks for what both ask for. What can't be merged is kept as `allOf`-like: the first wins.

    The result guides the filling; validity is checked against the original, so a lossy merge costs a try at most.
    """
    if a is False or b is False:
        return False
    if a is True:
        return b
    if b is True:
        return a
    result = dict(a)
    for key, value in b.items():
        result[key] = _both(key, result[key], value) if key in result else value
    return result


def _both(key: str, a: Any, b: Any) -> Any:
    if key in _LARGER:
        return max(a, b)
    if key in _SMALLER:
        return min(a, b)
    if key in {"properties", "patternProperties"}:
        return _merged_names(a, b)
    if key in {"items", "additionalProperties", "contains", "propertyNames"}:
        return merged(a, b)
    if key == "type":
        return _merged_types(_types(a), _types(b))
    if key == "multipleOf" and isinstance(a, int) and isinstance(b, int):
        return math.lcm(a, b)
    return _merged_rest(key, a, b)


def _merged_names(a: dict[str, Schema], b: dict[str, Schema]) -> dict[str, Schema]:
    return {name: merged(a.get(name, True), b.get(name, True)) for name in dict.fromkeys([*a, *b])}


def _merged_types(a: list[str], b: list[str]) -> list[str]:
    kept = [name for name in a if name in b]
    if "integer" in [*a, *b] and "number" in [*a, *b] and "integer" not in kept:
        kept.append("integer")
    return kept or a


def _merged_rest(key: str, a: Any, b: Any) -> Any:
    if key == "required":
        return list(dict.fromkeys([*a, *b]))
    if key == "dependentRequired":
        return {name: [*a.get(name, []), *b.get(name, [])] for name in dict.fromkeys([*a, *b])}
    if key == "enum":
        return [value for value in a if value in b] or a
    return b if key in {"anyOf", "oneOf", "if", "then", "else", "allOf", "$ref"} else a


def _types(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


_TELLING = (
    (
        "object",
        (
            "properties",
            "required",
            "additionalProperties",
            "minProperties",
            "patternProperties",
            "dependentRequired",
        ),
    ),
    ("array", ("items", "prefixItems", "minItems", "contains", "uniqueItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)


def type_of(schema: dict[str, Any], attempt: int = 0) -> str:
    """The type to write: the one given, or the one its keywords tell, or string. Null comes last."""
    given = schema.get("type")
    if given is not None:
        types = sorted(_types(given), key=lambda name: name == "null")
        return types[attempt % len(types)] if types else "string"
    return next((name for name, keys in _TELLING if any(key in schema for key in keys)), "string")


def distinct(values: list[Any], schema: dict[str, Any], fewest: int) -> list[Any]:
    """The values without repeats; where that leaves too few, strings and numbers are varied."""
    kept: dict[bytes, Any] = {}
    for index, value in enumerate(values):
        varied = value
        for step in range(1, len(values) + 2):
            key = msgspec.json.encode(varied)
            if key not in kept:
                kept[key] = varied
                break
            if len(kept) + len(values) - index <= fewest or fewest == 0:
                varied = _varied(value, step, schema)
    return list(kept.values())


def _varied(value: Any, step: int, schema: dict[str, Any]) -> Any:
    items = schema.get("items")
    fields = cast("dict[str, Any]", items) if isinstance(items, dict) else {}
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        by = int(fields.get("multipleOf", 1)) or 1
        low, high = fields.get("minimum"), fields.get("maximum")
        if low is None or high is None:
            return (
                value - by * step if high is not None or "exclusiveMaximum" in fields else value + by * step
            )
        first = -(-low // by) * by
        return first + (value - first + by * step) % (max(high // by * by - first, 0) + by)
    if isinstance(value, float):
        return value + step * fields.get("multipleOf", 0.5)
    if isinstance(value, str) and not {"pattern", "format"} & fields.keys():
        text = f"{value} {step + 1}"
        return text[-fields["maxLength"] :] if "maxLength" in fields else text
    return value
