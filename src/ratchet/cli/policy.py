"""What `ratchet limit`, `ratchet segment` and `ratchet budget` share: all of them are settings under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ratchet.cli.context import print_json, print_record, print_table
from ratchet.cli.declaring import PLACES, path_of, settings_of
from ratchet.cli.loading import control

__all__ = ["AsJson", "Set", "add_common", "declare"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting as in ratchet.toml, KEY=VALUE; repeat for more."),
]


def declare(
    context: typer.Context,
    kind: str,
    name: str,
    pairs: list[str] | None,
    named: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Declare one in the studio, and show it."""
    settings = settings_of(pairs or [], named)
    with control(context) as api:
        made = api.ask("POST", f"/api/{kind}s", body={"name": name, "settings": settings})
    _show(made, as_json=as_json)


def add_common(app: typer.Typer, kind: str, example: str) -> None:
    """Add `list`, `show`, `update` and `delete` to a command."""
    many = f"{kind}s"

    @app.command("list", help=f"Show every {kind}, and where it is declared.")
    def list_(context: typer.Context, as_json: AsJson = False) -> None:
        with control(context) as api:
            found = api.ask("GET", f"/api/{many}")
        if as_json:
            print_json(found)
            return
        print_table(
            [_line(each) for each in found],
            empty=f"There are no {many} yet. Make one with: ratchet {kind} create {example}",
        )
        for text in [text for each in found for text in (*each["flaws"], *each["warnings"])]:
            typer.echo(text)

    @app.command("show", help=f"Show one {kind}.")
    def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
        with control(context) as api:
            found = api.ask("GET", path_of(many, name))
        _show(found, as_json=as_json)

    @app.command(
        "update", help=f"Change settings of a {kind} that the studio declares; `--set KEY=` takes one out."
    )
    def update(context: typer.Context, name: str, set_: Set = None, as_json: AsJson = False) -> None:
        settings: dict[str, Any] = {}
        for pair in set_ or []:
            read = settings_of([pair], {})
            settings |= {key: None if value == "" else value for key, value in read.items()}
        with control(context) as api:
            changed = api.ask("PATCH", path_of(many, name), body={"settings": settings})
        _show(changed, as_json=as_json)

    @app.command("delete", help=f"Delete a {kind} that the studio declares.")
    def delete(context: typer.Context, name: str, as_json: AsJson = False) -> None:
        with control(context) as api:
            gone = api.ask("DELETE", path_of(many, name))
        if as_json:
            print_json(gone)
        else:
            typer.echo(f"The {kind} {name!r} is deleted.")

    _ = (list_, show, update, delete)  # the decorator keeps them


def _show(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    problems = {"refused": " ".join(one["flaws"]), "warning": " ".join(one["warnings"])}
    problems = {name: text for name, text in problems.items() if text}
    print_record({**_line(one), **problems})


def _line(one: dict[str, Any]) -> dict[str, str]:
    return {
        "name": one["name"],
        "settings": "; ".join(f"{key} = {_said(value)}" for key, value in one["settings"].items()),
        "declared": PLACES.get(one["origin"], ""),
    }


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
