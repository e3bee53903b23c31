"""An `Answer` as OpenAI's bytes: one `chat.completion` object, or the frames of a stream of chunks.

Field order and nulls are those of the recorded exchanges. Frames are returned as JSON payloads; how they are framed
and cut into writes is `streams.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.answer import Answer, Choice
from ratchet.simulator.ask import Ask, Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.openai.chat_request import ChatRequest
from ratchet.simulator.streams import Payload

__all__ = ["Envelope", "completion", "logprob", "payloads"]

_encode = msgspec.json.Encoder().encode


class Envelope(msgspec.Struct, frozen=True):
    """What is the same in every object of one answer."""

    id: str
    created: int
    model: str
    service_tier: str
    fingerprint: str
    cached_tokens: int = 0


def completion(answer: Answer, request: ChatRequest, envelope: Envelope, dice: Dice) -> dict[str, Any]:
    """The `chat.completion` object."""
    return {
        "id": envelope.id,
        "object": "chat.completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [_choice(choice, index, request.ask, dice) for index, choice in enumerate(answer.choices)],
        "usage": usage(answer, envelope),
        "service_tier": envelope.service_tier,
        "system_fingerprint": envelope.fingerprint,
    }


def usage(answer: Answer, envelope: Envelope) -> dict[str, Any]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": envelope.cached_tokens,
            "audio_tokens": answer.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choice(choice: Choice, index: int, ask: Ask, dice: Dice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text if choice.text or not (choice.calls or choice.refusal) else None,
    }
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [_call(call) for call in choice.calls]
    message["refusal"] = choice.refusal or None
    message["annotations"] = []
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(choice, index, ask, dice),
        "finish_reason": choice.finish,
    }


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


# -- log probabilities -------------------------------------------------------------------------------------------

_OTHERS = (" the", " a", " of", ".", ",", " to", " and", " in", " is", " for", "\n", " you", " your", " our", " we", " it",
           " on", " with", " not", " can")  # fmt: skip


def _logprobs(choice: Choice, index: int, ask: Ask, dice: Dice) -> dict[str, Any] | None:
    if not ask.logprobs:
        return None
    text, refusal = tokens.pieces(choice.text), tokens.pieces(choice.refusal)
    return {
        "content": [logprob(piece, f"{index} {i}", ask, dice) for i, piece in enumerate(text)]
        if text
        else None,
        "refusal": [logprob(piece, f"{index} {i}", ask, dice) for i, piece in enumerate(refusal)]
        if refusal
        else None,
    }


def logprob(piece: str, name: str, ask: Ask, dice: Dice) -> dict[str, Any]:
    """One token with its likeliest rivals as OpenAI shows them, near 0 mostly; the chosen one is the likeliest."""
    chosen = -round(dice.number(f"logprob {name}") ** 4 * 2.0, 6)
    top = [_mark(piece, chosen)]
    for rank in range(1, ask.top_logprobs):
        other = _OTHERS[(dice.below(f"other {name}", len(_OTHERS)) + rank) % len(_OTHERS)]
        other = other + "s" if other == piece else other
        top.append(_mark(other, round(min(chosen, -2.0) - 0.9 * rank, 6)))
    return {**_mark(piece, chosen), "top_logprobs": top[: ask.top_logprobs]}


def _mark(piece: str, logprob: float) -> dict[str, Any]:
    return {"token": piece, "logprob": logprob, "bytes": list(piece.encode())}


# -- streaming ---------------------------------------------------------------------------------------------------


def payloads(answer: Answer, request: ChatRequest, envelope: Envelope, dice: Dice) -> list[Payload]:
    """All chunks of the stream, in order: roles, deltas, finishes, and usage where it was asked for."""
    frame = _Frame(request, envelope, dice)
    streams = [_deltas(choice, index, request.ask, dice) for index, choice in enumerate(answer.choices)]
    made: list[Payload] = []
    for row in zip_longest(*streams):
        for index, step in enumerate(row):
            if step is not None:
                kind, delta, logprobs, finish = step
                made.append(Payload(kind, frame.chunk(index, delta, logprobs, finish)))
    if request.include_usage:
        made.append(Payload("usage", frame.usage(_encode(usage(answer, envelope)))))
    return made


_Step = tuple[str, bytes, bytes, str | None]


def _deltas(choice: Choice, index: int, ask: Ask, dice: Dice) -> Iterator[_Step]:
    """`(kind, delta, logprobs, finish reason)` for each chunk of one choice."""
    calls = list(choice.calls)
    if calls and not choice.text:
        # The first chunk holds an only call; the models that tell their thoughts tell them before it.
        first = calls[0] if len(calls) == 1 and not choice.reasoning else None
        opening: dict[str, Any] = {"role": "assistant", "content": None}
        if first:
            opening["tool_calls"] = [_call_start(0, first)]
        yield "role", _encode({**opening, "refusal": None}), b"null", None
        if first:
            yield from _arguments(0, first)
            calls = []
    elif choice.refusal and not choice.text:
        yield "role", _encode({"role": "assistant", "content": None, "refusal": ""}), b"null", None
    else:
        yield "role", _encode({"role": "assistant", "content": "", "refusal": None}), b"null", None
    for piece in tokens.pieces(choice.reasoning):
        yield "delta", b'{"reasoning_content":' + _encode(piece) + b"}", b"null", None
    field = "refusal" if choice.refusal and not choice.text else "content"
    opening_bytes = b'{"' + field.encode() + b'":'
    for i, piece in enumerate(tokens.pieces(choice.text or choice.refusal)):
        logprobs = b"null"
        if ask.logprobs:
            mark = [logprob(piece, f"{index} {i}", ask, dice)]
            other = "refusal" if field == "content" else "content"
            logprobs = _encode({field: mark, other: None})
        yield "delta", opening_bytes + _encode(piece) + b"}", logprobs, None
    for position, call in enumerate(calls):
        yield "delta", _encode({"tool_calls": [_call_start(position, call)]}), b"null", None
        yield from _arguments(position, call)
    yield "finish", b"{}", b"null", choice.finish


def _call_start(position: int, call: Call) -> dict[str, Any]:
    return {
        "index": position,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }


def _arguments(position: int, call: Call) -> Iterator[_Step]:
    opening = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % position
    for piece in tokens.pieces(call.arguments):
        yield "delta", opening + _encode(piece) + b"}}]}", b"null", None


class _Frame:
    """Writes chunks around the parts that change; a stream is thousands of them."""

    def __init__(self, request: ChatRequest, envelope: Envelope, dice: Dice) -> None:
        head = {
            "id": envelope.id,
            "object": "chat.completion.chunk",
            "created": envelope.created,
            "model": envelope.model,
            "service_tier": envelope.service_tier,
            "system_fingerprint": envelope.fingerprint,
        }
        self._head = _encode(head)[:-1]
        self._usage = b',"usage":null' if request.include_usage else b""
        self._padding = dice.letters("obfuscation", 32).encode() if request.obfuscate else b""

    def chunk(self, index: int, delta: bytes, logprobs: bytes, finish: str | None) -> bytes:
        reason = b'"' + finish.encode() + b'"' if finish else b"null"
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b%b}' % (
            self._head, index, delta, logprobs, reason, self._usage, self._pad(len(delta)),
        )  # fmt: skip

    def usage(self, found: bytes) -> bytes:
        return b'%b,"choices":[],"usage":%b%b}' % (self._head, found, self._pad(len(found)))

    def _pad(self, length: int) -> bytes:
        """Padding that hides a delta's length, as OpenAI adds it unless told not to."""
        if not self._padding:
            return b""
        return b',"obfuscation":"%b"' % self._padding[: 1 + -length % 16]
