"""Cases from files and to files: JSONL, CSV, Parquet, promptfoo's YAML, OpenAI evals."""

from __future__ import annotations

import importlib
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from ratchet.datasets.fields import Unfit, case_of, with_ids
from ratchet.datasets.formats.row import Format, Rows, Unreadable
from ratchet.domain.cases import Case
from ratchet.errors import InvalidRequest, NotFound
from ratchet.files import replace_file

__all__ = [
    "FORMATS",
    "Parsed",
    "format_of",
    "parse_cases",
    "read_cases",
    "read_file",
    "render_cases",
    "write_cases",
]

# Name, and the module that is loaded when it is asked for: pyarrow and PyYAML take their time.
FORMATS = {
    "jsonl": "jsonl",
    "csv": "csv_table",
    "parquet": "parquet_table",
    "promptfoo": "promptfoo",
    "openai-evals": "openai_evals",
}
_ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".yaml": "promptfoo",
    ".yml": "promptfoo",
}
_PROBLEMS_SHOWN = 5


class Parsed(msgspec.Struct, frozen=True):
    """The cases of a file, ids and all. `notes` name what the file holds that a case has no place for."""

    cases: list[Case]
    notes: list[str] = []


def format_of(path: str) -> str:
    """The format that a file's name tells; OpenAI evals are read as jsonl. Raises InvalidRequest."""
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise InvalidRequest(
            f"{path} does not end like a file of cases.",
            f"Name the format ({', '.join(FORMATS)}), or use one of the endings {', '.join(_ENDINGS)}.",
            param="format",
        )
    return _ENDINGS[ending]


def read_cases(path: Path, kind: str = "") -> list[Case]:
    """The cases of a file; `kind` is one of FORMATS, "" to go by its name.

    A case without an id gets one that is a hash of its input and context. Raises NotFound, and InvalidRequest naming
    file, line and field.
    """
    return read_file(path, kind).cases


def read_file(path: Path, kind: str = "") -> Parsed:
    """As `read_cases`, with what the file holds beyond its cases."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFound(
            f"The file {path} can't be read: {error.strerror}.", "Check its name and who may read it."
        ) from error
    return parse_cases(content, kind or format_of(path.name), str(path))


def parse_cases(content: bytes, kind: str, name: str) -> Parsed:
    """What a file of the format `kind` holds; `name` is the file's, for errors. Raises InvalidRequest."""
    try:
        found = _format(kind).read(content)
    except Unreadable as error:
        place = f"{name}, {error.place}" if error.place else name
        raise InvalidRequest(f"{place}: {error.message}", error.remedy) from error
    return Parsed(_identified(_cases(found, name), found, name), found.notes)


def write_cases(path: Path, cases: Sequence[Case], kind: str = "") -> None:
    """All cases into `path`, whole or not at all; a file that is there keeps who may read it. Raises InvalidRequest for what the format can't say; OSError."""
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    replace_file(path.resolve(), render_cases(cases, kind or format_of(path.name)), mode=mode)


def render_cases(cases: Sequence[Case], kind: str) -> bytes:
    """All cases as a file of the format `kind`. Raises InvalidRequest for what the format can't say."""
    return _format(kind).write(cases)


def _format(kind: str) -> Format:
    if kind not in FORMATS:
        raise InvalidRequest(
            f"There is no format {kind!r}.", f"It is one of {', '.join(FORMATS)}.", param="format"
        )
    return cast("Format", importlib.import_module(f"ratchet.datasets.formats.{FORMATS[kind]}"))


def _cases(found: Rows, name: str) -> list[Case]:
    cases: list[Case] = []
    problems: list[str] = []
    remedy = ""
    for row in found.rows:
        try:
            cases.append(case_of(row.fields))
        except Unfit as error:
            problems.append(f"{name}, {row.place}, {error.field}: {error.message}")
            remedy = remedy or error.remedy
    if problems:
        more = len(problems) - _PROBLEMS_SHOWN
        shown = problems[:_PROBLEMS_SHOWN] + ([f"… and {more:,} more."] if more > 0 else [])
        raise InvalidRequest("\n".join(shown), remedy)
    return cases


def _identified(cases: list[Case], found: Rows, name: str) -> list[Case]:
    """Every case with an id of its own. Raises InvalidRequest naming the places of an id that is there twice."""
    places: dict[str, str] = {}
    for case, row in zip(cases, found.rows, strict=True):
        if case.id and case.id in places:
            raise InvalidRequest(
                f"{name}, {row.place}, id: {case.id!r} is also the id of {places[case.id]}.",
                "Give each case an id of its own, or none.",
            )
        if case.id:
            places[case.id] = row.place
    return with_ids(cases)
