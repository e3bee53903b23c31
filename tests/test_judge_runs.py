"""Judges measured on a run whose answers people have scored: which answers, on which scale, chosen how."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.test_judge_testing import Judging4, ratchet

from ratchet.app.paths import DataDir
from ratchet.cli.loading import open_control
from ratchet.domain.cases import Case, Output
from ratchet.domain.runs import Candidate, Result, Run
from ratchet.errors import InvalidRequest
from ratchet.evals.calibration import Rated, calibrate
from ratchet.evals.judging import check_labels, judges_of, measure_judge
from ratchet.evals.labelled import LabelledOutput, labelled_of_run

CANDIDATES = [
    Candidate(name="a", kind="route", target="cheap", content="openai/gpt-4o-mini at https://x/v1"),
    Candidate(name="b", kind="prompt", target="p", content="hash\nclaude/haiku-4 at https://y/v1"),
    Candidate(name="app", kind="http", target="http://x", content="http:http://x\n2.1"),
]
RUN = Run(
    id="r", project_id="default", suite="s", settings={}, dataset="d", dataset_version="1", cases=20,
    candidates=CANDIDATES, scorers=[], created=1, touched=1,
)  # fmt: skip
CASES = [Case(id=f"c{n}", input=f"Question {n}?", source="ada" if n < 3 else "") for n in range(20)]


def answers(labels: dict[tuple[str, str], float], name: str = "good") -> list[Result]:
    return [
        Result(
            candidate=candidate.name,
            case_id=case.id,
            output=Output(
                text=f"grade {1 + at % 5}", error="down" if (candidate.name, at) == ("b", 7) else ""
            ),
            labels={name: labels[candidate.name, case.id]} if (candidate.name, case.id) in labels else {},
        )
        for candidate in CANDIDATES
        for at, case in enumerate(CASES)
    ]


def rows(labels: dict[tuple[str, str], float], **options: int) -> list[LabelledOutput]:
    return labelled_of_run(RUN, answers(labels), CASES, "good", **options)


GRADE = judges_of([{"judge": {"rubric": "Right?", "route": "m"}}], [])[0]


def test_what_people_scored_comes_with_others_drawn_at_random() -> None:
    found = rows({("a", "c1"): 1.0, ("b", "c5"): 0.0}, unlabelled=10, seed=1)
    assert [(each.name, each.value, each.by, each.source) for each in found[:2]] == [
        ("c1 of a", 1.0, "openai/gpt-4o-mini", "ada"),
        ("c5 of b", 0.0, "claude/haiku-4", "c5"),
    ]
    assert len(found) == 12
    assert not any(each.labelled for each in found[2:])
    assert {each.by for each in found if each.name.endswith("of app")} <= {""}
    assert found == rows({("a", "c1"): 1.0, ("b", "c5"): 0.0}, unlabelled=10, seed=1)
    assert found != rows({("a", "c1"): 1.0, ("b", "c5"): 0.0}, unlabelled=10, seed=2)
    assert len(rows({("a", "c1"): 1.0}, unlabelled=0)) == 1
    assert len(rows({("a", "c1"): 1.0}, unlabelled=999)) == 59, "what failed has no output"


def test_numbers_up_to_1_are_values_and_others_are_grades() -> None:
    values = rows({("a", "c1"): 0.75, ("a", "c2"): 1.0})
    assert check_labels(GRADE, values) == [0.75, 1.0]
    grades = rows({("a", "c1"): 4.0, ("a", "c2"): 1.0})
    assert check_labels(GRADE, grades) == [0.75, 0.0]
    with pytest.raises(InvalidRequest, match="label in c1 of a is 7"):
        check_labels(GRADE, rows({("a", "c1"): 7.0}))


def test_a_name_that_nobody_scored_under_is_told_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"'bad'\. There are scores under good"):
        labelled_of_run(RUN, answers({("a", "c1"): 1.0}), CASES, "bad")
    with pytest.raises(InvalidRequest, match="Nobody has scored any"):
        labelled_of_run(RUN, answers({}), CASES, "bad")


async def test_disagreements_say_which_answer() -> None:
    found = rows({("a", f"c{n}"): 1.0 for n in range(20)})
    test = await measure_judge(GRADE, found, Judging4(), clock=time.monotonic)
    assert test.calibration.rated == 20
    assert {one.name.partition(" of ")[2] for one in test.disagreements} == {"a"}


@pytest.mark.parametrize("picked", [False, True])
def test_labels_that_were_not_drawn_at_random_show(picked: bool) -> None:
    rng = np.random.default_rng(3)
    judged = rng.random(400)
    labelled = judged < 0.3 if picked else rng.random(400) < 0.3
    found = calibrate(
        [
            Rated(case_id=str(n), judge=judge, human=judge if chosen else math.nan)
            for n, (judge, chosen) in enumerate(zip(judged.tolist(), labelled.tolist(), strict=True))
        ]
    )
    assert found.mean is not None
    assert found.mean.selection is not None
    assert found.mean.selection.low is not None
    assert found.mean.selection.high is not None
    assert (found.mean.selection.low <= 0 <= found.mean.selection.high) is not picked
    difference = judged[labelled].mean() - judged[~labelled].mean()
    assert found.mean.selection.value == pytest.approx(difference)


def test_the_command_measures_a_judge_on_a_run(tmp_path: Path) -> None:
    cases = [Case(id=f"c{n}", input=f"What does parcel {n} cost?", reference="4.90 euros") for n in range(12)]
    (tmp_path / "cases.jsonl").write_bytes(b"\n".join(msgspec.json.encode(each) for each in cases))
    (tmp_path / "suite.yaml").write_text(
        "dataset: cases.jsonl\ncandidates: [simulator/gpt-4o, simulator/claude-haiku-4-5]\nscorers: [exact]\n"
    )
    ratchet(tmp_path, "run", "start", "suite.yaml")
    options = ["judge", "test", "--judge", "factual", "--model", "simulator/o3", "--run", "latest"]
    assert "Nobody has scored any" in ratchet(tmp_path, *options, "--label", "right", code=1)
    with open_control(tmp_path / "ratchet.toml", DataDir.at(tmp_path / ".ratchet"), drain=True) as api:
        results = api.ask("GET", "/api/runs/latest/results")
        for each in results[:9]:
            body = {"name": "right", "value": 1.0, "trace_id": each["output"]["trace_id"]}
            api.ask("POST", "/api/scores", body=body)
    (found,) = json.loads(ratchet(tmp_path, *options, "--label", "right", "--unlabelled", "5", "--json"))
    assert (found["outputs"], found["calibration"]["rated"]) == (14, 9)
    assert found["calibration"]["mean"]["labels"] == 9
    assert found["calibration"]["mean"]["selection"]["cases"] == 14
    told = ratchet(tmp_path, *options, "--label", "right", "--unlabelled", "5", "--pairs", "0")
    assert "only if they were drawn at random" in told
    assert "9 of 14" in told
    assert "Give a file, or --run" in ratchet(tmp_path, "judge", "test", "--judge", "factual", code=1)
    assert "--label NAME" in ratchet(tmp_path, *options, code=1)
