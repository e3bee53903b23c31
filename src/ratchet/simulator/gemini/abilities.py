"""What a Gemini of that name does. Names that are not Gemini's take everything and think when told to."""

from __future__ import annotations

import functools
import re

import msgspec

__all__ = ["Abilities", "abilities_of"]

_NAME = re.compile(r"(?:^|/)gemini-(?P<major>\d)(?:\.(?P<minor>\d))?-(?P<line>pro|flash-lite|flash|ultra)?")


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """`budgets`: least and most thinking tokens that may be asked for, None where no budget is taken."""

    thinks: str = ""  # how much it thinks unless told: the core's effort, "" for not at all
    can_think: bool = True
    must_think: bool = False
    budgets: tuple[int, int] | None = (0, 65_536)
    levels: bool = True
    demands_signatures: bool = False  # of calls in the current turn
    signs: bool = True  # calls, when it thinks
    names_calls: bool = False  # gives calls ids
    json_with_tools: bool = True


@functools.lru_cache(maxsize=512)
def abilities_of(model: str) -> Abilities:
    """The abilities that the model's name tells."""
    found = _NAME.search(model.lower())
    if not found:
        return Abilities()
    version, line = (int(found["major"]), int(found["minor"] or 0)), found["line"] or ""
    third = version >= (3, 0)
    can_think = version >= (2, 5)
    budgets = {"pro": (128, 32_768), "flash-lite": (512, 24_576)}.get(line, (1, 24_576))
    return Abilities(
        thinks="" if not can_think or line == "flash-lite" else "medium" if line == "pro" else "low",
        can_think=can_think,
        must_think=can_think and line == "pro",
        budgets=budgets if can_think else None,
        levels=third,
        demands_signatures=third,
        signs=can_think,
        names_calls=third,
        json_with_tools=third,
    )
