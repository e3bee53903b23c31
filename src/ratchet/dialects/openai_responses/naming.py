"""What a Responses app calls the neutral form's fields, and what has the wrong type in its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ratchet.dialects.checking import (
    BOOLEAN,
    EFFORTS,
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
from ratchet.dialects.openai_responses.reading import read_items
from ratchet.dialects.openai_responses.request import LOGPROBS, PARAMETERS
from ratchet.domain.messages import GenericPart, Part

__all__ = ["check_request", "field_name"]

_Fields = dict[str, Any]
_KINDS: dict[str, Kinds] = {
    "input": TEXT + LIST,
    "instructions": TEXT,
    **{name: kinds for name, (_, kinds) in PARAMETERS.items()},
    "stream": BOOLEAN,
    "include": LIST,
    "reasoning": OBJECT,
    "text": OBJECT,
    "tools": LIST,
    "tool_choice": TEXT + OBJECT,
}
_CHOICES = ("auto", "none", "required")
_WORDS = {
    "verbosity": "text.verbosity",
    "max_tokens": "max_output_tokens",
}
_ALIASES = {"arguments": ("input",), "tool_call_id": ("call_id",)}


def check_request(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for the first of these fields of a request's body that has the wrong type."""
    check_fields(fields, _KINDS)
    for where, item in objects_in(fields.get("input"), "input"):
        _check_item(item, f"{where}.")
    check_entries(fields.get("include"), TEXT, "include")
    reasoning: _Fields = fields.get("reasoning") or {}
    check_fields(reasoning, {"effort": TEXT, "summary": TEXT}, "reasoning.")
    check_word(reasoning.get("effort"), EFFORTS, "reasoning.effort")
    text: _Fields = fields.get("text") or {}
    check_fields(text, {"format": OBJECT, "verbosity": TEXT}, "text.")
    check_word(text.get("verbosity"), VERBOSITIES, "text.verbosity")
    if text.get("format"):
        check_fields(text["format"], {"type": TEXT}, "text.format.", needed=("type",))
    for where, tool in objects_in(fields.get("tools"), "tools"):
        check_fields(tool, {"type": TEXT}, f"{where}.", needed=("type",))
        if tool["type"] == "function":
            check_fields(tool, {"name": TEXT}, f"{where}.", needed=("name",))
    check_word(fields.get("tool_choice"), _CHOICES, "tool_choice")


def _check_item(item: _Fields, where: str) -> None:
    check_fields(item, {"type": TEXT, "role": TEXT, "call_id": TEXT, "name": TEXT, "arguments": TEXT}, where)
    if item.get("type") == "function_call_output":
        check_fields(item, {"output": TEXT + LIST}, where)
    if item.get("type") not in ("message", None):
        return
    check_fields(item, {"content": TEXT + LIST}, where)
    for part_where, part in objects_in(item.get("content"), f"{where}content"):
        check_fields(part, {"type": TEXT, "text": TEXT}, f"{part_where}.")


def field_name(wire: _Fields, field: str) -> str:
    """The name that this dialect has for the neutral form's `field`, in a request with that body."""
    if field == "logprobs":
        include = wire.get("include")
        asked = cast("list[Any]", include) if isinstance(include, list) else []
        return f"include[{asked.index(LOGPROBS)}]" if LOGPROBS in asked else "include"
    if field.startswith("response_format"):
        return "text.format" + field.removeprefix("response_format")
    return message_name(field, _sources(wire), _ALIASES) or _WORDS.get(field, field)


def _sources(wire: _Fields) -> list[Source]:
    sources: list[Source] = []
    instructions, given = wire.get("instructions"), wire.get("input")
    if isinstance(instructions, str) and instructions:
        sources.append(Source("instructions", None, [Place("instructions")]))
    if isinstance(given, str):
        sources.append(Source("input", None, [Place("input")]))
    assistant = False  # the message before is the assistant's: its items are one message
    for number, item in enumerate(cast("list[Any]", given) if isinstance(given, list) else ()):
        path = f"input[{number}]"
        (message,) = read_items([item])
        places = _places(path, item, message.parts)
        if assistant and message.role == "assistant":
            sources[-1] = Source("input", None, [*sources[-1].parts, *places])
        else:
            sources.append(Source(path, item, places))
        assistant = message.role == "assistant"
    return sources


def _places(path: str, item: Any, parts: list[Part]) -> list[Place]:
    """One for each part of an item. What a part holds may be said of the whole item."""
    fields = cast("_Fields", item) if isinstance(item, dict) else {}
    whole = isinstance(parts[0], GenericPart) and parts[0].value is item if parts else False
    content = fields.get("content")
    if not whole and fields.get("type") in ("message", None) and isinstance(content, list):
        entries = enumerate(cast("list[Any]", content))
        return [Place(f"{path}.content[{number}]", entry, "", path) for number, entry in entries]
    return [Place(path, item, "output")] * len(parts)
