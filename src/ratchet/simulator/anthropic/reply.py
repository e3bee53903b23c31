"""An `Answer` as Anthropic's bytes: one message, or the events of its stream.

Field order, the padding before an event's last brace and the place of the first ping are those of the recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.answer import Answer, Choice
from ratchet.simulator.anthropic.caching import Classes
from ratchet.simulator.anthropic.request import MessagesRequest
from ratchet.simulator.anthropic.signatures import sealed, signature
from ratchet.simulator.ask import Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.faults import Fault
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import encode

__all__ = ["Reply", "events", "message"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer on this wire is made of."""

    id: str
    request: MessagesRequest
    answer: Answer
    classes: Classes
    fault: Fault
    dice: Dice

    @property
    def choice(self) -> Choice:
        return self.answer.choices[0]


def message(reply: Reply) -> dict[str, Any]:
    """The whole message object."""
    made = _shell(reply, _content(reply), *_stop(reply))
    if not reply.fault.no_usage:
        made["usage"] = {**_usage(reply, reply.answer.output_tokens), **_details(reply)}
    return made


def _shell(
    reply: Reply, content: list[dict[str, Any]], reason: str | None, sequence: str | None
) -> dict[str, Any]:
    return {
        "model": reply.request.ask.model,
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "stop_details": _stop_details(reason),
    }


def _stop_details(reason: str | None) -> dict[str, Any] | None:
    return {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None


def _stop(reply: Reply) -> tuple[str | None, str | None]:
    """`(stop_reason, stop_sequence)`."""
    choice = reply.choice
    if reply.fault.no_finish:
        return None, None
    if _refuses(reply) or choice.finish == "content_filter":
        return "refusal", None
    if choice.finish == "length":
        return "max_tokens", None
    if choice.calls:
        return "tool_use", None
    return ("stop_sequence", choice.stopped_by) if choice.stopped_by else ("end_turn", None)


def _refuses(reply: Reply) -> bool:
    return reply.request.refused or bool(reply.choice.refusal)


def _usage(reply: Reply, output: int) -> dict[str, Any]:
    classes = reply.classes
    return {
        "input_tokens": classes.plain,
        "cache_creation_input_tokens": classes.written,
        "cache_read_input_tokens": classes.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": classes.written_5m,
            "ephemeral_1h_input_tokens": classes.written_1h,
        },
        "output_tokens": output,
        "service_tier": reply.request.service_tier,
        "inference_geo": "global",
    }


def _details(reply: Reply) -> dict[str, Any]:
    return {"output_tokens_details": {"thinking_tokens": reply.answer.reasoning_tokens}}


def _content(reply: Reply) -> list[dict[str, Any]]:
    """The blocks: thoughts, text, tool uses."""
    choice = reply.choice
    if _refuses(reply) or reply.fault.empty:
        return []
    blocks = [thought] if (thought := _thought(reply)) else []
    if choice.text:
        blocks.append({"type": "text", "text": choice.text})
    blocks.extend({**_called(call), "input": _arguments(call)} for call in choice.calls)
    return blocks


def _thought(reply: Reply) -> dict[str, Any] | None:
    """The block of thoughts, signed or sealed."""
    text, request = reply.choice.reasoning, reply.request
    if not (request.thinks and text):
        return None
    dice = reply.dice.child("thought")
    if request.redacted:
        return {"type": "redacted_thinking", "data": sealed(text, dice)}
    shown = text if request.shown else ""
    return {"type": "thinking", "thinking": shown, "signature": signature(shown, dice)}


def _called(call: Call) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": "toolu_01" + call.id.removeprefix("call_")[:22],
        "name": call.name,
        "caller": {"type": "direct"},
    }


def _arguments(call: Call) -> dict[str, Any]:
    """The call's input; empty when the token limit left only half of it."""
    try:
        return cast("dict[str, Any]", msgspec.json.decode(call.arguments))
    except msgspec.DecodeError:
        return {}


# -- streaming ---------------------------------------------------------------------------------------------------


def events(reply: Reply) -> Iterator[Payload]:
    """The stream's events in order."""
    frame = _Frame(reply.dice)
    start = _shell(reply, [], None, None)
    if not reply.fault.no_usage:
        start["usage"] = _usage(reply, 1 + reply.dice.below("first tokens", 8))
    yield frame.event("role", {"type": "message_start", "message": start})
    pinged = False
    for index, block in enumerate(_content(reply)):
        yield frame.event(
            "delta", {**frame.at("content_block_start", index), "content_block": _opening(block)}
        )
        if not pinged:
            yield Payload("ping", b'{"type": "ping"}', b"ping")
            pinged = True
        for delta in _deltas(block, reply.choice):
            yield frame.event("delta", {**frame.at("content_block_delta", index), "delta": delta})
        yield frame.event("delta", frame.at("content_block_stop", index))
    reason, sequence = _stop(reply)
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {
            "stop_reason": reason,
            "stop_sequence": sequence,
            "stop_details": _stop_details(reason),
        },
    }
    if not reply.fault.no_usage:
        usage = _usage(reply, reply.answer.output_tokens)
        kept = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        end["usage"] = {**{name: usage[name] for name in kept}, **_details(reply)}
    yield frame.event("finish", end)
    if not reply.fault.no_done:
        yield frame.event("done", {"type": "message_stop"})


def _opening(block: dict[str, Any]) -> dict[str, Any]:
    """A block before its first delta. Sealed thoughts come whole."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use":
            return {**block, "input": {}}
        case _:
            return block


def _deltas(block: dict[str, Any], choice: Choice) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            for piece in tokens.pieces(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in tokens.pieces(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            call = next(call for call in choice.calls if _called(call)["id"] == block["id"])
            yield {"type": "input_json_delta", "partial_json": ""}
            # A tool without arguments streams nothing but the empty piece.
            for piece in tokens.pieces("" if call.arguments == "{}" else call.arguments):
                yield {"type": "input_json_delta", "partial_json": piece}
        case _:
            pass


class _Frame:
    """Writes events with blanks before the last brace, by which the real ones hide their lengths."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._written = 0

    @staticmethod
    def at(kind: str, index: int) -> dict[str, Any]:
        return {"type": kind, "index": index}

    def event(self, kind: str, fields: dict[str, Any]) -> Payload:
        self._written += 1
        blanks = b" " * ((self._written * 7 + self._dice.below("padding", 15)) % 15)
        return Payload(kind, encode(fields)[:-1] + blanks + b"}", fields["type"].encode())
