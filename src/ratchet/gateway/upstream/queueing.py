"""Waiting for a provider that takes only so many requests at once: bounded, by priority, fair among keys.

Pure but for the futures that wait.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import Literal

from ratchet.errors import RateLimited

__all__ = ["PRIORITIES", "FairQueue", "Priority"]

Priority = Literal["high", "normal", "low"]
PRIORITIES: dict[str, int] = {"high": 0, "normal": 1, "low": 2}
_WEIGHT = 0.2  # of the newest in the average time that a request holds its place
_GUESS = 1.0  # seconds; before any request has ended


class FairQueue:
    """At most `at_once` requests under way, and `most_waiting` that wait for a place.

    Higher classes go first. Within one, keys take turns (start-time fair queueing, Goyal et al. 1996, with equal
    weights and requests of one size): a key that sends a thousand requests waits behind its own, not before others'.
    """

    __slots__ = (
        "_average",
        "_finish",
        "_held",
        "_serial",
        "_subject",
        "_virtual",
        "_waiting",
        "at_once",
        "clock",
        "most_waiting",
        "refused",
        "waiting",
    )

    def __init__(self, subject: str, at_once: int, most_waiting: int, *, clock: Callable[[], float]) -> None:
        """`subject` is what is waited for, as a sentence names it."""
        self._subject = subject
        self.at_once = at_once
        self.most_waiting = most_waiting
        self.waiting = 0
        self.refused = 0  # requests that were given no place
        self.clock = clock
        self._held = 0
        self._serial = 0
        self._virtual = 0.0
        self._finish: dict[tuple[int, str], float] = {}  # by class and key: when its last request's turn ends
        self._waiting: list[tuple[int, float, int, str, asyncio.Future[None]]] = []
        self._average: float | None = None  # seconds that requests held their places lately

    @property
    def held(self) -> int:
        """Requests that have a place."""
        return self._held

    async def enter(self, key: str, priority: int, within: float) -> float:
        """Wait for a place. Returns the moment it was had, which `leave` wants back. Raises RateLimited where the
        queue is full, or no place is free within so many seconds."""
        if self._held < self.at_once and not self.waiting:
            self._held += 1
            return self.clock()
        if self.waiting >= self.most_waiting:
            raise self.refusal(priority)
        turn = max(self._virtual, self._finish.get((priority, key), 0.0))
        self._finish[priority, key] = turn + 1
        self._serial += 1
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, turn, self._serial, key, place))
        self.waiting += 1
        try:
            async with asyncio.timeout(within):
                await self._had(place)
        except TimeoutError:
            raise self.refusal(priority) from None
        return self.clock()

    async def _had(self, place: asyncio.Future[None]) -> None:
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._pass_on()  # the place came just as nobody wanted it any more
            else:
                self.waiting -= 1
            raise

    def leave(self, entered: float) -> None:
        """Give the place back."""
        held = self.clock() - entered
        self._average = held if self._average is None else self._average + _WEIGHT * (held - self._average)
        self._pass_on()

    def _pass_on(self) -> None:
        self._held -= 1
        while self._waiting and self._held < self.at_once:
            _, turn, _, _, place = heapq.heappop(self._waiting)
            if place.done():
                continue  # who waited here has left
            self._virtual = max(self._virtual, turn)
            self._held += 1
            self.waiting -= 1
            place.set_result(None)
        if not self.waiting:
            self._finish.clear()
            self._waiting.clear()
            self._virtual = 0.0

    def refusal(self, priority: int) -> RateLimited:
        """What somebody is told who was given no place."""
        self.refused += 1
        ahead = sum(1 for each in self._waiting if each[0] <= priority and not each[-1].done())
        seconds = (_GUESS if self._average is None else self._average) * (ahead + 1) / self.at_once
        return RateLimited(
            f"{self.waiting} requests wait for {self._subject} already.",
            "Come back later, as `retry-after` says.",
            retry_after=max(1.0, math.ceil(seconds)),
            code="queue_full",
        )
