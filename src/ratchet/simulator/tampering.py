"""What a fault does to the answer itself, before it goes on the wire. Pure."""

from __future__ import annotations

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.answer import Answer, Choice
from ratchet.simulator.faults import Fault
from ratchet.simulator.handbook import Handbook

__all__ = ["tampered"]

_REFUSAL = "I'm sorry, but I can't assist with that request."


def tampered(found: Answer, fault: Fault, book: Handbook) -> Answer:
    """The answer with the fault's emptiness, refusal, filter or length; its token count follows."""
    if not (fault.empty or fault.refusal or fault.content_filter or fault.tokens is not None):
        return found
    choices = tuple(_choice(choice, fault, book) for choice in found.choices)
    said = sum(tokens.count(choice.text) + tokens.count(choice.refusal) for choice in choices)
    return msgspec.structs.replace(found, choices=choices, output_tokens=said + found.reasoning_tokens)


def _choice(choice: Choice, fault: Fault, book: Handbook) -> Choice:
    if fault.empty:
        return Choice(finish=choice.finish if choice.finish == "length" else "stop")
    if fault.refusal:
        return Choice(refusal=_REFUSAL)
    if fault.content_filter:
        parts = tokens.pieces(choice.text)
        return Choice(text="".join(parts[: len(parts) // 2]), finish="content_filter")
    return Choice(text=_sized(choice.text, fault.tokens or 0, book))


def _sized(text: str, size: int, book: Handbook) -> str:
    """Exactly `size` tokens: the answer cut, or gone on with from the handbook."""
    parts = tokens.pieces(text)
    filler = tokens.pieces(" " + " ".join(section.text for section in book.sections)) or [" and"]
    while len(parts) < size:
        parts.extend(filler)
    # Joining can change where tokens begin, so the count is checked on the joined text.
    joined = "".join(parts[:size])
    while len(tokens.pieces(joined)) < size:
        joined += "."
    return joined
