"""`ratchet collect`"""

from __future__ import annotations

import asyncio
import threading

import typer

from ratchet.app.paths import DataDir
from ratchet.app.studio import run_collector
from ratchet.cli.context import options_of
from ratchet.cli.running import run_until_stopped, tell

app = typer.Typer(add_completion=False)


@app.command()
def collect(context: typer.Context) -> None:
    """Start the collector alone: drain the spool into the span store."""
    options = options_of(context)
    data = DataDir.at(options.data_dir)

    async def run(stop: asyncio.Event) -> None:
        thread_stop = threading.Event()
        running = asyncio.create_task(
            asyncio.to_thread(
                run_collector,
                options.config,
                data,
                thread_stop,
                lambda: tell(f"collecting from {data.spool}"),
            )
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        thread_stop.set()
        stopping.cancel()
        await running

    run_until_stopped(run, supervised=False)
