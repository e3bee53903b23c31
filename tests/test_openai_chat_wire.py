"""Recorded exchanges with real providers: every one converts, and says what the recording says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ratchet.dialects.openai_chat.content import (
    AnswerContent,
    messages_of_request,
    messages_of_response,
    messages_of_stream,
)
from ratchet.dialects.openai_chat.head import AnswerHead, StreamHead, answer_head, request_head
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
from ratchet.domain.usage import Usage
from ratchet.telemetry.calls import Call
from ratchet.telemetry.spans import span_of_call
from recordings import is_stream, recorded, request_body, response_body

EXCHANGES = recorded("openai_chat", lambda address: address.endswith("/chat/completions"))


def texts(message: Message) -> list[str]:
    return [part.content for part in message.parts if isinstance(part, TextPart)]


def text_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    return [part["text"] for part in content or [] if part["type"] == "text"]


def calls(message: Message) -> list[tuple[str | None, str, Any]]:
    return [(part.id, part.name, part.arguments) for part in message.parts if isinstance(part, ToolCallPart)]


def calls_of(message: Any) -> list[tuple[str, str, Any]]:
    return [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or []
    ]


def fold(stream: str) -> dict[str, Any]:
    """The plainest folding there is, to compare with: one choice, calls by index."""
    text, tool_calls = "", {}
    for line in stream.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
                for piece in choice["delta"].get("tool_calls") or []:
                    call = tool_calls.setdefault(
                        piece["index"],
                        {
                            "id": piece.get("id"),
                            "function": {"name": piece["function"].get("name"), "arguments": ""},
                        },
                    )
                    call["function"]["arguments"] += piece["function"].get("arguments") or ""
    return {"content": text, "tool_calls": list(tool_calls.values())}


def test_there_is_something_to_replay() -> None:
    assert len(EXCHANGES) == 31


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_request_says_the_same_in_the_message_form(exchange: Any) -> None:
    sent = exchange["request"]["parsed_body"]
    asked = messages_of_request(request_body(exchange))
    assert request_head(request_body(exchange)).model == sent["model"]
    assert not asked.unreadable
    assert [message.role for message in asked.messages] == [message["role"] for message in sent["messages"]]
    for message, original in zip(asked.messages, sent["messages"], strict=True):
        assert calls(message) == calls_of(original)
        if original["role"] == "tool":
            assert message.parts == [ToolCallResponsePart(original["tool_call_id"], original["content"])]
        else:
            assert texts(message) == text_of(original.get("content"))
            many = len(original["content"]) if isinstance(original.get("content"), list) else 0
            assert len(message.parts) >= many
        assert not any(isinstance(part, GenericPart) for part in message.parts)
    assert [tool["name"] for tool in asked.tools] == [
        tool["function"]["name"] for tool in sent.get("tools", [])
    ]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_answer_says_the_same_in_the_message_form(exchange: Any) -> None:
    body = response_body(exchange)
    if is_stream(exchange) and body.startswith(b"data:"):
        answered = messages_of_stream(body)
        expected = [fold(body.decode())]
    elif "parsed_body" in exchange["response"]:
        answered = messages_of_response(body)
        expected = [choice["message"] for choice in exchange["response"]["parsed_body"].get("choices", [])]
    else:  # an endpoint that answers in plain text
        assert messages_of_response(body) == AnswerContent([], {}, unreadable=True)
        return
    assert not answered.unreadable
    assert len(answered.messages) == len(expected)
    for message, original in zip(answered.messages, expected, strict=True):
        assert texts(message) == text_of(original.get("content"))
        assert calls(message) == calls_of(original)
        assert message.finish_reason == ("tool_call" if original.get("tool_calls") else "stop")
        if original.get("reasoning"):
            thought = message.parts[0]
            assert isinstance(thought, ReasoningPart)
            assert thought.content == original["reasoning"]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_exchange_becomes_a_span(exchange: Any) -> None:
    sent, body = exchange["request"]["parsed_body"], response_body(exchange)
    if is_stream(exchange):
        head = StreamHead()
        head.feed(body)
        head.finish()
        known, model, usage, reasons = head.id, head.model, head.tokens, head.finish_reasons
    else:
        answer = answer_head(body) or AnswerHead()
        known, model, usage, reasons = (
            answer.id or "",
            answer.model or "",
            answer.tokens,
            answer.finish_reasons,
        )
    status = exchange["response"]["status"]["code"]
    span = span_of_call(
        Call(
            project_id="p", key_id="k", trace_id="1" * 32, span_id="2" * 16, parent_id="", start=1, duration=2,
            dialect="openai_chat", operation="chat", route="r", target=f"openai/{sent['model']}", provider="openai",
            request_model=sent["model"], response_model=model, response_id=known, stream=is_stream(exchange),
            status="ok" if status == 200 else "error", error_type="", error_message="", http_status=status,
            time_to_first_token=None, usage=usage or Usage(), cost="0.5", finish_reasons=reasons, user_id="",
            organisation_id="", session_id="", tags=[], app_version="", language="", metadata={},
            request=request_body(exchange), response=body,
        )
    )  # fmt: skip
    assert len(msgspec.json.decode(span.input_messages, type=list[Message])) == len(sent["messages"])
    assert span.input_preview
    if status == 200:
        assert span.output_preview
        assert span.output_messages or "ratchet.unparsed_response" in span.attributes
        recorded = exchange["response"].get("parsed_body", {}).get("usage")
        if recorded:
            assert (span.input_tokens, span.output_tokens) == (
                recorded["prompt_tokens"],
                recorded["completion_tokens"],
            )
            details = recorded.get("completion_tokens_details") or {}
            assert span.reasoning_tokens == details.get("reasoning_tokens")
    else:
        assert json.loads(span.attributes["ratchet.response.error"])["message"]


def test_recorded_pictures_documents_and_sound_are_parts_of_their_own() -> None:
    parts = [
        part
        for exchange in EXCHANGES
        for message in messages_of_request(request_body(exchange.values[0])).messages
        for part in message.parts
    ]
    blobs = {(part.modality, part.mime_type) for part in parts if isinstance(part, BlobPart)}
    assert blobs >= {("audio", "audio/mpeg"), ("document", "application/pdf")}
    assert [part.modality for part in parts if isinstance(part, UriPart)] == ["image"]
