"""OpenAI's chat completion request, checked the way OpenAI checks it, made into an `Ask`.

Every mistake is a `Rejected` that carries OpenAI's own error object: the same sentence, `type`, `param` and `code`.
Unknown fields are ignored; the shape is OpenAI's API reference as of 2026 and the recordings of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, cast

import jsonschema
import msgspec
from jsonschema import Draft202012Validator

from ratchet.simulator.ask import Ask, Call, Tool, Turn
from ratchet.simulator.schemas import circular

__all__ = ["ChatRequest", "Rejected", "error_body", "read_request"]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_BLOB_KINDS = {"image_url": "image", "input_audio": "audio", "file": "file"}


class Rejected(Exception):
    """A request that is answered with an error: `status` and OpenAI's error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind=kind, param=param, code=code)


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """OpenAI's error object as JSON bytes."""
    return msgspec.json.format(
        msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}}),
        indent=4,
    )


class ChatRequest(msgspec.Struct, frozen=True):
    """An `Ask` with what only the wire needs."""

    ask: Ask
    stream: bool = False
    include_usage: bool = False
    obfuscate: bool = True
    service_tier: str = "default"
    simulate: str = ""  # what `metadata` or the extra field `simulate` asks for, see faults.py


def read_request(body: bytes) -> ChatRequest:
    """The request in `body`. Raises `Rejected`."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Rejected(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        ) from None
    if not isinstance(found, dict):
        raise _wrong_type(None, "an object", found)
    fields = cast("dict[str, Any]", found)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise Rejected("you must provide a model parameter")
    stream = _flag(fields, "stream")
    options = fields.get("stream_options")
    if options is not None and not stream:
        raise Rejected(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    options = _object(options or {}, "stream_options")
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
    if fields.get("top_logprobs") is not None and not _flag(fields, "logprobs"):
        raise Rejected(
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
        n=_number(fields, "n", int, 1, 128) or 1,
        stop=_stop(fields.get("stop")),
        max_tokens=_number(fields, "max_completion_tokens", int, 1, None)
        or _number(fields, "max_tokens", int, 1, None),
        temperature=_or(_number(fields, "temperature", float, 0, 2), 1.0),
        seed=_number(fields, "seed", int, None, None),
        logprobs=_flag(fields, "logprobs"),
        top_logprobs=_number(fields, "top_logprobs", int, 0, 20) or 0,
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
        raise Rejected(
            "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise Rejected(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    turns: list[Turn] = []
    open_calls: set[str] = set()
    for index, message in enumerate(cast("list[Any]", messages)):
        turn = _turn(_object(message, f"messages[{index}]"), f"messages[{index}]")
        if turn.role == "tool":
            if turn.call_id not in open_calls:
                raise Rejected(
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
        raise Rejected(
            f"Missing required parameter: '{where}.role'.",
            param=f"{where}.role",
            code="missing_required_parameter",
        )
    if role not in _ROLES:
        supported = ", ".join(f"'{name}'" for name in _ROLES[:-1])
        raise Rejected(
            f"Invalid value: '{role}'. Supported values are: {supported}, and '{_ROLES[-1]}'.",
            param=f"{where}.role",
            code="invalid_value",
        )
    calls = _calls(message.get("tool_calls"), where) if role == "assistant" else ()
    text, blobs = _content(message.get("content"), where, optional=role in {"assistant", "function"})
    name = message.get("name")
    call_id = message.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise Rejected(
            f"Missing required parameter: '{where}.tool_call_id'.",
            param=f"{where}.tool_call_id",
            code="missing_required_parameter",
        )
    return Turn(role, text, name if isinstance(name, str) else "", calls, str(call_id or ""), blobs)


def _content(content: Any, where: str, *, optional: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    if isinstance(content, str):
        return content, ()
    if content is None and optional:
        return "", ()
    if not isinstance(content, list):
        raise Rejected(
            f"Invalid type for '{where}.content': expected one of a string or array of objects, but got "
            f"{_kind_of(content)} instead.",
            param=f"{where}.content",
            code="invalid_type",
        )
    texts: list[str] = []
    blobs: list[tuple[str, str]] = []
    for index, part in enumerate(cast("list[Any]", content)):
        spot = f"{where}.content[{index}]"
        fields = _object(part, spot)
        kind = fields.get("type")
        if kind in {"text", "refusal"}:
            texts.append(str(fields.get(kind, "")))
        elif kind in _BLOB_KINDS:
            blobs.append((_BLOB_KINDS[kind], _blob(_object(fields.get(kind) or {}, f"{spot}.{kind}"))))
        else:
            raise Rejected(
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
        raise _wrong_type(f"{where}.tool_calls", "an array of objects", calls)
    made: list[Call] = []
    for index, call in enumerate(cast("list[Any]", calls)):
        fields = _object(call, f"{where}.tool_calls[{index}]")
        function = _object(fields.get("function") or {}, f"{where}.tool_calls[{index}].function")
        made.append(
            Call(str(fields.get("id", "")), str(function.get("name", "")), str(function.get("arguments", "")))
        )
    return tuple(made)


# -- tools and formats -------------------------------------------------------------------------------------------


def _tools(tools: Any) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise _wrong_type("tools", "an array of objects", tools)
    found: list[Tool] = []
    for index, tool in enumerate(cast("list[Any]", tools)):
        fields = _object(tool, f"tools[{index}]")
        if fields.get("type") != "function":
            continue  # tools of other kinds run at the provider; there is nothing to call here
        function = _object(fields.get("function") or {}, f"tools[{index}].function")
        name = function.get("name")
        where = f"tools[{index}].function"
        if not isinstance(name, str):
            raise Rejected(
                f"Missing required parameter: '{where}.name'.",
                param=f"{where}.name",
                code="missing_required_parameter",
            )
        if not _TOOL_NAME.match(name):
            raise Rejected(
                f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the pattern "
                "'^[a-zA-Z0-9_-]+$'.",
                param=f"{where}.name",
                code="invalid_value",
            )
        parameters = _object(function.get("parameters") or {}, f"{where}.parameters")
        flaw = _flaw(parameters)
        if flaw:
            raise Rejected(
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
        raise Rejected(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        if choice not in {"none", "auto", "required"}:
            raise Rejected(
                f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.",
                param="tool_choice",
                code="invalid_value",
            )
        return choice, "", tools
    fields = _object(choice, "tool_choice")
    if fields.get("type") == "allowed_tools":
        allowed = _object(fields.get("allowed_tools") or {}, "tool_choice.allowed_tools")
        names = {_called(tool) for tool in cast("list[Any]", allowed.get("tools") or [])}
        return str(allowed.get("mode", "auto")), "", tuple(tool for tool in tools if tool.name in names)
    name = _called(fields)
    if name not in {tool.name for tool in tools}:
        raise Rejected(
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
    fields = _object(form, "response_format")
    kind = fields.get("type")
    if kind == "text":
        return "text", True
    if kind == "json_object":
        if not any("json" in turn.text.lower() for turn in turns):
            raise Rejected(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                param="messages",
            )
        return "json_object", True
    if kind != "json_schema":
        raise Rejected(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            param="response_format.type",
            code="invalid_value",
        )
    given = _object(fields.get("json_schema") or {}, "response_format.json_schema")
    name = given.get("name")
    if not isinstance(name, str) or not name:
        where = "response_format.json_schema.name"
        raise Rejected(
            f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter"
        )
    schema = given.get("schema", True)
    flaw = _flaw(schema)
    if flaw:
        raise Rejected(f"Invalid schema for response_format '{name}': {flaw}", param="response_format")
    return "json_schema", schema


def _flaw(schema: Any) -> str:
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


# -- plain fields ------------------------------------------------------------------------------------------------


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array"}
    return names.get(cast("type[Any]", type(value)), "an object")


def _wrong_type(param: str | None, expected: str, value: Any) -> Rejected:
    subject = f"Invalid type for '{param}'" if param else "Invalid type for the request body"
    return Rejected(
        f"{subject}: expected {expected}, but got {_kind_of(value)} instead.",
        param=param,
        code="invalid_type",
    )


def _object(value: Any, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong_type(param, "an object", value)
    return cast("dict[str, Any]", value)


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong_type(name, "a boolean", value)
    return value


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _number(fields: dict[str, Any], name: str, kind: type, low: float | None, high: float | None) -> Any:
    value = fields.get(name)
    if value is None:
        return None
    word = "integer" if kind is int else "decimal"
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise _wrong_type(name, f"{'an' if kind is int else 'a'} {word}", value)
    if low is not None and value < low:
        raise Rejected(
            f"Invalid '{name}': {word} below minimum value. Expected a value >= {low}, but got {value} instead.",
            param=name,
            code=f"{word}_below_min_value",
        )
    if high is not None and value > high:
        raise Rejected(
            f"Invalid '{name}': {word} above maximum value. Expected a value <= {high}, but got {value} instead.",
            param=name,
            code=f"{word}_above_max_value",
        )
    return value


def _stop(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,) if stop else ()
    if not isinstance(stop, list) or not all(isinstance(item, str) for item in cast("list[Any]", stop)):
        raise _wrong_type("stop", "one of a string or array of strings", stop)
    items = cast("list[str]", stop)
    if len(items) > 4:
        raise Rejected(
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
        raise Rejected(
            f"Invalid value: '{effort}'. Supported values are: {names}, and '{supported[-1]}'.",
            param="reasoning_effort",
            code="invalid_value",
        )
    return effort


def _tier(tier: Any) -> str:
    return tier if tier in {"flex", "priority"} else "default"
