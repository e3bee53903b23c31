"""`ratchet simulate`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from ratchet.cli.running import run_until_stopped, tell
from ratchet.simulator.server import serve

app = typer.Typer(add_completion=False)


@app.command()
def simulate(
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8090,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same answers.")] = 0,
    pace: Annotated[
        float, typer.Option(help="How slowly it answers: 0 at once, 1 as its models' classes do.", min=0)
    ] = 0.0,
    script: Annotated[
        Path | None, typer.Option(help="A JSON or TOML file of faults to show.", exists=True, dir_okay=False)
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="The bearer token to ask for; none: any.")] = None,
) -> None:
    """Start a simulated provider, for trying things without an account."""

    async def run(stop: asyncio.Event) -> None:
        await serve(
            host=host,
            port=port,
            seed=seed,
            pace=pace,
            script=script or (),
            api_key=api_key,
            stop=stop,
            on_ready=lambda address: tell(f"simulator  {address}"),
        )

    run_until_stopped(run, supervised=False)
