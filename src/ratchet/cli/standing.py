"""`ratchet standing`"""

from __future__ import annotations

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ratchet.cli.context import print_json, print_record, print_table, when
from ratchet.cli.loading import control
from ratchet.domain.expiry import parse_expiry

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Standings: who is blocked, allowed or given more room."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="user, fingerprint, ip, organisation or key.")],
    name: Annotated[str, typer.Argument(help="As apps say it; of ip an address or a network.")],
    action: Annotated[
        str, typer.Option(help="block, allow (trust plays no part), or raise (limits).")
    ] = "block",
    factor: Annotated[float, typer.Option(help="What raise multiplies limits with.")] = 1.0,
    reason: Annotated[str, typer.Option(help="Told to a caller who is refused.")] = "",
    note: Annotated[str, typer.Option(help="For members only.")] = "",
    until: Annotated[str | None, typer.Option(help="A span such as 12h or 90d, or a date.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide about a caller; gateways follow within a second."""
    body: dict[str, Any] = {"kind": kind, "name": name, "action": action, "factor": factor}
    body |= {"reason": reason, "note": note}
    if until:
        body["until"] = parse_expiry(until, time.time_ns())
    with control(context) as api:
        made = api.ask("POST", "/api/standings", body=body)
    if as_json:
        print_json(made)
        return
    print_record({"id": made["id"], **_shown(made)})


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every standing, newest first."""
    with control(context) as api:
        found = api.ask("GET", "/api/standings")
    if as_json:
        print_json(found)
        return
    print_table([{"id": each["id"], **_shown(each)} for each in found], empty="Nobody has a standing.")


@app.command()
def delete(context: typer.Context, standing_id: str, as_json: AsJson = False) -> None:
    """Take a decision back, by its id."""
    with control(context) as api:
        gone = api.ask("DELETE", f"/api/standings/{quote(standing_id, safe='')}")
    if as_json:
        print_json(gone)
    else:
        typer.echo(f"Nothing is decided about the {gone['kind']} {gone['name']!r} any more.")


def _shown(standing: dict[str, Any]) -> dict[str, str]:
    action = standing["action"]
    return {
        "about": f"{standing['kind']} {standing['name']}",
        "action": f"{action} × {standing['factor']:g}" if action == "raise" else action,
        "reason": standing["reason"],
        "note": standing["note"],
        "until": when(standing["until"], "for good"),
        "by": standing["created_by"],
    }
