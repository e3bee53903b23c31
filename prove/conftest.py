"""Fixtures of the proofs: children that always end, and progress that is always shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.processes import Children


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line of progress, captured or not."""
    began = time.monotonic()

    def line(text: str) -> None:
        with capfd.disabled():
            print(f"  [{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return line


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Processes of one proof; all are ended with it."""
    with Children(tmp_path) as started:
        yield started
