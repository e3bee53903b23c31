"""Commands are loaded when they are called, the studio's parts when no studio runs.

Everything that `ratchet` can do takes seconds to import together, and one command needs little of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

import typer

from ratchet.app.control import Control, running_studio
from ratchet.app.loading import load
from ratchet.app.paths import DataDir
from ratchet.cli.context import options_of

__all__ = ["control", "load", "open_control"]


@contextlib.contextmanager
def control(context: typer.Context, *, drain: bool = False) -> Generator[Control]:
    """The control plane of the command's data directory."""
    options = options_of(context)
    with open_control(options.config, DataDir.at(options.data_dir), drain=drain) as opened:
        yield opened


@contextlib.contextmanager
def open_control(config: Path, data: DataDir, *, drain: bool = False) -> Generator[Control]:
    """A running studio if there is one; otherwise the stores, opened in this process."""
    running = running_studio(data)
    if running is not None:
        yield running
        return
    with load("app.local").local_control(config, data, drain=drain) as opened:
        yield opened
