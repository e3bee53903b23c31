"""`ratchet serve`"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from ratchet.app.supervisor import Part, free_port, supervise
from ratchet.cli.context import options_of
from ratchet.cli.running import tell
from ratchet.errors import Misconfigured

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    context: typer.Context,
    gateway_port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8080,
    studio_port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8081,
    workers: Annotated[int, typer.Option(help="Gateway processes; only one so far.", min=1)] = 1,
) -> None:
    """Start everything: gateway and studio, supervised."""
    options = options_of(context)
    if workers > 1:
        raise Misconfigured(
            f"{workers} gateway processes can't share one port and one set of metrics yet.",
            "Leave --workers out, or start more with `ratchet gateway`, each on a port of its own.",
        )
    shared = ["--config", str(options.config), "--data-dir", str(options.data_dir)]
    if not options.config_named:
        shared = shared[2:]
    gateway_at, studio_at = free_port(gateway_port), free_port(studio_port)
    parts = [
        Part(
            "gateway",
            [*shared, "gateway", "--gateway-port", str(gateway_at), "--supervised"],
            ["--restarted"],
        ),
        Part(
            "studio",
            [
                *shared,
                "studio",
                "--studio-port",
                str(studio_at),
                "--beside-gateway",
                str(gateway_at),
                "--supervised",
            ],
        ),
    ]
    code = asyncio.run(supervise(parts, tell=tell))
    raise typer.Exit(code)
