"""`ratchet serve`"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from ratchet.app.supervisor import Part, reserved_port, supervise
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
    with _settled(gateway_port) as gateway_at, _settled(studio_port) as studio_at:
        gateway = ["gateway", "--gateway-port", str(gateway_at), "--supervised"]
        studio = [
            "studio",
            "--studio-port",
            str(studio_at),
            "--beside-gateway",
            str(gateway_at),
            "--supervised",
        ]
        parts = [Part("gateway", [*shared, *gateway], ["--restarted"]), Part("studio", [*shared, *studio])]
        code = asyncio.run(supervise(parts, tell=tell))
    raise typer.Exit(code)


def _settled(port: int) -> contextlib.AbstractContextManager[int]:
    """The port of a part's whole life: one that is started again comes back at the same place."""
    return contextlib.nullcontext(port) if port else reserved_port()
