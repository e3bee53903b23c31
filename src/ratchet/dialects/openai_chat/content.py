"""OpenAI chat completions into the message form, whole: for the collector, off the request's path.

Nothing here raises for what a body holds. What has an unexpected shape becomes a `GenericPart` or an attribute, so
that it can still be seen; what can't be read at all is left to the caller as `unreadable`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import mended
from ratchet.dialects.openai_chat.folding import FoldedChoice, fold_stream
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
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


class RequestContent(msgspec.Struct, frozen=True):
    """`attributes` are the request's parameters as text, with OpenTelemetry's names where it has one."""

    messages: list[Message]
    tools: list[Any]  # definitions in OpenTelemetry's shape: {type, name, description, parameters}
    attributes: dict[str, str]
    unreadable: bool = False


class AnswerContent(msgspec.Struct, frozen=True):
    """One message for each choice, in the order of their indices."""

    messages: list[Message]
    attributes: dict[str, str]
    unreadable: bool = False


_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "error": "error",
    "insufficient_system_resource": "error",  # DeepSeek
    "eos": "stop",  # Together
    "eos_token": "stop",  # Hugging Face
    "stop_sequence": "stop",
    "model_length": "length",  # Mistral
}

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
_MESSAGE_FIELDS = frozenset(
    {
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "reasoning_content",
        "reasoning",
        "refusal",
        "audio",
        "function_call",
    }
)
_CHOICE_FIELDS = frozenset({"index", "message", "finish_reason"})
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_URL_MODALITIES = {"image_url": "image", "video_url": "video", "audio_url": "audio"}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def finish_reason(wire: str) -> str:
    """OpenTelemetry's word for it (stop, length, content_filter, tool_call, error); an unknown one as it came."""
    return _FINISH_REASONS.get(wire, wire)


def messages_of_request(body: bytes) -> RequestContent:
    """What a request body asks."""
    request = _decode(body)
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
    answer = _decode(body)
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
    parts += [part for piece in choice.content_parts for part in _parts_of(piece)]
    if choice.refusal:
        parts.append(GenericPart("refusal", "".join(choice.refusal)))
    parts += [
        ToolCallPart(call.id, call.name, _arguments("".join(call.arguments))) for call in choice.tool_calls
    ]
    if choice.audio:
        parts += _answered_audio({name: "".join(pieces) for name, pieces in choice.audio.items()})
    parts += [GenericPart(name, value) for name, value in choice.extras.items() if _says_something(value)]
    reason = choice.finish_reason
    return Message(choice.role or "assistant", parts, None, finish_reason(reason) if reason else None)


def message_of(value: Any, reason: str | None = None) -> Message:
    """One message of a request or an answer, decoded. `reason` is its finish reason, where it is an answer."""
    if not isinstance(value, dict):
        return Message("assistant", [] if value is None else [GenericPart("message", value)], None, reason)
    message = cast("dict[str, Any]", value)
    role = message.get("role")
    role = role if isinstance(role, str) and role else "assistant"
    content = message.get("content")
    if len(message) == 2 and type(content) is str and content and role in _SPEAKERS:  # nearly every message
        return Message(role, [TextPart(content)], None, reason)
    parts: list[Part] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if thought:
        parts.append(ReasoningPart(thought if isinstance(thought, str) else _text(thought)))
    if role in ("tool", "function"):
        parts.append(ToolCallResponsePart(_optional_text(message.get("tool_call_id")), _tool_answer(content)))
    elif isinstance(content, str):
        if content:
            parts.append(TextPart(content))
    elif content is not None:
        parts += _parts_of(content)
    for field, said in message.items():
        if said and field not in _PLAIN_FIELDS:
            parts += _less_common(message)
            break
    name = message.get("name")
    return Message(role, parts, name if isinstance(name, str) else None, reason)


_SPEAKERS = frozenset({"system", "developer", "user", "assistant"})
_PLAIN_FIELDS = frozenset({"role", "content", "name", "tool_call_id", "reasoning_content", "reasoning"})


def _less_common(message: dict[str, Any]) -> Iterable[Part]:
    """Tool calls, refusals, sound, and whatever has no part of its own."""
    refusal = message.get("refusal")
    if refusal:
        yield GenericPart("refusal", refusal)
    for call in _list(message.get("tool_calls")):
        yield _tool_call(_dict(call))
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        yield _tool_call({"function": legacy})
    audio = message.get("audio")
    if isinstance(audio, dict):
        yield from _answered_audio(cast("dict[str, Any]", audio))
    for name in message.keys() - _MESSAGE_FIELDS:
        if _says_something(message[name]):
            yield GenericPart(name, message[name])


def _tool_call(call: dict[str, Any]) -> Part:
    called = call.get("function") or call.get("custom")
    if not isinstance(called, dict):
        return GenericPart("tool_call", call)
    function = cast("dict[str, Any]", called)
    arguments = function.get("arguments", function.get("input"))
    return ToolCallPart(
        _optional_text(call.get("id")),
        _optional_text(function.get("name")) or "",
        _arguments(arguments) if isinstance(arguments, str) else arguments,
    )


def _arguments(text: str) -> Any:
    """The decoded object; anything else, JSON or not, stays the text it was."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _tool_answer(content: Any) -> Any:
    """Text where it is text alone, and otherwise the parts as they came."""
    if not isinstance(content, list):
        return content
    parts = cast("list[Any]", content)
    texts = [_dict(part).get("text") for part in parts]
    return "".join(cast("list[str]", texts)) if all(isinstance(text, str) for text in texts) else parts


def _parts_of(content: Any) -> Iterable[Part]:
    if not isinstance(content, list):
        yield GenericPart("content", content)
        return
    for entry in cast("list[Any]", content):
        if isinstance(entry, str):
            yield TextPart(entry)
        elif isinstance(entry, dict):
            yield _part(cast("dict[str, Any]", entry))
        elif entry is not None:
            yield GenericPart("content", entry)


def _part(part: dict[str, Any]) -> Part:
    kind = part.get("type")
    text = part.get("text")
    if isinstance(text, str) and kind in ("text", "input_text", "output_text", None):
        return TextPart(text)
    read: Part | None = None
    if isinstance(kind, str):
        if kind in _URL_MODALITIES:
            read = _from_url(_URL_MODALITIES[kind], part.get(kind))
        elif kind == "input_audio":
            read = _given_audio(_dict(part.get("input_audio")))
        elif kind == "file":
            read = _file(_dict(part.get("file")))
        elif kind == "thinking":
            read = _thinking(part.get("thinking"))
        elif kind == "refusal":
            read = GenericPart("refusal", part.get("refusal"))
    return read or GenericPart(kind if isinstance(kind, str) else "content", part)


def _from_url(modality: str, value: Any) -> Part | None:
    url = _dict(value).get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        return None
    return _from_data_url(modality, url) or UriPart(modality, url)


def _from_data_url(modality: str, url: str) -> BlobPart | None:
    if not url.startswith("data:"):
        return None
    head, comma, content = url.partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    return BlobPart(modality, content, head[5:-7] or None)


def _given_audio(audio: dict[str, Any]) -> Part | None:
    data, form = audio.get("data"), audio.get("format")
    if not isinstance(data, str):
        return None
    kind = _AUDIO_TYPES.get(form, f"audio/{form}") if isinstance(form, str) else None
    return _from_data_url("audio", data) or BlobPart("audio", data, kind)


def _answered_audio(audio: dict[str, Any]) -> Iterable[Part]:
    """In an answer: data and transcript. In a later request, only the id that stands for them."""
    data, transcript, known = audio.get("data"), audio.get("transcript"), audio.get("id")
    if isinstance(transcript, str) and transcript:
        yield TextPart(transcript)
    if isinstance(data, str) and data:
        yield BlobPart("audio", data, None)
    elif isinstance(known, str):
        yield FilePart("audio", known)


def _file(file: dict[str, Any]) -> Part | None:
    data, known = file.get("file_data"), file.get("file_id")
    if isinstance(data, str):
        return _from_data_url("document", data) or BlobPart("document", data)
    if isinstance(known, str):
        return FilePart("document", known)
    return None


def _thinking(value: Any) -> Part | None:
    if isinstance(value, str):
        return ReasoningPart(value)
    texts = [_dict(part).get("text") for part in _list(value)]
    return ReasoningPart("".join(text for text in texts if isinstance(text, str))) if texts else None


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


def _decode(body: bytes) -> dict[str, Any] | None:
    try:
        value = _decoder.decode(body)
    except RecursionError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _decode_mended(body)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _decode_mended(body: bytes) -> Any:
    """For a body of which only some characters are broken."""
    try:
        return _decoder.decode(mended(body).decode("utf-8", "replace"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _says_something(value: Any) -> bool:
    return bool(value) or value is False or (isinstance(value, (int, float)) and value == 0)


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
