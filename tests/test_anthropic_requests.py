"""Requests of other dialects, written for Anthropic: what is said in other words, and what is refused by name."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.anthropic.models import abilities, effort_of
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, Tool, ToolChoice
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.errors import InvalidRequest

NEW, MIDDLE, OLD = "claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5-20251001"
ASK = Message("user", [TextPart("hi")])


def request(*messages: Message, **fields: Any) -> Request:
    given = {"dialect": "openai_chat", "model": NEW, "max_tokens": 100, **fields}
    return Request(messages=list(messages) or [ASK], **given)


def written(*messages: Message, **fields: Any) -> dict[str, Any]:
    return json.loads(DIALECT.write_request(request(*messages, **fields)))


def content(*parts: Part, role: str = "user") -> Any:
    return written(Message(role, list(parts)), ASK)["messages"][0]["content"]


@pytest.mark.parametrize(
    ("model", "adaptive", "budget", "efforts", "system_later"),
    [
        ("claude-opus-4-8", True, False, {"xhigh", "max"}, True),
        ("claude-sonnet-5", True, False, {"xhigh", "max"}, True),
        ("claude-fable-5-1", True, False, {"xhigh", "max"}, True),
        ("anthropic/claude-opus-4.8", True, False, {"xhigh", "max"}, True),
        ("claude-opus-4-7-20260401", True, False, {"xhigh", "max"}, False),
        ("claude-opus-4-6", True, True, {"max"}, False),
        ("anthropic.claude-sonnet-4-6-v1:0", True, True, {"max"}, False),
        ("claude-opus-4-5-20251101", False, True, set(), False),
        ("claude-opus-4-20250514", False, True, set(), False),
        ("claude-sonnet-4-0", False, True, set(), False),
        ("claude-3-7-sonnet-20250219", False, True, set(), False),
        ("claude-latest", True, False, {"xhigh", "max"}, True),
        ("kimi-k2-thinking", False, True, set(), False),
    ],
)
def test_a_models_name_tells_what_it_takes(
    model: str, adaptive: bool, budget: bool, efforts: set[str], system_later: bool
) -> None:
    able = abilities(model)
    assert (able.adaptive, able.budget, able.efforts, able.system_later) == (
        adaptive,
        budget,
        efforts,
        system_later,
    )


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "effort"),
    [
        (NEW, Thinking(effort="low"), {"type": "adaptive"}, "low"),
        (NEW, Thinking(effort="minimal"), {"type": "adaptive"}, "low"),
        (NEW, Thinking(effort="xhigh"), {"type": "adaptive"}, "xhigh"),
        (NEW, Thinking(mode="on"), {"type": "adaptive"}, None),
        (NEW, Thinking(budget=9000), {"type": "adaptive"}, "high"),
        (NEW, Thinking(budget=2000, show=True), {"type": "adaptive", "display": "summarized"}, "medium"),
        (NEW, Thinking(effort="none"), {"type": "disabled"}, None),
        (NEW, Thinking(budget=0), {"type": "disabled"}, None),
        (NEW, Thinking(mode="off"), {"type": "disabled"}, None),
        (NEW, Thinking(show=False), None, None),
        (MIDDLE, Thinking(effort="xhigh"), {"type": "adaptive"}, "max"),
        (MIDDLE, Thinking(budget=3000), {"type": "enabled", "budget_tokens": 3000}, None),
        (OLD, Thinking(effort="high"), {"type": "enabled", "budget_tokens": 24_576}, None),
        (OLD, Thinking(effort="max"), {"type": "enabled", "budget_tokens": 32_768}, None),
        (OLD, Thinking(mode="adaptive"), {"type": "enabled", "budget_tokens": 8192}, None),
        (OLD, Thinking(budget=12), {"type": "enabled", "budget_tokens": 1024}, None),
        (OLD, Thinking(budget=-1), {"type": "enabled", "budget_tokens": 8192}, None),
        (OLD, Thinking(effort="low", show=False), {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}, None),
    ],
)  # fmt: skip
def test_thinking_is_asked_for_as_the_model_takes_it(
    model: str, asked: Thinking, thinking: dict[str, Any] | None, effort: str | None
) -> None:
    body = written(model=model, thinking=asked, max_tokens=None)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    budget = (thinking or {}).get("budget_tokens")
    if budget is not None:
        assert body["max_tokens"] == 8192 + budget


def test_the_output_is_bounded_always_and_a_budget_of_ours_leaves_room_in_it() -> None:
    assert written(max_tokens=None)["max_tokens"] == 8192
    assert written(max_tokens=None, thinking=Thinking(effort="low"))["max_tokens"] == 8192 + 1024
    assert written(max_tokens=None, thinking=Thinking(mode="on"))["max_tokens"] == 8192 + 24_576
    body = written(model=OLD, max_tokens=4000, thinking=Thinking(effort="high"))
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (4000, 2000)
    body = written(model=OLD, max_tokens=4000, thinking=Thinking(budget=5000))
    assert (
        body["thinking"]["budget_tokens"] == 5000
    )  # the app's own number: Anthropic says what is wrong with it


def test_budgets_and_efforts_go_both_ways() -> None:
    assert [effort_of(tokens) for tokens in (1, 1024, 1025, 8192, 8193, 99_999)] == [
        "low",
        "low",
        "medium",
        "medium",
        "high",
        "high",
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seed": 7}, "seed"),
        ({"seed": 0}, "seed"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": -1.0}, "frequency_penalty"),
        ({"choices": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"temperature": 1.1}, "temperature"),
        ({"output": OutputFormat(kind="json")}, "response_format"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"extra": {"logit_bias": {"1": 2}}}, "logit_bias"),
        ({"tools": [HostedTool(kind="web_search", definition={})]}, "tools[0] (web_search)"),
    ],
)
def test_what_anthropic_has_no_word_for_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(request(**fields))
    assert (caught.value.param, caught.value.reason) == (param, "not_expressible")
    assert "Anthropic" in caught.value.message


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (Message("user", [TextPart("hi")], name="Ann"), "messages[0].name"),
        (Message("user", [BlobPart("audio", "AA==", "audio/wav")]), "messages[0].content[0] (audio)"),
        (Message("user", [UriPart("video", "https://x/y")]), "messages[0].content[0] (video)"),
        (Message("user", [BlobPart("image", "AA==")]), "messages[0].content[0]"),
        (Message("user", [TextPart("a"), FilePart("document", "file_1")]), "messages[0].content[1]"),
        (Message("user", [GenericPart("new", {})]), "messages[0].content[0] (new)"),
        (Message("assistant", [ToolCallPart("c", "f", "{broken")]), "messages[0].content[0].arguments"),
        (Message("assistant", [ToolCallPart("c", "f", [1])]), "messages[0].content[0].arguments"),
        (
            Message("tool", [ToolCallResponsePart("c", [GenericPart("new", {})])]),
            "messages[0].content[0].content[0] (new)",
        ),
        (
            Message("tool", [ToolCallResponsePart("c", [BlobPart("audio", "AA==", "audio/wav")])]),
            "messages[0].content[0].content[0] (audio)",
        ),
    ],
)
def test_a_message_that_anthropic_can_not_hold_is_refused_by_name(message: Message, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(request(message))
    assert caught.value.param == param


def test_what_says_nothing_is_not_refused() -> None:
    body = written(
        presence_penalty=0.0, frequency_penalty=0, choices=1, logprobs=False, top_logprobs=0, temperature=1.0,
        output=OutputFormat(kind="text"), include_usage=True, parallel_tool_calls=True, stop=[],
        tool_choice=ToolChoice(mode="auto"), extra={"store": True, "logit_bias": None}, metadata={"session_id": "s"},
    )  # fmt: skip
    assert body == {
        "model": NEW,
        "max_tokens": 100,
        "temperature": 1.0,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_what_the_system_says_first_is_the_system() -> None:
    first = Message("system", [TextPart("a")])
    body = written(
        first, Message("developer", [TextPart("b", {"cache_control": {"type": "ephemeral"}})]), ASK
    )
    assert body["system"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
    ]
    assert written(first, ASK)["system"] == "a"
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_what_the_system_says_later_stays_there_where_the_model_takes_it() -> None:
    later = Message("developer", [TextPart("be brief")])
    assert written(ASK, later)["messages"][1] == {"role": "system", "content": "be brief"}
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(request(ASK, later, model="claude-opus-4-7"))
    assert caught.value.param == "messages[1] (developer)"


def test_results_of_tools_and_what_the_user_says_then_are_one_turn() -> None:
    calls = Message("assistant", [ToolCallPart("a", "f", {"x": 1}), ToolCallPart("b", "g", None)])
    results = [
        Message("tool", [ToolCallResponsePart("a", "1", failed=True)]),
        Message("tool", [ToolCallResponsePart("b", {"n": 2})]),
    ]
    turns = written(ASK, calls, *results, ASK)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"][1] == {"type": "tool_use", "id": "b", "name": "g", "input": {}}
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1", "is_error": True},
        {"type": "tool_result", "tool_use_id": "b", "content": '{"n":2}'},
        {"type": "text", "text": "hi"},
    ]
    back = DIALECT.read_request(json.dumps({"model": "m", "messages": turns}).encode())
    assert [message.role for message in back.messages] == ["user", "assistant", "tool", "tool", "user"]


def test_ids_of_calls_are_made_such_as_anthropic_takes() -> None:
    turns = written(
        ASK,
        Message("assistant", [ToolCallPart("functions.f:0", "f", {}), ToolCallPart(None, "g", {}), ToolCallPart(None, "h", {})]),
        Message("tool", [ToolCallResponsePart(None, "h's", name="h")]),
        Message("tool", [ToolCallResponsePart("functions.f:0", "f's")]),
        Message("tool", [ToolCallResponsePart(None, "g's")]),
    )["messages"]  # fmt: skip
    assert [block["id"] for block in turns[1]["content"]] == ["functions_f_0", "call_1", "call_2"]
    assert [(block["tool_use_id"], block["content"]) for block in turns[2]["content"]] == [
        ("call_2", "h's"),
        ("functions_f_0", "f's"),
        ("call_1", "g's"),
    ]


def test_pictures_and_documents_find_their_blocks() -> None:
    pdf = BlobPart("document", "JVBERg==", "application/pdf", "a.pdf")
    csv = BlobPart("document", base64.b64encode(b"a,b").decode(), "text/csv", "a.csv")
    assert content(BlobPart("image", "AA==", "image/png", "p.png"), pdf, csv, UriPart("document", "https://x/y")) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}, "title": "a.pdf"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}, "title": "a.csv"},
        {"type": "document", "source": {"type": "url", "url": "https://x/y"}},
    ]  # fmt: skip


def test_only_thoughts_that_anthropic_can_check_are_sent_to_it() -> None:
    said = content(
        ReasoningPart("theirs", "abc", "gemini"),
        ReasoningPart("nobody's"),
        ReasoningPart("own", "EqQ=", "anthropic"),
        ReasoningPart("", "redacted_thinking:xyz", "anthropic"),
        ToolCallPart("c", "f", {}, signature="sig", origin="gemini"),
        role="assistant",
    )
    assert said == [
        {"type": "thinking", "thinking": "own", "signature": "EqQ="},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]


def test_turns_that_say_nothing_are_left_out() -> None:
    thought = Message("assistant", [ReasoningPart("nobody's")])
    empty = Message("assistant", [TextPart("")])
    assert written(ASK, thought, empty, Message("assistant", []), ASK)["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": "hi"},
    ]
    assert content(RefusalPart("I won't."), TextPart(""), role="assistant") == [
        {"type": "text", "text": "I won't."}
    ]


def test_tools_keep_their_schema_and_the_mark_for_the_cache() -> None:
    cached = {"cache_control": {"type": "ephemeral"}, "eager_input_streaming": True}
    body = written(
        tools=[
            Tool(name="f", description="d", parameters={"properties": {}}, strict=True, extra=cached),
            Tool(name="g", strict=False),
        ],
        tool_choice=ToolChoice(mode="required"),
        parallel_tool_calls=False,
    )
    assert body["tools"] == [
        {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}, "strict": True, "cache_control": {"type": "ephemeral"}},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]  # fmt: skip
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, None),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="tool", name="f"), None, {"type": "tool", "name": "f"}),
        (ToolChoice(mode="allowed", names=["g"], required=True), None, {"type": "any"}),
        (ToolChoice(mode="allowed", names=["g"]), None, {"type": "auto"}),
    ],
)
def test_how_tools_are_chosen(choice: ToolChoice | None, parallel: bool | None, expected: Any) -> None:
    body = written(tools=[Tool(name="f"), Tool(name="g")], tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected
    offered = ["g"] if choice is not None and choice.mode == "allowed" else ["f", "g"]
    assert [tool["name"] for tool in body["tools"]] == offered


def test_a_schema_for_the_output_is_anthropics_own() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    output = OutputFormat(
        kind="json_schema", name="reply", schema=schema, strict=True, description="A reply."
    )
    body = written(output=output, thinking=Thinking(effort="high"))
    assert body["output_config"] == {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"description": "A reply.", **schema}},
    }
    older = {"model": "m", "messages": [], "output_format": {"type": "json_schema", "schema": schema}}
    read = DIALECT.read_request(json.dumps(older).encode())
    assert read.output == OutputFormat(kind="json_schema", schema=schema, strict=True)


@pytest.mark.parametrize(
    ("user", "sent"),
    [
        ("u-1", True),
        ("8a3f", True),
        ("ann@example.com", False),
        ("+44 20 7946 0958", False),
        ("x" * 257, False),
    ],
)
def test_a_user_is_named_unless_anthropic_takes_no_such_name(user: str, sent: bool) -> None:
    assert written(user=user).get("metadata") == ({"user_id": user} if sent else None)


@pytest.mark.parametrize(
    ("tier", "expected"), [("auto", "auto"), ("default", "standard_only"), ("priority", "auto")]
)
def test_tiers_of_service_have_other_names(tier: str, expected: str) -> None:
    assert written(service_tier=tier)["service_tier"] == expected


def read(**fields: Any) -> Request:
    return DIALECT.read_request(
        json.dumps({"model": "m", "max_tokens": 5, "messages": [], **fields}).encode()
    )


@pytest.mark.parametrize("system", ["", [], None])
def test_a_system_that_says_nothing_is_no_message(system: Any) -> None:
    assert read(system=system).messages == []


def test_an_unknown_field_of_a_turn_stays_with_it() -> None:
    turn = {"role": "user", "new": 1, "content": [
        {"type": "tool_result", "tool_use_id": "a"}, {"type": "text", "text": "b"}, {"type": "text", "text": "c"},
    ]}  # fmt: skip
    asked = read(messages=[turn])
    assert [message.role for message in asked.messages] == ["tool", "user"]
    assert json.loads(DIALECT.write_request(asked))["messages"] == [turn]
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(msgspec.structs.replace(asked, dialect="gemini"))
    assert caught.value.param == "messages[0].new"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": ["hi", 7, {"type": 7}]}]},
        {"tools": "all"},
        {"tools": ["f"]},
        {"tools": [{"description": "nameless"}]},
        {"model": 7},
        {"max_tokens": "many"},
        {"stop_sequences": [1]},
        {"thinking": "hard"},
        {"output_config": [1]},
        {"metadata": "me"},
    ],
)
def test_what_is_not_as_it_should_be_goes_to_anthropic_as_it_is(fields: dict[str, Any]) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [], **fields}
    back = json.loads(DIALECT.write_request(read(**fields)))
    assert {name: back.get(name) for name in body} == body


def test_what_only_anthropic_can_say_is_refused_elsewhere_and_hints_are_not() -> None:
    body = {
        "model": "m",
        "max_tokens": 5,
        "speed": "fast",
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}, "citations": {"enabled": False}}]}],
    }  # fmt: skip
    asked = DIALECT.read_request(json.dumps(body).encode())
    foreign = msgspec.structs.replace(asked, dialect="gemini")
    sent = json.loads(DIALECT.write_request(foreign))
    assert sent["system"] == body["system"]
    assert "speed" not in sent
    cited = json.loads(json.dumps(body).replace("false", "true"))
    asked = DIALECT.read_request(json.dumps(cited).encode())
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(msgspec.structs.replace(asked, dialect="gemini"))
    assert caught.value.param == "messages[1].content[0].citations"
