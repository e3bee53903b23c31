"""A run as a grid: a row for each case, a cell for each candidate, all by one scorer. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.cases import Case, Verdict
from ratchet.domain.datasets import SEALED
from ratchet.domain.runs import Result
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["ORDERS", "SHOWN", "Cell", "Grid", "GridQuery", "Row", "asked_of", "grid_of"]

SHOWN = {
    "all": "All cases",
    "changed": "Changed",
    "worse": "Worse than the baseline",
    "better": "Better than the baseline",
    "low": "Below full marks",
    "errors": "Failed",
    "unscored": "Unscored",
    "repeats": "Repeats disagree",
}
ORDERS = {"dataset": "As in the dataset", "loss": "Largest loss first", "low": "Lowest first"}
_SAME = 1e-9


class GridQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to show: by which scorer, against which baseline, which cases, in which order."""

    scorer: str = ""
    baseline: str = ""
    shown: str = "all"
    order: str = "dataset"
    text: str = ""
    tag: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate's answers to one case. `value` is the mean over scored repeats, None where there is none.

    `gain` is what it has over the baseline, turned so that more is better; `change` better, worse, same, or "".
    """

    candidate: str
    answers: int
    values: list[float | None]
    value: float | None
    label: str
    gain: float | None
    change: str
    text: str
    error: str
    trace_id: str
    cached: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    case_id: str
    asked: str
    expected: str
    tags: list[str]
    cells: list[Cell]
    loss: float  # the largest of its cells, 0 where nothing is worse


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is how many cases fit the query; `counts` how many each way of showing would have."""

    rows: list[Row]
    total: int
    counts: dict[str, int]


def asked_of(case: Case) -> str:
    """A case's input as one text: the last message of several, an object as JSON. A sealed one doesn't say."""
    if case.split == SEALED:
        return "(sealed)"
    said: Any = case.input
    if isinstance(said, list) and said:
        last: Any = said[-1]  # pyright: ignore[reportUnknownVariableType] - checked below
        said = last.get("content", last) if isinstance(last, dict) else last  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return said if isinstance(said, str) else msgspec.json.encode(said).decode()


def grid_of(
    cases: Sequence[Case],
    results: Sequence[Result],
    candidates: Sequence[str],
    about: ScorerAbout,
    query: GridQuery,
    *,
    limit: int,
    offset: int = 0,
) -> Grid:
    """The rows that fit, from `offset` on; all cases are counted. Cases that nobody has answered yet have empty cells."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result.case_id, result.candidate), []).append(result)
    rows = [_row(case, found, candidates, about, query) for case in cases if _meant(case, query)]
    if query.text:
        words = query.text.casefold()
        rows = [row for row in rows if _says(row, words)]
    counts = {name: sum(map(wanted, rows)) for name, wanted in _WANTED.items()}
    rows = [row for row in rows if _WANTED[query.shown](row)]
    if query.order == "loss":
        rows.sort(key=lambda row: -row.loss)
    elif query.order == "low":
        rows.sort(key=lambda row: _lowest(row, about))
    return Grid(rows=rows[offset : offset + limit], total=len(rows), counts=counts)


def _row(
    case: Case,
    found: Mapping[tuple[str, str], Sequence[Result]],
    candidates: Sequence[str],
    about: ScorerAbout,
    query: GridQuery,
) -> Row:
    baseline = _mean(_verdicts(found.get((case.id, query.baseline), ()), about.name))
    cells = [
        _cell(name, found.get((case.id, name), ()), about, None if name == query.baseline else baseline)
        for name in candidates
    ]
    reference = case.reference
    expected = (
        reference
        if isinstance(reference, str)
        else ""
        if reference is None
        else msgspec.json.encode(reference).decode()
    )
    return Row(
        case_id=case.id,
        asked=asked_of(case),
        expected=expected,
        tags=case.tags,
        cells=cells,
        loss=max([0.0, *(-cell.gain for cell in cells if cell.gain is not None)]),
    )


def _cell(name: str, results: Sequence[Result], about: ScorerAbout, baseline: float | None) -> Cell:
    verdicts = _verdicts(results, about.name)
    value = _mean(verdicts)
    gain: float | None = None
    if value is not None and baseline is not None:
        gain = (value - baseline) * (1 if about.higher_is_better else -1)
    first = results[0] if results else None
    return Cell(
        candidate=name,
        answers=len(results),
        values=[None if each is None or not each.scored else each.value for each in verdicts],
        value=value,
        label=next((each.label for each in verdicts if each is not None and each.label), ""),
        gain=gain,
        change=_change(gain),
        text=first.output.text if first else "",
        error=next((each.output.error for each in results if each.output.error), ""),
        trace_id=first.output.trace_id if first else "",
        cached=bool(results) and all(each.cached for each in results),
    )


def _change(gain: float | None) -> str:
    if gain is None:
        return ""
    return "same" if abs(gain) < _SAME else "better" if gain > 0 else "worse"


def _verdicts(results: Sequence[Result], scorer: str) -> list[Verdict | None]:
    return [next((each for each in result.verdicts if each.name == scorer), None) for result in results]


def _mean(verdicts: Sequence[Verdict | None]) -> float | None:
    scored = [each.value for each in verdicts if each is not None and each.scored]
    return sum(scored) / len(scored) if scored else None


def _meant(case: Case, query: GridQuery) -> bool:
    return not query.tag or query.tag in case.tags


def _says(row: Row, words: str) -> bool:
    texts = (row.case_id, row.asked, row.expected, *(cell.text for cell in row.cells))
    return any(words in text.casefold() for text in texts)


def _lowest(row: Row, about: ScorerAbout) -> float:
    values = [
        cell.value if about.higher_is_better else -cell.value for cell in row.cells if cell.value is not None
    ]
    return min(values, default=math.inf)


_WANTED: dict[str, Callable[[Row], bool]] = {
    "all": lambda _row: True,
    "changed": lambda row: any(cell.change in ("worse", "better") for cell in row.cells),
    "worse": lambda row: any(cell.change == "worse" for cell in row.cells),
    "better": lambda row: any(cell.change == "better" for cell in row.cells),
    "low": lambda row: any(cell.value is not None and cell.value < 1 for cell in row.cells),
    "errors": lambda row: any(cell.error for cell in row.cells),
    "unscored": lambda row: any(cell.answers and cell.value is None for cell in row.cells),
    "repeats": lambda row: any(
        len({each for each in cell.values if each is not None}) > 1 for cell in row.cells
    ),
}
