"""`ratchet dataset synthesise`: a model writes cases, over the gateway's own path, and they wait to be accepted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ratchet.app.paths import DataDir
from ratchet.cli.context import options_of, plain, print_json
from ratchet.cli.declaring import path_of
from ratchet.cli.loading import control, load
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
    written, stopped = _written(context, materials, model, count, concurrency, temperature, quiet=as_json)
    done: dict[str, Any] = {"version": about["version"], "added": 0, "duplicates": []}
    if written.cases:
        fields = [load("datasets.formats.jsonl").fields_of(case) for case in written.cases]
        with control(context) as api:
            body = {"cases": fields, "message": f"{len(fields)} cases by {model}", "origin": "synthetic"}
            done = api.ask("POST", path_of("datasets", name, "/cases"), body=body)
    if as_json:
        cost = None if written.cost is None else str(written.cost)
        print_json(
            {
                "version": done["version"],
                "added": done["added"],
                "duplicates": len(done["duplicates"]),
                "dropped": written.dropped,
                "calls": written.calls,
                "failed": written.failed,
                "cost": cost,
            }
        )
    else:
        _tell(name, written, done)
    if stopped:
        raise typer.Exit(130)
    if not written.cases:
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


def _written(
    context: typer.Context,
    materials: list[Any],
    model: str,
    count: int,
    concurrency: int,
    temperature: float,
    *,
    quiet: bool,
) -> tuple[Any, bool]:
    """What was written, and whether somebody broke off: then it is what there was by then."""
    options = options_of(context)
    synthesis, inside = load("datasets.synthesis"), load("gateway.inside")
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[spent]}"),
        TimeElapsedColumn(),
    )
    latest = synthesis.Progress(wanted=count)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(f"{model} writes cases", total=count, spent="")

        def show(progress: Any) -> None:
            nonlocal latest
            latest = progress
            spent = "cost unknown" if progress.cost is None else f"${progress.cost:.4f}"
            bar.update(task, completed=progress.done, spent=spent)

        async def write() -> Any:
            opened = load("app.asking").open_inside(
                options.config, DataDir.at(options.data_dir), name="ratchet dataset synthesise"
            )
            async with opened as gateway:
                return await synthesis.synthesise(
                    materials,
                    inside.generator(gateway.ask),
                    model=model,
                    count=count,
                    temperature=temperature,
                    concurrency=concurrency,
                    on_progress=show,
                )

        try:
            return asyncio.run(write()), False
        except KeyboardInterrupt:
            return latest, True
        except BaseExceptionGroup as group:
            # One mistake in the request fails every worker alike.
            raise group.exceptions[0] from None


def _tell(name: str, written: Any, done: dict[str, Any]) -> None:
    cost = "an unknown cost" if written.cost is None else f"${written.cost:.4f}"
    calls = "one call" if written.calls == 1 else f"{written.calls:,} calls"
    typer.echo(f"{len(written.cases):,} cases in {calls} for {cost}.")
    for why, number in sorted(written.dropped.items()):
        typer.echo(f"  left out: {number:,} {why}")
    if written.failed:
        typer.echo(plain(f"  {written.failed:,} calls brought nothing: {written.problem}"))
    if done["duplicates"]:
        typer.echo(f"  left out: {len(done['duplicates']):,} that repeat others")
    if done["added"]:
        typer.echo(
            f"Version {done['version']} of {name} has {done['added']:,} more. They wait until a person accepts them: "
            f"in the studio, or with ratchet dataset accept {name} ID …"
        )
