"""Calls of tools in pieces, as streams bring them: which piece belongs to which call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec

from ratchet.dialects.openai_chat.reading import read_call
from ratchet.domain.messages import Extra, ToolCallPart

__all__ = ["CallPiece", "call_at", "call_piece"]

_encoder = msgspec.json.Encoder()


class _Counted(Protocol):
    @property
    def index(self) -> int | None: ...
    @property
    def id(self) -> str | None: ...


_Call = TypeVar("_Call", bound=_Counted)


def call_at(calls: Sequence[_Call], index: int | None, call_id: str | None) -> _Call | None:
    """The call that a piece belongs to; None where it begins another.

    Not every server counts: some leave the index out or always say 0, and tell calls apart by id alone.
    """
    for call in calls:
        if call_id and call.id == call_id and (index is None or call.index in (None, index)):
            return call
    for call in reversed(calls):
        if index is None or call.index is None or call.index == index:
            return None if call_id and call.id and call.id != call_id else call
    return None


class CallPiece(msgspec.Struct, frozen=True):
    """One entry of a delta's `tool_calls`. `signature` is (proof, dialect whose models can check it)."""

    index: int | None = None
    id: str | None = None
    name: str = ""
    arguments: str = ""
    signature: tuple[str, str] | None = None
    extra: Extra | None = None


def call_piece(value: Any) -> CallPiece | None:
    """None where the entry is no piece of a call."""
    if not isinstance(value, dict):
        return None
    entry = cast("dict[str, Any]", value)
    index = entry.get("index")
    called = "custom" if isinstance(entry.get("custom"), dict) else "function"
    function: Any = entry.get(called)
    given = cast("dict[str, Any]", function) if isinstance(function, dict) else {}
    text = given.get("input" if called == "custom" else "arguments")
    # The rest is read as of a call that is whole; its text must not be: half of it may look whole.
    rest = {name: said for name, said in entry.items() if name not in ("index", called)}
    inside = {name: said for name, said in given.items() if name not in ("arguments", "input")}
    part = read_call({**rest, called: inside})
    if not isinstance(part, ToolCallPart):
        return None
    return CallPiece(
        index if isinstance(index, int) else None,
        part.id,
        part.name,
        text if isinstance(text, str) else "" if text is None else _encoder.encode(text).decode(),
        (part.signature, part.origin or "") if part.signature else None,
        part.extra,
    )
