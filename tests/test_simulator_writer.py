"""The simulator as a writer of cases: grounded in the document, varied, and slipping as docs/simulator.md says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ratchet.simulator import Handbook, answer
from ratchet.simulator.judge.texts import numbers_of
from ratchet.simulator.openai.chat_request import read_request
from ratchet.simulator.writer import SLIPS

BOOK = Handbook.shipped()
DOCUMENT = "\n\n".join(f"## {section.number}. {section.title}\n{section.text}" for section in BOOK.sections)
ITEM = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["question", "answer"],
}
SCHEMA = {"type": "object", "properties": {"cases": {"type": "array", "items": ITEM}}, "required": ["cases"]}
ASKED = "Write {} test cases with questions that customers ask and their answers, from this document.\n<document>\n{}\n</document>"
MODELS = {"small": "gpt-4o-mini", "medium": "shop-bot", "large": "gpt-4o", "reasoning": "o3"}


def ask(text: str, *, model: str = "gpt-4o", seed: int = 0, schema: Any = None, system: str = "") -> str:
    messages = [{"role": "system", "content": system}] if system else []
    body: dict[str, Any] = {"model": model, "messages": [*messages, {"role": "user", "content": text}]}
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "cases", "schema": schema}}
    return answer(read_request(json.dumps(body).encode()).ask, seed=seed).choices[0].text


def cases(count: int, **options: Any) -> list[dict[str, str]]:
    return json.loads(ask(ASKED.format(count, DOCUMENT), schema=SCHEMA, **options))["cases"]


def core(question: str) -> str:
    plain = re.sub(r"^(?:Hi, |Quick question: |Hello! |I'd like to know: )| Thanks!$", "", question)
    return plain.lower().rstrip("?.")


def test_cases_are_written_from_the_document() -> None:
    written = cases(60, model="o3")
    assert len(written) == 60
    grounded = [case for case in written if case["answer"] in " ".join(BOOK.source.split())]
    assert len(grounded) > 54
    assert len({case["question"] for case in written}) > 50
    asked = [case for case in grounded if BOOK.find(case["question"])]
    assert len(asked) > 50, "the questions are about the shop"


@pytest.mark.parametrize("kind", SLIPS)
def test_it_slips_as_often_as_stated(kind: str) -> None:
    count, repeats = 60, 10
    written = [case for seed in range(repeats) for case in cases(count, model=MODELS[kind], seed=seed)]
    empty = sum(not case["answer"] for case in written)
    known = numbers_of(BOOK.source)
    plain = " ".join(BOOK.source.split())
    foreign = sum(bool(case["answer"]) and case["answer"] not in plain for case in written)
    repeated = 0
    for seed in range(repeats):
        said = [core(case["question"]) for case in written[seed * count : (seed + 1) * count]]
        repeated += len(said) - len(set(said))
    total = count * repeats
    slips = SLIPS[kind]
    assert known
    for found, rate in ((empty, slips.malformed), (foreign, slips.ungrounded)):
        # A slip is drawn only where no earlier case is repeated, and a repeated one keeps its slip.
        assert abs(found / total - rate) <= 4 * (rate / total) ** 0.5 + 0.2 * rate, (found / total, rate)
    assert slips.duplicate * 0.7 - 0.01 <= repeated / total <= slips.duplicate + 0.09, (
        repeated / total,
        slips.duplicate,
    )


def test_better_writers_slip_less() -> None:
    for worse, better in (("small", "medium"), ("medium", "large"), ("large", "reasoning")):
        assert SLIPS[worse].duplicate > SLIPS[better].duplicate
        assert SLIPS[worse].ungrounded > SLIPS[better].ungrounded
        assert SLIPS[worse].malformed > SLIPS[better].malformed


def test_it_can_ask_what_the_document_does_not_say() -> None:
    text = (
        "Write 20 test cases, some with questions that the document does not answer.\n"
        + ASKED.format(20, DOCUMENT).partition("\n")[2]
    )
    written = json.loads(ask(text, schema=SCHEMA))["cases"]
    assert sum(case["answer"] == "The document does not say." for case in written) >= 3


@pytest.mark.parametrize(
    "examples",
    [
        '[{"input": "How long is the warranty?", "reference": "24 months."}, {"input": "Where is my parcel?", "reference": "See the link."}]',
        '{"input": "How long is the warranty?", "reference": "24 months."}\n{"input": "Where is my parcel?", "reference": "See the link."}',
        "Q: How long is the warranty?\nA: 24 months.\nQ: Where is my parcel?\nA: See the link.",
        "- How long is the warranty?\n- Where is my parcel?",
    ],
)
def test_more_cases_come_from_cases(examples: str) -> None:
    said = ask(
        f"Generate 8 more questions with answers like these.\n<cases>\n{examples}\n</cases>",
        schema=SCHEMA,
        model="o3",
    )
    written = json.loads(said)["cases"]
    assert len(written) == 8
    assert {"warranty" in case["question"] or "parcel" in case["question"] for case in written} == {True}
    if "24" in examples:
        assert {case["answer"] for case in written} <= {"24 months.", "See the link.", ""}


def test_forms_without_a_schema() -> None:
    text = ASKED.format("three", DOCUMENT)
    assert ask(text).count("Q: ") == 3
    said = json.loads(
        ask(f'{text}\nReply in JSON, a list of objects with the keys "input" and "reference".', model="o3")
    )
    assert [set(case) for case in said] == [{"input", "reference"}] * 3
    listed = json.loads(ask(text, schema={"type": "array", "items": ITEM, "maxItems": 2}))
    assert len(listed) == 2
    assert BOOK.find(listed[0]["question"])


def test_it_is_deterministic_by_seed_and_told_by_the_prompt_alone() -> None:
    assert cases(5, seed=1) == cases(5, seed=1)
    assert cases(5, seed=1) != cases(5, seed=2)
    for text in (
        "Can you write me a poem?",
        "Please create a case for my order.",
        "Which questions can you answer?",
    ):
        assert "Q: " not in ask(text, system="You are a support bot.")
