"""Testing judges in this process: every judge with every model, over a file of labelled outputs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ratchet.app.asking import open_inside
from ratchet.app.paths import DataDir
from ratchet.errors import NotFound
from ratchet.evals.judging import JudgeTest, Judging, check_labels, judges_of, measure_judge
from ratchet.evals.labelled import read_labelled
from ratchet.gateway.inside import generator

__all__ = ["Told", "judge_tests"]

Told = Callable[[Judging, int, int, Decimal], None]
"""Hears of each verdict: whose, how many are done, of how many, and what that judge has cost so far."""


async def judge_tests(
    config: Path,
    data: DataDir,
    file: Path,
    *,
    judges: Sequence[Any],
    models: Sequence[str],
    concurrency: int,
    pairs: int,
    seed: int,
    told: Told,
) -> list[JudgeTest]:
    """One test for each judge with each model, in this order. Everything is checked before anything is paid.

    Raises NotFound for a file that can't be read, InvalidRequest for what is wrong in it, in a judge or with a label.
    """
    try:
        content = await asyncio.to_thread(file.read_bytes)
    except OSError as error:
        raise NotFound(
            f"The file {file} can't be read: {error.strerror}.", "Check its name and who may read it."
        ) from error
    rows = read_labelled(content, str(file))
    wanted = judges_of(judges, models)
    for judging in wanted:
        check_labels(judging, rows)
    tests: list[JudgeTest] = []
    async with open_inside(config, data, name="judge test") as inside:
        for judging in wanted:
            # What order does to a model is asked once, however many prompts it is tested with.
            before = next((test for test in tests if test.model == judging.model and test.pairs), None)
            found = await measure_judge(
                judging,
                rows,
                generator(inside.ask),
                clock=time.monotonic,
                concurrency=concurrency,
                pairs=0 if before else pairs,
                seed=seed,
                told=lambda done, total, cost, judging=judging: told(judging, done, total, cost),
            )
            tests.append(found.with_pairs_of(before) if before else found)
    return tests
