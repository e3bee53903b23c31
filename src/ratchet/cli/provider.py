"""`ratchet provider`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ratchet.cli.context import print_json, print_record, print_table
from ratchet.cli.declaring import PLACES, path_of, settings_of
from ratchet.cli.loading import control

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Providers: upstream accounts.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    context: typer.Context,
    name: str,
    kind: Annotated[str, typer.Option(help="Which wire format it speaks, e.g. openai.")],
    base_url: Annotated[str, typer.Option(help="Where it is, if not at the vendor's own place.")] = "",
    api_key: Annotated[str, typer.Option(help="A reference: env:NAME, a variable of the gateway.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting, KEY=VALUE; repeat for more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Declare a provider; gateways serve it within a second."""
    settings = settings_of(set_ or [], {"kind": kind, "base_url": base_url, "api_key": api_key})
    with control(context) as api:
        made = api.ask("POST", "/api/providers", body={"name": name, "settings": settings})
    if as_json:
        print_json({**made, **_line(made)})
    else:
        print_record(_line(made))


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every provider, and where it is declared."""
    with control(context) as api:
        providers = api.ask("GET", "/api/providers")
    if as_json:
        print_json([{**provider, **_line(provider)} for provider in providers])
    else:
        print_table([_line(provider) for provider in providers], empty="")


@app.command()
def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one provider."""
    with control(context) as api:
        found = api.ask("GET", path_of("providers", name))
    if as_json:
        print_json({**found, **_line(found)})
        return
    others = {key: str(value) for key, value in found["settings"].items() if key not in _line(found)}
    problems = {"refused": " ".join(found["flaws"])} if found["flaws"] else {}
    print_record({**_line(found), **others, **problems})


@app.command()
def delete(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Delete a provider that the studio declares; not while a route uses it."""
    with control(context) as api:
        gone = api.ask("DELETE", path_of("providers", name))
    if as_json:
        print_json(gone)
    else:
        typer.echo(f"The provider {name!r} is deleted.")


def _line(provider: dict[str, Any]) -> dict[str, str]:
    settings, key = provider["settings"], provider["key"]
    credential = "none"
    if key is not None:
        credential = str(settings["api_key"]) + ("" if key["ready"] else " (not set)")
    return {
        "name": provider["name"],
        "kind": str(settings.get("kind", "")),
        "base_url": str(settings.get("base_url") or "default"),
        "api_key": credential,
        "declared": PLACES.get(provider["origin"], ""),
    }
