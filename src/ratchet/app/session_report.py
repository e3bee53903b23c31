"""What came of a test session: its counts for the terminal, and its run for the records."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ratchet.app.loading import load
from ratchet.app.paths import DataDir
from ratchet.app.settings import config_file, records_url
from ratchet.domain.cases import Case
from ratchet.domain.counting import plural
from ratchet.domain.runs import Candidate, Progress, Result, Run
from ratchet.evals.keeping import about_from
from ratchet.evals.wording import amount
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.records.runs import add_run

__all__ = ["Report", "keep_report", "merged"]

SUITE = "pytest"


class Report(msgspec.Struct, kw_only=True):
    """`calls` were made, `remembered` were answered before; `cost` is in US dollars, `unpriced` calls had no known price.

    `candidates` and `scorers` by name, `cases` by id; `results` by place: candidate, case and repeat.
    """

    calls: int = 0
    remembered: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    unscored: int = 0
    candidates: dict[str, Candidate] = {}
    scorers: dict[str, dict[str, Any]] = {}
    cases: dict[str, Case] = {}
    results: dict[str, Result] = {}

    def add(self, result: Result) -> None:
        """An answer, or more verdicts of one."""
        place = f"{result.candidate}\0{result.case_id}\0{result.repeat}"
        before = self.results.get(place)
        said = {each.name: each for each in [*(before.verdicts if before else ()), *result.verdicts]}
        self.results[place] = msgspec.structs.replace(result, verdicts=list(said.values()))

    def line(self) -> str:
        """24 calls, $0.0012, 2 unscored"""
        parts = [plural(self.calls, "call")]
        if self.remembered:
            parts.append(f"{self.remembered:,} answered before")
        unknown = f" and {self.unpriced:,} without a known price" if self.unpriced else ""
        parts.append(amount(float(self.cost), "cost") + unknown)
        if self.unscored:
            parts.append(f"{self.unscored:,} unscored")
        return ", ".join(parts)

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)


def merged(reports: Iterable[bytes]) -> Report | None:
    """Those of all processes that worked at a session, as one; None of none."""
    found: Report | None = None
    for each in reports:
        report = msgspec.msgpack.decode(each, type=Report)
        if found is None:
            found = report
            continue
        for count in ("calls", "remembered", "cost", "unpriced", "unscored"):
            setattr(found, count, getattr(found, count) + getattr(report, count))
        for names in ("candidates", "scorers", "cases"):
            getattr(found, names).update(getattr(report, names))
        for result in report.results.values():
            found.add(result)
    return found


def keep_report(
    config: Path, data: DataDir, report: Report, *, run_id: str, began: int, ended: int, reason: str
) -> None:
    """Write the session down as a run, where it asked or judged anything. Raises Unavailable."""
    if not report.results:
        return
    cases, results = list(report.cases.values()), list(report.results.values())
    abouts = [about_from(kept) for kept in report.scorers.values()]
    names = list(report.candidates)
    summary = load("evals.summary").summarise(results, cases, names, abouts)
    run = Run(
        id=run_id,
        project_id=DEFAULT_PROJECT,
        suite=SUITE,
        settings={},
        dataset=SUITE,
        dataset_version=hashlib.sha256(msgspec.json.encode(cases)).hexdigest()[:12],
        cases=len(cases),
        candidates=list(report.candidates.values()),
        scorers=list(report.scorers.values()),
        repeats=1 + max(each.repeat for each in results),
        status="done",  # there is nothing to resume: the tests are run again
        reason=reason,
        author=SUITE,
        place=data.place,
        created=began,
        started=began,
        ended=ended,
        touched=ended,
        progress=Progress(
            done=len(results),
            total=len(results),
            errors=sum(bool(each.output.error) for each in results),
            cached=sum(each.cached for each in results),
            cost=report.cost,
            unpriced=report.unpriced,
        ),
        summary=msgspec.to_builtins(summary),
    )
    with contextlib.closing(Records.open(records_url(config_file(config).read(), data))) as records:
        add_run(records, run, cases)
