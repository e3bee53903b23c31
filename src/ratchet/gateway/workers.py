"""Several gateway processes on one port: each is asked for the figures of all, so each leaves its own where others read.

Prometheus asks whichever process the kernel gives it. So every series carries the label `worker`, and the answer holds
those of all: a process that is started again begins its own series anew, and no sum ever falls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Worker", "together"]

_INTERVAL = 1.0  # seconds by which other workers' figures may be old


class Worker:
    """One of `of` gateway processes that share a port, counted from 1."""

    def __init__(self, number: int, of: int, folder: Path) -> None:
        self.number = number
        self.of = of
        self._folder = folder
        folder.mkdir(exist_ok=True)

    async def leave_figures(self, render: Callable[[], bytes]) -> None:
        """Write down what `render` says once a second. Runs until cancelled."""
        while True:
            await asyncio.to_thread(self._write, render())
            await asyncio.sleep(_INTERVAL)

    def all_figures(self, own: bytes) -> bytes:
        """With those of the others, as they were a moment ago. It reads files."""
        found: list[tuple[int, str]] = []
        for number in range(1, self.of + 1):
            if number == self.number:
                found.append((number, own.decode()))
                continue
            with contextlib.suppress(FileNotFoundError):  # it has just been started
                found.append((number, self._path(number).read_text()))
        return together(found).encode()

    def _write(self, figures: bytes) -> None:
        fresh = self._path(self.number).with_suffix(".new")
        fresh.write_bytes(figures)
        fresh.replace(self._path(self.number))

    def _path(self, number: int) -> Path:
        return self._folder / f"worker-{number}.prom"


def together(texts: Sequence[tuple[int, str]]) -> str:
    """Several workers' figures in Prometheus' text format as one, each series with its worker's number."""
    heads: dict[str, list[str]] = {}
    series: dict[str, list[str]] = {}
    for number, text in texts:
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                known = heads.setdefault(family, [])
                if line not in known:
                    known.append(line)
            elif line:
                series.setdefault(family, []).append(_labelled(line, number))
    lines = [line for family, listed in series.items() for line in (*heads.get(family, ()), *listed)]
    return "\n".join(lines) + "\n"


def _labelled(line: str, number: int) -> str:
    name, _, value = line.rpartition(" ")
    label = f'worker="{number}"'
    if name.endswith("}"):
        return f"{name[:-1]},{label}}} {value}"
    return f"{name}{{{label}}} {value}"
