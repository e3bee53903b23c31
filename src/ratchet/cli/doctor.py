"""`ratchet doctor`"""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from ratchet.cli.context import options_of, print_json
from ratchet.cli.loading import open_control
from ratchet.doctor import Finding, examine

app = typer.Typer(add_completion=False)
_MARKS = {"ok": "ok     ", "warning": "WARNING", "problem": "PROBLEM"}


@app.command()
def doctor(
    context: typer.Context,
    call: Annotated[
        bool, typer.Option("--call", help="Ask each provider for its models: one real request.")
    ] = False,
    gateway_port: Annotated[int, typer.Option(help="The port to look at.", min=0, max=65535)] = 8080,
    studio_port: Annotated[int, typer.Option(help="The port to look at.", min=0, max=65535)] = 8081,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check configuration, providers, stores, disk, ports and clock."""
    options = options_of(context)
    findings: list[Finding] = []
    for finding in examine(
        options.config,
        options.data_dir,
        control=open_control,
        call=call,
        gateway_port=gateway_port,
        studio_port=studio_port,
    ):
        findings.append(finding)
        if not as_json:
            typer.echo(f"{_MARKS[finding.state]}  {finding.topic}: {finding.message}")
            if finding.advice:
                typer.echo(f"         {finding.advice}")
    if as_json:
        print_json(msgspec.to_builtins(findings))
    raise typer.Exit(1 if any(finding.state == "problem" for finding in findings) else 0)
