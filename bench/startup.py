"""How soon it is ready, how quick the command line is, and what it holds in memory after the demo."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Part, at_most
from bench.gateways import ratchet_command, ratchet_config
from bench.processes import BenchError, Children, free_port, resident
from bench.setting import Setting

__all__ = ["measure"]


def measure(setting: Setting, children: Children) -> Part:
    folder = children.folder
    times = [_help_seconds() for _ in range(10)]
    setting.say(f"ratchet --help: {statistics.median(times):.3f} s")
    first = _serve_seconds(children, folder / "fresh")
    again = [_serve_seconds(children, folder / "fresh") for _ in range(2)]
    setting.say(
        f"ratchet serve: {first:.2f} s on a new data directory, {statistics.median(again):.2f} s on its second start"
    )
    gateway, studio = _demo_memory(setting, folder)
    figures = [
        at_most(
            "ratchet --help, median of 10",
            statistics.median(times),
            0.3,
            "s",
            digits=3,
            note=f"{min(times):.3f} to {max(times):.3f}",
        ),
        at_most(
            "ratchet serve, ready with a new data directory",
            first,
            3.0,
            "s",
            digits=2,
            note="from exec to both /healthz",
        ),
        at_most("ratchet serve, ready again", statistics.median(again), 3.0, "s", digits=2),
        at_most("memory after the demo: gateway", gateway / 2**20, 150, "MB", digits=0),
        at_most("memory after the demo: studio", studio / 2**20, 700, "MB", digits=0),
    ]
    return Part(name="start", title="Start and memory", figures=figures)


def _help_seconds() -> float:
    began = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("ratchet"), "--help"], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def _serve_seconds(children: Children, folder: Path) -> float:
    folder.mkdir(exist_ok=True)
    config = ratchet_config(folder, 9)
    gateway, studio = free_port(), free_port()
    command = ratchet_command(
        folder / "data", config, "serve", "--gateway-port", str(gateway), "--studio-port", str(studio)
    )
    began = time.monotonic()
    child = children.start("serve", command, env={"UP_KEY": "sk-up"})
    child.wait_answer(gateway, "/healthz")
    child.wait_answer(studio, "/healthz")
    took = time.monotonic() - began
    children.stop(child)
    return took


def _demo_memory(setting: Setting, folder: Path) -> tuple[int, int]:
    """Resident bytes of gateway and studio when the demo has printed its summary and stays up (it has a terminal)."""
    setting.say("running the demo …")
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("ratchet")), "--data-dir", str(folder / "demo"), "demo"]
    bare = {k: v for k, v in os.environ.items() if not re.search(r"API_KEY|OLLAMA_HOST", k)}
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "INT", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=bare,
        cwd=folder,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        _read_until(ours, process, "Ctrl-C", seconds=180)
        sizes = {"gateway": 0, "studio": 0}
        for pid in _family(process.pid):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            for part, size in sizes.items():
                if part in arguments:
                    sizes[part] = max(size, resident(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
    if not all(sizes.values()):
        raise BenchError(f"the demo's processes were not found: {sizes}")
    return sizes["gateway"], sizes["studio"]


def _read_until(terminal: int, process: subprocess.Popen[bytes], words: str, *, seconds: float) -> None:
    said, deadline = "", time.monotonic() + seconds
    while words not in said:
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"the demo never said {words!r}; it said:\n{said[-2000:]}")
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                said += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                time.sleep(0.1)


def _family(pid: int) -> list[int]:
    found, queue = [], [pid]
    while queue:
        pid = queue.pop()
        found.append(pid)
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            queue += [int(child) for child in file.read_text().split()]
    return found
