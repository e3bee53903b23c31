"""What people's own code, their typing errors and failing providers do to a run: it goes on, and says so."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from tests.runs_harness import Bench, Upstream

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.runs import Result
from ratchet.errors import InvalidRequest, NotFound
from ratchet.evals.outputs import output_of_app
from ratchet.evals.summary import summarise
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records import Records
from ratchet.store.records.runs import list_runs

BOT = """
import sys
def leaves(question):
    sys.exit(3)
def stops(question):
    raise StopIteration
def half(question):
    return "a\\ud800b"
def raises_half(question):
    raise ValueError("\\ud800")
def talks(question):
    print("noise")
    return question.upper()
def scorer_leaves(case, output):
    sys.exit(3)
def scorer_half(case, output):
    return "\\ud800"
number = 5
"""


@pytest.fixture
def bench(tmp_path: Path, upstream: tuple[Upstream, str]) -> Bench:
    found = Bench(tmp_path, upstream[1])
    found.write_cases(3)
    (tmp_path / "mishap_bot.py").write_text(BOT)
    return found


async def test_nothing_that_a_candidate_does_ends_the_run(bench: Bench) -> None:
    names = ["leaves", "stops", "half", "raises_half"]
    run, results = await bench.start([f"python:mishap_bot:{name}" for name in names], timeout=5)
    assert (run.status, len(results)) == ("done", 12)
    found = {each.candidate.rpartition(":")[2]: each.output for each in results}
    assert found["leaves"].error == "SystemExit: 3"
    assert "StopIteration" in found["stops"].error
    assert (found["half"].text, found["half"].error) == ("a�b", "")
    assert found["raises_half"].error == "ValueError: �"
    told = {each["name"].rpartition(":")[2]: each["problems"] for each in run.summary["candidates"]}
    assert told["leaves"] == {"SystemExit: 3": 3}


async def test_nothing_that_a_scorer_does_ends_the_run(bench: Bench) -> None:
    scorers = ["exact", "python:mishap_bot:scorer_leaves", "python:mishap_bot:scorer_half"]
    run, results = await bench.start(["route:cheap"], scorers=scorers)
    assert run.status == "done"
    exact, leaves, half = results[0].verdicts
    assert exact.value == 1.0
    assert (leaves.scored, half.label) == (False, "�")
    assert "SystemExit" in leaves.comment


@pytest.mark.parametrize(
    "said",
    [Output(text="\ud800"), {"output": {"a": "\ud800"}}, Output(text=5), {"output": "a", "cost": -1}],  # pyright: ignore[reportArgumentType]
)
def test_what_an_app_says_can_be_written_down_or_is_an_error(said: object) -> None:
    found = output_of_app(said)
    assert found.error or found.text == "�"
    json.dumps(found.text).encode()


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"gate": {"scorer": "exakt"}}, "names the scorer 'exakt'.*has exact"),
        ({"gate": {"invariants": {"json_valid": 1}}}, "names the scorer 'json_valid'"),
        ({"scorers": [{"judge": {"rubric": "good", "route": "nowhere"}}]}, "no model 'nowhere'"),
        ({"candidates": ["python:mishap_bot:number"]}, "is no function"),
    ],
)
async def test_a_mistake_is_told_before_there_is_a_run(
    bench: Bench, upstream: tuple[Upstream, str], keys: dict[str, object], problem: str
) -> None:
    candidates = keys.pop("candidates", ["route:cheap", "up/large"])
    with pytest.raises((InvalidRequest, NotFound), match=problem):
        await bench.start(candidates, **keys)  # pyright: ignore[reportArgumentType]
    records = Records.open(f"sqlite:///{bench.data.root}/records.db")
    try:
        assert (upstream[0].total, list_runs(records, project_id="default")) == (0, [])
    finally:
        records.close()


async def test_a_part_of_a_scorer_may_be_gated(bench: Bench) -> None:
    gate = {"scorer": "rouge.rouge1"}
    run, _ = await bench.start(["route:cheap", "up/large"], scorers=["rouge"], gate=gate)
    assert run.status == "done"


def test_what_failed_is_told_and_beats_nobody() -> None:
    def result(candidate: str, output: Output, *verdicts: Verdict) -> Result:
        return Result(candidate=candidate, case_id="c", output=output, verdicts=list(verdicts))

    results = [
        result("good", Output(text="x", latency=1.0), Verdict(name="exact", value=1.0)),
        result("down", Output(error="refused", latency=0.001), Verdict(name="exact")),
    ]
    about = ScorerAbout(name="exact", title="Exact")
    found = summarise(results, [Case(id="c", input="q")], ["good", "down"], [about])
    good, down = found.candidates
    assert (good.front, down.front) == (True, False)
    assert (down.median_latency, down.latency.value, down.problems) == (None, None, {"refused": 1})


async def run_cli(bench: Bench, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "ratchet",
            "--config",
            bench.config,
            "--data-dir",
            bench.data.root,
            *arguments,
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_line_keeps_to_its_word(bench: Bench) -> None:
    suite = bench.folder / "s.yaml"
    suite.write_text(
        "dataset: cases.jsonl\ncandidates: [python:mishap_bot:talks, python:mishap_bot:leaves]\nscorers: [exact]\n"
    )
    code, out, err = await run_cli(bench, "run", "start", str(suite), "--json")
    assert (code, json.loads(out)["status"]) == (0, "done"), "what a candidate prints is not among the JSON"
    assert err.count("noise") == 3
    code, out, _ = await run_cli(bench, "run", "show")
    assert "python:mishap_bot:leaves: 3 of 3 failed: SystemExit: 3" in out
    for option, value in (("--max-cost", "0"), ("--candidates", "")):
        code, _, err = await run_cli(bench, "run", "start", str(suite), option, value)
        assert (code, "can't be used" in err) == (1, True), f"{option} {value!r} is no wish to be ignored"
    for place in (bench.folder / "not" / "there.html", bench.folder):
        code, _, err = await run_cli(bench, "run", "compare", "latest", "--html", str(place))
        assert (code, "can't be written" in err, "Traceback" in err) == (1, True, False)
    assert not list(bench.folder.parent.glob("*.new"))
