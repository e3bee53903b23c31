"""What requests are expected to use: how long answers have been, and what is set aside for one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

__all__ = ["DOLLAR", "OutputLengths", "Reservation"]

DOLLAR = 10**9  # money is counted in billionths of a dollar

_UNKNOWN_LENGTH = 500.0  # tokens of an answer, before any has been seen
_MOST_REMEMBERED = 4096
_WEIGHT = 0.05  # of the newest answer in the average of an answer's length; the first twenty weigh the same


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """`tokens` are those expected. `cost` is in billionths of a dollar, None where a price is not known.

    Where the app has limited the answer's length (`capped`), the cost is one that can't be exceeded.
    """

    input_tokens: int
    tokens: int
    cost: int | None
    capped: bool


class _Length(msgspec.Struct):
    average: float
    seen: int = 0


class OutputLengths:
    """How long the answers of each route and target have been lately, in tokens. One per gateway process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Length] = {}

    def expected(self, route: str, targets: Iterable[str]) -> int:
        """The longest average among the targets that have answered."""
        known = [found for target in targets if (found := self._known.get((route, target)))]
        return round(max((length.average for length in known), default=_UNKNOWN_LENGTH))

    def note(self, route: str, target: str, tokens: int) -> None:
        """An answer of so many tokens came."""
        length = self._known.get((route, target))
        if length is None:
            if len(self._known) >= _MOST_REMEMBERED:  # apps choose the names of models
                self._known.clear()
            length = self._known[route, target] = _Length(0.0)
        length.seen += 1
        length.average += (tokens - length.average) * max(_WEIGHT, 1 / length.seen)
