"""Chat completions in the message form: parts of every kind, parameters, streams put together, spans."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.dialects.openai_chat.content import messages_of_request, messages_of_response, messages_of_stream
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.domain.usage import Usage
from ratchet.telemetry.calls import Call
from ratchet.telemetry.spans import preview, span_of_call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "reasoning",
        "refusal",
        "audio",
        "function_call",
        "type",
        "text",
        "image_url",
        "function",
        "arguments",
        "id",
        "index",
        "delta",
        "message",
        "choices",
        "messages",
        "tools",
        "finish_reason",
        "logprobs",
        "error",
        "stop",
        "n",
    ]
)
WIRE = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


def call(**fields: Any) -> Call:
    given: dict[str, Any] = {
        "project_id": "p", "key_id": "k", "trace_id": "1" * 32, "span_id": "2" * 16, "parent_id": "", "start": 5,
        "duration": 7, "dialect": "openai_chat", "operation": "chat", "route": "support", "target": "openai/gpt-4o",
        "provider": "openai", "request_model": "gpt-4o", "response_model": "gpt-4o-2024", "response_id": "c1",
        "stream": False, "status": "ok", "error_type": "", "error_message": "", "http_status": 200,
        "time_to_first_token": None, "usage": Usage(3, 4), "cost": "0.00012", "finish_reasons": ["tool_calls"],
        "user_id": "u", "organisation_id": "o", "session_id": "s", "tags": ["t"], "app_version": "1", "language": "",
        "metadata": {"ticket": "7"}, "request": b"", "response": b"",
    }  # fmt: skip
    return Call(**{**given, **fields})


def asked(content: Any, **fields: Any) -> Message:
    body = {"model": "m", "messages": [{"role": "user", "content": content, **fields}]}
    return messages_of_request(json.dumps(body).encode()).messages[0]


def sse(*chunks: Any) -> bytes:
    return (
        b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    )


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "hi"}, TextPart("hi")),
        ({"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}}, UriPart("image", "https://x/a.png", extra={"detail": "low"})),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, BlobPart("image", "AAAA", "image/png")),
        ({"type": "image_url", "image_url": "https://x/a.png"}, UriPart("image", "https://x/a.png", extra={"wire": "string"})),
        ({"type": "image_url", "image_url": {"url": "data:,plain"}}, UriPart("image", "data:,plain")),
        ({"type": "video_url", "video_url": {"url": "https://x/v"}}, UriPart("video", "https://x/v")),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, BlobPart("audio", "AA", "audio/wav")),
        ({"type": "file", "file": {"file_id": "f1"}}, FilePart("document", "f1")),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
            BlobPart("document", "QQ==", "application/pdf", "a.pdf"),
        ),
        ({"type": "refusal", "refusal": "no"}, RefusalPart("no", {"wire": "part"})),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, ReasoningPart("hm", extra={"wire": {"field": "content"}})),
        ({"type": "hologram", "data": [1]}, GenericPart("hologram", {"type": "hologram", "data": [1]})),
        ({"type": "image_url"}, GenericPart("image_url", {"type": "image_url"})),
        ("loose text", TextPart("loose text", {"wire": "string"})),
        (7, GenericPart("content", 7)),
    ],
)  # fmt: skip
def test_each_kind_of_content_has_its_part(part: Any, expected: Any) -> None:
    assert asked([part]).parts == [expected]


def test_an_assistants_turn_keeps_reasoning_calls_refusal_sound_and_what_is_unknown() -> None:
    message = asked(
        "text",
        role="assistant",
        name="bot",
        reasoning_content="because",
        refusal="no",
        tool_calls=[
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": [1]}'}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "not json"}},
            {"id": "c3", "type": "custom", "custom": {"name": "h", "input": "free text"}},
        ],
        audio={"id": "audio_1"},
        annotations=[{"url": "https://x"}],
    )
    assert message == Message(
        "assistant",
        [
            ReasoningPart("because"),
            TextPart("text"),
            RefusalPart("no"),
            ToolCallPart("c1", "f", {"a": [1]}),
            ToolCallPart("c2", "g", "not json"),
            ToolCallPart("c3", "h", "free text", extra={"custom": True}),
            FilePart("audio", "audio_1", extra={"wire": "audio"}),
            GenericPart("annotations", [{"url": "https://x"}]),
        ],
        "bot",
    )


def test_tool_results_and_the_older_function_calls_are_read() -> None:
    assert asked("42", role="tool", tool_call_id="c1").parts == [ToolCallResponsePart("c1", "42")]
    assert asked([{"type": "text", "text": "4"}, {"type": "text", "text": "2"}], role="tool").parts == [
        ToolCallResponsePart(None, "42", extra={"wire": [1, 1]})
    ]
    assert asked("42", role="function", name="f") == Message("tool", [ToolCallResponsePart(None, "42", "f")])
    assert asked(None, role="assistant", function_call={"name": "f", "arguments": "{}"}).parts == [
        ToolCallPart(None, "f", {}, extra={"wire": "function_call"})
    ]


def test_parameters_have_opentelemetrys_names_and_the_rest_is_kept_under_ours() -> None:
    body = {
        "model": "m", "messages": [], "stream": True, "user": "u", "metadata": {"a": "b"}, "temperature": 0.5,
        "top_p": 1, "max_completion_tokens": 9, "seed": 0, "stop": "END", "n": 2, "frequency_penalty": None,
        "service_tier": "flex", "response_format": {"type": "json_object"}, "tool_choice": "auto", "novelty": [1],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}, {"type": "web_search"}],
        "functions": [{"name": "old"}],
    }  # fmt: skip
    content = messages_of_request(json.dumps(body).encode())
    assert content.attributes == {
        "gen_ai.request.temperature": "0.5",
        "gen_ai.request.top_p": "1",
        "gen_ai.request.max_tokens": "9",
        "gen_ai.request.seed": "0",
        "gen_ai.request.stop_sequences": '["END"]',
        "gen_ai.request.choice.count": "2",
        "openai.request.service_tier": "flex",
        "ratchet.request.response_format": '{"type":"json_object"}',
        "gen_ai.output.type": "json",
        "ratchet.request.tool_choice": "auto",
        "ratchet.request.novelty": "[1]",
    }
    assert content.tools == [
        {"type": "function", "name": "f", "parameters": {}},
        {"type": "web_search"},
        {"type": "function", "name": "old"},
    ]


def test_several_choices_are_several_messages_with_their_reasons() -> None:
    body = {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop", "logprobs": {"content": [1]}},
            {"index": 1, "message": {"role": "assistant", "content": "b"}, "finish_reason": "length"},
            {"index": 2, "message": {"role": "assistant", "content": None, "refusal": "no"}, "finish_reason": "content_filter"},
        ],
        "system_fingerprint": "fp",
        "citations": ["https://x"],
    }  # fmt: skip
    content = messages_of_response(json.dumps(body).encode())
    assert content.messages == [
        Message("assistant", [TextPart("a")], None, "stop"),
        Message("assistant", [TextPart("b")], None, "length"),
        Message("assistant", [RefusalPart("no")], None, "content_filter"),
    ]
    assert content.attributes == {
        "openai.response.system_fingerprint": "fp",
        "ratchet.response.citations": '["https://x"]',
        "ratchet.response.choices.0.logprobs": '{"content":[1]}',
    }


def test_parallel_calls_streamed_in_interleaved_pieces_come_together() -> None:
    stream = sse(
        delta(role="assistant", content=None, reasoning_content="let me "),
        delta(reasoning_content="see"),
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y"'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x":'}}]),
        delta(
            tool_calls=[
                {"index": 1, "function": {"arguments": ": 2}"}},
                {"index": 0, "function": {"arguments": " 1}"}},
            ]
        ),
        delta(finish="tool_calls"),
    )
    assert messages_of_stream(stream).messages == [
        Message(
            "assistant",
            [ReasoningPart("let me see"), ToolCallPart("a", "f", {"x": 1}), ToolCallPart("b", "g", {"y": 2})],
            None,
            "tool_call",
        )
    ]


@pytest.mark.parametrize("index", [{"index": 0}, {}])
def test_calls_of_servers_that_do_not_count_are_told_apart_by_id(index: dict[str, int]) -> None:
    stream = sse(
        delta(tool_calls=[{**index, "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}]),
        delta(tool_calls=[{**index, "id": "b", "function": {"name": "f", "arguments": '{"x"'}}]),
        delta(tool_calls=[{**index, "id": "b", "function": {"name": "f", "arguments": ":2}"}}]),
    )
    assert messages_of_stream(stream).messages[0].parts == [
        ToolCallPart("a", "f", {"x": 1}),
        ToolCallPart("b", "f", {"x": 2}),
    ]


def test_a_stream_with_two_choices_sound_and_logprobs_is_whole() -> None:
    stream = sse(
        delta(0, role="assistant", content="A"),
        delta(1, role="assistant", audio={"id": "x", "data": "AA", "transcript": "la "}),
        {"choices": [{"index": 0, "delta": {"content": "B"}, "logprobs": {"content": [{"token": "B"}]}}]},
        delta(1, "stop", audio={"data": "BB", "transcript": "la", "expires_at": 9}),
        delta(0, "length", refusal="no more"),
        {"choices": [], "moderation": {"flagged": False}, "system_fingerprint": "fp"},
    )
    content = messages_of_stream(stream)
    assert content.messages == [
        Message("assistant", [TextPart("AB"), RefusalPart("no more")], None, "length"),
        Message(
            "assistant",
            [
                TextPart("la la", {"wire": "transcript"}),
                BlobPart("audio", "AABB", extra={"wire": "audio", "audio": {"id": "x"}}),
            ],
            None,
            "stop",
        ),
    ]
    assert content.attributes["ratchet.response.choices.0.logprobs"] == '{"content":[{"token":"B"}]}'
    assert content.attributes["ratchet.response.moderation"] == '{"flagged":false}'


def test_a_stream_that_was_cut_gives_what_came() -> None:
    whole = sse(delta(role="assistant", content="Hel"), delta(content="lo"), delta(finish="stop"))
    cut = whole[: whole.index(b"lo") - 5]
    assert messages_of_stream(cut).messages == [Message("assistant", [TextPart("Hel")])]
    assert messages_of_stream(b"data: <html>").unreadable
    assert not messages_of_stream(b"").unreadable


@given(st.lists(st.text(max_size=6), max_size=8), st.lists(st.text(max_size=6), max_size=8))
def test_text_and_arguments_are_what_their_pieces_say(words: list[str], pieces: list[str]) -> None:
    stream = sse(
        *(delta(content=word) for word in words),
        *(
            delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": piece}}])
            for piece in pieces
        ),
    )
    messages = messages_of_stream(stream).messages
    parts = messages[0].parts if messages else []
    assert "".join(part.content for part in parts if isinstance(part, TextPart)) == "".join(words)
    for part in parts:
        if isinstance(part, ToolCallPart) and isinstance(part.arguments, str):
            assert part.arguments == "".join(pieces)


@given(WIRE)
def test_nothing_on_the_wire_makes_reading_or_a_span_fail(value: Any) -> None:
    body = json.dumps(value).encode()
    stream = b"data: " + body + b"\n\n"
    for request, response, streamed in ((body, body, False), (body, stream, True), (body, body, True)):
        span = span_of_call(call(request=request, response=response, stream=streamed))
        for text in (span.input_messages, span.output_messages):
            assert not text or msgspec.json.decode(text, type=list[Message])
        assert all(isinstance(text, str) for text in span.attributes.values())


@given(st.binary(max_size=100), st.booleans())
def test_arbitrary_bytes_still_make_a_span_that_keeps_them(body: bytes, streamed: bool) -> None:
    span = span_of_call(call(request=body, response=body, stream=streamed))
    if span.input_messages == "" and body:
        assert "ratchet.unparsed_request" in span.attributes or body.strip()[:1] == b"{"


def test_a_span_carries_the_call() -> None:
    span = span_of_call(
        call(
            request=json.dumps(
                {
                    "model": "support",
                    "messages": [
                        {"role": "system", "content": "Be brief."},
                        {"role": "user", "content": "Where  is\n\nmy parcel?"},
                        {"role": "assistant", "content": "Let me look."},
                    ],
                    "temperature": 0,
                }
            ).encode(),
            response=sse(delta(role="assistant", content="On its "), delta(content="way.", finish="stop")),
            stream=True,
        )
    )
    assert (span.name, span.kind, span.source) == ("chat gpt-4o", "client", "gateway")
    assert (span.input_preview, span.output_preview) == ("Where is my parcel?", "On its way.")
    assert span.cost == Decimal("0.00012")
    assert span.finish_reasons == ["tool_call"]
    assert (span.input_tokens, span.output_tokens, span.cached_tokens) == (3, 4, None)
    assert span.attributes == {"gen_ai.request.temperature": "0", "metadata.ticket": "7"}
    assert (span.user_id, span.session_id, span.organisation_id, span.tags) == ("u", "s", "o", ["t"])


def test_a_call_whose_content_is_not_kept_has_no_messages() -> None:
    span = span_of_call(call(metadata={}, cost=None))
    assert (span.input_messages, span.output_messages, span.attributes, span.cost) == ("", "", {}, None)


def test_what_can_not_be_read_is_kept_as_text() -> None:
    span = span_of_call(
        call(request=b"\xffrubbish", response=b"<html>\n<b>502</b>", status="error", http_status=502)
    )
    assert span.attributes["ratchet.unparsed_request"] == "\ufffdrubbish"
    assert span.attributes["ratchet.unparsed_response"] == "<html>\n<b>502</b>"
    assert span.output_preview == "<html> <b>502</b>"


def test_characters_that_are_none_cost_only_themselves() -> None:
    body = b'{"messages":[{"role":"user","content":"cut \\ud83d"},{"role":"user","content":"\xff!"}]}'
    assert [message.parts for message in messages_of_request(body).messages] == [
        [TextPart("cut \ufffd")],
        [TextPart("\ufffd!")],
    ]
    stream = b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n'
    assert messages_of_stream(stream).messages == [Message("assistant", [TextPart("\ufffd")])]


def test_an_error_to_a_streaming_request_is_a_plain_body() -> None:
    span = span_of_call(
        call(response=b'{"error": {"message": "no"}}', stream=True, status="error", http_status=500)
    )
    assert span.attributes["ratchet.response.error"] == '{"message":"no"}'


@pytest.mark.parametrize(
    "text", ["word " * 1000, "x" * 1000, " " * 500 + "a  b" + "\n" * 800 + "c" * 400, "short"]
)
def test_a_preview_is_one_line_of_at_most_300_characters(text: str) -> None:
    line = preview(text)
    assert len(line) <= 300
    assert line == " ".join(line.split())
    assert " ".join(text.split()).startswith(line.removesuffix("…").rstrip())
