"""`ratchet dataset`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ratchet.cli.context import plain, print_json, print_record, print_table, when, writing
from ratchet.cli.declaring import path_of
from ratchet.cli.loading import control, load
from ratchet.cli.referring import write_references
from ratchet.cli.synthesising import synthesise_cases
from ratchet.errors import InvalidRequest

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Datasets: test cases under a name, in versions that never change.",
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Message = Annotated[str, typer.Option("--message", "-m", help="What the change is about.")]
KeepDuplicates = Annotated[
    bool, typer.Option("--keep-duplicates", help="Take cases that repeat others, too.")
]
Format = Annotated[
    str, typer.Option(help="jsonl, csv, parquet, promptfoo or openai-evals; otherwise by the file's ending.")
]
Version = Annotated[int | None, typer.Option(min=0, help="Its number; otherwise the newest.")]
_SHOWN = 5
_LONG = 1800.0  # seconds: every case is compared with every other


@app.command()
def create(
    context: typer.Context,
    name: str,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an empty dataset."""
    with control(context) as api:
        made = api.ask("POST", "/api/datasets", body={"name": name, "description": description})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"The dataset {name!r} is there. Fill it with: ratchet dataset import {name} FILE")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every dataset."""
    with control(context) as api:
        found = api.ask("GET", "/api/datasets")
    if as_json:
        print_json(found)
        return
    print_table(
        [
            {
                "name": one["name"],
                "version": str(one["version"]),
                "cases": f"{one['cases']:,}",
                "changed (UTC)": when(one["changed"]),
                "by": one["changed_by"],
                "description": one["description"],
            }
            for one in found
        ],
        empty="There are no datasets yet. Make one with: ratchet dataset create NAME",
    )


@app.command()
def show(
    context: typer.Context,
    name: str,
    query: Annotated[str, typer.Option("--query", "-q", help="Words that the case holds, or its id.")] = "",
    tag: Annotated[str, typer.Option(help="A tag that it has.")] = "",
    split: Annotated[str, typer.Option(help="train, dev, test or none.")] = "",
    origin: Annotated[str, typer.Option(help="Where it came from: file, trace, synthetic …")] = "",
    accepted: Annotated[str, typer.Option(help="yes or no.")] = "",
    reference: Annotated[str, typer.Option(help="Whose it is: person, model, or none.")] = "",
    version: Version = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many cases.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show a dataset and its cases."""
    wanted = {
        "q": query,
        "tag": tag,
        "split": split,
        "origin": origin,
        "accepted": accepted,
        "reference": reference,
    }
    with control(context) as api:
        found = api.ask("GET", path_of("datasets", name), query={"version": version})
        page = api.ask(
            "GET", path_of("datasets", name, "/cases"), query={**wanted, "version": version, "limit": limit}
        )
    if as_json:
        print_json({**found, **page})
        return
    print_record(_about(found))
    typer.echo("")
    empty = (
        "No case matches." if any(wanted.values()) else f"No cases yet: ratchet dataset import {name} FILE"
    )
    print_table([_line(case) for case in page["rows"]], empty=empty)
    if page["rows"]:
        typer.echo(f"{len(page['rows']):,} of {page['total']:,}")


@app.command("import")
def import_(
    context: typer.Context,
    name: str,
    file: Path,
    format: Format = "",  # noqa: A002 - what the option is called
    message: Message = "",
    keep_duplicates: KeepDuplicates = False,
    as_json: AsJson = False,
) -> None:
    """Add the cases of a file, as one version. Cases that are there already under their id are changed."""
    files = load("datasets.files")
    with _busy(f"Reading {file}", quiet=as_json):
        parsed = files.read_file(file, format)
    fields = [fields_of(case) for case in parsed.cases]
    with _busy(f"Importing {len(fields):,} cases", quiet=as_json), control(context) as api:
        body = {
            "cases": fields,
            "message": message or f"Import {file.name}",
            "origin": "file",
            "keep_duplicates": keep_duplicates,
        }
        done = api.ask("POST", path_of("datasets", name, "/cases"), body=body, patience=_LONG)
    if as_json:
        print_json({**done, "notes": parsed.notes})
        return
    for note in parsed.notes:
        typer.echo(plain(note))
    _tell(name, done)


@app.command()
def export(
    context: typer.Context,
    name: str,
    file: Path,
    format: Format = "",  # noqa: A002 - what the option is called
    version: Version = None,
    sealed: Annotated[bool, typer.Option("--sealed", help="With the cases of the sealed split.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write every case of a dataset into a file, with all that it says."""
    files = load("datasets.files")
    kind = format or files.format_of(file.name)
    with control(context) as api:
        query = {"version": version, "sealed": "true" if sealed else None}
        found = api.ask("GET", path_of("datasets", name, "/export"), query=query, patience=_LONG)
        about = api.ask("GET", path_of("datasets", name), query={"version": version})
    cases = load("datasets.fields").cases_of(found["cases"])
    with writing(file):
        files.write_cases(file, cases, kind)
    left_out = about["counts"]["total"] - len(cases)
    if as_json:
        print_json({"file": str(file), "format": kind, "cases": len(cases), "sealed_left_out": left_out})
        return
    typer.echo(f"{len(cases):,} cases of version {about['version']} are in {file}.")
    if left_out:
        typer.echo(f"{left_out:,} sealed cases are not among them; --sealed writes them, too.")


@app.command()
def add(
    context: typer.Context,
    name: str,
    input: Annotated[str, typer.Option(help="What is asked.")] = "",  # noqa: A002 - what the field is called
    trace: Annotated[list[str] | None, typer.Option(help="Take it from this trace; repeat for more.")] = None,
    where: Annotated[
        str, typer.Option(help="Take it from the traces of a list: score=thumbs&score_max=0&range=7d")
    ] = "",
    reference: Annotated[str, typer.Option(help="What a right answer says.")] = "",
    context_text: Annotated[str, typer.Option("--context", help="What an answer may rely on.")] = "",
    feedback: Annotated[str, typer.Option(help="What a person said about an earlier answer.")] = "",
    source: Annotated[str, typer.Option(help="What it was drawn from, such as a user or document.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat it for more.")] = None,
    message: Message = "",
    keep_duplicates: KeepDuplicates = False,
    as_json: AsJson = False,
) -> None:
    """Add one case by hand, or those of traces."""
    if sum(map(bool, (input, trace, where))) != 1:
        raise InvalidRequest("It is not said what to add.", "Give one of --input, --trace and --where.")
    if not input:
        body = {"spans": [{"trace_id": one} for one in trace or []], "message": message}
        with control(context, drain=True) as api:
            done = api.ask(
                "POST", path_of("datasets", name, "/traces"), body=body | ({"query": where} if where else {})
            )
        _show_put(name, done, as_json=as_json)
        return
    said = {
        "reference": reference,
        "context": context_text,
        "feedback": feedback,
        "source": source,
        "tags": tag,
    }
    case = {"input": input, **{field: value for field, value in said.items() if value}}
    with control(context) as api:
        body = {"cases": [case], "message": message or "Add a case", "keep_duplicates": keep_duplicates}
        done = api.ask("POST", path_of("datasets", name, "/cases"), body=body)
    _show_put(name, done, as_json=as_json)


@app.command()
def remove(context: typer.Context, name: str, case_id: str, as_json: AsJson = False) -> None:
    """Remove a case; earlier versions keep it."""
    with control(context) as api:
        done = api.ask("DELETE", path_of("datasets", name, "/case"), query={"id": case_id})
    if as_json:
        print_json(done)
    else:
        typer.echo(f"The case {case_id!r} is not in version {done['version']} any more.")


@app.command()
def split(
    context: typer.Context,
    name: str,
    train: Annotated[float, typer.Option(min=0, max=1, help="Its share, as a part of 1.")] = 0.6,
    dev: Annotated[float, typer.Option(min=0, max=1, help="Its share.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Its share. This split is sealed.")] = 0.2,
    as_json: AsJson = False,
) -> None:
    """Divide a dataset into train, dev and the sealed test, so that nothing leaks. Cases keep the split they have."""
    shares = {"train": train, "dev": dev, "test": test}
    with _busy("Comparing cases", quiet=as_json), control(context) as api:
        done = api.ask("POST", path_of("datasets", name, "/split"), body={"shares": shares}, patience=_LONG)
    if as_json:
        print_json(done)
        return
    total = sum(done["sizes"].values()) + len(done["left_out"])
    for one in shares:
        count = done["sizes"].get(one, 0)
        typer.echo(f"{one:6}{count:>8,}  {count / total:.0%}" if total else f"{one:6}{0:>8}")
    typer.echo(f"Version {done['version']}. {done['groups']:,} groups of cases that belong together.")
    _tell_left_out(done["left_out"])
    if total >= 10 and done["largest"] > max(1 - max(shares.values()), 0.1):
        typer.echo(
            f"The largest group has {done['largest']:.0%} of the cases: they resemble each other, or have one source, "
            "and can't be divided without leaking."
        )


@app.command()
def accept(
    context: typer.Context,
    name: str,
    case_ids: Annotated[list[str] | None, typer.Argument(help="Their ids.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Whatever is waiting.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Remove them instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Accept cases that a model wrote, so that runs ask them."""
    if bool(case_ids) == all_ or (all_ and reject):
        raise InvalidRequest("It is not said which cases.", "Name them by id, or accept --all.")
    ids = case_ids or []
    body = {"accept": [] if reject else ids, "reject": ids if reject else [], "all": all_}
    with control(context) as api:
        done = api.ask("POST", path_of("datasets", name, "/accept"), body=body)
    if as_json:
        print_json(done)
    elif done["changed"] or done["removed"]:
        typer.echo(f"{done['changed']:,} accepted, {done['removed']:,} removed: version {done['version']}.")
        _tell_left_out(done["left_out"])
    else:
        typer.echo("No case was waiting to be accepted.")


@app.command()
def versions(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show a dataset's versions, newest first."""
    with control(context) as api:
        found = api.ask("GET", path_of("datasets", name, "/versions"))
    if as_json:
        print_json(found)
        return
    print_table(
        [
            {
                "version": str(one["number"]),
                "time (UTC)": when(one["created"]),
                "cases": f"{one['cases']:,}",
                "change": f"+{one['added']:,} ~{one['changed']:,} -{one['removed']:,}",
                "author": one["author"],
                "message": one["message"],
            }
            for one in found
        ],
        empty=f"No versions yet: the first import makes one. ratchet dataset import {name} FILE",
    )


app.command("synthesise")(synthesise_cases)
app.command("reference")(write_references)


def fields_of(case: Any) -> dict[str, Any]:
    """A case as the API takes it."""
    return load("datasets.formats.jsonl").fields_of(case)


def _about(found: dict[str, Any]) -> dict[str, str]:
    counts = found["counts"]
    splits = ", ".join(f"{name or 'none'} {count:,}" for name, count in sorted(counts["splits"].items()))
    about = {
        "name": found["name"],
        "description": found["description"] or "-",
        "version": f"{found['version']} of {found['newest']}",
        "cases": f"{counts['total']:,}",
        "splits": splits or "-",
        "tags": ", ".join(f"{tag} {count:,}" for tag, count in list(counts["tags"].items())[:12]) or "-",
    }
    waiting = {"waiting": f"{counts['waiting']:,} written by a model, not accepted yet"}
    return about | (waiting if counts["waiting"] else {})


def _line(case: dict[str, Any]) -> dict[str, str]:
    text_of = load("domain.cases").text_of_input
    return {
        "id": case["id"],
        "input": "(sealed)" if case.get("sealed") else " ".join(text_of(case["input"]).split()),
        "reference": ("(by a model) " if case.get("reference_by") else "")
        + " ".join(text_of(case.get("reference")).split()),
        "split": case.get("split", ""),
        "origin": case.get("origin", "hand") + ("" if case.get("accepted", True) else ", waiting"),
        "tags": ", ".join(case.get("tags", [])),
    }


def _show_put(name: str, done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        _tell(name, done)


def _tell(name: str, done: dict[str, Any]) -> None:
    """What came of putting cases."""
    counts = (("added", done["added"]), ("changed", done["changed"]), ("as they were", done["unchanged"]))
    said = ", ".join(f"{count:,} {word}" for word, count in counts if count) or "nothing to change"
    typer.echo(f"Version {done['version']} of {name}: {said}.")
    duplicates = done["duplicates"]
    for one in duplicates[:_SHOWN]:
        differs = ", and expects something else" if one["differs"] else ""
        alike = (
            "asks the same as" if one["resemblance"] >= 1 else f"is {min(one['resemblance'], 0.99):.0%} like"
        )
        typer.echo(plain(f"  not taken: {one['id']} {alike} {one['of']}{differs}"))
    if len(duplicates) > _SHOWN:
        typer.echo(f"  … and {len(duplicates) - _SHOWN:,} more")
    if duplicates:
        typer.echo("--keep-duplicates takes them all the same.")
    _tell_left_out(done["left_out"])


def _tell_left_out(ids: list[str]) -> None:
    if ids:
        shown = ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
        typer.echo(plain(f"{len(ids):,} in no split, since they would leak between two: {shown}"))


def _busy(what: str, *, quiet: bool) -> Any:
    return Console(stderr=True, quiet=quiet).status(f"{what} …")
