"""Tests of LLM apps beside ordinary tests: the marker `cases`, the fixture `llm`, costs in the summary.

pytest loads this in every session of everybody who has ratchet installed. So it imports nothing, and does nothing, until
a test asks for it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ratchet.app.loading import load

if TYPE_CHECKING:
    from ratchet.app.background import Background
    from ratchet.app.gating import Gated
    from ratchet.app.session_report import Report
    from ratchet.app.testing import Session
    from ratchet.domain.cases import Case, Output, Verdict
    from ratchet.release.policy import GateVerdict

__all__ = ["Llm", "llm"]

T = TypeVar("T")
_MARKER = (
    'cases(dataset, split="", tags=()): one test for each case of a file beside the test, or of a registered dataset; '
    "the test takes the argument `case`"
)
_WORKERS = "ratchet"  # what xdist's controller and workers hand each other


class Llm:
    """Asks, scores and checks, all in one run for the whole session. Each method has a twin to be awaited.

    Candidates are what a suite file may name (`route:cheap`, `prompt:support@draft`, `provider/model`, an address,
    `python:module:function`), or functions; scorers are names, names with settings, or decorated functions. All raise
    RatchetError for what there is none of, and where `--ratchet-max-cost` would be exceeded.
    """

    def __init__(self, testing: _Testing) -> None:
        self._testing = testing

    def ask(
        self,
        candidate: Any,
        case: Case | str | list[Any] | Mapping[str, Any],
        /,
        *,
        repeat: int = 0,
        **parameters: Any,
    ) -> Output:
        """What a candidate answers to a case, a text, messages, or a prompt's variables.

        `parameters` are fields of the request, such as `temperature=0`. The same question gets the same answer, also in
        the next session, and is paid once; another `repeat` draws another one. A failure is an output with `error`.
        """
        __tracebackhide__ = True
        return self._testing.run(self._ask(candidate, case, repeat, parameters))

    async def ask_async(
        self,
        candidate: Any,
        case: Case | str | list[Any] | Mapping[str, Any],
        /,
        *,
        repeat: int = 0,
        **parameters: Any,
    ) -> Output:
        """As `ask`."""
        return await self._testing.awaited(self._ask(candidate, case, repeat, parameters))

    def score(self, scorer: Any, case: Case | str, output: Output | str) -> list[Verdict]:
        """What a scorer says of an output: the session's, or one that the test has from elsewhere."""
        __tracebackhide__ = True
        return self._testing.run(self._scored([scorer], case, output))[0].verdicts

    async def score_async(self, scorer: Any, case: Case | str, output: Output | str) -> list[Verdict]:
        """As `score`."""
        return (await self._testing.awaited(self._scored([scorer], case, output)))[0].verdicts

    def check(
        self,
        case: Case | str,
        output: Output | str,
        *scorers: Any,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Fails unless every scorer is content, and says what was asked, answered, expected, and why not.

        Scorers of yes and no need no limit. What can't be scored fails.
        """
        __tracebackhide__ = True
        scored = self._testing.run(self._scored(scorers, case, output))
        self._judged(case, output, scored, at_least, at_most)

    async def check_async(
        self,
        case: Case | str,
        output: Output | str,
        *scorers: Any,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """As `check`."""
        __tracebackhide__ = True
        scored = await self._testing.awaited(self._scored(scorers, case, output))
        self._judged(case, output, scored, at_least, at_most)

    def gate(self, suite: str | Path, *, allow_cant_tell: bool = False) -> GateVerdict:
        """Runs a suite beside the test, and fails unless its gate says PASS. CAN'T TELL fails too, unless allowed."""
        __tracebackhide__ = True
        return _passed(self._testing.run(self._gated(suite)), allow_cant_tell=allow_cant_tell)

    async def gate_async(self, suite: str | Path, *, allow_cant_tell: bool = False) -> GateVerdict:
        """As `gate`."""
        __tracebackhide__ = True
        return _passed(await self._testing.awaited(self._gated(suite)), allow_cant_tell=allow_cant_tell)

    async def _ask(self, candidate: Any, case: Any, repeat: int, parameters: Mapping[str, Any]) -> Output:
        session = await self._testing.session()
        return await session.ask(candidate, _case(case), repeat=repeat, parameters=parameters)

    async def _scored(self, scorers: Sequence[Any], case: Any, output: Any) -> list[Any]:
        session = await self._testing.session()
        return [await session.score(scorer, _case(case), _output(output)) for scorer in scorers]

    async def _gated(self, suite: str | Path) -> Gated:
        session = await self._testing.session()
        return await session.gate(self._testing.beside(str(suite)))

    @staticmethod
    def _judged(
        case: Any, output: Any, scored: Sequence[Any], at_least: float | None, at_most: float | None
    ) -> None:
        __tracebackhide__ = True
        if not scored:
            raise TypeError("check needs a scorer: llm.check(case, output, 'contains')")
        explaining = load("evals.explaining")
        found = [(each, explaining.shortfall(each, at_least=at_least, at_most=at_most)) for each in scored]
        failed = [(each, why) for each, why in found if why]
        if failed:
            raise AssertionError(explaining.explain(_case(case), _output(output), failed))


@pytest.fixture(scope="session")
def llm(request: pytest.FixtureRequest) -> Llm:
    """Asks candidates, scores and checks outputs, and puts suites to the gate."""
    return Llm(request.config.stash[_TESTING])


class _Testing:
    """One session of pytest: opened by the first test that asks something."""

    def __init__(self, config: pytest.Config) -> None:
        self.root = config.rootpath
        handed = getattr(config, "workerinput", {}).get(_WORKERS)
        self.began: int = handed[0] if handed else time.time_ns()
        self.suffix: str = handed[1] if handed else secrets.token_hex(2)
        self.reports: list[bytes] = []
        self.report: Report | None = None
        self.problem = ""
        self._max_cost: float | None = config.getoption("--ratchet-max-cost")
        self._background: Background | None = None
        self._opened: Future[Session] | None = None

    @property
    def run_id(self) -> str:
        return load("store.records.runs").new_run_id(self.began, self.suffix)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        __tracebackhide__ = True
        background = self._begin()
        try:
            return background.run(work)
        except load("errors").RatchetError as error:
            raise error.with_traceback(
                None
            ) from None  # what is inside ratchet explains nothing to who reads it

    async def awaited(self, work: Coroutine[Any, Any, T]) -> T:
        return await load("app.background").in_this_loop(self._begin().start(work))

    async def session(self) -> Session:
        """In the background's loop: one for all, held open by a task of its own."""
        if self._opened is None:
            self._opened = Future()
            self._begin().start(self._hold(self._opened), lasting=True)
        return await load("app.background").in_this_loop(self._opened, shared=True)

    def beside(self, name: str) -> Path:
        """A file beside the test that runs, or in the root."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0]
        near = (self.root / test).parent / name
        return near if near.exists() else self.root / name

    def close(self) -> bytes | None:
        """End what is under way; what came of it, None where nothing was asked."""
        if self._background is None:
            return None
        self._background.close()
        opened = self._opened
        if opened is None or not opened.done() or opened.cancelled() or opened.exception() is not None:
            return None
        return opened.result().report.encoded()

    def keep(self, reason: str) -> None:
        """Merge the reports of all workers, and write the run down."""
        reporting = load("app.session_report")
        self.report = reporting.merged(self.reports)
        if self.report is None:
            return
        config, data = load("app.places").find_places(self.root)
        try:
            reporting.keep_report(
                config,
                data,
                self.report,
                run_id=self.run_id,
                began=self.began,
                ended=time.time_ns(),
                reason=reason,
            )
        except load("errors").RatchetError as error:
            self.problem = str(error)

    def _begin(self) -> Background:
        found = self._background or load("app.background").Background()
        self._background = found
        return found

    async def _hold(self, opened: Future[Session]) -> None:
        try:
            config, data = load("app.places").find_places(self.root)
            opening = load("app.testing").open_session(
                config, data, run_id=self.run_id, folder=self.root, max_cost=self._max_cost
            )
            async with opening as session:
                opened.set_result(session)
                await load("app.background").cancelled()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)


_TESTING = pytest.StashKey[_Testing]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ratchet", "tests of LLM apps")
    group.addoption(
        "--ratchet-max-cost",
        type=float,
        metavar="USD",
        help="US dollars for all calls of the session; a test that would exceed it fails.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    config.stash[_TESTING] = _Testing(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("cases")
    if marker is None:
        return
    name = metafunc.definition.nodeid
    if "case" not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(f"{name} is marked `cases` and takes no argument `case`")
    try:
        cases = _marked(metafunc.definition.path, metafunc.config.rootpath, *marker.args, **marker.kwargs)
    except TypeError as error:
        raise pytest.Collector.CollectError(
            f"{name}: expected {_MARKER.partition(':')[0]}; {error}"
        ) from None
    except load("errors").RatchetError as error:
        raise pytest.Collector.CollectError(f"{name}: {error}") from None
    metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    testing = session.config.stash.get(_TESTING, None)
    if testing is None:
        return
    report = testing.close()
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_WORKERS] = report
        return
    if report is not None:
        testing.reports.append(report)
    if testing.reports:
        testing.keep("it was interrupted" if exitstatus == pytest.ExitCode.INTERRUPTED else "")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist's: the workers of a session work at one run."""
    testing = node.config.stash[_TESTING]
    node.workerinput[_WORKERS] = (testing.began, testing.suffix)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """xdist's: what a worker did."""
    del error
    report = getattr(node, "workeroutput", {}).get(_WORKERS)
    if report is not None:
        node.config.stash[_TESTING].reports.append(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    testing = config.stash.get(_TESTING, None)
    if testing is None or testing.report is None:
        return
    shown = f"; run {testing.run_id}" if testing.report.results and not testing.problem else ""
    terminalreporter.write_line(f"ratchet: {testing.report.line()}{shown}")
    if testing.problem:
        terminalreporter.write_line(f"ratchet: the run was not written down: {testing.problem}")


def _marked(test: Path, root: Path, dataset: str, *, split: str = "", tags: Sequence[str] = ()) -> list[Case]:
    """A file beside the test, or in the root, or a registered dataset."""
    places = load("app.places")
    folder = test.parent if (test.parent / dataset).is_file() else root
    return load("app.testing").cases_for(
        places.config_of(root), lambda: places.find_places(root)[1], dataset, folder, split=split, tags=tags
    )


def _case(given: Any) -> Case:
    return load("app.testing").case_for(given)


def _output(given: Any) -> Output:
    return load("domain.cases").Output(text=given) if isinstance(given, str) else given


def _passed(gated: Gated, *, allow_cant_tell: bool) -> GateVerdict:
    __tracebackhide__ = True
    verdict = gated.verdict
    if verdict.verdict == "PASS" or (verdict.verdict == "CAN'T TELL" and allow_cant_tell):
        return verdict
    lines = [
        f"{verdict.verdict}: {gated.candidate} in place of {gated.baseline}",
        verdict.reason,
        verdict.settle,
    ]
    lines += [f"  {check.verdict:10}  {check.reason}" for check in verdict.checks]
    raise AssertionError("\n".join([line for line in lines if line] + [f"run {gated.run.id}"]))
