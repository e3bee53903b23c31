"""Tools, the choice among them, and the answer's format, checked as OpenAI checks them on this path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from ratchet.simulator.ask import Tool, Turn
from ratchet.simulator.openai.errors import refusal
from ratchet.simulator.openai.fields import listed, object_at, required
from ratchet.simulator.schemas import flaw_of

__all__ = ["read_choice", "read_format", "read_tools"]

_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_HOSTED = (
    "file_search", "web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11",
    "computer", "computer_use_preview", "mcp", "code_interpreter", "image_generation", "local_shell", "shell", "custom",
    "apply_patch", "namespace", "tool_search",
)  # fmt: skip


def read_tools(value: Any) -> list[Tool]:
    """The functions; tools that run at the provider are taken but never used. Raises `Rejected`."""
    found: list[Tool] = []
    for index, item in enumerate(listed(value, "tools", "an array of objects") if value is not None else []):
        where = f"tools[{index}]"
        fields = object_at(item, where)
        kind = fields.get("type")
        if kind is None:
            raise required(f"{where}.type")
        if kind == "function":
            found.append(_function(fields, where))
        elif kind not in _HOSTED:
            shown = ", ".join(f"'{name}'" for name in ("function", *_HOSTED[:-1]))
            raise refusal(
                f"Invalid value: '{kind}'. Supported values are: {shown}, and '{_HOSTED[-1]}'.",
                param=f"{where}.type",
                code="invalid_value",
            )
    return found


def _function(fields: dict[str, Any], where: str) -> Tool:
    name = fields.get("name")
    if not isinstance(name, str):
        raise required(f"{where}.name")
    if not _NAME.match(name):
        raise refusal(
            f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=f"{where}.name",
            code="invalid_value",
        )
    if "parameters" not in fields:
        raise required(f"{where}.parameters")
    parameters = object_at(fields["parameters"] or {}, f"{where}.parameters")
    flaw = flaw_of(parameters) or (_loose(parameters, ()) if fields.get("strict") is True else "")
    if flaw:
        raise refusal(
            f"Invalid schema for function '{name}': {flaw}",
            param=f"{where}.parameters",
            code="invalid_function_parameters",
        )
    return Tool(name, str(fields.get("description") or ""), parameters)


def read_choice(value: Any, tools: list[Tool], fields: dict[str, Any]) -> tuple[str, str, list[Tool]]:
    """`(none | auto | required, name or "", the functions that may be called)`. Raises `Rejected`."""
    if value is None:
        return ("auto" if tools else "none"), "", tools
    if isinstance(value, str):
        if value not in {"none", "auto", "required"}:
            raise refusal(
                f"Invalid value: '{value}'. Supported values are: 'none', 'auto', and 'required'.",
                param="tool_choice",
                code="invalid_value",
            )
        if value == "required" and not fields.get("tools"):
            raise refusal(
                "Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice"
            )
        return (value if tools else "none"), "", tools
    chosen = object_at(value, "tool_choice")
    if chosen.get("type") == "allowed_tools":
        allowed = listed(chosen.get("tools"), "tool_choice.tools", "an array of objects")
        names = {str(object_at(one, "tool_choice.tools").get("name", "")) for one in allowed}
        kept = [tool for tool in tools if tool.name in names]
        return str(chosen.get("mode") or "auto"), "", kept
    if chosen.get("type") != "function":
        return ("auto" if tools else "none"), "", tools  # one that runs at the provider
    name = chosen.get("name")
    if not isinstance(name, str):
        raise required("tool_choice.name")
    if name not in {tool.name for tool in tools}:
        raise refusal(
            f"Tool choice 'function' not found in 'tools' parameter: '{name}'.", param="tool_choice"
        )
    return "required", name, tools


def read_format(value: Any, turns: Sequence[Turn]) -> tuple[str, dict[str, Any] | bool]:
    """`(text | json_object | json_schema, schema)`. Raises `Rejected`."""
    fields = object_at(object_at(value or {}, "text").get("format") or {"type": "text"}, "text.format")
    kind = fields.get("type")
    if kind == "text":
        return "text", True
    if kind == "json_object":
        if not any("json" in turn.text.lower() for turn in turns):
            raise refusal(
                "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
                "'json_object'.",
                param="input",
            )
        return "json_object", True
    if kind != "json_schema":
        raise refusal(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            param="text.format.type",
            code="invalid_value",
        )
    for name in ("name", "schema"):
        if fields.get(name) is None:
            raise required(f"text.format.{name}")
    schema = object_at(fields["schema"], "text.format.schema")
    flaw = flaw_of(schema) or (_loose(schema, ()) if fields.get("strict") is True else "")
    if flaw:
        raise refusal(
            f"Invalid schema for response_format '{fields['name']}': {flaw}",
            param="text.format.schema",
            code="invalid_json_schema",
        )
    return "json_schema", schema


def _loose(schema: Any, path: tuple[str, ...]) -> str:
    """Why a schema is not strict enough for `strict`, or nothing: objects closed, every property required."""
    if not isinstance(schema, dict):
        return ""
    fields = cast("dict[str, Any]", schema)
    where = f"In context=({', '.join(repr(step) for step in path)})"
    properties = cast("dict[str, Any]", fields.get("properties") or {})
    if fields.get("type") == "object" or properties:
        if fields.get("additionalProperties") is not False:
            return f"{where}, 'additionalProperties' is required to be supplied and to be false."
        missing = [name for name in properties if name not in (fields.get("required") or ())]
        if missing:
            return (
                f"{where}, 'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'."
            )
    for name, inner in properties.items():
        if flaw := _loose(inner, (*path, "properties", name)):
            return flaw
    for name, inner in cast("dict[str, Any]", fields.get("$defs") or {}).items():
        if flaw := _loose(inner, (*path, "$defs", name)):
            return flaw
    for index, inner in enumerate(cast("list[Any]", fields.get("anyOf") or [])):
        if flaw := _loose(inner, (*path, "anyOf", str(index))):
            return flaw
    return _loose(fields.get("items"), (*path, "items"))
