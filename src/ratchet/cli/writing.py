"""Having a model write for a dataset: over the gateway's own path, with a bar, and stopped by Ctrl-C."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ratchet.app.paths import DataDir
from ratchet.cli.context import options_of, plain
from ratchet.cli.loading import load
from ratchet.cli.progress import dollars, run_stoppable
from ratchet.domain.counting import plural
from ratchet.errors import RatchetError
from ratchet.evals.switch import Switch

__all__ = ["Written", "tell_spending", "written"]


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """What was written; whether somebody stopped it; and the error that ended it, if one did. Then `progress` is what
    there was by then."""

    progress: Any
    stopped: bool = False
    error: RatchetError | None = None


def written(
    context: typer.Context,
    opening: Any,
    work: Callable[[Any, Any], Awaitable[Any]],
    *,
    command: str,
    title: str,
    wanted: int,
    concurrency: int,
    max_cost: float | None,
    quiet: bool,
) -> Written:
    """What `work` writes, which is handed `generate` and how to go on (a `Writing`). `opening` opens the
    path to the models (`app.asking.open_ask`, or `app.remembering`'s); `command` stands in the spans."""
    options = options_of(context)
    writing = load("datasets.writing")
    latest = writing.Progress(wanted=wanted)
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[spent]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=wanted, spent="")
        stopping = Switch()

        def show(progress: Any) -> None:
            nonlocal latest
            latest = progress
            spent = "cost unknown" if progress.cost is None else dollars(progress.cost)
            bar.update(task, completed=progress.done + progress.failed, spent=spent)

        async def write(switch: Switch) -> Any:
            nonlocal stopping
            stopping = switch
            how = writing.Writing(
                concurrency=concurrency,
                max_cost=None if max_cost is None else Decimal(str(max_cost)),
                stopped=lambda: bool(switch.status),
                on_progress=show,
            )
            opened = opening(options.config, DataDir.at(options.data_dir), name=f"ratchet {command}")
            async with opened as ask:
                return await work(load("gateway.inside").generator(ask), how)

        try:
            done = run_stoppable(write)
        except KeyboardInterrupt:
            return Written(latest, stopped=True)
        except RatchetError as error:
            return Written(latest, error=error)
        except BaseExceptionGroup as group:
            error = _first(group)
            if not isinstance(error, RatchetError):
                raise
            return Written(latest, error=error)
        return Written(done, stopped=bool(stopping.status))


def _first(error: BaseException) -> BaseException:
    """One mistake in a request fails every worker alike."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def tell_spending(what: str, progress: Any) -> None:
    """What came of it, and for how much."""
    cost = "an unknown cost" if progress.cost is None else dollars(progress.cost)
    calls = plural(progress.calls, "call")
    typer.echo(f"{what} in {calls} for {cost}.")
    for why, number in sorted(progress.dropped.items()):
        typer.echo(f"  left out: {number:,} {why}")
    if progress.failed:
        typer.echo(plain(f"  {plural(progress.failed, 'call')} brought nothing: {progress.problem}"))
    if progress.reason:
        typer.echo(f"  stopped: {progress.reason}")
