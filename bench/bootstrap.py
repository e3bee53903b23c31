"""Two candidates on 10,000 cases, compared in memory with 2,000 resamples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from bench.figures import Figure, Part, at_most
from bench.setting import Setting
from ratchet.evals.compare import compare
from ratchet.evals.results import CaseResult
from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.clusters import clusters_of
from ratchet.stats.intervals import bootstrap_interval

__all__ = ["measure"]

CASES, SOURCES, RESAMPLES, TIMES = 10_000, 3_000, 2_000, 5
TARGET_SECONDS = 1.0


def measure(setting: Setting) -> Part:
    """A graded and a binary scorer, cost and latency; every case its own source, or 3,000 sources."""
    setting.say(f"{TIMES} comparisons of {CASES:,} cases …")
    rng = np.random.default_rng(3)
    grades = rng.uniform(0, 1, (2, CASES))
    sources = [f"s{at}" for at in rng.integers(0, SOURCES, CASES)]
    codes = clusters_of(sources)
    gains = grades[1] - grades[0]
    sides = [_results(rng, side, sources) for side in grades]
    abouts = [ScorerAbout(name="grade", title="grade"), ScorerAbout(name="right", title="right", binary=True)]
    return Part(
        name="bootstrap",
        title=f"Bootstrap of {CASES:,} paired cases with {RESAMPLES:,} resamples",
        figures=[
            _seconds("one difference", lambda: bootstrap_interval(gains, rng=rng, resamples=RESAMPLES)),
            _seconds(
                f"one difference, {SOURCES:,} sources drawn whole",
                lambda: bootstrap_interval(gains, codes, rng=rng, resamples=RESAMPLES),
            ),
            _seconds(
                "a whole comparison: two scorers, cost, latency",
                lambda: compare(sides[0], sides[1], abouts, resamples=RESAMPLES),
            ),
        ],
        remarks=["In memory, one process, reading results not included."],
    )


def _seconds(name: str, work: Callable[[], object]) -> Figure:
    took: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    note = f"median of {TIMES}, {min(took):.2f} to {max(took):.2f}"
    return at_most(name, statistics.median(took), TARGET_SECONDS, "s", digits=2, note=note)


def _results(rng: np.random.Generator, grades: np.ndarray, sources: list[str]) -> list[CaseResult]:
    return [
        CaseResult(
            case_id=str(at),
            values={"grade": [float(grade)], "right": [float(grade > 0.4)]},
            costs=[float(cost)],
            latencies=[float(latency)],
            source=source,
        )
        for at, (grade, source, cost, latency) in enumerate(
            zip(grades, sources, rng.exponential(1e-4, CASES), rng.exponential(0.5, CASES), strict=True)
        )
    ]
