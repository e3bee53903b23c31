"""Recorded exchanges with OpenAI's Responses API: each converts there and back, and says what the recording says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ratchet.dialects.folded import fold
from ratchet.dialects.openai_responses import DIALECT
from ratchet.dialects.openai_responses.answer import answer_of
from ratchet.dialects.openai_responses.content import (
    messages_of_request,
    messages_of_response,
    messages_of_stream,
)
from ratchet.dialects.sse import data_of_stream
from ratchet.domain.generation import HostedTool
from ratchet.domain.messages import GenericPart, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart

WIRE = Path(__file__).parent / "wire" / "openai_responses"


def exchanges() -> list[Any]:
    found: list[Any] = []
    for path in sorted(WIRE.glob("*.yaml")):
        for number, exchange in enumerate(yaml.safe_load(path.read_text())["interactions"]):
            request = exchange["request"]
            if request["method"] == "POST" and request["uri"].split("?")[0].endswith("/responses"):
                found.append(pytest.param(exchange, id=f"{path.stem}-{number}"))
    return found


EXCHANGES = exchanges()
WHOLE = [entry for entry in EXCHANGES if "parsed_body" in entry.values[0]["response"]]
STREAMS = [entry for entry in EXCHANGES if "parsed_body" not in entry.values[0]["response"]]


def asked(exchange: Any) -> bytes:
    return json.dumps(exchange["request"]["parsed_body"]).encode()


def answered(exchange: Any) -> bytes:
    return json.dumps(exchange["response"]["parsed_body"]).encode()


def streamed(exchange: Any) -> bytes:
    return exchange["response"]["body"]["string"].encode()


def events_of(stream: bytes) -> list[Any]:
    return [json.loads(data) for data in data_of_stream(stream) if data != b"[DONE]"]


def read_stream(stream: bytes) -> list[Any]:
    reader = DIALECT.stream_reader()
    return reader.feed(stream) + reader.finish()


def final_response(stream: bytes) -> dict[str, Any]:
    """The last event's response. Two recordings' items differ there from what the items' own ends say: those count."""
    events = events_of(stream)
    response = events[-1]["response"]
    ended = {
        event["output_index"]: event["item"]
        for event in events
        if event["type"] == "response.output_item.done"
    }
    return {**response, "output": [ended.get(place, item) for place, item in enumerate(response["output"])]}


def test_there_is_something_to_replay() -> None:
    assert (len(EXCHANGES), len(WHOLE), len(STREAMS)) == (66, 59, 7)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_request_comes_back_the_same(exchange: Any) -> None:
    request = DIALECT.read_request(asked(exchange))
    assert json.loads(DIALECT.write_request(request)) == exchange["request"]["parsed_body"]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_request_says_the_same_in_the_message_form(exchange: Any) -> None:
    body = exchange["request"]["parsed_body"]
    request = DIALECT.read_request(asked(exchange))
    head = DIALECT.request_head(asked(exchange))
    assert head.model == request.model == body["model"]
    assert bool(head.stream) == request.stream == bool(body.get("stream"))
    system = [message for message in request.messages if message.role == "system"]
    assert len(system) == bool(body.get("instructions")) + sum(
        item.get("role") == "system" for item in body["input"]
    )
    parts = [part for message in request.messages for part in message.parts]
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    results = [part for part in parts if isinstance(part, ToolCallResponsePart)]
    kinds = [item.get("type", "message") for item in body["input"]]
    assert [part.id for part in calls] == [
        item["call_id"] for item in body["input"] if item.get("type") == "function_call"
    ]
    assert all(isinstance(part.arguments, dict) for part in calls)
    assert [part.response for part in results] == [
        item["output"] for item in body["input"] if item.get("type") == "function_call_output"
    ]
    assert len({part.signature for part in parts if isinstance(part, ReasoningPart)} - {None}) == kinds.count(
        "reasoning"
    )
    # only what OpenAI ran itself is of no kind that the form knows
    others = {"code_interpreter_call", "compaction", "mcp_call", "mcp_list_tools"}
    assert [part.name for part in parts if isinstance(part, GenericPart)] == [
        kind for kind in kinds if kind in others
    ]
    content = messages_of_request(asked(exchange))
    assert content.messages == request.messages
    assert len(content.tools) == len(body.get("tools") or [])
    assert not any("wire" in name for name in content.attributes)


@pytest.mark.parametrize("exchange", WHOLE)
def test_a_recorded_answer_comes_back_the_same(exchange: Any) -> None:
    answer = DIALECT.read_answer(answered(exchange))
    request = DIALECT.read_request(asked(exchange))
    assert json.loads(DIALECT.write_answer(answer, request)) == exchange["response"]["parsed_body"]


@pytest.mark.parametrize("exchange", WHOLE)
def test_a_recorded_answer_says_the_same_in_the_message_form(exchange: Any) -> None:
    body = exchange["response"]["parsed_body"]
    answer = DIALECT.read_answer(answered(exchange))
    head = DIALECT.answer_head(answered(exchange))
    assert head is not None
    if "output" not in body:  # an error
        assert DIALECT.error_message(answered(exchange)) == body["error"]["message"]
        assert (head.finish_reasons, head.tokens) == ([], None)
        return
    [message] = answer.choices
    texts = [part.content for part in message.parts if isinstance(part, TextPart)]
    assert texts == [
        part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]
    ]
    called = any(item["type"] == "function_call" for item in body["output"])
    expected = None if body["status"] == "queued" else "tool_call" if called else "stop"
    assert message.finish_reason == expected
    assert head.finish_reasons == ([expected] if expected else [])
    assert (head.id, head.model, head.service_tier) == (answer.id, answer.model, answer.service_tier)
    used = body["usage"]
    if used:
        assert head.tokens == answer.usage
        assert (answer.usage.input, answer.usage.output) == (used["input_tokens"], used["output_tokens"])
        assert answer.usage.cached == used["input_tokens_details"]["cached_tokens"]
        assert answer.usage.reasoning == used["output_tokens_details"]["reasoning_tokens"]
    content = messages_of_response(answered(exchange))
    assert content.messages == [message]
    assert "ratchet.response.tools" not in content.attributes


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_folds_into_the_answer_that_it_ends_with(exchange: Any) -> None:
    stream = streamed(exchange)
    response = final_response(stream)
    answer = fold(read_stream(stream), "openai_responses")
    assert answer == answer_of(response)
    head = DIALECT.stream_head()
    head.feed(stream)
    head.finish()
    assert (head.done, head.has_content, head.error) == (True, True, None)
    assert (head.id, head.model, head.tokens) == (answer.id, answer.model, answer.usage)
    assert head.finish_reasons == [answer.choices[0].finish_reason]
    assert messages_of_stream(stream).messages == answer.choices


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_written_again_ends_with_the_same_response(exchange: Any) -> None:
    stream = streamed(exchange)
    writer = DIALECT.stream_writer(DIALECT.read_request(asked(exchange)))
    written = b"".join(writer.write(event) for event in read_stream(stream))
    events, recorded = events_of(written), events_of(stream)
    assert events[-1]["response"] == final_response(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))

    def kept(events: list[Any]) -> list[Any]:
        """What a writer says too: not the progress of tools that the provider ran."""
        skipped = ("response.queued", "response.web_search_call", "response.in_progress", "response.created")
        said = [event for event in events if not event["type"].startswith(skipped)]
        return [(event["type"], event.get("output_index"), event.get("content_index")) for event in said]

    # OpenRouter ends a thought after the text that follows it: the same events in another order
    assert sorted(kept(events), key=str) == sorted(kept(recorded), key=str)
    assert fold(read_stream(written), "openai_responses") == fold(read_stream(stream), "openai_responses")


@pytest.mark.parametrize("exchange", STREAMS)
@given(data=st.data())
def test_a_stream_says_the_same_however_it_is_cut(exchange: Any, data: st.DataObject) -> None:
    stream = streamed(exchange)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader, head, events = DIALECT.stream_reader(), DIALECT.stream_head(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += reader.feed(stream[start:end])
        head.feed(stream[start:end])
    events += reader.finish()
    assert events == read_stream(stream)
    assert head.done


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_that_was_cut_off_gives_what_came(exchange: Any) -> None:
    stream = streamed(exchange)
    whole = messages_of_stream(stream).messages[0]
    for end in range(0, len(stream), max(1, len(stream) // 40)):
        content = messages_of_stream(stream[:end])
        for message in content.messages:
            assert len(message.parts) <= len(whole.parts)
            said = "".join(part.content for part in message.parts if isinstance(part, TextPart))
            assert "".join(part.content for part in whole.parts if isinstance(part, TextPart)).startswith(
                said
            )


def test_tools_that_the_provider_runs_are_kept_whole() -> None:
    kinds: set[str] = set()
    for entry in EXCHANGES:
        request = DIALECT.read_request(asked(entry.values[0]))
        kinds |= {tool.kind for tool in request.tools if isinstance(tool, HostedTool)}
    assert kinds == {"code_interpreter", "file_search", "mcp", "web_search"}
