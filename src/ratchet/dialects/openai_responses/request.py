"""A request of the Responses API in the neutral form.

Read and written again (`ratchet.dialects.openai_responses.asking`), a request of this dialect is the same JSON. How
something was written down that can be written in more than one way stands in `extra["wire"]`, and so does what says
no more than its absence would (`background: false`, `truncation: "disabled"`): no other dialect needs to know of it.
"""

from __future__ import annotations

from typing import Any, cast

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.openai_responses.reading import read_items
from ratchet.dialects.openai_responses.words import NAME, rest_of
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, Tool, ToolChoice
from ratchet.domain.messages import Extra, Message, TextPart
from ratchet.errors import InvalidRequest

__all__ = ["LOGPROBS", "OUTPUT_KINDS", "PARAMETERS", "read_request"]

LOGPROBS = "message.output_text.logprobs"
OUTPUT_KINDS = {"text": "text", "json_object": "json", "json_schema": "json_schema"}

_NUMBER, _INTEGER, _BOOLEAN, _TEXT, _OBJECT = (int, float), (int,), (bool,), (str,), (dict,)
# wire name: (the form's field, what it must be to go there)
PARAMETERS: dict[str, tuple[str, tuple[type, ...]]] = {
    "max_output_tokens": ("max_tokens", _INTEGER),
    "parallel_tool_calls": ("parallel_tool_calls", _BOOLEAN),
    "temperature": ("temperature", _NUMBER),
    "top_p": ("top_p", _NUMBER),
    "top_logprobs": ("top_logprobs", _INTEGER),
    "user": ("user", _TEXT),
    "metadata": ("metadata", _OBJECT),
    "service_tier": ("service_tier", _TEXT),
}
# What happens anyway, where nothing is said.
_USUAL = {"background": False, "truncation": "disabled", "stream": False}
# Other dialects are always sent every thought that their model can take back: all turns.
_USUAL_THINKING = {"context": ("auto", "all_turns"), "mode": ("standard",)}


def read_request(body: bytes) -> Request:
    """A request, whatever it holds. Raises InvalidRequest only where the body is no JSON object."""
    wire = decode_object(body)
    if wire is None:
        raise InvalidRequest(
            "The request body is not a JSON object.",
            "Send one with `model` and `input`.",
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
        for name, usual in _USUAL.items():
            if rest.get(name) is not None and rest[name] == usual:
                self.notes[name] = rest.pop(name)
        for name, (field, kinds) in PARAMETERS.items():
            value = rest.get(name)
            if isinstance(value, kinds) and isinstance(value, bool) == (kinds is _BOOLEAN):
                fields[field] = rest.pop(name)
        model = rest.pop("model") if isinstance(rest.get("model"), str) else ""
        if rest.get("stream") is True:  # its usage always comes
            fields["stream"] = fields["include_usage"] = rest.pop("stream")
        if "user" not in fields and isinstance(rest.get("safety_identifier"), str):
            fields["user"] = rest.pop("safety_identifier")
            self.notes["user"] = "safety_identifier"
        self._include()
        self._thinking()
        self._text()
        self._tools()
        messages = self._messages()
        if self.notes:
            rest["wire"] = self.notes
        return Request(dialect=NAME, model=model, messages=messages, extra=rest or None, **fields)

    def _messages(self) -> list[Message]:
        rest = self.rest
        given = rest.get("input")
        messages: list[Message] = []
        if isinstance(given, str):
            messages.append(Message("user", [TextPart(given)]))
            self.notes["input"] = "text"
        elif isinstance(given, list):
            messages += read_items(cast("list[Any]", given))
        if isinstance(given, str | list):
            del rest["input"]
        elif "input" not in rest:
            self.notes["input"] = "absent"
        if isinstance(rest.get("instructions"), str) and rest["instructions"]:
            return [Message("system", [TextPart(rest.pop("instructions"))]), *messages]
        if messages and messages[0].role == "system":
            self.notes["instructions"] = "absent"  # the first message is an item as the others are
        return messages

    def _include(self) -> None:
        """What more the answer shall tell: beside the logprobs, things that only OpenAI's own tools give."""
        given = self.rest.get("include")
        if isinstance(given, list):
            self.notes["include"] = self.rest.pop("include")
            if LOGPROBS in given:
                self.fields["logprobs"] = True

    def _thinking(self) -> None:
        given = self.rest.get("reasoning")
        if not isinstance(given, dict):
            return
        rest = dict(cast("dict[str, Any]", self.rest.pop("reasoning")))
        notes = {name: rest.pop(name) for name, usual in _USUAL_THINKING.items() if rest.get(name) in usual}
        effort = rest.pop("effort") if isinstance(rest.get("effort"), str) else None
        shown = [name for name in ("summary", "generate_summary") if isinstance(rest.get(name), str)]
        if shown and not (len(shown) == 1 and rest.get("summary") == "auto"):
            notes.update({name: rest[name] for name in shown})
        for name in shown:
            del rest[name]
        if notes:
            rest["wire"] = notes
        self.fields["thinking"] = Thinking(effort=effort, show=True if shown else None, extra=rest or None)

    def _text(self) -> None:
        given = self.rest.get("text")
        if not isinstance(given, dict):
            return
        rest = dict(cast("dict[str, Any]", given))
        empty = not rest
        output = _output(rest.get("format"))
        if output is not None:
            self.fields["output"] = output
            del rest["format"]
        if isinstance(rest.get("verbosity"), str):
            self.fields["verbosity"] = rest.pop("verbosity")
        if rest or empty:
            self.rest["text"] = rest
        else:
            del self.rest["text"]

    def _tools(self) -> None:
        rest = self.rest
        given = rest.get("tools")
        if isinstance(given, list) and given:
            read = [_tool(tool) for tool in cast("list[Any]", given)]
            if None not in read:
                self.fields["tools"] = read
                del rest["tools"]
        choice = _choice(rest.get("tool_choice"))
        if choice is not None:
            self.fields["tool_choice"] = choice
            del rest["tool_choice"]


def _typed(fields: dict[str, Any], **kinds: type) -> dict[str, Any]:
    """Those of `fields` that are of the given kinds."""
    return {
        name: fields[name]
        for name, kind in kinds.items()
        if fields.get(name) is not None and isinstance(fields[name], kind)
    }


def _output(value: Any) -> OutputFormat | None:
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, Any]", value)
    wire = given.get("type")
    kind = OUTPUT_KINDS.get(wire) if isinstance(wire, str) else None
    if kind is None:
        return None
    known = (
        _typed(given, name=str, strict=bool, description=str, schema=object) if kind == "json_schema" else {}
    )
    return OutputFormat(kind=kind, extra=rest_of(given, "type", *known) or None, **known)


def _tool(value: Any) -> Tool | HostedTool | None:
    tool = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    kind = tool.get("type")
    if kind == "function" and isinstance(tool.get("name"), str):
        known = _typed(tool, name=str, description=str, strict=bool, parameters=object)
        return Tool(extra=rest_of(tool, "type", *known) or None, **known)
    return HostedTool(kind=kind, definition=tool) if isinstance(kind, str) else None


def _choice(value: Any) -> ToolChoice | None:
    if isinstance(value, str):
        return ToolChoice(mode=value) if value in ("auto", "none", "required") else None
    if not isinstance(value, dict):
        return None
    choice = cast("dict[str, Any]", value)
    kind, name, mode = choice.get("type"), choice.get("name"), choice.get("mode")
    if kind == "function" and isinstance(name, str) and len(choice) == 2:
        return ToolChoice(mode="tool", name=name)
    if (
        kind == "allowed_tools"
        and mode in ("auto", "required")
        and choice.keys() == {"type", "mode", "tools"}
    ):
        names = _function_names(choice["tools"])
        if names is not None:
            return ToolChoice(mode="allowed", names=names, required=mode == "required")
    return ToolChoice(mode="tool", extra=dict(choice)) if isinstance(kind, str) else None


def _function_names(value: Any) -> list[str] | None:
    names: list[str] = []
    for entry in cast("list[Any]", value) if isinstance(value, list) else [None]:
        tool = cast("Extra", entry) if isinstance(entry, dict) else {}
        name = tool.get("name")
        if tool.keys() != {"type", "name"} or tool["type"] != "function" or not isinstance(name, str):
            return None
        names.append(name)
    return names
