"""What an Anthropic app calls the neutral form's fields, and what has the wrong type in its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ratchet.dialects.anthropic.blocks import only_text, read_content
from ratchet.dialects.anthropic.reading import CHOICES, EFFORTS, THINKING, split_turn
from ratchet.dialects.checking import (
    BOOLEAN,
    INTEGER,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    Kinds,
    check_entries,
    check_fields,
    check_word,
    objects_in,
)
from ratchet.dialects.naming import Place, Source, message_name

__all__ = ["check_request", "field_name"]

_Fields = dict[str, Any]
_KINDS: dict[str, Kinds] = {
    "messages": LIST,
    "system": TEXT + LIST,
    "max_tokens": INTEGER,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": INTEGER,
    "stop_sequences": LIST,
    "stream": BOOLEAN,
    "tools": LIST,
    "tool_choice": OBJECT,
    "thinking": OBJECT,
    "output_config": OBJECT,
    "output_format": OBJECT,
    "service_tier": TEXT,
}
_WORDS = {
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning.effort": "output_config.effort",
    "stop": "stop_sequences",
}
_ALIASES = {"arguments": ("input",)}


def check_request(fields: Mapping[str, Any]) -> None:
    """Raises InvalidRequest for the first of these fields of a request's body that has the wrong type."""
    check_fields(fields, _KINDS)
    _check_blocks(fields.get("system"), "system")
    for where, turn in objects_in(fields.get("messages"), "messages"):
        check_fields(turn, {"role": TEXT, "content": TEXT + LIST}, f"{where}.", needed=("role",))
        _check_blocks(turn.get("content"), f"{where}.content")
    check_entries(fields.get("stop_sequences"), TEXT, "stop_sequences")
    for where, tool in objects_in(fields.get("tools"), "tools"):
        check_fields(tool, {"type": TEXT}, f"{where}.")
        if tool.get("type") in ("custom", None):
            check_fields(tool, {"name": TEXT}, f"{where}.", needed=("name",))
    choice: _Fields | None = fields.get("tool_choice")
    if choice is not None:
        kinds = {"type": TEXT, "name": TEXT, "disable_parallel_tool_use": BOOLEAN}
        needed = ("type", "name") if choice.get("type") == "tool" else ("type",)
        check_fields(choice, kinds, "tool_choice.", needed=needed)
        check_word(choice["type"], CHOICES, "tool_choice.type")
    thinking: _Fields | None = fields.get("thinking")
    if thinking is not None:
        check_fields(thinking, {"type": TEXT, "budget_tokens": INTEGER}, "thinking.", needed=("type",))
        check_word(thinking["type"], THINKING, "thinking.type")
    config: _Fields = fields.get("output_config") or {}
    check_fields(config, {"effort": TEXT, "format": OBJECT}, "output_config.")
    check_word(config.get("effort"), EFFORTS, "output_config.effort")


def _check_blocks(content: Any, where: str) -> None:
    for block_where, block in objects_in(content, where):
        check_fields(block, {"type": TEXT}, f"{block_where}.", needed=("type",))
        if block["type"] == "text":
            check_fields(block, {"text": TEXT}, f"{block_where}.", needed=("text",))
        elif block["type"] == "tool_use":
            check_fields(block, {"id": TEXT, "name": TEXT}, f"{block_where}.", needed=("id", "name"))
        elif block["type"] == "tool_result":
            kinds = {"tool_use_id": TEXT, "is_error": BOOLEAN, "content": TEXT + LIST}
            check_fields(block, kinds, f"{block_where}.", needed=("tool_use_id",))
            _check_blocks(block.get("content"), f"{block_where}.content")


def field_name(wire: _Fields, field: str) -> str:
    """The name that this dialect has for the neutral form's `field`, in a request with that body."""
    if field in _WORDS:
        return _WORDS[field]
    if field.startswith("reasoning."):
        return "thinking" + field.removeprefix("reasoning")
    if field.startswith("response_format"):
        config = wire.get("output_config")
        newer = isinstance(config, dict) and isinstance(cast("_Fields", config).get("format"), dict)
        return ("output_config.format" if newer else "output_format") + field.removeprefix("response_format")
    return message_name(field, _sources(wire), _ALIASES) or field


def _sources(wire: _Fields) -> list[Source]:
    system, given = wire.get("system"), wire.get("messages")
    parts = read_content(system)
    sources: list[Source] = []
    if parts and only_text(parts) != "":
        sources.append(Source("system", None, _places("system", system)))
    for number, turn in enumerate(cast("list[_Fields]", given) if isinstance(given, list) else ()):
        path, content = f"messages[{number}]", turn.get("content")
        places = _places(f"{path}.content", content)
        for _, these in split_turn(turn["role"], read_content(content) or []):
            sources.append(Source(path, turn, [places[place] for place in these]))
    return sources


def _places(path: str, content: Any) -> list[Place]:
    if not isinstance(content, list):
        return [Place(path)]
    blocks = enumerate(cast("list[Any]", content))
    return [Place(f"{path}[{number}]", block, "content") for number, block in blocks]
