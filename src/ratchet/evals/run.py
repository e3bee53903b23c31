"""The engine of a run: every case of every candidate, so many at a time, each answer scored and kept.

Cases are asked in order, each of all candidates before the next, so that what is done when a run stops early can be
compared pair by pair. Everything outside is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.runs import Progress, Result, RunTag
from ratchet.errors import RatchetError
from ratchet.evals.answering import SPENT, Spending
from ratchet.evals.switch import Switch
from ratchet.gateway.inside import PURPOSE, Purpose
from ratchet.scorers.scorer import Scorer

__all__ = ["Answer", "Effects", "Ended", "Plan", "Score", "execute"]

Answer = Callable[[Case, RunTag], Awaitable[tuple[Output, bool]]]
"""A case to a candidate's answer, and whether an earlier call has paid for it. It raises only where a run must stop."""


class Score(Protocol):
    """Writes a verdict down; `judged` says whether a model gave it."""

    def __call__(self, tag: RunTag, output: Output, verdict: Verdict, *, judged: bool) -> None: ...


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to do. `max_cost` is in US dollars for all lives of the run together, None without a limit."""

    run_id: str
    cases: Sequence[Case]
    candidates: Sequence[str]
    repeats: int = 1
    concurrency: int = 16
    max_cost: Decimal | None = None

    @property
    def total(self) -> int:
        return len(self.cases) * len(self.candidates) * self.repeats

    def tags(self) -> Iterator[tuple[Case, RunTag]]:
        for case in self.cases:
            for repeat in range(self.repeats):
                for candidate in self.candidates:
                    yield case, RunTag(self.run_id, candidate, case.id, repeat)


class Ended(msgspec.Struct, frozen=True):
    """How it ended: done, cancelled, or stopped with the `reason`."""

    status: str
    reason: str
    progress: Progress


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What a run works with, `answer` and `scorers` by candidate. `keep` puts a result on disk; `told` hears of each one."""

    answer: Mapping[str, Answer]
    scorers: Mapping[str, Sequence[Scorer]]
    score: Score
    keep: Callable[[Result], None]
    told: Callable[[Result, Progress], None]


async def execute(plan: Plan, effects: Effects, done: Sequence[Result], switch: Switch) -> Ended:
    """Ask what is not among `done`, until everything is or `switch` says stop.

    Where nothing more can be asked or written down (RatchetError), the run has failed: what is under way still ends,
    for it is being paid.
    """
    meter = _Meter(plan, done)
    finished = {(each.candidate, each.case_id, each.repeat) for each in done}
    left = (
        (case, tag) for case, tag in plan.tags() if (tag.candidate, tag.case_id, tag.repeat) not in finished
    )

    async def work() -> None:
        for case, tag in left:
            if switch.status or not await meter.may_begin(switch):
                return
            try:
                result = await _one(case, tag, effects, meter)
            except RatchetError as error:
                switch.stop("failed", str(error))
                return
            effects.told(result, meter.progress)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(plan.concurrency, max(plan.total - len(finished), 1))):
            tasks.create_task(work())
    status = "done" if meter.progress.done >= plan.total else switch.status
    return Ended(status, "" if status == "done" else switch.reason, meter.progress)


async def _one(case: Case, tag: RunTag, effects: Effects, meter: _Meter) -> Result:
    spending = Spending()
    SPENT.set(spending)
    try:
        output, cached = await effects.answer[tag.candidate](case, tag)
        verdicts: list[Verdict] = []
        # What judges cost belongs to the run and to the answer's trace, and to no candidate.
        PURPOSE.set(
            Purpose(
                RunTag(tag.run_id, "", tag.case_id, tag.repeat),
                trace_id=output.trace_id,
                parent_id=output.span_id,
            )
        )
        for scorer in effects.scorers[tag.candidate]:
            for verdict in await scorer(case, output):
                verdicts.append(verdict)
                effects.score(tag, output, verdict, judged=scorer.about.asks_a_model)
        result = Result(
            candidate=tag.candidate,
            case_id=tag.case_id,
            repeat=tag.repeat,
            output=output,
            verdicts=verdicts,
            cached=cached,
            spent=spending.cost,
            unpriced=spending.unpriced,
        )
        if not output.error:  # what failed is asked again when the run is resumed
            effects.keep(result)
        meter.add(result)
        return result
    finally:
        meter.end()


class _Meter:
    """How far a run is, what it has paid, and whether the next answer fits into the limit."""

    def __init__(self, plan: Plan, done: Sequence[Result]) -> None:
        self.progress = Progress(total=plan.total)
        self._limit = plan.max_cost
        self._under_way = 0
        self._dearest: Decimal | None = None  # None until an answer's cost is known
        self._changed = asyncio.Event()
        for result in done:
            self.add(result)

    def add(self, result: Result) -> None:
        before = self.progress
        self.progress = Progress(
            done=before.done + 1,
            total=before.total,
            errors=before.errors + bool(result.output.error),
            cached=before.cached + result.cached,
            cost=before.cost + result.spent,
            unpriced=before.unpriced + result.unpriced,
        )
        if result.spent or not (result.cached or result.output.error):
            self._dearest = max(self._dearest or result.spent, result.spent)

    async def may_begin(self, switch: Switch) -> bool:
        """Whether one more answer can be paid, if none costs more than the dearest so far. Waits to know that cost."""
        while not switch.status:
            if self._limit is None:
                self._under_way += 1
                return True
            if self.progress.unpriced:
                switch.stop(
                    "stopped",
                    "a call had no known price, so the cost limit can't be held: set [prices] in ratchet.toml",
                )
                return False
            if self._dearest is None and self._under_way:  # the first answer tells what one costs
                await self._next_change()
                continue
            expected = (self._under_way + 1) * (self._dearest or Decimal(0))
            if self.progress.cost + expected <= self._limit:
                self._under_way += 1
                return True
            if not self._under_way:
                switch.stop("stopped", f"the next answer could exceed the limit of ${self._limit:f}")
                return False
            await self._next_change()
        return False

    def end(self) -> None:
        self._under_way -= 1
        self._changed.set()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
