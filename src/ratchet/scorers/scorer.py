"""What a scorer is, what it is handed, and what it may say of a whole run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.generation import Answer, Request

if TYPE_CHECKING:  # a run whose scorers embed nothing never loads numpy
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Answers",
    "Confusion",
    "Embed",
    "Generate",
    "Scorer",
    "ScorerAbout",
    "Tallies",
    "Tally",
    "TokenEmbedder",
    "Tools",
]

Generate = Callable[[Request], Awaitable[Answer]]
"""Asks a model, which `request.model` names as a route or `provider/model`. Raises RatchetError where it fails."""

Answers = Callable[[Case, int], Awaitable[Output]]
"""Asks the candidate under test a case again. The number tells draws apart: each may come out differently."""

Embed: TypeAlias = "Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]"
"""Texts to unit vectors, shape (texts, dimensions); a text of which nothing can be embedded is all zeros."""


class TokenEmbedder(Protocol):
    """A static model of token vectors: a token's vector is the same in every text."""

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of each text's tokens."""
        ...

    def token_vectors(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Unit vectors of tokens by their numbers, shape (tokens, dimensions)."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a scorer may use. A scorer that needs what is None refuses with Misconfigured when it is made.

    `answers` asks the candidate whose outputs are scored: scorers that want it are made anew for each candidate.
    `load` gives a person's own object behind `python:module:name`. The studio hands in none: it runs nobody's code.
    """

    generate: Generate | None = None
    answers: Answers | None = None
    embed: Embed | None = None
    tokens: TokenEmbedder | None = None
    load: Callable[[str], object] | None = None


@dataclass(frozen=True, slots=True)
class ScorerAbout:
    """What is known about a scorer before it has scored. `low` and `high` bound its values, None where nothing does.

    `parts` are its further verdicts, each named `<name>.<part>`; the main one has the scorer's own name.
    """

    name: str
    title: str
    group: str = "own"  # text | wording | meaning | structure | classification | conduct | judge | own
    higher_is_better: bool = True
    low: float | None = 0.0
    high: float | None = 1.0
    binary: bool = False
    needs_reference: bool = False
    asks_a_model: bool = False
    embeds: bool = False
    tallies: bool = False
    parts: tuple[str, ...] = ()


class Scorer(Protocol):
    """One callable. It returns at least one verdict, and raises only for bugs: what can't be scored is NaN."""

    @property
    def about(self) -> ScorerAbout: ...

    async def __call__(self, case: Case, output: Output) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts[i][j]` outputs were called `labels[j]` where `labels[i]` was right. The label "" is no label at all."""

    labels: list[str]
    counts: list[list[int]]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a scorer says of a set of outputs at once, where that is no mean of its verdicts.

    `figures` by name, NaN where it can't be computed; `classes` the figures of each class.
    """

    scored: int
    unscored: int
    figures: dict[str, float]
    classes: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    confusion: Confusion | None = None


@runtime_checkable
class Tallies(Protocol):
    """A scorer with a figure for the whole set: corpus BLEU, F1. Its verdicts alone carry what that takes, in their
    attributes, so that a run which was stored, resumed or resampled is tallied like one that just ended."""

    def tally(self, verdicts: Sequence[Verdict]) -> Tally:
        """`verdicts` are this scorer's main ones, one for each output. Unscored ones are counted, never taken as 0."""
        ...
