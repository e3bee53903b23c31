"""What decides whether an earlier answer fits: deciding words, personal data, beliefs and their bound, neighbours."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.gateway.cache.keys import last_question
from ratchet.gateway.cache.learning import Belief, Bound, JudgeErrors, upper_share
from ratchet.gateway.cache.neighbours import Neighbours
from ratchet.gateway.cache.personal import is_personal
from ratchet.gateway.cache.tokens import deciding_difference, deciding_tokens
from ratchet.gateway.caller import NOBODY, Caller


def difference(one: str, other: str) -> str:
    return deciding_difference(deciding_tokens(one), deciding_tokens(other))


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("What is 5 km in miles?", "What is 6 km in miles?", "number"),
        ("Return after 30 days?", "Return after fourteen days?", "number"),
        ("Is version 1.20 out?", "Is version 1.2.0 out?", "number"),
        ("Who wrote Dune?", "Who wrote Emma?", "name"),
        ("Flights from Paris to London", "Flights from London to Paris", "name"),
        ("How heavy is the B12?", "How heavy is the B13?", "name"),
        ('What does "alpha" mean?', 'What does "beta" mean?', "name"),
        ("mail ada@example.org", "mail bob@example.org", "name"),
        ("Are you open on Monday?", "Are you open on Friday?", "date"),
        ("What did we sell yesterday?", "What did we sell today?", "date"),
        ("How much is it in euros?", "How much is it in dollars?", "unit"),
        ("Which foods are allowed?", "Which foods are not allowed?", "negation"),
        ("Does it work?", "Doesn't it work?", "negation"),
        ("a room with a bath", "a room without a bath", "negation"),
        ("Was ist erlaubt?", "Was ist nicht erlaubt?", "negation"),
        ("the cheapest hotel", "the most expensive hotel", "opposite"),
        ("turn on the heating", "turn off the heating", "opposite"),
        ("before the exam", "after the exam", "opposite"),
        ("upgrade my plan", "downgrade my plan", "opposite"),
        ("１２ apples", "13 apples", "number"),
    ],
)
def test_a_deciding_word_that_differs_is_found(one: str, other: str, kind: str) -> None:
    assert difference(one, other) == difference(other, one) == kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I cancel my order?", "What is the way to call off my purchase?"),
        ("Who is Anna's boss?", "who is the boss of anna"),
        ("Return after 30 days?", "May I return it after thirty days?"),
        ("1,000 dollars", "1000 $"),
        ("1.50 euros", "€ 1.5"),
        ("HOW DO I CANCEL?", "How do I cancel?"),
        ("What's the iPhone15's weight?", "the weight of the iphone15"),
        ("١٢ apples", "12 apples"),
        ("Hi! Can I pay later?", "can i pay later"),
    ],
)
def test_other_words_for_the_same_decide_nothing(one: str, other: str) -> None:
    assert difference(one, other) == difference(other, one) == ""


@given(st.text(max_size=120))
def test_a_question_never_differs_from_itself(text: str) -> None:
    assert difference(text, text) == ""


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["in {} days", "{} km", "EUR {}", "room {}."]),
)
def test_another_number_always_differs(one: int, other: int, frame: str) -> None:
    assert (difference(frame.format(one), frame.format(other)) == "") == (one == other)


@pytest.mark.parametrize(
    ("question", "answer", "fields", "caller", "personal"),
    [
        ("How do I pay?", "By card.", {}, NOBODY, False),
        ("How do I pay?", "Write to ada@example.org.", {}, NOBODY, True),
        ("Where is order 40 012 345?", "On its way.", {}, NOBODY, True),
        ("Where is it?", "Track it with AB12CD34.", {}, NOBODY, True),
        ("Who won in 1966?", "England, 4-2 after extra time.", {}, NOBODY, False),
        ("I am Ada, what is my plan?", "Basic.", {}, NOBODY, True),
        ("I am sorry, how do I pay?", "By card.", {}, NOBODY, False),
        ("What do you know of me?", "You are ada-lovelace.", {}, Caller(user="ada-lovelace"), True),
        ("Sum it up.", "Done.", {"messages": [{"role": "tool", "content": "x"}]}, NOBODY, True),
        ("Sum it up.", "Done.", {"tools": [{"type": "file_search"}]}, NOBODY, True),
        ("Sum it up.", "Done.", {"tools": [{"type": "function", "function": {}}]}, NOBODY, False),
        ("Sum it up.", "Done.", {"tools": [{"name": "get_order", "input_schema": {}}]}, NOBODY, False),
        ("Sum it up.", "Done.", {"previous_response_id": "resp_1"}, NOBODY, True),
        ("Sum it up.", "Done.", {"input": [{"content": [{"type": "input_file"}]}]}, NOBODY, True),
    ],
)
def test_personal_data_is_found(
    question: str, answer: str, fields: dict[str, object], caller: Caller, personal: bool
) -> None:
    assert is_personal(question, answer, fields, caller) is personal


def test_the_last_question_is_plain_text_of_a_user() -> None:
    said = {"role": "user", "content": "How?"}
    system = {"role": "system", "content": "Be brief."}
    parts = [{"type": "text", "text": "How?"}, {"type": "text", "text": "And why?"}]
    found = last_question({"messages": [system, said], "temperature": 0})
    assert found == ("How?", {"messages": [system, {"role": "user", "content": ""}], "temperature": 0})
    both = last_question({"messages": [{"role": "user", "content": parts}]})
    assert both is not None
    assert both[0] == "How?\nAnd why?"
    assert last_question({"input": "How?"}) == ("How?", {"input": ""})
    picture = {"role": "user", "content": [*parts, {"type": "image_url"}]}
    for turns in ([], [system], [picture], [{"role": "assistant", "content": "x"}], ["x"], None, 5):
        assert last_question({"messages": turns}) is None


# -- what is learned -----------------------------------------------------------------------------------------------


def test_upper_limits_hold() -> None:
    """A limit called 95 % lies below the truth in at most 5 % of many draws."""
    dice = random.Random(7)
    for truth in (0.005, 0.02, 0.1):
        below = sum(
            upper_share(sum(dice.random() < truth for _ in range(300)) / 300, 300, 0.05) < truth
            for _ in range(400)
        )
        assert below <= 400 * 0.05 + 2.6 * math.sqrt(400 * 0.05 * 0.95)
    assert upper_share(0, 100, 0.05) == pytest.approx(1 - 0.05 ** (1 / 100), abs=1e-6)
    assert upper_share(0, 0, 0.05) == 1


@pytest.mark.parametrize("errors", [JudgeErrors(), JudgeErrors(strict=0.05, lax=0.1)])
def test_a_belief_learns_how_sure_it_may_be(errors: JudgeErrors) -> None:
    """What it calls 90 % happens in about nine cases of ten, though the verdicts it learned from err."""
    dice = random.Random(3)
    belief = Belief({"bias": 4.0, "x": 4.0, "entry": 0.5}, errors)
    hard = {entry: dice.gauss(0, 0.7) for entry in range(40)}
    seen: list[tuple[float, bool]] = []
    for turn in range(12_000):
        entry, x = dice.randrange(40), dice.uniform(-2, 2)
        right = dice.gauss(0, 1) < 0.5 + 1.2 * x + hard[entry]
        features = [("bias", 1.0), ("x", x), (f"entry:{entry}", 1.0)]
        if turn > 3000:
            seen.append((belief.right(features), right))
        verdict = dice.random() >= errors.strict if right else dice.random() < errors.lax
        belief.learn(features, right=verdict)
    for low in (0.05, 0.3, 0.5, 0.7, 0.9):
        held = [right for chance, right in seen if low <= chance < low + 0.05]
        assert len(held) > 100
        assert sum(held) / len(held) == pytest.approx(low + 0.025, abs=0.1)
    sure = [right for chance, right in seen if chance > 0.98]
    assert sum(sure) / len(sure) > 0.975


@pytest.mark.parametrize("errors", [JudgeErrors(), JudgeErrors(strict=0.02, lax=0.1)])
@pytest.mark.parametrize("most", [0.01, 0.05])
def test_no_more_risk_is_taken_than_promised(most: float, errors: JudgeErrors) -> None:
    """Beliefs that are too sure of themselves don't break the promise: verdicts say what they are worth."""
    dice = random.Random(11)
    broken = 0
    for _ in range(40):
        bound = Bound(most, errors=errors)
        for _ in range(3000):
            risk = 10 ** dice.uniform(-4, 0)
            right = dice.random() >= min(1, 4 * risk)
            bound.note(risk, right=dice.random() >= errors.strict if right else dice.random() < errors.lax)
        taken = bound.risk
        served = [10 ** dice.uniform(-4, math.log10(taken)) for _ in range(4000)] if taken else []
        broken += bool(served) and sum(min(1, 4 * risk) for risk in served) / len(served) > most
    assert broken <= 40 * 0.05 + 2.6 * math.sqrt(40 * 0.05 * 0.95)


def test_nothing_is_promised_before_enough_is_known() -> None:
    bound = Bound(0.02)
    for _ in range(295):
        bound.note(0.001, right=True)
        assert bound.risk == 0
    for _ in range(30):
        bound.note(0.001, right=True)
    assert bound.risk > 0.0009
    for _ in range(20):
        bound.note(0.0005, right=False)
    assert bound.risk == 0


def test_neighbours_are_found_among_few_and_many_and_forgotten() -> None:
    """They are the same as those that a comparison with all finds, while vectors come and go, and the graph grows."""
    draw = np.random.default_rng(5)
    rows = draw.normal(size=(4000, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    there, alive = Neighbours(32), set[int]()
    assert there.nearest(rows[0], 3) == []
    found = total = 0
    for number, row in enumerate(rows):
        there.add(number + 1, row)
        alive.add(number + 1)
        if number % 3 == 2 and number > 20:
            gone = int(draw.choice(sorted(alive)))
            there.remove(gone)
            alive.remove(gone)
        if number % 100 == 99:
            wanted = rows[int(draw.integers(number))]
            near = there.nearest(wanted, 5)
            exact = sorted(alive, key=lambda each: -float(rows[each - 1] @ wanted))[:5]
            assert {each for each, _ in near} <= alive
            assert [cosine for _, cosine in near] == sorted((cosine for _, cosine in near), reverse=True)
            assert all(
                cosine == pytest.approx(float(rows[each - 1] @ wanted), abs=2e-3) for each, cosine in near
            )
            found += len({each for each, _ in near} & set(exact))
            total += 5
    assert found / total > 0.95
    assert len(there) == len(alive)
