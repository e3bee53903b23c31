"""`ratchet audit`"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ratchet.cli.context import Moment, print_json, print_table, when
from ratchet.cli.loading import control

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The audit log: who changed what.")


@app.callback()
def _noun() -> None:
    """So that the verb is always said."""


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    query: Annotated[str, typer.Option("--query", "-q", help="Words in what was changed.")] = "",
    who: Annotated[str, typer.Option(help="A member's address, local or ratchet.")] = "",
    action: Annotated[str, typer.Option(help="A noun such as key, or key.created.")] = "",
    since: Moment = "",
    until: Moment = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the newest changes."""
    asked = {"limit": limit, "q": query, "who": who, "action": action, "since": since, "until": until}
    with control(context) as api:
        found = api.ask("GET", "/api/audit", query=asked)
    if as_json:
        print_json(found["rows"])
        return
    print_table([_row(row) for row in found["rows"]], empty="Nothing matches.")
    if found["rows"]:
        typer.echo(f"{len(found['rows'])} of {found['total']}")


def _row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "time": when(row["time"]),
        "who": row["who"] or "(not signed in)",
        "from": row["address"],
        "what": row["action"],
        "which": row["subject"],
        "after": json.dumps(row["after"], ensure_ascii=False) if row["after"] else "",
    }
