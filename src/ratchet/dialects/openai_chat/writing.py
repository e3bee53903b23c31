"""A message of the message form as one of a chat completion: the other way round from `reading`.

Where the message came in this dialect (`own`), it is written as it came. Else what it says is written in the plainest
way, and what can't be said is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.dialects.expressing import cannot_express
from ratchet.dialects.openai_chat.reading import empty_content
from ratchet.dialects.openai_chat.thoughts import NAME, wire_of, write_thoughts
from ratchet.dialects.signatures import tagged
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

__all__ = [
    "arguments_text",
    "call_signature",
    "write_call",
    "write_content_entry",
    "write_foreign_part",
    "write_message",
]

_encoder = msgspec.json.Encoder()
_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_URL_KINDS = {"image": "image_url", "video": "video_url", "audio": "audio_url"}


def write_message(message: Message) -> dict[str, Any]:
    """A message that came in this dialect, as it came."""
    extra = message.extra or {}
    wire = extra.get("wire")
    fields: dict[str, Any] = {"role": message.role}
    if message.role == "" and len(message.parts) == 1 and isinstance(message.parts[0], GenericPart):
        return message.parts[0].value
    if message.role == "tool":
        return _tool_message(message)
    if message.name is not None:
        fields["name"] = message.name
    fields.update(write_thoughts(_thoughts(message.parts)))
    said, content = _beside_content(message.parts), _content(message.parts)
    if wire == "value":
        fields["content"] = cast("GenericPart", message.parts[0]).value
    elif content:
        texts = [part for part in message.parts if isinstance(part, TextPart) and not _is_transcript(part)]
        plain = len(content) == 1 and len(texts) == 1 and texts[0].extra is None and wire != "list"
        fields["content"] = texts[0].content if plain else content
    elif wire != "absent":
        fields["content"] = empty_content(message.role, says_more=bool(said))
    fields.update(said)
    fields.update((name, value) for name, value in extra.items() if name not in ("wire", "choice"))
    return fields


def _thoughts(parts: Sequence[Part]) -> list[ReasoningPart]:
    return [
        part
        for part in parts
        if isinstance(part, ReasoningPart) and wire_of(part.extra).get("field") != "content"
    ]


def _content(parts: Sequence[Part]) -> list[Any]:
    """What stands in the `content` list."""
    entries: list[Any] = []
    for part in parts:
        match part:
            case TextPart():
                if not _is_transcript(part):
                    entries.append(_text(part))
            case ReasoningPart(content=text, extra=extra):
                if wire_of(extra).get("field") == "content":
                    entries.append(_beside(_thinking(text, wire_of(extra)), extra))
            case RefusalPart(content=text, extra=extra):
                if extra and extra.get("wire") == "part":
                    entries.append(_beside({"type": "refusal", "refusal": text}, extra))
            case BlobPart(extra=extra) | UriPart(extra=extra) | FilePart(extra=extra):
                if not extra or extra.get("wire") != "audio":
                    entries.append(_medium(part))
            case GenericPart(name=name, value=value):
                if name not in ("tool_call", "audio") or _dict(value).get("type") == name:
                    entries.append(value)
            case _:
                pass  # a call: beside the content
    return entries


def _beside_content(parts: Sequence[Part]) -> dict[str, Any]:
    """Refusal, calls and sound."""
    fields: dict[str, Any] = {}
    calls: list[Any] = []
    for part in parts:
        extra: Extra = getattr(part, "extra", None) or {}
        match part:
            case RefusalPart(content=text) if extra.get("wire") != "part":
                fields["refusal"] = text
            case ToolCallPart() if extra.get("wire") == "function_call":
                fields["function_call"] = write_call(part)["function"]
            case ToolCallPart():
                calls.append(write_call(part))
            case GenericPart(name="tool_call", value=value):
                calls.append(value)
            case GenericPart(name="audio", value=value) if _dict(value).get("type") != "audio":
                fields["audio"] = value
            case BlobPart(content=content) if extra.get("wire") == "audio":
                fields["audio"] = {**fields.get("audio", {}), **extra["audio"], "data": content}
            case FilePart(file_id=known) if extra.get("wire") == "audio":
                fields["audio"] = {"id": known, **extra.get("audio", {})}
            case TextPart(content=text) if _is_transcript(part):
                fields["audio"] = {"transcript": text}
            case _:
                pass  # in the content
    if calls:
        fields["tool_calls"] = calls
    return fields


def _is_transcript(part: TextPart) -> bool:
    return part.extra is not None and part.extra.get("wire") == "transcript"


def _text(part: TextPart) -> Any:
    extra = part.extra or {}
    if "wire" not in extra:
        return _beside({"type": "text", "text": part.content}, extra)
    if extra["wire"] == "string":
        return part.content
    typed = {} if extra["wire"] is None else {"type": extra["wire"]}
    return _beside({**typed, "text": part.content}, extra)


def _beside(entry: dict[str, Any], extra: Extra | None) -> dict[str, Any]:
    """`entry` with the fields that stood beside the ones that the form holds."""
    if extra:
        kind = entry.get("type")
        # What stood inside has been put there; `logprobs` stand beside the message.
        known = {"wire", "detail", "logprobs", kind}
        entry.update((name, value) for name, value in extra.items() if name not in known)
    return entry


def _thinking(text: str, wire: dict[str, Any]) -> dict[str, Any]:
    thought: Any = text if "plain" in wire else _cut(text, wire.get("lengths", [len(text)]))
    return {"type": "thinking", "thinking": wire.get("thinking", thought)}


def _cut(text: str, lengths: list[int]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    start = 0
    for length in lengths:
        entries.append({"type": "text", "text": text[start : start + length]})
        start += length
    return entries


def _medium(part: BlobPart | UriPart | FilePart) -> dict[str, Any]:
    extra = part.extra or {}
    wire = extra.get("wire")
    match part:
        case FilePart(file_id=known, name=name):
            return _file({"file_id": known}, name, extra)
        case UriPart(modality="document", uri=uri, name=name):
            return _file({"file_data": uri}, name, extra)
        case BlobPart(modality="document", content=content, name=name):
            data = content if wire == "raw" else _data_url(part)
            return _file({"file_data": data}, name, extra)
        case BlobPart(modality="audio", content=content, mime_type=mime) if wire != "audio_url":
            inside = {"data": content} if mime is None else {"data": content, "format": _audio_format(mime)}
            if isinstance(wire, dict):
                inside = {"data": _data_url(part), **cast("dict[str, Any]", wire)}
            inside.update(extra.get("input_audio", {}))
            return _beside({"type": "input_audio", "input_audio": inside}, extra)
        case UriPart(modality=modality, uri=url):
            pass
        case BlobPart(modality=modality):
            url = _data_url(part)
    kind = _URL_KINDS.get(modality, "image_url")
    if wire == "string":
        return _beside({"type": kind, kind: url}, extra)
    detail = {"detail": extra["detail"]} if "detail" in extra else {}
    return _beside({"type": kind, kind: {"url": url, **detail, **extra.get(kind, {})}}, extra)


def _file(held: dict[str, Any], name: str | None, extra: Extra) -> dict[str, Any]:
    named = {} if name is None else {"filename": name}
    return _beside({"type": "file", "file": {**named, **held, **extra.get("file", {})}}, extra)


def _data_url(part: BlobPart) -> str:
    return f"data:{part.mime_type or ''};base64,{part.content}"


def _audio_format(mime: str) -> str:
    return _AUDIO_FORMATS.get(mime) or mime.removeprefix("audio/")


def write_call(part: ToolCallPart) -> dict[str, Any]:
    """One entry of `tool_calls`."""
    extra = part.extra or {}
    kind, given = ("custom", "input") if "custom" in extra else ("function", "arguments")
    inside: dict[str, Any] = {"name": part.name}
    if part.arguments is not None:
        inside[given] = arguments_text(part.arguments)
    inside.update(extra.get("function", {}))
    call: dict[str, Any] = {} if part.id is None else {"id": part.id}
    call |= {"type": kind, kind: inside}
    call.update(
        (name, value)
        for name, value in extra.items()
        if name not in ("wire", "custom", "function", "extra_content")
    )
    content = extra.get("extra_content")
    if part.signature:
        google = _dict(_dict(content).get("google"))
        content = {**_dict(content), "google": {**google, **call_signature(part.signature, part.origin)}}
    if part.signature or "extra_content" in extra:
        call["extra_content"] = content
    return call


def call_signature(signature: str, origin: str | None) -> dict[str, str]:
    """What stands in a call's `extra_content.google`."""
    return {"thought_signature": tagged(signature, origin, NAME)}


def arguments_text(arguments: Any) -> str:
    """The JSON text of a call's arguments."""
    return arguments if isinstance(arguments, str) else _encoder.encode(arguments).decode()


def _tool_message(message: Message) -> dict[str, Any]:
    part = cast("ToolCallResponsePart", message.parts[0])
    extra = message.extra or {}
    fields: dict[str, Any] = {"role": "function" if extra.get("wire") == "function" else "tool"}
    if part.id is not None:
        fields["tool_call_id"] = part.id
    if part.name is not None:
        fields["name"] = part.name
    content = part.response
    lengths = part.extra.get("wire") if part.extra else None
    if isinstance(lengths, list) and isinstance(content, str):
        content = _cut(content, cast("list[int]", lengths))
    elif isinstance(content, list):
        content = _content(cast("list[Part]", content))
    fields["content"] = content
    fields.update((name, value) for name, value in extra.items() if name != "wire")
    return fields


def write_foreign_part(part: Part, where: str) -> dict[str, Any]:
    """A part that another dialect's reader gave, for a request. Raises InvalidRequest where there is no word for it."""
    match part:
        case TextPart(content=text):
            return {"type": "text", "text": text}
        case RefusalPart(content=text):
            return {"type": "refusal", "refusal": text}
        case BlobPart(modality="image"):
            return {"type": "image_url", "image_url": {"url": _data_url(part), **_detail(part)}}
        case UriPart(modality="image", uri=uri):
            return {"type": "image_url", "image_url": {"url": uri, **_detail(part)}}
        case BlobPart(modality="audio", content=data, mime_type=mime) if mime:
            return {"type": "input_audio", "input_audio": {"data": data, "format": _audio_format(mime)}}
        case BlobPart(modality="document", name=name, mime_type=mime):
            typed = part if mime else msgspec.structs.replace(part, mime_type="application/octet-stream")
            name = name or ("document.pdf" if mime == "application/pdf" else "document")
            return {"type": "file", "file": {"filename": name, "file_data": _data_url(typed)}}
        case FilePart():
            raise cannot_express(where, NAME, because="The file lies at another provider.")
        case BlobPart(modality=modality) | UriPart(modality=modality):
            raise cannot_express(f"{where} ({modality})", NAME)
        case _:
            raise cannot_express(where, NAME)


def _detail(part: BlobPart | UriPart) -> dict[str, Any]:
    detail = (part.extra or {}).get("detail")
    return {"detail": detail} if isinstance(detail, str) and detail else {}


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def write_content_entry(part: Part) -> Any:
    """A part that came in this dialect, as an entry of a `content` list."""
    return _content([part])[0]
