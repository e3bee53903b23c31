"""The progress bar of a run. Apart from the rest, because only a terminal needs what it is drawn with."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["bar"]


def bar() -> Progress:
    """On standard error; its task's fields are `cost` and `errors`."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[cost]}"),
        TextColumn("{task.fields[errors]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
