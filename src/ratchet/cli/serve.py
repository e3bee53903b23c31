"""`ratchet serve`"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

import typer

from ratchet.app.settings import config_file
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
    workers: Annotated[
        int,
        typer.Option(
            help="Gateway processes on one port; more than one need shared counters.", min=1, max=256
        ),
    ] = 1,
) -> None:
    """Start everything: gateway and studio, supervised."""
    options = options_of(context)
    if workers > 1:
        _check_counters(options.config, workers)
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
        parts = [*_gateways([*shared, *gateway], workers), Part("studio", [*shared, *studio])]
        code = asyncio.run(supervise(parts, tell=tell))
    raise typer.Exit(code)


def _gateways(arguments: list[str], workers: int) -> list[Part]:
    if workers == 1:
        return [Part("gateway", arguments, ["--restarted"])]
    return [
        Part(f"gateway {number}", [*arguments, "--worker", f"{number}/{workers}"], ["--restarted"])
        for number in range(1, workers + 1)
    ]


def _check_counters(config: Path, workers: int) -> None:
    """Raises Misconfigured where each of them would count for itself."""
    if config_file(config).read().store.counters == "memory":
        raise Misconfigured(
            f"{workers} gateway processes can't count in the memory of one: each would allow what a limit or a budget "
            "allows all of them together.",
            'Let them share a Redis or Valkey, [store] counters = "redis://HOST:6379/0", or leave --workers out.',
        )


def _settled(port: int) -> contextlib.AbstractContextManager[int]:
    """The port of a part's whole life: one that is started again comes back at the same place."""
    return contextlib.nullcontext(port) if port else reserved_port()
