"""The pytest plugin: sessions of pytest inside this one, over a real upstream and the real simulator."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import running_app, spooled
from tests.runs_harness import Bench, Upstream

from ratchet.app.background import Background, cancelled
from ratchet.domain.cases import Case
from ratchet.domain.runs import Run
from ratchet.domain.spans import Score, Span
from ratchet.store.records import Records
from ratchet.store.records.datasets import change_cases, create_dataset
from ratchet.store.records.migrate import migrate
from ratchet.store.records.runs import cases_of_run, list_runs
from ratchet.telemetry.calls import Call

pytest_plugins = ["pytester"]
# A session inside this one forgets what it imports, and numpy can't be imported twice: so everything is there before.
for _room in ("app", "evals", "scorers", "simulator", "datasets", "store.records"):
    for _module in pkgutil.walk_packages(
        importlib.import_module(f"ratchet.{_room}").__path__, f"ratchet.{_room}."
    ):
        if "migrations" not in _module.name:
            importlib.import_module(_module.name)
ROOT = Path(__file__).parent.parent
DECLARED = "ratchet" in {each.name for each in importlib.metadata.entry_points(group="pytest11")}
PLUGIN = [] if DECLARED else ["-p", "ratchet.pytest_plugin"]


class Session:
    """A folder with tests, settings and cases; an upstream that counts."""

    def __init__(self, pytester: pytest.Pytester, upstream: Upstream, address: str) -> None:
        self.pytester = pytester
        self.upstream = upstream
        self.bench = Bench(pytester.path, address)
        self.bench.write_cases(3)
        pytester.makeini(
            "[pytest]\naddopts = -p no:cacheprovider -p no:inline_snapshot\nasyncio_default_fixture_loop_scope = function\n"
        )

    def run(self, text: str, *options: str, separate: bool = False) -> pytest.RunResult:
        self.pytester.makepyfile(test_app=text)
        start = self.pytester.runpytest_subprocess if separate else self.pytester.runpytest_inprocess
        return start(*PLUGIN, *options)

    def runs(self) -> list[Run]:
        with closing(Records.open(f"sqlite:///{self.bench.data.root / 'records.db'}")) as records:
            return list_runs(records, project_id="default")

    def written(self) -> list[Any]:
        return spooled(self.bench.data.spool)


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The upstream answers in a loop of its own: pytest inside this one waits in this one's thread."""
    monkeypatch.setenv("RATCHET_DATA_DIR", "data")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    upstream = Upstream()
    with closing(Background()) as background, serving(background, upstream) as address:
        yield Session(pytester, upstream, address)
    gc.collect()  # what is thrown away in the middle of ast.parse makes that fail (CPython gh-106905)


@contextlib.contextmanager
def serving(background: Background, app: Any) -> Iterator[str]:
    found: list[str] = []
    ready = threading.Event()

    async def serve() -> None:
        async with running_app(app) as address:
            found.append(address)
            ready.set()
            await cancelled()

    task = background.start(serve())
    assert ready.wait(10)
    yield found[0]
    task.cancel()
    with pytest.raises(CancelledError):
        task.result(10)


ASKS = """
    import pytest

    @pytest.mark.cases("cases.jsonl")
    def test_answers(case, llm):
        output = llm.ask("route:cheap", case)
        llm.check(case, output, "exact")
        assert llm.score("edit_distance", case, output)[0].value == 1.0
"""


def test_a_test_for_each_case_in_one_run_that_is_kept(session: Session) -> None:
    result = session.run(ASKS, "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*test_answers?c0? PASSED*", "*test_answers?c2? PASSED*"])
    result.stdout.fnmatch_lines(["ratchet: 3 calls, $0.0000600; run *"])
    (run,) = session.runs()
    assert (run.suite, run.status, run.cases, run.progress.done) == ("pytest", "done", 3, 3)
    assert run.summary["candidates"][0]["scorers"][0]["mean"]["value"] == 1.0
    with closing(Records.open(f"sqlite:///{session.bench.data.root / 'records.db'}")) as records:
        assert [case.id for case in cases_of_run(records, run.id)] == ["c0", "c1", "c2"]
    calls = [each for each in session.written() if isinstance(each, Call)]
    scores = [each for each in session.written() if isinstance(each, Score)]
    assert {(each.run_id, each.candidate, each.case_id) for each in calls} == {
        (run.id, "route:cheap", f"c{at}") for at in range(3)
    }
    assert {(each.run_id, each.name) for each in scores} == {(run.id, "exact"), (run.id, "edit_distance")}
    assert {each.trace_id for each in scores} == {each.trace_id for each in calls}


def test_a_session_again_costs_nothing(session: Session) -> None:
    session.run(ASKS)
    result = session.run(ASKS)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["ratchet: 0 calls, 3 answered before, $0; run *"])
    assert session.upstream.total == 3


def test_the_same_question_twice_is_asked_once_and_repeats_are_drawn(session: Session) -> None:
    result = session.run(
        """
        def test_twice(llm):
            first = llm.ask("route:cheap", "hi")
            assert llm.ask("up/small", "hi").text == first.text == "HI"
            llm.ask("route:cheap", "hi", repeat=1)
            llm.ask("route:cheap", "hi", temperature=0.5)
        """
    )
    result.assert_outcomes(passed=1)
    assert session.upstream.total == 3
    result.stdout.fnmatch_lines(["ratchet: 3 calls, 1 answered before, $0.0000600; *"])


def test_a_failed_check_says_what_was_asked_answered_and_expected(session: Session) -> None:
    result = session.run(
        """
        import ratchet

        @ratchet.scorer(binary=True)
        def polite(case, output):
            return ratchet.Verdict(name="", value=0.0, comment="There is no please in it.")

        def test_polite(llm):
            case = ratchet.Case(id="one", input="say hello", reference="SAY GOODBYE")
            llm.check(case, llm.ask("route:cheap", case), polite, "exact", "contains")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * case one: polite is 0; at least 1 is needed; exact is 0; at least 1 is needed; contains*",
            "E *input     say hello",
            "E *output    SAY HELLO",
            "E *expected  SAY GOODBYE",
            "E *polite    0: There is no please in it.",
        ]
    )
    result.stdout.no_fnmatch_line("*background.py*")


def test_limits_and_what_can_not_be_scored(session: Session) -> None:
    session.upstream.refuse.add("break")
    result = session.run(
        """
        import pytest
        from ratchet import Case
        from ratchet.errors import InvalidRequest, NotFound

        case = Case(id="x", input="a", reference="abcd")

        def test_limits(llm):
            llm.check(case, "abcx", "edit_distance", at_least=0.7)
            llm.check(case, "abcx", {"length": {}}, at_most=10)

        def test_too_low(llm):
            llm.check(case, "wxyz", "edit_distance", at_least=0.7)

        def test_a_limit_is_missing(llm):
            with pytest.raises(InvalidRequest, match="numbers from 0 to 1"):
                llm.check(case, "abcx", "edit_distance")

        def test_unscored(llm):
            llm.check(Case(id="y", input="a"), "abc", "exact")

        def test_no_answer(llm):
            asked = Case(id="z", input="break", reference="abcd")
            llm.check(asked, llm.ask("route:cheap", asked), "exact")

        def test_no_such_thing(llm):
            with pytest.raises(NotFound):
                llm.ask("route:nowhere", case)
            with pytest.raises(InvalidRequest, match="Did you mean exact"):
                llm.check(case, "abcx", "exakt")
            with pytest.raises(TypeError, match="needs a scorer"):
                llm.check(case, "abcx")
        """
    )
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *case x: edit_distance is 0; at least 0.7 is needed*",
            "E *exact could not score it*",
            "E *exact     unscored: the case has no reference*",
            "E *case z: exact could not score it*",
            "E *output    none: *",
        ]
    )
    own = [each for each in session.written() if isinstance(each, Span) and each.candidate == "app"]
    assert {(each.case_id, each.output_preview) for each in own} == {
        ("x", "abcx"),
        ("x", "wxyz"),
        ("y", "abc"),
    }


def test_functions_async_tests_and_fixtures_of_modules(session: Session) -> None:
    result = session.run(
        """
        import pytest

        async def bot(question):
            return question[::-1]

        @pytest.fixture(scope="module")
        def answer(llm):
            return llm.ask(bot, "abc")

        def test_of_module(answer):
            assert answer.text == "cba"

        @pytest.mark.asyncio
        async def test_async(llm):
            output = await llm.ask_async("route:cheap", "hi", repeat=2)
            assert output.text == "HI"
            assert (await llm.score_async({"contains": {"any": ["HI"]}}, "hi", output))[0].value == 1.0
            await llm.check_async("hi", output, {"contains": {"any": ["HI"]}})
        """
    )
    result.assert_outcomes(passed=2)


GATES = """
    import pytest

    def test_gate(llm):
        assert llm.gate("gate.yaml").verdict == "PASS"

    def test_worse(llm):
        llm.gate("worse.yaml")

    def test_unsure(llm):
        llm.gate("unsure.yaml")

    def test_unsure_is_allowed(llm):
        assert llm.gate("unsure.yaml", allow_cant_tell=True).verdict == "CAN'T TELL"
"""


def test_gates_pass_fail_or_can_not_tell(session: Session) -> None:
    folder = session.pytester.path
    session.bench.write_cases(60)
    (folder / "bot_of_gates.py").write_text("def bad(text):\n    return 'no'\n")
    gate = "scorers: [exact]\ngate: {scorer: exact, epsilon: 0.2}\ndataset: cases.jsonl\ncandidates:\n- route:cheap\n"
    (folder / "gate.yaml").write_text(f"{gate}- up/large\n")
    (folder / "worse.yaml").write_text(f"{gate}- python:bot_of_gates:bad\n")
    (folder / "few.jsonl").write_text('{"input": "say 1", "reference": "SAY 1"}\n')
    (folder / "unsure.yaml").write_text(f"{gate}- up/large\n".replace("cases.jsonl", "few.jsonl"))
    result = session.run(GATES)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["E *AssertionError: FAIL: python:bot_of_gates:bad in place of route:cheap*"])
    result.stdout.fnmatch_lines(["E *AssertionError: CAN'T TELL: up/large in place of route:cheap*"])
    result.stdout.fnmatch_lines(["ratchet: *calls, *answered before, $0.12*"])
    assert session.upstream.total <= 121


def test_a_cost_limit_holds(session: Session) -> None:
    session.bench.write_cases(10)
    # An answer costs $0.00002: three fit.
    result = session.run(ASKS, "--ratchet-max-cost", "0.00007")
    result.assert_outcomes(passed=3, failed=7)
    assert session.upstream.total == 3
    result.stdout.fnmatch_lines(
        ["E *Forbidden: The next call could exceed the limit of $0.0000700: $0.0000600 is spent.*"]
    )
    again = session.run(ASKS, "--ratchet-max-cost", "0.00007")
    again.assert_outcomes(passed=6, failed=4)


def test_workers_share_a_run_and_its_limit(session: Session) -> None:
    session.bench.write_cases(12)
    result = session.run(ASKS, "-n", "2", "--ratchet-max-cost", "0.0001", separate=True)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == session.upstream.total
    assert session.upstream.total in (5, 6), "each worker's first answer may begin before a price is known"
    result.stdout.fnmatch_lines([f"ratchet: {session.upstream.total} calls, $*; run *"])
    (run,) = session.runs()
    calls = [each for each in session.written() if isinstance(each, Call)]
    assert {each.run_id for each in calls} == {run.id}
    assert run.progress.done == session.upstream.total


def test_wrong_marks_are_named(session: Session) -> None:
    result = session.run(
        """
        import pytest

        @pytest.mark.cases("nowhere.jsonl")
        def test_nowhere(case):
            assert case
        """
    )
    result.stdout.fnmatch_lines(["*There is neither a file *nowhere.jsonl nor a dataset 'nowhere.jsonl'*"])
    result = session.run("import pytest\n@pytest.mark.cases('cases.jsonl')\ndef test_x():\n    pass\n")
    result.stdout.fnmatch_lines(["*takes no argument `case`*"])
    result = session.run(
        "import pytest\n@pytest.mark.cases('cases.jsonl', spilt='dev')\ndef test_x(case):\n    pass\n"
    )
    result.stdout.fnmatch_lines(["*expected cases(dataset*"])
    result = session.run(
        "import pytest\n@pytest.mark.cases('cases.jsonl', split='dev')\ndef test_x(case):\n    pass\n"
    )
    result.stdout.fnmatch_lines(["*has no case for this suite: 3 in all*"])


def test_a_registered_dataset_gives_cases(session: Session) -> None:
    with closing(Records.open(f"sqlite:///{session.bench.data.root / 'records.db'}")) as records:
        migrate(records)
        dataset = create_dataset(records, project_id="default", name="faq", now=1, by="test")
        put = [Case(id="first", input="a"), Case(id="sealed", input="b", split="test")]
        change_cases(records, dataset, put=put, author="test", now=2)
    text = "import pytest\n@pytest.mark.cases('faq')\ndef test_x(case):\n    assert case.id == 'first'\n"
    session.run(text).assert_outcomes(passed=1)


def test_judges_of_the_simulator(session: Session) -> None:
    result = session.run(
        """
        import ratchet

        def test_judge(llm):
            case = ratchet.Case(id="j", input="What is the capital of France?", reference="Paris")
            (verdict, *_) = llm.score({"judge": {"rubric": "It is right.", "route": "simulator/judge"}}, case, "Paris")
            assert verdict.name == "judge"
            assert verdict.scored, verdict
        """
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ratchet: 1 call, *"])
    judged = [each for each in session.written() if isinstance(each, Call)]
    assert [each.candidate for each in judged] == [""]
    assert [each.run_id for each in judged] == [session.runs()[0].id]


def test_sessions_that_do_not_use_it_are_left_alone(session: Session) -> None:
    result = session.run("def test_nothing():\n    assert True\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("ratchet:*")
    assert list(session.bench.data.root.iterdir()) == []


def test_loading_it_loads_next_to_nothing() -> None:
    told = (
        "import pytest, sys; before = set(sys.modules); import ratchet.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before))"
    )
    said = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout
    ours = {"ratchet", "ratchet.app", "ratchet.app.loading", "ratchet.pytest_plugin"}
    theirs = {
        name
        for name in eval(said)
        if name.startswith("ratchet") or name in ("msgspec", "asyncio", "pydantic")
    }
    assert theirs <= ours | {"asyncio"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {"ratchet": "ratchet.pytest_plugin"}


def test_ctrl_c_keeps_what_is_done(session: Session) -> None:
    session.upstream.delay = 0.0
    session.pytester.makepyfile(
        test_app="""
        import signal

        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores

        def test_first(llm):
            llm.check("a", llm.ask("route:cheap", "a"), {"contains": {"any": ["A"]}})

        def test_slow(llm):
            open("waiting", "w").close()
            llm.ask("route:cheap", "slow")
        """
    )
    folder = session.pytester.path
    session.upstream.hold.add("slow")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *PLUGIN, "test_app.py"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RATCHET_DATA_DIR": "data"},
    )
    end = time.monotonic() + 150
    while session.upstream.asked["slow"] == 0 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "ratchet: 2 calls" in said
    assert "Exception ignored" not in said
    assert "Task was destroyed" not in said
    (run,) = session.runs()
    assert (run.reason, run.progress.done) == ("it was interrupted", 1)
