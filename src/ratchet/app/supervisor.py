"""`ratchet serve`: two processes, started together, started again when one dies, stopped together.

Each child's standard input is a pipe that nobody writes to. When the supervisor dies, however it dies, the pipe
ends and the child stops: no orphan keeps a port.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Sequence

__all__ = ["Part", "reserved_port", "supervise"]

_CONFIGURATION_EXIT = 78  # what the command ends with when starting again would end the same way
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before a part that died is started again
_STEADY = 10.0  # seconds after which a part counts as having come up well
_LAST_PATIENCE = 40.0  # seconds for a graceful stop


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A child process: what to call it, its arguments, and how its line for "ready" begins."""

    name: str
    arguments: Sequence[str]
    when_restarted: Sequence[str] = ()  # more arguments once it has been up


@contextlib.contextmanager
def reserved_port() -> Generator[int]:
    """A free port of the loopback address that nobody else is given meanwhile; a child may `bind` it, and again.

    On Linux a socket that doesn't listen keeps the port from being picked for others, and lets those in that ask
    for it by number. Elsewhere such a socket would keep everybody out, so the port is only free when it is looked up.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        if sys.platform != "linux":
            holder.close()
        yield port


async def supervise(parts: Sequence[Part], *, tell: Callable[[str], None]) -> int:
    """Run until SIGINT or SIGTERM, or until a part says that its configuration can't work. Returns an exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    started = time.monotonic()
    ready: set[str] = set()

    def heard(part: Part, line: str) -> None:
        tell(line)
        if line.startswith(part.name) and part.name not in ready:
            ready.add(part.name)
            if len(ready) == len(parts):
                tell(f"ready in {time.monotonic() - started:.1f} s; Ctrl-C stops it")

    async with asyncio.TaskGroup() as tasks:
        kept = [tasks.create_task(_keep_running(part, stop, heard, tell, ready)) for part in parts]
    return max(task.result() for task in kept)


async def _keep_running(
    part: Part,
    stop: asyncio.Event,
    heard: Callable[[Part, str], None],
    tell: Callable[[str], None],
    ready: set[str],
) -> int:
    pause = _FIRST_PAUSE
    while True:
        began = time.monotonic()
        more = part.when_restarted if part.name in ready else ()
        code = await _run_once(part, [*part.arguments, *more], stop, heard)
        if stop.is_set():
            return 0
        if code == _CONFIGURATION_EXIT and part.name not in ready:
            stop.set()  # it can't work; one that has been up is tried again until somebody has mended it
            return code
        if time.monotonic() - began > _STEADY:
            pause = _FIRST_PAUSE
        tell(f"{part.name} ended with {_described(code)}; starting it again in {pause:.1f} s")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        if stop.is_set():
            return 0
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _run_once(
    part: Part, arguments: Sequence[str], stop: asyncio.Event, heard: Callable[[Part, str], None]
) -> int:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ratchet",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    listening = asyncio.create_task(_listen(child, part, heard))
    ending = asyncio.create_task(child.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await asyncio.wait({ending}, timeout=_LAST_PATIENCE)
    finally:
        stopping.cancel()
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
    code = await ending
    await listening
    return code


async def _listen(child: asyncio.subprocess.Process, part: Part, heard: Callable[[Part, str], None]) -> None:
    assert child.stdout is not None  # noqa: S101 - it was asked for
    async for line in child.stdout:
        heard(part, line.decode(errors="replace").rstrip("\n"))


def _described(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
