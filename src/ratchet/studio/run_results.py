"""What pages and the API say of a run: whether it goes on, and what it has answered."""

from __future__ import annotations

from collections.abc import Sequence

from ratchet.domain.runs import Result, Run
from ratchet.store.records.runs import cases_of_run
from ratchet.studio.services import Visit

__all__ = ["results_of", "state_of"]

_ALIVE = 15 * 10**9  # nanoseconds without a sign of life, after which a run counts as interrupted


def state_of(run: Run, now: int) -> str:
    """A run whose process has died says `running` for ever; whoever looks at it should know."""
    if run.status in ("running", "cancelling") and now - run.touched > _ALIVE:
        return "interrupted"
    return run.status


def results_of(asked: Visit, run: Run, *, whole: bool = False, case_ids: Sequence[str] = ()) -> list[Result]:
    """In the order of the cases, of the candidates, of the repeats; `case_ids` asks for those of some cases alone."""
    if run.started is None:
        return []
    order = case_ids or [case.id for case in cases_of_run(asked.services.records, run.id)]
    cases = {case_id: place for place, case_id in enumerate(order)}
    candidates = {each.name: place for place, each in enumerate(run.candidates)}
    found = asked.services.spans().results(
        run.project_id, run.id, since=run.created, until=run.ended, whole=whole, case_ids=case_ids
    )
    return sorted(
        (each for each in found if each.case_id in cases and each.candidate in candidates),
        key=lambda each: (cases[each.case_id], candidates[each.candidate], each.repeat),
    )
