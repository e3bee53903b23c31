"""A run of 1,000 cases from the command line, cold start included; and what is left to do in one that is repeated."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

from bench.figures import Part, at_most
from bench.gateways import ratchet_command, ratchet_config
from bench.nginx import MODEL, start_upstream
from bench.processes import BenchError, Children
from bench.setting import Setting

__all__ = ["measure"]

CASES, AT_ONCE, TIMES = 1000, 64, 5
TARGET_SECONDS = 2.5


def measure(setting: Setting, children: Children) -> Part:
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
    return Part(
        name="runs",
        title=f"`ratchet run start`: {CASES:,} cases, one scorer, {AT_ONCE} at a time",
        figures=figures,
        remarks=["From exec to exit. The same on two such cores: promptfoo 6.5 s, Inspect 18.3 s."],
    )


def write_suite(folder: Path) -> None:
    cases = [{"id": f"c{at}", "input": f"What is {at} + 2?", "reference": str(at + 2)} for at in range(CASES)]
    (folder / "cases.jsonl").write_text("\n".join(json.dumps(each) for each in cases))
    (folder / "suite.yaml").write_text(
        f"dataset: cases.jsonl\ncandidates: [up/{MODEL}]\nscorers: [contains]\nconcurrency: {AT_ONCE}\n"
    )


def _run_seconds(folder: Path, config: Path, *options: str) -> float:
    command = ratchet_command(
        folder / "data", config, "run", "start", str(folder / "suite.yaml"), "--json", *options
    )
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, env={**os.environ, "UP_KEY": "sk-up"}, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise BenchError(f"the run failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    progress = json.loads(done.stdout)["progress"]
    if progress["done"] != CASES or progress.get("errors"):
        raise BenchError(f"the run did not answer every case: {progress}")
    return took
