"""Recorded exchanges with Anthropic's API: there and back they say what they said, whole or in a stream."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given
from hypothesis import strategies as st

from anthropic_wire import (
    EXCHANGES,
    STREAMS,
    canonical,
    folded_stream,
    is_stream,
    request_body,
    response_body,
)
from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.folded import fold, unfold
from ratchet.domain.generation import Request, StreamEvent
from ratchet.domain.messages import GenericPart, TextPart, ToolCallPart, ToolCallResponsePart

ASKED = Request(dialect="anthropic", model="m", messages=[])


def events_of(stream: bytes, cuts: list[int]) -> list[StreamEvent]:
    reader = DIALECT.stream_reader()
    edges = [0, *sorted(cuts), len(stream)]
    events = [event for start, end in pairwise(edges) for event in reader.feed(stream[start:end])]
    return events + reader.finish()


def written(events: list[StreamEvent]) -> bytes:
    writer = DIALECT.stream_writer(ASKED)
    return b"".join(writer.write(event) for event in events)


def test_there_is_something_to_replay() -> None:
    assert (len(EXCHANGES), len(STREAMS)) == (50, 4)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_request_comes_back_as_it_was(exchange: Any) -> None:
    sent = exchange["request"]["parsed_body"]
    request = DIALECT.read_request(request_body(exchange))
    assert canonical(json.loads(DIALECT.write_request(request))) == canonical(sent)
    head = DIALECT.request_head(request_body(exchange))
    assert (head.model, bool(head.stream)) == (sent["model"], is_stream(exchange))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_request_says_the_same_in_the_message_form(exchange: Any) -> None:
    sent = exchange["request"]["parsed_body"]
    request = DIALECT.read_request(request_body(exchange))
    blocks = [
        block
        for message in sent["messages"]
        for block in (
            [{"type": "text", "text": message["content"]}]
            if isinstance(message["content"], str)
            else message["content"]
        )
    ]
    parts = [part for message in request.messages if message.role != "system" for part in message.parts]
    assert [part.content for part in parts if isinstance(part, TextPart)] == [
        block["text"] for block in blocks if block["type"] == "text"
    ]
    assert [(part.id, part.arguments) for part in parts if isinstance(part, ToolCallPart)] == [
        (block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]
    assert [part.id for part in parts if isinstance(part, ToolCallResponsePart)] == [
        block["tool_use_id"] for block in blocks if block["type"] == "tool_result"
    ]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_answer_comes_back_as_it_was(exchange: Any) -> None:
    body = response_body(exchange)
    if exchange["response"]["status"]["code"] != 200:
        assert DIALECT.error_message(body) == json.loads(body)["error"]["message"]
        return
    said = folded_stream(body) if is_stream(exchange) else json.loads(body)
    answer = DIALECT.read_answer(json.dumps(said).encode())
    assert json.loads(DIALECT.write_answer(answer, ASKED)) == said
    assert answer.choices[0].finish_reason == ("tool_call" if said["stop_reason"] == "tool_use" else "stop")
    usage = said["usage"]
    assert answer.usage.output == usage["output_tokens"]
    assert answer.usage.input == (
        usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
    )


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_the_head_and_the_whole_agree(exchange: Any) -> None:
    body = response_body(exchange)
    if is_stream(exchange):
        head = DIALECT.stream_head()
        head.feed(body)
        head.finish()
        answer = fold(events_of(body, []), "anthropic")
        assert head.done
        assert head.has_content
    else:
        whole = DIALECT.answer_head(body)
        assert whole is not None
        answer, head = DIALECT.read_answer(body), whole
    assert (head.id or "", head.model or "") == (answer.id, answer.model)
    assert (head.tokens or type(answer.usage)()) == answer.usage
    reason = answer.choices[0].finish_reason
    assert head.finish_reasons == ([reason] if reason else [])
    assert (head.service_tier or None) == answer.service_tier


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_says_what_its_whole_answer_says(exchange: Any) -> None:
    body = response_body(exchange)
    whole = DIALECT.read_answer(json.dumps(folded_stream(body)).encode())
    assert fold(events_of(body, []), "anthropic") == whole
    assert any(isinstance(part, TextPart) for part in whole.choices[0].parts)


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_comes_back_saying_the_same(exchange: Any) -> None:
    body = response_body(exchange)
    events = events_of(body, [])
    assert folded_stream(written(events)) == folded_stream(body)
    answer = fold(events, "anthropic")
    assert fold(events_of(written(unfold(answer)), []), "anthropic") == answer


@pytest.mark.parametrize("exchange", STREAMS)
def test_anthropics_client_reads_what_is_written(exchange: Any) -> None:
    body = response_body(exchange)
    snapshots: list[Any] = []
    for stream in (body, written(events_of(body, []))):
        snapshot: Any = None
        buffers: dict[int, bytes] = {}
        for line in stream.decode().splitlines():
            if line.startswith("data:") and '"ping"' not in line:
                event: Any = json.loads(line[5:])
                snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
        snapshots.append(snapshot.to_dict())
    assert snapshots[0] == snapshots[1]


@pytest.mark.parametrize("exchange", STREAMS)
@given(data=st.data())
def test_however_a_stream_is_cut_its_events_are_the_same(exchange: Any, data: st.DataObject) -> None:
    body = response_body(exchange)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=30))
    assert events_of(body, cuts) == events_of(body, [])


def test_what_anthropic_runs_itself_stays_whole() -> None:
    names = {
        part.name
        for exchange in STREAMS
        for part in fold(events_of(response_body(exchange.values[0]), []), "anthropic").choices[0].parts
        if isinstance(part, GenericPart)
    }
    assert names == {"server_tool_use", "web_search_tool_result", "web_fetch_tool_result"}
