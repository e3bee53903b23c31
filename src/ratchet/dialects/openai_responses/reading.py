"""Items of the Responses API, read into the message form.

Everything the model did in a row (reasoning, messages, calls, tools that OpenAI ran) is one assistant message; an item
is one part of it or several. Where an item goes on with the next part, `extra["wire"]` says `more`; what belongs to
the whole item stands with its last part, since a stream tells it last. An item of a kind, or a shape, that no part can
hold is a `GenericPart` with all of it.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.data_urls import parsed_data_url
from ratchet.dialects.folded import arguments_of
from ratchet.dialects.openai_responses.words import CALLS, NAME, RESULTS, rest_of
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

__all__ = ["ITEM_FIELDS", "call_text", "read_item", "read_items", "read_part"]

ITEM_FIELDS = frozenset({"id", "status", "phase"})  # of a message; what else it has stands under `message`
_RESERVED = ITEM_FIELDS | {"message", "wire"}
_SPEAKERS = frozenset({"user", "system", "developer"})
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_encoder = msgspec.json.Encoder()


def read_items(items: list[Any]) -> list[Message]:
    """Conversation items as messages, in their order."""
    messages: list[Message] = []
    said: list[Part] = []  # by the assistant, up to here
    for item in items:
        message = _others(item)
        if message is None:
            said += read_item(cast("dict[str, Any]", item))
            continue
        if said:
            messages.append(Message("assistant", said))
            said = []
        messages.append(message)
    if said:
        messages.append(Message("assistant", said))
    return messages


def read_item(item: dict[str, Any]) -> list[Part]:
    """The parts of one item on the assistant's side; never none."""
    kind = item.get("type")
    read: list[Part] | None = None
    if kind == "message" or (kind is None and "role" in item):
        read = _message(item)
    elif kind == "reasoning":
        read = _reasoning(item)
    elif isinstance(kind, str) and kind in CALLS:
        read = _call(item, kind)
    return read or [GenericPart(kind if isinstance(kind, str) else "item", item)]


def _others(item: Any) -> Message | None:
    """A message of anyone but the assistant; None where the item is the assistant's."""
    if not isinstance(item, dict):
        return Message("tool", [GenericPart("item", item)])
    fields = cast("dict[str, Any]", item)
    kind, role = fields.get("type"), fields.get("role")
    if kind in ("message", None) and isinstance(role, str) and role in _SPEAKERS:
        return _spoken(fields, role)
    if not isinstance(kind, str) or not kind.endswith(("_output", "_response")):
        return None
    if kind in RESULTS:
        part = _result(fields, kind)
        if part is not None:
            return Message("tool", [part])
    return Message("tool", [GenericPart(kind, fields)])


def _spoken(item: dict[str, Any], role: str) -> Message:
    content = item.get("content")
    extra = rest_of(item, "type", "role", "content")
    wire: dict[str, Any] = {"type": True} if "type" in item else {}
    parts: list[Part]
    if isinstance(content, str):
        parts = [TextPart(content)]
    elif isinstance(content, list):
        parts = [read_part(entry) for entry in cast("list[Any]", content)]
        if len(parts) == 1 and isinstance(parts[0], TextPart) and parts[0].extra is None:
            wire["list"] = True
    else:
        return Message("tool", [GenericPart("message", item)])
    if wire:
        extra["wire"] = wire
    return Message(role, parts, None, None, extra or None)


def _message(item: dict[str, Any]) -> list[Part] | None:
    """A message of the assistant's."""
    content = item.get("content")
    if item.get("role") != "assistant" or not isinstance(content, str | list) or content == []:
        return None
    whole = rest_of(item, "type", "role", "content")
    unknown = {name: whole.pop(name) for name in [*whole] if name not in ITEM_FIELDS}
    if unknown:
        whole["message"] = unknown
    if isinstance(content, str):
        wire = {**({"text": True} if "id" in whole else {}), **({"type": True} if "type" in item else {})}
        if wire:
            whole["wire"] = wire
        return [TextPart(content, whole or None)]
    parts = [read_part(entry) for entry in cast("list[Any]", content)]
    wire = {**({} if "id" in whole else {"list": True}), **({} if "type" in item else {"bare": True})}
    read: list[Part] = []
    for position, part in enumerate(parts):
        if not isinstance(part, TextPart | RefusalPart) or not _RESERVED.isdisjoint(part.extra or ()):
            return None
        extra = dict(part.extra or {})
        if position < len(parts) - 1:
            if "id" in whole:
                extra["id"] = whole["id"]
            extra["wire"] = {"more": True}
        else:
            extra.update(whole)
            if wire:
                extra["wire"] = wire
        read.append(msgspec.structs.replace(part, extra=extra or None))
    return read


def _reasoning(item: dict[str, Any]) -> list[Part] | None:
    """A thought: its summary's texts, then its own, each a part. The proof stands with the last."""
    whole = rest_of(item, "type", "summary", "content", "encrypted_content")
    texts: list[tuple[str, bool]] = []
    for field, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        entries = item.get(field)
        for entry in cast("list[Any]", entries) if isinstance(entries, list) else ():
            text = cast("Extra", entry).get("text") if isinstance(entry, dict) else None
            if entry != {"type": kind, "text": text} or not isinstance(text, str):
                return None
            texts.append((text, field == "content"))
        if not isinstance(entries, list) and (entries is not None or (field == "summary" and field in item)):
            return None
        if field in item and not entries and field == "content":
            whole[field] = entries
    if "wire" in whole:
        return None
    proof, wire = item.get("encrypted_content"), {} if "summary" in item else {"bare": True}
    signature = origin = None
    if isinstance(proof, str) and proof:
        signature, origin = untagged(proof, NAME)
        if not signature:
            signature = origin = None
            wire["unsigned"] = True  # another model's thought: nobody can check it
    elif "encrypted_content" in item:
        whole["encrypted_content"] = proof
    parts: list[Part] = []
    for text, raw in texts[:-1]:
        known: Extra = {"id": whole["id"]} if "id" in whole else {}
        parts.append(
            ReasoningPart(text, extra={**known, "wire": {"more": True, **({"raw": True} if raw else {})}})
        )
    text, raw = texts[-1] if texts else ("", False)
    wire |= {"raw": True} if raw else {"empty": True} if texts and not text else {}
    extra = {**whole, "wire": wire} if wire else whole
    return [*parts, ReasoningPart(text, signature, origin, extra or None)]


def _call(item: dict[str, Any], kind: str) -> list[Part] | None:
    """A call of one of the app's functions."""
    field = CALLS[kind]
    known, name, text = item.get("call_id"), item.get("name"), item.get(field)
    if not isinstance(known, str) or not isinstance(name, str) or not isinstance(text, str):
        return None
    extra = rest_of(item, "type", "call_id", "name", field)
    if "wire" in extra or "type" in extra:
        return None
    if kind != "function_call":
        extra["type"] = kind
    arguments = arguments_of(text)
    if call_text(arguments) != text:
        extra["wire"] = {"text": text}
    return [ToolCallPart(known, name, arguments, extra=extra or None)]


def call_text(arguments: Any) -> str:
    """The text that stands for a call's arguments."""
    return (
        arguments
        if isinstance(arguments, str)
        else _encoder.encode({} if arguments is None else arguments).decode()
    )


def _result(item: dict[str, Any], kind: str) -> ToolCallResponsePart | None:
    """What a function of the app's gave back: text, or pictures and documents."""
    known, output = item.get("call_id"), item.get("output")
    if not isinstance(known, str):
        return None
    extra = rest_of(item, "type", "call_id", "output")
    if kind != "function_call_output":
        extra["type"] = kind
    response: Any = output
    if isinstance(output, list):
        response = [read_part(entry) for entry in cast("list[Any]", output)]
    elif not isinstance(output, str):
        return None
    return ToolCallResponsePart(known, response, extra=extra or None)


def read_part(value: Any) -> Part:
    """One entry of an item's `content`."""
    if not isinstance(value, dict):
        return GenericPart("content", value)
    part = cast("dict[str, Any]", value)
    kind, text = part.get("type"), part.get("text")
    read: Part | None = None
    if "wire" not in part:
        if kind in ("input_text", "output_text") and isinstance(text, str):
            read = TextPart(text, rest_of(part, "type", "text") or None)
        elif kind == "refusal" and isinstance(part.get("refusal"), str):
            read = RefusalPart(part["refusal"], rest_of(part, "type", "refusal") or None)
        elif kind == "input_image":
            read = _image(part)
        elif kind == "input_file":
            read = _file(part)
        elif kind == "input_audio":
            read = _audio(part)
    return read or GenericPart(kind if isinstance(kind, str) else "content", part)


def _image(part: dict[str, Any]) -> Part | None:
    url, known = part.get("image_url"), part.get("file_id")
    if isinstance(url, str):
        extra = rest_of(part, "type", "image_url") or None
        data = parsed_data_url(url)
        return (
            UriPart("image", url, extra=extra)
            if data is None
            else BlobPart("image", data[1], data[0] or None, extra=extra)
        )
    if isinstance(known, str):
        return FilePart("image", known, extra=rest_of(part, "type", "file_id") or None)
    return None


def _file(part: dict[str, Any]) -> Part | None:
    extra, name = rest_of(part, "type"), part.get("filename")
    if isinstance(name, str):
        del extra["filename"]
    else:
        name = None
    for field in ("file_data", "file_url", "file_id"):
        held = part.get(field)
        if not isinstance(held, str):
            continue
        del extra[field]
        if field == "file_url":
            return UriPart("document", held, None, name, extra or None)
        if field == "file_id":
            return FilePart("document", held, None, name, extra or None)
        data = parsed_data_url(held)
        if data is None:
            return BlobPart("document", held, None, name, {**extra, "wire": {"raw": True}})
        return BlobPart("document", data[1], data[0] or None, name, extra or None)
    return None


def _audio(part: dict[str, Any]) -> Part | None:
    audio: Any = part.get("input_audio")
    if not isinstance(audio, dict) or cast("Extra", audio).keys() != {"data", "format"}:
        return None
    data, form = cast("Extra", audio)["data"], cast("Extra", audio)["format"]
    if not isinstance(data, str) or not isinstance(form, str):
        return None
    kind = _AUDIO_TYPES.get(form, f"audio/{form}")
    return BlobPart("audio", data, kind, extra=rest_of(part, "type", "input_audio") or None)
