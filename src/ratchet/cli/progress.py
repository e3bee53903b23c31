"""Showing a run while it runs, and stopping it: Ctrl-C lets what is under way end, a second one does not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import typer
import uvloop

from ratchet.cli.loading import load
from ratchet.domain.counting import plural
from ratchet.domain.runs import Progress, Result, Run
from ratchet.evals.switch import Switch

__all__ = ["Bar", "dollars", "run_stoppable"]


def dollars(cost: Any) -> str:
    """US dollars as people read them; "unknown" for None."""
    if cost is None:
        return "unknown"
    amount = float(cost)
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}" if amount >= 0.0001 else f"${amount:.2g}"


def run_stoppable(work: Callable[[Switch], Awaitable[Any]], *, supervised: bool = False) -> Any:
    """Run `work` until it ends. The first SIGINT or SIGTERM turns its switch off, the second cancels it.

    `supervised`: it also stops, to be taken up again, when nobody holds the other end of standard input any more.
    """

    async def main() -> Any:
        switch = Switch()
        task = asyncio.ensure_future(work(switch))
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if switch.status:
                task.cancel()
                return
            switch.stop("cancelled", "it was cancelled")
            typer.echo(
                "\nratchet: ending what is under way; what is done is kept. Ctrl-C again ends at once.",
                err=True,
            )

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if supervised:

            def left_alone() -> None:
                if not os.read(sys.stdin.fileno(), 1024):
                    loop.remove_reader(sys.stdin.fileno())
                    switch.stop("queued", "the studio stopped")

            loop.add_reader(sys.stdin.fileno(), left_alone)
        return await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


class Bar:
    """A progress bar on standard error, where that is a terminal; otherwise a line at the beginning."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: Any = None
        self._task: Any = None
        self._told = 0.0

    def planned(self, cases: Sequence[Any], repeats: int, scorers: Sequence[Any]) -> None:
        """Nothing to show yet."""

    def began(self, run: Run, done: Sequence[Result]) -> None:
        if self._quiet:
            return
        candidates = plural(len(run.candidates), "candidate")
        kept = f", {plural(len(done), 'answer is', 'answers are')} there already" if done else ""
        typer.echo(
            f"Run {run.id}: {run.suite}, {plural(run.cases, 'case')} × {candidates}"
            + (f" × {run.repeats}" if run.repeats > 1 else "")
            + kept,
            err=True,
        )
        if sys.stderr.isatty():
            self._progress = load("cli.bar").bar()
            self._task = self._progress.add_task(
                "", total=run.progress.total, cost="", errors="", completed=len(done)
            )
            self._progress.start()

    def told(self, _result: Result, progress: Progress) -> None:
        now = time.monotonic()
        if self._progress is None or (now - self._told < 0.05 and progress.done < progress.total):
            return
        self._told = now
        left = progress.total - progress.done
        ahead = float(progress.cost) / progress.done * left if progress.done else 0.0
        estimate = f" + about {dollars(ahead)}" if left and ahead else ""
        unknown = " and more that has no known price" if progress.unpriced else ""
        self._progress.update(
            self._task,
            completed=progress.done,
            cost=f"{dollars(progress.cost)}{estimate}{unknown}",
            errors=f"[red]{progress.errors:,} failed[/]" if progress.errors else "",
        )

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
