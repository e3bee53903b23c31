"""Suites: files, mistakes in them, and the parts of the engine that need no upstream."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ratchet.domain.cases import Output
from ratchet.errors import InvalidRequest, NotFound
from ratchet.evals.outputs import output_of_app
from ratchet.evals.suite import GateSettings, read_suite, suite_of
from ratchet.release.policy import Policy

YAML = """
dataset: cases.jsonl
candidates: [prompt:support@production, route:cheap, openai/gpt-4o-mini, "http://localhost:9000/chat", "python:app.bot:answer"]
scorers:
  - contains
  - judge: {rubric: "Answers the question from the handbook", route: judge}
repeats: 2
gate: {scorer: judge, epsilon: 0.02, alpha: 0.05}
"""
TOML = """
dataset = "cases.jsonl"
candidates = ["prompt:support@production", "route:cheap", "openai/gpt-4o-mini", "http://localhost:9000/chat", "python:app.bot:answer"]
scorers = ["contains", {judge = {rubric = "Answers the question from the handbook", route = "judge"}}]
repeats = 2
gate = {scorer = "judge", epsilon = 0.02, alpha = 0.05}
"""


def test_yaml_toml_and_python_say_the_same(tmp_path: Path) -> None:
    for name, text in (("support.yaml", YAML), ("support.toml", TOML)):
        (tmp_path / name).write_text(text)
    suite = read_suite(tmp_path / "support.yaml")
    assert read_suite(tmp_path / "support.toml") == suite
    assert suite_of(suite.as_settings()) == suite
    assert (suite.title, suite.repeats) == ("support", 2)
    assert [each.kind for each in suite.candidates] == ["prompt", "route", "model", "http", "python"]
    assert [each.label for each in suite.candidates][:3] == [
        "prompt:support@production",
        "route:cheap",
        "openai/gpt-4o-mini",
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "dataset is missing; candidates is missing"),
        ({"dataset": "x", "candidates": []}, r"candidates is \[\]: expected at least 1 entry"),
        (
            {"dataset": "x", "candidates": ["a/b"], "scorer": 1},
            r"scorer is not a setting \(did you mean scorers",
        ),
        ({"dataset": "x", "candidates": ["gpt"]}, "candidates.0 is 'gpt': expected something like prompt:"),
        ({"dataset": "x", "candidates": ["a/b", "a/b"]}, "two candidates are called 'a/b'"),
        ({"dataset": "x", "candidates": [{"route": "a", "http": "http://x"}]}, "found route and http"),
        ({"dataset": "x", "candidates": [{"python": "a"}]}, "python wants module:function, found 'a'"),
        ({"dataset": "x", "candidates": [{"python": "a:b", "system": "x"}]}, "take no parameters or system"),
        ({"dataset": "x", "candidates": [{"http": "localhost"}]}, "http wants an address"),
        (
            {"dataset": "x", "candidates": [{"route": "a", "headers": {}, "x": 1}]},
            "candidates.0.x is not a setting",
        ),
        (
            {"dataset": "x", "candidates": ["a/b"], "repeats": 0},
            "repeats is 0: expected a number of at least 1",
        ),
        (
            {"dataset": "x", "candidates": ["a/b"], "gate": {"alpha": 2}},
            "gate.alpha is 2: expected a number below 0.5",
        ),
    ],
)
def test_mistakes_are_told_with_key_found_and_expected(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        suite_of(keys)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.yaml", "dataset: [", r"a\.yaml, line 2, column 1 is not YAML"),
        ("a.toml", "dataset = ", "a.toml is not TOML"),
        ("a.yaml", "- x", "holds no table of keys"),
        ("a.yaml", "dataset: x\ncandidates: [1]", "a.yaml can't be used: candidates.0"),
    ],
)
def test_a_file_that_cant_be_read_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidRequest, match=problem):
        read_suite(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no\.yaml can't be read"):
        read_suite(tmp_path / "no.yaml")


def test_a_suites_gate_says_what_the_policy_takes() -> None:
    ours = set(GateSettings.model_fields)
    assert ours - {"baseline", "candidate", "early"} == set(Policy.__struct_fields__)
    defaults = msgspec.structs.asdict(Policy(scorer="x"))
    assert {
        name: value for name, value in GateSettings(scorer="x").model_dump().items() if name in defaults
    } == defaults


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("yes", Output(text="yes")),
        ({"output": "yes"}, Output(text="yes")),
        ({"output": {"a": 1}, "more": 2}, Output(text='{"a":1}')),
        ({"output": "", "usage": {"input_tokens": 3}}, Output(input_tokens=3)),
    ],
)
def test_what_an_app_may_answer(said: Any, meant: Output) -> None:
    assert output_of_app(said) == meant


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (None, "is NoneType; expected a text"),
        ({"answer": "x"}, "missing required field `output`"),
        ({"output": "x", "cost": -1}, "cost is -1.0; expected US dollars"),
        ({"output": "x", "cost": "NaN"}, "cost is NaN"),
        ({"output": "x", "usage": {"input_tokens": "many"}}, "can't be read.*usage.input_tokens"),
        ({"output": "x", "tool_calls": [{}]}, "can't be read.*tool_calls"),
        ({"output": object()}, "can't be read"),
    ],
)
def test_what_an_app_may_not_answer_is_an_error_of_the_answer(said: Any, error: str) -> None:
    assert re.search(error, output_of_app(said).error)
