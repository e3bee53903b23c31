"""`ratchet demo`"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pyreqwest.client import SyncClientBuilder
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ratchet.app.control import Control
from ratchet.app.paths import DataDir
from ratchet.cli.context import options_of
from ratchet.cli.loading import open_control
from ratchet.demo.app import DemoResult, run
from ratchet.demo.report import report
from ratchet.demo.stage import Stage, open_stage
from ratchet.demo.testing import write_materials
from ratchet.errors import RatchetError, Unavailable

app = typer.Typer(add_completion=False)
_REAL_TARGETS = {"OPENAI_API_KEY": "openai/gpt-4o-mini", "OLLAMA_HOST": "ollama/llama3.2"}
_REAL_USERS = 12  # a real model costs money: a dozen users show what there is to see
_REAL_CASES = 20
_DRAIN_SECONDS = 60.0
_KEY_SECONDS = 10.0


@app.command()
def demo(
    context: typer.Context,
    users: Annotated[int, typer.Option(help="How many users talk to the bot.", min=1, max=100_000)] = 300,
    seed: Annotated[int, typer.Option(help="The same seed gives the same conversations.")] = 7,
    exit_: Annotated[bool, typer.Option("--exit", help="Stop when done, even in a terminal.")] = False,
) -> None:
    """Run the main job on real input, and show what came of it."""
    console = Console()
    stays = sys.stdin.isatty() and sys.stdout.isatty() and not exit_
    target = _real_target(os.environ) if stays else None
    data = DataDir.at(options_of(context).data_dir / "demo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console.print("Starting the simulator, the gateway and the studio …", highlight=False)
    with open_stage(data.root, target=target, environment=os.environ) as stage:
        _play(
            console,
            stage,
            data,
            users if target is None else min(users, _REAL_USERS),
            seed,
            real=target is not None,
        )
        if stays:
            console.print("Press Ctrl-C to stop.", highlight=False)
            _wait_for_interrupt()


def _real_target(environment: Mapping[str, str]) -> str | None:
    """The real model to use instead of the simulator, if there is one and the person at the terminal says so."""
    for variable, target in _REAL_TARGETS.items():
        if environment.get(variable) and typer.confirm(
            f"{variable} is set. Use the real {target} instead of the simulator, for {_REAL_USERS} users?"
        ):
            return target
    return None


def _play(console: Console, stage: Stage, data: DataDir, users: int, seed: int, *, real: bool) -> None:
    began = time.time_ns()
    with open_control(stage.config, data) as api:
        name = f"demo {time.strftime('%Y-%m-%d %H:%M:%S')} {began % 1_000_000}"
        key = api.ask("POST", "/api/keys", body={"name": name, "routes": ["support"]})["key"]
        _wait_for_key(stage.address.gateway, key)
        result = _talk(console, stage, key, users, seed, real=real)
        summary = _drained_summary(api, began, stage)
    console.print(
        f"\n{result.requests:,} requests in {result.seconds:.1f} s. Read back from the span store:\n",
        highlight=False,
    )
    console.print(report(summary, sent=result.requests), highlight=False, markup=False)
    for problem in result.problems:
        console.print(f"  turned down: {problem}", highlight=False, markup=False)
    address = stage.address
    _test_and_release(console, stage, most=_REAL_CASES if real else None)
    console.print(f"\n  studio       {address.studio}", highlight=False, soft_wrap=True)
    if address.sign_in:
        console.print(f"  sign in      {address.sign_in}  (once)", highlight=False, soft_wrap=True)
    console.print(f"  gateway      {address.gateway}/v1   key {key}", highlight=False, soft_wrap=True)
    console.print(f"  data         {_short(stage.data_dir)}\n", highlight=False, soft_wrap=True)


def _test_and_release(console: Console, stage: Stage, *, most: int | None) -> None:
    """Two versions of the prompt, a suite that compares them, and the release of the better one, as a team does it."""
    console.print("\nIs another prompt better? Two versions of it, a suite, and the gate:\n", highlight=False)
    shell = _Shell(console, stage)
    made = write_materials(stage.data_dir / "testing", most=most)
    message = made.write_version(0)
    before = shell.pushed("prompt", "push", str(made.prompt), "-m", message, "--label", "production")
    message = made.write_version(1)
    after = shell.pushed("prompt", "push", str(made.prompt), "-m", message)
    made.write_suite(before, after)
    passed = shell.run("gate", "check", str(made.suite)) == 0
    shell.run("run", "show", "latest")
    if passed:
        shell.run("release", "create", "support", str(after), "-m", message)
    else:
        console.print("The gate did not pass, so production keeps the version that it has.", highlight=False)


class _Shell:
    """Runs ratchet's own commands as a person would, and shows them."""

    def __init__(self, console: Console, stage: Stage) -> None:
        self._console = console
        self._front = ["--config", str(stage.config), "--data-dir", str(stage.data_dir)]

    def run(self, *command: str) -> int:
        """Show the command and what it prints. Returns its exit code."""
        self._show(command)
        done = subprocess.run([sys.executable, "-m", "ratchet", *self._front, *command], check=False)  # noqa: S603 - our own command
        self._console.print()
        return done.returncode

    def pushed(self, *command: str) -> int:
        """Show the command, and return the version that the pushed prompt now is."""
        self._show(command)
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "ratchet", *self._front, *command, "--json"],
            check=False,
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RatchetError("The demo's prompt could not be pushed.", "The lines above say why.")
        (made,) = json.loads(done.stdout)
        self._console.print(f"{made['name']}#{made['number']}\n", highlight=False, markup=False)
        return int(made["number"])

    def _show(self, command: Sequence[str]) -> None:
        self._console.print(
            f"$ ratchet {shlex.join(_short(Path(each)) if '/' in each else each for each in command)}",
            style="bold",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _wait_for_key(gateway: str, key: str) -> None:
    """A gateway learns of a new key within half a second; the bot's users should not be turned away before that."""
    client = SyncClientBuilder().no_proxy().timeout(timedelta(seconds=5)).build()
    end = time.monotonic() + _KEY_SECONDS
    while client.get(f"{gateway}/v1/models").bearer_auth(key).build().send().status != 200:
        if time.monotonic() > end:
            raise Unavailable("The gateway does not know the demo's key.", "Look at what it printed above.")
        time.sleep(0.05)


def _talk(console: Console, stage: Stage, key: str, users: int, seed: int, *, real: bool) -> DemoResult:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"{users} users talk to the support bot", total=users)
        return asyncio.run(
            run(
                f"{stage.address.gateway}/v1",
                key,
                users=users,
                seed=seed,
                carry=1.0 if real else 0.08,
                progress=lambda done, _all: progress.update(bar, completed=done),
            )
        )


def _drained_summary(api: Control, since: int, stage: Stage) -> dict[str, Any]:
    """The summary once everything that was written before this call has been drained."""
    end = time.monotonic() + _DRAIN_SECONDS
    before: tuple[int, int] | None = None
    while time.monotonic() < end:
        summary = api.ask("GET", "/api/summary", query={"since": since})
        seen = (summary["requests"], sum(score["count"] for score in summary["scores"]))
        if seen == before and api.health()["spool"]["collector"]["waiting_bytes"] == 0:
            return summary
        before = seen
        time.sleep(0.3)
    raise Unavailable(
        f"The collector did not drain {stage.data_dir / 'spool'} in {_DRAIN_SECONDS:.0f} s.",
        "Look at what the studio printed above.",
    )


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        typer.echo("\nStopping.")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
