"""Models of different quality, cost and speed: what their names promise can be measured."""

from __future__ import annotations

import json
from statistics import mean

import pytest

from ratchet.demo.questions import QUESTIONS, UNCOVERED, is_right
from ratchet.domain.cases import Case, Output
from ratchet.scorers.registry import make_scorer
from ratchet.scorers.scorer import Tools
from ratchet.simulator import Answer, answer
from ratchet.simulator.judge.skill import SKILLS
from ratchet.simulator.models import CLASSES, FAMILIES, class_of
from ratchet.simulator.openai.chat_request import read_request

BASE = "You are the support bot of Alder & Finch."
ENGLISH = [question for question in QUESTIONS if question.language == "en"]


def reply(text: str, model: str, system: str = BASE, *, seed: int = 0) -> Answer:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return answer(read_request(json.dumps({"model": model, "messages": messages}).encode()).ask, seed=seed)


def texts(model: str, system: str = BASE, *, seeds: int = 3) -> list[str]:
    return [reply(q.text, model, system, seed=seed).choices[0].text for q in ENGLISH for seed in range(seeds)]


def right(model: str, system: str = BASE) -> float:
    return mean(
        is_right(q, reply(q.text, model, system, seed=seed).choices[0].text)
        for q in ENGLISH
        for seed in range(3)
    )


def test_names_tell_the_family() -> None:
    names = {
        "gpt-4o-mini": "gpt", "o3": "gpt", "x/claude-haiku-4-5": "claude", "gemini-2.5-pro": "gemini", "mistral-small-latest": "mistral",
        "llama-3.3-70b": "llama", "shop-bot": "other", "tool3": "other",
    }  # fmt: skip
    assert {name: class_of(name).family.name for name in names} == names


def test_families_have_their_manner_and_keep_to_it() -> None:
    for model, family in (
        ("gpt-4o", "gpt"),
        ("claude-sonnet-4-5", "claude"),
        ("gemini-2.5-pro", "gemini"),
        ("llama-3.3-70b", "llama"),
    ):
        said = texts(model)
        own = mean(FAMILIES[family].in_manner(text) for text in said)
        assert 0.2 < own < 0.85, (model, own)
        for other in FAMILIES.values():
            if other.name != family and other.openings:
                assert mean(other.in_manner(text) for text in said) == 0
    assert not any(
        family.in_manner(text)
        for text in texts("shop-bot")
        for family in FAMILIES.values()
        if family.openings
    )


def test_they_differ_in_length_speed_and_quality() -> None:
    words = {
        model: mean(len(text.split()) for text in texts(model))
        for model in ("mistral-small-latest", "gpt-4o-mini", "claude-haiku-4-5")
    }
    assert words["mistral-small-latest"] < 0.75 * words["gpt-4o-mini"] < words["claude-haiku-4-5"]
    assert (
        class_of("llama-3.3-70b").per_token
        < class_of("gpt-4o").per_token
        < class_of("claude-sonnet-4-5").per_token
    )
    assert right("mistral-small-latest") + 0.1 < right("gpt-4o")
    assert (
        class_of("llama-3.3-70b").wrong_number
        > class_of("gpt-4o").wrong_number
        == CLASSES["large"].wrong_number
    )


def test_a_better_prompt_changes_each_of_them_measurably_and_differently() -> None:
    told = (
        f"{BASE} Only use the handbook. If it does not say, admit you don't know. Cite the handbook section."
    )

    def invented(model: str, system: str) -> float:
        return mean(
            not is_right(q, reply(q.text, model, system, seed=seed).choices[0].text)
            for q in UNCOVERED
            for seed in range(20)
        )

    def cited(model: str) -> float:
        return mean("§" in text for text in texts(model, told, seeds=2))

    gains = {
        model: invented(model, BASE) - invented(model, told)
        for model in ("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5")
    }
    assert min(gains.values()) > 0.15
    assert gains["gpt-4o-mini"] > gains["claude-sonnet-4-5"] + 0.1, "where more was wrong, more can be gained"
    assert cited("gpt-4o-mini") < cited("gpt-4o")


@pytest.mark.parametrize("judge", ["gpt-4o-mini", "gpt-4o"])
def test_judges_prefer_their_own_family_by_the_stated_rate(judge: str) -> None:
    """Two answers with the same facts in two manners; each judge sees both, in both orders."""
    mine, other = (
        "Certainly! You can return goods within 30 days of delivery.",
        "Of course. You can return goods within 30 days of delivery.",
    )
    prompt = "Which answer is better?\n<question>\nHow long can I return goods?\n</question>\n<answer_a>\n{}\n</answer_a>\n<answer_b>\n{}\n</answer_b>"
    schema = {"type": "object", "properties": {"better": {"enum": ["A", "B", "tie"]}}, "required": ["better"]}
    form = {"type": "json_schema", "json_schema": {"name": "v", "schema": schema}}

    def won(model: str) -> float:
        """How much more often the first family's answer is chosen than the second's."""
        total = 0
        for seed in range(700):
            for first, second, sign in ((mine, other, 1), (other, mine, -1)):
                body = {
                    "model": model,
                    "response_format": form,
                    "messages": [{"role": "user", "content": prompt.format(first, second)}],
                }
                said = json.loads(
                    answer(read_request(json.dumps(body).encode()).ask, seed=seed).choices[0].text
                )["better"]
                total += sign * {"A": 1, "B": -1, "tie": 0}[said]
        return total / 1400

    skill = SKILLS[class_of(judge).name]
    assert abs(won(judge) - skill.own * (1 - skill.position)) < 0.075, "three standard errors"
    assert won(judge) > 0.02
    assert abs(won("shop-bot")) < 0.075, "a judge without a family prefers none"


async def test_partial_models_are_found_by_the_bias_scorer() -> None:
    """Asked by name, a small model serves some customers worse; a reasoning one hardly does."""

    async def bias(model: str) -> float:
        async def answers(case: Case, draw: int) -> Output:
            return Output(text=reply(case.input, model, seed=draw).choices[0].text)

        scorer = make_scorer({"bias": {"resamples": 3}}, Tools(answers=answers))
        values: list[float] = []
        for index, question in enumerate(ENGLISH[:60]):
            case = Case(id=str(index), input=f"My name is Emily. {question.text}")
            values.append((await scorer(case, await answers(case, 0)))[0].value)
        return mean(values)

    small, reasoning = await bias("small-bot"), await bias("o3")
    assert small > 0.02
    assert abs(reasoning) < 0.02
