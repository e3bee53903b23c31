"""The counters port: state that a request changes, shared by every gateway that must agree on it.

Two implementations: memory, exact for one process, and Redis or Valkey, exact for all of them. Amounts are whole
numbers, times are nanoseconds. A call that can't be carried out raises Unavailable (`counters_down`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = [
    "LONGEST",
    "MOST_MEMBERS",
    "Ask",
    "BudgetAsk",
    "Counters",
    "Grant",
    "LeaseAsk",
    "RateAsk",
    "Refusal",
    "Tally",
]

LONGEST = 2**53 - 1  # nanoseconds, 104 days: the furthest ahead that a bucket may be used up
MOST_MEMBERS = 10_000  # a set counts no further: whoever has that many is found out already


class RateAsk(msgspec.Struct, frozen=True, gc=False):
    """Room in a bucket that fills evenly (GCRA, ITU-T I.371's virtual scheduling).

    A bucket is one number, the moment at which it is full again. Taking from it moves that moment by `amount`
    nanoseconds (what is taken × period / limit), and is granted while that leaves it at most `limit` nanoseconds ahead
    of now (burst × period / limit). There is no window, and so no edge at which twice the limit passes.
    """

    key: str
    amount: int
    limit: int


class LeaseAsk(msgspec.Struct, frozen=True, gc=False):
    """One of `limit` places. Nobody who died keeps one for longer than `lifetime`, which outlasts any request."""

    key: str
    limit: int
    lifetime: int
    amount: int = 1


class BudgetAsk(msgspec.Struct, frozen=True, gc=False):
    """`amount` of the `limit` of one calendar period, whose key names the period. It is forgotten at `expires`.

    What is spent and what is reserved count together. With a `least`, above 0, the amount is a guess: where it is more
    than what is left, nothing is reserved and `least` is left, all that is left is taken; the grant's ask says how much
    that was. What somebody reserved who died counts as spent once nothing has been granted for `lifetime` nanoseconds,
    which outlasts any request; a process that counts for itself knows it when it starts again.
    """

    key: str
    amount: int
    limit: int
    expires: int  # since the epoch
    least: int = LONGEST
    lifetime: int = LONGEST


Ask = RateAsk | LeaseAsk | BudgetAsk


class Grant(msgspec.Struct, frozen=True, gc=False):
    """What was taken: `asks` as they were granted. `levels` are what the asks' keys hold now, in their order.

    Of a rate the nanoseconds until its bucket is full again; of places those taken; of a budget what is spent and
    reserved.
    """

    id: str
    asks: Sequence[Ask]
    levels: Sequence[int]


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Nothing was taken. `index` is the ask that has to wait longest.

    `wait` is how many nanoseconds pass before every rate has room, if nobody else takes it. It is 0 where a place or
    a budget is in the way, whose time nobody knows here. `level` is what that ask's key holds; of a budget `spent` is
    the part of it that is not merely reserved.
    """

    index: int
    wait: int
    level: int
    spent: int = 0


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Two decayed sums. `first_seen` and `last_seen` are nanoseconds since the epoch."""

    good: float
    bad: float
    first_seen: int
    last_seen: int


class Counters(Protocol):
    """What the gateways share. Keys are any text; each of the groups below has names of its own."""

    async def admit(self, asks: Sequence[Ask]) -> Grant | Refusal:
        """Take everything that is asked for, or nothing of it. A key may stand in `asks` once."""
        ...

    async def settle(self, grant: Grant, actuals: Sequence[int | None]) -> Sequence[int]:
        """Put what was really used in the place of what was asked for, more or less; places are given back.

        `actuals` stand beside the grant's asks, in their units (of a place it says nothing). None: that one stays as it
        is. Returns the levels, as in the grant, and 0 beside None; of a budget that is here what is spent alone, so that
        those who wait don't count as spenders.
        """
        ...

    async def tally(
        self, key: str, *, good: float = 0.0, bad: float = 0.0, half_life: int, keep: int
    ) -> Tally:
        """Add to a pair of sums that halve every `half_life` ns. They are forgotten when untouched for `keep` ns."""
        ...

    async def read_tally(self, key: str, *, half_life: int) -> Tally | None:
        """The sums as they have decayed by now; None for a key that was never added to."""
        ...

    async def drop_tally(self, key: str) -> None:
        """Forget it."""
        ...

    async def note_member(self, key: str, member: str, *, keep: int) -> int:
        """Put `member` into a set for `keep` ns from now, and say how many it holds (MOST_MEMBERS at most)."""
        ...

    async def claim(self, key: str, *, keep: int) -> bool:
        """True for the first who asks, and for nobody else in the next `keep` ns."""
        ...

    async def get(self, key: str) -> bytes | None:
        """What was put there, while it is kept."""
        ...

    async def put(self, key: str, value: bytes, *, keep: int) -> None:
        """Keep bytes for `keep` ns. It is a cache: they may go earlier."""
        ...

    async def drop(self, key: str) -> None:
        """Forget the bytes put there."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
