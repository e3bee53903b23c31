"""Scores of public leaderboards (HELM, Open LLM Leaderboard and the like) from a CSV file, by the catalogue's names. Pure."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence

import msgspec

from ratchet.catalog.models import Catalogue
from ratchet.domain.stars import Hint
from ratchet.errors import InvalidRequest

__all__ = ["COLUMNS", "Line", "Matched", "Unmatched", "check_line", "match_lines", "read_lines"]

COLUMNS = ("model", "benchmark", "score", "date", "source")
_DATE = re.compile(r"20\d\d(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_PROBLEMS_TOLD = 5
_LONGEST = {"model": 200, "benchmark": 150, "source": 200}  # characters


class Line(msgspec.Struct, frozen=True):
    """One score as the file has it; `model` is the leaderboard's own name."""

    model: str
    benchmark: str
    score: float
    date: str
    source: str


class Unmatched(msgspec.Struct, frozen=True):
    """A name that is none of the catalogue's, how many scores it has, and the names most like it."""

    name: str
    scores: int
    near: list[str]


class Matched(msgspec.Struct, frozen=True):
    """What a file's lines are about."""

    hints: list[Hint]
    unmatched: list[Unmatched]


def read_lines(text: str) -> list[Line]:
    """The scores of a CSV file with the columns `model,benchmark,score,date,source`, in any order; others are left out.

    Raises InvalidRequest that names the first few lines which are wrong, and keeps none then.
    """
    try:
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True))
    except csv.Error as error:
        raise InvalidRequest(
            f"The file is no CSV: {error}.", "Save it as comma-separated values in UTF-8."
        ) from error
    if not rows:
        raise InvalidRequest("The file is empty.", f"Its first line is: {','.join(COLUMNS)}.")
    names = [name.strip().casefold() for name in rows[0]]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise InvalidRequest(
            f"The file has no column {' and no column '.join(missing)}; it has {', '.join(names)}.",
            f"Its first line is: {','.join(COLUMNS)}.",
        )
    places = [names.index(name) for name in COLUMNS]
    found: list[Line] = []
    problems: list[str] = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [row[place].strip() if place < len(row) else "" for place in places]
        try:
            found.append(check_line(*cells))
        except InvalidRequest as error:
            problems.append(f"row {number}: {error.message}")
    if problems:
        more = f" And {len(problems) - _PROBLEMS_TOLD} more." if len(problems) > _PROBLEMS_TOLD else ""
        raise InvalidRequest(
            "; ".join(problems[:_PROBLEMS_TOLD]) + more,
            "Correct the file and import it again; nothing was kept.",
        )
    return found


def check_line(model: str, benchmark: str, score: str | float, date: str, source: str) -> Line:
    """One line, checked. Raises InvalidRequest for the first thing that is wrong."""
    for name, text in (("model", model), ("benchmark", benchmark), ("source", source)):
        if not text.strip() or len(text) > _LONGEST[name]:
            raise InvalidRequest(
                f"{name} is {text[:40]!r}, expected 1 to {_LONGEST[name]} characters",
                "Shorten it, or fill it in.",
                param=name,
            )
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest(
            f"score is {score!r}, expected a number", "Write it with a point.", param="score"
        )
    if not _DATE.fullmatch(date):
        raise InvalidRequest(
            f"date is {date!r}, expected 2026, 2026-05 or 2026-05-31",
            "Say when the score was published.",
            param="date",
        )
    return Line(model.strip(), benchmark.strip(), value, date, source.strip())


def match_lines(lines: Iterable[Line], catalogue: Catalogue, *, now: int, by: str) -> Matched:
    """The lines as hints about the catalogue's models. Of several for one model, benchmark and source the last counts."""
    hints: dict[tuple[str, str, str], Hint] = {}
    unmatched: dict[str, int] = {}
    for line in lines:
        name = catalogue.match(line.model)
        if name is None:
            unmatched[line.model] = unmatched.get(line.model, 0) + 1
            continue
        hints[name, line.benchmark, line.source] = Hint(
            model=name,
            benchmark=line.benchmark,
            score=line.score,
            date=line.date,
            source=line.source,
            listed_as=line.model,
            imported=now,
            imported_by=by,
        )
    return Matched(list(hints.values()), _told(unmatched, catalogue))


def _told(unmatched: dict[str, int], catalogue: Catalogue) -> list[Unmatched]:
    """Looking for what is near takes milliseconds a name: a leaderboard of thousands has it for some of them."""
    names: Sequence[str] = sorted(unmatched, key=str.casefold)
    return [
        Unmatched(name, unmatched[name], catalogue.near(name, 2) if place < 200 else [])
        for place, name in enumerate(names)
    ]
