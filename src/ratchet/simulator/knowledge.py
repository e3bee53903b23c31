"""What the bot goes by: the system prompt's instructions, the question, and the text that it answers from."""

from __future__ import annotations

import functools
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Ask, Turn
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.instructions import split_context

__all__ = ["gathered", "told_by"]

_MOST_LINES = 8
_READ = 8192


def gathered(ask: Ask, book: Handbook) -> tuple[str, str, Handbook]:
    """`(instructions, question, handbook)`: a context that the prompt carries replaces the handbook."""
    system, context = _split(ask.system)
    question = ask.question
    if not context:
        question, context = split_context(question)
    if not context:
        return _bounded(system), _bounded(question), book
    carried = _parsed(context)
    return _bounded(system), _bounded(question), carried if carried.sections else book


@functools.lru_cache(maxsize=256)
def _split(system: str) -> tuple[str, str]:
    """An app's system prompt is the same in most of its requests."""
    return split_context(system)


def _bounded(text: str) -> str:
    """What is read of a very long message: its beginning and its end, as one asks there."""
    return text if len(text) <= 2 * _READ else f"{text[:_READ]} … {text[-_READ:]}"


@functools.lru_cache(maxsize=64)
def _parsed(context: str) -> Handbook:
    return Handbook.parse(context)


def told_by(result: Turn, ask: Ask) -> str:
    """A tool's result in a sentence. `order_lookup` with a JSON object becomes "order id: A-1; status: sent."."""
    text = result.text.strip()
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text if text.endswith((".", "!", "?")) else text + "."
    return "; ".join(_lines(found)) + "." if found not in ({}, [], None, "") else _nothing(result, ask)


def _nothing(result: Turn, ask: Ask) -> str:
    name = next(
        (call.name for turn in ask.turns for call in turn.calls if call.id == result.call_id), "lookup"
    )
    return f"The {name.replace('_', ' ')} found nothing."


def _lines(value: Any, name: str = "") -> list[str]:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return [line for key, item in items.items() for line in _lines(item, key.replace("_", " "))][
            :_MOST_LINES
        ]
    if isinstance(value, list):
        return [line for item in cast("list[Any]", value) for line in _lines(item, name)][:_MOST_LINES]
    shown = (
        {True: "yes", False: "no", None: "none"}.get(value, value)
        if isinstance(value, bool | None)
        else value
    )
    return [f"{name}: {shown}" if name else str(shown)]
