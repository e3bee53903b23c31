"""What telemetry stores of a request and an answer in the neutral form, whatever dialect they came in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated import answers, requests
from ratchet.dialects.content import content_of_answer, content_of_request
from ratchet.dialects.openai_responses import DIALECT
from ratchet.dialects.openai_responses.content import (
    messages_of_request,
    messages_of_response,
    messages_of_stream,
)
from ratchet.domain.generation import (
    Answer,
    HostedTool,
    OutputFormat,
    Request,
    Thinking,
    Tool,
    ToolChoice,
)
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.usage import Usage


@pytest.mark.parametrize(
    ("fields", "attributes"),
    [
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {"gen_ai.request.temperature": "0.5", "gen_ai.request.top_p": "0.9", "gen_ai.request.top_k": "4"}),
        ({"max_tokens": 9, "seed": 0}, {"gen_ai.request.max_tokens": "9", "gen_ai.request.seed": "0"}),
        ({"stop": ["a", "b"]}, {"gen_ai.request.stop_sequences": '["a","b"]'}),
        ({"choices": 1}, {}),
        ({"choices": 2}, {"gen_ai.request.choice.count": "2"}),
        ({"parallel_tool_calls": False}, {"ratchet.request.parallel_tool_calls": "false"}),
        ({"tool_choice": ToolChoice(mode="tool", name="f")}, {"ratchet.request.tool_choice": '{"mode":"tool","name":"f","required":false}'}),
        ({"thinking": Thinking(effort="low", extra={"mode": "pro", "wire": {"summary": "auto"}})}, {"ratchet.request.thinking": '{"effort":"low","mode":"pro"}'}),
        ({"output": OutputFormat(kind="json")}, {"gen_ai.output.type": "json", "ratchet.request.response_format": '{"kind":"json"}'}),
        ({"service_tier": "flex"}, {"ratchet.request.service_tier": "flex"}),
        ({"service_tier": "flex", "dialect": "openai_responses"}, {"openai.request.service_tier": "flex"}),
        ({"extra": {"container": {"id": 1}, "unset": None, "wire": {"input": "text"}}}, {"ratchet.request.container": '{"id":1}'}),
        ({"user": "u", "metadata": {"a": "b"}, "stream": True}, {}),
    ],
)  # fmt: skip
def test_parameters_are_attributes(fields: dict[str, Any], attributes: dict[str, str]) -> None:
    given_fields: dict[str, Any] = {"dialect": "anthropic", "model": "m", "messages": [], **fields}
    assert content_of_request(Request(**given_fields)).attributes == attributes


def test_tools_in_opentelemetrys_shape() -> None:
    tools: list[Any] = [
        Tool(name="f", description="d", parameters={"type": "object"}, extra={"cache_control": 1}),
        HostedTool(kind="web_search", definition={"type": "web_search_20250305", "name": "web_search"}),
    ]
    request = Request(dialect="anthropic", model="m", messages=[], tools=tools)
    assert content_of_request(request).tools == [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "cache_control": 1,
        },
        {"type": "web_search_20250305", "name": "web_search"},
    ]


def test_what_an_answer_says_beside_its_messages() -> None:
    said = [Message("assistant", [TextPart("hi")], None, "stop")]
    extra = {"system_fingerprint": "fp", "error": None, "echo": 1, "flag": False}
    answer = Answer(
        dialect="openai_chat",
        id="a",
        model="m",
        choices=said,
        usage=Usage(),
        service_tier="flex",
        extra=extra,
    )
    content = content_of_answer(answer, without={"echo"})
    assert content.messages == said
    assert content.attributes == {
        "openai.response.service_tier": "flex",
        "openai.response.system_fingerprint": "fp",
        "ratchet.response.flag": "false",
    }


@given(requests("gemini", signed_by="gemini"), answers("gemini", signed_by="gemini", refusals=True))
def test_nothing_that_was_said_is_left_out(request: Request, answer: Answer) -> None:
    content = content_of_request(request)
    assert content.messages == request.messages
    assert [tool["name"] for tool in content.tools] == [
        tool.name for tool in request.tools if isinstance(tool, Tool)
    ]
    assert all(isinstance(text, str) for text in content.attributes.values())
    assert content_of_answer(answer).messages == answer.choices


BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["response.completed", "response.output_item.done", "response.output_item.added", "response.output_text.delta", "error", "message", "reasoning", "function_call", "assistant", "output_text", "completed", "incomplete", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "response", "item", "output", "content", "text", "delta", "output_index", "content_index", "item_id", "part", "usage", "status", "incomplete_details", "reason", "summary", "id", "call_id", "name", "arguments", "role", "error", "input_tokens", "created_at", "model", "service_tier"]),
        inner,
        max_size=6,
    ),
    max_leaves=15,
)  # fmt: skip


@given(st.lists(BODIES, max_size=5))
def test_nothing_that_a_provider_sends_breaks_a_reader(values: list[Any]) -> None:
    for value in values:
        body = json.dumps(value).encode()
        assert messages_of_response(body).unreadable == (not isinstance(value, dict))
        assert messages_of_request(body).unreadable == (not isinstance(value, dict))
        answer = DIALECT.answer_head(body)
        assert (answer is None) == (not isinstance(value, dict))
        DIALECT.error_message(body)
    stream = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    messages_of_stream(stream)
    head, reader = DIALECT.stream_head(), DIALECT.stream_reader()
    writer = DIALECT.stream_writer(Request(dialect="openai_responses", model="m", messages=[]))
    head.feed(stream)
    for event in reader.feed(stream):
        writer.write(event)


def test_a_stream_that_says_nothing_readable() -> None:
    assert messages_of_stream(b"neither events nor a page").unreadable
    page = messages_of_stream(b"<html>not a stream</html>")
    assert json.loads(page.attributes["ratchet.response.error"]) == {"message": "<html>not a stream</html>"}
    assert not messages_of_stream(b"").unreadable
    failed = messages_of_stream(b'data: {"type": "error", "message": "Boom.", "code": "c"}\n\n')
    assert json.loads(failed.attributes["ratchet.response.error"]) == {"message": "Boom.", "code": "c"}
