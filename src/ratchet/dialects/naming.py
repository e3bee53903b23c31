"""What a refusal calls a field: as the app wrote it, not as the neutral form has it.

Writers name fields of the neutral form, which is all they know. Each dialect that apps speak tells what it calls such a
field, by looking into the request again: only a request that is refused pays for that. A name is never a guess: where
the very part can't be told, it is the message's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from ratchet.errors import InvalidRequest

__all__ = ["Place", "Source", "message_name", "renamed", "same_name"]

_POSITION = re.compile(
    r"messages\[(\d+)\](?:\.content\[(\d+)\])?(?:\.content\[(\d+)\])?(?:\.(.*))?", re.DOTALL
)
_TOP = re.compile(r"[^.\[]+")
# Without these a request asks nothing: advice to drop them helps nobody.
_CONVERSATION = frozenset({"messages", "input", "system", "instructions"})


class Place(NamedTuple):
    """Where in the app's request a part comes from.

    `value` is what stands there, `entries` the name of its field with what a tool's result is made of. `whole` is the
    place of all that the part belongs to, where a part may hold something that was said of more than itself.
    """

    path: str
    value: Any = None
    entries: str = ""
    whole: str = ""


class Source(NamedTuple):
    """Where in the app's request a message of the neutral form comes from, and each of its parts."""

    path: str
    value: Any
    parts: Sequence[Place]


def same_name(wire: dict[str, Any], field: str) -> str:
    """The name in a dialect that calls every field as the neutral form does."""
    del wire
    return field


def message_name(field: str, sources: Sequence[Source], aliases: Mapping[str, Sequence[str]]) -> str | None:
    """What the app calls a message, a part of it or a field of either; None where `field` is no such thing.

    `aliases`: where a part's field stands, relative to the part, when not under its neutral name.
    """
    match = _POSITION.fullmatch(field)
    if match is None or int(match[1]) >= len(sources):
        return None
    source, tail = sources[int(match[1])], match[4]
    part = int(match[2]) if match[2] is not None else None
    if part is None or part >= len(source.parts):
        below = _below(source.path, source.value, tail, aliases) if part is None else None
        return below or source.path
    place = source.parts[part]
    path, value = place.path, place.value
    if match[3] is not None:
        held, number = _fields(value).get(place.entries), int(match[3])
        entries = cast("list[Any]", held) if isinstance(held, list) else []
        if number >= len(entries):
            return path
        path, value = f"{path}.{place.entries}[{number}]", entries[number]
        return _below(path, value, tail, aliases) or path
    return _below(path, value, tail, aliases) or (place.whole if tail and place.whole else path)


def _below(path: str, value: Any, tail: str | None, aliases: Mapping[str, Sequence[str]]) -> str | None:
    """The path of the field that the neutral form calls `tail`; None where there is none."""
    if tail is None:
        return None
    for name in (tail, *aliases.get(tail, ())):
        fields, steps = _fields(value), [name] if name in _fields(value) else name.split(".")
        for step in steps[:-1]:
            fields = _fields(fields.get(step))
        if steps[-1] in fields:
            return f"{path}.{name}"
    return None


def _fields(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def renamed(
    error: InvalidRequest, wire: dict[str, Any], field_name: Callable[[dict[str, Any], str], str]
) -> InvalidRequest:
    """The same error, about the field as the app calls it. `wire` is the app's request."""
    if error.param is None:
        return error
    field, more, what = error.param.partition(" (")  # `tools[0] (web_search)`
    if wire.get(error.param) is not None:  # the app's own name may look like that too
        field, more, what = error.param, "", ""
    name = field if wire.get(field) is not None else field_name(wire, field)
    called = name + more + what
    message, remedy = error.message, error.remedy
    for before, after in ((repr(error.param), repr(called)), (error.param, called)):
        if message.startswith(before):
            message = after + message.removeprefix(before)
            break
    top = name if name in wire else _top(name)
    if error.reason == "not_expressible" and top in wire and top not in _CONVERSATION:
        remedy += f" An operator can have `{top}` dropped for a provider with `drop_fields`."
    return InvalidRequest(message, remedy, code=error.reason, param=called)


def _top(name: str) -> str:
    match = _TOP.match(name)
    return match[0] if match else name
