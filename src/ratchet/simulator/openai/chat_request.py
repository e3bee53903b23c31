"""OpenAI's chat completion request, checked the way OpenAI checks it, made into an `Ask`.

Every mistake is a `Rejected` that carries OpenAI's own error object: the same sentence, `type`, `param` and `code`.
Unknown fields are ignored; the shape is OpenAI's API reference as of 2026 and the recordings of it.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Ask, Call, Tool, Turn
from ratchet.simulator.openai.errors import refusal
from ratchet.simulator.openai.fields import flag, listed, number, object_at, parsed, required, wrong_type
from ratchet.simulator.schemas import flaw_of

__all__ = ["ChatRequest", "read_request"]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_BLOB_KINDS = {"image_url": "image", "input_audio": "audio", "file": "file"}


class ChatRequest(msgspec.Struct, frozen=True):
    """An `Ask` with what only the wire needs."""

    ask: Ask
    stream: bool = False
    include_usage: bool = False
    obfuscate: bool = True
    service_tier: str = "default"
    simulate: str = ""  # what `metadata` or the extra field `simulate` asks for, see faults.py


def read_request(body: bytes, deployment: str = "") -> ChatRequest:
    """The request in `body`, for `deployment` where the path names the model. Raises `Rejected`."""
    fields = parsed(body)
    model = deployment or fields.get("model")
    if not isinstance(model, str) or not model:
        raise refusal("you must provide a model parameter")
    stream = flag(fields, "stream")
    options = fields.get("stream_options")
    if options is not None and not stream:
        raise refusal(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    options = object_at(options or {}, "stream_options")
    metadata = fields.get("metadata")
    simulate = fields.get("simulate") or (
        cast("dict[str, Any]", metadata).get("simulate") if isinstance(metadata, dict) else ""
    )
    return ChatRequest(
        _ask(model, fields),
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        obfuscate=options.get("include_obfuscation") is not False,
        service_tier=_tier(fields.get("service_tier")),
        simulate=simulate if isinstance(simulate, str) else "",
    )


def _ask(model: str, fields: dict[str, Any]) -> Ask:
    turns = _turns(fields)
    tools = _tools(fields.get("tools"))
    choice, named, tools = _tool_choice(fields.get("tool_choice"), tools)
    form, schema = _format(fields.get("response_format"), turns)
    if fields.get("top_logprobs") is not None and not flag(fields, "logprobs"):
        raise refusal(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )
    return Ask(
        model=model,
        turns=turns,
        key=_digest(model, fields),
        tools=tools,
        tool_choice=choice,
        named_tool=named,
        parallel=fields.get("parallel_tool_calls") is not False,
        format=form,
        schema=schema,
        n=number(fields, "n", int, 1, 128) or 1,
        stop=_stop(fields.get("stop")),
        max_tokens=number(fields, "max_completion_tokens", int, 1, None)
        or number(fields, "max_tokens", int, 1, None),
        temperature=_or(number(fields, "temperature", float, 0, 2), 1.0),
        seed=number(fields, "seed", int, None, None),
        logprobs=flag(fields, "logprobs"),
        top_logprobs=number(fields, "top_logprobs", int, 0, 20) or 0,
        effort=_effort(fields.get("reasoning_effort")),
    )


_WEIGHS = (
    "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p", "seed",
    "reasoning_effort", "presence_penalty", "frequency_penalty",
)  # fmt: skip


def _digest(model: str, fields: dict[str, Any]) -> bytes:
    """A digest of the fields that a model sees: streaming, `user` and `metadata` change nothing in an answer."""
    seen = [model, *(fields.get(name) for name in _WEIGHS)]
    return blake2b(msgspec.json.encode(seen), digest_size=16).digest()


# -- messages ----------------------------------------------------------------------------------------------------


def _turns(fields: dict[str, Any]) -> tuple[Turn, ...]:
    messages = fields.get("messages")
    if messages is None:
        raise required("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise refusal(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    turns: list[Turn] = []
    open_calls: set[str] = set()
    for index, message in enumerate(cast("list[Any]", messages)):
        turn = _turn(object_at(message, f"messages[{index}]"), f"messages[{index}]")
        if turn.role == "tool":
            if turn.call_id not in open_calls:
                raise refusal(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{index}].role",
                )
        elif turn.calls:
            open_calls = {call.id for call in turn.calls}
        turns.append(turn)
    return tuple(turns)


def _turn(message: dict[str, Any], where: str) -> Turn:
    role = message.get("role")
    if role is None:
        raise required(f"{where}.role")
    if role not in _ROLES:
        supported = ", ".join(f"'{name}'" for name in _ROLES[:-1])
        raise refusal(
            f"Invalid value: '{role}'. Supported values are: {supported}, and '{_ROLES[-1]}'.",
            param=f"{where}.role",
            code="invalid_value",
        )
    calls = _calls(message.get("tool_calls"), where) if role == "assistant" else ()
    text, blobs = _content(message.get("content"), where, optional=role in {"assistant", "function"})
    name = message.get("name")
    call_id = message.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise required(f"{where}.tool_call_id")
    return Turn(role, text, name if isinstance(name, str) else "", calls, str(call_id or ""), blobs)


def _content(content: Any, where: str, *, optional: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    if isinstance(content, str):
        return content, ()
    if content is None and optional:
        return "", ()
    if not isinstance(content, list):
        raise wrong_type(f"{where}.content", "one of a string or array of objects", content)
    texts: list[str] = []
    blobs: list[tuple[str, str]] = []
    for index, part in enumerate(cast("list[Any]", content)):
        spot = f"{where}.content[{index}]"
        fields = object_at(part, spot)
        kind = fields.get("type")
        if kind in ("text", "refusal"):
            texts.append(str(fields.get(kind, "")))
        elif isinstance(kind, str) and kind in _BLOB_KINDS:
            blobs.append((_BLOB_KINDS[kind], _blob(object_at(fields.get(kind) or {}, f"{spot}.{kind}"))))
        else:
            raise refusal(
                f"Invalid value: '{kind}'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', "
                "'audio', and 'file'.",
                param=f"{spot}.type",
                code="invalid_value",
            )
    return "\n".join(texts), tuple(blobs)


def _blob(fields: dict[str, Any]) -> str:
    for name in ("url", "data", "file_data", "file_id"):
        if isinstance(fields.get(name), str):
            return ("low:" if fields.get("detail") == "low" else "") + fields[name]
    return ""


def _calls(calls: Any, where: str) -> tuple[Call, ...]:
    if calls is None:
        return ()
    if not isinstance(calls, list):
        raise wrong_type(f"{where}.tool_calls", "an array of objects", calls)
    made: list[Call] = []
    for index, call in enumerate(cast("list[Any]", calls)):
        fields = object_at(call, f"{where}.tool_calls[{index}]")
        function = object_at(fields.get("function") or {}, f"{where}.tool_calls[{index}].function")
        made.append(
            Call(str(fields.get("id", "")), str(function.get("name", "")), str(function.get("arguments", "")))
        )
    return tuple(made)


# -- tools and formats -------------------------------------------------------------------------------------------


def _tools(tools: Any) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise wrong_type("tools", "an array of objects", tools)
    found: list[Tool] = []
    for index, tool in enumerate(cast("list[Any]", tools)):
        fields = object_at(tool, f"tools[{index}]")
        if fields.get("type") != "function":
            continue  # tools of other kinds run at the provider; there is nothing to call here
        function = object_at(fields.get("function") or {}, f"tools[{index}].function")
        name = function.get("name")
        where = f"tools[{index}].function"
        if not isinstance(name, str):
            raise required(f"{where}.name")
        if not _TOOL_NAME.match(name):
            raise refusal(
                f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the pattern "
                "'^[a-zA-Z0-9_-]+$'.",
                param=f"{where}.name",
                code="invalid_value",
            )
        parameters = object_at(function.get("parameters") or {}, f"{where}.parameters")
        flaw = flaw_of(parameters)
        if flaw:
            raise refusal(
                f"Invalid schema for function '{name}': {flaw}",
                param=f"{where}.parameters",
                code="invalid_function_parameters",
            )
        found.append(Tool(name, str(function.get("description") or ""), parameters))
    return tuple(found)


def _tool_choice(choice: Any, tools: tuple[Tool, ...]) -> tuple[str, str, tuple[Tool, ...]]:
    """`(none | auto | required, name or "", the tools that may be called)`."""
    if choice is None:
        return ("auto" if tools else "none"), "", tools
    if not tools:
        raise refusal(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        if choice not in {"none", "auto", "required"}:
            raise refusal(
                f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.",
                param="tool_choice",
                code="invalid_value",
            )
        return choice, "", tools
    fields = object_at(choice, "tool_choice")
    if fields.get("type") == "allowed_tools":
        allowed = object_at(fields.get("allowed_tools") or {}, "tool_choice.allowed_tools")
        listing = listed(allowed.get("tools"), "tool_choice.allowed_tools.tools", "an array of objects")
        names = {_called(tool) for tool in listing}
        return str(allowed.get("mode", "auto")), "", tuple(tool for tool in tools if tool.name in names)
    name = _called(fields)
    if name not in {tool.name for tool in tools}:
        raise refusal(
            f"Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter.",
            param="tool_choice",
        )
    return "required", name, tools


def _called(choice: Any) -> str:
    function = cast("dict[str, Any]", choice).get("function") if isinstance(choice, dict) else None
    return str(cast("dict[str, Any]", function).get("name", "")) if isinstance(function, dict) else ""


def _format(form: Any, turns: tuple[Turn, ...]) -> tuple[str, dict[str, Any] | bool]:
    if form is None:
        return "text", True
    fields = object_at(form, "response_format")
    kind = fields.get("type")
    if kind == "text":
        return "text", True
    if kind == "json_object":
        if not any("json" in turn.text.lower() for turn in turns):
            raise refusal(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                param="messages",
            )
        return "json_object", True
    if kind != "json_schema":
        raise refusal(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            param="response_format.type",
            code="invalid_value",
        )
    given = object_at(fields.get("json_schema") or {}, "response_format.json_schema")
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise required("response_format.json_schema.name")
    schema = given.get("schema", True)
    flaw = flaw_of(schema)
    if flaw:
        raise refusal(f"Invalid schema for response_format '{name}': {flaw}", param="response_format")
    return "json_schema", schema


# -- plain fields ------------------------------------------------------------------------------------------------


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _stop(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,) if stop else ()
    if not isinstance(stop, list) or not all(isinstance(item, str) for item in cast("list[Any]", stop)):
        raise wrong_type("stop", "one of a string or array of strings", stop)
    items = cast("list[str]", stop)
    if len(items) > 4:
        raise refusal(
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length "
            f"{len(items)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    return tuple(item for item in items if item)


def _effort(effort: Any) -> str:
    if effort is None:
        return ""
    supported = ("none", "minimal", "low", "medium", "high", "xhigh")
    if effort not in supported:
        names = ", ".join(f"'{name}'" for name in supported[:-1])
        raise refusal(
            f"Invalid value: '{effort}'. Supported values are: {names}, and '{supported[-1]}'.",
            param="reasoning_effort",
            code="invalid_value",
        )
    return effort


def _tier(tier: Any) -> str:
    return tier if tier in ("flex", "priority") else "default"
