"""A comparison as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ratchet.domain.counting import plural
from ratchet.evals.comparison import Comparison, ScorerComparison
from ratchet.evals.report import Names
from ratchet.evals.wording import counted, figure, measured, power_note, span_of, sure

__all__ = ["markdown_report"]

_WORST = 10  # cases of a scorer that are named
_MARKS = {"better": "🟢 ", "worse": "🔴 "}


def markdown_report(comparison: Comparison, names: Names, notes: Sequence[str] = ()) -> str:
    """The figures as a table, then for each scorer the tags and cases that lost most. What is named is shown as text."""
    drawn = f"{plural(comparison.cases, 'case')} from {plural(comparison.sources, 'source')}"
    lines = [
        f"### {_plain(names.candidate)} against {_plain(names.baseline)}",
        "",
        f"{_plain(names.suite)}, {_plain(names.dataset)}: {drawn}, {comparison.confidence:.0%} intervals.",
        "",
        *(f"> {_plain(note)}\n" for note in notes),
        "| | baseline | candidate | difference | interval | verdict |",
        "| --- | ---: | ---: | ---: | --- | --- |",
        *(_scored(scorer) for scorer in comparison.scorers),
    ]
    lines += [
        f"| {resource.measure} | {' | '.join(measured(resource))} | |"
        for resource in (comparison.cost, comparison.latency)
        if resource is not None
    ]
    for scorer in comparison.scorers:
        lines += ["", *_details(scorer)]
    return "\n".join(lines) + "\n"


def _scored(scorer: ScorerComparison) -> str:
    cells = [
        _plain(scorer.scorer),
        figure(scorer.baseline.value),
        figure(scorer.candidate.value),
        figure(scorer.difference.value, signed=True),
        span_of(scorer.difference),
        _MARKS.get(scorer.verdict, "") + sure(scorer),
    ]
    return f"| {' | '.join(cells)} |"


def _details(scorer: ScorerComparison) -> list[str]:
    lines = [f"<details><summary>{_plain(scorer.scorer)}: {counted(scorer)}</summary>", ""]
    if note := power_note(scorer):
        lines += [f"{_plain(note)}.", ""]
    lines += [
        f"- {_code(each.tag)}: {figure(each.difference.value, signed=True)} ({span_of(each.difference)})"
        for each in scorer.slices
        if each.significant
    ]
    losses = [each for each in scorer.cases if each.change == "worse"]
    lines += [
        f"- {_code(each.case_id)}: {figure(each.baseline)} before, {figure(each.candidate)} now"
        for each in losses[:_WORST]
    ]
    if len(losses) > _WORST:
        lines.append(f"- … and {len(losses) - _WORST:,} more")
    return [*lines, "", "</details>"]


def _plain(text: str) -> str:
    """Text that Markdown must not take for anything else: no links, no mentions, no cells, no tags."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]()<>#|~!&])", r"\\\1", flat).replace("@", "@\u200b")


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', 'ˋ').replace('|', '¦')}`"
