"""`ratchet route`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ratchet.cli.context import plain, print_json, print_record, print_table
from ratchet.cli.declaring import PLACES, path_of, settings_of
from ratchet.cli.loading import control

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Routes: the model names that apps ask for."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    context: typer.Context,
    name: str,
    target: Annotated[list[str], typer.Option(help="What answers: provider/model.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting, KEY=VALUE; repeat for more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Declare a route; gateways serve it within a second."""
    settings = settings_of(set_ or [], {"targets": target})
    with control(context) as api:
        made = api.ask("POST", "/api/routes", body={"name": name, "settings": settings})
    if as_json:
        print_json(_whole(made))
    else:
        print_record(_line(made))


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every route, and where it is declared."""
    with control(context) as api:
        routes = api.ask("GET", "/api/routes")
    if as_json:
        print_json([_whole(route) for route in routes])
        return
    print_table(
        [_line(route) for route in routes],
        empty="There are no routes yet. Make one with: ratchet route create NAME --target provider/model. "
        "`provider/model` works as a model name without one.",
    )


@app.command()
def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one route."""
    with control(context) as api:
        found = api.ask("GET", path_of("routes", name))
    if as_json:
        print_json(_whole(found))
        return
    problems = {"refused": " ".join(found["flaws"])} if found["flaws"] else {}
    print_record({**_line(found), **problems})


@app.command()
def delete(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Delete a route that the studio declares; gateways stop serving it within a second."""
    with control(context) as api:
        gone = api.ask("DELETE", path_of("routes", name))
    if as_json:
        print_json(gone)
    else:
        typer.echo(f"The route {name!r} is deleted.")


@app.command("try")
def try_(context: typer.Context, name: str, prompt: str, as_json: AsJson = False) -> None:
    """Send one real request to a route, through the running gateway, and show what came back."""
    with control(context) as api:
        tried = api.ask("POST", path_of("routes", name, "/try"), body={"prompt": prompt})
    if as_json:
        print_json(tried)
    else:
        typer.echo("\n".join(plain(line) for line in (tried["answer"] or tried["error"]).splitlines()))
        print_record(_figures(tried))
    if not tried["ok"]:
        raise typer.Exit(1)


def _whole(route: dict[str, Any]) -> dict[str, Any]:
    """As the API has it, with the targets in front."""
    return {**route, "targets": route["settings"].get("targets", [])}


def _line(route: dict[str, Any]) -> dict[str, str]:
    return {
        "name": route["name"],
        "targets": ", ".join(map(str, route["settings"].get("targets", []))),
        "declared": PLACES.get(route["origin"], ""),
    }


def _figures(tried: dict[str, Any]) -> dict[str, str]:
    cost = tried["cost"]
    return {
        "model": tried["model"],
        "took": f"{tried['duration'] / 1e9:.2f} s",
        "tokens": f"{_known(tried['input_tokens'])} in, {_known(tried['output_tokens'])} out",
        "cost": "unknown" if cost is None else f"${cost}",
        "trace": tried["trace_id"] or "-",
    }


def _known(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
