"""Scorers of texts, labels and conduct: exact, contains, numbers, lengths, labels, refusals, time and money."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.embeddings import LocalEmbedder
from ratchet.errors import UpstreamFailed
from ratchet.scorers.conduct import refuses
from ratchet.scorers.matching import numbers_in
from ratchet.scorers.meaning import greedy_matching
from ratchet.scorers.registry import make_scorer
from ratchet.scorers.scorer import Tallies, Tools

LOCAL = LocalEmbedder()
TOOLS = Tools(embed=LOCAL.embed, tokens=LOCAL)
FEW = settings(max_examples=150, deadline=None)


async def judged(spec: Any, text: str | Output, reference: Any = None) -> list[Verdict]:
    output = text if isinstance(text, Output) else Output(text=text)
    return await make_scorer(spec, TOOLS)(Case(id="1", input="q", reference=reference), output)


async def value(spec: Any, text: str | Output, reference: Any = None) -> float:
    return (await judged(spec, text, reference))[0].value


# -- the same, or near it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "text", "reference", "expected"),
    [
        ({}, " Yes\n", "Yes", 1),
        ({}, "yes", "Yes", 0),
        ({"ignore_case": True}, "STRASSE", "straße", 1),
        ({"strip": False}, "Yes ", "Yes", 0),
        ({}, "no", ["yes", "no"], 1),
        ({}, "42", 42, 1),
        ({}, "true", True, 1),
        ({}, "", "", 1),
    ],
)
async def test_exact(given_: dict[str, Any], text: str, reference: Any, expected: float) -> None:
    assert await value({"exact": given_}, text, reference) == expected


async def test_a_reference_that_is_an_object_is_not_compared_as_text() -> None:
    (verdict,) = await judged("exact", "{}", {"a": 1})
    assert not verdict.scored
    assert "json_distance" in verdict.comment


@pytest.mark.parametrize(
    ("given_", "text", "expected", "comment"),
    [
        ({}, "it takes 3 days", 1, ""),
        ({}, "it takes 4 days", 0, "none of: 3 days"),
        ({"all": ["takes", "days"]}, "it takes 4 days", 1, ""),
        ({"all": ["takes", "weeks"]}, "it takes 4 days", 0, "missing: weeks"),
        ({"any": ["weeks", "days"]}, "4 days", 1, ""),
        ({"any": ["weeks"]}, "3 days", 0, "none of: weeks"),
        ({"all": ["4"], "any": ["DAYS"], "ignore_case": True}, "4 days", 1, ""),
    ],
)
async def test_contains(given_: dict[str, Any], text: str, expected: float, comment: str) -> None:
    (verdict,) = await judged({"contains": given_}, text, "3 days")
    assert (verdict.value, verdict.comment) == (expected, comment)


async def test_regex() -> None:
    assert await value({"regex": {"pattern": r"\d+ days"}}, "it takes 3 days.") == 1
    assert await value({"regex": {"pattern": r"\d+ days", "full": True}}, "it takes 3 days.") == 0
    assert await value({"regex": {"pattern": "DAYS", "ignore_case": True}}, "3 days") == 1


@given(st.text(max_size=30), st.text(max_size=30))
@FEW
async def test_edit_distance_is_symmetric_and_1_for_the_same(one: str, other: str) -> None:
    there, back = await value("edit_distance", one, other), await value("edit_distance", other, one)
    assert there == back
    assert 0 <= there <= 1
    assert (there == 1) == (one == other)


async def test_edit_distance_by_hand() -> None:
    assert await value("edit_distance", "kitten", "sitting") == pytest.approx(1 - 3 / 7)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, 3),
        ({"unit": "characters"}, 11),
        ({"unit": "tokens"}, 5),
        ({"most": 3}, 1),
        ({"most": 2}, 0),
        ({"least": 4}, 0),
        ({"least": 2, "most": 4}, 1),
    ],
)
async def test_length(given_: dict[str, Any], expected: float) -> None:
    output = Output(text="one two 33 ", output_tokens=5)
    made = make_scorer({"length": given_}, TOOLS)
    (verdict,) = await made(Case(id="1", input=""), output)
    assert verdict.value == expected
    assert made.about.binary == (made.about.high == 1.0) == bool({"least", "most"} & set(given_))


async def test_tokens_that_nobody_counted_are_unknown() -> None:
    assert math.isnan(await value({"length": {"unit": "tokens"}}, "a text"))


# -- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "decimal", "found"),
    [
        ("The total is $1,234.50.", ".", [1234.5]),
        ("−5 °C, +3, and -0.5", ".", [-5, 3, -0.5]),
        ("2019-2021", ".", [2019, 2021]),
        ("1.2e-3 or 4E2", ".", [0.0012, 400]),
        (".5 and 12%", ".", [0.5, 12]),
        ("1,23 is no group", ".", [1, 23]),
        ("A4, v2, B-52", ".", [52]),
        ("1.234,5 Euro", ",", [1234.5]),
        ("3,5", ",", [3.5]),
        ("12\u00a0000 and 1_000_000", ".", [12000, 1000000]),
        ("version 1.2.3", ".", [1.2]),
        ("none", ".", []),
        ("1e999", ".", []),
    ],
)
def test_numbers_in_prose(text: str, decimal: str, found: list[float]) -> None:
    assert numbers_in(text, decimal) == found


@given(
    st.floats(-1e12, 1e12, allow_nan=False),
    st.sampled_from(["{:.3f}", "{:,.2f}", "{:_.1f}", "{:.6e}", "{:,.0f}"]),
)
@FEW
def test_a_number_is_read_as_it_was_written(number: float, form: str) -> None:
    written = form.format(number)
    assert numbers_in(f"It is {written}, I think.") == [float(written.replace(",", ""))]


@given(st.text(alphabet="0123456789.,-+−eE _x\u00a0", max_size=30), st.sampled_from(".,"))
@FEW
def test_any_text_gives_finite_numbers(text: str, decimal: str) -> None:
    assert all(math.isfinite(each) for each in numbers_in(text, decimal))


@pytest.mark.parametrize(
    ("given_", "text", "reference", "expected"),
    [
        ({}, "It costs 4.90 euros.", "4.90 euros", 1),
        ({}, "Not 5 but 4.9", 4.9, 1),
        ({"take": "first"}, "4.9, that is 5 rounded", 4.9, 1),
        ({}, "4.9, that is 5 rounded", 4.9, 0),
        ({"absolute": 0.1}, "5", 4.9, 1),
        ({"relative": 0.01}, "5", 4.9, 0),
        ({"relative": 0.03}, "5", 4.9, 1),
        ({}, "five", 5, 0),
        ({}, "5", [4, 5], 1),
    ],
)
async def test_numeric(given_: dict[str, Any], text: str, reference: Any, expected: float) -> None:
    # 5 - 4.9 is a little more than 0.1 in binary
    tolerant = {**given_, "absolute": given_["absolute"] + 1e-9} if "absolute" in given_ else given_
    assert await value({"numeric": tolerant}, text, reference) == expected


async def test_a_reference_without_one_number_is_unscored() -> None:
    for reference in ("soon", "2 or 3", True, {"a": 1}):
        (verdict,) = await judged("numeric", "3", reference)
        assert not verdict.scored
        assert "reference" in verdict.comment


# -- labels --------------------------------------------------------------------------------------------------------

LABELS = ["billing", "delivery", "spam", "not spam"]


@pytest.mark.parametrize(
    ("given_", "text", "label"),
    [
        ({}, "Billing", "billing"),
        ({}, ' **"Billing".** \n', "billing"),
        ({"labels": LABELS}, "I would call this a Delivery question.", "delivery"),
        ({"labels": LABELS}, "this is not  spam", "not spam"),
        ({"labels": LABELS}, "billing, or perhaps delivery", ""),
        ({"labels": LABELS, "take": "first"}, "billing, or perhaps delivery", "billing"),
        ({"labels": LABELS, "take": "last"}, "delivery? No: billing, not delivery; billing", "billing"),
        ({"labels": LABELS}, "rebilling", ""),
        ({"labels": LABELS}, "", ""),
        ({"labels": LABELS, "key": "topic"}, '```json\n{"topic": "spam"}\n```', "spam"),
        ({"labels": LABELS, "key": "topic"}, '{"other": "spam"}', ""),
        ({"labels": LABELS, "key": "topic"}, "spam", ""),
        ({"labels": ["true", "false"], "key": "ok"}, '{"ok": true}', "true"),
    ],
)
async def test_the_label_of_an_answer(given_: dict[str, Any], text: str, label: str) -> None:
    reference = given_.get("labels", ["billing"])[0]
    (verdict,) = await judged({"classification": given_}, text, reference)
    assert verdict.label == label
    assert verdict.value == (label == reference)
    assert label or verdict.comment


async def test_a_reference_that_is_no_label_is_unscored() -> None:
    (verdict,) = await judged({"classification": {"labels": LABELS}}, "spam", "fraud")
    assert not verdict.scored
    assert "'fraud'" in verdict.comment


def labelled(pairs: list[tuple[str, str]], labels: list[str]) -> Any:
    scorer = make_scorer({"classification": {"labels": labels}}, TOOLS)
    assert isinstance(scorer, Tallies)

    async def all_of_them() -> list[Verdict]:
        return [
            (await scorer(Case(id="1", input="q", reference=right), Output(text=given)))[0]
            for right, given in pairs
        ]

    return scorer.tally([*asyncio.run(all_of_them()), Verdict(name="classification", comment="no answer")])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=30))
@FEW
def test_the_tally_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    labels = ["a", "b", "c", "d"]
    tally = labelled(pairs, labels)
    right, given = zip(*pairs, strict=True)
    assert tally.figures["accuracy"] == pytest.approx(accuracy_score(right, given))
    assert (tally.scored, tally.unscored) == (len(pairs), 1)
    for average in ("macro", "micro", "weighted"):
        theirs = precision_recall_fscore_support(
            right, given, labels=labels, average=average, zero_division=np.nan
        )
        for name, expected in zip(("precision", "recall", "f1"), theirs, strict=False):
            ours = tally.figures[f"{name}_{average}"]
            if math.isnan(ours):
                # no class with cases was ever given: scikit-learn then takes the others' precision, unweighted
                assert (name, average) == ("precision", "weighted")
                continue
            assert ours == pytest.approx(expected, nan_ok=True), (name, average)
    each = precision_recall_fscore_support(right, given, labels=labels, zero_division=np.nan)
    for index, label in enumerate(labels):
        for name, column in zip(("precision", "recall", "f1", "support"), each, strict=True):
            assert tally.classes[label][name] == pytest.approx(column[index], nan_ok=True), (label, name)
    assert tally.confusion.counts == confusion_matrix(right, given, labels=labels).tolist()


def test_an_answer_without_a_label_is_wrong_and_has_a_column() -> None:
    tally = labelled([("a", "a"), ("a", "no idea"), ("b", "b")], ["a", "b"])
    assert tally.confusion.labels == ["a", "b", ""]
    assert tally.confusion.counts == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert tally.figures["accuracy"] == tally.figures["recall_micro"] == pytest.approx(2 / 3)
    assert tally.figures["precision_micro"] == 1


def test_nothing_scored_is_nan_and_many_labels_draw_no_table() -> None:
    empty = labelled([], ["a"])
    assert all(math.isnan(each) for each in empty.figures.values())
    many = [f"label {number}" for number in range(101)]
    assert labelled([(each, each) for each in many], many).confusion is None


# -- conduct -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot provide instructions for this.",
        "I won’t do that.",
        "As a language model, I am not able to give medical advice.",
        "Unfortunately I must decline to answer this question.",
        "I am unable to assist with that request.",
        "That's not something I can help with.",
        "Es tut mir leid, ich kann dabei nicht helfen.",
        "Je ne peux pas vous aider avec cette demande.",
        "Lo siento, no puedo ayudar con eso.",
        "Sorry, ik kan u daarbij niet helpen.",
    ],
)
async def test_refusals_are_found(text: str) -> None:
    (verdict,) = await judged("refusal", text)
    assert verdict.value == 1
    assert verdict.comment.strip("“”") in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You can't return opened food.",
        "We do not ship to the United States or Asia.",
        "If the parcel can't be delivered, it comes back to us.",
        "I can help with that: delivery takes 3 days.",
        "I'm sorry that your tent arrived broken. We will replace it.",
        "The shop declines cards that have expired.",
        "Ich kann Ihnen sagen, dass die Lieferung 3 Tage dauert.",
        "x" * 500 + " I can't help with that.",
    ],
)
def test_what_is_no_refusal_is_none(text: str) -> None:
    assert refuses(text) == ""


def test_whether_refusing_is_good_is_a_setting() -> None:
    assert not make_scorer("refusal", TOOLS).about.higher_is_better
    assert make_scorer({"refusal": {"wanted": True}}, TOOLS).about.higher_is_better


async def test_time_and_money() -> None:
    output = Output(text="x", latency=1.5, time_to_first_token=0.25, cost=Decimal("0.0021"))
    assert await value("latency", output) == 1.5
    assert await value({"latency": {"until": "first_token"}}, output) == 0.25
    assert await value("cost", output) == 0.0021
    for name, limit, kept in (
        ("latency", 1.5, 1),
        ("latency", 1.4, 0),
        ("cost", 0.01, 1),
        ("cost", 0.002, 0),
    ):
        made = make_scorer({name: {"limit": limit}}, TOOLS)
        assert (made.about.binary, made.about.higher_is_better, made.about.high) == (True, True, 1.0)
        assert (await made(Case(id="1", input=""), output))[0].value == kept
    assert math.isnan(await value("latency", "x"))
    assert math.isnan(await value("cost", "x"))


# -- meaning -------------------------------------------------------------------------------------------------------


async def test_embedding_similarity() -> None:
    same = await value("embedding_similarity", "The tent is green.", "The tent is green.")
    near = await value("embedding_similarity", "You may send it back.", "You can return the item.")
    far = await value("embedding_similarity", "You may send it back.", "The moon is made of cheese.")
    assert same == pytest.approx(1, abs=1e-5)
    assert same > near > far >= -1
    best = await value(
        "embedding_similarity", "You may send it back.", ["The moon", "You can return the item."]
    )
    assert best == pytest.approx(near)
    for text, reference, what in (("", "x", "answer"), ("x", "", "reference")):
        (verdict,) = await judged("embedding_similarity", text, reference)
        assert (verdict.scored, verdict.comment) == (False, f"there is nothing in the {what} to embed")


async def test_an_embedder_that_fails_leaves_the_case_unscored() -> None:
    async def down(texts: Any) -> Any:
        raise UpstreamFailed("It is down.", "Wait.")

    made = make_scorer("embedding_similarity", Tools(embed=down))
    (verdict,) = await made(Case(id="1", input="", reference="a"), Output(text="b"))
    assert (verdict.scored, verdict.comment) == (False, "the texts could not be embedded: It is down.")


async def test_token_matching_has_parts() -> None:
    f1, precision, recall = await judged("token_matching", "the green tent", "the green tent costs 80 euros")
    assert [each.name for each in (f1, precision, recall)] == [
        "token_matching", "token_matching.precision", "token_matching.recall",
    ]  # fmt: skip
    assert precision.value == pytest.approx(1)
    assert recall.value < 1
    assert f1.value == pytest.approx(2 * precision.value * recall.value / (precision.value + recall.value))
    assert all(not each.scored for each in await judged("token_matching", "", "x"))


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
)
@FEW
def test_token_matching_is_what_its_definition_says(made: list[int], wanted: list[int]) -> None:
    table = np.random.default_rng(3).normal(size=(13, 4)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    cosines = np.clip(table[made] @ table[wanted].T, 0, 1)
    found = greedy_matching(made, wanted, lambda tokens: table[np.asarray(tokens, np.int64)])
    precision, recall = cosines.max(axis=1).mean(), cosines.max(axis=0).mean()
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert found == pytest.approx((precision, recall, f1), abs=1e-5)


def test_long_texts_are_matched_in_pieces_to_the_same_end() -> None:
    generator = np.random.default_rng(5)
    table = generator.normal(size=(4000, 64)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    made, wanted = list(range(1500)), list(range(1400, 3000))
    cosines = np.clip(table[made] @ table[wanted].T, 0, 1)
    precision, recall, _ = greedy_matching(made, wanted, lambda tokens: table[np.asarray(tokens, np.int64)])
    assert precision == pytest.approx(cosines.max(axis=1).mean(), abs=1e-5)
    assert recall == pytest.approx(cosines.max(axis=0).mean(), abs=1e-5)
