"""A run of 1,000 cases from the command line, cold start included; and what is left to do in one that is repeated."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from itertools import permutations
from pathlib import Path

from bench.figures import Part, at_most
from bench.gateways import ratchet_command, ratchet_config
from bench.nginx import MODEL, start_upstream
from bench.processes import BenchError, Children, free_port, get
from bench.setting import Setting

__all__ = ["measure"]

CASES, AT_ONCE, TIMES = 1000, 64, 5
COMPARED = 10_000  # answers that one comparison looks at
TARGET_SECONDS = 2.5


def measure(setting: Setting, children: Children) -> list[Part]:
    """The upstream answers at once, on the other core; what is timed is a whole process, from exec to exit."""
    upstream = start_upstream(children, core=setting.load_core)
    folder = children.folder / "runs"
    folder.mkdir()
    config = ratchet_config(folder, upstream)
    write_suite(folder)
    setting.say(f"{TIMES} runs of {CASES:,} cases, {AT_ONCE} at a time …")
    first = _run_seconds(folder, config, "--no-cache")
    asked = [_run_seconds(folder, config, "--no-cache") for _ in range(TIMES)]
    _run_seconds(folder, config)
    cached = [_run_seconds(folder, config) for _ in range(TIMES)]
    figures = [
        at_most(
            "every case asked, median",
            statistics.median(asked),
            TARGET_SECONDS,
            "s",
            digits=2,
            note=f"{min(asked):.2f} to {max(asked):.2f}",
        ),
        at_most("every case asked, new data directory", first, 2 * TARGET_SECONDS, "s", digits=2),
        at_most(
            "every answer in the cache, median", statistics.median(cached), TARGET_SECONDS, "s", digits=2
        ),
    ]
    return [
        Part(
            name="runs",
            title=f"`ratchet run start`: {CASES:,} cases, one scorer, {AT_ONCE} at a time",
            figures=figures,
            remarks=["From exec to exit. The same on two such cores: promptfoo 6.5 s, Inspect 18.3 s."],
        ),
        _compare_page(setting, children, upstream),
    ]


def _compare_page(setting: Setting, children: Children, upstream: int) -> Part:
    """The page that compares two candidates. Each pair of three is asked for once, so that nothing is remembered."""
    folder = children.folder / "compare"
    folder.mkdir()
    config = ratchet_config(folder, upstream)
    names = ("one", "two", "three")
    cases = COMPARED // 2
    candidates = ", ".join(f"{{name: {name}, model: up/{name}}}" for name in names)
    write_suite(folder, cases=cases, candidates=candidates)
    setting.say(f"a run of {cases * len(names):,} answers …")
    _run_seconds(folder, config, answers=cases * len(names))
    port = free_port()
    command = ratchet_command(folder / "data", config, "studio", "--studio-port", str(port))
    studio = children.start("studio", command, env={"UP_KEY": "sk-up"})
    studio.wait_answer(port, "/healthz")
    token = json.loads((folder / "data" / "studio.json").read_text())["token"]
    headers = {"Authorization": f"Bearer {token}"}
    deadline = time.monotonic() + 120
    while _stored(port, headers) < cases * len(names):
        if time.monotonic() > deadline:
            raise BenchError("the collector did not store the run's answers")
        time.sleep(0.2)
    pairs = list(permutations(names, 2))
    first, *others = [_page_millis(port, *pair, headers) for pair in pairs]
    again = [_page_millis(port, *pairs[-1], headers) for _ in range(9)]
    children.stop(studio)
    return Part(
        name="compare",
        title=f"The compare page over {COMPARED:,} answers",
        figures=[
            at_most(
                "two candidates, median",
                statistics.median(others),
                300,
                "ms",
                digits=0,
                note=f"the first time of all {first:.0f}",
            ),
            at_most("the same two again, median", statistics.median(again), 300, "ms", digits=0),
        ],
        remarks=["The whole page over HTTP, from the span store."],
    )


def _stored(port: int, headers: dict[str, str]) -> int:
    status, body = get(port, "/api/traces?range=all&run=all&limit=1", headers=headers, timeout=30)
    return int(json.loads(body)["total"]) if status == 200 else 0


def _page_millis(port: int, baseline: str, candidate: str, headers: dict[str, str]) -> float:
    path = f"/runs/latest/compare?baseline={baseline}&candidate={candidate}"
    began = time.perf_counter()
    status, body = get(port, path, headers=headers, timeout=30)
    if status != 200:
        raise BenchError(f"{path} answered {status}: {body[:300]!r}")
    return (time.perf_counter() - began) * 1000


def write_suite(folder: Path, *, cases: int = CASES, candidates: str = f"up/{MODEL}") -> None:
    """So many questions, and a suite that asks them."""
    asked = [
        {"id": f"c{at}", "input": f"What is {at} + 2?", "reference": "Parcels" if at % 3 else str(at)}
        for at in range(cases)
    ]
    (folder / "cases.jsonl").write_text("\n".join(json.dumps(each) for each in asked))
    (folder / "suite.yaml").write_text(
        f"dataset: cases.jsonl\ncandidates: [{candidates}]\nscorers: [contains]\nconcurrency: {AT_ONCE}\n"
    )


def _run_seconds(folder: Path, config: Path, *options: str, answers: int = CASES) -> float:
    command = ratchet_command(
        folder / "data", config, "run", "start", str(folder / "suite.yaml"), "--json", *options
    )
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, env={**os.environ, "UP_KEY": "sk-up"}, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise BenchError(f"the run failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    progress = json.loads(done.stdout)["progress"]
    if progress["done"] != answers or progress.get("errors"):
        raise BenchError(f"the run did not answer every case: {progress}")
    return took
