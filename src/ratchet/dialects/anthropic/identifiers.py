"""Ids of calls as Anthropic takes them: of letters, digits, `_` and `-`, and never missing."""

from __future__ import annotations

import re

import msgspec

from ratchet.domain.generation import Request
from ratchet.domain.messages import Message, Part, ToolCallPart, ToolCallResponsePart

__all__ = ["with_identifiers"]

_OTHER = re.compile(r"[^a-zA-Z0-9_-]")


def with_identifiers(request: Request) -> Request:
    """The request with an id for every call and every result. The same id stays the same in both, and two stay two.

    A call without one gets a number; a result without one answers the first call of its name, else the first call,
    that is not answered yet.
    """
    if all(_fits(part) for message in request.messages for part in message.parts):
        return request
    open_calls: list[ToolCallPart] = []
    names = _Names()
    messages: list[Message] = []
    for message in request.messages:
        parts: list[Part] = []
        for part in message.parts:
            fitted = part
            if isinstance(part, ToolCallPart):
                fitted = msgspec.structs.replace(
                    part, id=names.fitted(part.id) if part.id else names.made_up()
                )
                open_calls.append(fitted)
            elif isinstance(part, ToolCallResponsePart):
                wanted = names.fitted(part.id) if part.id else None
                answered = _answered(part, wanted, open_calls)
                known = wanted or (answered.id if answered else None) or names.made_up()
                fitted = msgspec.structs.replace(part, id=known)
                if answered is not None:
                    open_calls.remove(answered)
            parts.append(fitted)
        messages.append(msgspec.structs.replace(message, parts=parts))
    return msgspec.structs.replace(request, messages=messages)


def _fits(part: Part) -> bool:
    if not isinstance(part, ToolCallPart | ToolCallResponsePart):
        return True
    return part.id is not None and part.id != "" and _OTHER.search(part.id) is None


class _Names:
    """What each id is called. Given in the conversation's order, so that more turns change none of the earlier ones:
    else the provider's cache would not know them again."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._taken: set[str] = set()
        self._made = 0

    def fitted(self, given: str) -> str:
        if given not in self._known:
            name = plain = _OTHER.sub("_", given)
            number = 1
            while name in self._taken:
                number += 1
                name = f"{plain}_{number}"
            self._known[given] = name
            self._taken.add(name)
        return self._known[given]

    def made_up(self) -> str:
        self._made += 1
        while f"call_{self._made}" in self._taken:
            self._made += 1
        self._taken.add(f"call_{self._made}")
        return f"call_{self._made}"


def _answered(
    part: ToolCallResponsePart, wanted: str | None, open_calls: list[ToolCallPart]
) -> ToolCallPart | None:
    if wanted is not None:
        return next((call for call in open_calls if call.id == wanted), None)
    named = (call for call in open_calls if call.name == part.name)
    return next(named, open_calls[0] if open_calls else None)
