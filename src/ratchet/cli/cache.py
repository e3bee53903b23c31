"""`ratchet cache`"""

from __future__ import annotations

from typing import Annotated

import typer

from ratchet.cli.context import print_json
from ratchet.cli.loading import control

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The cache: answers given again.")


@app.callback()
def _noun() -> None:
    """So that the verb is always said."""


@app.command()
def forget(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A user, as apps say it; a session where they name none.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Drop the questions and answers that caches keep of somebody, from gateways' memory and disk."""
    with control(context) as api:
        done = api.ask("POST", "/api/cache/forget", body={"name": name})
    if as_json:
        print_json(done)
    else:
        typer.echo(f"Gateways forget what their caches keep of {name!r}. Traces and scores stay.")
