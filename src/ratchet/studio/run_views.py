"""What the pages of runs draw: intervals as bars, the front of quality and cost, answers side by side. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ratchet.domain.cases import Case, Verdict
from ratchet.domain.runs import Result, Run
from ratchet.evals.comparison import ScorerComparison
from ratchet.studio.formats import money_tick
from ratchet.studio.run_grid import asked_of
from ratchet.studio.scatter import Point, Scatter, scatter

__all__ = ["Bar", "Change", "Changes", "Column", "Line", "Piece", "bars_of", "pareto", "side_by_side"]

_WORDS = re.compile(r"\s+|[^\s]+")
_MOST_WORDS = 4000  # of a side, beyond which answers are shown without marking what differs


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer of one candidate; `low`, `at` and `high` in percent of the scorer's range."""

    scorer: str
    value: float | None
    low_value: float | None
    high_value: float | None
    low: float
    at: float
    high: float
    unscored: int
    figures: dict[str, float]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate with its figures."""

    name: str
    bars: list[Bar]
    cost: float | None
    total_cost: float | None
    unpriced: int
    median: float | None
    p95: float | None
    answers: int
    errors: int
    cached: int
    front: bool


class Piece(msgspec.Struct, frozen=True):
    """Some of a text. `mark`: "" in both, "+" only here."""

    mark: str
    text: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    pieces: list[Piece]
    error: str
    calls: list[str]
    verdicts: list[Verdict]
    latency: float | None
    cost: Any
    tokens: tuple[int | None, int | None]
    trace_id: str
    cached: bool
    repeat: int


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate's answers to a case, one for each repeat."""

    candidate: str
    baseline: bool
    answers: list[Answer]


def bars_of(run: Run) -> list[Line]:
    """The summary of a run; what it has not computed yet is not there."""
    ranges = {str(each["name"]): (each.get("low"), each.get("high")) for each in run.scorers}
    found: list[Any] = run.summary.get("candidates", [])
    return [
        Line(
            name=each["name"],
            bars=[
                _bar(scorer, ranges.get(scorer["name"], (None, None)), found) for scorer in each["scorers"]
            ],
            cost=each["cost"]["value"],
            total_cost=each["total_cost"],
            unpriced=each["unpriced"],
            median=each["median_latency"],
            p95=each["p95_latency"],
            answers=each["answers"],
            errors=each["errors"],
            cached=each["cached"],
            front=each["front"],
        )
        for each in found
    ]


def _bar(scorer: Any, bounds: tuple[float | None, float | None], candidates: Sequence[Any]) -> Bar:
    mean = scorer["mean"]
    value, low, high = mean["value"], mean["low"], mean["high"]
    least, most = bounds
    if least is None or most is None:
        ends = [
            end
            for each in candidates
            for other in each["scorers"]
            if other["name"] == scorer["name"]
            for end in (other["mean"]["value"], other["mean"]["low"], other["mean"]["high"])
            if end is not None
        ]
        least, most = min([0.0, *ends]), max([0.0, *ends])
    width = (most - least) or 1.0

    def at(number: float | None) -> float:
        return 0.0 if number is None else round(min(max((number - least) / width, 0.0), 1.0) * 100, 2)

    return Bar(
        scorer=scorer["name"],
        value=value,
        low_value=low,
        high_value=high,
        low=at(value if low is None else low),
        at=at(value),
        high=at(value if high is None else high),
        unscored=scorer["unscored"],
        figures={name: figure for name, figure in scorer.get("figures", {}).items() if figure is not None},
    )


def pareto(run: Run) -> Scatter | None:
    """Quality by the leading scorer against what an answer costs; None where fewer than two have both."""
    leading = str(run.summary.get("leading", ""))
    about = next((each for each in run.scorers if each["name"] == leading), None)
    points = [
        Point(
            name=line.name,
            href=f"/runs/{run.id}?baseline={line.name}",
            price=line.cost,
            value=bar.value,
            says=f"{line.name}: {leading} {bar.value:.3g}, ${line.cost:.3g} an answer",
        )
        for line in bars_of(run)
        for bar in line.bars
        if bar.scorer == leading and bar.value is not None and bar.value >= 0 and line.cost
    ]
    return scatter(
        points,
        title="Quality and cost",
        x_label="US dollars for one answer",
        y_label=leading,
        money=money_tick,
        number=lambda value: f"{value:g}",
        higher_is_better=bool(about["higher_is_better"]) if about else True,
    )


def side_by_side(results: Sequence[Result], names: Sequence[str], baseline: str) -> list[Column]:
    """The baseline first, then the others, with what of theirs differs from its answer to the same repeat."""
    order = [baseline, *(name for name in names if name != baseline)]
    texts = {each.repeat: each.output.text for each in results if each.candidate == baseline}
    return [
        Column(
            candidate=name,
            baseline=name == baseline,
            answers=[
                _answer(each, None if name == baseline else texts.get(each.repeat))
                for each in sorted(results, key=lambda each: each.repeat)
                if each.candidate == name
            ],
        )
        for name in order
    ]


def _answer(result: Result, before: str | None) -> Answer:
    output = result.output
    return Answer(
        pieces=[Piece("", output.text)] if before is None else _differing(before, output.text),
        error=output.error,
        calls=[f"{call.name}({msgspec.json.encode(call.arguments).decode()})" for call in output.tool_calls],
        verdicts=result.verdicts,
        latency=output.latency,
        cost=output.cost,
        tokens=(output.input_tokens, output.output_tokens),
        trace_id=output.trace_id,
        cached=result.cached,
        repeat=result.repeat,
    )


def _differing(before: str, after: str) -> list[Piece]:
    """`after` in pieces, words that `before` does not have there marked."""
    first, second = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(first), len(second)) > _MOST_WORDS:
        return [Piece("", after)]
    pieces: list[Piece] = []
    for kind, _, _, begin, end in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        text = "".join(second[begin:end])
        if text:
            pieces.append(Piece("" if kind == "equal" else "+", text))
    return pieces


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One case of a comparison, with both first answers."""

    case_id: str
    asked: str
    change: str
    before: float | None
    after: float | None
    gain: float | None
    first: str = ""
    second: str = ""
    tags: list[str]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the cases that went one way."""

    rows: list[Change]
    total: int
    counts: dict[str, int]

    @classmethod
    def of(
        cls, known: Sequence[Case], scorer: ScorerComparison | None, change: str, offset: int, limit: int
    ) -> Changes:
        """Those that are shown, their answers still to come."""
        if scorer is None:
            return cls(rows=[], total=0, counts={})
        cases = {case.id: case for case in known}
        found = [each for each in scorer.cases if each.change == change]
        if change == "better":
            found.sort(key=lambda each: -(each.gain or 0.0))
        rows = [
            Change(
                case_id=each.case_id,
                asked=asked_of(cases[each.case_id]),
                change=each.change,
                before=each.baseline,
                after=each.candidate,
                gain=each.gain,
                tags=each.tags,
            )
            for each in found[offset : offset + limit]
        ]
        counts: dict[str, int] = dict.fromkeys(("worse", "better", "same", "unscored"), 0)
        for each in scorer.cases:
            counts[each.change] += 1
        return cls(rows=rows, total=len(found), counts=counts)

    def with_answers(self, baseline: Sequence[Result], candidate: Sequence[Result]) -> Changes:
        """With the first answer of each side."""
        first = {each.case_id: each for each in reversed(baseline)}
        second = {each.case_id: each for each in reversed(candidate)}
        rows = [
            msgspec.structs.replace(
                row, first=_said(first.get(row.case_id)), second=_said(second.get(row.case_id))
            )
            for row in self.rows
        ]
        return msgspec.structs.replace(self, rows=rows)


def _said(result: Result | None) -> str:
    return "" if result is None else result.output.error or result.output.text
