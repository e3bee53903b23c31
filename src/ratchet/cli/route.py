"""`ratchet route`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ratchet.app.settings import Settings, config_file
from ratchet.cli.context import options_of, print_json, print_record, print_table
from ratchet.errors import NotFound

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Routes: the model names that apps ask for."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every route."""
    settings = config_file(options_of(context).config).read()
    routes = [_shown(settings, name) for name in sorted(settings.routes)]
    if as_json:
        print_json(routes)
        return
    print_table(
        [{"name": route["name"], "targets": ", ".join(route["targets"])} for route in routes],
        empty='There are no routes yet: declare [routes.NAME] targets = ["provider/model"] in ratchet.toml. '
        "`provider/model` works as a model name without one.",
    )


@app.command()
def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one route."""
    settings = config_file(options_of(context).config).read()
    if name not in settings.routes:
        raise NotFound(
            f"There is no route {name!r}.", f"There are: {', '.join(sorted(settings.routes)) or 'none'}."
        )
    route = _shown(settings, name)
    if as_json:
        print_json(route)
    else:
        print_record({"name": route["name"], "targets": ", ".join(route["targets"])})


def _shown(settings: Settings, name: str) -> dict[str, Any]:
    return {"name": name, "targets": list(settings.routes[name].targets)}
