"""Messages requests, read into the neutral form.

Whatever has no place there, or not the type that it should have, is kept in `extra` under its own name. What Anthropic
itself holds for the same is not told apart: a text and a list of one block with it, `stream: false` and none, an empty
`system` and none, `type: custom` of a tool and none, `output_format` and `output_config.format`, a user's turn and the
same turn in two, keys of `metadata` beside `user_id` (they are for ratchet, Anthropic refuses them).
"""

from __future__ import annotations

from typing import Any, cast

from ratchet.dialects.anthropic.blocks import NAME, only_text, read_content
from ratchet.dialects.decoding import decode_object
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, Tool, ToolChoice
from ratchet.domain.messages import Extra, Message, Part, ToolCallResponsePart
from ratchet.errors import InvalidRequest

__all__ = ["CHOICES", "EFFORTS", "THINKING", "read_request", "split_turn"]

_Fields = dict[str, Any]


def read_request(body: bytes) -> Request:
    """The request. Raises InvalidRequest where `body` is no JSON object, and for nothing else."""
    rest = decode_object(body)
    if rest is None:
        raise InvalidRequest(
            "The request body is no JSON object.",
            "Send one with `model`, `max_tokens` and `messages`.",
            code="invalid_json",
        )
    # What can't be read stays in `rest`, and so in `extra`.
    messages = _system(rest) + _messages(rest)
    choice, parallel = _tool_choice(rest)
    config: _Fields = _taken(rest, "output_config", dict) or {}
    output = _output(rest, config)
    thinking = _thinking(rest, config)
    if config:
        rest["output_config"] = config
    metadata: _Fields = _taken(rest, "metadata", dict) or {}
    user = metadata.pop("user_id", None)
    return Request(
        dialect=NAME,
        model=_taken(rest, "model", str) or "",
        messages=messages,
        tools=_tools(rest),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=_taken(rest, "max_tokens", int),
        temperature=_taken(rest, "temperature", (int, float)),
        top_p=_taken(rest, "top_p", (int, float)),
        top_k=_taken(rest, "top_k", int),
        stop=_stop(rest),
        output=output,
        thinking=thinking,
        user=user if isinstance(user, str) else None,
        metadata=metadata or None,
        service_tier=_taken(rest, "service_tier", str),
        stream=_taken(rest, "stream", bool) or False,
        include_usage=True,
        extra=rest or None,
    )


def _taken(fields: _Fields, name: str, kind: type | tuple[type, ...]) -> Any:
    """The field, taken out, where it has that type; else None, and it stays."""
    value = fields.get(name)
    if isinstance(value, bool) and kind is not bool:
        return None
    return fields.pop(name) if isinstance(value, kind) else None


def _system(rest: _Fields) -> list[Message]:
    parts = read_content(rest.get("system"))
    if parts is None:
        return []
    rest.pop("system")
    return [Message("system", parts)] if parts and only_text(parts) != "" else []


def _messages(rest: _Fields) -> list[Message]:
    given = rest.get("messages")
    if not isinstance(given, list):
        return []
    turns = cast("list[Any]", given)
    if not all(isinstance(turn, dict) and isinstance(turn.get("role"), str) for turn in turns):
        return []
    rest.pop("messages")
    return [message for turn in turns for message in _turn(turn)]


def _turn(turn: _Fields) -> list[Message]:
    """A user's turn with results of tools becomes a `tool` message for each, and one for what stands between them."""
    role = turn["role"]
    extra: Extra | None = {n: value for n, value in turn.items() if n not in ("role", "content")} or None
    parts = read_content(turn.get("content"))
    if parts is None:
        if "content" in turn:
            extra = {**(extra or {}), "content": turn["content"]}
        return [Message(role, [], extra=extra)]
    return [
        Message(role, [parts[place] for place in places], extra=extra if number == 0 else None)
        for number, (role, places) in enumerate(split_turn(role, parts))
    ]


def split_turn(role: str, parts: list[Part]) -> list[tuple[str, list[int]]]:
    """(role, places of its parts) of each message that a turn becomes."""
    if role != "user" or not any(isinstance(part, ToolCallResponsePart) for part in parts):
        return [(role, list(range(len(parts))))]
    split: list[tuple[str, list[int]]] = []
    for place, part in enumerate(parts):
        if isinstance(part, ToolCallResponsePart):
            split.append(("tool", [place]))
        elif split and split[-1][0] == "user":
            split[-1][1].append(place)
        else:
            split.append(("user", [place]))
    return split


def _tools(rest: _Fields) -> list[Tool | HostedTool]:
    given = rest.get("tools")
    if not isinstance(given, list):
        return []
    tools = [_tool(tool) for tool in cast("list[Any]", given)]
    if any(tool is None for tool in tools):
        return []
    rest.pop("tools")
    return [tool for tool in tools if tool is not None]


def _tool(given: Any) -> Tool | HostedTool | None:
    if not isinstance(given, dict):
        return None
    rest = dict(cast("_Fields", given))
    kind = rest.get("type")
    if isinstance(kind, str) and kind != "custom":
        return HostedTool(kind=kind, definition=rest)
    if not isinstance(rest.get("name"), str):
        return None
    if kind == "custom":
        rest.pop("type")
    return Tool(
        name=rest.pop("name"),
        description=_taken(rest, "description", str),
        parameters=rest.pop("input_schema", None),
        strict=_taken(rest, "strict", bool),
        extra=rest or None,
    )


CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}


def _tool_choice(rest: _Fields) -> tuple[ToolChoice | None, bool | None]:
    given = rest.get("tool_choice")
    if not isinstance(given, dict):
        return None, None
    fields = dict(cast("_Fields", given))
    mode = CHOICES.get(str(fields.pop("type", None)))
    name = _taken(fields, "name", str)
    if mode is None or (mode == "tool") != (name is not None):
        return None, None
    rest.pop("tool_choice")
    alone = _taken(fields, "disable_parallel_tool_use", bool)
    choice = ToolChoice(mode=mode, name=name, extra=fields or None)
    return choice, None if alone is None else not alone


def _stop(rest: _Fields) -> list[str] | None:
    given = rest.get("stop_sequences")
    if not isinstance(given, list) or not all(isinstance(text, str) for text in cast("list[Any]", given)):
        return None
    return rest.pop("stop_sequences")


def _output(rest: _Fields, config: _Fields) -> OutputFormat | None:
    """The format of the output, out of `output_config` or of the older `output_format`."""
    for holder, name in ((config, "format"), (rest, "output_format")):
        given = holder.get(name)
        if isinstance(given, dict):
            fields = dict(cast("_Fields", given))
            if fields.pop("type", None) == "json_schema" and "schema" in fields:
                holder.pop(name)
                # Anthropic holds the model to the schema, always.
                schema = fields.pop("schema")
                return OutputFormat(kind="json_schema", schema=schema, strict=True, extra=fields or None)
    return None


THINKING = {"enabled": "on", "adaptive": "adaptive", "disabled": "off"}
_SHOWN = {"summarized": True, "omitted": False}
EFFORTS = ("low", "medium", "high", "xhigh", "max")


def _thinking(rest: _Fields, config: _Fields) -> Thinking | None:
    effort = config.pop("effort") if config.get("effort") in EFFORTS else None
    mode = budget = show = extra = None
    given = rest.get("thinking")
    if isinstance(given, dict):
        fields = dict(cast("_Fields", given))
        mode = THINKING.get(str(fields.pop("type", None)))
        if mode is not None:
            rest.pop("thinking")
            budget = _taken(fields, "budget_tokens", int)
            if fields.get("display") in _SHOWN:
                show = _SHOWN[fields.pop("display")]
            extra = fields or None
    if effort is None and mode is None:
        return None
    return Thinking(mode=mode, effort=effort, budget=budget, show=show, extra=extra)
