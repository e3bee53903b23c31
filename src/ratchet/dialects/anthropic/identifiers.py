"""Ids of calls as Anthropic takes them: of letters, digits, `_` and `-`, and never missing."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ratchet.domain.generation import Request
from ratchet.domain.messages import Message, Part, ToolCallPart, ToolCallResponsePart

__all__ = ["with_identifiers"]

_OTHER = re.compile(r"[^a-zA-Z0-9_-]")


def with_identifiers(request: Request) -> Request:
    """The request with an id for every call and every result. The same id stays the same in both.

    A call without one gets a number; a result without one answers the first call of its name, else the first call,
    that is not answered yet.
    """
    if all(_fits(part) for message in request.messages for part in message.parts):
        return request
    open_calls: list[ToolCallPart] = []
    made = 0
    messages: list[Message] = []
    for message in request.messages:
        parts: list[Part] = []
        for part in message.parts:
            fitted = part
            if isinstance(part, ToolCallPart):
                made += part.id is None
                fitted = _with_id(part, f"call_{made}" if part.id is None else part.id)
                open_calls.append(fitted)
            elif isinstance(part, ToolCallResponsePart):
                answered = _answered(part, open_calls)
                fitted = _with_id(part, part.id or (answered.id if answered else None) or f"call_{made}")
                if answered is not None:
                    open_calls.remove(answered)
            parts.append(fitted)
        messages.append(msgspec.structs.replace(message, parts=parts))
    return msgspec.structs.replace(request, messages=messages)


def _fits(part: Part) -> bool:
    if not isinstance(part, ToolCallPart | ToolCallResponsePart):
        return True
    return part.id is not None and part.id != "" and _OTHER.search(part.id) is None


def _with_id(part: Any, call: str) -> Any:
    return msgspec.structs.replace(part, id=_OTHER.sub("_", call))


def _answered(part: ToolCallResponsePart, open_calls: list[ToolCallPart]) -> ToolCallPart | None:
    if part.id:
        wanted = _OTHER.sub("_", part.id)
        return next((call for call in open_calls if call.id == wanted), None)
    named = (call for call in open_calls if call.name == part.name)
    return next(named, open_calls[0] if open_calls else None)
