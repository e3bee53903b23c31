"""An event loop in a thread of its own, for callers that have no loop, or one that must not be entered again."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

__all__ = ["Background", "cancelled", "in_this_loop"]

T = TypeVar("T")


class Background:
    """Runs until it is closed, which cancels what is under way and waits until that has cleaned up."""

    def __init__(self) -> None:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._lasting: set[asyncio.Task[Any]] = set()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=lambda: context.run(asyncio.run, self._serve(started)), name="ratchet", daemon=True
        )
        self._thread.start()
        self._loop, self._stop = started.result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def start(self, work: Coroutine[Any, Any, T], *, lasting: bool = False) -> Future[T]:
        """Begin `work` there; to be waited for from any other thread.

        What is `lasting` holds open what other work stands on: it is ended last, when all that has cleaned up.
        """
        held = self._held(work, self._lasting if lasting else self._under_way)
        return asyncio.run_coroutine_threadsafe(held, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises. Ctrl-C cancels it, and is raised."""
        __tracebackhide__ = True
        future = self.start(work)
        try:
            return future.result()
        except CancelledError:
            raise KeyboardInterrupt from None
        except KeyboardInterrupt:
            future.cancel()
            raise

    async def _serve(self, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()
        # What work has begun in turn, such as servers, is its own to end: so the loop's other tasks are left alone.
        for held in (self._under_way, self._lasting):
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)

    async def _held(self, work: Coroutine[Any, Any, T], among: set[asyncio.Task[Any]]) -> T:
        """A loop forgets tasks that nobody holds."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        among.add(task)
        try:
            return await work
        finally:
            among.discard(task)


async def in_this_loop(future: Future[T], *, shared: bool = False) -> T:
    """What comes of work in another loop. Cancelling the one who waits cancels the work, unless others wait too."""
    waiting = asyncio.wrap_future(future)
    return await (asyncio.shield(waiting) if shared else waiting)


async def cancelled() -> None:
    """Waits until somebody cancels it."""
    await asyncio.get_running_loop().create_future()
