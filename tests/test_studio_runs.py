"""The pages of runs, and runs that the studio begins: in a process of their own, cancelled, killed and taken up again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import eventually
from tests.runs_harness import Bench, Upstream

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.runs import Result
from ratchet.scorers.scorer import ScorerAbout
from ratchet.studio.queueing import suite_of_form
from ratchet.studio.run_grid import GridQuery, grid_of
from ratchet.studio.run_views import side_by_side


@pytest.fixture
def bench(tmp_path: Path, upstream: tuple[Upstream, str]) -> Bench:
    found = Bench(tmp_path, upstream[1])
    found.write_cases(12, tags=["odd <b>"])
    return found


@asynccontextmanager
async def studio(bench: Bench) -> AsyncIterator[httpx2.AsyncClient]:
    """`ratchet studio` as a process, and a client that may do everything."""
    options = ("--config", str(bench.config), "--data-dir", str(bench.data.root))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ratchet", *options, "studio", "--studio-port", "0",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        known = json.loads(await eventually(lambda: read(bench.data.studio_address), within=60))
        headers = {"authorization": f"Bearer {known['token']}"}
        async with httpx2.AsyncClient(base_url=known["url"], headers=headers, timeout=60) as client:
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def drained(client: httpx2.AsyncClient, run_id: str, count: int) -> list[Any]:
    async def there() -> list[Any]:
        found = (await client.get(f"/api/runs/{run_id}/results")).json()
        return found if len(found) == count and all(each["verdicts"] for each in found) else []

    return await eventually(there, within=60)


async def test_the_pages_show_a_run(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    upstream[0].wrong = {"large": {"say 3"}}
    upstream[0].refuse = {"say 5"}
    run, _ = await bench.start(["route:cheap", "up/large"], scorers=["exact", "contains"], repeats=2)
    async with studio(bench) as client:
        await drained(client, run.id, 48)

        async def page(path: str) -> str:
            answer = await client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            return answer.text

        assert run.id in await page("/runs")
        shown = await page(f"/runs/{run.id}")
        assert len(re.findall(r"/case\?case=", shown)) == 12
        assert "odd &lt;b&gt;" in shown
        worse = await page(f"/runs/{run.id}?show=worse")
        assert re.findall(r"/case\?case=(\w+)", worse) == ["c3"]
        assert re.findall(r"/case\?case=(\w+)", await page(f"/runs/{run.id}?show=errors")) == ["c5"]
        assert re.findall(r"/case\?case=(\w+)", await page(f"/runs/{run.id}?q=say+7")) == ["c7"]
        assert re.findall(r"/case\?case=(\w+)", await page(f"/runs/{run.id}?order=loss"))[0] == "c3"
        case = await page(f"/runs/{run.id}/case?case=c3")
        assert "BEG YOUR PARDON" not in case  # words that differ are marked one by one
        assert case.count("<ins>") >= 2
        assert (await client.get(f"/runs/{run.id}/case?case=nothing")).status_code == 404
        compared = await page(f"/runs/{run.id}/compare")
        assert re.findall(r"/case\?case=(\w+)", compared) == ["c3"]
        assert re.findall(
            r"/case\?case=(\w+)", await page(f"/runs/{run.id}/compare?show=same&scorer=contains")
        )
        assert "hx-get" not in await page(f"/runs/{run.id}/progress")


async def test_nothing_shows_what_a_sealed_case_asks_or_what_was_answered_to_it(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    bench.write_cases(3, split="test", context="say it loud")
    upstream[0].wrong = {"large": {"say 1"}}
    run, _ = await bench.start(["up/small", "up/large"], scorers=["exact", "json_valid"], split="test")
    async with studio(bench) as client:
        results = await drained(client, run.id, 6)
        said = [json.dumps(results)]
        pages = ("", "/case?case=c1", "/compare", "/compare?show=same", "?q=say")
        api = ("cases", "results", "comparison")
        for path in [f"/runs/{run.id}{page}" for page in pages] + [
            f"/api/runs/{run.id}/{each}" for each in api
        ]:
            answer = await client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            said.append(answer.text)
        for text in said:
            assert not re.search(r"say \d|pardon|loud|/traces/[0-9a-f]{32}", text, re.IGNORECASE)
        assert {each["verdicts"][0]["value"] for each in results} == {0.0, 1.0}  # its figures are no secret
        assert re.findall(r"/case\?case=(\w+)", said[3]) == ["c1"]
        assert "?case=" not in said[5]  # no search finds them by what they say


async def dataset(client: httpx2.AsyncClient, count: int) -> None:
    assert (await client.post("/api/datasets", json={"name": "asked"})).status_code == 201
    cases = [{"id": f"c{at}", "input": f"say {at}", "reference": f"SAY {at}"} for at in range(count)]
    answer = await client.post("/api/datasets/asked/cases", json={"cases": cases})
    assert answer.status_code in (200, 201), answer.text


SUITE = {"name": "mine", "dataset": "asked", "candidates": ["route:cheap"], "scorers": ["exact"]}


async def test_a_run_begun_in_the_studio_runs_in_a_process_of_its_own(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    async with studio(bench) as client:
        await dataset(client, 20)
        begun = await client.post("/api/runs", json={"suite": SUITE})
        assert (begun.status_code, begun.json()["state"]) == (201, "queued")
        run_id = begun.json()["id"]

        async def done() -> bool:
            return (await client.get(f"/api/runs/{run_id}")).json()["state"] == "done"

        await eventually(done, within=60)
        found = (await client.get(f"/api/runs/{run_id}")).json()
        assert (found["cases"], found["dataset"], found["dataset_version"]) == (20, "asked", "1")
        assert found["candidates"][0]["name"] == "route:cheap"
        assert len(await drained(client, run_id, 20)) == 20
        for suite, problem in (
            ({**SUITE, "candidates": ["python:os:getcwd"]}, "code of yours"),
            ({**SUITE, "scorers": ["python:os:getcwd"]}, "code of yours"),
            ({**SUITE, "dataset": "/etc/passwd"}, "no dataset"),
            ({**SUITE, "candidates": []}, "at least 1 entry"),
        ):
            answer = await client.post("/api/runs", json={"suite": suite})
            assert answer.status_code in (400, 404), answer.text
            assert problem in answer.text
    assert upstream[0].total == 20


async def test_what_cant_be_planned_fails_and_says_why(bench: Bench) -> None:
    async with studio(bench) as client:
        await dataset(client, 2)
        begun = await client.post("/api/runs", json={"suite": {**SUITE, "candidates": ["route:nowhere"]}})

        async def failed() -> str:
            found = (await client.get(f"/api/runs/{begun.json()['id']}")).json()
            return found.get("reason", "") if found["state"] == "failed" else ""

        assert "no model 'nowhere'" in await eventually(failed, within=60)


async def test_an_app_that_a_member_names_is_at_a_public_address_unless_the_operator_allows_it(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    suite = {**SUITE, "candidates": [f"{upstream[1]}/answer"]}
    async with studio(bench) as client:
        await dataset(client, 2)
        for allowed, count in (([], 0), (["127.0.0.1"], 2)):
            with bench.config.open("a") as file:
                file.write(f"[gateway]\nallow_private = {json.dumps(allowed)}\n" if allowed else "")
            run_id = (await client.post("/api/runs", json={"suite": suite, "cache": False})).json()["id"]
            for result in await drained(client, run_id, 2):
                assert ("private address" in result["output"].get("error", "")) is (not allowed)
            assert upstream[0].total == count


async def test_a_run_is_cancelled_from_its_page_and_goes_on(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    upstream[0].delay = 0.05
    async with studio(bench) as client:
        await dataset(client, 300)
        run_id = (await client.post("/api/runs", json={"suite": {**SUITE, "concurrency": 4}})).json()["id"]
        await eventually(lambda: upstream[0].total > 10, within=60)
        assert (await client.post(f"/runs/{run_id}/cancel")).status_code in (200, 303)

        async def state() -> str:
            return (await client.get(f"/api/runs/{run_id}")).json()["state"]

        async def cancelled() -> bool:
            return await state() == "cancelled"

        await eventually(cancelled, within=60)
        upstream[0].delay = 0.0
        await client.post(f"/runs/{run_id}/resume")

        async def done() -> bool:
            return await state() == "done"

        await eventually(done, within=60)
    assert upstream[0].total == 300


async def test_a_run_whose_process_dies_goes_on_by_itself(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    upstream[0].delay = 0.03
    async with studio(bench) as client:
        await dataset(client, 300)
        run_id = (await client.post("/api/runs", json={"suite": {**SUITE, "concurrency": 4}})).json()["id"]
        await eventually(lambda: upstream[0].total > 40, within=60)
        os.kill(int(read(bench.data.runs / f"{run_id}.lock")), signal.SIGKILL)

        async def done() -> bool:
            return (await client.get(f"/api/runs/{run_id}")).json()["state"] == "done"

        await eventually(done, within=90)
    assert 300 <= upstream[0].total <= 304


async def test_a_studio_that_stops_leaves_its_runs_to_the_next(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    upstream[0].delay = 0.03
    async with studio(bench) as client:
        await dataset(client, 300)
        run_id = (await client.post("/api/runs", json={"suite": {**SUITE, "concurrency": 4}})).json()["id"]
        await eventually(lambda: upstream[0].total > 40, within=60)
    before = upstream[0].total
    assert before < 300
    async with studio(bench) as client:

        async def done() -> bool:
            return (await client.get(f"/api/runs/{run_id}")).json()["state"] == "done"

        await eventually(done, within=90)
    assert upstream[0].total == 300


def result(candidate: str, case: str, value: float | None, repeat: int = 0, text: str = "x") -> Result:
    verdict = Verdict(name="s") if value is None else Verdict(name="s", value=value)
    return Result(
        candidate=candidate, case_id=case, repeat=repeat, output=Output(text=text), verdicts=[verdict]
    )


def test_a_grid_compares_means_of_repeats_with_the_baseline() -> None:
    cases = [Case(id=name, input=name) for name in "abc"]
    results = [
        result("one", "a", 1.0), result("one", "a", 0.0, 1), result("two", "a", 1.0), result("two", "a", 1.0, 1),
        result("one", "b", 1.0), result("two", "b", 0.0), result("one", "c", None), result("two", "c", 1.0),
    ]  # fmt: skip
    about = ScorerAbout(name="s", title="s")
    grid = grid_of(cases, results, ["one", "two"], about, GridQuery(baseline="one", order="loss"), limit=10)
    assert [row.case_id for row in grid.rows] == ["b", "a", "c"]
    assert [[cell.value for cell in row.cells] for row in grid.rows] == [[1.0, 0.0], [0.5, 1.0], [None, 1.0]]
    assert [row.cells[1].change for row in grid.rows] == ["worse", "better", ""]
    assert grid.counts == {
        "all": 3, "changed": 2, "worse": 1, "better": 1, "low": 2, "errors": 0, "unscored": 1, "repeats": 1,
    }  # fmt: skip
    smaller = ScorerAbout(name="s", title="s", higher_is_better=False)
    turned = grid_of(cases, results, ["one", "two"], smaller, GridQuery(baseline="one"), limit=2, offset=1)
    assert [(row.case_id, row.cells[1].change) for row in turned.rows] == [("b", "better"), ("c", "")]


def test_what_differs_is_marked_word_by_word() -> None:
    found = [
        result("one", "a", 1.0, text="two to four days"),
        result("two", "a", 1.0, text="two to five days"),
    ]
    baseline, other = side_by_side(found, ["one", "two"], "one")
    assert [(piece.mark, piece.text) for piece in baseline.answers[0].pieces] == [("", "two to four days")]
    assert [(piece.mark, piece.text) for piece in other.answers[0].pieces] == [
        ("", "two to "), ("+", "five"), ("", " days"),
    ]  # fmt: skip


def test_the_form_reads_a_line_for_each_candidate_and_scorer() -> None:
    suite = suite_of_form(
        {
            "dataset": "d",
            "candidates": "prompt:support#3\n- route:cheap\n{model: a/b, parameters: {temperature: 0}}\n\nhttp://x/y",
            "scorers": "exact\n{contains: {any: [a]}}",
            "repeats": "2",
        }
    )
    assert [each.kind for each in suite.candidates] == ["prompt", "route", "model", "http"]
    assert suite.candidates[0].prompt == "support#3"
    assert suite.scorers == ["exact", {"contains": {"any": ["a"]}}]
    assert suite.repeats == 2
