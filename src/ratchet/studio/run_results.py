"""What pages and the API say of a run: whether it goes on, what it asked, what was answered; nothing of sealed cases."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ratchet.domain.cases import Case, Output
from ratchet.domain.datasets import SEALED
from ratchet.domain.runs import Result, Run
from ratchet.store.records.case_pages import hidden
from ratchet.store.records.runs import cases_of_run
from ratchet.studio.services import Visit

__all__ = ["results_of", "shown_cases", "state_of"]

_ALIVE = 15 * 10**9  # nanoseconds without a sign of life, after which a run counts as interrupted


def state_of(run: Run, now: int) -> str:
    """A run whose process has died says `running` for ever; whoever looks at it should know."""
    if run.status in ("running", "cancelling") and now - run.touched > _ALIVE:
        return "interrupted"
    return run.status


def shown_cases(asked: Visit, run: Run) -> list[Case]:
    """The cases as they were when the run began; of a sealed one, what may be seen of it."""
    found = cases_of_run(asked.services.records, run.id)
    return [hidden(case) if case.split == SEALED else case for case in found]


def results_of(
    asked: Visit, run: Run, cases: Sequence[Case], *, whole: bool = False, some: bool = False
) -> list[Result]:
    """What was answered to these `cases` of the run, in their order, that of the candidates and of the repeats.

    `some`: they are not all of its cases. Of a sealed case, only its figures.
    """
    if run.started is None or not cases:
        return []
    places = {case.id: place for place, case in enumerate(cases)}
    sealed = {case.id for case in cases if case.split == SEALED}
    candidates = {each.name: place for place, each in enumerate(run.candidates)}
    found = asked.services.spans().results(
        run.project_id,
        run.id,
        since=run.created,
        until=run.ended,
        whole=whole,
        case_ids=list(places) if some else (),
    )
    return sorted(
        (
            _figures_alone(each) if each.case_id in sealed else each
            for each in found
            if each.case_id in places and each.candidate in candidates
        ),
        key=lambda each: (places[each.case_id], candidates[each.candidate], each.repeat),
    )


def _figures_alone(result: Result) -> Result:
    """Without whatever could repeat what the case asks or expects."""
    output = result.output
    return msgspec.structs.replace(
        result,
        output=Output(
            error="It failed." if output.error else "",
            latency=output.latency,
            time_to_first_token=output.time_to_first_token,
            cost=output.cost,
            input_tokens=output.input_tokens,
            output_tokens=output.output_tokens,
        ),
        verdicts=[
            msgspec.structs.replace(each, label="", comment="", attributes={}) for each in result.verdicts
        ],
    )
