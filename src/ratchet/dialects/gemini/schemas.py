"""Google's own notation of a schema (OpenAPI 3.0's, with types in capitals), as JSON Schema.

Gemini takes both: `parameters` and `responseSchema` are in its own, `parametersJsonSchema` and `responseJsonSchema`
in JSON Schema. Only the second passes other dialects' schemas whole, so it is the one that is written.
"""

from __future__ import annotations

from typing import Any, cast

from ratchet.dialects.gemini.fields import fields

__all__ = ["json_schema"]

_COUNTS = (
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
)  # int64: as text


def json_schema(schema: Any) -> Any:
    """The same in JSON Schema. What the notations have in common, and what is not known, stays as it is."""
    found = fields(schema)
    if not found:
        return schema
    kind = found.get("type")
    nullable = found.pop("nullable", None)
    if isinstance(kind, str):
        name = kind.lower()
        if name == "type_unspecified":
            del found["type"]
        else:
            found["type"] = [name, "null"] if nullable is True and name != "null" else name
    for name in _COUNTS:
        count = found.get(name)
        if isinstance(count, str) and count.isdecimal():
            found[name] = int(count)
    found.pop("propertyOrdering", None)  # an order of writing, which JSON Schema has no word for
    if "example" in found:
        found["examples"] = [found.pop("example")]
    for name in ("items", "additionalProperties", "not"):
        if isinstance(found.get(name), dict):
            found[name] = json_schema(found[name])
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        options = found.get(name)
        if isinstance(options, list):
            found[name] = [json_schema(option) for option in cast("list[Any]", options)]
    for name in ("properties", "defs"):
        named = found.get(name)
        if isinstance(named, dict):
            # The names are the app's own: they are not to be canonicalised.
            found[name] = {key: json_schema(one) for key, one in cast("dict[str, Any]", named).items()}
    return found
