"""Hearing how a run goes, and saying nothing, or only how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratchet.domain.cases import Case
from ratchet.domain.runs import Progress, Result, Run
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["Quiet"]


class Quiet:
    """A run's watcher. `progress` hears of each answer."""

    def __init__(self, progress: Callable[[Progress], object] | None = None) -> None:
        self._progress = progress

    def planned(self, cases: Sequence[Case], repeats: int, scorers: Sequence[ScorerAbout]) -> None:
        """Nothing to tell yet."""

    def began(self, run: Run, done: Sequence[Result]) -> None:
        """Nothing to tell yet."""

    def told(self, result: Result, progress: Progress) -> None:
        del result
        if self._progress is not None:
            self._progress(progress)
