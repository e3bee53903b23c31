"""Tools, the choice among them, and output schemas, checked as Anthropic checks them."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.anthropic.blocks import Block, cache_ttl
from ratchet.simulator.anthropic.checks import (
    array,
    at,
    boolean,
    literal,
    need,
    object_at,
    only,
    string,
    tagged,
)
from ratchet.simulator.anthropic.errors import refusal
from ratchet.simulator.ask import Tool
from ratchet.simulator.schemas import circular, flaw_of
from ratchet.simulator.wire import encode

__all__ = ["Choice", "read_choice", "read_format", "read_tools"]

_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_KNOWN = {
    "type", "name", "description", "input_schema", "cache_control", "strict", "defer_loading", "allowed_callers",
    "input_examples", "eager_input_streaming",
}  # fmt: skip
# Tools that run at the provider, or that it has taught its models: by the beginning of their type.
_HOSTED = re.compile(
    r"^(?:web_search|web_fetch|code_execution|bash|text_editor|computer|memory|tool_search_tool|mcp_toolset|browser|advisor)"
)
_CHOICES = {"auto": set[str](), "any": set[str](), "tool": {"name"}, "none": set[str]()}
# What output schemas may not use, by type.
_UNSUPPORTED = {
    "object": ("minProperties", "maxProperties", "patternProperties", "propertyNames"),
    "array": ("maxItems", "uniqueItems", "contains", "minContains", "maxContains"),
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


class Choice(msgspec.Struct, frozen=True):
    """`mode` is none, auto or required; `name` the tool that has to be called."""

    mode: str = "auto"
    name: str = ""
    parallel: bool = True


def read_tools(value: Any) -> tuple[list[Tool], list[Block]]:
    """`(the tools that the app runs, all tools as pieces of the prompt)`. Raises `Rejected`."""
    found: list[Tool] = []
    pieces: list[Block] = []
    names: set[str] = set()
    for index, item in enumerate(array(value, "tools")):
        where = at("tools", index)
        fields = object_at(item, where)
        kind = fields.get("type")
        if kind is not None and kind != "custom":
            _hosted(str(kind), where)
            pieces.append(_piece(fields, where))
            continue
        inside = at(where, "custom")
        tool = _tool(fields, inside)
        if tool.name in names:
            raise refusal("tools: Tool names must be unique.")
        names.add(tool.name)
        found.append(tool)
        pieces.append(_piece(fields, inside))
    return found, pieces


def _hosted(kind: str, where: str) -> None:
    if not _HOSTED.match(kind):
        tagged(
            {"type": kind},
            ("bash_20250124", "custom", "text_editor_20250728", "web_fetch_20250910", "web_search_20250305"),
            where,
        )


def _piece(fields: dict[str, Any], where: str) -> Block:
    data = encode({name: value for name, value in fields.items() if name != "cache_control"})
    count = 7 + tokens.count(data.decode()) // 2
    return Block(type="tool", where=where, data=data, tokens=count, ttl=cache_ttl(fields, where))


def _tool(fields: dict[str, Any], inside: str) -> Tool:
    only(fields, _KNOWN, inside)
    name = string(need(fields, "name", inside), at(inside, "name"))
    if not _NAME.match(name):
        raise refusal(f"{inside}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    description = string(fields.get("description") or "", at(inside, "description"))
    where = at(inside, "input_schema")
    schema = object_at(need(fields, "input_schema", inside), where)
    literal(need(schema, "type", where), ("object",), at(where, "type"))
    if any(name in schema for name in ("oneOf", "allOf", "anyOf")):
        raise refusal(f"{where}: input_schema does not support oneOf, allOf, or anyOf at the top level")
    if flaw_of(schema):
        raise refusal(
            f"{where}: JSON schema is invalid. It must match JSON Schema draft 2020-12 "
            "(https://json-schema.org/draft/2020-12). Learn more about tool use at "
            "https://docs.claude.com/en/docs/tool-use."
        )
    if "strict" in fields and boolean(fields["strict"], at(inside, "strict")):
        _check_strict(schema, schema, where)
    return Tool(name, description, schema)


def read_choice(value: Any, tools: list[Tool], *, given: bool) -> Choice:
    """How the model is to choose. `given`: tools were given at all. Raises `Rejected`."""
    if value is None:
        return Choice("auto" if tools else "none")
    tag, fields = tagged(value, _CHOICES, "tool_choice")
    inside = at("tool_choice", tag)
    flags = set[str]() if tag == "none" else {"disable_parallel_tool_use"}
    only(fields, {"type", *_CHOICES[tag], *flags}, inside)
    if not given:
        raise refusal("tool_choice: may only be specified while providing tools")
    alone = fields.get("disable_parallel_tool_use")
    parallel = not (alone is not None and boolean(alone, at(inside, "disable_parallel_tool_use")))
    if tag == "tool":
        name = string(need(fields, "name", inside), at(inside, "name"))
        if name not in {tool.name for tool in tools}:
            raise refusal(f"Tool '{name}' not found in provided tools")
        return Choice("required", name, parallel=False)
    return Choice({"any": "required"}.get(tag, tag), "", parallel)


# -- output schemas ----------------------------------------------------------------------------------------------


def read_format(value: Any, where: str) -> dict[str, Any] | None:
    """The schema that the answer has to keep to, if there is one. Raises `Rejected`."""
    if value is None:
        return None
    _, fields = tagged(value, ("json_schema",), where)
    only(fields, {"type", "schema"}, where)
    schema = object_at(need(fields, "schema", where), at(where, "schema"))
    flaw = flaw_of(schema)
    if flaw:
        raise refusal(f"{where}.schema: Invalid schema: {flaw}")
    _check_strict(schema, schema, at(where, "schema"))
    return schema


def _check_strict(schema: Any, root: dict[str, Any], where: str) -> None:
    """What a grammar can't be made of: open objects, bounds of numbers and lengths, recursion."""
    if schema is root and (circular(root) or _recursive(root)):
        raise refusal(f"{where}: Recursive schemas are not supported")
    if isinstance(schema, list):
        for item in cast("list[Any]", schema):
            _check_strict(item, root, where)
    if not isinstance(schema, dict):
        return
    fields = cast("dict[str, Any]", schema)
    kinds = fields.get("type")
    for kind in cast("list[Any]", kinds) if isinstance(kinds, list) else [kinds]:
        if kind == "object" and fields.get("additionalProperties") is not False:
            raise refusal(
                f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        found = [name for name in _UNSUPPORTED.get(str(kind), ()) if name in fields]
        if kind == "array" and fields.get("minItems", 0) not in (0, 1):
            raise refusal(f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
        if found:
            raise refusal(f"{where}: For '{kind}' type, properties {', '.join(found)} are not supported")
    for name in ("items", "anyOf", "oneOf", "allOf"):
        _check_strict(fields.get(name), root, where)
    for name in ("properties", "$defs", "definitions"):
        inner = fields.get(name)
        for part in cast("dict[str, Any]", inner).values() if isinstance(inner, dict) else ():
            _check_strict(part, root, where)


def _recursive(root: dict[str, Any]) -> bool:
    """Whether a definition leads back to itself, or anything leads back to the root."""
    definitions = cast("dict[str, Any]", root.get("$defs") or root.get("definitions") or {})
    leads = {name: _references(part) for name, part in definitions.items()}
    if "#" in _references(root):
        return True

    def reaches(name: str, goal: str, seen: set[str]) -> bool:
        for reference in leads.get(name, ()):
            following = reference.rsplit("/", 1)[-1]
            if following == goal or (following not in seen and reaches(following, goal, seen | {following})):
                return True
        return False

    return any(reaches(name, name, {name}) for name in leads)


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {found for item in cast("list[Any]", schema) for found in _references(item)}
    if not isinstance(schema, dict):
        return set()
    fields = cast("dict[str, Any]", schema)
    own = fields.get("$ref")
    rest = {found for value in fields.values() for found in _references(value)}
    return rest | {own} if isinstance(own, str) else rest
