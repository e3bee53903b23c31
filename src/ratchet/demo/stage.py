"""The demo's stage: simulator, gateway and studio as real processes on free ports, gone when the block ends."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import msgspec

from ratchet.errors import RatchetError

__all__ = ["Address", "Stage", "open_stage"]

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_SIMULATED = """\
# Made by `ratchet demo`: the routes of a support bot and of its judge, answered by the simulator.
[providers.shop]
kind = "simulator"
base_url = "{simulator}"

[routes.support]
targets = ["shop/gpt-4o-mini"]

[routes.judge]
targets = ["shop/gpt-4o"]
"""
_REAL = """\
# Made by `ratchet demo`: the routes of a support bot and of its judge, answered by a real model.
[routes.support]
targets = ["{target}"]

[routes.judge]
targets = ["{target}"]
"""


class Address(msgspec.Struct, frozen=True):
    """Where everything is. `sign_in` is "" when the studio has a member already."""

    gateway: str
    studio: str
    sign_in: str


class Stage(msgspec.Struct, frozen=True):
    """What the demo runs on."""

    address: Address
    config: Path
    data_dir: Path


@contextlib.contextmanager
def open_stage(data_dir: Path, *, target: str | None, environment: Mapping[str, str]) -> Generator[Stage]:
    """Start everything; `target` is a real `provider/model`, or None for the simulator.

    Raises RatchetError where a part does not come up, with what it said.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    config = data_dir / "ratchet.toml"
    with contextlib.ExitStack() as stack:
        if target is None:
            simulator = stack.enter_context(_running("simulate", "--port", "0", "--pace", "1"))
            settings = _SIMULATED.format(simulator=simulator.wait_for("simulator"))
        else:
            settings = _REAL.format(target=target)
        config.write_text(settings, encoding="utf-8")
        served = stack.enter_context(
            _running(
                "--config",
                str(config),
                "--data-dir",
                str(data_dir),
                "serve",
                "--gateway-port",
                "0",
                "--studio-port",
                "0",
                environment=environment,
            )
        )
        served.wait_for("ready in")
        address = Address(
            gateway=served.said("gateway"), studio=served.said("studio"), sign_in=served.said("sign in")
        )
        yield Stage(address=address, config=config, data_dir=data_dir)


class _Running:
    """A child process and the lines it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._news: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait_for(self, start: str) -> str:
        """The first word after `start` on the line that begins with it, once it is printed."""
        end = time.monotonic() + _START_SECONDS
        while not self.said(start):
            try:
                line = self._news.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise RatchetError(
                    "A part of the demo did not start.",
                    "It said:\n" + "\n".join(self._lines[-20:]) if self._lines else "It said nothing.",
                )
        return self.said(start)

    def said(self, start: str) -> str:
        """The first word after `start` on a line that begins with it; "" where there is none yet."""
        for line in self._lines:
            if line.startswith(start):
                return (line.removeprefix(start).split() or [line])[0]
        return ""

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        for line in self._process.stdout:
            self._lines.append(line.rstrip("\n"))
            self._news.put(line)
        self._news.put(None)


@contextlib.contextmanager
def _running(*arguments: str, environment: Mapping[str, str] | None = None) -> Generator[_Running]:
    process = subprocess.Popen(  # noqa: S603 - our own command with our own arguments
        [sys.executable, "-m", "ratchet", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ if environment is None else environment),
        # Ctrl-C is the demo's to handle: it stops its children in order.
        start_new_session=True,
    )
    try:
        yield _Running(process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
