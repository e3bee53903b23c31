"""Runs in this process: `ratchet run start` and `resume`, and `ratchet.evaluate` in Python."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from ratchet.addresses import Guard
from ratchet.app.asking import Asking, open_asking
from ratchet.app.loading import load
from ratchet.app.own_code import OwnCode, callables
from ratchet.app.paths import DataDir
from ratchet.app.planning import Order, Planned, order_of_queued, plan_again, plan_new
from ratchet.app.posting import open_post
from ratchet.app.run_tools import RunTools
from ratchet.domain.cases import Case
from ratchet.domain.runs import QUEUED, Progress, Result, Run
from ratchet.errors import Conflict, RatchetError, Unavailable
from ratchet.evals.answering import Answerer, Memory
from ratchet.evals.ledger import Ledger
from ratchet.evals.run import Effects, Ended, Plan, execute
from ratchet.evals.spans import SpanWriter
from ratchet.evals.switch import Switch
from ratchet.files import exclusive_lock
from ratchet.scorers.scorer import ScorerAbout, Tallies
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.records.runs import add_run, cases_of_run, change_run, fill_run, find_run, run_of, take_run

__all__ = ["Performed", "Watcher", "resume_run", "start_run"]

_BEAT = 1.0  # seconds between signs of life
CANCELLING = "cancelling"


@dataclasses.dataclass(frozen=True, slots=True)
class Performed:
    """What came of a run, in this process and before."""

    run: Run
    results: list[Result]
    cases: Sequence[Case]
    scorers: Sequence[ScorerAbout]


class Watcher(Protocol):
    """Hears how a run goes: first what it will do, in which order; then what is done already; then each answer."""

    def planned(self, cases: Sequence[Case], repeats: int, scorers: Sequence[ScorerAbout]) -> None: ...
    def began(self, run: Run, done: Sequence[Result]) -> None: ...
    def told(self, result: Result, progress: Progress) -> None: ...


async def start_run(
    config: Path, data: DataDir, order: Order, *, watcher: Watcher, switch: Switch
) -> Performed:
    """Run a suite to its end, or until `switch` stops it. Raises RatchetError before anything is paid where it can't be
    run, and later where nothing can be written down any more; it can be resumed then."""
    async with open_asking(config, data, name="run") as asking:
        tools = RunTools(OwnCode((order.folder,), order.objects), asking.settings.embeddings)
        planned = plan_new(order, asking, tools, data, now=time.time_ns())
        add_run(asking.records, planned.run, planned.cases)
        return await _perform(planned, asking, data, tools, watcher, switch)


async def resume_run(
    config: Path,
    data: DataDir,
    run_id: str,
    *,
    watcher: Watcher,
    switch: Switch,
    objects: Mapping[str, Any] = MappingProxyType({}),
) -> Performed:
    """Ask what is left of a run; `objects` are as in an `Order`. Raises NotFound, and Conflict where it is done, or somebody is at it."""
    async with open_asking(config, data, name="run") as asking:
        run = find_run(asking.records, project_id=DEFAULT_PROJECT, text=run_id)
        if run.started is None:
            return await _begin_queued(run, asking, data, watcher, switch)
        cases = cases_of_run(asking.records, run.id)
        code = OwnCode((Path(str(run.settings.get("folder", "."))),), objects)
        tools = RunTools(code, asking.settings.embeddings)
        planned = plan_again(run, cases, asking, tools, data)
        return await _perform(planned, asking, data, tools, watcher, switch)


async def _begin_queued(
    run: Run, asking: Asking, data: DataDir, watcher: Watcher, switch: Switch
) -> Performed:
    """A run that the studio has written down and not planned. What can't be run fails, and says why."""
    tools = RunTools(OwnCode(()), asking.settings.embeddings)
    try:
        order = order_of_queued(run, data.runs)
        planned = plan_new(order, asking, tools, data, now=time.time_ns(), queued=run)
        fill_run(asking.records, planned.run, planned.cases)
    except RatchetError as error:
        change_run(
            asking.records,
            run.id,
            status="failed",
            reason=str(error),
            ended=time.time_ns(),
            touched=time.time_ns(),
        )
        raise
    return await _perform(planned, asking, data, tools, watcher, switch)


async def _perform(
    planned: Planned, asking: Asking, data: DataDir, tools: RunTools, watcher: Watcher, switch: Switch
) -> Performed:
    run, records = planned.run, asking.records
    folder = data.runs
    folder.mkdir(exist_ok=True, mode=0o700)
    with _alone(folder / f"{run.id}.lock", run), contextlib.closing(Ledger(data.ledger)) as ledger:
        ledger.forget_old(time.time_ns())
        run = take_run(records, run, now=time.time_ns(), place=data.place)
        done = ledger.results(run.id)
        watcher.planned(planned.cases, run.repeats, planned.abouts)
        watcher.began(run, done)
        results = {(each.candidate, each.case_id, each.repeat): each for each in done}

        def told(result: Result, progress: Progress) -> None:
            results[result.candidate, result.case_id, result.repeat] = result
            beating.progress = progress
            watcher.told(result, progress)

        beating = _Beat(records, run, switch)
        ended = Ended("failed", "it was given up at once", run.progress)
        try:
            async with beating:
                ended = await _executed(planned, asking, tools, ledger, done, told, switch)
        except RatchetError as error:
            ended = Ended("failed", str(error), beating.progress)
            raise
        except asyncio.CancelledError:
            ended = Ended("cancelled", switch.reason or "it was given up at once", beating.progress)
            raise
        finally:
            found = list(results.values())
            summary = _summary(planned, found)
            change_run(
                records,
                run.id,
                status=ended.status,
                reason=ended.reason,
                progress=ended.progress,
                ended=time.time_ns(),
                touched=time.time_ns(),
                summary=summary,
            )
        return Performed(run_of(records, run.id), found, planned.cases, planned.abouts)


async def _executed(
    planned: Planned,
    asking: Asking,
    tools: RunTools,
    ledger: Ledger,
    done: Sequence[Result],
    told: Callable[[Result, Progress], None],
    switch: Switch,
) -> Ended:
    suite, inside, run = planned.suite, asking.inside, planned.run
    tools.memory = memory = Memory(
        ledger, run.id, shared=planned.cache, now=time.time_ns, ask=inside.ask, identity=inside.identity
    )
    services = inside.services
    writer = SpanWriter(
        project_id=run.project_id,
        author=f"run {run.id}",
        record=services.record,
        now=time.time_ns,
        clock=time.perf_counter_ns,
        new_ids=lambda: (services.trace_context(None)[0], services.new_span_id()),
    )
    code = callables(tools.code, suite.concurrency)
    # Whoever began a run in the studio is a member; the command line's user is on this machine anyway.
    queued = bool(run.settings.get(QUEUED))
    guard = Guard(asking.settings.gateway.allow_private) if queued else None
    async with open_post(suite.concurrency, guard) as post:
        tools.answerers = answers = {
            each.about.name: Answerer(each, memory, writer, post=post, callables=code, timeout=suite.timeout)
            for each in planned.candidates
        }

        plan = Plan(
            run_id=run.id,
            cases=planned.cases,
            candidates=list(answers),
            repeats=suite.repeats,
            concurrency=suite.concurrency,
            max_cost=None if suite.max_cost is None else Decimal(str(suite.max_cost)),
        )
        effects = Effects(
            answer=answers,
            scorers=planned.scorers,
            score=writer.scored,
            keep=lambda result: ledger.add(run.id, result, time.time_ns()),
            told=told,
        )
        return await execute(plan, effects, done, switch)


def _summary(planned: Planned, results: Sequence[Result]) -> dict[str, Any]:
    """The figures of a run, as JSON can hold them."""
    figures: dict[tuple[str, str], Mapping[str, float]] = {}
    for candidate, scorers in planned.scorers.items():
        for scorer in scorers:
            if isinstance(scorer, Tallies):
                verdicts = [
                    verdict
                    for each in results
                    if each.candidate == candidate
                    for verdict in each.verdicts
                    if verdict.name == scorer.about.name
                ]
                figures[candidate, scorer.about.name] = scorer.tally(verdicts).figures
    gate = planned.suite.gate
    summary = load("evals.summary").summarise(
        results,
        planned.cases,
        [each.about.name for each in planned.candidates],
        planned.abouts,
        leading=gate.scorer if gate else "",
        figures=figures,
    )
    return msgspec.to_builtins(summary)


@contextlib.contextmanager
def _alone(path: Path, run: Run) -> Generator[None]:
    """One process works at a run. Raises Conflict while another does; a dead one holds nothing."""
    try:
        with exclusive_lock(path, f"The run {run.id}"):
            yield
    except Conflict as error:
        if error.reason != "data_dir_in_use":
            raise
        raise Conflict(
            f"Somebody is at the run {run.id}: {error.message}",
            f"`ratchet run cancel {run.id}` stops it.",
            code="run_in_progress",
        ) from None


class _Beat:
    """Says once a second how far the run is, and hears whether it is to be cancelled."""

    def __init__(self, records: Records, run: Run, switch: Switch) -> None:
        self._records = records
        self._run = run
        self._switch = switch
        self._task: asyncio.Task[None] | None = None
        self.progress = run.progress

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            # The records being down for a while stops no run: everything that matters is in the ledger.
            with contextlib.suppress(Unavailable):
                if await asyncio.to_thread(self._tell):
                    self._switch.stop("cancelled", "it was cancelled")

    def _tell(self) -> bool:
        change_run(self._records, self._run.id, progress=self.progress, touched=time.time_ns())
        return run_of(self._records, self._run.id).status == CANCELLING
