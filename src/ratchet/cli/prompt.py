"""`ratchet prompt`"""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from ratchet.app.control import Control
from ratchet.cli.context import plain, print_json, print_record, print_table, when
from ratchet.cli.loading import control
from ratchet.cli.prompt_files import SUFFIX, Written, read_file, read_files, write_files
from ratchet.domain.prompts import PromptReference, PromptVersion, Template
from ratchet.errors import InvalidRequest
from ratchet.prompts.difference import Difference, TextDifference, difference
from ratchet.prompts.files import write_prompt

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Prompts: templates that apps ask for by name."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Message = Annotated[str, typer.Option("--message", "-m", help="Why, for whoever reads the history.")]


@app.command()
def push(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files, or folders that hold some.", show_default="prompts")
    ] = None,
    message: Message = "",
    label: Annotated[str, typer.Option(help="Let this label serve what was pushed.")] = "",
    as_json: AsJson = False,
) -> None:
    """Push files as versions, all or none. What is the newest version already makes no new one."""
    templates = read_files(files or [])
    body = {
        "prompts": [
            {"name": name, "template": msgspec.to_builtins(template)} for name, template in templates.items()
        ],
        "message": message,
        "label": label,
        "author": getpass.getuser(),
    }
    with control(context) as api:
        pushed = api.ask("POST", "/api/prompts", body=body)
    if as_json:
        print_json(pushed)
        return
    print_table(
        [
            {
                "prompt": f"{each['name']}#{each['number']}",
                "pushed": "new version" if each["created"] else "unchanged",
                "served": f"{each['name']}@{each['release']['label']}" if each["release"] else "-",
            }
            for each in pushed
        ],
        empty="",
    )


@app.command()
def pull(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write them.", file_okay=False)] = Path("prompts"),
    label: Annotated[str, typer.Option(help="What this label serves, instead of the newest.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over files that were never pushed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write every prompt to a file. A file that was changed and never pushed is left alone."""
    wanted: dict[str, tuple[int, Template]] = {}
    known: dict[str, set[str]] = {}
    with control(context) as api:
        lines: list[dict[str, Any]] = api.ask("GET", "/api/prompts")
        names = [
            line["name"]
            for line in lines
            if not label or any(each["label"] == label for each in line["labels"])
        ]
        with typer.progressbar(names, label="Reading", file=_progress(), hidden=len(names) < 20) as steps:
            for name in steps:
                version = _version(api, name, label or "newest")
                wanted[name] = (version.number, version.template)
                known[name] = {each["hash"] for each in api.ask("GET", _path(name))["versions"]}
    _print_written(write_files(folder, wanted, known, force=force), as_json=as_json)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every prompt, its newest version and what its labels serve."""
    with control(context) as api:
        prompts = api.ask("GET", "/api/prompts")
    if as_json:
        print_json(prompts)
        return
    print_table(
        [
            {
                "name": each["name"],
                "newest": f"#{each['newest']['number']}",
                "labels": "  ".join(map(_served, each["labels"])) or "-",
                "model": each["newest"]["model"] or "-",
                "changed": when(each["newest"]["created"]),
                "by": each["newest"]["author"],
                "message": each["newest"]["message"] or "-",
            }
            for each in prompts
        ],
        empty="There are no prompts yet. Push one with: ratchet prompt push FILE, "
        "or write one in the studio. docs/prompts.md shows a file.",
    )


@app.command()
def show(context: typer.Context, reference: str, as_json: AsJson = False) -> None:
    """Show a prompt (NAME), or one version of it (NAME#3, NAME@production) as its file."""
    meant = _reference(reference)
    with control(context) as api:
        if meant.label or meant.number:
            version = _version(api, meant.name, meant.label or str(meant.number))
            if as_json:
                print_json(msgspec.to_builtins(version))
            else:
                typer.echo(_as_shown(write_prompt(version.template)), nl=False)
            return
        found = api.ask("GET", _path(meant.name))
    if as_json:
        print_json(found)
        return
    print_record(
        {
            "name": found["name"],
            "labels": "  ".join(map(_served, found["labels"])) or "-",
            "needs": ", ".join(found["required"]) or "-",
            "may take": ", ".join(found["optional"]) or "-",
        }
    )
    typer.echo("")
    print_table(
        [
            {
                "version": f"#{each['number']}",
                "created": when(each["created"]),
                "by": each["author"],
                "from": f"#{each['parent']}" if each["parent"] else "-",
                "content": each["hash"][:10],
                "message": each["message"] or "-",
            }
            for each in found["versions"]
        ],
        empty="",
    )


@app.command("diff")
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="NAME, NAME#3, NAME@production, or a file.")],
    after: Annotated[str, typer.Argument(help="The same.", show_default="the newest version")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version to another. With one NAME: from production (else the version before) on."""
    with control(context) as api:
        old, new = _both(api, before, after)
    found = difference(old, new)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        typer.echo("\n".join(_shown(found)) or "Nothing differs.")


@app.command("label")
def label_(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(help="NAME@LABEL")],
    versions: Annotated[
        list[str] | None, typer.Argument(help="A version (3), or several with weights (3=95 4=5).")
    ] = None,
    message: Message = "",
    back: Annotated[bool, typer.Option("--back", help="Serve what it served before.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the label away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a label serve a version, or a split of several; gateways do within a second."""
    meant = _reference(reference)
    if not meant.label:
        raise InvalidRequest(
            f"{reference!r} names no label.", "Write NAME@LABEL, such as support@production."
        )
    if sum((bool(versions), back, remove)) != 1:
        raise InvalidRequest("Say what the label shall serve.", "Give versions, or --back, or --remove.")
    path = f"{_path(meant.name)}/labels/{quote(meant.label, safe='')}"
    with control(context) as api:
        if back:
            made = api.ask("POST", f"{path}/roll-back", body={"message": message})
        elif remove:
            made = api.ask("DELETE", path)
        else:
            made = api.ask("PUT", path, body={"split": _split(versions or []), "message": message})
    if as_json:
        print_json(made)
    elif remove:
        typer.echo(f"{meant} is gone; its history stays.")
    else:
        typer.echo(f"{meant.name}@{_served(made)} (release {made['number']})")


def _version(api: Control, name: str, said: str) -> PromptVersion:
    found = api.ask("GET", f"{_path(name)}/versions/{quote(said, safe='')}")
    return msgspec.convert(found, PromptVersion)


def _both(api: Control, before: str, after: str) -> tuple[Template, Template]:
    """The two sides. A file stands for itself; a NAME alone is the newest version, or what it is compared with."""
    old = _reference_or_file(before)
    new = _reference_or_file(after) if after else None
    if isinstance(old, Template) and new is None:
        # A file against the registry: what pushing it would change.
        name = Path(before).name.removesuffix(SUFFIX)
        return _version(api, name, "newest").template, old
    if isinstance(old, PromptReference) and new is None:
        newest = _version(api, old.name, "newest")
        if old.label or old.number:
            return _version(api, old.name, old.label or str(old.number)).template, newest.template
        labels = {each["label"] for each in api.ask("GET", _path(old.name))["labels"]}
        base = "production" if "production" in labels else str(newest.parent or newest.number)
        return _version(api, old.name, base).template, newest.template
    assert new is not None  # noqa: S101 - the two cases without it are above
    return _template(api, old), _template(api, new)


def _template(api: Control, side: Template | PromptReference) -> Template:
    if isinstance(side, Template):
        return side
    return _version(api, side.name, side.label or str(side.number or "newest")).template


def _reference_or_file(text: str) -> Template | PromptReference:
    if text.endswith(SUFFIX) and ("/" in text or Path(text).exists()):
        return read_file(Path(text))
    return _reference(text)


def _reference(text: str) -> PromptReference:
    found = PromptReference.parse(text)
    if found is None:
        raise InvalidRequest(
            f"{text!r} names no prompt.",
            "Write NAME, NAME@LABEL or NAME#VERSION, such as support@production.",
        )
    return found


def _split(versions: Sequence[str]) -> list[dict[str, int]]:
    split: list[dict[str, int]] = []
    for text in versions:
        found = re.fullmatch(r"#?([1-9][0-9]{0,8})(?:=([1-9][0-9]{0,6}))?", text)
        if found is None:
            raise InvalidRequest(
                f"{text!r} is no version.", "Give a number (3), or numbers with weights (3=95 4=5)."
            )
        split.append({"version": int(found[1]), "weight": int(found[2] or 1)})
    return split


def _served(release: Mapping[str, Any]) -> str:
    split = release["split"]
    if len(split) == 1:
        return f"{release['label']} #{split[0]['version']}"
    total = sum(each["weight"] for each in split)
    parts = (f"#{each['version']} {100 * each['weight'] / total:.3g} %" for each in split)
    return f"{release['label']} {', '.join(parts)}"


def _shown(found: Difference) -> list[str]:
    """As `diff` shows it, a heading for each part that differs."""
    lines: list[str] = []
    for change in [*([found.model] if found.model else []), *found.parameters]:
        lines.append(f"@ {change.key}")
        lines += [] if change.state == "added" else [f"- {_value(change.before)}"]
        lines += [] if change.state == "removed" else [f"+ {_value(change.after)}"]
    texts: list[TextDifference] = [*found.messages, *found.examples, *found.tools]
    texts += [found.output_schema] if found.output_schema else []
    for text in texts:
        if text.state != "same":
            lines.append(f"@ {text.title}" + ("" if text.state == "changed" else f" ({text.state})"))
            lines += [f"{line.mark} {plain(line.text)}" for line in text.lines]
    return lines


def _value(value: Any) -> str:
    return plain(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _as_shown(text: str) -> str:
    """To the character where it goes into a file; a terminal gets nothing that could steer it."""
    return "\n".join(map(plain, text.split("\n"))) if sys.stdout.isatty() else text


def _path(name: str) -> str:
    return f"/api/prompts/{quote(name, safe='')}"


def _progress() -> Any:
    return typer.get_text_stream("stderr")


def _print_written(written: Sequence[Written], *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(written))
        return
    print_table(
        [{"file": each.path, "version": f"#{each.number}", "written": each.state} for each in written],
        empty="There are no prompts to pull.",
    )
