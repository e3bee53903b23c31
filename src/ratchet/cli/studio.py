"""`ratchet studio`"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from ratchet.app.in_force import GatewayPlace
from ratchet.app.paths import DataDir
from ratchet.app.studio import run_studio
from ratchet.cli.context import options_of
from ratchet.cli.running import run_until_stopped, tell

app = typer.Typer(add_completion=False)


@app.command()
def studio(
    context: typer.Context,
    studio_port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8081,
    gateway_url: Annotated[
        str,
        typer.Option(help="Where the gateway is; otherwise what studio.gateway_url says."),
    ] = "",
    beside_gateway: Annotated[int, typer.Option(hidden=True)] = 0,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Start the control plane alone: pages, API and collector."""
    options = options_of(context)
    data = DataDir.at(options.data_dir)

    def ready(address: str, first_link: str | None) -> None:
        if first_link:
            tell(f"sign in  {first_link}  (once, within 24 hours)")
        tell(f"studio   {address}")

    async def run(stop: asyncio.Event) -> None:
        await run_studio(
            options.config,
            data,
            port=studio_port,
            gateway=GatewayPlace(url=gateway_url, port=beside_gateway),
            stop=stop,
            on_ready=ready,
        )

    run_until_stopped(run, supervised=supervised)
