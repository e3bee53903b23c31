"""`ratchet dataset reference`: a model writes references for cases that have none, marked as its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ratchet.cli.context import plain, print_json
from ratchet.cli.declaring import path_of
from ratchet.cli.loading import control, load
from ratchet.cli.writing import Written, tell_spending, written
from ratchet.errors import InvalidRequest

__all__ = ["write_references"]

_WHOLE = ("jsonl", "csv", "parquet")  # formats that lose nothing there and back


def write_references(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A dataset, or a file of cases.")],
    model: Annotated[str, typer.Option(help="Who writes: a route, or provider/model.")],
    output: Annotated[
        Path | None, typer.Option(help="Where a file's cases are written; otherwise into the file itself.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at a time.")] = 8,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="How varied; otherwise the model's own.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="US dollars; stops before more is spent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Have a model write a reference for each case that has none. A person's edit makes it a person's."""
    target = _OfFile(Path(name), output) if Path(name).is_file() else _OfDataset(context, name, output)
    lacking = load("datasets.references").lacking(target.cases)

    def work(generate: Any, how: Any) -> Any:
        return load("datasets.references").write_references(
            lacking.cases, generate, model=model, temperature=temperature, how=how
        )

    came = Written(load("datasets.writing").Progress(wanted=0))
    if lacking.cases:
        came = written(
            context,
            load("app.remembering").open_remembering,  # one that is killed has paid for nothing in vain
            work,
            command="dataset reference",
            title=f"{model} writes references",
            wanted=len(lacking.cases),
            concurrency=concurrency,
            max_cost=max_cost,
            quiet=as_json,
        )
    progress = came.progress
    done = target.keep(progress.cases, model) if progress.cases else target.unchanged()
    if progress.cases or came.error is None:
        left_out = {"sealed": target.sealed + lacking.sealed, "waiting": lacking.waiting}
        told = {**done, **_told(progress), "left_out": left_out}
        if as_json:
            print_json(told)
        else:
            _tell(name, came, lacking, told)
    if came.error is not None:
        raise came.error
    if came.stopped:
        raise typer.Exit(130)
    if lacking.cases and not progress.cases:
        raise typer.Exit(1)


def _told(progress: Any) -> dict[str, Any]:
    return {
        "written": len(progress.cases),
        "dropped": progress.dropped,
        "calls": progress.calls,
        "failed": progress.failed,
        "cost": None if progress.cost is None else str(progress.cost),
        "reason": progress.reason,
    }


class _OfDataset:
    """A registered dataset. Its sealed cases are not handed out, so nobody knows which of them lack a reference."""

    def __init__(self, context: typer.Context, name: str, output: Path | None) -> None:
        if output is not None:
            raise InvalidRequest(
                f"{name} is no file, and --output is for files.",
                "Leave --output out: a dataset's references become its next version.",
                param="output",
            )
        self._context, self._name = context, name
        with control(context) as api:
            about = api.ask("GET", path_of("datasets", name))
            found = api.ask("GET", path_of("datasets", name, "/export"), query={"version": about["version"]})
        self._version: int = about["version"]
        self.cases = load("datasets.fields").cases_of(found["cases"])
        self.sealed: int = about["counts"]["total"] - len(self.cases)

    def keep(self, cases: list[Any], model: str) -> dict[str, Any]:
        """One version with all of them."""
        body = {
            "references": [
                {"id": case.id, "reference": case.reference, "reference_by": case.reference_by}
                for case in cases
            ],
            "message": f"{len(cases)} references by {model}",
            "seen": self._version,
        }
        with control(self._context) as api:
            return api.ask("POST", path_of("datasets", self._name, "/references"), body=body)

    def unchanged(self) -> dict[str, Any]:
        return {"version": self._version, "changed": 0, "skipped": []}


class _OfFile:
    """A file of cases. What it says of a case that has its reference stays as it is."""

    sealed = 0

    def __init__(self, path: Path, output: Path | None) -> None:
        self._files = load("datasets.files")
        kind = self._files.format_of(path.name)
        self._path = output or path
        self._kind = self._files.format_of(self._path.name)
        if output is None and kind not in _WHOLE:
            raise InvalidRequest(
                f"{path} holds more than cases, which would be lost.",
                "Name a file for the cases: --output cases.jsonl.",
                param="output",
            )
        self.cases = self._files.read_file(path).cases

    def keep(self, cases: list[Any], _: str) -> dict[str, Any]:
        made = {case.id: case for case in cases}
        self._files.write_cases(self._path, [made.get(case.id, case) for case in self.cases], self._kind)
        return {"file": str(self._path), "changed": len(cases), "skipped": []}

    def unchanged(self) -> dict[str, Any]:
        return {"file": str(self._path), "changed": 0, "skipped": []}


def _tell(name: str, came: Written, lacking: Any, told: dict[str, Any]) -> None:
    if not lacking.cases:
        typer.echo(plain(f"No case of {name} wants for a reference."))
    else:
        count = told["written"]
        tell_spending("One reference" if count == 1 else f"{count:,} references", came.progress)
    if told["skipped"]:
        typer.echo(f"  left out: {len(told['skipped']):,} that somebody has changed meanwhile")
    for number, why in ((told["left_out"]["sealed"], "sealed"), (told["left_out"]["waiting"], "waiting to be accepted")):  # fmt: skip
        if number:
            typer.echo(f"  left out: {number:,} {why}")
    if told["changed"]:
        where = f"Version {told['version']} of {name}" if "version" in told else told["file"]
        typer.echo(plain(f"{where} has them, marked as the model's."))
