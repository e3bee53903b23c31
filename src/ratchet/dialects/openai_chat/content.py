"""OpenAI chat completions into the message form, whole: for the collector, off the request's path.

Nothing here raises for what a body holds. What has an unexpected shape becomes a `GenericPart` or an attribute, so
that it can still be seen; what can't be read at all is left to the caller as `unreadable`.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.content import AnswerContent, RequestContent
from ratchet.dialects.decoding import decode_object
from ratchet.dialects.folded import arguments_of
from ratchet.dialects.openai_chat.folding import FoldedChoice, fold_stream
from ratchet.dialects.openai_chat.reading import finish_reason, read_audio, read_message, read_part
from ratchet.domain.messages import (
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)

__all__ = [
    "AnswerContent",
    "RequestContent",
    "finish_reason",
    "message_of",
    "messages_of_request",
    "messages_of_response",
    "messages_of_stream",
    "parameters_of",
]


_encoder = msgspec.json.Encoder()

_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "service_tier": "openai.request.service_tier",
}
# Shown elsewhere on the span: who asked, what was asked, and whether it was streamed.
_NOT_PARAMETERS = frozenset(
    {"model", "messages", "stream", "stream_options", "user", "metadata", "tools", "functions"}
)
_ANSWER_ELSEWHERE = frozenset({"id", "object", "created", "model", "choices", "usage", "x_groq"})
_ANSWER_NAMES = {
    "service_tier": "openai.response.service_tier",
    "system_fingerprint": "openai.response.system_fingerprint",
}
_CHOICE_FIELDS = frozenset({"index", "message", "finish_reason"})
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def messages_of_request(body: bytes) -> RequestContent:
    """What a request body asks."""
    request = decode_object(body)
    if request is None:
        return RequestContent([], [], {}, unreadable=True)
    tools = [_tool_definition(tool) for tool in _list(request.get("tools"))]
    tools += [{"type": "function", **_dict(function)} for function in _list(request.get("functions"))]
    return RequestContent(
        [message_of(message) for message in _list(request.get("messages"))],
        tools,
        parameters_of(request),
    )


def messages_of_response(body: bytes) -> AnswerContent:
    """What an answer that was not streamed says."""
    answer = decode_object(body)
    if answer is None:
        return AnswerContent([], {}, unreadable=True)
    attributes: dict[str, str] = {}
    for name, value in answer.items():
        if name not in _ANSWER_ELSEWHERE and _says_something(value):
            attributes[_ANSWER_NAMES.get(name) or f"ratchet.response.{name}"] = _text(value)
    messages: list[Message] = []
    for position, entry in enumerate(_list(answer.get("choices"))):
        choice = _dict(entry)
        reason = choice.get("finish_reason")
        message = choice.get("message")
        if message is None and "text" in choice:  # a text completion
            message = {"content": choice["text"]}
        messages.append(message_of(message, finish_reason(reason) if isinstance(reason, str) else None))
        for name, value in choice.items():
            if name not in _CHOICE_FIELDS and name != "text" and _says_something(value):
                attributes[f"ratchet.response.choices.{position}.{name}"] = _text(value)
    return AnswerContent(messages, attributes)


def messages_of_stream(raw_sse: bytes) -> AnswerContent:
    """What a recorded event stream says, as far as it goes: a stream that was cut gives the part that came."""
    stream = fold_stream(raw_sse)
    attributes: dict[str, str] = {}
    for name, value in stream.extras.items():
        if _says_something(value):
            attributes[_ANSWER_NAMES.get(name) or f"ratchet.response.{name}"] = _text(value)
    messages: list[Message] = []
    for position, (_, choice) in enumerate(sorted(stream.choices.items())):
        messages.append(_folded_message(choice))
        if choice.logprobs:
            attributes[f"ratchet.response.choices.{position}.logprobs"] = _text(choice.logprobs)
    return AnswerContent(messages, attributes, unreadable=not stream.chunks and bool(raw_sse.strip()))


def _folded_message(choice: FoldedChoice) -> Message:
    parts: list[Part] = []
    if choice.reasoning:
        parts.append(ReasoningPart("".join(choice.reasoning)))
    if choice.text:
        parts.append(TextPart("".join(choice.text)))
    for piece in choice.content_parts:
        parts += map(read_part, cast("list[Any]", piece)) if isinstance(piece, list) else [read_part(piece)]
    if choice.refusal:
        parts.append(RefusalPart("".join(choice.refusal)))
    parts += [
        ToolCallPart(call.id, call.name, arguments_of("".join(call.arguments))) for call in choice.tool_calls
    ]
    if choice.audio:
        parts += read_audio({name: "".join(pieces) for name, pieces in choice.audio.items()})
    parts += [GenericPart(name, value) for name, value in choice.extras.items() if _says_something(value)]
    reason = choice.finish_reason
    return Message(choice.role or "assistant", parts, None, finish_reason(reason) if reason else None)


def message_of(value: Any, reason: str | None = None) -> Message:
    """One message of a request or an answer, decoded. `reason` is its finish reason, where it is an answer.

    What no part holds is shown as one: a `GenericPart` with the field's name.
    """
    if not isinstance(value, dict):
        return Message("assistant", [] if value is None else [GenericPart("message", value)], None, reason)
    fields = cast("dict[str, Any]", value)
    role, content = fields.get("role"), fields.get("content")
    if type(content) is str and content and type(role) is str and role in _SPEAKERS:
        if len(fields) == 2:  # nearly every message
            return Message(role, [TextPart(content)], None, reason)
        for name, said in fields.items():
            if said and name not in _TEXT_FIELDS:
                break
        else:  # nothing but empty fields beside it: nearly every answer
            return Message(role, [TextPart(content)], None, reason)
    message = read_message(fields, reason)
    if message.extra is None:
        return message
    beside = [
        GenericPart(name, said)
        for name, said in message.extra.items()
        if name != "wire" and _says_something(said)
    ]
    return Message(message.role, [*message.parts, *beside], message.name, reason)


_SPEAKERS = frozenset({"system", "developer", "user", "assistant"})
_TEXT_FIELDS = frozenset({"role", "content"})


def _tool_definition(tool: Any) -> Any:
    definition = _dict(tool)
    function = definition.get("function")
    if definition.get("type", "function") == "function" and isinstance(function, dict):
        return {"type": "function", **cast("dict[str, Any]", function)}
    return tool


def parameters_of(request: dict[str, Any]) -> dict[str, str]:
    """A request's parameters as text, with OpenTelemetry's names where it has one, else as `ratchet.request.*`."""
    attributes: dict[str, str] = {}
    for name, value in request.items():
        if name in _NOT_PARAMETERS or value is None:
            continue
        if name in _PARAMETERS:
            attributes[_PARAMETERS[name]] = _text(value)
        elif name == "n":
            if value != 1:  # the conventions want it only where it says something
                attributes["gen_ai.request.choice.count"] = _text(value)
        elif name == "stop":
            attributes["gen_ai.request.stop_sequences"] = _text([value] if isinstance(value, str) else value)
        else:
            attributes[f"ratchet.request.{name}"] = _text(value)
            if name == "response_format":
                kind = _OUTPUT_TYPES.get(str(_dict(value).get("type")))
                if kind:
                    attributes["gen_ai.output.type"] = kind
    return attributes


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _says_something(value: Any) -> bool:
    return bool(value) or value is False or (isinstance(value, (int, float)) and value == 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
