"""What people think of models, and what public leaderboards say of them. Times are nanoseconds since the epoch, UTC."""

from __future__ import annotations

import msgspec

__all__ = ["MOST_STARS", "Hint", "Star"]

MOST_STARS = 5


class Star(msgspec.Struct, frozen=True, kw_only=True):
    """One member's opinion of a model: 1 to 5 stars, and why."""

    model: str  # the catalogue's name for it
    member: str  # the member's e-mail address
    stars: int
    comment: str
    created: int
    changed: int


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """A public leaderboard's score. It is about other people's tasks, so it is a hint and no more.

    `score` has the unit of its benchmark; `date` is `2026`, `2026-05` or `2026-05-31`; `listed_as` is the model's name
    in the file that it came from.
    """

    model: str
    benchmark: str
    score: float
    date: str
    source: str
    listed_as: str
    imported: int = 0
    imported_by: str = ""
