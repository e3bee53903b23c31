"""Folds a recorded stream of chat completion chunks: pieces of text joined, tool calls put together by index."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_leniently
from ratchet.dialects.openai_chat.calling import call_at
from ratchet.dialects.sse import data_of_stream
from ratchet.errors import UpstreamFailed

__all__ = ["FoldedCall", "FoldedChoice", "FoldedStream", "fold_stream"]


class _FunctionDelta(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: Any = None
    input: Any = None  # of a custom tool


class _CallDelta(msgspec.Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: _FunctionDelta | None = None
    custom: _FunctionDelta | None = None


class _Delta(msgspec.Struct, frozen=True):
    role: str | None = None
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[_CallDelta] | None = None
    function_call: _FunctionDelta | None = None
    audio: dict[str, Any] | None = None
    annotations: Any = None
    images: Any = None
    reasoning_details: Any = None


class _Choice(msgspec.Struct, frozen=True):
    index: int | None = None
    delta: _Delta | None = None
    text: Any = None  # of a text completion
    finish_reason: str | None = None
    logprobs: Any = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    error: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None
    citations: Any = None
    moderation: Any = None


_decoder = msgspec.json.Decoder(_Chunk)
_UNREADABLE = _Chunk(error="")  # told from any chunk by identity


class FoldedCall:
    """One tool call, its arguments in the pieces they came in."""

    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id: str | None = None
        self.name = ""
        self.arguments: list[str] = []


class FoldedChoice:
    """One choice, its text in pieces."""

    __slots__ = (
        "audio",
        "content_parts",
        "extras",
        "finish_reason",
        "logprobs",
        "reasoning",
        "refusal",
        "role",
        "text",
        "tool_calls",
    )

    def __init__(self) -> None:
        self.role = ""
        self.text: list[str] = []
        self.content_parts: list[Any] = []  # lists of parts, where a provider streams those
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.tool_calls: list[FoldedCall] = []
        self.audio: dict[str, list[str]] = {}
        self.extras: dict[str, list[Any]] = {}
        self.logprobs: dict[str, list[Any]] = {}
        self.finish_reason: str | None = None


class FoldedStream:
    """`chunks` counts what could be read; `extras` holds what stands beside the choices."""

    __slots__ = ("choices", "chunks", "extras")

    def __init__(self) -> None:
        self.chunks = 0
        self.choices: dict[int, FoldedChoice] = {}
        self.extras: dict[str, Any] = {}


def fold_stream(raw_sse: bytes) -> FoldedStream:
    """Everything that a recorded stream says. What can't be read is skipped; never raises."""
    stream = FoldedStream()
    try:
        events = data_of_stream(raw_sse)
    except UpstreamFailed:
        return stream  # an event beyond all bounds: nothing to fold, and `chunks` says so
    for data in events:
        if data == b"[DONE]":
            continue
        chunk = decode_leniently(data, _decoder, _UNREADABLE)
        if chunk is _UNREADABLE:
            continue
        stream.chunks += 1
        _take_chunk(stream, chunk)
    return stream


def _take_chunk(stream: FoldedStream, chunk: _Chunk) -> None:
    if chunk.system_fingerprint is not None:
        stream.extras["system_fingerprint"] = chunk.system_fingerprint
    if chunk.service_tier is not None:
        stream.extras["service_tier"] = chunk.service_tier
    if chunk.error is not None:
        stream.extras["error"] = chunk.error
    if chunk.citations is not None:
        stream.extras["citations"] = chunk.citations
    if chunk.moderation is not None:
        stream.extras["moderation"] = chunk.moderation
    if chunk.choices is None:
        return
    for piece in chunk.choices:
        index = piece.index or 0
        choice = stream.choices.get(index)
        if choice is None:
            choice = stream.choices[index] = FoldedChoice()
        if piece.finish_reason:
            choice.finish_reason = piece.finish_reason
        if piece.delta is not None:
            _take_delta(choice, piece.delta)
        if isinstance(piece.text, str):
            choice.text.append(piece.text)
        if isinstance(piece.logprobs, dict):
            for name, value in cast("dict[str, Any]", piece.logprobs).items():
                if isinstance(value, list):
                    choice.logprobs.setdefault(name, []).extend(cast("list[Any]", value))


def _take_delta(choice: FoldedChoice, delta: _Delta) -> None:
    if delta.role and not choice.role:
        choice.role = delta.role
    content = delta.content
    if content:
        if isinstance(content, str):
            choice.text.append(content)
        else:
            choice.content_parts.append(content)
    thought = delta.reasoning_content or delta.reasoning
    if isinstance(thought, str):
        choice.reasoning.append(thought)
    if isinstance(delta.refusal, str):
        choice.refusal.append(delta.refusal)
    if delta.tool_calls:
        for call in delta.tool_calls:
            _take_call(choice, call.index, call.id, call.function or call.custom)
    if delta.function_call is not None:
        _take_call(choice, 0, None, delta.function_call)
    if delta.audio is not None:
        _take_audio(choice.audio, delta.audio)
    if delta.annotations is not None:
        _extend(choice.extras, "annotations", delta.annotations)
    if delta.images is not None:
        _extend(choice.extras, "images", delta.images)
    if delta.reasoning_details is not None:
        _extend(choice.extras, "reasoning_details", delta.reasoning_details)


def _extend(extras: dict[str, list[Any]], name: str, value: Any) -> None:
    extras.setdefault(name, []).extend(cast("list[Any]", value) if isinstance(value, list) else [value])


def _take_call(
    choice: FoldedChoice, index: int | None, call_id: str | None, function: _FunctionDelta | None
) -> None:
    call = call_at(choice.tool_calls, index, call_id)
    if call is None:
        call = FoldedCall(index)
        choice.tool_calls.append(call)
    if call_id and not call.id:
        call.id = call_id
    if function is None:
        return
    # A name that is repeated in later pieces is the same name; one that comes in pieces is joined.
    if function.name and function.name != call.name:
        call.name += function.name
    arguments = function.arguments if function.arguments is not None else function.input
    if isinstance(arguments, str):
        call.arguments.append(arguments)
    elif arguments is not None:
        call.arguments.append(msgspec.json.encode(arguments).decode())


def _take_audio(audio: dict[str, list[str]], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if isinstance(value, str):
            if name in ("data", "transcript"):
                audio.setdefault(name, []).append(value)
            else:
                audio[name] = [value]
