"""`ratchet key`"""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ratchet.cli.context import print_json, print_record, print_table, when
from ratchet.cli.loading import control
from ratchet.domain.expiry import parse_expiry
from ratchet.errors import NotFound

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Keys: what apps show the gateway.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What it is for; unique among unrevoked keys.")],
    route: Annotated[
        list[str] | None,
        typer.Option(help="A route it may use (repeat for more); none: all. `provider/*` works."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="A span such as 12h or 90d, or a date.")] = None,
    publishable: Annotated[
        bool,
        typer.Option(
            "--publishable", help="For browsers: counts at --origin only, and callers solve a challenge."
        ),
    ] = False,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Where a publishable key is at home: https://app.example.org (repeat for more)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, once."""
    body: dict[str, Any] = {"name": name, "routes": route or []}
    if publishable or origin:
        body |= {"publishable": publishable, "origins": origin or []}
    if expires:
        body["expires"] = parse_expiry(expires, time.time_ns())
    with control(context) as api:
        made = api.ask("POST", "/api/keys", body=body)
    if as_json:
        print_json(made)
        return
    print_record({"key": made["key"], "name": made["name"], **_limits(made)})
    typer.echo("This is the only time the key is shown.")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every key, newest first."""
    with control(context) as api:
        keys = api.ask("GET", "/api/keys")
    if as_json:
        print_json(keys)
        return
    print_table(
        [
            {"name": key["name"], "key": key["prefix"] + "…", "state": key["state"], **_limits(key)}
            for key in keys
        ],
        empty="There are no keys yet. Make one with: ratchet key create --name my-app",
    )


@app.command()
def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one key, by name or id."""
    with control(context) as api:
        keys = api.ask("GET", "/api/keys")
    found = [key for key in keys if name in (key["id"], key["name"])]
    if not found:
        raise NotFound(f"There is no key {name!r}.", "`ratchet key list` shows the keys there are.")
    key = next((key for key in found if key["state"] == "active"), found[0])
    if as_json:
        print_json(key)
        return
    print_record(
        {
            "id": key["id"],
            "name": key["name"],
            "key": key["prefix"] + "…",
            "state": key["state"],
            **_limits(key),
        }
    )


@app.command()
def revoke(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Revoke a key, by name or id; gateways refuse it within a second."""
    with control(context) as api:
        key = api.ask("DELETE", f"/api/keys/{quote(name, safe='')}")
    if as_json:
        print_json(key)
    else:
        typer.echo(f"The key {key['name']!r} is revoked.")


def _limits(key: dict[str, Any]) -> dict[str, str]:
    return {
        "routes": ", ".join(key["routes"]) or "all",
        "for": ", ".join(key["origins"]) or "servers",
        "created": when(key["created"]),
        "expires": when(key["expires"], "never"),
    }
