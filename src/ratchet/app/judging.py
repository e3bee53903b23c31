"""Testing judges in this process: every judge with every model, over labelled outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from ratchet.app.asking import open_inside
from ratchet.app.control import Control
from ratchet.app.paths import DataDir
from ratchet.domain.cases import Case
from ratchet.domain.datasets import SEALED
from ratchet.domain.runs import Result, Run
from ratchet.errors import NotFound
from ratchet.evals.judging import JudgeTest, Judging, check_labels, judges_of, measure_judge
from ratchet.evals.labelled import LabelledOutput, labelled_of_run, read_labelled
from ratchet.gateway.inside import generator

__all__ = ["Told", "judge_tests", "labelled_in_file", "labelled_in_run"]

Told = Callable[[Judging, int, int, Decimal], None]
"""Hears of each verdict: whose, how many are done, of how many, and what that judge has cost so far."""


def labelled_in_file(file: Path) -> list[LabelledOutput]:
    """Raises NotFound for a file that can't be read, InvalidRequest for what is wrong in it."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NotFound(
            f"The file {file} can't be read: {error.strerror}.", "Check its name and who may read it."
        ) from error
    return read_labelled(content, str(file))


def labelled_in_run(
    control: Control, run: str, label: str, *, unlabelled: int, seed: int
) -> list[LabelledOutput]:
    """The answers of a run that people have scored under that name, and others, drawn at random; none to sealed cases. Raises NotFound,
    InvalidRequest."""
    address = f"/api/runs/{quote(run, safe='')}"
    found = msgspec.convert(control.ask("GET", address), Run, strict=False)
    answers: list[dict[str, Any]] = control.ask("GET", f"{address}/results", query={"whole": "1"})
    # What scorers said is not looked at, and an unscored verdict is null there.
    results = [msgspec.convert({**each, "verdicts": []}, Result) for each in answers]
    cases = msgspec.convert(control.ask("GET", f"{address}/cases"), list[Case])
    cases = [case for case in cases if case.split != SEALED]
    return labelled_of_run(found, results, cases, label, unlabelled=unlabelled, seed=seed)


async def judge_tests(
    config: Path,
    data: DataDir,
    rows: Sequence[LabelledOutput],
    *,
    judges: Sequence[Any],
    models: Sequence[str],
    concurrency: int,
    pairs: int,
    seed: int,
    told: Told,
) -> list[JudgeTest]:
    """One test for each judge with each model, in this order. Everything is checked before anything is paid.

    Raises InvalidRequest for what is wrong in a judge or with a label.
    """
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
