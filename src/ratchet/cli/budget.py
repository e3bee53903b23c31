"""`ratchet budget`"""

from __future__ import annotations

from typing import Annotated

import typer

from ratchet.cli.policy import AsJson, Set, add_common, declare

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Budgets: money for a day or a month, and for whom."
)


@app.command()
def create(
    context: typer.Context,
    name: str,
    amount: Annotated[str, typer.Option(help="US dollars.")],
    period: Annotated[str, typer.Option(help="day or month, in UTC.")] = "month",
    by: Annotated[
        list[str] | None,
        typer.Option(help="One for each key, user, organisation, ip, route or segment; repeat for more."),
    ] = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Declare a budget; gateways hold to it within a second."""
    declare(context, "budget", name, set_, {"amount": amount, "period": period, "by": by}, as_json=as_json)


add_common(app, "budget", "NAME --amount 5 --period month --by user")
