"""What a model of that name can do and takes. Names that are not Claude's take everything.

Source: Anthropic's model overview and migration guides: budgets and sampling end with 4.7, prefill with 4.6.
"""

from __future__ import annotations

import functools
import re

import msgspec

__all__ = ["Abilities", "abilities_of"]

_NAME = re.compile(r"(?:^|[/.])claude-(?:(?P<line>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2})(?!\d))?")
_LINES = {"opus", "sonnet", "haiku"}


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """`efforts`: the levels that `output_config.effort` may have, None for no such field."""

    samples: bool = True  # takes temperature, top_p and top_k
    samples_both: bool = True  # takes temperature and top_p together
    thinks: bool = True
    budgets: bool = True  # takes thinking with a budget
    adapts: bool = True  # takes adaptive thinking
    shows: bool = True  # shows thoughts unless told not to
    prefill: bool = True
    schemas: bool = True
    system_turns: bool = True  # system messages in the middle of a conversation
    efforts: tuple[str, ...] | None = ("low", "medium", "high", "xhigh", "max")
    least_cached: int = 1024  # tokens


@functools.lru_cache(maxsize=512)
def abilities_of(model: str) -> Abilities:
    """The abilities that the model's name tells."""
    found = _NAME.search(model.lower())
    if not found:
        return Abilities()
    line = found["line"] or ""
    version = _version(found, line)
    efforts = None
    if version >= (4, 7):
        efforts = ("low", "medium", "high", "xhigh", "max")
    elif version >= (4, 6):
        efforts = ("low", "medium", "high", "max")
    elif version >= (4, 5) and line == "opus":
        efforts = ("low", "medium", "high")
    return Abilities(
        samples=version < (4, 7),
        samples_both=version < ((4, 1) if line == "opus" else (4, 5)),
        thinks=version >= (3, 7),
        budgets=version < (4, 7),
        adapts=version >= (4, 6),
        shows=version < (4, 7),
        prefill=version < (4, 6),
        schemas=version >= ((4, 1) if line == "opus" else (4, 5)),
        system_turns=version >= (4, 8),
        efforts=efforts,
        least_cached=4096 if line in {"opus", "haiku"} and version >= (4, 5) else 1024,
    )


def _version(found: re.Match[str], line: str) -> tuple[int, int]:
    """The generation. Lines that begin with the fifth can all that the newest can."""
    major, minor = int(found["major"]), int(found["minor"] or 0)
    return (9, 0) if line and line not in _LINES and major >= 5 else (major, minor)
