"""`ratchet run compare`: the table, and the files it can be kept in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer

from ratchet.cli.context import plain, print_json, print_table, writing
from ratchet.domain.counting import plural
from ratchet.evals.comparison import Comparison
from ratchet.evals.markdown_report import markdown_report
from ratchet.evals.report import Answers, Names, html_report, junit_report
from ratchet.evals.wording import counted, figure, measured, power_note, span_of, sure
from ratchet.files import replace_file

__all__ = ["Files", "show_comparison", "write_reports"]


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Where a comparison is to be written, and in which form."""

    html: Path | None = None
    junit: Path | None = None
    markdown: Path | None = None


def show_comparison(found: dict[str, Any], *, as_json: bool, worst: int = 10) -> None:
    """Figures by scorer, cost and latency, and the cases that lost most."""
    if as_json:
        print_json(found)
        return
    comparison = msgspec.convert(found["comparison"], Comparison)
    first, second = found["baseline"], found["candidate"]
    typer.echo(f"baseline   {plain(first['candidate'])}, run {first['run_id']}")
    typer.echo(f"candidate  {plain(second['candidate'])}, run {second['run_id']}")
    typer.echo(
        f"{plural(comparison.cases, 'case')} that both ran, from {plural(comparison.sources, 'source')}; "
        f"{comparison.confidence:.0%} intervals\n"
    )
    for note in found["notes"]:
        typer.echo(f"{plain(note)}\n")
    print_table(_rows(comparison), empty="There is nothing to compare.")
    for scorer in comparison.scorers:
        if note := power_note(scorer):
            typer.echo(f"\n{plain(scorer.scorer)}: {note}.")
        losses = [each for each in scorer.cases if each.change == "worse"][:worst]
        typer.echo(
            f"{plain(scorer.scorer)}: {counted(scorer)}"
            + (f"; worst: {plain(', '.join(each.case_id for each in losses))}" if losses else "")
        )
        for each in scorer.slices:
            if each.significant:
                typer.echo(
                    f"  {plain(each.tag)}: {figure(each.difference.value, signed=True)} ({span_of(each.difference)})"
                )


def write_reports(
    found: dict[str, Any],
    results: tuple[list[Any], list[Any]],
    cases: list[Any],
    files: Files,
) -> None:
    """`results` are those of the baseline's run and of the candidate's, with whole answers."""
    comparison = msgspec.convert(found["comparison"], Comparison)
    first, second = found["baseline"], found["candidate"]
    names = Names(
        second["suite"],
        f"{second['dataset']}, version {second['dataset_version']}",
        _name(first),
        _name(second),
    )
    if files.junit is not None:
        _write(files.junit, junit_report(comparison, names))
    if files.markdown is not None:
        _write(files.markdown, markdown_report(comparison, names, found["notes"]))
    if files.html is not None:
        sides = (_texts(results[0], first["candidate"]), _texts(results[1], second["candidate"]))
        answers = {
            case["id"]: Answers(
                _text(case["input"]),
                _text(case.get("reference")),
                sides[0].get(case["id"], []),
                sides[1].get(case["id"], []),
            )
            for case in cases
        }
        _write(files.html, html_report(comparison, names, answers, found["notes"]))


def _write(path: Path, report: str) -> None:
    with writing(path):
        replace_file(path, report.encode())


def _rows(comparison: Comparison) -> list[dict[str, str]]:
    rows = [
        {
            "": scorer.scorer,
            "baseline": figure(scorer.baseline.value),
            "candidate": figure(scorer.candidate.value),
            "difference": figure(scorer.difference.value, signed=True),
            "interval": span_of(scorer.difference),
            "verdict": sure(scorer),
        }
        for scorer in comparison.scorers
    ]
    for resource in (comparison.cost, comparison.latency):
        if resource is not None:
            names = ("baseline", "candidate", "difference", "interval")
            rows.append(
                {"": resource.measure, **dict(zip(names, measured(resource), strict=True)), "verdict": ""}
            )
    return rows


def _name(side: dict[str, Any]) -> str:
    return f"{side['candidate']} ({side['run_id']})"


def _texts(results: Sequence[Any], candidate: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in results:
        if each["candidate"] == candidate:
            output = each["output"]
            found.setdefault(each["case_id"], []).append(output.get("text") or output.get("error") or "")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
