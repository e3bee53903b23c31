"""`ratchet dataset synthesise`: a model writes cases, over the gateway's own path, and they wait to be accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ratchet.cli.context import print_json
from ratchet.cli.declaring import path_of
from ratchet.cli.loading import control, load
from ratchet.cli.writing import tell_spending, written
from ratchet.errors import InvalidRequest, NotFound

__all__ = ["synthesise_cases"]

_ENDINGS = (".md", ".markdown", ".txt", ".rst")


def synthesise_cases(
    context: typer.Context,
    name: str,
    model: Annotated[str, typer.Option(help="Who writes: a route, or provider/model.")],
    documents: Annotated[
        list[Path] | None, typer.Argument(help="Texts or Markdown files, or folders of them.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many cases.")] = 20,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at a time.")] = 8,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="How varied.")] = 1.0,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="US dollars; stops before more is spent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have a model write cases from documents, or else from the dataset's own. They wait to be accepted."""
    synthesis = load("datasets.synthesis")
    with control(context) as api:
        about = api.ask("GET", path_of("datasets", name))
        if documents:
            materials = [one for file in _files(documents) for one in synthesis.passages_of(*file)]
        else:
            found = api.ask("GET", path_of("datasets", name, "/export"))["cases"]
            materials = synthesis.examples_of(load("datasets.fields").cases_of(found))

    def work(generate: Any, how: Any) -> Any:
        return synthesis.synthesise(
            materials, generate, model=model, count=count, temperature=temperature, how=how
        )

    came = written(
        context,
        load("app.asking").open_ask,
        work,
        command="dataset synthesise",
        title=f"{model} writes cases",
        wanted=count,
        concurrency=concurrency,
        max_cost=max_cost,
        quiet=as_json,
    )
    progress = came.progress
    done: dict[str, Any] = {"version": about["version"], "added": 0, "duplicates": []}
    if progress.cases:
        fields = [load("datasets.formats.jsonl").fields_of(case) for case in progress.cases]
        with control(context) as api:
            body = {"cases": fields, "message": f"{len(fields)} cases by {model}", "origin": "synthetic"}
            done = api.ask("POST", path_of("datasets", name, "/cases"), body=body)
    if progress.cases or came.error is None:
        _show(name, progress, done, as_json=as_json)
    if came.error is not None:
        raise came.error
    if came.stopped:
        raise typer.Exit(130)
    if not progress.cases:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> list[tuple[str, str]]:
    """Name and text of each document. Raises NotFound, InvalidRequest."""
    found: list[tuple[str, str]] = []
    for path in paths:
        inside = (
            sorted(one for one in path.rglob("*") if one.suffix.lower() in _ENDINGS)
            if path.is_dir()
            else [path]
        )
        if not inside:
            raise NotFound(f"There is no document in {path}.", f"Documents end in {', '.join(_ENDINGS)}.")
        for file in inside:
            try:
                found.append((str(file), file.read_text(encoding="utf-8")))
            except OSError as error:
                raise NotFound(
                    f"The document {file} can't be read: {error.strerror}.", "Check its name."
                ) from error
            except UnicodeDecodeError as error:
                raise InvalidRequest(
                    f"The document {file} is no UTF-8 text.", "Save it as text or Markdown."
                ) from error
    return found


def _show(name: str, progress: Any, done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "version": done["version"],
                "added": done["added"],
                "duplicates": len(done["duplicates"]),
                "dropped": progress.dropped,
                "calls": progress.calls,
                "failed": progress.failed,
                "cost": None if progress.cost is None else str(progress.cost),
                "reason": progress.reason,
            }
        )
        return
    tell_spending(f"{len(progress.cases):,} cases", progress)
    if done["duplicates"]:
        typer.echo(f"  left out: {len(done['duplicates']):,} that repeat others")
    if done["added"]:
        typer.echo(
            f"Version {done['version']} of {name} has {done['added']:,} more. They wait until a person accepts them: "
            f"in the studio, or with ratchet dataset accept {name} ID …"
        )
