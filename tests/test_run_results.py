"""What a run wrote, read back from the span store through the studio's API and the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.runs_harness import Bench, Upstream

from ratchet.app.local import local_control
from ratchet.domain.runs import Result
from ratchet.errors import Conflict, InvalidRequest, NotFound


@pytest.fixture
def bench(tmp_path: Path, upstream: tuple[Upstream, str]) -> Bench:
    found = Bench(tmp_path, upstream[1])
    found.write_cases(4)
    return found


async def asked(bench: Bench, *requests: tuple[str, str, dict[str, str]]) -> list[Any]:
    """The studio's answers, over everything that has been spooled by now."""

    def ask() -> list[Any]:
        with local_control(bench.config, bench.data, drain=True) as api:
            return [api.ask(*request) for request in requests]

    return await asyncio.to_thread(ask)


def key(result: dict[str, Any]) -> tuple[str, str, int]:
    return result["candidate"], result["case_id"], result.get("repeat", 0)


def shown(results: list[Result]) -> dict[tuple[str, str, int], Any]:
    return {
        (each.candidate, each.case_id, each.repeat): (
            each.output.text,
            each.output.error,
            str(each.output.cost),
            each.output.trace_id,
            each.cached,
            {verdict.name: verdict.value if verdict.scored else None for verdict in each.verdicts},
        )
        for each in results
    }


async def test_the_store_says_what_the_run_saw(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    (bench.folder / "bot_read_back.py").write_text("app_version='1'\ndef answer(q): return q.upper()\n")
    upstream[0].refuse = {"say 3"}
    candidates = ["route:cheap", "python:bot_read_back:answer", f"{upstream[1]}/chat"]
    await bench.start(candidates[:2])
    run, results = await bench.start(candidates, repeats=2, scorers=["exact", "contains"])
    found, about = await asked(
        bench,
        ("GET", f"/api/runs/{run.id}/results", {"whole": "1"}),
        ("GET", "/api/runs/latest", {}),
    )
    read = {
        key(each): (
            each["output"].get("text", ""),
            each["output"].get("error", ""),
            str(each["output"].get("cost")),
            each["output"]["trace_id"],
            each.get("cached", False),
            {verdict["name"]: verdict["value"] for verdict in each["verdicts"]},
        )
        for each in found
    }
    expected = shown(results)
    assert {place: value[2:] for place, value in read.items()} == {
        place: value[2:] for place, value in expected.items()
    }
    assert {place: value[0] for place, value in read.items()} == {
        place: value[0] for place, value in expected.items()
    }
    assert {place for place, value in read.items() if value[1]} == {
        place for place, value in expected.items() if value[1]
    }
    assert [key(each)[1] for each in found[:6]] == ["c0"] * 6
    assert (about["id"], about["state"], about["progress"]["done"]) == (run.id, "done", 24)


async def test_runs_are_listed_found_and_cancelled(bench: Bench) -> None:
    first, _ = await bench.start(["route:cheap"], concurrency=1, stop_after=1)
    second, _ = await bench.start(["route:cheap"], name="other")
    listed, named, cancelled = await asked(
        bench,
        ("GET", "/api/runs", {}),
        ("GET", "/api/runs", {"suite": "other"}),
        ("GET", f"/api/runs/{first.id}", {}),
    )
    assert [each["id"] for each in listed] == [second.id, first.id]
    assert [each["id"] for each in named] == [second.id]
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "enough")
    for request, problem in (
        (("POST", f"/api/runs/{second.id}/cancel", {}), "is done: there is nothing to cancel"),
        (("GET", "/api/runs/nothing", {}), "no run 'nothing'"),
        (("GET", f"/api/runs/{first.id[:6]}", {}), "Several runs begin with"),
        (("GET", "/api/runs", {"limit": "x"}), "limit is 'x'"),
    ):
        with pytest.raises((Conflict, InvalidRequest, NotFound, Exception), match=problem):
            await asked(bench, request)


async def test_production_does_not_count_runs(bench: Bench) -> None:
    run, _ = await bench.start(["route:cheap"])
    everywhere = {"range": "all"}
    lists = ("/api/traces", "/api/sessions", "/api/users")
    production, of_run, both, overview = await asked(
        bench,
        ("GET", "/api/traces", everywhere),
        ("GET", "/api/traces", {**everywhere, "run": run.id}),
        ("GET", "/api/traces", {**everywhere, "run": "all"}),
        ("GET", "/api/overview", everywhere),
    )
    assert (production["total"], of_run["total"], both["total"]) == (0, 4, 4)
    assert overview["current"]["requests"] == 0
    (figures,) = await asked(bench, ("GET", "/api/overview", {**everywhere, "run": run.id}))
    assert figures["current"]["requests"] == 4
    for found in await asked(bench, *(("GET", path, everywhere) for path in lists)):
        assert found["total"] == 0
    summary, *_ = await asked(bench, ("GET", "/api/summary", {}))
    assert summary["requests"] == 0
    assert summary["scores"] == []
