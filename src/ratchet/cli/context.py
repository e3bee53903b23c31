"""What every command is handed, and how it shows what it found."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ratchet.errors import InvalidRequest, Misconfigured

__all__ = [
    "Moment",
    "Options",
    "options_of",
    "plain",
    "print_json",
    "print_record",
    "print_table",
    "when",
    "writing",
]

Moment = Annotated[str, typer.Option(help="A moment such as 2026-01-31T09:30 (UTC).")]


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The global options, which stand before the noun."""

    config: Path
    data_dir: Path
    config_named: bool

    def check_config(self) -> None:
        """A file that somebody named has to be there; the default one may be missing."""
        if self.config_named and not self.config.exists():
            raise Misconfigured(
                f"The settings file {self.config} does not exist.", "Correct --config (or RATCHET_CONFIG)."
            )


def options_of(context: typer.Context) -> Options:
    options: Options = context.obj
    options.check_config()
    return options


@contextlib.contextmanager
def writing(path: Path) -> Generator[None]:
    """What goes wrong with a file that a person has named is said as such."""
    try:
        yield
    except OSError as error:
        raise InvalidRequest(
            f"{path} can't be written: {error.strerror or error}.",
            "Name a file in a folder that is there and that you may write to.",
        ) from None


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


_WIDEST = 60  # characters of a cell; whole texts are in --json


def plain(text: str) -> str:
    """`text` as a terminal may see it: what comes from apps must not be able to move the cursor or set a title."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _cell(text: str) -> str:
    shown = plain(text)
    return shown if len(shown) <= _WIDEST else shown[: _WIDEST - 1] + "…"


def print_table(rows: Sequence[Mapping[str, str]], empty: str) -> None:
    """Columns as wide as they need to be; the headings are the rows' keys."""
    if not rows:
        typer.echo(empty)
        return
    names = list(rows[0])
    rows = [{name: _cell(value) for name, value in row.items()} for row in rows]
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    typer.echo("  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip())
    for row in rows:
        typer.echo(
            "  ".join(row[name].ljust(width) for name, width in zip(names, widths, strict=True)).rstrip()
        )


def print_record(record: Mapping[str, str]) -> None:
    """One thing: a line for each of its properties."""
    width = max(len(name) for name in record)
    for name, value in record.items():
        typer.echo(f"{plain(name).ljust(width)}  {plain(value)}")


def when(nanoseconds: int | None, empty: str = "-") -> str:
    """A moment as people write it, in UTC."""
    if nanoseconds is None:
        return empty
    return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
