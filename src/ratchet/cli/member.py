"""`ratchet member`"""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ratchet.cli.context import print_json, print_table, when
from ratchet.cli.loading import control
from ratchet.domain.expiry import parse_expiry

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Members: people with an account and a role."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Email = Annotated[str, typer.Argument(help="The member's e-mail address.")]
RoleName = Annotated[str, typer.Option(help="viewer, annotator, developer or admin.")]


@app.command()
def create(context: typer.Context, email: Email, role: RoleName = "viewer", as_json: AsJson = False) -> None:
    """Invite someone: prints the one-time link where they set a password."""
    made = _ask(context, "POST", "/api/members", {"email": email, "role": role})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"{made['email']} is invited as {made['role']}. This link is good once, for 24 hours:")
        typer.echo(_address(context, made["link"]))


@app.command()
def link(context: typer.Context, email: Email, as_json: AsJson = False) -> None:
    """Make a new one-time link for a member who forgot the password; older ones stop working."""
    made = _ask(context, "POST", f"/api/members/{quote(email, safe='')}/link")
    if as_json:
        print_json(made)
    else:
        typer.echo(_address(context, made["link"]))


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every member."""
    members = _ask(context, "GET", "/api/members")
    if as_json:
        print_json(members)
        return
    print_table(
        [
            {
                "email": member["email"],
                "role": member["role"],
                "joined": when(member["created"]),
                "password": "set" if member["has_password"] else "invited",
            }
            for member in members
        ],
        empty="There are no members yet. `ratchet serve` prints a link for the first one.",
    )


@app.command()
def update(context: typer.Context, email: Email, role: RoleName, as_json: AsJson = False) -> None:
    """Change a member's role."""
    member = _ask(context, "PATCH", f"/api/members/{quote(email, safe='')}", {"role": role})
    if as_json:
        print_json(member)
    else:
        typer.echo(f"{member['email']} is now {member['role']}.")


@app.command()
def remove(context: typer.Context, email: Email, as_json: AsJson = False) -> None:
    """Remove a member, with their logins and tokens."""
    member = _ask(context, "DELETE", f"/api/members/{quote(email, safe='')}")
    if as_json:
        print_json(member)
    else:
        typer.echo(f"{member['email']} is removed.")


@app.command()
def token(
    context: typer.Context,
    email: Email,
    name: Annotated[str, typer.Option(help="What it is for.")] = "api",
    expires: Annotated[str | None, typer.Option(help="A span such as 12h or 90d, or a date.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token that stands for a member, for the API and for signing in; shown once."""
    body: dict[str, Any] = {"name": name}
    if expires:
        body["expires"] = parse_expiry(expires, time.time_ns())
    made = _ask(context, "POST", f"/api/members/{quote(email, safe='')}/token", body)
    if as_json:
        print_json(made)
    else:
        typer.echo(made["token"])


def _address(context: typer.Context, path: str) -> str:
    """The link as a browser takes it, where a studio runs; else its path."""
    with control(context) as api:
        return f"{api.address}{path}" if api.address else f"{path}  (on the studio's address, once it runs)"


def _ask(context: typer.Context, method: str, path: str, body: Any = None) -> Any:
    with control(context) as api:
        return api.ask(method, path, body=body)
