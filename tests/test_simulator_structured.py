"""Any tool and any JSON Schema is honoured: valid instances, filled from the conversation and the answer."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openai import AsyncOpenAI
from pydantic import BaseModel

from ratchet.simulator import Simulator, answer
from ratchet.simulator.dice import Dice
from ratchet.simulator.openai.chat_request import read_request
from ratchet.simulator.patterns import Unsupported, matching
from ratchet.simulator.wire import Rejected

ASKED = "My order AF-10234 of 3 Larch Jackets came damaged on 2026-05-04. How long can I return goods? Write to rosa@example.org."


def filled(schema: Any, *, text: str = ASKED, model: str = "gpt-4o", seed: int = 0) -> tuple[Any, str]:
    """`(instance, flaw)` of a json_schema answer."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "strict": True, "schema": schema},
        },
    }
    found = answer(read_request(json.dumps(body).encode()).ask, seed=seed)
    return json.loads(found.choices[0].text), found.flaw


# -- schemas of every kind ---------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "answer",
        "section",
        "confidence",
        "order_id",
        "topic",
        "items",
        "price",
        "x",
        "isKnown",
        "date",
        "email",
        "note",
    ]
)
CONSTANTS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=6))
PATTERNS = st.sampled_from(
    ["^[A-Z]{2}-\\d{5}$", "\\d+", "^(red|green|blue)$", "^[a-z0-9_-]{3,16}$", "^\\w+@\\w+\\.(com|org)$", "^.{4}$",
     "^v\\d+(\\.\\d+){2}$", "[^a-z]", "^$|^x+$", "^#[0-9A-Fa-f]{6}$"]
)  # fmt: skip
FORMATS = st.sampled_from(
    ["date", "time", "date-time", "email", "uuid", "uri", "ipv4", "hostname", "unheard-of"]
)


@st.composite
def strings(draw: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    kind = draw(st.integers(0, 4))
    if kind == 0:
        schema["minLength"] = draw(st.integers(0, 80))
        schema["maxLength"] = schema["minLength"] + draw(st.integers(0, 60))
    elif kind == 1:
        schema["pattern"] = draw(PATTERNS)
    elif kind == 2:
        schema["format"] = draw(FORMATS)
    elif kind == 3:
        schema = {"enum": draw(st.lists(CONSTANTS, min_size=1, max_size=5))}
    return schema


@st.composite
def numbers(draw: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.integers(-1000, 1000))
    high = low + draw(st.integers(10, 500))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    if draw(st.integers(0, 3)) == 0:
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 3, 5]))
    return schema


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def objects(draw: Any) -> dict[str, Any]:
        properties = draw(st.dictionaries(NAMES, inner, max_size=4))
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        schema["required"] = (
            draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
        )
        if draw(st.booleans()):
            schema["additionalProperties"] = draw(st.one_of(st.just(False), inner))
        elif draw(st.booleans()):
            schema["minProperties"] = draw(st.integers(0, len(properties) + 2))
        return schema

    @st.composite
    def arrays(draw: Any) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": draw(inner)}
        if draw(st.booleans()):
            schema["minItems"] = draw(st.integers(0, 4))
            schema["maxItems"] = schema["minItems"] + draw(st.integers(0, 3))
        if draw(st.integers(0, 3)) == 0:
            schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
        return schema

    @st.composite
    def choices(draw: Any) -> dict[str, Any]:
        return {draw(st.sampled_from(["anyOf", "allOf"])): [draw(inner)]} | (
            {} if draw(st.booleans()) else {"anyOf": [draw(inner), {"type": "null"}]}
        )

    return st.one_of(objects(), arrays(), choices())


PLAIN = st.one_of(
    strings(), numbers(), st.just({"type": "boolean"}), st.just({"type": "null"}), st.just(True), st.just({}),
    st.builds(lambda value: {"const": value}, CONSTANTS), st.just({"type": ["integer", "null"]}),
)  # fmt: skip
SCHEMAS = st.recursive(PLAIN, containers, max_leaves=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, st.integers(0, 3))
@example({"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 5}]}, 0)
def test_every_schema_gets_a_valid_instance(schema: Any, seed: int) -> None:
    validator = Draft202012Validator(schema)
    instance, flaw = filled(schema, seed=seed)
    if flaw:
        # Only where two random parts exclude each other; then the flaw is told, and nothing is passed off as valid.
        assert "allOf" in json.dumps(schema) or "anyOf" in json.dumps(schema)
        return
    assert validator.is_valid(instance)


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
HARD: dict[str, Any] = {
    "recursion": TREE,
    "recursion through the root": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "more": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["text", "more"],
    },
    "oneOf told apart by a constant": {
        "type": "object",
        "properties": {
            "result": {
                "oneOf": [
                    {"type": "object", "properties": {"kind": {"const": "ok"}, "value": {"type": "integer"}}, "required": ["kind", "value"]},
                    {"type": "object", "properties": {"kind": {"const": "error"}, "why": {"type": "string"}}, "required": ["kind", "why"]},
                ]
            }
        },
        "required": ["result"],
    },
    "oneOf that overlaps": {"oneOf": [{"type": "number"}, {"type": "integer"}, {"type": "string", "maxLength": 5}]},
    "allOf with references": {
        "$defs": {
            "a": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
            "b": {"type": "object", "properties": {"b": {"type": "string", "minLength": 2}}, "required": ["b"]},
        },
        "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"properties": {"a": {"maximum": 4}}}],
    },
    "if, then, else": {
        "type": "object",
        "properties": {"kind": {"enum": ["pickup", "delivery"]}, "address": {"type": "string"}, "shop": {"type": "string"}},
        "required": ["kind"],
        "if": {"properties": {"kind": {"const": "delivery"}}},
        "then": {"required": ["address"]},
        "else": {"required": ["shop"]},
    },
    "unique items": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    "unique numbers": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 4}, "minItems": 4, "uniqueItems": True},
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}},
    "prefix items": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
    "keys by pattern": {"type": "object", "patternProperties": {"^k_[a-z]{3}$": {"type": "integer"}}, "additionalProperties": False, "minProperties": 2},
    "key names": {"type": "object", "propertyNames": {"pattern": "^[A-Z]{3}$"}, "minProperties": 1},
    "dependent": {"type": "object", "properties": {"card": {"type": "string"}}, "required": ["card"], "dependentRequired": {"card": ["address"]}},
    "not": {"type": "integer", "minimum": 1, "maximum": 9, "not": {"const": 30}},
    "anchor": {"$defs": {"x": {"$anchor": "money", "type": "number", "exclusiveMinimum": 0}}, "type": "object", "properties": {"p": {"$ref": "#money"}}, "required": ["p"]},
    "small range": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
    "cents": {"type": "number", "minimum": 1, "maximum": 2, "multipleOf": 0.25},
    "long pattern": {"type": "string", "pattern": "^[a-z]+$", "minLength": 30, "maxLength": 34},
    "deep": json.loads('{"type":"object","required":["a"],"properties":{"a":' * 12 + '{"type":"string"}' + "}}" * 12),
}  # fmt: skip


@pytest.mark.parametrize("name", HARD)
def test_hard_schemas_get_a_valid_instance(name: str) -> None:
    for seed in range(10):
        instance, flaw = filled(HARD[name], seed=seed)
        assert flaw == ""
        Draft202012Validator(HARD[name]).validate(instance)


def test_what_cannot_be_satisfied_is_told() -> None:
    _, flaw = filled(
        {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(?=a)b"}}, "required": ["x"]}
    )
    assert flaw
    assert filled({"type": "integer", "minimum": 5, "maximum": 3})[1]
    for schema in (
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        {"$ref": "http://127.0.0.1:1/never-fetched.json"},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
    ):
        assert filled(schema)[1], schema


def test_a_schema_that_says_nothing_but_itself_or_has_a_broken_pattern_is_refused() -> None:
    with pytest.raises(Rejected, match="is not a 'regex'"):
        filled({"type": "string", "pattern": "["})
    for schema in (
        {"$ref": "#"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}},
    ):
        with pytest.raises(Rejected, match="leads back to itself"):
            filled(schema)


@pytest.mark.parametrize(
    "pattern",
    ["^[A-Z]{2}-\\d{4}$", "a|b|c+", "(?:ab){2,3}", "^[^\\d\\s]{5}$", "^\\w+([.-]?\\w+)*@\\w+\\.\\w{2,3}$", "[\\w.-]+",
     "^\\+?\\d{7,15}$", "^(?P<year>\\d{4})-(0[1-9]|1[0-2])$", "^[\\]\\-a]+$", "\\.\\*\\?", "^\\u00e9$", "x*?y+?"],
)  # fmt: skip
def test_strings_match_their_pattern(pattern: str) -> None:
    for seed in range(20):
        assert re.search(pattern, matching(pattern, Dice(bytes([seed]))))


def test_patterns_that_are_not_understood_say_so() -> None:
    for pattern in ("(?=a)", "(?<!a)b", "\\1", "\\p{L}", "[", "(a", "a)", "*a"):
        with pytest.raises(Unsupported):
            matching(pattern, Dice(b""))


# -- filled with sense -------------------------------------------------------------------------------------------


def test_properties_are_filled_from_the_answer_and_the_conversation() -> None:
    schema = {
        "type": "object",
        "properties": {
            "answer": {"type": "string"},
            "topic": {"type": "string", "enum": ["payment", "returns", "opening hours"]},
            "section": {"type": "string"},
            "days": {"type": "integer"},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "order_id": {"type": "string", "pattern": "^[A-Z]{2}-\\d{5}$"},
            "email": {"type": "string", "format": "email"},
            "purchaseDate": {"type": "string", "format": "date"},
            "answered": {"type": "boolean"},
            "language": {"type": "string", "enum": ["de", "en"]},
        },
        "additionalProperties": False,
    }
    schema["required"] = list(schema["properties"])
    found, _ = filled(schema, model="o4", seed=1)
    assert "30 days" in found["answer"]
    assert (found["topic"], found["section"], found["days"]) == ("returns", "Return period", 30)
    assert (found["order_id"], found["email"], found["purchaseDate"]) == (
        "AF-10234",
        "rosa@example.org",
        "2026-05-04",
    )
    assert (found["answered"], found["language"]) == (True, "en")
    assert list(found) == schema["required"]


@pytest.fixture
async def client(simulator: tuple[str, Simulator]) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=simulator[0], api_key="any", max_retries=0) as made:
        yield made


async def test_the_clients_own_parsing_works(client: AsyncOpenAI) -> None:
    class Ticket(BaseModel):
        topic: str
        urgent: bool
        steps: list[str]

    parsed = await client.chat.completions.parse(
        model="gpt-4o", messages=[{"role": "user", "content": ASKED}], response_format=Ticket
    )
    assert isinstance(parsed.choices[0].message.parsed, Ticket)


async def test_json_mode_gives_an_object_with_the_keys_named_in_the_prompt(client: AsyncOpenAI) -> None:
    messages = [
        {"role": "system", "content": 'Answer as a JSON object with the keys "reply" and "section".'},
        {"role": "user", "content": "How long is the warranty?"},
    ]
    made = await client.chat.completions.create(
        model="gpt-4o-mini", messages=messages, response_format={"type": "json_object"}, n=20
    )
    objects = [json.loads(choice.message.content) for choice in made.choices]
    assert all(list(found) == ["reply", "section"] for found in objects)
    assert any(found["section"] == "Warranty" for found in objects)


# -- tools -------------------------------------------------------------------------------------------------------

ORDER = {
    "type": "function",
    "function": {
        "name": "get_order",
        "description": "Looks up an order: status and expected arrival.",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string"}, "verbose": {"type": "boolean"}},
            "required": ["order_id"],
            "additionalProperties": False,
        },
    },
}
STOCK = {
    "type": "function",
    "function": {
        "name": "check_stock",
        "description": "How many pieces of a product are in stock.",
        "parameters": {
            "type": "object",
            "properties": {"product": {"type": "string"}, "size": {"enum": ["S", "M", "L"]}},
            "required": ["product", "size"],
        },
    },
}


async def calls(client: AsyncOpenAI, text: str, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    made = await client.chat.completions.create(
        model="o4", messages=[{"role": "user", "content": text}], **{"tools": [ORDER, STOCK], **fields}
    )
    choice = made.choices[0]
    named = dict(fields.get("tool_choice") or {}) if not isinstance(fields.get("tool_choice"), str) else {}
    if choice.message.tool_calls:
        assert choice.message.content is None
        assert choice.finish_reason == ("stop" if named.get("type") == "function" else "tool_calls")
    return [
        (call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()
    ]


async def test_a_tool_is_called_with_what_the_user_said(client: AsyncOpenAI) -> None:
    assert await calls(client, "Where is my order AF-10234?") == [("get_order", {"order_id": "AF-10234"})]
    assert await calls(client, "Is the Larch Jacket in stock in size M?") == [
        ("check_stock", {"product": "Larch Jacket", "size": "M"})
    ]


async def test_no_tool_is_called_where_none_fits(client: AsyncOpenAI) -> None:
    assert await calls(client, "What are the opening hours of the shop?") == []
    assert await calls(client, "Where is my order AF-10234?", tool_choice="none") == []


async def test_two_things_asked_are_two_calls_at_once(client: AsyncOpenAI) -> None:
    two = await calls(client, "Where are my orders AF-1001 and AF-1002?")
    assert two == [("get_order", {"order_id": "AF-1001"}), ("get_order", {"order_id": "AF-1002"})]
    both = await calls(client, "Is the Larch Jacket in stock in size L, and where is my order AF-1001?")
    assert [name for name, _ in both] == ["check_stock", "get_order"]
    one = await calls(client, "Where are my orders AF-1001 and AF-1002?", parallel_tool_calls=False)
    assert one == two[:1]


async def test_tool_choice_is_kept(client: AsyncOpenAI) -> None:
    hello = "Hello, nice to meet you."
    assert len(await calls(client, hello, tool_choice="required")) == 1
    named = {"type": "function", "function": {"name": "check_stock"}}
    assert [name for name, _ in await calls(client, hello, tool_choice=named)] == ["check_stock"]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ORDER]}}
    assert [name for name, _ in await calls(client, hello, tool_choice=allowed)] == ["get_order"]


async def test_streamed_calls_are_the_same_in_pieces(client: AsyncOpenAI) -> None:
    text = "Where are my orders AF-1001 and AF-1002?"
    parts: dict[int, list[str]] = {}
    names: dict[int, str | None] = {}
    stream = await client.chat.completions.create(
        model="o4", messages=[{"role": "user", "content": text}], tools=[ORDER, STOCK], stream=True
    )
    finish = None
    async for chunk in stream:
        finish = chunk.choices[0].finish_reason or finish
        for part in chunk.choices[0].delta.tool_calls or ():
            if part.id:
                names[part.index] = part.function.name
            parts.setdefault(part.index, []).append(part.function.arguments or "")
    assert finish == "tool_calls"
    assert [(names[i], json.loads("".join(parts[i]))) for i in sorted(parts)] == await calls(client, text)
    assert all(len(pieces) > 4 for pieces in parts.values())


async def test_tool_results_are_answered_from(client: AsyncOpenAI) -> None:
    question = {"role": "user", "content": "Where is my order AF-10234?"}
    first = await client.chat.completions.create(model="o4", messages=[question], tools=[ORDER])
    asked = first.choices[0].message
    result = {
        "role": "tool",
        "tool_call_id": asked.tool_calls[0].id,
        "content": '{"status": "out for delivery", "eta": null}',
    }
    second = await client.chat.completions.create(
        model="o4", messages=[question, asked, result], tools=[ORDER]
    )
    assert second.choices[0].finish_reason == "stop"
    assert "status: out for delivery; eta: none" in second.choices[0].message.content


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(containers(PLAIN).filter(lambda schema: schema.get("type") == "object"))
def test_arguments_are_valid_for_any_parameters(parameters: dict[str, Any]) -> None:
    tool = {"type": "function", "function": {"name": "do_it", "parameters": parameters}}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": ASKED}],
        "tools": [tool],
        "tool_choice": "required",
    }
    found = answer(read_request(json.dumps(body).encode()).ask)
    arguments = json.loads(found.choices[0].calls[0].arguments)
    assert isinstance(arguments, dict)
    if not found.flaw:
        Draft202012Validator(parameters).validate(arguments)
    else:
        assert "anyOf" in json.dumps(parameters) or "allOf" in json.dumps(parameters)
