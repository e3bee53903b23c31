"""References that a model writes, for cases that have none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ratchet.datasets.writing import Progress, Writing, write_all
from ratchet.domain.cases import Case
from ratchet.domain.datasets import SEALED
from ratchet.errors import UpstreamError
from ratchet.scorers.references import write_reference
from ratchet.scorers.scorer import Generate

__all__ = ["Lacking", "lacking", "write_references"]

_WRITING = Writing()


class Lacking(msgspec.Struct, frozen=True):
    """The cases without a reference that a model may write one for, and how many others have none.

    No model that writes is shown a `sealed` case, and nobody has accepted those that are `waiting`.
    """

    cases: list[Case]
    sealed: int = 0
    waiting: int = 0


def lacking(cases: Sequence[Case]) -> Lacking:
    """Those that have no reference."""
    without = [case for case in cases if case.reference is None]
    open_ = [case for case in without if case.split != SEALED]
    accepted = [case for case in open_ if case.accepted]
    return Lacking(accepted, len(without) - len(open_), len(open_) - len(accepted))


async def write_references(
    cases: Sequence[Case],
    generate: Generate,
    *,
    model: str,
    temperature: float | None = None,
    how: Writing = _WRITING,
) -> Progress:
    """The cases with the references that `model` wrote; each says so in `reference_by`.

    A call that fails is counted, and the others go on; what the model says that it can't answer stays without. Raises
    an ExceptionGroup of what says that the model can't be asked at all.
    """

    async def write(case: Case, _: Progress) -> Progress:
        try:
            written, cost = await write_reference(case, generate, model, temperature=temperature)
        except UpstreamError as error:
            return Progress(wanted=0, calls=1, failed=1, problem=error.message)
        if written.reference is None:
            return Progress(wanted=0, calls=1, dropped={"that the model can't answer": 1}, cost=cost)
        return Progress(wanted=0, calls=1, cases=[written], cost=cost)

    return await write_all(cases, write, len(cases), how)
