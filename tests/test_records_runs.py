"""Runs in the records, on SQLite and on PostgreSQL."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from ratchet.domain.cases import Case
from ratchet.domain.runs import Candidate, Progress, Run
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import Records
from ratchet.store.records.runs import (
    add_run,
    cases_of_run,
    change_run,
    fill_run,
    find_run,
    list_runs,
    run_of,
    take_run,
)


def a_run(run_id: str, *, created: int = 1, suite: str = "support") -> Run:
    return Run(
        id=run_id,
        project_id="default",
        suite=suite,
        settings={"dataset": "d", "candidates": [{"route": "a"}]},
        dataset="d",
        dataset_version="3",
        cases=2,
        candidates=[Candidate(name="ü", kind="route", target="a", parameters={"temperature": 0.5})],
        scorers=[{"name": "exact", "low": 0.0, "high": None}],
        created=created,
        touched=created,
        progress=Progress(done=1, total=2, cost=Decimal("0.000000000000000001")),
        summary={"leading": "exact", "candidates": [{"mean": None}]},
    )


def test_a_run_comes_back_as_it_was_written(records: Records) -> None:
    cases = [Case(id="1", input="a"), Case(id="2", input={"x": [1, None]}, tags=["ö"])]
    run = add_run(records, a_run("261121-1"), cases)
    assert run_of(records, run.id) == run
    assert cases_of_run(records, run.id) == cases
    with pytest.raises(NotFound):
        cases_of_run(records, "nothing")


def test_runs_are_found_by_the_beginning_of_their_id(records: Records) -> None:
    for number, run_id in enumerate(("261121-1", "261121-12", "261121-13", "261122-1")):
        add_run(records, a_run(run_id, created=number + 1, suite=f"s{number}"), [])

    def found(text: str) -> str:
        return find_run(records, project_id="default", text=text).id

    assert (found("latest"), found("261122"), found("261121-1"), found("261121-12")) == (
        "261122-1", "261122-1", "261121-1", "261121-12",
    )  # fmt: skip
    with pytest.raises(InvalidRequest, match="261122-1 and 261121-13"):
        found("26112")
    for text in ("", "%", "_", "x"):
        with pytest.raises((NotFound, InvalidRequest)):
            found(text)
    assert [run.id for run in list_runs(records, project_id="default", limit=2)] == ["261122-1", "261121-13"]
    assert [run.id for run in list_runs(records, project_id="default", suite="s0")] == ["261121-1"]
    with pytest.raises(NotFound):
        find_run(records, project_id="other", text="latest")


def test_a_run_is_taken_until_it_is_done(records: Records) -> None:
    run = add_run(records, a_run("r"), [])
    taken = take_run(records, run, now=5, place="here")
    assert (taken.status, taken.started, taken.ended, taken.place) == ("running", 5, None, "here")
    change_run(records, run.id, status="cancelled", ended=6, progress=Progress(done=2, total=2))
    again = take_run(records, run_of(records, run.id), now=7, place="here")
    assert (again.status, again.started, again.ended, again.progress.done) == ("running", 5, None, 2)
    change_run(records, run.id, status="done")
    with pytest.raises(Conflict, match="is done"):
        take_run(records, again, now=8, place="here")


def test_a_queued_run_is_filled_in(records: Records) -> None:
    queued = add_run(records, msgspec.structs.replace(a_run("q"), candidates=[], cases=0), [])
    planned = msgspec.structs.replace(a_run("q"), cases=1)
    fill_run(records, planned, [Case(id="1", input="a")])
    assert run_of(records, queued.id) == planned
    assert [case.id for case in cases_of_run(records, queued.id)] == ["1"]
