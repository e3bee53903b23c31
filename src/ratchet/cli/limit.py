"""`ratchet limit`"""

from __future__ import annotations

from typing import Annotated

import typer

from ratchet.cli.policy import AsJson, Set, add_common, declare

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Limits: how much may be asked for, how fast, by whom."
)


@app.command()
def create(
    context: typer.Context,
    name: str,
    by: Annotated[
        list[str] | None,
        typer.Option(help="A share for each key, user, organisation, ip, route or segment; repeat for more."),
    ] = None,
    requests: Annotated[str, typer.Option(help="Such as 100/minute.")] = "",
    tokens: Annotated[str, typer.Option(help="Such as 50k/hour.")] = "",
    cost: Annotated[str, typer.Option(help="US dollars, such as 5/day.")] = "",
    concurrency: Annotated[int, typer.Option(help="Requests at once.")] = 0,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Declare a limit; gateways hold to it within a second."""
    named = {"by": by, "requests": requests, "tokens": tokens, "cost": cost, "concurrency": concurrency}
    declare(context, "limit", name, set_, named, as_json=as_json)


add_common(app, "limit", "NAME --by user --requests 20/minute")
