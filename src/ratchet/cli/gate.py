"""`ratchet gate`"""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ratchet.app.paths import DataDir
from ratchet.cli.context import plain, print_json, print_table
from ratchet.cli.loading import load
from ratchet.cli.progress import Bar
from ratchet.cli.run import notes_on, order_of, performed
from ratchet.domain.counting import plural
from ratchet.errors import RatchetError
from ratchet.evals.switch import Switch

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The gate: may a candidate replace what is in use?"
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CANT_TELL_EXIT = 2


@app.callback()
def gate() -> None:
    """The gate: may a candidate replace what is in use?"""


@app.command()
def check(
    context: typer.Context,
    suite: Annotated[Path, typer.Argument(help="The suite, with a `gate`.")],
    candidates: Annotated[
        str | None,
        typer.Option(help="In place of the suite's, with a comma: the baseline, then the candidate."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="US dollars; stops before more is spent.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run what has not been run, and answer PASS (exit code 0), FAIL (1) or CAN'T TELL (2)."""

    def work(config: Path, data: DataDir, bar: Bar, switch: Switch) -> Awaitable[Any]:
        order = order_of(suite, candidates=candidates, max_cost=max_cost)
        return load("app.gating").check_gate(config, data, order, watcher=bar, switch=switch)

    try:
        gated = performed(context, work, quiet=as_json)
    except RatchetError as error:
        # What could not be run says nothing about the candidate: to a pipeline that must not look like FAIL.
        typer.echo(f"ratchet: {error.message}\n         {error.remedy}".rstrip(), err=True)
        raise typer.Exit(CANT_TELL_EXIT) from None
    verdict = gated.verdict
    if as_json:
        print_json(
            {
                "run_id": gated.run.id,
                "baseline": gated.baseline,
                "candidate": gated.candidate,
                **msgspec.to_builtins(verdict),
            }
        )
    else:
        _show(gated)
    raise typer.Exit(verdict.exit_code)


def _show(gated: Any) -> None:
    verdict = gated.verdict
    typer.echo(f"{verdict.verdict}: {plain(gated.candidate)} in place of {plain(gated.baseline)}")
    typer.echo(plain(verdict.reason))
    if verdict.settle:
        typer.echo(plain(verdict.settle))
    typer.echo()
    print_table([_line(check) for check in verdict.checks], empty="")
    if any(check.unscored for check in verdict.checks):
        for note in notes_on(gated.run):
            typer.echo(plain(note))
    typer.echo(
        f"\n{plural(verdict.cases, 'case')} from {plural(verdict.sources, 'source')}, α = {verdict.alpha:g}, {verdict.method}; "
        f"run {gated.run.id}"
    )


def _line(check: Any) -> dict[str, str]:
    return {
        "limit": check.name,
        "verdict": check.verdict,
        "seen": _number(check.estimate),
        "between": "-" if check.low is None else f"{_number(check.low)} and {_number(check.high)}",
        "line": _number(check.limit),
        "in": check.unit,
        "power": "-" if check.power is None else f"{check.power:.0%}",
        "unscored": f"{check.unscored:,}",
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
