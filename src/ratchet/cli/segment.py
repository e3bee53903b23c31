"""`ratchet segment`"""

from __future__ import annotations

import typer

from ratchet.cli.policy import AsJson, Set, add_common, declare

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Segments: groups of users that limits and budgets can be for.",
)


@app.command()
def create(context: typer.Context, name: str, set_: Set = None, as_json: AsJson = False) -> None:
    """Declare a segment; gateways know it within a second."""
    declare(context, "segment", name, set_, {}, as_json=as_json)


add_common(app, "segment", "NAME --set starts=untrusted")
