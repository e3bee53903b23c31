"""Gemini's generate-content request, checked the way Google checks it, made into an `Ask`."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Ask, Tool, Turn
from ratchet.simulator.gemini.abilities import Abilities, abilities_of
from ratchet.simulator.gemini.conversation import check_order, read_contents, spoken_text, turns_of
from ratchet.simulator.gemini.errors import denied, refusal
from ratchet.simulator.gemini.proto import inner, items
from ratchet.simulator.schemas import flaw_of
from ratchet.simulator.wire import encode, simulated

__all__ = ["GenerateRequest", "ask_of", "read_fields"]

_NAME = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$")
_WHERE = "GenerateContentRequest"
_CONFIG = f"* {_WHERE}.generation_config"
_MIME = ("text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum")
_WEIGHS = ("contents", "systemInstruction", "tools", "toolConfig")
_WEIGHS_IN_CONFIG = (
    "temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty", "responseMimeType", "responseSchema",
    "responseJsonSchema", "_responseJsonSchema",
)  # fmt: skip
_HOSTED = (
    "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "fileSearch", "googleMaps", "computerUse",
)  # fmt: skip
_RANGES = {
    "temperature": (0.0, 2.0),
    "topP": (0.0, 1.0),
    "candidateCount": (1, 8),
    "presencePenalty": (-2.0, 2.0),
    "frequencyPenalty": (-2.0, 2.0),
}


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An `Ask` with what only the wire needs. `hosted` counts the tools that run at the provider."""

    ask: Ask
    can: Abilities
    hosted: int = 0
    simulate: str = ""


def read_fields(fields: dict[str, Any], model: str) -> GenerateRequest:
    """The request in an already parsed message. Raises `Rejected`."""
    can = abilities_of(model)
    spoken = read_contents(items(fields, "contents"), _WHERE)
    check_order(spoken, can)
    if fields.get("cachedContent"):
        raise denied("CachedContent not found (or permission denied)")
    config = inner(fields, "generationConfig")
    _check_config(config, model)
    tools, hosted = _tools(items(fields, "tools"))
    system = spoken_text(items(inner(fields, "systemInstruction"), "parts"))
    turns = (*([Turn("system", system)] if system else []), *turns_of(spoken))
    ask = ask_of(model, fields, config, turns, tools, can)
    if ask.format != "text" and tools and not can.json_with_tools:
        raise refusal("Function calling with a response mime type: 'application/json' is unsupported")
    return GenerateRequest(ask=ask, can=can, hosted=hosted, simulate=simulated(fields))


def ask_of(
    model: str,
    fields: dict[str, Any],
    config: dict[str, Any],
    turns: tuple[Turn, ...],
    tools: list[Tool],
    can: Abilities,
) -> Ask:
    """The core's request."""
    mode, tools = _mode(inner(inner(fields, "toolConfig"), "functionCallingConfig"), tools)
    form, schema = _format(config)
    effort, thoughts = _thinking(inner(config, "thinkingConfig"), can)
    seen = [model, effort, *(fields.get(name) for name in _WEIGHS), *map(config.get, _WEIGHS_IN_CONFIG)]
    return Ask(
        model=model,
        turns=turns,
        key=blake2b(encode(seen), digest_size=16).digest(),
        tools=tuple(tools),
        tool_choice=mode,
        format=form,
        schema=schema,
        n=config.get("candidateCount") or 1,
        stop=tuple(config.get("stopSequences") or ()),
        max_tokens=config.get("maxOutputTokens"),
        temperature=1.0 if config.get("temperature") is None else config["temperature"],
        seed=config.get("seed"),
        thoughts=thoughts,
        effort=effort,
    )


def _check_config(config: dict[str, Any], model: str) -> None:
    for name, (low, high) in _RANGES.items():
        value = config.get(name)
        if value is not None and not low <= value <= high:
            snake = re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)
            raise refusal(f"{_CONFIG}.{snake}: {snake} must be in the range [{low}, {high}].\n")
    if config.get("maxOutputTokens") is not None and config["maxOutputTokens"] < 1:
        raise refusal(f"{_CONFIG}.max_output_tokens: max_output_tokens must be positive.\n")
    if len(config.get("stopSequences") or ()) > 5:
        raise refusal(f"{_CONFIG}.stop_sequences: at most 5 stop sequences are allowed.\n")
    if config.get("responseLogprobs") or config.get("logprobs") is not None:
        raise refusal(f"Logprobs is not enabled for models/{model}")
    if any(name in {"IMAGE", "AUDIO"} for name in config.get("responseModalities") or ()):
        raise refusal("The requested combination of response modalities is not supported by the model.")


# -- tools -------------------------------------------------------------------------------------------------------


def _tools(given: list[dict[str, Any]]) -> tuple[list[Tool], int]:
    """`(functions, how many tools run at the provider)`."""
    found: list[Tool] = []
    hosted = sum(name in tool for tool in given for name in _HOSTED)
    for index, tool in enumerate(given):
        for at, declared in enumerate(items(tool, "functionDeclarations")):
            where = f"{_WHERE}.tools[{index}].function_declarations[{at}]"
            found.append(_function(declared, where))
    names = [tool.name for tool in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise refusal(f"Duplicate function declaration found: {twice}")
    return found, hosted


def _function(declared: dict[str, Any], where: str) -> Tool:
    name = declared.get("name") or ""
    if not _NAME.match(name):
        raise refusal(
            f"* {where}.name: [FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. Must be "
            "alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length "
            "of 128.\n"
        )
    if "parameters" in declared and "parametersJsonSchema" in declared:
        raise refusal(f"* {where}: only one of parameters and parameters_json_schema may be set\n")
    schema: Any = declared.get("parametersJsonSchema")
    if schema is None:
        parameters = inner(declared, "parameters")
        _check_schema(parameters, f"{where}.parameters")
        schema = _json_schema(parameters)
    elif not isinstance(schema, dict) or flaw_of(schema):
        raise refusal(f"* {where}.parameters_json_schema: invalid JSON schema\n")
    return Tool(name, declared.get("description") or "", cast("dict[str, Any]", schema))


def _mode(config: dict[str, Any], tools: list[Tool]) -> tuple[str, list[Tool]]:
    """`(none | auto | required, the functions that may be called)`."""
    mode = config.get("mode") or "AUTO"
    allowed = items(config, "allowedFunctionNames")
    if mode == "ANY" and not tools:
        raise refusal("Function calling config is set without function_declarations.")
    if allowed:
        if mode not in {"ANY", "VALIDATED"}:
            raise refusal(
                "Function calling config: allowed_function_names should be set only when mode is ANY."
            )
        for name in allowed:
            if name not in {tool.name for tool in tools}:
                raise refusal(
                    f"Function calling config: allowed_function_names contains '{name}', which is not declared."
                )
        tools = [tool for tool in tools if tool.name in allowed]
    return {"ANY": "required", "NONE": "none"}.get(mode, "auto" if tools else "none"), tools


# -- schemas -----------------------------------------------------------------------------------------------------


def _check_schema(schema: dict[str, Any], where: str) -> None:
    """What the service demands of its own schema type beyond the message's form."""
    kind = schema.get("type")
    if kind == "ARRAY" and "items" not in schema:
        raise refusal(f"* {where}.items: missing field.\n")
    properties = inner(schema, "properties")
    for name in items(schema, "required"):
        if name not in properties:
            raise refusal(f"* {where}.required[0]: property is not defined: {name}\n")
    for name, part in properties.items():
        _check_schema(part, f"{where}.properties[{name}]")
    if "items" in schema:
        _check_schema(schema["items"], f"{where}.items")


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Google's schema as a JSON Schema."""
    made: dict[str, Any] = {
        name: value
        for name, value in schema.items()
        if name not in {"type", "nullable", "propertyOrdering", "example", "properties", "items", "anyOf"}
    }
    kind = str(schema.get("type", "")).lower()
    if kind and kind != "type_unspecified":
        made["type"] = [kind, "null"] if schema.get("nullable") else kind
    if "properties" in schema:
        properties = inner(schema, "properties")
        made["properties"] = {name: _json_schema(part) for name, part in properties.items()}
    if "items" in schema:
        made["items"] = _json_schema(schema["items"])
    if "anyOf" in schema:
        made["anyOf"] = [_json_schema(part) for part in items(schema, "anyOf")]
    if "enum" in made and made.get("type") in {"integer", "number"}:
        made["enum"] = [float(value) if "." in value else int(value) for value in made["enum"]]
    return made


def _format(config: dict[str, Any]) -> tuple[str, dict[str, Any] | bool]:
    mime = config.get("responseMimeType") or "text/plain"
    if mime not in _MIME:
        listed = ", ".join(f"`{name}`" for name in _MIME[:-1])
        raise refusal(f"{_CONFIG}.response_mime_type: allowed mimetypes are {listed} and `{_MIME[-1]}`.\n")
    own = config.get("responseSchema")
    whole: Any = config.get("responseJsonSchema", config.get("_responseJsonSchema"))
    if own is not None and whole is not None:
        raise refusal(f"{_CONFIG}: only one of response_schema and response_json_schema may be set\n")
    if own is None and whole is None:
        return ("json_object", True) if mime == "application/json" else ("text", True)
    if mime not in {"application/json", "text/x.enum"}:
        raise refusal(f"{_CONFIG}.response_mime_type: a response schema requires `application/json`.\n")
    if own is not None:
        _check_schema(own, f"{_WHERE}.generation_config.response_schema")
        return "json_schema", _json_schema(own)
    if not isinstance(whole, dict) or flaw_of(whole):
        raise refusal(f"{_CONFIG}.response_json_schema: invalid JSON schema\n")
    return "json_schema", cast("dict[str, Any]", whole)


# -- thinking ----------------------------------------------------------------------------------------------------


def _thinking(config: dict[str, Any], can: Abilities) -> tuple[str, bool]:
    """`(effort in the core's words, whether thoughts are told)`."""
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    shown = bool(config.get("includeThoughts"))
    if budget is not None and level is not None:
        raise refusal("You can only set only one of thinking budget and thinking level.")
    effort = can.thinks
    if level is not None:
        if not can.levels:
            raise refusal("Thinking level is not supported for this model.")
        effort = can.thinks if level == "THINKING_LEVEL_UNSPECIFIED" else level.lower()
    if budget is not None and budget != -1:
        effort = _of_budget(budget, can)
    if shown and not can.can_think:
        raise refusal("Thinking is not enabled for this model.")
    if shown and effort == "none":
        raise refusal("include_thoughts is only enabled when thinking is enabled.")
    # Asked for its thoughts, a model that thinks when it likes to, does.
    return effort or ("low" if shown else ""), shown


def _of_budget(budget: int, can: Abilities) -> str:
    if can.budgets is None:
        raise refusal("Thinking budget is not supported for this model.")
    if budget == 0:
        if can.must_think:
            raise refusal("Budget 0 is invalid. This model only works in thinking mode.")
        return "none"
    low, high = can.budgets
    if not low <= budget <= high:
        raise refusal(
            f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}."
        )
    return "low" if budget <= 1024 else "medium" if budget <= 8192 else "high"
