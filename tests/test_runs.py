"""Runs against a real upstream over real sockets: what is asked, what is paid, what is kept, what is resumed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.conftest import eventually, spooled
from tests.runs_harness import Bench, Upstream

from ratchet.domain.prompts import Share, Template, TemplateMessage
from ratchet.domain.runs import Result
from ratchet.domain.spans import Score, Span
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.prompts.hashing import content_hash
from ratchet.simulator.app import Simulator
from ratchet.store.records import Records
from ratchet.store.records.migrate import migrate
from ratchet.store.records.prompts import NewVersion, push_versions
from ratchet.store.records.releases import release_split
from ratchet.store.records.runs import cases_of_run, change_run, find_run, list_runs
from ratchet.telemetry.calls import Call


@pytest.fixture
def bench(tmp_path: Path, upstream: tuple[Upstream, str]) -> Bench:
    found = Bench(tmp_path, upstream[1])
    found.write_cases(6)
    return found


def by_place(results: list[Result]) -> dict[tuple[str, str, int], Result]:
    return {(each.candidate, each.case_id, each.repeat): each for each in results}


async def test_every_case_is_asked_of_every_candidate(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    run, results = await bench.start(["route:cheap", "up/large"], repeats=2)
    assert (run.status, run.progress.done, run.progress.total, run.cases) == ("done", 24, 24, 6)
    assert upstream[0].models == {"small": 12, "large": 12}
    found = by_place(results)[("route:cheap", "c3", 1)]
    assert (found.output.text, found.output.cost) == ("SAY 3", Decimal("0.00002"))
    assert [(each.name, each.value) for each in found.verdicts] == [("exact", 1.0)]
    assert run.progress.cost == 12 * Decimal("0.00002") + 12 * Decimal("0.002")
    (cheap, large) = run.summary["candidates"]
    assert (cheap["name"], cheap["scorers"][0]["mean"]["value"], cheap["front"]) == ("route:cheap", 1.0, True)
    assert large["total_cost"] == pytest.approx(0.024)


async def test_calls_and_scores_are_spooled_with_their_places(bench: Bench) -> None:
    run, _ = await bench.start(["route:cheap"])
    records = spooled(bench.data.spool)
    calls = [each for each in records if isinstance(each, Call)]
    scores = [each for each in records if isinstance(each, Score)]
    assert {(each.run_id, each.candidate, each.case_id) for each in calls} == {
        (run.id, "route:cheap", f"c{at}") for at in range(6)
    }
    assert {each.trace_id for each in calls} == {each.trace_id for each in scores}
    assert {(each.run_id, each.case_id, each.value, each.source) for each in scores} == {
        (run.id, f"c{at}", 1.0, "code") for at in range(6)
    }
    assert scores[0].attributes["candidate"] == "route:cheap"


async def test_a_later_run_that_asks_the_same_pays_nothing(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    _, first = await bench.start(["route:cheap"])
    run, second = await bench.start(["up/small"])  # what stands behind the route
    assert upstream[0].total == 6
    assert (run.progress.cost, run.progress.cached) == (0, 6)
    before, after = (
        by_place(first)["route:cheap", "c1", 0].output,
        by_place(second)["up/small", "c1", 0].output,
    )
    assert (after.text, after.cost, after.latency) == (before.text, before.cost, before.latency)
    hits = [each for each in spooled(bench.data.spool) if isinstance(each, Span)]
    assert {(each.run_id, each.cache_status, each.cost) for each in hits} == {(run.id, "hit", Decimal(0))}
    assert hits[0].attributes["ratchet.cached.cost"] == "0.00002"
    await bench.start(["up/small"], cache=False)
    assert upstream[0].total == 12
    await bench.start([{"model": "up/small", "parameters": {"temperature": 0}}])
    assert upstream[0].total == 18


async def test_the_same_question_at_the_same_time_is_asked_once(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    upstream[0].delay = 0.05
    run, results = await bench.start([{"name": "a", "model": "up/small"}, {"name": "b", "route": "cheap"}])
    assert (upstream[0].total, len(results), run.progress.cached) == (6, 12, 6)


async def test_what_failed_is_an_error_and_is_asked_again_when_resumed(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    upstream[0].refuse = {"say 2"}
    run, results = await bench.start(["route:cheap"], scorers=["exact", "contains"], max_cost=10)
    assert (run.status, run.progress.errors) == ("done", 1)
    failed = by_place(results)["route:cheap", "c2", 0]
    assert "status 500" in failed.output.error
    assert not any(each.scored for each in failed.verdicts)
    with pytest.raises(Conflict, match="is done"):
        await bench.resume(run.id)


async def test_a_cancelled_run_goes_on_where_it_was(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    run, results = await bench.start(["route:cheap"], concurrency=1, stop_after=2)
    assert (run.status, run.reason, len(results)) == ("cancelled", "enough", 2)
    again, everything = await bench.resume()
    assert (again.id, again.status, len(everything)) == (run.id, "done", 6)
    assert upstream[0].asked == {f"say {at}": 1 for at in range(6)}
    assert again.progress.cost == 6 * Decimal("0.00002")


async def test_a_limit_on_cost_stops_before_it_is_exceeded(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    run, _ = await bench.start(["up/large"], max_cost=0.007)  # each costs 0.002
    assert (run.status, upstream[0].total, run.progress.cost) == ("stopped", 3, Decimal("0.006"))
    assert "limit of $0.007" in run.reason


async def test_a_limit_needs_prices(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    run, _ = await bench.start(["up/unpriced"], max_cost=1, concurrency=4)
    assert (run.status, upstream[0].total) == ("stopped", 1)
    assert "no known price" in run.reason


async def test_a_candidate_that_has_changed_is_refused(bench: Bench) -> None:
    await bench.start(["route:cheap"], concurrency=1, stop_after=2)
    bench.config.write_text(bench.config.read_text().replace('["up/small"]', '["up/large"]'))
    with pytest.raises(Conflict, match="not what it was"):
        await bench.resume()


async def test_an_app_over_http_gets_its_place_and_tells_its_cost(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    address = f"{upstream[1]}/answer"
    run, results = await bench.start([{"http": address, "headers": {"x-mine": "1"}}])
    found = by_place(results)[address, "c1", 0]
    assert (found.output.text, found.output.cost, found.output.input_tokens) == ("SAY 1", Decimal("0.5"), 3)
    headers = upstream[0].headers[0]
    assert parse_qs(headers[b"x-ratchet-run"].decode())["run"] == [run.id]
    assert headers[b"x-mine"] == b"1"
    spans = {each.span_id: each for each in spooled(bench.data.spool) if isinstance(each, Span)}
    _, trace_id, span_id, _ = headers[b"traceparent"].decode().split("-")
    assert (spans[span_id].trace_id, spans[span_id].source, spans[span_id].run_id) == (
        trace_id,
        "run",
        run.id,
    )
    assert spans[span_id].cost == Decimal("0.5")
    await bench.start([{"http": address}])
    assert upstream[0].total == 12  # it does not say its version: nobody knows whether it is the same
    for _ in range(2):
        await bench.start([{"http": address, "app_version": "7"}])
    assert upstream[0].total == 18


async def test_an_app_in_openais_dialect(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    address = f"{upstream[1]}/mine/chat/completions"
    _, results = await bench.start([address])
    assert by_place(results)[address, "c0", 0].output.text == "SAY 0"


async def test_an_app_that_is_not_there_is_an_error_of_its_answers(bench: Bench) -> None:
    run, results = await bench.start(["http://127.0.0.1:9/chat"])
    assert (run.status, run.progress.errors) == ("done", 6)
    assert "did not answer" in results[0].output.error


async def test_functions_of_every_kind(bench: Bench) -> None:
    (bench.folder / "bot_of_test.py").write_text(
        """
import asyncio, threading, time
app_version = "3"
alone = threading.Barrier(6)
def plain(question):
    alone.wait(timeout=5)  # six at once, or none gets through
    return question.upper()
async def waits(question, case):
    await asyncio.sleep(0)
    return {"output": case.reference, "cost": 0.25}
def broken(question):
    raise ValueError("no " + question)
class Bot:
    def __call__(self, question, style="loud"):
        return question.upper()
bot = Bot()
def nothing(question):
    return None
def slow(question):
    time.sleep(0.3)
"""
    )
    names = ["plain", "waits", "broken", "bot", "nothing"]
    run, results = await bench.start([f"python:bot_of_test:{name}" for name in names])
    assert run.candidates[0].app_version == "3"
    found = {each.candidate.rpartition(":")[2]: each.output for each in results if each.case_id == "c5"}
    assert [found[name].text for name in names] == ["SAY 5", "SAY 5", "", "SAY 5", ""]
    assert found["waits"].cost == Decimal("0.25")
    assert found["broken"].error == "ValueError: no say 5"
    assert "expected a text" in found["nothing"].error
    _, results = await bench.start(["python:bot_of_test:slow"], timeout=0.05)
    assert "within 0.05 s" in results[0].output.error


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        ("route:chaep", "no model 'chaep'.*Did you mean 'cheap'"),
        ("nowhere/x", "no model 'nowhere/x'"),
        ("python:bot_not_there:x", "no module 'bot_not_there'"),
        ("python:json:x", "'json' has no 'x'"),
        ("prompt:support", "no prompt|not been set up"),
    ],
)
async def test_a_candidate_that_is_not_there_is_told_before_anything_is_paid(
    bench: Bench, candidate: str, problem: str
) -> None:
    with pytest.raises((NotFound, InvalidRequest, Exception), match=problem):
        await bench.start(["route:cheap", candidate])
    assert not (bench.data.runs / "ledger.db").exists()


async def test_a_case_that_a_candidate_cant_be_asked_is_told_before_anything_is_paid(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    bench.write_cases(2, input={"question": "x"})
    with pytest.raises(InvalidRequest, match="'c0' is an object of variables, and route:cheap needs a text"):
        await bench.start(["route:cheap"])
    assert upstream[0].total == 0


async def test_sealed_cases_are_run_when_they_are_asked_for(bench: Bench) -> None:
    bench.write_cases(3, split="test")
    with pytest.raises(InvalidRequest, match="3 are sealed"):
        await bench.start(["route:cheap"])
    run, _ = await bench.start(["route:cheap"], split="test")
    assert run.cases == 3


async def test_the_records_know_the_run_and_its_cases(bench: Bench) -> None:
    run, _ = await bench.start(["route:cheap"])
    (bench.folder / "cases.jsonl").write_text("")  # what the file becomes is no matter
    records = Records.open(f"sqlite:///{bench.data.root / 'records.db'}")
    try:
        assert [each.id for each in cases_of_run(records, run.id)] == [f"c{at}" for at in range(6)]
        assert list_runs(records, project_id="default", suite="t") == [run]
        assert find_run(records, project_id="default", text=run.id[:11]) == run
        with pytest.raises(NotFound):
            find_run(records, project_id="default", text="nothing")
    finally:
        records.close()


async def test_a_run_is_cancelled_through_the_records(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    bench.write_cases(500)
    upstream[0].delay = 0.05
    task = asyncio.create_task(bench.start(["route:cheap"], concurrency=4))
    await eventually(lambda: upstream[0].total > 4)
    records = Records.open(f"sqlite:///{bench.data.root / 'records.db'}")
    found = find_run(records, project_id="default", text="latest")
    change_run(records, found.id, status="cancelling")
    records.close()
    run, results = await task
    assert run.status == "cancelled"
    assert len(results) == run.progress.done < 500


async def test_killed_and_resumed_nothing_is_paid_twice(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    cases, concurrency = 500, 32
    bench.write_cases(cases)
    counted = upstream[0]
    counted.delay = 0.02
    (bench.folder / "suite.yaml").write_text(
        f"dataset: cases.jsonl\ncandidates: [route:cheap]\nscorers: [exact]\nconcurrency: {concurrency}\n"
    )
    options = ("--config", str(bench.config), "--data-dir", str(bench.data.root))
    command = (sys.executable, "-m", "ratchet", *options, "run")
    process = await asyncio.create_subprocess_exec(
        *command, "start", str(bench.folder / "suite.yaml"), "--json"
    )
    await eventually(lambda: counted.total > 200, within=60)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    paid = counted.total
    assert paid < cases
    run, results = await bench.resume()
    assert (run.status, len(results)) == ("done", cases)
    assert all(each.verdicts[0].value == 1.0 for each in results)
    assert cases <= counted.total <= cases + concurrency
    assert max(counted.asked.values()) <= 2


def push(bench: Bench, *texts: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Versions of the prompt `support`, the first of them released as `production`."""
    records = Records.open(f"sqlite:///{bench.data.root / 'records.db'}")
    migrate(records)
    for text in texts:
        template = Template(
            messages=[TemplateMessage(role="user", content=text)],
            model="cheap",
            parameters=dict(parameters or {}),
        )
        new = NewVersion(prompt="support", template=template, hash=content_hash(template))
        push_versions(records, [new], project_id="default", author="a", message="", now=1)
    release_split(records, "support", "production", [Share(version=1)], project_id="default", by="a", now=2)
    records.close()


async def test_versions_of_a_prompt_are_tested_as_apps_get_them(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    push(bench, "{{ question }}", "Kindly: {{ question }}")
    candidates = ["prompt:support@production", {"prompt": "support", "model": "up/large"}, "prompt:support#2"]
    run, results = await bench.start(candidates)  # a text fills the one variable
    assert [(each.version, each.model) for each in run.candidates] == [
        ("1", ""),
        ("1", "up/large"),
        ("2", ""),
    ]
    assert upstream[0].asked["say 3"] == 2
    assert upstream[0].asked["Kindly: say 3"] == 1
    assert upstream[0].models == {"small": 12, "large": 6}
    assert by_place(results)["prompt:support#2", "c3", 0].output.text == "KINDLY: SAY 3"
    calls = [each for each in spooled(bench.data.spool) if isinstance(each, Call)]
    assert {(each.candidate, each.prompt, each.prompt_version) for each in calls} == {
        ("prompt:support@production", "support", "1"),
        ("prompt:support up/large", "support", "1"),
        ("prompt:support#2", "support", "2"),
    }
    await bench.start(["prompt:support#1"])
    assert upstream[0].total == 18


async def test_a_resumed_run_stays_with_the_version_that_it_began_with(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    push(bench, "{{ question }}", "Kindly: {{ question }}")
    await bench.start(["prompt:support@production"], concurrency=1, stop_after=2)
    records = Records.open(f"sqlite:///{bench.data.root / 'records.db'}")
    release_split(records, "support", "production", [Share(version=2)], project_id="default", by="a", now=3)
    records.close()
    await bench.resume()
    assert upstream[0].asked == {f"say {at}": 1 for at in range(6)}


async def test_a_label_that_serves_two_versions_names_no_candidate(bench: Bench) -> None:
    push(bench, "{{ question }}", "Kindly: {{ question }}")
    records = Records.open(f"sqlite:///{bench.data.root / 'records.db'}")
    split = [Share(version=1), Share(version=2)]
    release_split(records, "support", "production", split, project_id="default", by="a", now=3)
    records.close()
    with pytest.raises(InvalidRequest, match=r"split between versions.*prompt:support#1, prompt:support#2"):
        await bench.start(["prompt:support"])


async def test_no_verdict_of_a_judge_is_paid_twice_either(
    bench: Bench, upstream: tuple[Upstream, str], simulator: tuple[str, Simulator]
) -> None:
    cases, concurrency = 150, 8
    bench.write_cases(cases)
    bench.config.write_text(
        bench.config.read_text()
        + f'[providers.sim]\nkind = "simulator"\nbase_url = "{simulator[0]}"\n[routes.judge]\ntargets = ["sim/gpt-4o"]\n'
    )
    upstream[0].delay = 0.01
    (bench.folder / "suite.yaml").write_text(
        "dataset: cases.jsonl\ncandidates: [route:cheap]\nscorers:\n"
        '  - judge: {rubric: "It says what the question says.", route: judge}\n'
        f"concurrency: {concurrency}\n"
    )
    options = ("--config", str(bench.config), "--data-dir", str(bench.data.root))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ratchet", *options, "run", "start", str(bench.folder / "suite.yaml"), "--json",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await eventually(lambda: upstream[0].total > 60, within=60)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    run, results = await bench.resume()
    assert (run.status, len(results)) == ("done", cases)
    assert all(each.verdicts[0].scored for each in results)
    calls = [each for each in spooled(bench.data.spool) if isinstance(each, Call)]
    judged = Counter(each.request for each in calls if not each.candidate)
    assert len(judged) >= cases
    assert judged.total() - len(judged) <= concurrency
    assert {each.run_id for each in calls} == {run.id}
    paid = sum((Decimal(each.cost) for each in calls if each.cost), Decimal(0))
    assert run.progress.cost <= paid  # what was under way when it died may have been paid, and is not in it


# -- repeats -------------------------------------------------------------------------------------------------------


async def test_each_repeat_has_a_seed_of_its_own(bench: Bench, upstream: tuple[Upstream, str]) -> None:
    candidates = ["route:cheap", {"model": "up/large", "parameters": {"seed": 7}}]
    await bench.start(candidates, repeats=3)
    assert upstream[0].seeds == {None: 6, 1: 6, 2: 6, 7: 18}
    await bench.start(["route:cheap"])  # the first asking is what it always was: paid already
    await bench.start(["route:cheap"], repeats=4)
    assert upstream[0].seeds == {None: 6, 1: 6, 2: 6, 3: 6, 7: 18}


async def test_where_a_seed_is_fixed_or_not_taken_none_is_sent(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    push(bench, "{{ question }}", "Kindly: {{ question }}", parameters={"seed": 5})
    await bench.start(["prompt:support#1"], repeats=2)
    assert upstream[0].seeds == {5: 12}
    config = bench.config.read_text().replace("[routes.cheap]", 'drop_fields = ["seed"]\n[routes.cheap]')
    claude = f'[providers.claude]\nkind = "anthropic"\nbase_url = "{upstream[1]}"\n'
    bench.config.write_text(config + claude)
    await bench.start(["route:cheap", "claude/haiku"], repeats=2)
    assert upstream[0].seeds == {5: 12, None: 24}
    assert upstream[0].models["haiku"] == 12, "a field that it does not know would have been refused"


async def test_repeats_on_the_simulator_differ_and_can_be_had_again(bench: Bench) -> None:
    bench.write_cases(4, input="Can I return a tent, and who pays for that?")
    model = {"model": "simulator/gpt-4o-mini", "parameters": {"temperature": 0}}
    _, results = await bench.start([model], repeats=4)
    said = {repeat: {each.output.text for each in results if each.repeat == repeat} for repeat in range(4)}
    assert all(len(texts) == 1 for texts in said.values())
    assert len(set.union(*said.values())) > 1
    _, again = await bench.start([model], repeats=4, cache=False)
    texts = {place: each.output.text for place, each in by_place(results).items()}
    assert {place: each.output.text for place, each in by_place(again).items()} == texts


async def test_one_interrupt_ends_what_is_under_way_and_keeps_it(
    bench: Bench, upstream: tuple[Upstream, str]
) -> None:
    bench.write_cases(300)
    upstream[0].delay = 0.05
    (bench.folder / "suite.yaml").write_text(
        "dataset: cases.jsonl\ncandidates: [route:cheap]\nscorers: [exact]\nconcurrency: 4\n"
    )
    options = ("--config", str(bench.config), "--data-dir", str(bench.data.root))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ratchet", *options, "run", "start", str(bench.folder / "suite.yaml"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await eventually(lambda: upstream[0].total > 20, within=60)
    process.send_signal(signal.SIGINT)
    out, error = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 3, error.decode()
    assert b"what is done is kept" in error
    assert b"ratchet run resume" in out
    asked = upstream[0].total
    upstream[0].delay = 0.0
    run, results = await bench.resume()
    assert (run.status, len(results)) == ("done", 300)
    assert upstream[0].total == 300 > asked


async def test_a_provider_that_is_down_fails_the_run_which_goes_on_later(
    bench: Bench, upstream: tuple[Upstream, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratchet.gateway.inside._FIRST_PAUSE", 0.001)
    settings = bench.config.read_text()
    bench.config.write_text(
        settings + '[providers.down]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    bench.write_cases(200)
    upstream[0].delay = 0.02
    run, results = await bench.start(["route:cheap", "down/x"], concurrency=4)
    assert run.status == "failed"
    assert "can't be reached at http://127.0.0.1:9/v1" in run.reason
    assert len(results) == upstream[0].total < 10  # what was under way has ended, and is kept
