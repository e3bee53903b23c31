"""What a scorer is, and what it is handed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.generation import Answer, Request

__all__ = ["Embed", "Generate", "Scorer", "ScorerAbout", "Tools"]

Generate = Callable[[Request], Awaitable[Answer]]
"""Asks a model, which `request.model` names as a route or `provider/model`. Raises RatchetError where it fails."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors, shape (texts, dimensions)."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a scorer may use. A scorer that needs what is None refuses with Misconfigured when it is made."""

    generate: Generate | None = None
    embed: Embed | None = None


@dataclass(frozen=True, slots=True)
class ScorerAbout:
    """What is known about a scorer before it has scored. `low` and `high` bound its values, None where nothing does."""

    name: str
    title: str
    higher_is_better: bool = True
    low: float | None = 0.0
    high: float | None = 1.0
    binary: bool = False
    needs_reference: bool = False
    asks_a_model: bool = False


class Scorer(Protocol):
    """One callable. It returns at least one verdict, and raises only for bugs: what can't be scored is NaN."""

    @property
    def about(self) -> ScorerAbout: ...

    async def __call__(self, case: Case, output: Output) -> list[Verdict]: ...
