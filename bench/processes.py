"""Children of the bench: pinned to a core, watched, measured, and all ended when the bench ends."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ratchet.app.supervisor import reserved_port

__all__ = ["BenchError", "Child", "Children", "free_port", "get"]

_TICK = os.sysconf("SC_CLK_TCK")
_HELD = contextlib.ExitStack()
_PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(Exception):
    """A part can't be measured; says why and what to do."""


def free_port() -> int:
    """A port for a child; nobody else is given it while this process lives."""
    return _HELD.enter_context(reserved_port())


def get(
    port: int, path: str, *, timeout: float = 2.0, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of one GET on the loopback address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Child:
    """A process in a session of its own, with everything it starts."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def tail(self, lines: int = 12) -> str:
        """The last lines of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_answer(
        self, port: int, path: str, *, seconds: float = 60.0, headers: Mapping[str, str] | None = None
    ) -> float:
        """Poll until GET answers 200; returns the time it took. Raises BenchError when the process ends or is late."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None:
                raise BenchError(
                    f"{self.name} ended with {self.process.returncode} before it was ready:\n{self.tail()}"
                )
            with contextlib.suppress(OSError, http.client.HTTPException):
                if get(port, path, headers=headers)[0] == 200:
                    return time.monotonic() - began
            time.sleep(0.01)
        raise BenchError(
            f"{self.name} did not answer http://127.0.0.1:{port}{path} in {seconds:.0f} s:\n{self.tail()}"
        )

    def pids(self) -> list[int]:
        """Itself and all its descendants."""
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for task in _tasks(pid):
                with contextlib.suppress(OSError):
                    queue += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """Processor time used so far, with its descendants."""
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def resident(self) -> int:
        """Bytes in memory, with its descendants."""
        return sum(resident(pid) for pid in self.pids())

    def pause(self) -> None:
        """Stop it (and its descendants) where they are, so that an idle rival costs nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, *, seconds: float = 10.0) -> None:
        """Ask it to end, insist after `seconds`, and leave nothing of its session behind."""
        descendants = self.pids()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)
            os.killpg(self.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in descendants[1:]:  # a supervisor may have put its children into sessions of their own
            if _parent_is_gone(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Children:
    """All children of one run. Leaving the context ends every one of them, newest first."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C while children are being ended would leave some of them running.
        with _deaf_to_interrupts():
            for child in reversed(self._children):
                child.stop(seconds=1.0 if error else 10.0)
        self._children.clear()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        core: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start `argv`, pinned to `core` where one is given; its output goes to `<folder>/<name>.log`."""
        log = self.folder / f"{name}.log"
        pin = ["taskset", "-c", str(core)] if core is not None else []
        with log.open("ab") as output:
            process = subprocess.Popen(
                # The kernel ends the child when the bench dies without a chance to.
                ["setpriv", "--pdeathsig", "KILL", *pin, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def stop(self, child: Child) -> None:
        """End one child now."""
        child.stop()
        self._children.remove(child)


def resident(pid: int) -> int:
    """Bytes of `pid` in memory; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def _parent_is_gone(pid: int) -> bool:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == 1
    except OSError:
        return False


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
