"""Runs: the list, one run with its cases and answers, cancelling; two candidates beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ratchet.domain.runs import Run
from ratchet.errors import Conflict, InvalidRequest
from ratchet.evals.keeping import plain
from ratchet.evals.suite import suite_of
from ratchet.store.records.runs import change_run, find_run, list_runs
from ratchet.studio.description import Parameter
from ratchet.studio.late import load
from ratchet.studio.listing import whole
from ratchet.studio.queueing import queue_run
from ratchet.studio.rendering import json_response
from ratchet.studio.run_results import results_of, shown_cases, state_of
from ratchet.studio.services import Visit
from ratchet.studio.sides import sides_of
from ratchet.studio.visiting import Asked

__all__ = [
    "COMPARISON_QUERY",
    "DOWNSIZE_QUERY",
    "RESULTS_QUERY",
    "RUNS_QUERY",
    "NewRun",
    "RunView",
    "begin_run",
    "cancel_run",
    "cases_json",
    "comparison_json",
    "downsize_json",
    "results_json",
    "run_json",
    "runs_json",
]

_LIMIT = 1000

RUNS_QUERY = (
    Parameter("suite", "Only runs of this suite.", {"type": "string"}),
    Parameter("status", "Only runs with this status.", {"type": "string"}),
    Parameter("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": 50}),
    Parameter("offset", "How many to skip.", {"type": "integer", "minimum": 0, "default": 0}),
)
RESULTS_QUERY = (
    Parameter("whole", "`1` for whole answers and comments, not their first line.", {"type": "string"}),
    Parameter("candidate", "Only this candidate's.", {"type": "string"}),
)


COMPARISON_QUERY = (
    Parameter("with", "The other run; the same one unless given.", {"type": "string"}),
    Parameter("baseline", "The candidate of the first run.", {"type": "string"}),
    Parameter("candidate", "The candidate of the other run.", {"type": "string"}),
)


DOWNSIZE_QUERY = (
    Parameter(
        "epsilon",
        "How much worse it may be, in the scorer's units.",
        {"type": "number", "minimum": 0, "default": 0.02},
    ),
    Parameter(
        "alpha", "How often what is proposed may be worse than that.", {"type": "number", "default": 0.05}
    ),
    Parameter("scorer", "By which scorer; the leading one unless given.", {"type": "string"}),
    Parameter("baseline", "What is in use; the first candidate unless given.", {"type": "string"}),
)


class NewRun(BaseModel):
    """A run to begin: `suite` has the keys of a suite file; `cache` says whether answers of earlier runs will do."""

    model_config = ConfigDict(extra="forbid")

    suite: dict[str, Any]
    cache: bool = True


class RunView(Run, frozen=True, kw_only=True):
    """A run as programs see it. `state` is its status, or `interrupted` where it should be running and nobody is at it."""

    state: str


def runs_json(asked: Asked) -> Response:
    """Newest first."""
    return json_response([_view(asked, run) for run in _listed(asked)])


def run_json(asked: Asked, run_id: str) -> Response:
    """One run: by its id, a beginning of it that no other run has, or `latest`."""
    return json_response(_view(asked, _found(asked, run_id)))


def results_json(asked: Asked, run_id: str) -> Response:
    """Every answer of a run with its verdicts, in the order of its cases."""
    run = _found(asked, run_id)
    params = asked.request.query_params
    found = results_of(asked, run, shown_cases(asked, run), whole=params.get("whole", "") not in ("", "0"))
    candidate = params.get("candidate", "")
    return json_response(plain([each for each in found if candidate in ("", each.candidate)]))


def cases_json(asked: Asked, run_id: str) -> Response:
    """The cases of a run, as they were when it began. Of a sealed one, neither what it asks nor what it expects."""
    return json_response(shown_cases(asked, _found(asked, run_id)))


def comparison_json(asked: Asked, run_id: str) -> Response:
    """Two candidates on the same cases: differences with intervals, by scorer, slice and case."""
    params = asked.request.query_params
    sides = sides_of(
        asked, run_id, params.get("with", ""), params.get("baseline", ""), params.get("candidate", "")
    )
    return json_response(load("studio.comparing:compared")(asked, *sides).view)


def downsize_json(asked: Asked, run_id: str) -> Response:
    """The cheapest candidate of a run that is not worse than the baseline by more than epsilon."""
    params = asked.request.query_params
    found = load("studio.downsizing:downsized")(
        asked,
        _found(asked, run_id),
        params.get("baseline", ""),
        params.get("scorer", ""),
        _number(params, "epsilon", 0.02),
        _number(params, "alpha", 0.05),
    )
    return json_response(found)


def _number(params: Mapping[str, str], name: str, default: float) -> float:
    text = params.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest(f"{name} is {text!r}.", "Write a number such as 0.02.", param=name)
    return value


def begin_run(asked: Asked, body: NewRun) -> Response:
    """Begin a run in a process of its own, which the studio watches. It runs no code of yours."""
    run = queue_run(asked, suite_of(body.suite), cache=body.cache)
    return json_response(_view(asked, run), status=201)


def cancel_run(asked: Asked, run_id: str) -> Response:
    """Stop a run within a second or two: what is under way ends, what is done is kept. It can be resumed."""
    run = _found(asked, run_id)
    state = state_of(run, asked.services.now())
    if state not in ("running", "queued", "interrupted", "cancelling"):
        raise Conflict(f"The run {run.id} is {state}: there is nothing to cancel.", "")
    records = asked.services.records
    if state == "running":
        change_run(records, run.id, status="cancelling", reason=f"{asked.member.email} cancelled it")
    elif state in ("queued", "interrupted"):
        change_run(
            records,
            run.id,
            status="cancelled",
            reason=f"{asked.member.email} cancelled it",
            ended=asked.services.now(),
        )
    return json_response(_view(asked, _found(asked, run.id)))


def _listed(asked: Visit) -> list[Run]:
    params = asked.request.query_params
    return list_runs(
        asked.services.records,
        project_id=asked.project_id,
        suite=params.get("suite", ""),
        status=params.get("status", ""),
        limit=whole(params, "limit", 50, at_least=1, at_most=_LIMIT),
        offset=whole(params, "offset", 0, at_least=0, at_most=10**9),
    )


def _found(asked: Visit, text: str) -> Run:
    return find_run(asked.services.records, project_id=asked.project_id, text=text)


def _view(asked: Visit, run: Run) -> RunView:
    return RunView(**msgspec.structs.asdict(run), state=state_of(run, asked.services.now()))
