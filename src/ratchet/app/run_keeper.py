"""Runs that the studio has begun: each in a process of its own, watched, and taken up again after a crash.

A child holds the other end of a pipe: when the studio dies, however it does, its runs end what is under way and wait
to be taken up by the next studio.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ratchet.app.paths import DataDir
from ratchet.domain.runs import QUEUED, Run
from ratchet.errors import NotFound, RatchetError
from ratchet.files import is_locked
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.records.runs import change_run, list_runs, run_of

__all__ = ["RunKeeper"]

log = logging.getLogger("ratchet.runs")
_LOOK = 1.0  # seconds between looks at the children
_MOST = 4  # runs at once; others wait
_TRIES = 3  # of a run whose process dies
_PATIENCE = 20.0  # seconds that runs get to end what is under way, when the studio stops


class RunKeeper:
    """Thread-safe. Nothing runs before `run` is called."""

    def __init__(self, config: Path, data: DataDir, records: Records, *, now: Callable[[], int]) -> None:
        self._config = config
        self._data = data
        self._records = records
        self._now = now
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._tries: dict[str, int] = {}

    def begin(self, run_id: str) -> None:
        """Take up a run as soon as there is room for it."""
        with self._lock:
            if run_id not in self._waiting:
                self._waiting.append(run_id)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set; then let the runs end what is under way."""
        self._take_up()
        try:
            while not stop.wait(_LOOK):
                self._reap()
                self._start_waiting()
        finally:
            self._end()

    def _take_up(self) -> None:
        """What the last studio left behind."""
        with contextlib.suppress(RatchetError):
            for status in ("queued", "running", "cancelling"):
                for run in list_runs(self._records, project_id=DEFAULT_PROJECT, status=status, limit=1000):
                    if self._ours(run) and not is_locked(self._data.runs / f"{run.id}.lock"):
                        self.begin(run.id)

    def _ours(self, run: Run) -> bool:
        return bool(run.settings.get(QUEUED)) and run.place in ("", self._data.place)

    def _start_waiting(self) -> None:
        while True:
            with self._lock:
                # One whose last process is just ending has to wait for that.
                free = [run_id for run_id in self._waiting if run_id not in self._children]
                if not free or len(self._children) >= _MOST:
                    return
                self._waiting.remove(free[0])
                self._children[free[0]] = self._process(free[0])

    def _process(self, run_id: str) -> subprocess.Popen[bytes]:
        log.info("run %s begins", run_id)
        options = ("--config", str(self._config)) if self._config.exists() else ()
        return subprocess.Popen(  # noqa: S603 - this very program
            [
                sys.executable,
                "-m",
                "ratchet",
                *options,
                "--data-dir",
                str(self._data.root),
                "run",
                "resume",
                run_id,
                "--json",
                "--supervised",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the studio is the studio's to pass on
        )

    def _reap(self) -> None:
        for run_id, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            if child.stdin is not None:
                child.stdin.close()
            with self._lock:
                del self._children[run_id]
            self._look_after(run_id, code)

    def _look_after(self, run_id: str, code: int) -> None:
        """A run whose process has died goes on, a few times; one that has ended is left as it is."""
        with contextlib.suppress(NotFound):
            run = run_of(self._records, run_id)
            if run.status not in ("queued", "running", "cancelling"):
                self._tries.pop(run_id, None)
                return
            tries = self._tries[run_id] = self._tries.get(run_id, 0) + 1
            if run.status != "cancelling" and tries < _TRIES:
                log.warning("run %s ended with code %d; it goes on", run_id, code)
                self.begin(run_id)
                return
            cancelled = run.status == "cancelling"
            change_run(
                self._records,
                run_id,
                status="cancelled" if cancelled else "failed",
                reason="it was cancelled"
                if cancelled
                else f"its process died {tries} times, the last with code {code}",
                ended=self._now(),
            )

    def _end(self) -> None:
        for child in self._children.values():
            if child.stdin is not None:
                child.stdin.close()
        for run_id, child in self._children.items():
            try:
                child.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                log.warning("run %s does not end; it is killed, and goes on with the next studio", run_id)
                child.kill()
                child.wait()
