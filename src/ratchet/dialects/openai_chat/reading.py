"""A message of a chat completion, in the message form: the one reader, for the gateway and for telemetry.

Nothing here raises for what a message holds. What no part can hold is kept: an unknown part as a `GenericPart`, an
unknown field in `extra` under its own name. How something was written that can be written in more than one way
(`content` as a text or as a list of one text, say) stands in `extra["wire"]`, for this dialect's writer alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, cast

import msgspec

from ratchet.dialects.folded import arguments_of
from ratchet.dialects.openai_chat.thoughts import NAME, THOUGHT_FIELDS, read_thoughts
from ratchet.dialects.signatures import untagged
from ratchet.domain.messages import (
    BlobPart,
    Extra,
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

__all__ = ["empty_content", "finish_reason", "read_audio", "read_call", "read_message", "read_part"]

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
_SPEAKERS = frozenset({"system", "developer", "user", "assistant"})
_MESSAGE_FIELDS = THOUGHT_FIELDS | {
    "role",
    "content",
    "name",
    "tool_calls",
    "refusal",
    "audio",
    "function_call",
}
_URL_FIELDS = frozenset({"url", "detail"})
_TOOL_FIELDS = frozenset({"role", "content", "tool_call_id", "name"})
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_URL_MODALITIES = {"image_url": "image", "video_url": "video", "audio_url": "audio"}
_encoder = msgspec.json.Encoder()


def finish_reason(wire: str, *, called: bool = False) -> str:
    """OpenTelemetry's word for it (stop, length, content_filter, tool_call, error); an unknown one as it came.

    `called` tells that the model called a tool. It then waits for the result, though OpenAI says `stop` where the app
    named the tool itself, and some look-alikes say it always.
    """
    known = _FINISH_REASONS.get(wire, wire)
    return "tool_call" if called and known == "stop" else known


def empty_content(role: str, *, says_more: bool) -> str | None:
    """What stands in `content` where there is none: OpenAI wants a text unless a call, a refusal or sound is there."""
    return None if says_more and role == "assistant" else ""


def read_message(message: dict[str, Any], reason: str | None = None) -> Message:
    """One message of a request or an answer. `reason` is its finish reason, where it is an answer."""
    role = message.get("role")
    role = role if isinstance(role, str) and role else "assistant"
    content = message.get("content")
    if len(message) == 2 and type(content) is str and content and role in _SPEAKERS:  # nearly every message
        return Message(role, [TextPart(content)], None, reason)
    if role in ("tool", "function"):
        return _tool_message(role, message, reason)
    extra: Extra = {}
    parts: list[Part] = []
    fields = message.keys()
    if not fields.isdisjoint(THOUGHT_FIELDS):
        parts += read_thoughts(message, extra)
    said = [] if fields <= _SIMPLE_FIELDS else _less_common(message, extra)
    if type(content) is str and content:
        parts.append(TextPart(content))
    elif content is not None or said == [] or role != "assistant" or "content" not in message:
        parts += _content(message, extra, role, says_more=bool(said))
    parts += said
    name = message.get("name")
    if name is not None and not isinstance(name, str):
        extra["name"], name = name, None
    if not fields <= _MESSAGE_FIELDS:
        extra.update(_rest(message, _MESSAGE_FIELDS))
    return Message(role, parts, name, reason, extra or None)


_SIMPLE_FIELDS = THOUGHT_FIELDS | {"role", "content", "name"}


def _content(message: dict[str, Any], extra: Extra, role: str, *, says_more: bool) -> Iterable[Part]:
    """The parts of a `content` that is not a text with something in it."""
    content = message.get("content")
    if isinstance(content, list) and content:
        parts = [read_part(entry) for entry in cast("list[Any]", content)]
        if len(parts) == 1 and type(parts[0]) is TextPart and parts[0].extra is None:
            extra["wire"] = "list"
        return parts
    if content is None or content in ("", []):
        if "content" not in message:
            extra["wire"] = "absent"
        elif content != empty_content(role, says_more=says_more):
            extra["content"] = content
        return ()
    extra["wire"] = "value"
    return (GenericPart("content", content),)


def _less_common(message: dict[str, Any], extra: Extra) -> list[Part]:
    """Refusals, calls and sound."""
    parts: list[Part] = []
    for field, kind in _LESS_COMMON.items():
        if field not in message:
            continue
        value = message[field]
        if not value or not isinstance(value, kind):
            extra[field] = value
        elif field == "tool_calls":
            parts += map(read_call, value)
        elif field == "refusal":
            parts.append(RefusalPart(value))
        elif field == "function_call":
            parts.append(_legacy_call(value))
        else:
            parts += read_audio(value)
    return parts


_LESS_COMMON: dict[str, type] = {"refusal": str, "tool_calls": list, "function_call": dict, "audio": dict}


def read_call(value: Any) -> Part:
    """One entry of `tool_calls`."""
    call = _dict(value)
    called = call.get("function")
    if isinstance(called, dict):
        extra: Extra = {}
    else:
        called, extra = call.get("custom"), {"custom": True}
        if not isinstance(called, dict):
            return GenericPart("tool_call", value)
    function = cast("dict[str, Any]", called)
    known, name = call.get("id"), function.get("name")
    given = function.get("input" if extra else "arguments")
    signature = origin = None
    if len(call) != 3 or len(function) != 2 or "type" not in call or "id" not in call:
        rest = _rest(function, {"name", "input" if extra else "arguments"})
        if rest:
            extra["function"] = rest
        extra.update(_rest(call, {"id", "type", "function", "custom"}))
        signature, origin = _take_signature(extra)
    return ToolCallPart(
        known if isinstance(known, str) else None if known is None else _text(known),
        name if isinstance(name, str) else "",
        arguments_of(given) if isinstance(given, str) and "custom" not in extra else given,
        signature,
        origin,
        extra or None,
    )


def _take_signature(extra: Extra) -> tuple[str | None, str | None]:
    """The proof of a call, where Google's OpenAI-compatible shape has it; what else stands there stays."""
    content = extra.get("extra_content")
    google = _dict(_dict(content).get("google"))
    signature = google.get("thought_signature")
    if not isinstance(signature, str) or not signature:
        return None, None
    more, rest = _rest(google, {"thought_signature"}), _rest(_dict(content), {"google"})
    if more:
        rest["google"] = more
    if rest:
        extra["extra_content"] = rest
    else:
        del extra["extra_content"]
    return untagged(signature, NAME)


def _legacy_call(function: dict[str, Any]) -> Part:
    """A call as it was before there were tools: one a message, without an id."""
    name, given = function.get("name"), function.get("arguments")
    rest = _rest(function, {"name", "arguments"})
    return ToolCallPart(
        None,
        name if isinstance(name, str) else "",
        arguments_of(given) if isinstance(given, str) else given,
        extra={"wire": "function_call", "function": rest} if rest else {"wire": "function_call"},
    )


def _tool_message(role: str, message: dict[str, Any], reason: str | None) -> Message:
    content, known, name = message.get("content"), message.get("tool_call_id"), message.get("name")
    extra: Extra = {} if message.keys() <= _TOOL_FIELDS else _rest(message, _TOOL_FIELDS)
    if role == "function":
        extra["wire"] = "function"
    part_extra: Extra | None = None
    if isinstance(content, list) and content:
        entries = cast("list[Any]", content)
        texts = [_plain_text(entry) for entry in entries]
        if None in texts:
            content = [read_part(entry) for entry in entries]
        else:
            said = cast("list[str]", texts)
            content, part_extra = "".join(said), {"wire": [len(text) for text in said]}
    part = ToolCallResponsePart(
        known if isinstance(known, str) else None if known is None else _text(known),
        content,
        name if isinstance(name, str) else None,
        None,
        part_extra,
    )
    return Message("tool", [part], None, reason, extra or None)


def _plain_text(entry: Any) -> str | None:
    fields = _dict(entry)
    text = fields.get("text")
    return text if len(fields) == 2 and fields.get("type") == "text" and isinstance(text, str) else None


def read_part(value: Any) -> Part:
    """One entry of a `content` list."""
    if isinstance(value, str):
        return TextPart(value, {"wire": "string"})
    if not isinstance(value, dict):
        return GenericPart("content", value)
    part = cast("dict[str, Any]", value)
    kind, text = part.get("type"), part.get("text")
    if isinstance(text, str) and kind in ("text", "input_text", "output_text", None):
        if len(part) == 2 and kind == "text":
            return TextPart(text)
        extra = _rest(part, {"type", "text"})
        if kind != "text":
            extra["wire"] = kind
        return TextPart(text, extra or None)
    if not isinstance(kind, str):
        return GenericPart("content", part)
    reader = _PARTS.get(kind)
    inside = part.get(kind)
    read = reader(kind, inside) if reader and inside is not None else None
    if read is None:
        return GenericPart(kind, part)
    if len(part) > 2:
        more = _rest(part, {"type", kind})
        read = msgspec.structs.replace(read, extra={**(read.extra or {}), **more})
    return read


_Known = BlobPart | UriPart | FilePart | ReasoningPart | RefusalPart


def _from_url(kind: str, value: Any) -> _Known | None:
    """A picture, film or sound by its address. `extra` has `detail` and, under the part's kind, what else is said."""
    extra: Extra = {}
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        url = fields.get("url")
        if "detail" in fields:
            extra["detail"] = fields["detail"]
        if len(fields) > 1 + len(extra):
            extra[kind] = _rest(fields, _URL_FIELDS)
    else:
        url, extra["wire"] = value, "string"
    if not isinstance(url, str):
        return None
    modality = _URL_MODALITIES[kind]
    data = _from_data_url(url)
    if data is None:
        return UriPart(modality, url, extra=extra or None)
    if modality == "audio":
        extra["wire"] = "audio_url"
    return BlobPart(modality, data[1], data[0] or None, extra=extra or None)


def _from_data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64)."""
    if not url.startswith("data:"):
        return None
    head, comma, content = url.partition(",")
    return (head[5:-7], content) if comma and head.endswith(";base64") else None


def _given_audio(_: str, value: Any) -> _Known | None:
    audio = _dict(value)
    data, form = audio.get("data"), audio.get("format")
    if not isinstance(data, str):
        return None
    more = _rest(audio, {"data", "format"})
    extra: Extra = {"input_audio": more} if more else {}
    url = _from_data_url(data)
    if url is not None:
        extra["wire"] = {"format": form} if "format" in audio else {}
        return BlobPart("audio", url[1], url[0] or None, extra=extra)
    kind = _AUDIO_TYPES.get(form, f"audio/{form}") if isinstance(form, str) else None
    if not isinstance(form, str) and "format" in audio:
        extra["input_audio"] = {**more, "format": form}
    return BlobPart("audio", data, kind, extra=extra or None)


def _file(_: str, value: Any) -> _Known | None:
    file = _dict(value)
    data, known, name = file.get("file_data"), file.get("file_id"), file.get("filename")
    held = "file_data" if isinstance(data, str) else "file_id"
    more = _rest(file, {held, "filename"} if isinstance(name, str) else {held})
    name = name if isinstance(name, str) else None
    extra: Extra = {"file": more} if more else {}
    if isinstance(data, str):
        url = _from_data_url(data)
        if url is not None:
            return BlobPart("document", url[1], url[0] or None, name, extra or None)
        if data[:8].lower().startswith(("http://", "https://")):  # OpenRouter
            return UriPart("document", data, None, name, extra or None)
        return BlobPart("document", data, None, name, {**extra, "wire": "raw"})
    if isinstance(known, str):
        return FilePart("document", known, None, name, extra or None)
    return None


def _thinking(_: str, value: Any) -> _Known | None:
    """Mistral's: a thought among the content, mostly as a list of one text."""
    if isinstance(value, str):
        return ReasoningPart(value, extra={"wire": {"field": "content", "plain": True}})
    texts = [_plain_text(entry) for entry in cast("list[Any]", value)] if isinstance(value, list) else []
    if not texts:
        return None
    said = [text for text in texts if text is not None]
    wire: dict[str, Any] = {"field": "content"}
    if len(said) != len(texts):
        wire["thinking"] = value
    elif len(said) > 1:
        wire["lengths"] = [len(text) for text in said]
    return ReasoningPart("".join(said), extra={"wire": wire})


def _refusal(_: str, value: Any) -> _Known | None:
    return RefusalPart(value, {"wire": "part"}) if isinstance(value, str) else None


_PARTS = {
    "image_url": _from_url,
    "video_url": _from_url,
    "audio_url": _from_url,
    "input_audio": _given_audio,
    "file": _file,
    "thinking": _thinking,
    "refusal": _refusal,
}


def read_audio(audio: dict[str, Any]) -> Iterable[Part]:
    """In an answer: data and transcript. In a later request, only the id that stands for them."""
    data, transcript, known = audio.get("data"), audio.get("transcript"), audio.get("id")
    if isinstance(data, str) and data:
        more = _rest(audio, {"data", "transcript"})
        if isinstance(transcript, str) and transcript:
            yield TextPart(transcript, {"wire": "transcript"})
        elif "transcript" in audio:
            more["transcript"] = transcript
        yield BlobPart("audio", data, None, extra={"wire": "audio", "audio": more})
    elif isinstance(known, str):
        more = _rest(audio, {"id"})
        yield FilePart("audio", known, extra={"wire": "audio", "audio": more} if more else {"wire": "audio"})
    else:
        yield GenericPart("audio", audio)


def _rest(fields: dict[str, Any], known: Set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in known}


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
