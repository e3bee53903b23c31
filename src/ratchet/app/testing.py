"""A test session's own run: what tests ask and judge one by one, paid once, written down like any run's."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ratchet.app.asking import Asking, open_asking
from ratchet.app.gating import Gated, check_gate
from ratchet.app.own_code import HandedIn, OwnCode, callables
from ratchet.app.paths import DataDir
from ratchet.app.planning import Lookup, Order, choose_cases
from ratchet.app.posting import open_post
from ratchet.app.quiet import Quiet
from ratchet.app.run_tools import RunTools
from ratchet.app.session_report import Report
from ratchet.app.settings import config_file, records_url
from ratchet.datasets.fields import input_id
from ratchet.domain.cases import Case, Output
from ratchet.domain.runs import Candidate, Result, RunTag
from ratchet.errors import Forbidden, InvalidRequest
from ratchet.evals.answering import SPENT, Answerer, Memory, Post, Spending
from ratchet.evals.candidates import resolve
from ratchet.evals.explaining import Scored
from ratchet.evals.keeping import about_to
from ratchet.evals.ledger import Ledger
from ratchet.evals.spans import SpanWriter
from ratchet.evals.suite import candidate_of, read_suite
from ratchet.evals.switch import Switch
from ratchet.evals.wording import amount
from ratchet.gateway.inside import PURPOSE, Purpose, Reply
from ratchet.scorers.registry import make_scorer
from ratchet.store.records import DEFAULT_PROJECT, Records

__all__ = ["Session", "case_for", "cases_for", "open_session"]

T = TypeVar("T")
_AT_ONCE = 16  # calls of functions and endpoints
_APP_SECONDS = 600.0
OWN = "app"  # the candidate of outputs that tests have from elsewhere


def cases_for(
    config: Path, data: Callable[[], DataDir], dataset: str, folder: Path, *, split: str, tags: Sequence[str]
) -> list[Case]:
    """The cases of a file in `folder`, or of a registered dataset; the data directory is touched for the latter only."""
    with contextlib.ExitStack() as opened:

        def records() -> Records:
            found = Records.open(records_url(config_file(config).read(), data()))
            return opened.enter_context(contextlib.closing(found))

        return choose_cases(dataset, folder, records, split=split, tags=tags)


def case_for(given: Any) -> Case:
    """A case, or a text, messages or variables as one. Its id is the same each time."""
    if isinstance(given, Case):
        return given
    bare = Case(id="", input=given)
    return msgspec.structs.replace(bare, id=input_id(bare))


@contextlib.asynccontextmanager
async def open_session(
    config: Path, data: DataDir, *, run_id: str, folder: Path, max_cost: float | None
) -> AsyncGenerator[Session]:
    """`folder` is where `python:module:function` is looked up first; `max_cost` is in US dollars, for all processes."""
    async with open_asking(config, data, name="pytest") as asking, open_post(_AT_ONCE) as post:
        with contextlib.closing(Ledger(data.ledger)) as ledger:
            ledger.forget_old(time.time_ns())
            limit = None if max_cost is None else Decimal(str(max_cost))
            yield Session(config, data, asking, ledger, post, run_id=run_id, folder=folder, limit=limit)


class Session:
    """Belongs to one event loop. `report` is what came of it so far."""

    def __init__(
        self,
        config: Path,
        data: DataDir,
        asking: Asking,
        ledger: Ledger,
        post: Post,
        *,
        run_id: str,
        folder: Path,
        limit: Decimal | None,
    ) -> None:
        self.report = Report()
        self._places = (config, data)
        self._run_id = run_id
        self._handed = HandedIn()
        code = OwnCode((folder,), self._handed.objects)
        self._lookup = Lookup(asking, code)
        self._meter = _Meter(ledger, run_id, limit, self.report)
        self._tools = RunTools(code, asking.settings.embeddings)
        self._tools.memory = self._memory = _Metered(
            self._meter,
            ledger,
            run_id,
            shared=True,
            now=time.time_ns,
            ask=asking.inside.ask,
            identity=asking.inside.identity,
        )
        services = asking.inside.services
        self._spans = SpanWriter(
            project_id=DEFAULT_PROJECT,
            author=f"run {run_id}",
            record=services.record,
            now=time.time_ns,
            clock=time.perf_counter_ns,
            new_ids=lambda: (services.trace_context(None)[0], services.new_span_id()),
        )
        self._post = post
        self._callables = callables(code, _AT_ONCE)
        self._made: dict[str, Result] = {}  # by the id of the answer's span
        self._brought: dict[tuple[str, bytes], Output] = {}

    async def ask(
        self, candidate: Any, case: Case, *, repeat: int = 0, parameters: Mapping[str, Any] | None = None
    ) -> Output:
        """What a candidate answers; what it answered before costs nothing. A failure is an output with `error`.

        Raises RatchetError where there is no such candidate, it can't be asked this, or the cost limit is reached.
        """
        answerer = self._answerer(candidate, parameters or {})
        SPENT.set(Spending())
        tag = RunTag(self._run_id, answerer.about.name, case.id, repeat)
        output, cached = await answerer(case, tag)
        self._keep(
            case,
            Result(candidate=tag.candidate, case_id=case.id, repeat=repeat, output=output, cached=cached),
        )
        return output

    async def score(self, spec: Any, case: Case, output: Output) -> Scored:
        """What a scorer says of an output, whoever made it. Raises RatchetError where there is no such scorer."""
        output = self._known(case, output)
        result = self._made[output.span_id]
        tools = self._tools.of(result.candidate)
        if result.candidate == OWN:
            tools = dataclasses.replace(tools, answers=None)
        scorer = make_scorer(self._handed.scorer(spec), tools)
        self._tools.check([scorer.about])
        SPENT.set(Spending())
        # What judges cost belongs to the session and to the answer's trace, and to no candidate.
        below = RunTag(self._run_id, "", case.id, result.repeat)
        PURPOSE.set(Purpose(below, trace_id=output.trace_id, parent_id=output.span_id))
        scored = Scored(scorer.about, await scorer(case, output))
        tag = RunTag(self._run_id, result.candidate, case.id, result.repeat)
        for verdict in scored.verdicts:
            self._spans.scored(tag, output, verdict, judged=scorer.about.asks_a_model)
        self.report.unscored += not scored.main.scored
        self.report.scorers[scorer.about.name] = about_to(scorer.about)
        self._keep(case, msgspec.structs.replace(result, verdicts=scored.verdicts))
        return scored

    async def gate(self, suite: Path) -> Gated:
        """What `ratchet gate check` says of a suite, in a run of its own; `suite` is absolute. Raises RatchetError where it can't be run."""
        read = read_suite(suite)
        left = self._meter.left()
        if left is not None:
            most = float(left) if read.max_cost is None else min(float(left), read.max_cost)
            read = read.model_copy(update={"max_cost": most})
        order = Order(suite=read, folder=suite.parent)
        gated = await check_gate(*self._places, order, watcher=Quiet(), switch=Switch())
        self._meter.add_run(gated.run.progress)
        return gated

    def _answerer(self, candidate: Any, parameters: Mapping[str, Any]) -> Answerer:
        settings = candidate_of(self._handed.candidate(candidate), parameters)
        asked = resolve(settings, self._lookup)
        found = self._tools.answerers.get(asked.about.name)
        if found is None:
            found = Answerer(
                asked,
                self._memory,
                self._spans,
                post=self._post,
                callables=self._callables,
                timeout=_APP_SECONDS,
            )
            self._tools.answerers[asked.about.name] = found
            self.report.candidates[asked.about.name] = asked.about
        if found.candidate != asked:
            raise InvalidRequest(
                f"Two candidates are called {asked.about.name!r}.",
                "Give one of them another name.",
                param="name",
            )
        return found

    def _known(self, case: Case, output: Output) -> Output:
        """The output as the session knows it. One that the test has from elsewhere is written down as the app's."""
        if output.span_id in self._made:
            return output
        key = (case.id, msgspec.msgpack.encode(output))
        if key not in self._brought:
            repeat = sum(case_id == case.id for case_id, _ in self._brought)
            about = Candidate(name=OWN, kind="python", target=OWN)
            trace_id, span_id = self._spans.new_ids()
            known = msgspec.structs.replace(output, trace_id=output.trace_id or trace_id, span_id=span_id)
            duration = int((output.latency or 0.0) * 1e9)
            tag = RunTag(self._run_id, OWN, case.id, repeat)
            self._spans.answered(
                about, tag, case, known, started=self._spans.now() - duration, duration=duration
            )
            self._brought[key] = known
            self.report.candidates[OWN] = about
            self._keep(case, Result(candidate=OWN, case_id=case.id, repeat=repeat, output=known))
        return self._brought[key]

    def _keep(self, case: Case, result: Result) -> None:
        self._made[result.output.span_id] = result
        self.report.cases[case.id] = case
        self.report.add(result)


class _Metered(Memory):
    """Counts what is asked and what was there already, and asks nothing that could exceed the limit."""

    def __init__(self, meter: _Meter, *arguments: Any, **effects: Any) -> None:
        super().__init__(*arguments, **effects)
        self._meter = meter

    async def once(
        self,
        what: tuple[Any, ...],
        kind: type[T],
        make: Callable[[], Awaitable[T]],
        *,
        worth: Callable[[T], bool],
    ) -> tuple[T, bool]:
        """As its parent's; but nothing is resumed here, so that whatever was there already was paid by another call."""
        paid: list[bool] = []

        async def metered() -> T:
            paid.append(True)
            return await self._meter.paying(make)

        made, _ = await super().once(what, kind, metered, worth=worth)
        if not paid:
            self._meter.report.remembered += 1
        return made, not paid


class _Meter:
    """What the session has paid, which every worker of it adds to."""

    def __init__(self, ledger: Ledger, run_id: str, limit: Decimal | None, report: Report) -> None:
        self.report = report
        self._ledger = ledger
        self._run_id = run_id
        self._limit = limit

    async def paying(self, make: Callable[[], Awaitable[T]]) -> T:
        reserved = self._reserved()
        cost = Decimal(0)
        try:
            made = await make()
            said: Decimal | None = getattr(made, "cost", None)
            cost = said or cost
            self.report.unpriced += said is None and isinstance(made, Reply)  # an app need not say
        finally:
            self._ledger.settle(self._run_id, reserved, cost)
            self.report.calls += 1
            self.report.cost += cost
        return made

    def left(self) -> Decimal | None:
        """What may still be spent; None without a limit. Raises Forbidden where nothing may."""
        if self._limit is None:
            return None
        self._ledger.settle(self._run_id, self._reserved(), Decimal(0))
        return self._limit - self._ledger.spent(self._run_id)

    def add_run(self, progress: Any) -> None:
        """What a run of its own has cost."""
        self._ledger.reserve(self._run_id, None, time.time_ns())
        answers = max(1, progress.done - progress.cached)
        self._ledger.settle(self._run_id, Decimal(0), progress.cost, answers=answers)
        self.report.calls += progress.done - progress.cached
        self.report.remembered += progress.cached
        self.report.cost += progress.cost
        self.report.unpriced += progress.unpriced

    def _reserved(self) -> Decimal:
        if self._limit is not None and self.report.unpriced:
            raise Forbidden(
                "A call had no known price, so the cost limit can't be held.",
                "Set [prices] in ratchet.toml.",
                code="cost_limit",
            )
        reserved = self._ledger.reserve(self._run_id, self._limit, time.time_ns())
        if reserved is None:
            spent = amount(float(self._ledger.spent(self._run_id)), "cost")
            raise Forbidden(
                f"The next call could exceed the limit of {amount(float(self._limit or 0), 'cost')}: "
                f"{spent} is spent.",
                "Raise --ratchet-max-cost, or test fewer cases.",
                code="cost_limit",
            )
        return reserved
