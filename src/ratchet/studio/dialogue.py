"""A session as one conversation: of each turn, only what the turns before it have not said. Pure.

An app sends a model the whole conversation again with every turn, or its end. What is new is found by laying the
messages of a turn over those of the turns before: they begin alike (the whole history), or begin with the other's end
(a history that was cut at the front).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from ratchet.domain.messages import (
    BlobPart,
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

__all__ = ["Said", "news"]


class Said(msgspec.Struct, frozen=True):
    """What was said in one turn: the messages that went in, and those that came out."""

    asked: Sequence[Message]
    answered: Sequence[Message]


def news(turn: Said, earlier: Sequence[Said]) -> list[int]:
    """Which of the messages that went in are new, as their places in order.

    `earlier` are the turns before, in order; the one that has most in common counts. A turn that asks the same again
    keeps its last message. System prompts are new where no turn before had the same.
    """
    prompts = {_mark(message) for one in earlier for message in one.asked if _is_prompt(message)}
    places = [place for place, message in enumerate(turn.asked) if not _is_prompt(message)]
    marks = [_mark(turn.asked[place]) for place in places]
    known = 0
    for one in earlier:
        before = [_mark(message) for message in one.asked if not _is_prompt(message)]
        known = max(known, _in_common(marks, before + [_mark(message) for message in one.answered]))
    if places and known == len(places):
        known -= 1
    fresh = set(places[known:])
    return [
        place
        for place, message in enumerate(turn.asked)
        if place in fresh or (_is_prompt(message) and _mark(message) not in prompts)
    ]


def _in_common(marks: Sequence[Hashable], before: Sequence[Hashable]) -> int:
    """How many of the first `marks` the time before has: as its beginning, or as its end."""
    alike = 0
    for one, other in zip(marks, before, strict=False):
        if one != other:
            break
        alike += 1
    for length in range(min(len(marks), len(before)), alike, -1):
        if list(marks[:length]) == list(before[-length:]):
            return length
    return alike


def _is_prompt(message: Message) -> bool:
    return message.role in ("system", "developer")


def _mark(message: Message) -> Hashable:
    """What makes two messages the same: who says what. Thoughts and ids are often left out of a history."""
    parts = [mark for part in message.parts if (mark := _part_mark(part)) is not None]
    return message.role, tuple(parts)


def _part_mark(part: Part) -> Hashable | None:
    match part:
        case TextPart(content=content) | RefusalPart(content=content):
            return content.strip() or None
        case ReasoningPart():
            return None
        case ToolCallPart(name=name, arguments=value):
            return "call", name, _plain(value)
        case ToolCallResponsePart(response=value):
            return "result", _plain(value)
        case BlobPart(content=content):
            return "blob", content
        case UriPart(uri=uri):
            return "uri", uri
        case FilePart(file_id=identity):
            return "file", identity
        case GenericPart(name=name, value=value):
            return name, _plain(value)


def _plain(value: Any) -> str:
    """The same text for the same value, whether it is decoded or still JSON."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return str(value).strip()
    return msgspec.json.encode(value, order="deterministic").decode()
