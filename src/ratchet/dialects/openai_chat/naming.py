"""What a chat completions app calls the neutral form's fields, and what has the wrong type in its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ratchet.dialects.checking import (
    BOOLEAN,
    EFFORTS,
    INTEGER,
    LIST,
    OBJECT,
    TEXT,
    VERBOSITIES,
    Kinds,
    check_entries,
    check_fields,
    check_word,
    objects_in,
)
from ratchet.dialects.naming import Place, Source, message_name
from ratchet.dialects.openai_chat.reading import read_audio, read_message
from ratchet.dialects.openai_chat.request import MODES, PARAMETERS
from ratchet.dialects.openai_chat.thoughts import THOUGHT_FIELDS, read_thoughts

__all__ = ["check_request", "field_name"]

_Fields = dict[str, Any]
_KINDS: dict[str, Kinds] = {
    "messages": LIST,
    **{name: kinds for name, (_, kinds) in PARAMETERS.items()},
    "max_tokens": INTEGER,
    "max_completion_tokens": INTEGER,
    "stop": TEXT + LIST,
    "stream": BOOLEAN,
    "tools": LIST,
    "functions": LIST,
    "tool_choice": TEXT + OBJECT,
    "function_call": TEXT + OBJECT,
    "response_format": OBJECT,
    "reasoning_effort": TEXT,
}
_FUNCTION: dict[str, Kinds] = {"name": TEXT}
_ALIASES = {"arguments": ("function.arguments",)}  # of a call


def check_request(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for the first of these fields of a request's body that has the wrong type."""
    check_fields(fields, _KINDS)
    for where, message in objects_in(fields.get("messages"), "messages"):
        _check_message(message, f"{where}.")
    check_entries(fields.get("stop"), TEXT, "stop")
    for where, tool in objects_in(fields.get("tools"), "tools"):
        check_fields(tool, {"type": TEXT}, f"{where}.", needed=("type",))
        kind = tool["type"]
        if kind in ("function", "custom"):
            check_fields(tool, {kind: OBJECT}, f"{where}.", needed=(kind,))
            check_fields(tool[kind], _FUNCTION, f"{where}.{kind}.", needed=_FUNCTION)
    for where, function in objects_in(fields.get("functions"), "functions"):
        check_fields(function, _FUNCTION, f"{where}.", needed=_FUNCTION)
    for name in ("tool_choice", "function_call"):
        check_word(fields.get(name), MODES, name)
    output: _Fields = fields.get("response_format") or {}
    if output:
        check_fields(output, {"type": TEXT}, "response_format.", needed=("type",))
    if output.get("type") == "json_schema":
        check_fields(output, {"json_schema": OBJECT}, "response_format.", needed=("json_schema",))
    check_word(fields.get("reasoning_effort"), EFFORTS, "reasoning_effort")
    check_word(fields.get("verbosity"), VERBOSITIES, "verbosity")


def _check_message(message: _Fields, where: str) -> None:
    check_fields(message, {"role": TEXT, "content": TEXT + LIST, "name": TEXT, "tool_calls": LIST}, where)
    content = message.get("content")
    check_entries(content, OBJECT + TEXT, f"{where}content")  # texts stand there at some look-alikes
    for number, entry in enumerate(cast("list[Any]", content) if isinstance(content, list) else ()):
        if isinstance(entry, dict):
            part = cast("_Fields", entry)
            check_fields(part, {"type": TEXT, "text": TEXT}, f"{where}content[{number}].")
    for call_where, call in objects_in(message.get("tool_calls"), f"{where}tool_calls"):
        check_fields(call, {"function": OBJECT, "custom": OBJECT}, f"{call_where}.")


def field_name(wire: _Fields, field: str) -> str:
    """The name that this dialect has for the neutral form's `field`, in a request with that body."""
    if field.startswith("reasoning"):
        return "reasoning_effort"
    if field.startswith("tools[") and not wire.get("tools"):
        return "functions" + field.removeprefix("tools").removesuffix(".function")
    if field == "tool_choice" and not wire.get("tool_choice"):
        return "function_call"
    return message_name(field, _sources(wire), _ALIASES) or field


def _sources(wire: _Fields) -> list[Source]:
    given = wire.get("messages")
    messages = cast("list[Any]", given) if isinstance(given, list) else []
    return [_source(f"messages[{number}]", message) for number, message in enumerate(messages)]


def _source(path: str, message: Any) -> Source:
    if not isinstance(message, dict):
        return Source(path, message, [Place(path, message)])
    fields = cast("_Fields", message)
    if fields.get("role") in ("tool", "function"):
        return Source(path, message, [Place(path, message, "content")])
    places = _places(path, fields)
    count = len(read_message(fields).parts)
    return Source(path, message, places if len(places) == count else [Place(path, message)] * count)


def _places(path: str, message: _Fields) -> list[Place]:
    """One for each part, in the order in which a message is read: thoughts, content, then the rest."""
    places: list[Place] = []
    if not THOUGHT_FIELDS.isdisjoint(message):
        places += [Place(path, message)] * len(read_thoughts(message, {}))
    content, calls = message.get("content"), message.get("tool_calls")
    if isinstance(content, list):
        entries = enumerate(cast("list[Any]", content))
        places += [Place(f"{path}.content[{number}]", entry) for number, entry in entries]
    elif content:
        places.append(Place(f"{path}.content", content))
    if message.get("refusal"):
        places.append(Place(f"{path}.refusal"))
    if isinstance(calls, list):
        entries = enumerate(cast("list[Any]", calls))
        places += [Place(f"{path}.tool_calls[{number}]", call) for number, call in entries]
    if message.get("function_call"):
        places.append(Place(f"{path}.function_call", message["function_call"]))
    audio = message.get("audio")
    if audio and isinstance(audio, dict):
        places += [Place(f"{path}.audio", audio)] * len(list(read_audio(cast("_Fields", audio))))
    return places
