"""Comparing what runs found, the files it can be kept in, and the gate on the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.runs_harness import Bench, Heard, Upstream

from ratchet.app.gating import DECIDED, by_source, check_gate
from ratchet.app.local import local_control
from ratchet.cli.run_compare import Files, write_reports
from ratchet.domain.cases import Case
from ratchet.errors import InvalidRequest, NotFound
from ratchet.evals.switch import Switch
from ratchet.release.policy import CANT_TELL, FAIL, PASS
from ratchet.store.records import Records
from ratchet.store.records.gates import gates_of_run


@pytest.fixture
def bench(tmp_path: Path, upstream: tuple[Upstream, str]) -> Bench:
    found = Bench(tmp_path, upstream[1])
    found.write_cases(60)
    return found


def wrong(*numbers: int) -> set[str]:
    return {f"say {at}" for at in numbers}


async def asked(bench: Bench, *requests: tuple[str, str, dict[str, str]]) -> list[Any]:
    def ask() -> list[Any]:
        with local_control(bench.config, bench.data, drain=True) as api:
            return [api.ask(*request) for request in requests]

    return await asyncio.to_thread(ask)


async def test_two_candidates_of_a_run_are_compared_case_by_case(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    upstream[0].wrong = {"small": wrong(*range(20)), "large": wrong(5, 30)}
    run, _ = await bench.start(["route:cheap", "up/large"], repeats=2)
    (found,) = await asked(bench, ("GET", "/api/runs/latest/comparison", {}))
    assert (found["baseline"]["candidate"], found["candidate"]["candidate"]) == ("route:cheap", "up/large")
    assert found["candidate"]["run_id"] == run.id
    (exact,) = found["comparison"]["scorers"]
    assert (exact["better"], exact["worse"], exact["same"], exact["verdict"]) == (19, 1, 40, "better")
    assert exact["difference"]["value"] == pytest.approx(18 / 60)
    assert exact["cases"][0]["case_id"] == "c30"  # the one that lost stands first
    assert found["comparison"]["cost"]["ratio"]["value"] == pytest.approx(100)


async def test_two_runs_are_compared_and_changed_cases_are_told(bench: Bench) -> None:
    first, _ = await bench.start(["route:cheap"])
    bench.write_cases(61)
    path = bench.folder / "cases.jsonl"
    path.write_text(path.read_text().replace('"say 7"', '"say seven"'))
    second, _ = await bench.start(["route:cheap"])
    (found,) = await asked(bench, ("GET", f"/api/runs/{first.id}/comparison", {"with": second.id}))
    assert found["notes"] == ["1 case asks something else in the second run: the datasets differ."]
    assert found["comparison"]["only_candidate"] == ["c60"]
    assert found["comparison"]["cases"] == 60


async def test_what_people_said_corrects_a_scorer(bench: Bench) -> None:
    run, results = await bench.start(["route:cheap", "up/large"])

    def label() -> Any:
        with local_control(bench.config, bench.data, drain=True) as api:
            for each in results:
                if each.case_id in {f"c{at}" for at in range(20)}:
                    value = 0.0 if each.candidate == "up/large" and each.case_id == "c3" else 1.0
                    body = {"name": "exact", "value": value, "trace_id": each.output.trace_id}
                    api.ask("POST", "/api/scores", body=body)
        with local_control(bench.config, bench.data, drain=True) as api:
            return api.ask("GET", f"/api/runs/{run.id}/comparison")

    found = await asyncio.to_thread(label)
    corrected = found["comparison"]["scorers"][0]["corrected"]
    assert corrected["labels"] == 20
    assert corrected["difference"]["value"] < 0


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"with": "nothing"}, "no run 'nothing'"),
        ({"baseline": "x"}, "no candidate 'x'"),
        ({}, "one candidate: there is nothing to compare it with"),
    ],
)
async def test_what_cant_be_compared_is_told(bench: Bench, query: dict[str, str], problem: str) -> None:
    await bench.start(["route:cheap"], tags=[])
    with pytest.raises((InvalidRequest, NotFound, Exception), match=problem):
        await asked(bench, ("GET", "/api/runs/latest/comparison", query))


async def test_reports_hold_every_case_and_run_nothing(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    cases = [
        {"id": "<b>", "input": "<script>alert(1)</script>", "reference": "x", "tags": ["a&b"]},
        *({"id": f"c{at}", "input": f"say {at}", "reference": f"SAY {at}"} for at in range(10)),
    ]
    (bench.folder / "cases.jsonl").write_text("\n".join(json.dumps(each) for each in cases))
    upstream[0].wrong = {"large": wrong(4)}
    run, _ = await bench.start(["route:cheap", "up/large"])
    found, results, known = await asked(
        bench,
        ("GET", f"/api/runs/{run.id}/comparison", {}),
        ("GET", f"/api/runs/{run.id}/results", {"whole": "1"}),
        ("GET", f"/api/runs/{run.id}/cases", {}),
    )
    html, junit = bench.folder / "r.html", bench.folder / "r.xml"
    files = Files(html=html, junit=junit, markdown=bench.folder / "r.md")
    write_reports(found, (results, results), known, files)
    assert "<b>" not in (bench.folder / "r.md").read_text().replace("`<b>`", "")
    page = html.read_text()
    assert "<script" not in page
    assert "BEG YOUR PARDON" in page
    assert "src=" not in page
    suite = ElementTree.fromstring(junit.read_text()).find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("exact", "11", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["c4"]


async def test_the_gate_passes_fails_and_cant_tell(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    bench.write_cases(200)
    upstream[0].wrong = {"large": wrong(*range(100))}

    async def verdict(candidates: list[str], **gate: Any) -> str:
        order = bench.order(candidates, gate={"scorer": "exact", **gate}, scorers=["exact", "contains"])
        found = await check_gate(bench.config, bench.data, order, watcher=Heard(), switch=Switch())
        records = Records.open(f"sqlite:///{bench.data.root / 'records.db'}")
        (kept,) = gates_of_run(records, found.run.id, project_id="default")
        records.close()
        assert (kept.verdict, kept.candidate) == (found.verdict.verdict, found.candidate)
        return found.verdict.verdict

    same = [{"name": "a", "route": "cheap"}, {"name": "b", "model": "up/small"}]
    assert await verdict(same, epsilon=0.05) == PASS  # type: ignore[arg-type]
    assert await verdict(["route:cheap", "up/large"], epsilon=0.05) == FAIL
    assert await verdict(same, epsilon=0.0) == CANT_TELL  # type: ignore[arg-type]
    assert await verdict(["route:cheap", "up/large"], epsilon=0.9, invariants={"contains": 1}) == FAIL
    assert await verdict(["up/large", "route:cheap"], epsilon=0.05, cost_ratio=0.5) == PASS
    assert upstream[0].total == 400  # everything else was in the ledger


async def test_a_gate_that_may_look_early_stops_when_it_knows(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    bench.write_cases(400)
    upstream[0].wrong = {"large": wrong(*range(400))}
    order = bench.order(
        ["route:cheap", "up/large"], gate={"scorer": "exact", "epsilon": 0.05, "early": True}, concurrency=4
    )
    found = await check_gate(bench.config, bench.data, order, watcher=Heard(), switch=Switch())
    assert (found.verdict.verdict, found.verdict.method) == (FAIL, "sequential")
    assert (found.run.status, found.run.reason) == ("stopped", DECIDED)
    assert upstream[0].total < 200


def test_cases_of_one_source_stay_together() -> None:
    cases = [Case(id=str(at), input="x", source=f"s{at % 5}" if at < 50 else "") for at in range(100)]
    order = by_source(cases)
    assert sorted(case.id for case in order) == sorted(case.id for case in cases)
    places = [at for at, case in enumerate(order) if case.source == "s3"]
    assert places == list(range(places[0], places[0] + 10))
    assert [case.id for case in order] != [case.id for case in cases]


async def test_exit_codes_of_the_gate(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    upstream[0].wrong = {"large": wrong(*range(60))}
    suite = bench.folder / "suite.yaml"
    text = "dataset: cases.jsonl\ncandidates: [route:cheap, up/large]\nscorers: [exact]\n"

    async def check(gate: str) -> tuple[int, str]:
        suite.write_text(text + gate)
        options = ("--config", str(bench.config), "--data-dir", str(bench.data.root))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ratchet", *options, "gate", "check", str(suite), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await process.communicate()
        return process.returncode or 0, (out + error).decode()

    code, said = await check("gate: {scorer: exact, epsilon: 0.05}")
    assert (code, json.loads(said.partition("Run ")[0])["verdict"]) == (1, "FAIL")
    code, said = await check("")
    assert code == 2
    assert "has no gate" in said


async def test_the_cheapest_candidate_that_will_do_is_proposed(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    bench.write_cases(200)
    bench.config.write_text(
        bench.config.read_text()
        + '[prices."up/tiny"]\ninput = 0.1\noutput = 0.1\n[prices."up/mid"]\ninput = 2\noutput = 3\n'
    )
    upstream[0].wrong = {"tiny": wrong(*range(80))}
    run, _ = await bench.start(["up/large", "up/mid", "route:cheap", "up/tiny", "up/unpriced"])
    path = f"/api/runs/{run.id}/downsize"
    found, strict, bold = await asked(
        bench,
        ("GET", path, {"epsilon": "0.05"}),
        ("GET", path, {"epsilon": "0"}),
        ("GET", path, {"epsilon": "0.6"}),
    )
    assert found["proposed"] == "route:cheap"
    assert [each["candidate"] for each in found["smaller"]] == ["up/tiny", "route:cheap", "up/mid"]
    assert [each["verdict"]["verdict"] for each in found["smaller"]] == ["FAIL", "PASS", "PASS"]
    assert found["smaller"][1]["saving"] == pytest.approx(0.99)
    assert found["unpriced"] == ["up/unpriced"]
    assert (strict["proposed"], bold["proposed"]) == ("", "up/tiny")
    for query, problem in (
        ({"baseline": "up/unpriced"}, "is not known"),
        ({"scorer": "nothing"}, "no scorer"),
        ({"epsilon": "x"}, "epsilon is 'x'"),
    ):
        with pytest.raises((InvalidRequest, NotFound, Exception), match=problem):
            await asked(bench, ("GET", path, query))
