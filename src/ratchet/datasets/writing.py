"""What models write for datasets: so many calls at a time, counted and paid for, up to a limit, until somebody stops it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import TypeVar

import msgspec

from ratchet.domain.cases import Case

__all__ = ["Progress", "Writing", "write_all"]

J = TypeVar("J")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it so far. `dropped` says how many of what was written is no use, and why.

    `cost` in US dollars is None as soon as one call's is not known. `failed` are calls that brought nothing. `reason`
    says why it ended before everything was asked.
    """

    cases: list[Case] = []
    wanted: int
    dropped: dict[str, int] = {}
    calls: int = 0
    failed: int = 0
    problem: str = ""  # what the last call that failed said
    cost: Decimal | None = Decimal(0)
    reason: str = ""

    @property
    def done(self) -> int:
        """How many of those wanted there are, or can't be had."""
        return min(self.wanted, len(self.cases) + sum(self.dropped.values()))


def _nobody() -> bool:
    return False


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How it goes on: so many calls at once, for `max_cost` US dollars at most (None: without a limit), until `stopped` says so.

    `on_progress` is handed everything that there is after each call, so that who breaks off keeps it.
    """

    concurrency: int = 8
    max_cost: Decimal | None = None
    stopped: Callable[[], bool] = _nobody
    on_progress: Callable[[Progress], None] = lambda _: None


async def write_all(
    jobs: Iterable[J], write: Callable[[J, Progress], Awaitable[Progress]], wanted: int, how: Writing
) -> Progress:
    """Everything that came of the jobs. `write` makes one call, and is handed what there is before it.

    What is under way when it ends early is taken too. Raises an ExceptionGroup of what `write` raises.
    """
    purse = _Purse(how.max_cost)
    progress = Progress(wanted=wanted)
    waiting = iter(jobs)

    async def work() -> None:
        nonlocal progress
        for job in waiting:
            if how.stopped() or not await purse.may_begin():
                return
            written = Progress(wanted=0, cost=None)
            try:
                written = await write(job, progress)
            finally:
                purse.end(written.cost)
            progress = _together(progress, written)
            how.on_progress(progress)

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, how.concurrency)):
            group.create_task(work())
    if purse.reason:
        progress = msgspec.structs.replace(progress, reason=purse.reason)
    return progress


def _together(progress: Progress, written: Progress) -> Progress:
    known = {case.id for case in progress.cases}
    fresh = [case for case in written.cases if case.id not in known]
    again = len(written.cases) - len(fresh)
    dropped = Counter(progress.dropped) + Counter(written.dropped)
    if again:
        dropped["written before"] += again
    return Progress(
        cases=[*progress.cases, *fresh],
        wanted=progress.wanted,
        dropped=dict(dropped),
        calls=progress.calls + written.calls,
        failed=progress.failed + written.failed,
        problem=written.problem or progress.problem,
        cost=None if progress.cost is None or written.cost is None else progress.cost + written.cost,
    )


class _Purse:
    """Whether one more call can be paid, if none costs more than the dearest so far."""

    def __init__(self, limit: Decimal | None) -> None:
        self.reason = ""
        self._limit = limit
        self._spent = Decimal(0)
        self._dearest: Decimal | None = None  # None until a call's cost is known
        self._under_way = 0
        self._changed = asyncio.Event()

    async def may_begin(self) -> bool:
        """Waits where what is under way decides it. False for good once something does not fit."""
        while not self.reason:
            first = self._dearest is None and self._under_way > 0  # it tells what one costs
            ahead = (self._under_way + 1) * (self._dearest or Decimal(0))
            if self._limit is None or (not first and self._spent + ahead <= self._limit):
                self._under_way += 1
                return True
            if not self._under_way:
                self.reason = f"the next call could exceed the limit of ${self._limit:f}"
                break
            self._changed.clear()
            await self._changed.wait()
        return False

    def end(self, cost: Decimal | None) -> None:
        self._under_way -= 1
        self._changed.set()
        if cost is not None:
            self._spent += cost
            self._dearest = max(self._dearest or cost, cost)
        elif self._limit is not None and not self.reason:
            self.reason = (
                "a call had no known price, so the cost limit can't be held: set [prices] in ratchet.toml"
            )
