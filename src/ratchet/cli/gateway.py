"""`ratchet gateway`"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from ratchet.app.gateway import run_gateway
from ratchet.app.paths import DataDir
from ratchet.cli.context import options_of
from ratchet.cli.running import run_until_stopped, tell

app = typer.Typer(add_completion=False)


@app.command()
def gateway(
    context: typer.Context,
    gateway_port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8080,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
    restarted: Annotated[bool, typer.Option(hidden=True)] = False,
    worker: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Start the data plane alone."""
    options = options_of(context)
    data = DataDir.at(options.data_dir)
    number, _, of = worker.partition("/")
    name = f"gateway {number}" if worker else "gateway"

    async def run(stop: asyncio.Event) -> None:
        await run_gateway(
            options.config,
            data,
            port=gateway_port,
            stop=stop,
            restarted=restarted,
            worker=(int(number), int(of)) if worker else None,
            on_ready=lambda address: tell(f"{name}  {address}"),
        )

    run_until_stopped(run, supervised=supervised)
