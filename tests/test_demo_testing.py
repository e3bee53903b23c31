"""What the demo tests: files that are what they say, and a scorer that knows the handbook."""

from __future__ import annotations

from pathlib import Path

from ratchet.datasets.files import read_cases
from ratchet.demo.questions import QUESTIONS
from ratchet.demo.testing import VERSIONS, cases, right, write_materials
from ratchet.domain.cases import Case, Output
from ratchet.evals.suite import read_suite
from ratchet.prompts.files import read_prompt


def test_the_files_are_a_dataset_a_prompt_and_a_suite(tmp_path: Path) -> None:
    made = write_materials(tmp_path)
    found = read_cases(made.dataset)
    assert [case.id for case in found] == [case.id for case in cases()]
    assert len(found) >= 150
    assert len({case.id for case in found}) == len(found)
    assert len({case.source for case in found}) < len(found)
    templates = []
    for number, (message, _) in enumerate(VERSIONS):
        assert made.write_version(number) == message
        templates.append(read_prompt(made.prompt.read_text("utf-8"), path=str(made.prompt)))
    assert templates[0].model == "support"
    assert templates[1].messages[0].content.startswith(templates[0].messages[0].content)
    made.write_suite(3, 4)
    suite = read_suite(made.suite)
    assert [each.label for each in suite.candidates] == ["prompt:support#3", "prompt:support#4"]
    assert suite.gate is not None


def test_a_smaller_dataset_is_spread_over_all_of_it(tmp_path: Path) -> None:
    found = read_cases(write_materials(tmp_path, most=20).dataset)
    assert 15 <= len(found) <= 20
    assert {case.tags[0] for case in found} == {"covered", "uncovered", "off-topic"}


async def test_right_knows_facts_and_admissions() -> None:
    known = next(case for case in cases() if case.source == QUESTIONS[0].text)
    unknown = next(case for case in cases() if "uncovered" in case.tags)

    async def value(case: Case, text: str) -> float:
        (verdict,) = await right(case, Output(text=text))
        return verdict.value

    assert await value(known, "It takes 3 to 5 working days.") == 1
    assert await value(known, "It takes 13 to 15 working days.") == 0
    assert await value(unknown, "I don't know that.") == 1
    assert await value(unknown, "Yes, of course!") == 0
