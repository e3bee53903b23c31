"""What a role is and what it hands back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ratchet.simulator.ask import Ask, Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.models import ModelClass

__all__ = ["Draft", "Role"]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One answer before token limits and stop sequences. `flaw`: which schema it could not satisfy, if any."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    reasoning: str = ""
    flaw: str = ""


class Role(msgspec.Struct, frozen=True):
    """`recognises` looks at what the prompt asks; `reply` is pure."""

    name: str
    recognises: Callable[[Ask], bool]
    reply: Callable[[Ask, Dice, Handbook, ModelClass], Draft]
