"""Running a long-lived part: signals, logs, and ending with whoever started it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

__all__ = ["configure_logs", "run_until_stopped", "tell"]


def configure_logs() -> None:
    """Plain lines on standard error."""
    logging.basicConfig(
        level=os.environ.get("RATCHET_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)-7s %(name)s  %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    # Its words for what ratchet says itself, or that nobody needs a line for.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def tell(line: str) -> None:
    """One line for people, at once even when standard output is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_until_stopped(part: Callable[[asyncio.Event], Awaitable[None]], *, supervised: bool) -> None:
    """Run `part` until SIGINT or SIGTERM, or, when supervised, until the supervisor is gone, however it went.

    A supervisor holds the other end of this process's standard input; the end of that file means it has died.
    """
    configure_logs()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if supervised:
            loop.add_reader(sys.stdin.fileno(), lambda: _watch_stdin(loop, stop))
        await part(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(main())
        except BaseExceptionGroup as group:
            raise _only(group) from None


def _only(error: BaseException) -> BaseException:
    """What a task group wrapped, where it is one thing: an error of ours is told as itself."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _only(inner[0]) if len(inner) == 1 else error


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
