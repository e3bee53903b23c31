"""Chat completions through Anthropic's dialect and back, and the other way: only what the tables say is lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

import generated
from anthropic_wire import EXCHANGES, STREAMS, folded_stream, is_stream, response_body
from ratchet.dialects import openai_chat
from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.folded import fold, unfold
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart

# Whole conversations take a while to make up, on a busy machine longer than hypothesis finds right.
CHAT = openai_chat.DIALECT
slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def as_claude(request: Request) -> Request:
    """The same for a model that takes an effort, and whose schema has the name that chat completions give any."""
    return msgspec.structs.replace(request, model="claude-opus-4-8", output=None)


@slowly
@given(generated.requests("openai_chat", thinking=False))
def test_a_chat_completion_goes_through_anthropics_dialect_and_comes_back(request: Request) -> None:
    sent = CHAT.write_request(as_claude(request))
    there = DIALECT.write_request(CHAT.read_request(sent))
    back = CHAT.read_request(CHAT.write_request(DIALECT.read_request(there)))
    expected = CHAT.read_request(sent)
    choice = expected.tool_choice if expected.tools else None
    assert back == msgspec.structs.replace(expected, include_usage=back.include_usage, tool_choice=choice)


@slowly
@given(generated.requests("anthropic", thinking=False))
def test_a_message_goes_through_chat_completions_and_comes_back(request: Request) -> None:
    sent = DIALECT.write_request(as_claude(request))
    there = CHAT.write_request(DIALECT.read_request(sent))
    back = DIALECT.read_request(DIALECT.write_request(CHAT.read_request(there)))
    expected = DIALECT.read_request(sent)
    # An effort alone says to chat completions, and so to Claude, that there is to be thinking.
    thinking = expected.thinking and msgspec.structs.replace(expected.thinking, mode="adaptive")
    choice = expected.tool_choice if expected.tools else None
    assert back == msgspec.structs.replace(expected, thinking=thinking, tool_choice=choice)


def history_of(chat_answer: bytes) -> list[Part]:
    """The parts of the turn that an app which speaks chat completions sends back, as Anthropic gets them."""
    message = json.loads(chat_answer)["choices"][0]["message"]
    body = {
        "model": "claude-opus-4-8",
        "messages": [{"role": "user", "content": "hi"}, message, {"role": "user", "content": "so?"}],
    }
    request = CHAT.read_request(json.dumps(body).encode())
    return DIALECT.read_request(DIALECT.write_request(request)).messages[1].parts


def plain(parts: list[Part]) -> list[Part]:
    return [msgspec.structs.replace(part, extra=None) for part in parts]  # pyright: ignore


@slowly
@given(generated.answers("anthropic", signed_by="anthropic"))
def test_claudes_answer_comes_back_whole_from_an_app_that_speaks_chat_completions(answer: Answer) -> None:
    chat = CHAT.write_answer(answer, CHAT.read_request(b'{"model":"m","messages":[]}'))
    assert plain(history_of(chat)) == answer.choices[0].parts


def test_thoughts_that_claude_keeps_to_itself_come_back_too() -> None:
    parts: list[Part] = [
        ReasoningPart("", "redacted_thinking:xyz", "anthropic"),
        ReasoningPart("", "EqQ=", "anthropic"),
        TextPart("yes"),
        ToolCallPart("toolu_1", "f", {}),
    ]
    body = {"id": "m", "model": "c", "content": [], "usage": {}, "stop_reason": "tool_use"}
    empty = DIALECT.read_answer(json.dumps(body).encode())
    answer = msgspec.structs.replace(empty, choices=[Message("assistant", parts, None, "tool_call")])
    asked = CHAT.read_request(b'{"model":"m","messages":[],"stream":true}')
    assert plain(history_of(CHAT.write_answer(answer, asked))) == parts
    writer = CHAT.stream_writer(asked)
    reader = CHAT.stream_reader()
    events = reader.feed(b"".join(writer.write(event) for event in unfold(answer))) + reader.finish()
    streamed = CHAT.write_answer(fold(events, "openai_chat"), asked)
    assert plain(history_of(streamed)) == parts


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_answer_reaches_an_app_that_speaks_chat_completions(exchange: Any) -> None:
    if exchange["response"]["status"]["code"] != 200:
        return
    body = response_body(exchange)
    if is_stream(exchange):
        body = json.dumps(folded_stream(body)).encode()
    answer = DIALECT.read_answer(body)
    asked = CHAT.read_request(b'{"model":"m","messages":[]}')
    said = CHAT.read_answer(CHAT.write_answer(answer, asked))
    text = "".join(part.content for part in answer.choices[0].parts if isinstance(part, TextPart))
    assert "".join(part.content for part in said.choices[0].parts if isinstance(part, TextPart)) == text
    calls = [(p.id, p.name, p.arguments) for p in answer.choices[0].parts if isinstance(p, ToolCallPart)]
    assert [
        (p.id, p.name, p.arguments) for p in said.choices[0].parts if isinstance(p, ToolCallPart)
    ] == calls
    assert said.choices[0].finish_reason == answer.choices[0].finish_reason
    assert (said.usage.input, said.usage.output, said.usage.cached, said.usage.cache_write) == (
        answer.usage.input,
        answer.usage.output,
        answer.usage.cached,
        answer.usage.cache_write,
    )


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_reaches_an_app_that_speaks_chat_completions(exchange: Any) -> None:
    reader = DIALECT.stream_reader()
    events = reader.feed(response_body(exchange)) + reader.finish()
    asked = CHAT.read_request(
        b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    )
    writer, back = CHAT.stream_writer(asked), CHAT.stream_reader()
    said = fold(back.feed(b"".join(writer.write(event) for event in events)) + back.finish(), "openai_chat")
    answer = fold(events, "anthropic")
    text = "".join(part.content for part in answer.choices[0].parts if isinstance(part, TextPart))
    assert "".join(part.content for part in said.choices[0].parts if isinstance(part, TextPart)) == text
    assert (said.usage.input, said.usage.output) == (answer.usage.input, answer.usage.output)
