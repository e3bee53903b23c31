"""`ratchet.evaluate`: the engine of `ratchet run start`, from Python, over a real upstream."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.runs_harness import Bench, Upstream

import ratchet
from ratchet.domain.runs import Progress
from ratchet.errors import InvalidRequest, Misconfigured, NotFound
from ratchet.store.records import Records
from ratchet.store.records.gates import list_gates
from ratchet.store.records.runs import find_run


@pytest.fixture
def bench(tmp_path: Path, upstream: tuple[Upstream, str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench(tmp_path, upstream[1])
    found.write_cases(4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATCHET_DATA_DIR", "data")
    return found


@ratchet.scorer(binary=True)
def loud(case: ratchet.Case, output: ratchet.Output) -> bool:
    """It is in capitals."""
    return output.text.isupper()


def shout(question: str) -> str:
    return question.upper()


async def whisper(question: str, case: ratchet.Case) -> dict[str, Any]:
    assert case.input == question
    return {"output": question, "cost": 0.25}


async def test_a_suite_in_python_is_run_kept_and_summed_up(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    found = await ratchet.evaluate_async(
        dataset="cases.jsonl", candidates=["route:cheap", shout, whisper], scorers=["exact", loud], repeats=2
    )
    assert (found.run.status, len(found.results), upstream[0].total) == ("done", 24, 8)
    here = __name__
    names = ["route:cheap", f"python:{here}:shout", f"python:{here}:whisper"]
    assert [each.name for each in found.summary.candidates] == names
    means = found.means
    assert means["route:cheap"]["exact"].value == means[names[1]]["loud"].value == 1.0
    quiet = means[names[2]]["loud"]
    assert quiet.value == 0.0
    assert quiet.high is not None
    assert 0 < quiet.high < 1
    assert names[1] in str(found)
    with closing(Records.open(f"sqlite:///{bench.data.root / 'records.db'}")) as records:
        kept = find_run(records, project_id="default", text=found.run.id)
    assert kept == found.run
    assert kept.settings["candidates"][1] == {"python": f"{here}:shout"}
    assert kept.settings["scorers"] == ["exact", f"python:{here}:loud"]


async def test_two_candidates_are_compared_and_gated(bench: Bench) -> None:
    found = await ratchet.evaluate_async(
        dataset=[{"input": f"say {at}", "reference": f"SAY {at}"} for at in range(60)],
        candidates=["route:cheap", {"name": "new", "python": shout}, {"name": "bad", "python": whisper}],
        scorers=["exact"],
        gate={"scorer": "exact", "epsilon": 0.2, "candidate": "new"},
    )
    assert found.gate().verdict == "PASS"
    with closing(Records.open(f"sqlite:///{bench.data.root / 'records.db'}")) as records:
        (said,) = list_gates(records, project_id="default")
    assert (said.run_id, said.candidate, said.verdict) == (found.run.id, "new", "PASS")
    against = found.compare("new", "bad")
    assert (against.cases, against.scorers[0].worse, against.scorers[0].verdict) == (60, 60, "worse")
    assert found.compare().scorers[0].same == 60
    assert found.compare(candidate="bad").scorers[0].verdict == "worse"
    with pytest.raises(InvalidRequest, match="no candidate 'old'"):
        found.compare("old")


async def test_what_was_answered_is_not_asked_again(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    asked = {"dataset": "cases.jsonl", "candidates": ["route:cheap"], "scorers": ["exact"]}
    await ratchet.evaluate_async(**asked)
    again = await ratchet.evaluate_async(**asked)
    assert (upstream[0].total, again.run.progress.cost, again.run.progress.cached) == (4, 0, 4)
    await ratchet.evaluate_async(**asked, cache=False)
    assert upstream[0].total == 8


async def test_an_interrupted_run_goes_on_with_the_functions_it_began_with(bench: Bench) -> None:
    calls: list[str] = []

    def counted(question: str) -> str:
        calls.append(question)
        return question.upper()

    class Enough(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise Enough

    asked = {"dataset": "cases.jsonl", "candidates": [counted], "scorers": [loud], "concurrency": 1}
    with pytest.raises(ExceptionGroup) as broken:
        await ratchet.evaluate_async(**asked, progress=stop)
    assert broken.group_contains(Enough)
    found = await ratchet.evaluate_async(resume="latest", candidates=[counted], scorers=[loud])
    assert (found.run.status, len(found.results)) == ("done", 4)
    assert len(calls) == 4, "what was answered before is not asked again"


async def test_it_waits_where_a_loop_runs_already(bench: Bench) -> None:
    found = ratchet.evaluate(dataset="cases.jsonl", candidates=[shout, whisper], scorers=["exact"])
    assert [each.scorers[0].mean.value for each in found.summary.candidates] == [1.0, 0.0]


def test_it_needs_no_loop_and_takes_a_suite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "own_bot_of_evaluate.py").write_text(
        "def answer(text):\n    return text.upper()\n"
    )
    (tmp_path / "suites" / "cases.jsonl").write_text(json.dumps({"input": "a", "reference": "A"}))
    suite = tmp_path / "suites" / "small.yaml"
    suite.write_text(
        "dataset: cases.jsonl\ncandidates: ['python:own_bot_of_evaluate:answer']\nscorers: [exact]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RATCHET_DATA_DIR", raising=False)
    found = ratchet.evaluate("suites/small.yaml", repeats=3)
    assert (found.run.suite, found.run.progress.done) == ("small", 3)
    assert (tmp_path / ".ratchet" / "records.db").exists()


def test_mistakes_are_named_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cases = [{"input": "a"}]
    with pytest.raises(InvalidRequest, match="candidates"):
        ratchet.evaluate(dataset=cases)
    with pytest.raises(InvalidRequest, match="scorrers"):
        ratchet.evaluate(dataset=cases, candidates=[shout], scorrers=["exact"])
    with pytest.raises(InvalidRequest, match="Two cases have the id"):
        ratchet.evaluate(dataset=[{"id": "x", "input": "a"}] * 2, candidates=[shout])
    with pytest.raises(InvalidRequest, match="names one thing"):
        ratchet.evaluate(dataset=cases, candidates=[shout], gate={"scorer": "exact"})
    with pytest.raises(InvalidRequest, match="gate has no limit"):
        ratchet.evaluate(dataset=cases, candidates=[shout, whisper], gate={})
    with pytest.raises(Misconfigured, match=r"other\.toml does not exist"):
        ratchet.evaluate(dataset=cases, candidates=[shout], config="other.toml")
    with pytest.raises(NotFound, match="neither a file"):
        ratchet.evaluate(dataset="nowhere.jsonl", candidates=[shout])
    found = ratchet.evaluate(dataset=cases, candidates=[shout])
    with pytest.raises(InvalidRequest, match="no gate"):
        found.gate()
    with pytest.raises(InvalidRequest, match="nothing to compare"):
        found.compare()


def test_importing_ratchet_loads_nothing_else() -> None:
    loaded = "import sys, ratchet; print([m for m in sys.modules if m.startswith('ratchet.') or m in ('msgspec', 'numpy')])"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
