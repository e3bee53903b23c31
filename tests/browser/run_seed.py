"""A run in the stores as if it had been done: two candidates, a dozen cases, two scorers, two repeats."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from studio_harness import Studio

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.runs import Candidate, Progress, Result, Run, RunTag
from ratchet.domain.spans import Score, Span
from ratchet.evals.keeping import about_to
from ratchet.evals.spans import SpanWriter
from ratchet.evals.summary import summarise
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records.runs import add_run

__all__ = ["RUN", "fill_runs"]

RUN = "260921-100000-seed"
_SCORERS = [
    ScorerAbout(name="contains", title="Contains", binary=True),
    ScorerAbout(name="judge", title="Judge", asks_a_model=True),
]
_QUESTIONS = (
    "How long does delivery take to the north of Norway, and what does it cost?",
    "Can I return worn boots?",
)


def fill_runs(studio: Studio) -> None:
    """One finished run, and one that waits."""
    cases = [
        Case(
            id=f"case-{at}",
            input=_QUESTIONS[at % 2],
            reference="Two to four working days.",
            tags=["delivery"] if at % 2 else ["returns", "a tag with many words in it"],
            source=f"u{at % 5}",
        )
        for at in range(12)
    ]
    candidates = [
        Candidate(name="prompt:support@production", kind="prompt", target="support@production", version="3"),
        Candidate(name="openai/gpt-4o-mini-2026-01-15-preview", kind="model", target="openai/gpt-4o-mini"),
    ]
    results = [
        _result(each.name, case.id, at, repeat, worse=number == 1 and at % 4 == 0)
        for number, each in enumerate(candidates)
        for at, case in enumerate(cases)
        for repeat in range(2)
    ]
    now = studio.clock() - 3600 * 10**9
    total = len(results)
    run = Run(
        id=RUN,
        project_id=studio.project_id,
        suite="support",
        settings={
            "queued": True,
            "dataset": "support",
            "candidates": [{"route": "support"}],
            "scorers": ["contains"],
        },
        dataset="support",
        dataset_version="3",
        cases=len(cases),
        candidates=candidates,
        scorers=[about_to(each) for each in _SCORERS],
        repeats=2,
        status="done",
        author="ada@example.org",
        created=now,
        started=now,
        ended=now + 60 * 10**9,
        touched=now + 60 * 10**9,
        progress=Progress(done=total, total=total, errors=1, cached=3, cost=Decimal("0.0123")),
        summary=msgspec.to_builtins(summarise(results, cases, [each.name for each in candidates], _SCORERS)),
    )
    add_run(studio.records, run, cases)
    waiting = msgspec.structs.replace(
        run,
        id="260921-110000-wait",
        status="queued",
        started=None,
        ended=None,
        summary={},
        candidates=[],
        cases=0,
    )
    add_run(studio.records, msgspec.structs.replace(waiting, progress=Progress()), [])
    spans, scores = _written(run, results, {case.id: case for case in cases}, now)
    studio.store.insert_spans(spans, token="runs:spans")
    studio.store.insert_scores(scores, token="runs:scores")


def _result(candidate: str, case_id: str, at: int, repeat: int, *, worse: bool) -> Result:
    text = "It takes a while." if worse else f"Two to four working days, and number {at} goes first."
    failed = at == 11 and repeat == 1 and candidate.startswith("openai")
    return Result(
        candidate=candidate,
        case_id=case_id,
        repeat=repeat,
        output=Output(
            text="" if failed else text,
            error="status 500: the model is overloaded" if failed else "",
            latency=0.4 + at / 50,
            cost=Decimal("0.0002") if candidate.startswith("prompt") else Decimal("0.00003"),
            input_tokens=40,
            output_tokens=12,
            trace_id=f"{at:030x}{repeat:x}{len(candidate) % 10:x}",
            span_id=f"{at:014x}{repeat:x}{len(candidate) % 10:x}",
        ),
        verdicts=[] if failed else [
            Verdict(name="contains", value=0.0 if worse else 1.0, comment="none of: working days" if worse else ""),
            Verdict(name="judge", value=0.25 if worse and repeat else 0.8, comment="It answers the question that was asked."),
        ],
    )  # fmt: skip


def _written(
    run: Run, results: list[Result], cases: dict[str, Case], now: int
) -> tuple[list[Span], list[Score]]:
    written: list[Any] = []
    writer = SpanWriter(
        project_id=run.project_id,
        author="seed",
        record=written.append,
        now=lambda: now,
        clock=lambda: 0,
        new_ids=lambda: ("0" * 31 + "1", "0" * 15 + "1"),
    )
    abouts = {each.name: each for each in run.candidates}
    for each in results:
        tag = result_tag(run.id, each)
        took = round((each.output.latency or 0) * 1e9)
        writer.answered(
            abouts[each.candidate], tag, cases[each.case_id], each.output, started=now, duration=took
        )
        for verdict in each.verdicts:
            writer.scored(tag, each.output, verdict, judged=False)
    return [each for each in written if isinstance(each, Span)], [
        each for each in written if isinstance(each, Score)
    ]


def result_tag(run_id: str, result: Result) -> RunTag:
    """Where an answer belongs."""
    return RunTag(run_id, result.candidate, result.case_id, result.repeat)
