"""`ratchet.evaluate`: a suite from Python, by the engine that `ratchet run start` uses."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ratchet.app.background import Background
from ratchet.app.gating import Gated, decided, keep_verdict, policy_of, sides_of_suite
from ratchet.app.own_code import HandedIn
from ratchet.app.paths import DataDir
from ratchet.app.places import find_places
from ratchet.app.planning import Order, suite_of_run
from ratchet.app.quiet import Quiet
from ratchet.app.runs import Performed, resume_run, start_run
from ratchet.datasets.fields import cases_of, with_ids
from ratchet.domain.cases import Case
from ratchet.domain.counting import plural
from ratchet.domain.runs import Progress, Result, Run
from ratchet.errors import InvalidRequest
from ratchet.evals.compare import compare
from ratchet.evals.comparison import Comparison, Estimate
from ratchet.evals.gathering import gather
from ratchet.evals.suite import Suite, read_suite, suite_of
from ratchet.evals.summary import Summary
from ratchet.evals.switch import Switch
from ratchet.evals.wording import amount, figure
from ratchet.release.policy import GateVerdict
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["Evaluation", "evaluate", "evaluate_async"]

_IN_PYTHON = "cases in Python"
_BOOTSTRAPPED = 2_000  # cases; with more, t intervals are as good and a hundred times quicker


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came of a run. `results` holds one answer with its verdicts for each case, candidate and repeat."""

    run: Run
    results: list[Result]
    cases: Sequence[Case]
    scorers: Sequence[ScorerAbout]
    verdict: GateVerdict | None = None

    @cached_property
    def summary(self) -> Summary:
        """Each candidate in a few numbers, as `ratchet run show` has them."""
        known = {name: self.run.summary[name] for name in ("candidates", "leading", "confidence")}
        return msgspec.convert(known, Summary)

    @property
    def means(self) -> dict[str, dict[str, Estimate]]:
        """By candidate, then by scorer: the mean, and where the truth lies with 95 % confidence."""
        return {
            each.name: {scorer.name: scorer.mean for scorer in each.scorers}
            for each in self.summary.candidates
        }

    def compare(self, baseline: str = "", candidate: str = "") -> Comparison:
        """`candidate` against `baseline`, paired by case: the first two candidates unless named.

        Raises InvalidRequest where there are no two.
        """
        first, second = self._sides(baseline, candidate)
        by_case = gather(self.results, self.cases)
        return compare(
            by_case.get(first, []),
            by_case.get(second, []),
            self.scorers,
            resamples=2_000 if len(self.cases) <= _BOOTSTRAPPED else 0,
        )

    def gate(self) -> GateVerdict:
        """What the suite's gate says, by everything that was run. Raises InvalidRequest where the suite has none."""
        if self.verdict is None:
            raise InvalidRequest(
                "The suite has no gate.", 'Give `gate={"scorer": …, "epsilon": 0.02}`.', param="gate"
            )
        return self.verdict

    def __str__(self) -> str:
        """A line for each candidate."""
        return "\n".join([_headline(self.run), *map(_line, self.summary.candidates)])

    __repr__ = __str__

    def _sides(self, baseline: str, candidate: str) -> tuple[str, str]:
        names = [each.name for each in self.run.candidates]
        for name in (baseline, candidate):
            if name and name not in names:
                raise InvalidRequest(
                    f"The run has no candidate {name!r}.", f"It has {', '.join(names)}.", param="candidates"
                )
        first = baseline or next((name for name in names if name != candidate), names[0])
        second = candidate or next((name for name in names if name != first), first)
        if first == second:
            raise InvalidRequest(
                f"There is nothing to compare {first} with.", "Give two candidates.", param="candidates"
            )
        return first, second


async def evaluate_async(
    suite: str | Path | None = None,
    /,
    *,
    dataset: str | Path | Sequence[Case | Mapping[str, Any]] | None = None,
    candidates: Sequence[Any] | None = None,
    scorers: Sequence[Any] | None = None,
    gate: Mapping[str, Any] | None = None,
    resume: str = "",
    cache: bool = True,
    progress: Callable[[Progress], object] | None = None,
    config: str | Path | None = None,
    data_dir: str | Path | None = None,
    **keys: Any,
) -> Evaluation:
    """Ask every case of every candidate, and score each answer; to be awaited.

    The keys are those of a suite file (docs/runs.md): `repeats`, `concurrency`, `max_cost`, `split`, `tags` and so
    on, and take the place of what `suite`, the path of a suite file, says. `dataset` may be cases too, `candidates`
    may be functions, `scorers` decorated functions. Paths are looked up beside the suite, or in the working directory.

    `resume` goes on with a run that was interrupted, by its id or `latest`: then candidates and scorers only say which
    functions it meant. `cache` says whether answers of earlier runs will do. `progress` hears of each answer.
    `config` and `data_dir` are those of the command line: `ratchet.toml` and `.ratchet`, or RATCHET_CONFIG and
    RATCHET_DATA_DIR.

    Raises RatchetError before anything is paid where the suite can't be run as it stands.
    """
    own = HandedIn()
    changes = {
        "dataset": _named(dataset),
        "candidates": [own.candidate(each) for each in candidates or ()] or None,
        "scorers": [own.scorer(each) for each in scorers] if scorers is not None else None,
        "gate": None if gate is None else dict(gate),
        **keys,
    }
    places = find_places(Path.cwd(), config=config, data_dir=data_dir)
    watcher, switch = Quiet(progress), Switch()
    if resume:
        performed = await resume_run(*places, resume, watcher=watcher, switch=switch, objects=own.objects)
        return _evaluation(performed, suite_of_run(performed.run), *places)
    order = _order(suite, changes, dataset, own.objects, cache=cache)
    performed = await start_run(*places, order, watcher=watcher, switch=switch)
    return _evaluation(performed, order.suite, *places)


def evaluate(
    suite: str | Path | None = None,
    /,
    *,
    dataset: str | Path | Sequence[Case | Mapping[str, Any]] | None = None,
    candidates: Sequence[Any] | None = None,
    scorers: Sequence[Any] | None = None,
    gate: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Evaluation:
    """As `evaluate_async`, and waits. Where a loop runs already (a notebook, an async test), it takes a thread.

    Ctrl-C ends it; what has been answered is kept, and `resume="latest"` goes on.
    """
    work = evaluate_async(suite, dataset=dataset, candidates=candidates, scorers=scorers, gate=gate, **keys)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with contextlib.closing(Background()) as background:
        return background.run(work)


def _order(
    suite: str | Path | None,
    changes: Mapping[str, Any],
    dataset: str | Path | Sequence[Case | Mapping[str, Any]] | None,
    objects: Mapping[str, Any],
    *,
    cache: bool,
) -> Order:
    """What is asked for, checked as far as that goes without the records. Raises RatchetError."""
    asked = {key: value for key, value in changes.items() if value is not None}
    order = Order(
        suite=suite_of(asked) if suite is None else read_suite(Path(suite), asked),
        folder=Path.cwd() if suite is None else Path(suite).resolve().parent,
        cases=_cases(dataset),
        objects=objects,
        cache=cache,
    )
    if order.suite.gate is not None:
        sides_of_suite(order.suite)
        policy_of(order.suite.gate)
    return order


def _evaluation(performed: Performed, suite: Suite, config: Path, data: DataDir) -> Evaluation:
    verdict = None
    if suite.gate is not None:
        sides = sides_of_suite(suite)
        verdict = decided(policy_of(suite.gate), performed, *sides)
        keep_verdict(config, data, Gated(performed.run, *sides, verdict), by=performed.run.author)
    return Evaluation(performed.run, performed.results, performed.cases, performed.scorers, verdict)


def _named(dataset: str | Path | Sequence[Any] | None) -> str | None:
    if dataset is None or isinstance(dataset, str):
        return dataset
    return str(dataset.resolve()) if isinstance(dataset, Path) else _IN_PYTHON


def _cases(dataset: str | Path | Sequence[Case | Mapping[str, Any]] | None) -> list[Case] | None:
    """Cases that were handed in, each with an id of its own; None where a name was. Raises InvalidRequest."""
    if dataset is None or isinstance(dataset, str | Path):
        return None
    cases = [each if isinstance(each, Case) else cases_of([each], origin="hand")[0] for each in dataset]
    ids = [case.id for case in cases if case.id]
    twice = next((one for one in ids if ids.count(one) > 1), "")
    if twice:
        raise InvalidRequest(
            f"Two cases have the id {twice!r}.",
            "Give each case an id of its own, or none.",
            param="dataset",
        )
    return with_ids(cases)


def _headline(run: Run) -> str:
    return f"run {run.id}: {run.status}, {plural(run.progress.done, 'answer')}, {amount(float(run.progress.cost), 'cost')}"


def _line(candidate: Any) -> str:
    scores = ", ".join(f"{each.name} {_between(each.mean)}" for each in candidate.scorers)
    failed = f", {candidate.errors:,} failed" if candidate.errors else ""
    return f"  {candidate.name}: {scores or 'no scorer'}{failed}"


def _between(mean: Estimate) -> str:
    if mean.low is None or mean.high is None:
        return figure(mean.value)
    return f"{figure(mean.value)} ({figure(mean.low)} to {figure(mean.high)})"
