"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import msgspec

__all__ = ["Machine", "core_ticks", "this_machine", "version_line"]


class Machine(msgspec.Struct, frozen=True):
    """The processor by its own name, the cores this process may use, memory in bytes."""

    processor: str
    cores: int
    memory: int
    system: str
    python: str
    load: float  # the one-minute load average before anything was started

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.memory / 2**30:.1f} GiB memory, {self.system}, "
            f"Python {self.python}, load before the run {self.load:.2f}"
        )


def this_machine() -> Machine:
    processor = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return Machine(
        processor=processor[1].strip() if processor else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=int(memory[1]) * 1024 if memory else 0,
        system=f"Linux {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0],
    )


def core_ticks(core: int) -> tuple[int, int, int]:
    """`(busy, stolen, all)` clock ticks of one core since boot."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            ticks = [int(field) for field in fields[:8]]
            idle = ticks[3] + ticks[4]
            return sum(ticks) - idle - ticks[7], ticks[7], sum(ticks)
    raise LookupError(f"/proc/stat has no cpu{core}")


def version_line(*argv: str) -> str:
    """The first line a program prints about its version."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.stdout or done.stderr else ""
