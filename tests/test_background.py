"""An event loop in a thread of its own: what it returns, raises and cancels, and in which order it ends things."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from ratchet.app.background import Background


def test_work_is_done_in_another_thread_and_its_errors_are_raised_here() -> None:
    async def fails() -> None:
        raise ValueError(threading.current_thread().name)

    with contextlib.closing(Background()) as background:
        with pytest.raises(ValueError, match="ratchet"):
            background.run(fails())
        assert background.run(asyncio.sleep(0, "done")) == "done"


def test_what_lasts_is_ended_when_all_that_stands_on_it_has_cleaned_up() -> None:
    said: list[str] = []
    begun = threading.Semaphore(0)

    async def hold() -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            said.append("closed")

    async def work(name: int) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # cleaning up takes its time
            said.append(f"work {name}")

    background = Background()
    background.start(hold(), lasting=True)
    for name in range(20):
        background.start(work(name))
    for _ in range(21):
        begun.acquire()
    background.close()
    assert said[-1] == "closed"
    assert sorted(said[:-1]) == sorted(f"work {name}" for name in range(20))
