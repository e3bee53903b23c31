"""Judges tested against people: the measuring side, over the real gateway with the real simulator, and the command."""

from __future__ import annotations

import asyncio
import json
import math
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import running_app

from ratchet.app.judging import judge_tests, labelled_in_file
from ratchet.app.paths import DataDir
from ratchet.demo.questions import QUESTIONS, is_right
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.usage import Usage
from ratchet.errors import InvalidRequest, NotFound, UpstreamFailed
from ratchet.evals.judging import JudgeTest, Judging, judges_of, measure_judge, same_family
from ratchet.evals.labelled import read_labelled
from ratchet.simulator import Handbook, answer
from ratchet.simulator.app import simulator_app
from ratchet.simulator.openai.chat_request import read_request
from ratchet.simulator.server import SimulatorProtocol

MODELS = ("gpt-4o-mini", "claude-haiku-4-5")


def lines(*rows: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def labelled(count: int) -> bytes:
    """Answers of two models to the sample questions, labelled by whether all facts are in them."""
    sections = {section.number: section.text for section in Handbook.shipped().sections}
    found: list[dict[str, Any]] = []
    for question in [question for question in QUESTIONS if question.language == "en"][:count]:
        for model in MODELS:
            body = {
                "model": model,
                "messages": [
                    {"role": "system", "content": "You are a support bot."},
                    {"role": "user", "content": question.text},
                ],
            }
            said = answer(read_request(json.dumps(body).encode()).ask).choices[0].text
            found.append(
                {
                    "input": question.text,
                    "output": said,
                    "reference": sections[question.section],
                    "label": is_right(question, said),
                    "by": model,
                }
            )
    return lines(*found)


class Judging4:
    """A model that gives each output the grade that stands in it, with `off` added; A wherever two are compared."""

    def __init__(self, off: int = 0) -> None:
        self.off = off
        self.at_once = self.most = self.calls = 0

    async def __call__(self, request: Request) -> Answer:
        self.calls += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        part = request.messages[-1].parts[0]
        assert isinstance(part, TextPart)
        if "answer_a" in part.content:
            said: dict[str, Any] = {"reasoning": "First.", "better": "A"}
        else:
            grade = int(part.content.rpartition("grade ")[2][0])
            said = {"reasoning": f"I see {grade}.", "grade": max(1, min(5, grade + self.off))}
        return Answer(
            dialect="openai_chat", id="1", model="gpt-4o-2024", cost=Decimal("0.001"), usage=Usage(100, 20),
            choices=[Message("assistant", [TextPart(json.dumps(said))])],
        )  # fmt: skip


def graded(count: int = 40) -> bytes:
    return lines(
        *(
            {
                "input": f"question {i // 2}",
                "output": "word " * (1 + i % 7) + f"grade {1 + i % 5}",
                "label": 1 + i % 5,
                "by": MODELS[i % 2],
            }
            for i in range(count)
        )
    )


async def measured(model: Any, content: bytes, spec: Any = "judge", **options: Any) -> JudgeTest:
    (judging,) = judges_of([spec], ["judge"])
    return await measure_judge(
        judging, read_labelled(content, "f.jsonl"), model, clock=time.monotonic, **options
    )


# -- measuring -------------------------------------------------------------------------------------------------------


async def test_a_judge_that_sees_what_people_see_agrees_with_them() -> None:
    model = Judging4()
    found = await measured(model, graded(), concurrency=4, pairs=10)
    calibration = found.calibration
    assert (calibration.rated, found.outputs, found.unscored, found.disagreements) == (40, 40, {}, [])
    assert calibration.kappa is not None
    assert calibration.kappa.value == pytest.approx(1.0)
    assert calibration.alpha is not None
    assert calibration.alpha.value == pytest.approx(1.0)
    assert calibration.confusion is not None
    assert calibration.confusion.classes == ["0", "0.25", "0.5", "0.75", "1"]
    assert model.most == 4
    assert found.calls == model.calls == 40 + 2 * 10
    assert found.cost == Decimal("0.060")
    assert found.input_tokens == 6000
    assert (found.judge, found.model, found.answered_by) == ("judge", "judge", "gpt-4o-2024")
    assert found.prompt.startswith("judge@")


async def test_what_a_judge_gets_wrong_is_measured() -> None:
    found = await measured(Judging4(off=1), graded())
    assert found.calibration.bias is not None
    assert found.calibration.bias.value == pytest.approx(0.2)  # a quarter, but a five can't rise
    assert found.calibration.agreement is not None
    assert found.calibration.agreement.value == pytest.approx(0.2)
    worst = found.disagreements[0]
    assert worst.judge - worst.human == pytest.approx(0.25)
    assert worst.reasoning.startswith("I see")
    assert len(found.disagreements) == 10


async def test_order_shows_in_pairs_of_outputs_for_one_question() -> None:
    found = await measured(Judging4(), graded(), pairs=20)
    assert found.pairs == 20
    assert found.position is not None
    assert found.position.flipped.value == 1.0
    assert found.position.lean.value == 1.0, "it always takes the first"
    assert found.pairs_agreement is not None
    assert found.pairs_agreement.value == 0.0, "a tie where the orders disagree is no preference"
    single = lines(
        *({"input": f"q{i}", "output": f"grade {1 + i % 5}", "label": 1 + i % 5} for i in range(10))
    )
    assert (await measured(Judging4(), single)).position is None


async def test_labels_that_are_missing_count_for_the_corrected_mean() -> None:
    rows = [json.loads(line) for line in graded(60).splitlines()]
    for row in rows[::2]:
        del row["label"]
    found = await measured(Judging4(off=1), lines(*rows), pairs=0)
    assert found.calibration.rated == 30
    mean = found.calibration.mean
    assert mean is not None
    assert mean.labels == 30
    assert mean.judged.value == pytest.approx(0.7)
    assert mean.corrected.value == pytest.approx(0.5, abs=0.06)


async def test_failures_are_counted_and_told() -> None:
    async def down(_request: Request) -> Answer:
        raise UpstreamFailed("sim is down.", "Wait.")

    heard: list[tuple[int, int]] = []
    found = await measured(
        down, graded(10), pairs=0, told=lambda done, total, _cost: heard.append((done, total))
    )
    assert found.unscored == {"the judge could not be asked: sim is down.": 10}
    assert found.calibration.rated == 0
    assert found.calibration.kappa is None
    assert heard == [(i, 10) for i in range(1, 11)]

    async def nobody(_request: Request) -> Answer:
        raise NotFound("There is no route judge.", "Declare it.")

    with pytest.raises(NotFound, match="no route judge"):
        await measured(nobody, graded(10))


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        ("judge", [1, 5, "3", 2.5], [0, 6, True, "good", None.__class__]),
        ({"judge": {"labels": ["poor", "fair", "fine"]}}, ["poor", "fine"], ["nice", 1]),
        ("factual", ["consistent", "partly consistent", True, 0.5, "no"], ["fine", 2]),
        ("faithfulness", [0, 0.3, "yes"], [-1, "maybe"]),
        ("toxicity", ["toxic", "not toxic", False], ["rude"]),
        (
            {"criteria": {"criteria": ["a", "b"]}},
            [[True, False], {"1": "yes", "2": "no"}, 0.5],
            [[True], "some"],
        ),
        ("better", ["win", "tie", "B", "worse", True], ["first"]),
    ],
)
def test_labels_are_read_on_the_judges_own_scale(spec: Any, good: list[Any], bad: list[Any]) -> None:
    (judging,) = judges_of([spec], [])
    for label in good:
        assert 0 <= judging.settings.human(label) <= 1
    for label in bad:
        with pytest.raises(ValueError, match="expected"):
            judging.settings.human(label)


def test_families_are_told_by_how_names_begin() -> None:
    assert same_family("gpt-4o", "simulator/gpt-4o-mini") is True
    assert same_family("o3", "gpt-4o") is True
    assert same_family("claude-haiku-4-5", "gpt-4o") is False
    assert same_family("", "gpt-4o") is None


# -- files and settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "is empty"), (b"{", "line 1 is not JSON"), (b"[1]", "line 1 is no object"), (lines({"input": "q", "label": 1}), "line 1 has no text in `output`"),
        (lines({"input": "q", "output": "a"}), "Nothing in f.jsonl has a `label`"), (lines({"input": "q", "output": "a", "label": 1, "by": 3}), "`by` is no text"),
        (lines({"output": "a", "label": 1}), "line 1"), (lines({"input": "q", "output": "a", "label": 1, "referense": "r"}), "line 1.*referense"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_named(content: bytes, word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        read_labelled(content, "f.jsonl")


def test_rows_of_one_question_are_one_source() -> None:
    first, second, other = read_labelled(
        lines(
            {"input": "q", "output": "a", "label": 1},
            {"input": "q", "output": "b"},
            {"input": "r", "output": "a", "source": "s"},
        ),
        "f",
    )
    assert first.source == second.source != other.source == "s"
    assert (first.case.id, second.label, other.line) == (second.case.id, None, 3)


async def test_a_label_on_another_scale_is_refused_before_anything_is_asked() -> None:
    model = Judging4()
    with pytest.raises(InvalidRequest, match="line 2 is 7; expected a grade from 1 to 5"):
        await measured(
            model,
            lines(
                {"input": "q", "output": "grade 1", "label": 1},
                {"input": "q", "output": "grade 1", "label": 7},
            ),
        )
    assert model.calls == 0


def test_only_judges_are_tested() -> None:
    for spec in ("exact", "bias"):
        with pytest.raises(InvalidRequest, match="no judge that reads an output"):
            judges_of([spec], [])
    assert [(each.name, each.model) for each in judges_of(["factual", {"judge": {"name": "mine", "route": "r"}}], ["x", "y"])] == [
        ("factual", "x"), ("factual", "y"), ("mine", "x"), ("mine", "y")
    ]  # fmt: skip


# -- with the simulator ------------------------------------------------------------------------------------------------


async def test_better_simulated_judges_agree_more(tmp_path: Path) -> None:
    """The labels come from facts that the simulator's judge doesn't see."""
    file = tmp_path / "labelled.jsonl"
    file.write_bytes(labelled(60))
    config = tmp_path / "ratchet.toml"
    heard: set[str] = set()

    def told(judging: Judging, _done: int, _total: int, _cost: Decimal) -> None:
        heard.add(f"{judging.name} {judging.model}")

    async with running_app(simulator_app(seed=0, pace=0), SimulatorProtocol) as address:
        config.write_text(f'[providers.sim]\nkind = "simulator"\nbase_url = "{address}/v1"\n')
        tests = await judge_tests(
            config, DataDir.at(tmp_path / "data"), labelled_in_file(file),
            judges=["factual", {"judge": {"labels": ["wrong", "right"], "rubric": "Consistent with the reference."}}],
            models=["sim/gpt-4o-mini", "sim/o3"], concurrency=16, pairs=40, seed=0, told=told,
        )  # fmt: skip
    small, best, small_graded, _ = tests
    assert heard == {"factual sim/gpt-4o-mini", "factual sim/o3", "judge sim/gpt-4o-mini", "judge sim/o3"}
    for one in tests:
        assert one.calibration.rated == 120
        assert one.unscored == {}
        assert one.cost is not None
    assert small.calibration.alpha is not None
    assert best.calibration.alpha is not None
    assert (small.calibration.alpha.value or 0) + 0.03 < (best.calibration.alpha.value or 0)
    assert ((best.calibration.agreement and best.calibration.agreement.value) or 0) > 0.8
    assert small.position is not None
    assert best.position is not None
    assert small.position.pairs == best.position.pairs == 40
    assert ((best.pairs_agreement and best.pairs_agreement.value) or 0) > 0.6
    assert small_graded.pairs == small.pairs
    assert small_graded.position == small.position, "asked once for each model"
    assert small_graded.calls < small.calls
    assert (best.cost or 0) > (small.cost or 0)
    with pytest.raises(NotFound, match=r"nowhere\.jsonl"):
        labelled_in_file(tmp_path / "nowhere.jsonl")


# -- the command -------------------------------------------------------------------------------------------------------


def ratchet(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments], check=False, cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_measures_and_prints(tmp_path: Path) -> None:
    (tmp_path / "labelled.jsonl").write_bytes(labelled(4))
    (tmp_path / "suite.yaml").write_text(
        "dataset: cases.jsonl\ncandidates: [simulator/gpt-4o]\nscorers:\n  - exact\n  - judge: {name: short, labels: [bad, good], rubric: Correct., route: simulator/gpt-4o-mini}\n"
    )

    def strict(value: str) -> Any:
        raise AssertionError(f"{value} is no JSON")

    said = ratchet(
        tmp_path,
        "judge",
        "test",
        "labelled.jsonl",
        "--judge",
        "factual",
        "--model",
        "simulator/gpt-4o-mini",
        "--pairs",
        "2",
        "--json",
    )
    (found,) = json.loads(said, parse_constant=strict)
    assert found["outputs"] == 8
    assert found["calibration"]["agreement"]["value"] > 0.5
    assert found["calls"] == 8 + 2 * found["pairs"]
    assert not math.isnan(float(found["cost"]))
    text = ratchet(tmp_path, "judge", "test", "labelled.jsonl", "--judge", "suite.yaml", "--pairs", "0")
    assert "judge@" in text
    assert "simulator/gpt-4o-mini" in text
    assert "8 of 8" in text
    refused = ratchet(tmp_path, "judge", "test", "labelled.jsonl", "--judge", "judge", code=1)
    assert "line 1 is True; expected a grade from 1 to 5" in refused


def test_the_commands_list_and_show(tmp_path: Path) -> None:
    listed = {judge["name"]: judge for judge in json.loads(ratchet(tmp_path, "judge", "list", "--json"))}
    assert {"judge", "criteria", "factual", "bias"} <= listed.keys()
    assert listed["toxicity"]["better"] == "lower"
    shown = ratchet(tmp_path, "judge", "show", "criteria")
    assert "Decide for each criterion" in shown
    assert listed["factual"]["prompt"] in ratchet(tmp_path, "judge", "show", "factual")
    own = ratchet(tmp_path, "judge", "show", "judge: {rubric: Brief and correct.}")
    assert "Brief and correct." in own
    assert listed["judge"]["prompt"] not in own
    assert "resamples" in ratchet(tmp_path, "judge", "show", "bias")
    assert "There is no scorer 'nobody'" in ratchet(tmp_path, "judge", "show", "nobody", code=1)
    assert "is not YAML" in ratchet(tmp_path, "judge", "show", "judge: {", code=1)
