"""`ratchet <noun> <verb> [--json]`: one file per noun, thin, loaded only when it is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import ratchet
from ratchet.cli.context import Options
from ratchet.cli.loading import load
from ratchet.errors import Misconfigured, RatchetError

__all__ = ["COMMANDS", "main"]

CONFIGURATION_EXIT = 78  # sysexits.h; `ratchet serve` does not start a part again that ended with it

# Name, module, and the line that `ratchet --help` shows; a test compares it with the module's own.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "Start everything: gateway and studio, supervised."),
    "gateway": ("gateway", "Start the data plane alone."),
    "studio": ("studio", "Start the control plane alone: pages, API and collector."),
    "collect": ("collect", "Start the collector alone: drain the spool into the span store."),
    "simulate": ("simulate", "Start a simulated provider, for trying things without an account."),
    "demo": ("demo", "Run the main job on real input, and show what came of it."),
    "doctor": ("doctor", "Check configuration, providers, stores, disk, ports and clock."),
    "key": ("key", "Keys: what apps show the gateway."),
    "standing": ("standing", "Standings: who is blocked, allowed or given more room."),
    "cache": ("cache", "The cache: answers given again."),
    "member": ("member", "Members: people with an account and a role."),
    "audit": ("audit", "The audit log: who changed what."),
    "provider": ("provider", "Providers: upstream accounts."),
    "route": ("route", "Routes: the model names that apps ask for."),
    "limit": ("limit", "Limits: how much may be asked for, how fast, by whom."),
    "segment": ("segment", "Segments: groups of users that limits and budgets can be for."),
    "budget": ("budget", "Budgets: money for a day or a month, and for whom."),
    "prompt": ("prompt", "Prompts: templates that apps ask for by name."),
    "model": ("model", "Models: facts for choosing one, recommendations, stars."),
    "dataset": ("dataset", "Datasets: test cases under a name, in versions that never change."),
    "run": ("run", "Runs: cases asked of candidates, and what came of it."),
    "judge": ("judge", "Judges: scorers that ask a model, tested against people."),
    "gate": ("gate", "The gate: may a candidate replace what is in use?"),
    "release": ("release", "Releases: what each label of a prompt serves."),
    "trace": ("trace", "Traces: what happened."),
    "score": ("score", "Scores: judgements of traces, spans and sessions."),
}


class _Commands(TyperGroup):
    """Loads a command's module when it is asked for, so that `--help` stays quick."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature it overrides
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command = get_command(load(f"cli.{found[0]}").app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ratchet {ratchet.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="RATCHET_CONFIG", help="The settings file.", show_default="ratchet.toml", dir_okay=False
        ),
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(envvar="RATCHET_DATA_DIR", help="Where ratchet keeps everything.", file_okay=False)
    ] = Path(".ratchet"),
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Test-driven development for LLM applications."""
    context.obj = Options(
        config=config or Path("ratchet.toml"), data_dir=data_dir, config_named=config is not None
    )


def main() -> None:
    """The `ratchet` command. An error of ours is two lines, not a traceback."""
    try:
        app(prog_name="ratchet")
    except RatchetError as error:
        typer.echo(f"ratchet: {error.message}", err=True)
        if error.remedy:
            typer.echo(f"         {error.remedy}", err=True)
        sys.exit(
            CONFIGURATION_EXIT if isinstance(error, Misconfigured) or error.reason == "data_dir_in_use" else 1
        )
    except BrokenPipeError:  # `ratchet trace list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
