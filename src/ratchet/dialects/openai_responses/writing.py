"""The message form, written as items of the Responses API: what `reading` takes apart, put together again.

`own` tells that the parts came in this dialect: then everything that `extra` holds is restored. Of another dialect's
`extra` only a picture's `detail` has a meaning here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from ratchet.dialects.data_urls import data_url
from ratchet.dialects.expressing import cannot_express
from ratchet.dialects.folded import arguments_of
from ratchet.dialects.openai_responses.reading import ITEM_FIELDS, call_text
from ratchet.dialects.openai_responses.words import CALLS, NAME, rest_of, wire_of
from ratchet.dialects.signatures import tagged
from ratchet.domain.messages import (
    BlobPart,
    Extra,
    FilePart,
    GenericPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    UriPart,
)

__all__ = ["call_item", "input_part", "message_item", "proof_of_call", "reasoning_item", "runs"]

_AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_ENDINGS = {
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/html": ".html",
    "text/csv": ".csv",
    "application/json": ".json",
}
_UNSIGNED = "openai_chat:"  # no proof, of a dialect that knows none
_DETAILS = frozenset({"low", "high", "auto", "original"})


def runs(parts: Iterable[Part], *, own: bool, joined: bool = False) -> list[list[Part]]:
    """The parts of each item. `joined`: texts of another dialect that follow one another are one message."""
    items: list[list[Part]] = []
    open_item = False
    for part in parts:
        if open_item and items and _kind(items[-1][-1]) == _kind(part):
            items[-1].append(part)
        else:
            items.append([part])
        more = own and bool(wire_of(_extra(part)).get("more"))
        open_item = more or (joined and not own and _kind(part) == "message")
    return items


def _kind(part: Part) -> str:
    if isinstance(part, TextPart | RefusalPart):
        return "message"
    return "reasoning" if isinstance(part, ReasoningPart) else ""


def _extra(part: Part) -> Extra | None:
    return None if isinstance(part, GenericPart) else part.extra


def message_item(run: Sequence[Part], *, own: bool, answered: bool = False) -> dict[str, Any]:
    """A message of the assistant's. In a request a plain text needs no list and no type; in an answer it has both."""
    extra = (
        dict((run[-1].extra if own else None) or {}) if isinstance(run[-1], TextPart | RefusalPart) else {}
    )
    wire = wire_of(extra)
    whole = {name: extra[name] for name in extra if name in ITEM_FIELDS}
    unknown = cast("dict[str, Any]", extra.get("message") or {})
    as_text = not answered and len(run) == 1 and isinstance(run[0], TextPart) and not _own_fields(extra)
    as_text = as_text and bool(wire.get("text") or ("id" not in extra and not wire.get("list")))
    if as_text:
        typed = {"type": "message"} if wire.get("type") else {}
        return {**typed, "role": "assistant", "content": cast("TextPart", run[0]).content, **whole, **unknown}
    content = [_output_part(part, own=own, annotated=answered and "id" not in extra) for part in run]
    typed = {} if wire.get("bare") else {"type": "message"}
    return {**typed, "role": "assistant", "content": content, **whole, **unknown}


def _own_fields(extra: Extra) -> Extra:
    """What of a text's `extra` is its own, and not the whole item's."""
    return rest_of(extra, *ITEM_FIELDS, "message", "wire")


def _output_part(part: Part, *, own: bool, annotated: bool) -> dict[str, Any]:
    extra = (part.extra if isinstance(part, TextPart | RefusalPart) else None) or {}
    more = (
        _own_fields(extra)
        if own
        else {name: extra[name] for name in ("logprobs",) if annotated and name in extra}
    )
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.content, **more}
    text = part.content if isinstance(part, TextPart) else ""
    usual: dict[str, Any] = {"annotations": [], "logprobs": []} if annotated else {}
    return {"type": "output_text", "text": text, **usual, **more}


def reasoning_item(run: Sequence[Part], *, own: bool, answered: bool = False) -> dict[str, Any]:
    """A thought. Another vendor's proof is tagged with whose it is. In an answer of another dialect a thought without
    one is tagged too: so it is known for what it is when the app sends it back, and is never sent to OpenAI."""
    thoughts = [part for part in run if isinstance(part, ReasoningPart)]
    last = thoughts[-1]
    extra = (last.extra if own else None) or {}
    summary: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    for part in thoughts:
        wire = wire_of(part.extra) if own else {}
        if wire.get("raw"):
            content.append({"type": "reasoning_text", "text": part.content})
        elif part.content or wire.get("more") or wire.get("empty"):
            summary.append({"type": "summary_text", "text": part.content})
    item: dict[str, Any] = {"type": "reasoning"}
    if summary or not wire_of(extra).get("bare"):
        item["summary"] = summary
    if content:
        item["content"] = content
    if last.signature:
        item["encrypted_content"] = tagged(last.signature, last.origin, NAME)
    elif answered and not own:
        item["encrypted_content"] = _UNSIGNED
    return {**item, **rest_of(extra, "wire")}


def call_item(call: ToolCallPart, call_id: str, *, own: bool) -> dict[str, Any]:
    """A call of one of the app's functions."""
    extra = (call.extra if own else None) or {}
    kind = extra.get("type", "function_call")
    raw, text = wire_of(extra).get("text"), call_text(call.arguments)
    if isinstance(raw, str) and _same(raw, text):
        text = raw
    return {
        "type": kind,
        "call_id": call_id,
        "name": call.name,
        CALLS.get(kind, "arguments"): text,
        **rest_of(extra, "type", "wire"),
    }


def proof_of_call(call: ToolCallPart, *, own: bool) -> list[Part]:
    """Gemini signs calls themselves, and an item of a call has no place for it: an app gets the proof as an empty
    thought before the call."""
    if own or not call.signature or call.origin in (None, NAME):
        return []
    return [ReasoningPart("", call.signature, call.origin)]


def _same(raw: str, text: str) -> bool:
    """Whether `raw` still says what the arguments do: they may have been changed since they were read."""
    return call_text(arguments_of(raw)) == text


def input_part(part: Part, where: str, *, own: bool, vendor: bool) -> dict[str, Any]:
    """One entry of a message's or a tool result's content. `vendor`: the file ids in it are OpenAI's.

    Raises InvalidRequest, naming `where`, for what the Responses API has no word for.
    """
    if isinstance(part, GenericPart) and own:
        return part.value
    written: dict[str, Any] | None = None
    match part:
        case TextPart(content=text):
            written = {"type": "input_text", "text": text}
        case FilePart() if not vendor:
            raise cannot_express(
                where,
                NAME,
                because=f"The {part.modality} lies at another provider, under an id that only it knows.",
            )
        case BlobPart(modality="image") | UriPart(modality="image") | FilePart(modality="image"):
            written = {"type": "input_image", **_image(part), **({} if own else _detail(part))}
        case BlobPart(modality="document") | UriPart(modality="document") | FilePart(modality="document"):
            written = {"type": "input_file", **_file(part, own=own)}
        case BlobPart(modality="audio", mime_type=mime, content=data) if mime in _AUDIO_FORMATS or own:
            form = _AUDIO_FORMATS.get(mime or "", (mime or "").removeprefix("audio/"))
            written = {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case _:
            raise cannot_express(f"{where} ({getattr(part, 'modality', type(part).__name__)})", NAME)
    return {**written, **rest_of(_extra(part) or {}, "wire")} if own else written


def _image(part: BlobPart | UriPart | FilePart) -> dict[str, Any]:
    match part:
        case BlobPart(content=data, mime_type=mime):
            return {"image_url": data_url(mime, data)}
        case UriPart(uri=uri):
            return {"image_url": uri}
        case FilePart(file_id=known):
            return {"file_id": known}


def _file(part: BlobPart | UriPart | FilePart, *, own: bool) -> dict[str, Any]:
    """A document. Its name goes with its bytes alone, where the API demands one."""
    named = {"filename": part.name} if part.name is not None else {}
    match part:
        case BlobPart(content=data, mime_type=mime):
            if own:
                raw = wire_of(part.extra).get("raw")
                return {"file_data": data if raw else data_url(mime, data), **named}
            return {"file_data": data_url(mime, data), "filename": part.name or f"document{_ending(mime)}"}
        case UriPart(uri=uri):
            return {"file_url": uri, **(named if own else {})}
        case FilePart(file_id=known):
            return {"file_id": known, **(named if own else {})}


def _ending(mime_type: str | None) -> str:
    return _ENDINGS.get(mime_type or "", ".pdf")


def _detail(part: BlobPart | UriPart | FilePart) -> Extra:
    """How closely to look at a picture: chat completions have the same words for it."""
    given = (part.extra or {}).get("detail")
    return {"detail": given} if given in _DETAILS else {}
