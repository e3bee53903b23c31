"""`ratchet release`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ratchet.cli.context import plain, print_json, print_record, print_table, when
from ratchet.cli.loading import control
from ratchet.domain.prompts import PromptReference
from ratchet.errors import InvalidRequest

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Releases: what each label of a prompt serves."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    context: typer.Context,
    prompt: str,
    version: Annotated[int, typer.Argument(min=1)],
    label: Annotated[str, typer.Option(help="The label that is to serve it.")] = "production",
    canary: Annotated[
        int | None,
        typer.Option(
            min=1, max=99, help="Only this share of the users, in per cent, and back when it is worse."
        ),
    ] = None,
    run: Annotated[
        str, typer.Option(help="The run whose gate is to count; else the newest that passed.")
    ] = "",
    without_gate: Annotated[str, typer.Option(help="Release without a gate, and say why.")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for whoever reads the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Promote a version through the gate; gateways serve it within a second."""
    body = {
        "prompt": prompt,
        "version": version,
        "label": label,
        "share": canary or 100,
        "run_id": run,
        "without_gate": without_gate,
        "message": message,
    }
    with control(context) as api:
        made = api.ask("POST", "/api/releases", body=body)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"{prompt}@{label} serves {_served(made)} (release {made['number']}).")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what every label serves."""
    with control(context) as api:
        found = api.ask("GET", "/api/releases")
    if as_json:
        print_json(found)
        return
    print_table(
        [_line(view) for view in found],
        empty="Nothing is released yet. Release a version with: ratchet release create PROMPT VERSION",
    )


@app.command()
def show(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="NAME@LABEL")],
    as_json: AsJson = False,
) -> None:
    """Show what a label serves, how its canary does, and all that it served."""
    with control(context, drain=True) as api:
        found = api.ask("GET", f"/api/releases/{_path(reference)}")
    if as_json:
        print_json(found)
        return
    view = found["serving"]
    if view is None:
        typer.echo(f"{reference} serves nothing now.")
    else:
        print_record(_line(view))
        if view["canary"]:
            typer.echo(plain(view["canary"]["reason"]))
            print_table([_measure(each) for each in view["canary"]["measures"]], empty="")
    typer.echo("")
    print_table([_past(each) for each in found["history"]], empty="")


@app.command("roll-back")
def roll_back(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="NAME@LABEL")],
    message: Annotated[str, typer.Option("--message", "-m", help="Why, for whoever reads the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let a label serve what it served before; once more goes one step further."""
    meant = _meant(reference)
    path = f"/api/prompts/{quote(meant.name, safe='')}/labels/{quote(meant.label, safe='')}/roll-back"
    with control(context) as api:
        made = api.ask("POST", path, body={"message": message})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"{reference} serves {_served(made)} again (release {made['number']}).")


def _meant(reference: str) -> PromptReference:
    found = PromptReference.parse(reference)
    if found is None or not found.label:
        raise InvalidRequest(
            f"{reference!r} names no label.", "Write NAME@LABEL, such as support@production."
        )
    return found


def _path(reference: str) -> str:
    meant = _meant(reference)
    return f"{quote(meant.name, safe='')}/{quote(meant.label, safe='')}"


def _served(release: Mapping[str, Any]) -> str:
    split = release["split"]
    total = sum(each["weight"] for each in split)
    if len(split) < 2:
        return ", ".join(f"#{each['version']}" for each in split) or "nothing"
    return ", ".join(f"#{each['version']} {100 * each['weight'] / total:.3g} %" for each in split)


def _line(view: Mapping[str, Any]) -> dict[str, str]:
    release = view["release"]
    worse = view.get("canary") and view["canary"]["worse"]
    return {
        "label": f"{release['prompt']}@{release['label']}",
        "serves": _served(release),
        "canary": "" if not release.get("canary") else "worse: " + ", ".join(worse) if worse else "watched",
        "gate": release.get("gate_run_id") or "-",
        "since": when(release["created"]),
        "by": release["created_by"],
    }


def _past(release: Mapping[str, Any]) -> dict[str, str]:
    return {
        "release": f"{release['label']}.{release['number']}",
        "served": _served(release),
        "since": when(release["created"]),
        "by": release["created_by"],
        "gate": release.get("gate_run_id") or "-",
        "message": release.get("message", ""),
    }


def _measure(measure: Mapping[str, Any]) -> dict[str, str]:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g}"

    return {
        "measure": measure["name"],
        "unit": measure["unit"],
        "baseline": shown(measure["baseline"]),
        "canary": shown(measure["canary"]),
        "difference": f"{shown(measure['low'])} to {shown(measure['high'])}",
        "so far": measure["finding"],
    }
