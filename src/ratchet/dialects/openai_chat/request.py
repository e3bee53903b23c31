"""A chat completions request in the neutral form, and back.

Read and written again, a request that came in this dialect is the same JSON, up to what the API takes for the same:
a call's `arguments` are written compactly, and a call without a `type` is a function's.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.openai_chat.foreign import write_foreign_request
from ratchet.dialects.openai_chat.reading import read_message
from ratchet.dialects.openai_chat.thoughts import NAME
from ratchet.dialects.openai_chat.writing import write_message
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, Tool, ToolChoice
from ratchet.domain.messages import Extra, GenericPart, Message
from ratchet.errors import InvalidRequest

__all__ = ["MODES", "PARAMETERS", "read_request", "write_request"]

_encoder = msgspec.json.Encoder()

_NUMBER, _INTEGER, _BOOLEAN, _TEXT, _OBJECT = (int, float), (int,), (bool,), (str,), (dict,)
# wire name: (the form's field, what it must be to go there)
PARAMETERS: dict[str, tuple[str, tuple[type, ...]]] = {
    "parallel_tool_calls": ("parallel_tool_calls", _BOOLEAN),
    "temperature": ("temperature", _NUMBER),
    "top_p": ("top_p", _NUMBER),
    "top_k": ("top_k", _INTEGER),
    "seed": ("seed", _INTEGER),
    "presence_penalty": ("presence_penalty", _NUMBER),
    "frequency_penalty": ("frequency_penalty", _NUMBER),
    "n": ("choices", _INTEGER),
    "logprobs": ("logprobs", _BOOLEAN),
    "top_logprobs": ("top_logprobs", _INTEGER),
    "verbosity": ("verbosity", _TEXT),
    "user": ("user", _TEXT),
    "metadata": ("metadata", _OBJECT),
    "service_tier": ("service_tier", _TEXT),
}
_OUTPUT_KINDS = {"text": "text", "json_object": "json", "json_schema": "json_schema"}
_OUTPUT_TYPES = {kind: wire for wire, kind in _OUTPUT_KINDS.items()}
MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}  # Mistral says any


def read_request(body: bytes) -> Request:
    """A request, whatever it holds. Raises InvalidRequest only where the body is no JSON object."""
    wire = decode_object(body)
    if wire is None:
        raise InvalidRequest(
            "The request body is not a JSON object.",
            "Send one with `model` and `messages`.",
            code="invalid_json",
        )
    return _Reading(wire).request()


class _Reading:
    """One request being read: what has no place in the form stays in `rest`, how the rest was written in `notes`."""

    def __init__(self, wire: dict[str, Any]) -> None:
        self.rest = dict(wire)
        self.notes: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}

    def request(self) -> Request:
        rest, fields = self.rest, self.fields
        for name, (field, kinds) in PARAMETERS.items():
            value = rest.get(name)
            if (
                value is not None
                and isinstance(value, kinds)
                and (isinstance(value, bool) == (kinds is _BOOLEAN))
            ):
                fields[field] = rest.pop(name)
        model = rest.get("model")
        if isinstance(model, str):
            del rest["model"]
        self._stream()
        self._bounds()
        self._tools()
        self._output()
        effort = rest.get("reasoning_effort")
        if isinstance(effort, str):
            del rest["reasoning_effort"]
            fields["thinking"] = Thinking(effort=effort)
        if "user" not in fields and isinstance(rest.get("safety_identifier"), str):
            fields["user"] = rest["safety_identifier"]
            self.notes["user"] = "safety_identifier"
        messages = self._messages()
        if self.notes:
            rest["wire"] = self.notes
        return Request(
            dialect=NAME,
            model=model if isinstance(model, str) else "",
            messages=messages,
            extra=rest or None,
            **fields,
        )

    def _messages(self) -> list[Message]:
        messages = self.rest.get("messages")
        if not isinstance(messages, list):
            return []
        del self.rest["messages"]
        return [
            read_message(cast("dict[str, Any]", message))
            if isinstance(message, dict)
            else Message("", [GenericPart("message", message)])
            for message in cast("list[Any]", messages)
        ]

    def _stream(self) -> None:
        stream = self.rest.get("stream")
        if isinstance(stream, bool):
            del self.rest["stream"]
            self.fields["stream"] = stream
            if not stream:
                self.notes["stream"] = False
        options = self.rest.get("stream_options")
        if isinstance(options, dict):
            asked = cast("dict[str, Any]", options)
            if asked.get("include_usage") is True:
                self.fields["include_usage"] = True
                more = {name: value for name, value in asked.items() if name != "include_usage"}
                if more:
                    self.rest["stream_options"] = more
                else:
                    del self.rest["stream_options"]

    def _bounds(self) -> None:
        """How much may be said, and where it stops."""
        rest = self.rest
        given = {
            name: rest[name] for name in ("max_completion_tokens", "max_tokens") if _is_count(rest.get(name))
        }
        if given and len(set(given.values())) == 1:
            for name in given:
                self.fields["max_tokens"] = rest.pop(name)
            if "max_tokens" in given:
                self.notes["max_tokens"] = list(given)
        elif given:  # two that differ: the newer one counts
            self.fields["max_tokens"] = rest.pop("max_completion_tokens")
        stop = rest.get("stop")
        if isinstance(stop, str):
            self.fields["stop"] = [rest.pop("stop")]
            self.notes["stop"] = "text"
        elif isinstance(stop, list) and all(isinstance(word, str) for word in cast("list[Any]", stop)):
            self.fields["stop"] = rest.pop("stop")

    def _tools(self) -> None:
        rest = self.rest
        tools, functions = rest.get("tools"), rest.get("functions")
        if isinstance(tools, list) and tools:
            read = [_read_tool(tool) for tool in cast("list[Any]", tools)]
            if None not in read:
                self.fields["tools"] = read
                del rest["tools"]
        elif isinstance(functions, list) and functions:
            read = [_read_function(function, {}) for function in cast("list[Any]", functions)]
            if None not in read:
                self.fields["tools"] = read
                self.notes["functions"] = True
                del rest["functions"]
        for name in ("tool_choice", "function_call"):
            choice = _read_choice(rest.get(name))
            if choice is not None and "tool_choice" not in self.fields:
                self.fields["tool_choice"] = choice
                del rest[name]
                if name == "function_call":
                    self.notes["function_call"] = True

    def _output(self) -> None:
        given = self.rest.get("response_format")
        if not isinstance(given, dict):
            return
        output = _read_output(cast("dict[str, Any]", given))
        if output is not None:
            self.fields["output"] = output
            del self.rest["response_format"]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read_tool(value: Any) -> Tool | HostedTool | None:
    if not isinstance(value, dict):
        return None
    tool = cast("dict[str, Any]", value)
    kind = tool.get("type")
    rest = {name: part for name, part in tool.items() if name not in ("type", "function")}
    if kind == "function":
        return _read_function(tool.get("function"), rest)
    if kind == "custom" and isinstance(tool.get("custom"), dict):
        custom = tool["custom"]
        if isinstance(custom.get("name"), str):
            described = custom.get("description")
            return Tool(
                name=custom["name"],
                description=described if isinstance(described, str) else None,
                extra=rest,
            )
    return HostedTool(kind=kind, definition=tool) if isinstance(kind, str) else None


def _read_function(value: Any, rest: Extra) -> Tool | None:
    if not isinstance(value, dict):
        return None
    function = cast("dict[str, Any]", value)
    name, described, strict = function.get("name"), function.get("description"), function.get("strict")
    if not isinstance(name, str):
        return None
    more = {
        field: said
        for field, said in function.items()
        if field not in ("name", "description", "parameters", "strict")
        or (field == "description" and not isinstance(said, str))
        or (field == "strict" and not isinstance(said, bool))
        or (field == "parameters" and said is None)
    }
    extra = {**rest, "function": more} if more else rest
    return Tool(
        name=name,
        description=described if isinstance(described, str) else None,
        parameters=function.get("parameters"),
        strict=strict if isinstance(strict, bool) else None,
        extra=extra or None,
    )


def _read_choice(value: Any) -> ToolChoice | None:
    if isinstance(value, str):
        mode = MODES.get(value)
        return ToolChoice(mode=mode, extra=None if mode == value else {"wire": value}) if mode else None
    if not isinstance(value, dict):
        return None
    choice = cast("dict[str, Any]", value)
    kind, keys = choice.get("type"), set(choice)
    if keys == {"name"}:  # of the older function calling
        return ToolChoice(mode="tool", name=choice["name"])
    if keys == {"type", "allowed_tools"}:
        return _read_allowed(choice["allowed_tools"])
    if kind not in ("function", "custom") or keys != {"type", kind}:
        return None
    called = choice[kind]
    if not isinstance(called, dict) or set(cast("dict[str, Any]", called)) != {"name"}:
        return None
    name: Any = cast("dict[str, Any]", called)["name"]
    return ToolChoice(mode="tool", name=name, extra=None if kind == "function" else {"wire": kind})


def _read_allowed(value: Any) -> ToolChoice | None:
    allowed = cast("dict[str, Any]", value if isinstance(value, dict) else {})
    tools, mode = allowed.get("tools"), allowed.get("mode")
    if set(allowed) != {"tools", "mode"} or mode not in ("auto", "required") or not isinstance(tools, list):
        return None
    names = [_function_name(tool) for tool in cast("list[Any]", tools)]
    known = [name for name in names if name is not None]
    return ToolChoice(mode="allowed", names=known, required=mode == "required") if known == names else None


def _function_name(value: Any) -> str | None:
    """The name in `{"type": "function", "function": {"name": …}}`; None where it is anything else."""
    tool = cast("dict[str, Any]", value if isinstance(value, dict) else {})
    if (
        set(tool) != {"type", "function"}
        or tool["type"] != "function"
        or not isinstance(tool["function"], dict)
    ):
        return None
    function = cast("dict[str, Any]", tool["function"])
    name = function.get("name")
    return name if isinstance(name, str) and len(function) == 1 else None


def _read_output(given: dict[str, Any]) -> OutputFormat | None:
    kind = _OUTPUT_KINDS.get(given["type"]) if isinstance(given.get("type"), str) else None
    if kind is None:
        return None
    inside = given.get("json_schema")
    extra: Extra = {name: value for name, value in given.items() if name not in ("type", "json_schema")}
    if kind != "json_schema":
        if "json_schema" in given:
            extra["json_schema"] = inside
        return OutputFormat(kind=kind, extra=extra or None)
    if not isinstance(inside, dict):
        return None
    fields = cast("dict[str, Any]", inside)
    kinds = {"name": str, "strict": bool, "description": str}
    known: dict[str, Any] = {
        name: value
        for name, value in fields.items()
        if (name in kinds and isinstance(value, kinds[name])) or (name == "schema" and value is not None)
    }
    more = {name: value for name, value in fields.items() if name not in known}
    if more:
        extra["json_schema"] = more
    return OutputFormat(kind=kind, extra=extra or None, **known)


def write_request(request: Request, *, output_limit: str = "max_completion_tokens") -> bytes:
    """The request's JSON. `output_limit` is the field that bounds the output of what another dialect asked.

    Raises InvalidRequest for what another dialect asked and this one can't say.
    """
    if request.dialect != NAME:
        return _encoder.encode(write_foreign_request(request, output_limit=output_limit))
    extra = dict(request.extra or {})
    notes: dict[str, Any] = extra.pop("wire", {})
    body: dict[str, Any] = {"model": request.model}
    if "messages" not in extra:
        body["messages"] = [write_message(message) for message in request.messages]
    for name, (field, _) in PARAMETERS.items():
        value = getattr(request, field)
        if value is not None and notes.get(name) != "safety_identifier":
            body[name] = value
    if request.max_tokens is not None:
        for name in notes.get("max_tokens", ("max_completion_tokens",)):
            body[name] = request.max_tokens
    if request.stop is not None:
        body["stop"] = request.stop[0] if notes.get("stop") == "text" else request.stop
    if request.tools:
        old = "functions" in notes
        body["functions" if old else "tools"] = [_write_tool(tool, old=old) for tool in request.tools]
    if request.tool_choice is not None:
        old = "function_call" in notes
        body["function_call" if old else "tool_choice"] = _write_choice(request.tool_choice, old=old)
    if request.output is not None:
        body["response_format"] = _write_output(request.output)
    if request.thinking is not None and request.thinking.effort is not None:
        body["reasoning_effort"] = request.thinking.effort
    if request.stream or "stream" in notes:
        body["stream"] = request.stream
    body.update(extra)
    if request.include_usage:
        body["stream_options"] = {"include_usage": True, **extra.get("stream_options", {})}
    return _encoder.encode(body)


def _write_tool(tool: Tool | HostedTool, *, old: bool) -> dict[str, Any]:
    if isinstance(tool, HostedTool):
        return tool.definition
    extra = dict(tool.extra or {})
    if "custom" in extra:
        return {"type": "custom", **extra}
    function: dict[str, Any] = {"name": tool.name}
    for field in ("description", "parameters", "strict"):
        value = getattr(tool, field)
        if value is not None:
            function[field] = value
    function.update(extra.pop("function", {}))
    return function if old else {"type": "function", "function": function, **extra}


def _write_choice(choice: ToolChoice, *, old: bool) -> Any:
    kind = (choice.extra or {}).get("wire")
    if choice.mode == "tool":
        named = {"name": choice.name}
        return named if old else {"type": kind or "function", kind or "function": named}
    if choice.mode == "allowed":
        tools = [{"type": "function", "function": {"name": name}} for name in choice.names or ()]
        mode = "required" if choice.required else "auto"
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return kind or choice.mode


def _write_output(output: OutputFormat) -> dict[str, Any]:
    extra = dict(output.extra or {})
    given: dict[str, Any] = {"type": _OUTPUT_TYPES[output.kind]}
    if output.kind == "json_schema":
        fields = ("name", "description", "schema", "strict")
        said = {field: getattr(output, field) for field in fields if getattr(output, field) is not None}
        given["json_schema"] = {**said, **extra.pop("json_schema", {})}
    return {**given, **extra}
