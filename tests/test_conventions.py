"""Every generation of attribute names comes to the same columns, and nothing that was said is lost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain.messages import (
    BlobPart,
    GenericPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.domain.spans import Span
from ratchet.telemetry.aliases import FAMILIES, RULES
from ratchet.telemetry.conventions import RawSpan, Resource, span_of

START = 1_700_000_000_000_000_000


def read(attributes: dict[str, Any], resource: dict[str, Any] | None = None, **fields: Any) -> Span:
    given: dict[str, Any] = {
        "trace_id": "a" * 32, "span_id": "b" * 16, "parent_id": "", "name": "step", "kind": 1, "start": START,
        "end": START + 50, "status": 0, "message": "", "events": [], "links": [],
    }  # fmt: skip
    raw = RawSpan(**{**given, **fields}, attributes=attributes)
    return span_of(raw, Resource.of(resource or {}), project_id="p", key_id="k", received=START + 99)


def messages(text: str) -> list[Message]:
    return msgspec.json.decode(text, type=list[Message]) if text else []


ASKED = [Message("system", [TextPart("Be brief.")]), Message("user", [TextPart("Where is it?")])]
ANSWERED = [Message("assistant", [TextPart("Here.")], None, "stop")]
AS_JSON = (
    '[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},'
    '{"role":"user","parts":[{"type":"text","content":"Where is it?"}]}]'
)
ANSWER_AS_JSON = '[{"role":"assistant","parts":[{"type":"text","content":"Here."}],"finish_reason":"stop"}]'

GENERATIONS: dict[str, dict[str, Any]] = {
    "OpenTelemetry 1.41.1": {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-1", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3, "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": AS_JSON, "gen_ai.output.messages": ANSWER_AS_JSON,
        "gen_ai.conversation.id": "s1", "user.id": "u1",
    },
    "OpenTelemetry, structured": {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-1", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_write.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Where is it?"}]}],
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.output.messages": json.loads(ANSWER_AS_JSON), "session.id": "s1", "enduser.id": "u1",
    },
    "OpenLLMetry": {
        "llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-1", "gen_ai.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": 5,
        "gen_ai.usage.cache_read_input_tokens": 4, "gen_ai.usage.cache_creation_input_tokens": 2,
        "gen_ai.usage.reasoning_tokens": 3, "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Be brief.",
        "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "Where is it?",
        "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "Here.",
        "gen_ai.completion.0.finish_reason": "stop", "traceloop.association.properties.session_id": "s1",
        "traceloop.association.properties.user_id": "u1",
    },
    "OpenInference": {
        "openinference.span.kind": "LLM", "llm.provider": "openai", "llm.request.model_name": "gpt-4o",
        "llm.response.model_name": "gpt-4o-1", "llm.token_count.prompt": 10, "llm.token_count.completion": 5,
        "llm.token_count.prompt_details.cache_read": 4, "llm.token_count.prompt_details.cache_write": 2,
        "llm.token_count.completion_details.reasoning": 3, "llm.finish_reason": "stop",
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Be brief.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "Where is it?",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Here.",
        "session.id": "s1", "user.id": "u1",
    },
    "Langfuse": {
        "langfuse.observation.type": "generation", "gen_ai.system": "openai",
        "langfuse.observation.model.name": "gpt-4o", "gen_ai.response.model": "gpt-4o-1",
        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "langfuse.observation.input": '[{"role":"system","content":"Be brief."},{"role":"user","content":"Where is it?"}]',
        "langfuse.observation.output": '{"role":"assistant","content":"Here.","finish_reason":"stop"}',
        "langfuse.session.id": "s1", "langfuse.user.id": "u1",
    },
}  # fmt: skip


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_fills_the_same_columns(generation: str) -> None:
    span = read(GENERATIONS[generation])
    assert span.operation == "chat"
    assert span.provider == "openai"
    assert (span.request_model, span.response_model) == ("gpt-4o", "gpt-4o-1")
    assert (span.input_tokens, span.output_tokens) == (10, 5)
    assert (span.cached_tokens, span.cache_write_tokens, span.reasoning_tokens) == (4, 2, 3)
    assert (span.user_id, span.session_id) == ("u1", "s1")
    assert messages(span.input_messages) == ASKED
    assert [(message.role, message.parts) for message in messages(span.output_messages)] == [
        ("assistant", [TextPart("Here.")])
    ]
    assert (span.input_preview, span.output_preview) == ("Where is it?", "Here.")
    assert span.finish_reasons == ["stop"]
    kept = {"openinference.span.kind", "llm.request.type", "langfuse.observation.type"}
    assert set(span.attributes) <= kept


def test_span_events_from_before_1_37_are_the_conversation() -> None:
    said = [
        (1, "gen_ai.system.message", {"gen_ai.system": "openai", "content": "Be brief."}),
        (2, "gen_ai.user.message", {"content": "Where is it?"}),
        (3, "gen_ai.assistant.message", {"tool_calls": '[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]'}),
        (4, "gen_ai.tool.message", {"content": "shelf", "id": "c1"}),
        (5, "cache.miss", {"key": 1}),
        (6, "gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": '{"role":"assistant","content":"Here."}'}),
    ]  # fmt: skip
    span = read({}, events=said)
    assert messages(span.input_messages) == [
        *ASKED,
        Message("assistant", [ToolCallPart("c1", "f", {})]),
        Message("tool", [ToolCallResponsePart("c1", "shelf")]),
    ]
    assert messages(span.output_messages) == ANSWERED
    assert span.finish_reasons == ["stop"]
    assert json.loads(span.events) == [{"time": 5, "name": "cache.miss", "attributes": {"key": 1}}]


def test_packed_events_and_the_oldest_content_events_are_read() -> None:
    packed = read(
        {}, events=[(1, "gen_ai.user.message", {"gen_ai.event.content": '{"content":"hi","role":"user"}'})]
    )
    assert messages(packed.input_messages) == [Message("user", [TextPart("hi")])]
    oldest = read(
        {},
        events=[
            (1, "gen_ai.content.prompt", {"gen_ai.prompt": '[{"role":"user","content":"hi"}]'}),
            (2, "gen_ai.content.completion", {"gen_ai.completion": "hello"}),
        ],
    )
    assert messages(oldest.input_messages) == [Message("user", [TextPart("hi")])]
    assert messages(oldest.output_messages) == [Message("assistant", [TextPart("hello")])]
    assert oldest.events == ""


def test_events_that_repeat_what_an_attribute_says_stay_where_they_are() -> None:
    span = read({"gen_ai.input.messages": AS_JSON}, events=[(1, "gen_ai.user.message", {"content": "other"})])
    assert messages(span.input_messages) == ASKED
    assert json.loads(span.events)[0]["attributes"] == {"content": "other"}


def test_openinference_pictures_sound_and_tool_calls_are_parts() -> None:
    base = "llm.input_messages.0.message."
    span = read(
        {
            base + "role": "user",
            base + "contents.0.message_content.type": "image",
            base + "contents.0.message_content.image.image.url": "data:image/png;base64,AA==",
            base + "contents.1.message_content.type": "image",
            base + "contents.1.message_content.image.image.url": "https://x/y.png",
            base + "contents.2.message_content.type": "reasoning",
            base + "contents.2.message_content.text": "hm",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"a": 1}',
            "llm.output_messages.0.message.tool_calls.1.tool_call.function.name": "g",
            "llm.tools.0.tool.json_schema": '{"type": "function", "function": {"name": "f"}}',
        }
    )
    assert messages(span.input_messages) == [
        Message(
            "user",
            [
                BlobPart("image", "AA==", "image/png"),
                UriPart("image", "https://x/y.png"),
                ReasoningPart("hm", extra={"wire": {"field": "content", "plain": True}}),
            ],
        )
    ]
    assert messages(span.output_messages) == [
        Message("assistant", [ToolCallPart("c1", "f", {"a": 1}), ToolCallPart(None, "g", None)])
    ]
    assert json.loads(span.tool_definitions) == [{"type": "function", "name": "f"}]
    assert span.attributes == {}


def test_openllmetry_tool_calls_parts_and_functions_are_read() -> None:
    span = read(
        {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": '[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"https://x"}}]',
            "gen_ai.prompt.1.role": "tool",
            "gen_ai.prompt.1.content": "42",
            "gen_ai.prompt.1.tool_call_id": "c0",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "f",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"a":1}',
            "gen_ai.completion.0.finish_reason": "tool_calls",
            "llm.request.functions.0.name": "f",
            "llm.request.functions.0.parameters": '{"type":"object"}',
            "traceloop.entity.path": "a.b",
        }
    )
    assert messages(span.input_messages) == [
        Message("user", [TextPart("see"), UriPart("image", "https://x")]),
        Message("tool", [ToolCallResponsePart("c0", "42")]),
    ]
    assert messages(span.output_messages) == [
        Message("assistant", [ToolCallPart("c1", "f", {"a": 1})], None, "tool_call")
    ]
    assert span.finish_reasons == ["tool_call"]
    assert json.loads(span.tool_definitions) == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}}
    ]
    assert span.attributes == {"traceloop.entity.path": "a.b"}


def test_both_spellings_of_a_tools_answer_are_read_and_unknown_parts_kept() -> None:
    parts = [
        {"type": "tool_call_response", "id": "a", "response": {"x": 1}},
        {"type": "tool_call_response", "id": "b", "result": "two"},
        {"type": "server_tool_call", "name": "search"},
        {"type": "tool_call", "id": "c", "name": "f", "arguments": '{"q": 1}'},
    ]
    span = read({"gen_ai.input.messages": json.dumps([{"role": "tool", "parts": parts}])})
    assert messages(span.input_messages)[0].parts == [
        ToolCallResponsePart("a", {"x": 1}),
        ToolCallResponsePart("b", "two"),
        GenericPart("server_tool_call", parts[2]),
        ToolCallPart("c", "f", {"q": 1}),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f", "gen_ai.tool.call.id": "c",
         "gen_ai.tool.call.arguments": '{"a":1}', "gen_ai.tool.call.result": '{"b":2}'},
        {"openinference.span.kind": "TOOL", "tool.name": "f", "tool.id": "c", "input.value": '{"a":1}',
         "output.value": '{"b":2}'},
    ],
)  # fmt: skip
def test_a_tools_run_is_a_call_and_its_answer(attributes: dict[str, Any]) -> None:
    span = read(attributes)
    assert span.operation == "execute_tool"
    assert messages(span.input_messages) == [Message("assistant", [ToolCallPart("c", "f", {"a": 1})])]
    assert messages(span.output_messages) == [Message("tool", [ToolCallResponsePart("c", {"b": 2})])]
    assert span.input_preview == 'f({"a":1})'


def test_plain_values_are_kept_as_text_or_read_as_what_they_hold() -> None:
    span = read(
        {"openinference.span.kind": "CHAIN", "input.value": "a question", "output.value": '{"k": [1]}'}
    )
    assert span.operation == "chain"
    assert messages(span.input_messages) == [Message("user", [TextPart("a question")])]
    assert messages(span.output_messages) == [Message("assistant", [TextPart('{"k": [1]}')])]
    whole = read(
        {
            "input.value": '{"model":"m","messages":[{"role":"user","content":"hi"}]}',
            "output.value": '{"choices":[{"message":{"role":"assistant","content":"yo"},"finish_reason":"length"}]}',
        }
    )
    assert messages(whole.input_messages) == [Message("user", [TextPart("hi")])]
    assert messages(whole.output_messages) == [Message("assistant", [TextPart("yo")], None, "length")]


def test_the_better_name_wins_and_a_different_loser_stays_an_attribute() -> None:
    for order in (1, -1):
        pairs = [
            ("gen_ai.usage.prompt_tokens", 9),
            ("gen_ai.usage.input_tokens", 10),
            ("llm.token_count.prompt", 10),
        ]
        span = read(dict(pairs[::order]))
        assert span.input_tokens == 10
        assert span.attributes == {"gen_ai.usage.prompt_tokens": "9"}


@pytest.mark.parametrize(
    ("attributes", "cost", "left"),
    [
        ({"llm.cost.total": 0.0021}, "0.0021", {}),
        ({"gen_ai.usage.cost": "0.5"}, "0.5", {}),
        ({"ratchet.cost": "0.1234567890123456789", "gen_ai.usage.cost": 0.12345678901234568}, "0.1234567890123456789", {}),
        ({"langfuse.observation.cost_details": '{"total": 2}'}, "2", {"langfuse.observation.cost_details": '{"total": 2}'}),
        ({"gen_ai.usage.cost": "free"}, None, {"gen_ai.usage.cost": "free"}),
        ({"gen_ai.usage.cost": -1}, None, {"gen_ai.usage.cost": "-1"}),
        ({"gen_ai.usage.cost": float("inf")}, None, {"gen_ai.usage.cost": "null"}),
    ],
)  # fmt: skip
def test_a_cost_that_a_span_reports_is_used(
    attributes: dict[str, Any], cost: str | None, left: dict[str, str]
) -> None:
    span = read(attributes)
    assert span.cost == (None if cost is None else Decimal(cost))
    assert span.attributes == left


def test_a_value_of_the_wrong_type_stays_an_attribute() -> None:
    span = read(
        {"gen_ai.usage.input_tokens": "many", "http.response.status_code": 2**70, "gen_ai.request.stream": 3}
    )
    assert (span.input_tokens, span.http_status, span.stream) == (None, None, False)
    assert span.attributes == {
        "gen_ai.usage.input_tokens": "many",
        "http.response.status_code": str(2**70),
        "gen_ai.request.stream": "3",
    }


def test_errors_are_told_by_status_type_and_exception() -> None:
    said = [(1, "exception", {"exception.type": "ValueError", "exception.message": "no such order"})]
    failed = read({}, status=2, events=said)
    assert (failed.status, failed.error_type, failed.error_message) == (
        "error",
        "ValueError",
        "no such order",
    )
    assert "exception" in failed.events
    typed = read({"error.type": "timeout"}, message="too slow")
    assert (typed.status, typed.error_type, typed.error_message) == ("error", "timeout", "too slow")
    handled = read({}, status=1, events=said)
    assert (handled.status, handled.error_type) == ("ok", "")
    level = read({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "bad"})
    assert (level.status, level.error_message) == ("error", "bad")


def test_the_resource_names_service_and_version() -> None:
    span = read({"a": 1}, {"service.name": "shop", "service.version": "1.2", "cloud.zones": ["a", "b"]})
    assert (span.service, span.app_version) == ("shop", "1.2")
    assert span.resource == {"service.version": "1.2", "cloud.zones": '["a","b"]'}
    assert span.attributes == {"a": "1"}


def test_whose_and_which_are_found_under_every_name() -> None:
    span = read(
        {
            "tag.tags": ["a", "b"], "organization.id": "acme", "langfuse.release": "r1", "langfuse.version": "9",
            "traceloop.prompt.key": "support", "traceloop.prompt.version": 3, "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.request.stream": True, "ratchet.guard_verdicts": {"pii": "pass"}, "metadata": '{"k":1}',
        }
    )  # fmt: skip
    assert (span.tags, span.organisation_id, span.release, span.app_version) == (
        ["a", "b"],
        "acme",
        "r1",
        "9",
    )
    assert (span.prompt, span.prompt_version, span.stream) == ("support", "3", True)
    assert (span.time_to_first_token, span.guard_verdicts) == (250_000_000, {"pii": "pass"})
    assert span.attributes == {"metadata": '{"k":1}'}
    late = read({"langfuse.observation.completion_start_time": '"2023-11-14T22:13:20.5Z"'})
    assert late.time_to_first_token == 500_000_000


def test_parameters_of_older_generations_get_their_present_names() -> None:
    span = read({"llm.invocation_parameters": '{"temperature": 0.2, "max_tokens": 5}', "llm.top_k": 3})
    assert span.attributes == {
        "gen_ai.request.temperature": "0.2",
        "gen_ai.request.max_tokens": "5",
        "gen_ai.request.top_k": "3",
    }


def test_a_start_that_is_missing_is_when_the_span_was_received() -> None:
    assert read({}, start=0, end=0).start == START + 99
    assert read({}, end=5).duration == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FLATTENED = st.builds(
    lambda family, index, leaf: f"{family}{index}{leaf}",
    st.sampled_from(FAMILIES),
    st.integers(0, 3),
    st.sampled_from(["", ".role", ".content", ".message.role", ".message.contents.0.message_content.type", ".message",
                     ".tool_calls.0.name", ".tool_calls", ".message.tool_calls.0.tool_call.function.name", ".tool.json_schema"]),
)  # fmt: skip
NAMES = st.sampled_from(sorted(RULES)) | FLATTENED | st.text(max_size=6)
JSON_TEXTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "parts", "type", "content", "messages", "choices", "message", "tool_calls", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
).map(json.dumps)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2**62),
        st.sampled_from(["gen_ai.choice", "gen_ai.user.message", "gen_ai.tool.message", "gen_ai.content.prompt", "exception", "x"]),
        st.dictionaries(
            st.sampled_from(["content", "role", "message", "tool_calls", "gen_ai.event.content", "gen_ai.prompt", "id"]),
            VALUES | JSON_TEXTS,
            max_size=3,
        ),
    ),
    max_size=3,
)  # fmt: skip


@given(
    st.dictionaries(NAMES, VALUES | JSON_TEXTS, max_size=8), EVENTS, st.integers(-1, 9), st.integers(-1, 9)
)
def test_no_attributes_make_reading_fail_and_messages_stay_readable(
    attributes: dict[str, Any], events: list[Any], kind: int, status: int
) -> None:
    span = read(attributes, events=events, kind=kind, status=status)
    for text in (span.input_messages, span.output_messages):
        messages(text)
    for text in (span.events, span.tool_definitions):
        assert not text or isinstance(json.loads(text), list)
    assert all(isinstance(text, str) for text in span.attributes.values())
    assert isinstance(msgspec.convert(msgspec.to_builtins(span), Span), Span)
    unknown = {name for name in attributes if name not in RULES and not name.startswith(FAMILIES)}
    assert unknown <= set(span.attributes)
