"""Scorers of JSON and of tool calls."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.messages import ToolCallPart
from ratchet.scorers.function import Unscored
from ratchet.scorers.registry import make_scorer
from ratchet.scorers.scorer import Tools
from ratchet.scorers.structure import json_distance

FEW = settings(max_examples=200, deadline=None)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]) | st.just(0.5)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


async def judged(spec: Any, output: Output, reference: Any = None) -> list[Verdict]:
    return await make_scorer(spec, Tools())(Case(id="1", input="q", reference=reference), output)


# -- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "valid", "bare"),
    [
        ('{"a": [1, null]}', 1, 1),
        (" 3 ", 1, 1),
        ('```json\n{"a": 1}\n```', 1, 0),
        ("```\n[]\n```\n", 1, 0),
        ("Here it is: {}", 0, 0),
        ('{"a": NaN}', 0, 0),
        ('{"a": 1, "a": 2}', 0, 0),
        ("", 0, 0),
        ("[" * 100_000, 0, 0),
    ],
)
async def test_json_valid(text: str, valid: float, bare: float) -> None:
    assert [each.value for each in await judged("json_valid", Output(text=text))] == [valid]
    (verdict,) = await judged({"json_valid": {"bare": True}}, Output(text=text))
    assert verdict.value == bare
    assert bool(verdict.comment) == (not bare)


SCHEMA = {"type": "object", "required": ["price"], "properties": {"price": {"type": "number", "minimum": 0}}}


@pytest.mark.parametrize(
    ("text", "value", "comment"),
    [
        ('{"price": 3}', 1, ""),
        ('{"price": -3}', 0, "$.price: -3 is less than the minimum of 0"),
        ("{}", 0, "$: 'price' is a required property"),
        ("three", 0, "the answer is no JSON"),
    ],
)
async def test_json_schema(text: str, value: float, comment: str) -> None:
    (verdict,) = await judged({"json_schema": {"schema": SCHEMA}}, Output(text=text))
    assert verdict.value == value
    assert verdict.comment.startswith(comment)
    assert bool(verdict.comment) == (not value)


async def test_a_schema_fetches_nothing() -> None:
    (verdict,) = await judged(
        {"json_schema": {"schema": {"$ref": "https://example.com/schema.json"}}}, Output(text="{}")
    )
    assert not verdict.scored
    assert "https://example.com/schema.json" in verdict.comment


@given(TREES, TREES)
@FEW
def test_the_distance_is_symmetric_between_0_and_1_and_0_for_the_same(one: Any, other: Any) -> None:
    there = json_distance(one, other)
    assert there == json_distance(other, one)
    assert 0 <= there <= 1
    assert json_distance(one, json.loads(json.dumps(one))) == 0


@given(TREES)
@FEW
def test_another_tree_is_at_a_distance(tree: Any) -> None:
    assert json_distance(tree, {"z": tree}) > 0
    assert json_distance(tree, [tree, 1]) > 0


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (1, 1.0, 0),
        (1, True, 1),
        (0, False, 1),
        (None, 0, 1),
        ("a", ["a"], 1),
        ({}, [], 1),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, 1 / 2),
        ({"a": 1}, {"b": 1}, 1),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1}, 2 / 3),
        ([1, 2, 3], [2, 3], 1 / 3),
        ([1, 2, 3], [1, 3, 2], 2 / 3),
        ([], [1], 1),
        ([{"a": 1, "b": 2}], [{"a": 1, "b": 3}], 1 / 2),
    ],
)
def test_distances_by_hand(one: Any, other: Any, distance: float) -> None:
    assert json_distance(one, other) == pytest.approx(distance)


async def test_json_distance() -> None:
    async def distance(text: str, reference: Any) -> Verdict:
        return (await judged("json_distance", Output(text=text), reference))[0]

    assert (await distance('```json\n{"a": 1}\n```', {"a": 1})).value == 0
    assert (await distance('{"a": 2}', '{"a": 1}')).value == 1
    assert (await distance("soon", {"a": 1})).value == 1
    unreadable = await distance("{}", "soon")
    assert (unreadable.scored, unreadable.comment) == (False, "the reference is no JSON")
    deep = await distance("[" * 400 + "]" * 400, json.loads("[" * 400 + "1" + "]" * 400))
    assert deep.scored or deep.comment == "it is nested too deeply"


def test_what_would_take_too_long_is_refused() -> None:
    with pytest.raises(Unscored, match="too large"):
        json_distance(list(range(3000)), list(range(3000)))


# -- tool calls ----------------------------------------------------------------------------------------------------


def call(name: str, **arguments: Any) -> ToolCallPart:
    return ToolCallPart(id=None, name=name, arguments=arguments)


WANTED = [
    {"name": "find", "arguments": {"id": 7}},
    {"name": "mail", "arguments": {"to": "a", "subject": "b"}},
]
FIND, MAIL = call("find", id=7), call("mail", to="a", subject="b")


@pytest.mark.parametrize(
    ("given_", "made", "value", "names", "arguments"),
    [
        ({}, [FIND, MAIL], 1, 1, 1),
        ({}, [MAIL, FIND], 1, 1, 1),
        ({"order": True}, [MAIL, FIND], 1 / 2, 1 / 2, 1),
        ({}, [FIND], 1 / 2, 1 / 2, 1),
        ({}, [FIND, MAIL, call("find", id=8)], 2 / 3, 2 / 3, 1),
        ({}, [call("find", id=8), MAIL], 1 / 2, 1, 1 / 2),
        ({}, [call("find", id=7, deep=True), MAIL], 1 / 2, 1, 1 / 2),
        ({"arguments": "subset"}, [call("find", id=7, deep=True), MAIL], 1, 1, 1),
        ({"arguments": "any"}, [call("find", id=8), call("mail")], 1, 1, 1),
        ({}, [call("other")], 0, 0, math.nan),
        ({}, [], 0, 0, math.nan),
        ({}, [ToolCallPart(id=None, name="find", arguments='{"id": 7.0}'), MAIL], 1, 1, 1),
        ({}, [call("find", id=True), MAIL], 1 / 2, 1, 1 / 2),
    ],
)
async def test_tool_calls(
    given_: dict[str, Any], made: list[ToolCallPart], value: float, names: float, arguments: float
) -> None:
    found = await judged({"tool_calls": given_}, Output(tool_calls=made), WANTED)
    assert [each.name for each in found] == ["tool_calls", "tool_calls.names", "tool_calls.arguments"]
    assert [each.value for each in found] == pytest.approx([value, names, arguments], nan_ok=True)


@pytest.mark.parametrize(
    "reference",
    [
        "find",
        ["find"],
        {"name": "find", "arguments": {"id": 7}},
        [{"function": {"name": "find", "arguments": '{"id": 7}'}}],
        {"tool_calls": [{"name": "find"}]},
    ],
)
async def test_a_reference_says_which_calls_are_wanted(reference: Any) -> None:
    assert (await judged("tool_calls", Output(tool_calls=[FIND]), reference))[0].value == 1
    missing = (await judged("tool_calls", Output(text="I would call find"), reference))[0]
    assert (missing.value, missing.comment) == (0, "missing: find")


async def test_no_call_may_be_what_is_wanted() -> None:
    assert (await judged("tool_calls", Output(text="Hello"), []))[0].value == 1
    (wrong, _, _) = await judged("tool_calls", Output(tool_calls=[FIND]), [])
    assert (wrong.value, wrong.comment) == (0, "not wanted: find")


@pytest.mark.parametrize("reference", [3, [3], {"a": 1}, [{"function": {}}], [None]])
async def test_a_reference_that_is_no_call_is_unscored(reference: Any) -> None:
    found = await judged("tool_calls", Output(tool_calls=[FIND]), reference)
    assert len(found) == 3
    assert all(not each.scored and "no list of tool calls" in each.comment for each in found)


CALLS = st.lists(
    st.tuples(st.sampled_from("fg"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 1), max_size=2)),
    max_size=4,
)


@given(CALLS, CALLS, st.booleans())
@FEW
async def test_as_many_calls_are_matched_as_can_be(wanted: list[Any], made: list[Any], order: bool) -> None:
    """Against every way of pairing them."""
    reference = [{"name": name, "arguments": arguments} for name, arguments in wanted]
    output = Output(tool_calls=[call(name, **arguments) for name, arguments in made])
    found = await judged({"tool_calls": {"arguments": "subset", "order": order}}, output, reference)
    assert found[0].value == pytest.approx(
        best(wanted, made, order) / max(len(wanted), len(made)) if wanted or made else 1
    )


def best(wanted: list[Any], made: list[Any], order: bool) -> int:
    def fits(one: Any, other: Any) -> bool:
        return one[0] == other[0] and one[1].items() <= other[1].items()

    most = 0
    for size in range(min(len(wanted), len(made)), 0, -1):
        for some in itertools.combinations(wanted, size):
            ways = itertools.combinations(made, size) if order else itertools.permutations(made, size)
            if any(all(map(fits, some, way)) for way in ways):
                return size
    return most
