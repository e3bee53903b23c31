"""Functions, the provider's own tools, and which of them may be called.

Which tool objects the functions stand in has no meaning: functions that follow one another are written in one object.
"""

from __future__ import annotations

from typing import Any, cast

from ratchet.dialects.expressing import cannot_express
from ratchet.dialects.gemini.fields import fields, items, nested, take
from ratchet.dialects.gemini.schemas import json_schema
from ratchet.dialects.gemini.vocabulary import NAME
from ratchet.domain.generation import HostedTool, Request, Tool, ToolChoice

__all__ = ["read_choice", "read_tools", "write_choice", "write_tools"]

_CHOSEN = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
_MODES = {"auto": "AUTO", "required": "ANY", "tool": "ANY", "none": "NONE"}


def read_tools(value: Any, *, validated: bool) -> list[Tool | HostedTool]:
    """`validated`: calls must keep to the schemas, which is said once for all functions."""
    found: list[Tool | HostedTool] = []
    for tool in items(value):
        for name, definition in fields(tool).items():
            if name == "functionDeclarations":
                found += [_read_function(function, validated=validated) for function in items(definition)]
            else:
                found.append(HostedTool(kind=name, definition={name: definition}))
    return found


def _read_function(value: Any, *, validated: bool) -> Tool:
    function = fields(value)
    name, description = take(function, "name", str), take(function, "description", str)
    parameters = function.pop("parametersJsonSchema", None)
    if parameters is None and "parameters" in function:
        parameters = json_schema(function["parameters"])
        function["wire"] = {"parameters": function.pop("parameters")}
    return Tool(
        name=name or "",
        description=description,
        parameters=parameters,
        strict=True if validated else None,
        extra=function or None,
    )


def write_tools(tools: list[Tool | HostedTool], *, own: bool) -> list[dict[str, Any]]:
    """Tool objects. In another dialect's requests hosted tools have been refused before."""
    written: list[dict[str, Any]] = []
    for tool in tools:
        if isinstance(tool, HostedTool):
            written.append(tool.definition)
            continue
        if not written or "functionDeclarations" not in written[-1]:
            written.append({"functionDeclarations": []})
        written[-1]["functionDeclarations"].append(_write_function(tool, own=own))
    return written


def _write_function(tool: Tool, *, own: bool) -> dict[str, Any]:
    extra = dict(tool.extra or {}) if own else {}
    wire = extra.pop("wire", {})
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None and not wire:
        function["parametersJsonSchema"] = tool.parameters
    return function | wire | extra


def read_choice(config: dict[str, Any], *, functions: bool) -> tuple[ToolChoice | None, bool]:
    """Takes `functionCallingConfig` out of a `toolConfig`; and whether it demands that calls keep to the schemas."""
    if not isinstance(config.get("functionCallingConfig"), dict):
        return None, False
    calling = fields(config.pop("functionCallingConfig"))
    mode = take(calling, "mode", str)
    names = calling.get("allowedFunctionNames")
    if isinstance(names, list) and names and all(isinstance(name, str) for name in cast("list[Any]", names)):
        names = cast("list[str]", calling.pop("allowedFunctionNames"))
    else:
        names = None
    extra = nested("functionCallingConfig", calling)
    if mode == "VALIDATED" and (functions or names):
        chosen = ToolChoice(mode="allowed" if names else "auto", names=names, extra=extra or None)
        return chosen, names is None
    if mode == "ANY" and names:
        if len(names) == 1:
            return ToolChoice(mode="tool", name=names[0], extra=extra or None), False
        return ToolChoice(mode="allowed", names=names, required=True, extra=extra or None), False
    if names:
        extra["functionCallingConfig.allowedFunctionNames"] = names
    chosen = _CHOSEN.get(mode or "")
    if chosen is None and mode is not None:
        extra["functionCallingConfig.mode"] = mode
    if chosen is None and mode is None:
        extra["functionCallingConfig.mode"] = None  # it was not said
    return ToolChoice(mode=chosen or "auto", extra=extra or None), False


def write_choice(request: Request, *, own: bool) -> dict[str, Any] | None:
    """The `functionCallingConfig`, or None where nothing has to be said.

    Gemini's way to demand calls that keep to their schemas is the mode VALIDATED; a call that must be made (ANY)
    keeps to them anyway.
    """
    strict = any(isinstance(tool, Tool) and tool.strict for tool in request.tools)
    choice = request.tool_choice
    if choice is None:
        return {"mode": "VALIDATED"} if strict and not own else None
    if not own and not any(isinstance(tool, Tool) for tool in request.tools):
        return None  # a choice among no tools
    if choice.mode == "allowed":
        names = choice.names or []
        if not names and not own:  # an empty list would allow all of them
            if choice.required:
                raise cannot_express("tool_choice", NAME, because="It wants a call of one of no tools.")
            return {"mode": "NONE"}
        return {"mode": "ANY" if choice.required else "VALIDATED", "allowedFunctionNames": names} | _rest(
            choice
        )
    written: dict[str, Any] = {"mode": _MODES.get(choice.mode, "AUTO")}
    if strict and choice.mode == "auto":
        written["mode"] = "VALIDATED"
    if choice.mode == "tool":
        written["allowedFunctionNames"] = [choice.name]
    return {name: value for name, value in (written | _rest(choice)).items() if value is not None}


def _rest(choice: ToolChoice) -> dict[str, Any]:
    return {name.partition(".")[2]: value for name, value in (choice.extra or {}).items() if "." in name}
