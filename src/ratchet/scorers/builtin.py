"""Every scorer that is there without doing anything: what is known about it, and where it is.

One line each. `where` is loaded when the scorer is first made.
"""

from __future__ import annotations

from typing import NamedTuple

from ratchet.scorers.scorer import ScorerAbout

__all__ = ["BUILTIN", "Builtin"]


class Builtin(NamedTuple):
    about: ScorerAbout
    where: str  # "module:Settings" below ratchet.scorers


_ALL = [
    Builtin(
        ScorerAbout("exact", "The answer is the reference", "text", binary=True, needs_reference=True),
        "matching:Exact",
    ),
    Builtin(
        ScorerAbout("contains", "The answer contains the reference, or given texts", "text", binary=True),
        "matching:Contains",
    ),
    Builtin(
        ScorerAbout("regex", "The answer matches a regular expression", "text", binary=True), "matching:Regex"
    ),
]

BUILTIN: dict[str, Builtin] = {each.about.name: each for each in _ALL}
