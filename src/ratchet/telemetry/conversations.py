"""Conversations as instrumentations of every generation write them, read into the message form.

OpenTelemetry's `gen_ai.input.messages` (a JSON text or a structure), attributes flattened by OpenLLMetry
(`gen_ai.prompt.0.role`) and by OpenInference (`llm.input_messages.0.message.role`), span events from before
conventions 1.37 (`gen_ai.user.message`), and plain values (`input.value`). Nothing here raises: what is none of these
is kept as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec

from ratchet.dialects.openai_chat.content import finish_reason, message_of
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)

__all__ = [
    "Side",
    "event_messages",
    "flattened_messages",
    "flattened_tools",
    "is_message_event",
    "messages_of_value",
    "openinference_messages",
    "tool_messages",
    "valid_messages",
]

Side = Literal["input", "output"]

_ROLES: dict[Side, str] = {"input": "user", "output": "assistant"}
_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CONTENT_EVENTS = {"gen_ai.content.prompt": "gen_ai.prompt", "gen_ai.content.completion": "gen_ai.completion"}

_DEEPEST = 12  # levels of a flattened key; no convention needs more than 8

_decoder = msgspec.json.Decoder()
_messages_decoder = msgspec.json.Decoder(list[Message])


def valid_messages(text: str) -> list[Message] | None:
    """`text` read as the message form, where it is that already, word for word; None where it is not."""
    if '"result"' in text:  # what some write for `response`
        return None
    try:
        return _messages_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def messages_of_value(value: Any, side: Side) -> list[Message]:
    """Messages from a text, a JSON text or a structure, in whichever shape they are."""
    if isinstance(value, str):
        decoded = _decoded(value)
        if decoded is None:
            return [Message(_ROLES[side], [TextPart(value)])] if value else []
        return _structured(decoded, side) or [Message(_ROLES[side], [TextPart(value)])]
    return _structured(value, side) or [Message(_ROLES[side], [GenericPart("value", value)])]


def flattened_messages(family: dict[str, Any], side: Side) -> list[Message]:
    """OpenLLMetry's: `{"0.role": …, "0.content": …, "0.tool_calls.0.name": …}`."""
    messages: list[Message] = []
    for entry in _items(_unflatten(family)):
        message = dict(_dict(entry))
        message.setdefault("role", _ROLES[side])
        content = message.get("content")
        if isinstance(content, str) and content.startswith("[{"):
            parts = _decoded(content)
            if isinstance(parts, list) and all("type" in _dict(part) for part in cast("list[Any]", parts)):
                message["content"] = parts
        if "tool_calls" in message:
            calls = [_dict(call) for call in _items(message["tool_calls"])]
            message["tool_calls"] = [
                {
                    "id": call.pop("id", None),
                    "function": {name: said for name, said in call.items() if name != "type"},
                }
                for call in map(dict, calls)
            ]
        messages.append(_answer_or_message(message))
    return messages


def openinference_messages(family: dict[str, Any], side: Side) -> list[Message]:
    """OpenInference's: `{"0.message.role": …, "0.message.contents.0.message_content.text": …}`."""
    messages: list[Message] = []
    for entry in _items(_unflatten(family)):
        fields = _dict(entry)
        for wrapper, name in (("prompt", "text"), ("completion", "text")):  # of a text completion
            if wrapper in fields:
                fields = {"message": {"content": _dict(fields[wrapper]).get(name)}}
        message = dict(_dict(fields.get("message")))
        message.setdefault("role", _ROLES[side])
        contents = message.pop("contents", None)
        if contents is not None:
            message["content"] = [
                _openinference_part(_dict(_dict(part).get("message_content"))) for part in _items(contents)
            ]
        if "tool_calls" in message:
            message["tool_calls"] = [_dict(call).get("tool_call") for call in _items(message["tool_calls"])]
        called = message.pop("function_call_name", None)
        arguments = message.pop("function_call_arguments_json", None)
        if called is not None:
            message["function_call"] = {"name": called, "arguments": arguments}
        messages.append(_answer_or_message(message))
    return messages


def flattened_tools(family: dict[str, Any]) -> list[Any]:
    """Tool definitions: `{"0.tool.json_schema": …}` (OpenInference), `{"0.name": …}` (OpenLLMetry)."""
    tools: list[Any] = []
    for entry in _items(_unflatten(family)):
        schema = _dict(_dict(entry).get("tool")).get("json_schema")
        if schema is not None:
            tool = _decoded(schema) if isinstance(schema, str) else schema
            function = _dict(tool).get("function")
            tools.append({"type": "function", **_dict(function)} if function else (tool or schema))
        else:
            tool = dict(_dict(entry))
            parameters = tool.get("parameters")
            if isinstance(parameters, str):
                tool["parameters"] = _decoded(parameters) or parameters
            tools.append({"type": "function", **tool})
    return tools


def is_message_event(name: str) -> bool:
    """Whether a span event with this name carries a part of the conversation."""
    return name in _EVENT_ROLES or name == "gen_ai.choice" or name in _CONTENT_EVENTS


def event_messages(events: Sequence[tuple[str, dict[str, Any]]]) -> tuple[list[Message], list[Message]]:
    """Input and output messages of span events `(name, attributes)`, in the order of the events."""
    asked: list[Message] = []
    answered: list[Message] = []
    for name, attributes in events:
        body = dict(attributes)
        packed = body.pop("gen_ai.event.content", None)
        if isinstance(packed, str):
            body.update(_dict(_decoded(packed)))
        for noise in ("gen_ai.system", "gen_ai.provider.name", "event.name", "gen_ai.operation.name"):
            body.pop(noise, None)
        if name in _EVENT_ROLES:
            body.setdefault("role", _EVENT_ROLES[name])
            if body["role"] == "tool":
                body.setdefault("tool_call_id", body.pop("id", None))
            asked.append(message_of(_with_decoded_calls(body)))
        elif name == "gen_ai.choice":
            answered.append(_choice(body))
        elif name == "gen_ai.content.prompt":
            asked += messages_of_value(body.get("gen_ai.prompt"), "input")
        elif name == "gen_ai.content.completion":
            answered += messages_of_value(body.get("gen_ai.completion"), "output")
    return asked, answered


def tool_messages(
    name: str, call_id: str | None, given: Any, result: Any
) -> tuple[list[Message], list[Message]]:
    """What a tool was given and what it gave back; None stands for not known."""
    asked: list[Message] = []
    answered: list[Message] = []
    if given is not None:
        arguments = (_decoded(given) or given) if isinstance(given, str) else given
        asked.append(Message("assistant", [ToolCallPart(call_id, name, arguments)]))
    if result is not None:
        response = (_decoded(result) or result) if isinstance(result, str) else result
        answered.append(Message("tool", [ToolCallResponsePart(call_id, response)]))
    return asked, answered


def _structured(value: Any, side: Side) -> list[Message]:
    """Messages where `value` is some shape of them; an empty list where it is something else."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if isinstance(fields.get("messages"), list):
            return _structured(fields["messages"], side)
        if isinstance(fields.get("choices"), list):  # an OpenAI answer, whole
            choices = [_dict(choice) for choice in cast("list[Any]", fields["choices"])]
            return [_choice(choice) for choice in choices if "message" in choice]
        return [_one(fields, side)] if "role" in fields or "parts" in fields else []
    if not isinstance(value, list) or not value:
        return []
    entries = cast("list[Any]", value)
    if not all(isinstance(entry, dict) for entry in entries):
        return []
    items = cast("list[dict[str, Any]]", entries)
    if all("role" in item or "parts" in item for item in items):
        return [_one(item, side) for item in items]
    if all("type" in item and "content" in item for item in items):  # parts, as in system_instructions
        return [Message(_ROLES[side], [_part(item) for item in items])]
    return []


def _one(fields: dict[str, Any], side: Side) -> Message:
    role = fields.get("role")
    role = role if isinstance(role, str) and role else _ROLES[side]
    if isinstance(fields.get("parts"), list):
        name, reason = fields.get("name"), fields.get("finish_reason")
        return Message(
            role,
            [_part(_dict(part)) for part in fields["parts"]],
            name if isinstance(name, str) else None,
            finish_reason(reason) if isinstance(reason, str) and reason else None,
        )
    return _answer_or_message(_with_decoded_calls({**fields, "role": role}))


def _part(part: dict[str, Any]) -> Part:
    """A part of OpenTelemetry's message form, with its wilder spellings."""
    kind, content = part.get("type"), part.get("content")
    if isinstance(content, str):
        if kind == "text":
            return TextPart(content)
        if kind == "reasoning":
            return ReasoningPart(content, _text_or_none(part.get("signature")))
        if kind == "refusal":
            return RefusalPart(content)
    if kind == "tool_call" and isinstance(part.get("name"), str):
        return ToolCallPart(_text_or_none(part.get("id")), part["name"], _object(part.get("arguments")))
    if kind == "tool_call_response":
        response = part.get("response")
        answer = part.get("result") if response is None else response
        return ToolCallResponsePart(_text_or_none(part.get("id")), answer)
    if kind == "generic" and isinstance(part.get("name"), str):
        return GenericPart(part["name"], part.get("value"))
    return _medium(part) or GenericPart(kind if isinstance(kind, str) else "part", part)


def _medium(part: dict[str, Any]) -> Part | None:
    kind, modality = part.get("type"), _text_or_none(part.get("modality")) or "file"
    mime = _text_or_none(part.get("mime_type"))
    if kind == "blob" and isinstance(part.get("content"), str):
        return BlobPart(modality, part["content"], mime)
    if kind == "uri" and isinstance(part.get("uri"), str):
        return UriPart(modality, part["uri"], mime)
    if kind == "file" and isinstance(part.get("file_id"), str):
        return FilePart(modality, part["file_id"], mime)
    return None


def _choice(body: dict[str, Any]) -> Message:
    message = body.get("message")
    if isinstance(message, str):
        message = _dict(_decoded(message)) or {"content": message}
    fields = dict(_dict(cast("Any", message))) if message is not None else dict(body)
    for noise in ("index", "finish_reason"):
        fields.pop(noise, None)
    fields.setdefault("role", "assistant")
    reason = body.get("finish_reason")
    return message_of(
        _with_decoded_calls(fields), finish_reason(reason) if isinstance(reason, str) and reason else None
    )


def _answer_or_message(fields: dict[str, Any]) -> Message:
    reason = fields.pop("finish_reason", None)
    return message_of(fields, finish_reason(reason) if isinstance(reason, str) and reason else None)


def _with_decoded_calls(fields: dict[str, Any]) -> dict[str, Any]:
    calls = fields.get("tool_calls")
    return {**fields, "tool_calls": _decoded(calls)} if isinstance(calls, str) else fields


def _openinference_part(part: dict[str, Any]) -> Any:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("text")}
    if kind == "image":
        return {
            "type": "image_url",
            "image_url": {"url": _dict(_dict(part.get("image")).get("image")).get("url")},
        }
    if kind == "audio":
        return {
            "type": "audio_url",
            "audio_url": {"url": _dict(_dict(part.get("audio")).get("audio")).get("url")},
        }
    if kind == "reasoning":
        return {"type": "thinking", "thinking": part.get("text")}
    return part


def _unflatten(family: dict[str, Any]) -> dict[str, Any]:
    """`{"0.a.b": 1}` → `{"0": {"a": {"b": 1}}}`. Where a key is both a value and a prefix, the value gives way."""
    tree: dict[str, Any] = {}
    for key, value in family.items():
        node = tree
        *path, leaf = key.split(".", _DEEPEST)
        for step in path:
            below = node.get(step)
            if not isinstance(below, dict):
                below = node[step] = {}
            node = cast("dict[str, Any]", below)
        if not isinstance(node.get(leaf), dict):
            node[leaf] = value
    return tree


def _items(tree: Any) -> list[Any]:
    """The values under numeric keys, in the order of the numbers."""
    if isinstance(tree, list):
        return cast("list[Any]", tree)
    numbered = {int(key): value for key, value in _dict(tree).items() if key.isdecimal() and len(key) < 7}
    return [numbered[index] for index in sorted(numbered)]


def _object(value: Any) -> Any:
    decoded = _decoded(value) if isinstance(value, str) else None
    return value if decoded is None else decoded


def _decoded(text: Any) -> Any:
    """The object or array that `text` is the JSON of, or None."""
    if not isinstance(text, str) or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
