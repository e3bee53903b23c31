"""Whole answers, both ways."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.anthropic.blocks import NAME, read_content, text_block, thought_block
from ratchet.dialects.anthropic.finishing import finish_reason, stop_reason
from ratchet.dialects.anthropic.usage import rest_of_usage, usage_of_fields, usage_wire
from ratchet.dialects.decoding import decode_object
from ratchet.dialects.signatures import tagged
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import (
    Extra,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = ["blocks_of_part", "explained", "proof_of_call", "read_answer", "read_ending", "write_answer"]

_encode = msgspec.json.Encoder().encode
_Fields = dict[str, Any]


def read_answer(body: bytes) -> Answer:
    """The answer. Raises UpstreamFailed where `body` is no JSON object, and for nothing else."""
    rest = decode_object(body)
    if rest is None:
        raise UpstreamFailed(
            "The provider's answer is no JSON object.", "Check that its base URL leads to Anthropic's API."
        )
    reason, extra = read_ending(rest)
    parts = read_content(rest.get("content"))
    if parts is not None:
        rest.pop("content")
    rest = {name: value for name, value in rest.items() if (name, value) not in _CONSTANT}
    usage, tier = Usage(), None
    if isinstance(rest.get("usage"), dict):
        given = cast("_Fields", rest.pop("usage"))
        usage = usage_of_fields(given)
        tier = given.get("service_tier")
        left = rest_of_usage(given)
        if left:
            rest["usage"] = left
    return Answer(
        dialect=NAME,
        id=_text(rest, "id"),
        model=_text(rest, "model"),
        choices=[Message("assistant", parts or [], None, reason, extra)],
        usage=usage,
        service_tier=tier if isinstance(tier, str) else None,
        extra=rest or None,
    )


_CONSTANT = (("type", "message"), ("role", "assistant"))


def read_ending(fields: _Fields) -> tuple[str | None, Extra | None]:
    """(finish reason, what it says less than Anthropic does), taken out of an answer or of a `message_delta`."""
    extra: Extra = {}
    word = fields.pop("stop_reason", None)
    reason = finish_reason(word) if isinstance(word, str) else None
    if word != stop_reason(reason):
        extra["stop_reason"] = word
    sequence = fields.pop("stop_sequence", None)
    if sequence is not None:
        extra["stop_sequence"] = sequence
    if "stop_details" in fields:
        extra["stop_details"] = fields.pop("stop_details")
    return reason, extra or None


def write_answer(answer: Answer, _asked: Request) -> bytes:
    """The answer for an app that speaks this dialect. What it has no word for is left out."""
    own = answer.dialect == NAME
    message = answer.choices[0] if answer.choices else Message("assistant", [])
    content = [
        block
        for number, part in enumerate(message.parts)
        for block in blocks_of_part(part, f"call_{answer.id}_{number}", own=own)
    ]
    body: _Fields = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        **explained(message.finish_reason, message.extra if own else None, message.parts),
    }
    extra = dict(answer.extra or {}) if own else {}
    rest: Any = extra.pop("usage", {}) if own else None
    if rest is None or isinstance(rest, dict):
        rest = usage_wire(answer.usage, answer.service_tier, cast("_Fields | None", rest))
    body["usage"] = rest  # what could not be read at all stands in `extra` as it was
    return _encode(body | extra)


def explained(reason: str | None, extra: Extra | None, parts: list[Part]) -> _Fields:
    """`stop_reason`, `stop_sequence` and, where there is one, `stop_details`."""
    said = extra or {}
    word = stop_reason(reason)
    if word == "end_turn" and any(isinstance(part, RefusalPart) for part in parts):
        word = "refusal"
    fields: _Fields = {
        "stop_reason": said.get("stop_reason", word),
        "stop_sequence": said.get("stop_sequence"),
    }
    if "stop_details" in said:
        fields["stop_details"] = said["stop_details"]
    elif reason == "error":
        why = "The provider broke the answer off with an error."
        fields["stop_details"] = {"type": "refusal", "category": None, "explanation": why}
    return fields


def blocks_of_part(part: Part, call: str, *, own: bool) -> list[_Fields]:
    """The blocks that show a part to an app: none where Anthropic has no such thing. `call` is the id of a call that
    has none."""
    match part:
        case TextPart(content=text):
            return [text_block(text, part.extra if own else None)] if text or own else []
        case RefusalPart(content=text):
            return [text_block(text, None)] if text else []
        case ReasoningPart():
            return [thought_block(part, own=own)] if own or part.content or part.signature else []
        case ToolCallPart():
            given: Any = {} if part.arguments is None or part.arguments == "" else part.arguments
            block: _Fields = {"type": "tool_use", "id": part.id or call, "name": part.name, "input": given}
            return [*proof_of_call(part), block | ((part.extra or {}) if own else {})]
        case GenericPart(value=value):
            return [value] if own else []
        case _:
            return []  # pictures and sounds that a model made


def proof_of_call(part: ToolCallPart) -> list[_Fields]:
    """Gemini signs calls themselves. An app gets the proof as an empty thought before the call."""
    if not part.signature:
        return []
    proof = tagged(part.signature, part.origin, NAME)
    return [{"type": "thinking", "thinking": "", "signature": proof}]


def _text(rest: _Fields, name: str) -> str:
    return rest.pop(name) if isinstance(rest.get(name), str) else ""
