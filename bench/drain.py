"""How fast the collector empties a spool that is full, and whether everything is in the store afterwards."""

from __future__ import annotations

import time
from pathlib import Path

from bench.figures import Figure, Part, at_least
from bench.gateways import ratchet_command
from bench.processes import BenchError, Child, Children, free_port
from bench.setting import Setting
from bench.store_rows import embedded, read_store

__all__ = ["measure", "spool_files", "start_studio", "wait_empty"]

_SUFFIX = "*.spool"


def spool_files(data: Path) -> list[Path]:
    """Segments that have not been drained to their end."""
    return sorted((data / "spool").glob(_SUFFIX))


def start_studio(children: Children, data: Path, config: Path, *, core: int | None) -> tuple[Child, int]:
    """The control plane alone, when it answers; its port."""
    port = free_port()
    command = ratchet_command(data, config, "studio", "--studio-port", str(port))
    child = children.start("studio", command, core=core, env={"UP_KEY": "sk-up"})
    child.wait_answer(port, "/healthz")
    return child, port


def wait_empty(studio: Child, data: Path, *, seconds: float) -> float:
    """Wait until no segment is left; the clock (monotonic) when that was. Raises BenchError when it takes longer."""
    deadline = time.monotonic() + seconds
    while spool_files(data):
        if studio.process.poll() is not None:
            raise BenchError(f"the studio ended while it drained:\n{studio.tail()}")
        if time.monotonic() > deadline:
            left = sum(file.stat().st_size for file in spool_files(data))
            raise BenchError(f"{left:,} bytes are still in the spool after {seconds:.0f} s:\n{studio.tail()}")
        time.sleep(0.005)
    return time.monotonic()


def measure(setting: Setting, children: Children, data: Path, config: Path, calls: int) -> Part:
    """`data` holds the spool of a gateway that has ended; `calls` is how many calls it must hold."""
    aside = data / "aside"
    aside.mkdir()
    waiting = spool_files(data)
    size = sum(file.stat().st_size for file in waiting)
    for file in waiting:
        file.rename(aside / file.name)
    setting.say(f"{calls:,} calls in {size / 1e6:,.0f} MB of spool; starting the studio …")
    studio, _ = start_studio(children, data, config, core=None)
    began, used = time.monotonic(), studio.cpu_seconds()
    for file in waiting:
        (aside / file.name).rename(file)
    took = wait_empty(studio, data, seconds=60 + calls / 2000) - began
    busy = (studio.cpu_seconds() - used) / took
    memory = studio.resident()
    children.stop(studio)
    held = read_store(embedded(data))
    setting.say(f"drained in {took:.1f} s; {held.rows:,} spans in the store")
    figures = [
        at_least(
            "drained by the collector",
            calls / took,
            20_000,
            "spans/s",
            note=f"{calls:,} calls, {size / 1e6:,.0f} MB, {took:.1f} s, {busy:.0%} of a core, that is "
            f"{busy * took / calls * 1e6:.0f} µs of processor a span; {memory / 2**20:,.0f} MB resident",
        ),
        # When the load ends it closes connections in the middle of calls: those are spans that it doesn't count.
        Figure(name="answered and not in the store", value=max(0, calls - held.spans), unit="calls", most=0),
        Figure(name="in the store more than once", value=held.rows - held.spans, unit="spans", most=0),
    ]
    return Part(name="drain", title="The collector's drain", figures=figures)
