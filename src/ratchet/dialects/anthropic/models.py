"""What Claude models take: which way of asking for thought, which efforts, and system messages between turns.

Learnt from recorded exchanges and Anthropic's documentation of each release; `docs/dialects/anthropic.md` shows the
table. It only serves requests that came in other dialects: what an app says in Anthropic's own words goes as it is.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["BUDGETS", "Abilities", "abilities", "effort_of"]


class Abilities(msgspec.Struct, frozen=True):
    """`adaptive`: thinks as much as it finds right, guided by an effort. `budget`: takes a number of tokens.

    `efforts` it knows beside low, medium and high. `system_later`: takes system messages after the first turn.
    """

    adaptive: bool = True
    budget: bool = False
    efforts: frozenset[str] = frozenset({"xhigh", "max"})
    system_later: bool = False


BUDGETS = {
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
"""Tokens to think in, for each effort."""

_OLD = Abilities(adaptive=False, budget=True, efforts=frozenset())
_TABLE: list[tuple[tuple[int, int], Abilities]] = [
    ((4, 8), Abilities(system_later=True)),
    ((4, 7), Abilities()),
    ((4, 6), Abilities(budget=True, efforts=frozenset({"max"}))),
    ((0, 0), _OLD),
]
_NEW = _TABLE[0][1]

# claude-opus-4-6, claude-sonnet-4-5-20250929, claude-3-7-sonnet, anthropic.claude-opus-4-1-v1:0, claude-opus-4.8:
# at most two numbers of one or two digits; a date is longer.
_VERSION = re.compile(r"claude-(?:[a-z]+-)*?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")


def abilities(model: str) -> Abilities:
    """What `model` takes. A Claude with no version in its name is taken for a new one; a model that is no Claude and
    is served in this dialect, for an old one: most such servers took the dialect over as it was."""
    if "claude" not in model:
        return _OLD
    found = _VERSION.search(model)
    if found is None:
        return _NEW
    version = (int(found[1]), int(found[2] or 0))
    return next(what for since, what in _TABLE if version >= since)


def effort_of(budget: int) -> str:
    """The effort that is nearest to a number of tokens."""
    return "low" if budget <= 1_024 else "medium" if budget <= 8_192 else "high"
