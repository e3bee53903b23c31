"""Answers and streams in Anthropic's dialect: tables, order of events, and what Anthropic's own client makes of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from tests.conftest import running_app

from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.folded import fold, unfold
from ratchet.domain.generation import (
    Answer,
    ChoiceEnded,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    SignatureDelta,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamStarted,
    UsageReported,
)
from ratchet.domain.messages import (
    BlobPart,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import NotFound

ASKED = Request(dialect="anthropic", model="m", messages=[])
BEGUN = StreamStarted(id="msg_1", model="m")
FINISHED: list[StreamEvent] = [ChoiceEnded(0, "stop"), UsageReported(Usage(7, 5)), StreamEnded()]


def answer(*parts: Part, reason: str = "stop", dialect: str = "openai_chat", **fields: Any) -> Answer:
    given = {"id": "r1", "model": "gpt", "usage": Usage(100, 20), **fields}
    return Answer(dialect=dialect, choices=[Message("assistant", list(parts), None, reason)], **given)


def written(said: Answer) -> dict[str, Any]:
    return json.loads(DIALECT.write_answer(said, ASKED))


def stream_of(events: list[StreamEvent]) -> bytes:
    writer = DIALECT.stream_writer(ASKED)
    return b"".join(writer.write(event) for event in events)


def sent(events: list[StreamEvent]) -> list[dict[str, Any]]:
    lines = stream_of(events).decode().splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert names == [event["type"] for event in data]
    return data


@contextlib.asynccontextmanager
async def client_of(
    body: bytes, content_type: str, status: int = 200
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's own client of a server that always answers the same."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", content_type.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with (
        running_app(app) as address,
        anthropic.AsyncAnthropic(api_key="k", base_url=address, max_retries=0) as client,
    ):
        yield client


ASK: Any = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


async def streamed(events: list[StreamEvent]) -> Any:
    async with (
        client_of(stream_of(events), "text/event-stream") as client,
        client.messages.stream(**ASK) as stream,
    ):
        return await stream.get_final_message()


@pytest.mark.parametrize(
    ("word", "reason", "back"),
    [
        ("end_turn", "stop", "end_turn"),
        ("stop_sequence", "stop", "end_turn"),
        ("pause_turn", "stop", "end_turn"),
        ("compaction", "stop", "end_turn"),
        ("new_reason", "stop", "end_turn"),
        ("tool_use", "tool_call", "tool_use"),
        ("max_tokens", "length", "max_tokens"),
        ("model_context_window_exceeded", "length", "max_tokens"),
        ("refusal", "content_filter", "refusal"),
    ],
)
def test_why_an_answer_ended_goes_both_ways(word: str, reason: str, back: str) -> None:
    body = {
        "id": "m",
        "content": [],
        "stop_reason": word,
        "stop_sequence": "END" if word == "stop_sequence" else None,
    }
    read = DIALECT.read_answer(json.dumps(body).encode())
    head = DIALECT.answer_head(json.dumps(body).encode())
    assert head is not None
    assert head.finish_reasons == [read.choices[0].finish_reason] == [reason]
    again = written(read)
    assert (again["stop_reason"], again["stop_sequence"]) == (word, body["stop_sequence"])
    foreign = written(answer(reason=reason))
    assert (foreign["stop_reason"], foreign["stop_sequence"]) == (back, None)


def test_an_answer_that_went_wrong_is_no_whole_one() -> None:
    body = written(answer(TextPart("half"), reason="error"))
    assert body["stop_reason"] == "refusal"
    assert "error" in body["stop_details"]["explanation"]
    assert sent([BEGUN, ChoiceEnded(0, "error"), StreamEnded()])[-2]["delta"]["stop_reason"] == "refusal"


def test_a_refusal_is_text_and_the_reason() -> None:
    said = answer(RefusalPart("I won't."))
    body = written(said)
    assert body["content"] == [{"type": "text", "text": "I won't."}]
    assert body["stop_reason"] == "refusal"
    assert fold(DIALECT.stream_reader().feed(stream_of(unfold(said))), "anthropic").choices[
        0
    ].finish_reason == ("content_filter")


def test_an_app_gets_every_count_and_an_hours_cache() -> None:
    usage = Usage(100, 20, 30, 40, 5, None, None, 10)
    body = written(answer(usage=usage, service_tier="default"))
    assert body["usage"] == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 40,
        "cache_read_input_tokens": 30,
        "output_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 10},
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
    }
    assert DIALECT.read_answer(json.dumps(body).encode()).usage == usage
    unknown = written(answer(usage=Usage(), service_tier="flex"))["usage"]
    assert unknown == dict.fromkeys(unknown, 0)
    assert "service_tier" not in unknown


async def test_what_anthropic_has_no_block_for_is_left_out_of_an_answer() -> None:
    said = answer(
        TextPart("a", {"annotations": [1]}),
        TextPart(""),
        BlobPart("image", "AA==", "image/png"),
        GenericPart("image_generation_call", {"type": "image_generation_call"}),
        ReasoningPart(""),
        extra={"system_fingerprint": "f"},
    )
    assert written(said)["content"] == [{"type": "text", "text": "a"}]
    assert "system_fingerprint" not in written(said)
    assert [block.to_dict() for block in (await streamed(unfold(said))).content] == [
        {"type": "text", "text": "a"}
    ]


def test_a_call_without_an_id_gets_one_and_broken_arguments_stay_as_they_are() -> None:
    body = written(
        answer(ToolCallPart(None, "f", None), ToolCallPart("c", "g", "{broken"), reason="tool_call")
    )
    assert body["content"] == [
        {"type": "tool_use", "id": "call_r1_0", "name": "f", "input": {}},
        {"type": "tool_use", "id": "c", "name": "g", "input": "{broken"},
    ]


async def test_proofs_of_other_vendors_come_back_with_the_next_turn() -> None:
    said = answer(
        ReasoningPart("hm", "enc", "openai_responses"),
        ToolCallPart("c", "f", {"x": 1}, signature="sig", origin="gemini"),
        reason="tool_call",
    )
    expected = [
        {"type": "thinking", "thinking": "hm", "signature": "openai_responses:enc"},
        {"type": "thinking", "thinking": "", "signature": "gemini:sig"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}},
    ]
    assert written(said)["content"] == expected
    assert [block.to_dict() for block in (await streamed(unfold(said))).content] == expected
    turn = {"model": "m", "messages": [{"role": "assistant", "content": expected}]}
    assert DIALECT.read_request(json.dumps(turn).encode()).messages[0].parts == [
        ReasoningPart("hm", "enc", "openai_responses"),
        ReasoningPart("", "sig", "gemini"),
        ToolCallPart("c", "f", {"x": 1}),
    ]


async def test_a_thought_that_anthropic_keeps_to_itself_is_told_from_one_without_text() -> None:
    blocks = [
        {"type": "thinking", "thinking": "", "signature": "EqQ="},
        {"type": "redacted_thinking", "data": "xyz"},
    ]
    read = DIALECT.read_answer(json.dumps({"content": blocks}).encode())
    assert read.choices[0].parts == [
        ReasoningPart("", "EqQ=", "anthropic"),
        ReasoningPart("", "redacted_thinking:xyz", "anthropic"),
    ]
    assert written(read)["content"] == blocks
    assert [block.to_dict() for block in (await streamed(unfold(read))).content] == blocks


async def test_anthropics_client_reads_a_whole_answer() -> None:
    said = answer(
        ReasoningPart("hm"), TextPart("yes"), ToolCallPart("c", "f", {"x": [1]}), reason="tool_call"
    )
    async with client_of(DIALECT.write_answer(said, ASKED), "application/json") as client:
        message = await client.messages.create(**ASK)
    thought, text, call = message.content
    assert (thought.type, text.type, call.type) == ("thinking", "text", "tool_use")
    assert call.type == "tool_use"
    assert (call.id, call.name, call.input) == ("c", "f", {"x": [1]})
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == (
        "tool_use",
        100,
        20,
    )


async def test_anthropics_client_puts_a_stream_together_with_parallel_calls_told_in_turns() -> None:
    message = await streamed(
        [
            BEGUN,
            PartStarted(0, 0, ReasoningPart("")),
            PartDelta(0, 0, "h"),
            PartStarted(0, 1, TextPart("")),
            PartDelta(0, 0, "m"),
            PartDelta(0, 1, "ye"),
            SignatureDelta(0, 0, "ab", "anthropic"),
            SignatureDelta(0, 0, "cd", "anthropic"),
            PartStarted(0, 2, ToolCallPart("a", "f")),
            PartStarted(0, 3, ToolCallPart("b", "g")),
            PartDelta(0, 3, '{"y"'),
            PartDelta(0, 2, '{"x"'),
            PartEnded(0, 0),
            PartDelta(0, 1, "s"),
            PartDelta(0, 3, ":2}"),
            PartDelta(0, 2, ":1}"),
            ChoiceEnded(0, "tool_call"),
            UsageReported(Usage(100, 20, 30, 40, 5)),
            StreamEnded(),
        ]
    )
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "hm", "signature": "abcd"},
        {"type": "text", "text": "yes"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"y": 2}},
    ]
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (30, 20)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (30, 40)
    assert usage.output_tokens_details.thinking_tokens == 5


def test_words_are_written_as_they_come() -> None:
    writer = DIALECT.stream_writer(ASKED)
    assert b"message_start" in writer.write(BEGUN)
    assert writer.write(PartStarted(0, 0, TextPart(""))) == b""
    first = writer.write(PartDelta(0, 0, "a"))
    assert first.count(b"event: ") == 2  # the block begins with its first words
    assert writer.write(PartDelta(0, 0, "b")) == (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"b"}}\n\n'
    )
    assert writer.write(PartEnded(0, 0)).startswith(b"event: content_block_stop")
    assert writer.write(PartDelta(0, 0, "late")) == b""
    ending = b"".join(writer.write(event) for event in FINISHED)
    assert b'"output_tokens":5' in ending
    assert ending.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_other_choices_are_not_written() -> None:
    events: list[StreamEvent] = [
        BEGUN,
        PartStarted(1, 0, TextPart("")),
        PartDelta(1, 0, "b"),
        PartEnded(1, 0),
        ChoiceEnded(1, "length"),
        *FINISHED,
    ]
    assert [event["type"] for event in sent(events)] == ["message_start", "message_delta", "message_stop"]


def test_a_stream_that_says_nothing_is_whole_all_the_same() -> None:
    assert [event["type"] for event in sent([StreamEnded()])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [("overloaded_error", "overloaded_error"), ("server_error", "api_error"), (None, "api_error")],
)
async def test_a_failure_inside_a_stream_reaches_anthropics_client(code: str | None, kind: str) -> None:
    events: list[StreamEvent] = [
        BEGUN,
        PartStarted(0, 0, TextPart("")),
        PartDelta(0, 0, "a"),
        StreamFailed("Out of order.", code),
    ]
    with pytest.raises(anthropic.APIStatusError, match=r"Out of order\.") as caught:
        await streamed(events)
    assert caught.value.body == {"type": "error", "error": {"type": kind, "message": "Out of order."}}
    assert DIALECT.stream_reader().feed(stream_of([StreamFailed("x", "overloaded_error")])) == [
        StreamFailed("x", "overloaded_error")
    ]


async def test_an_error_body_reaches_anthropics_client() -> None:
    error = NotFound("There is no route `x`.", "See /v1/models.")
    says = r"There is no route `x`\. See /v1/models\. \(code: not_found\)"
    async with client_of(DIALECT.error_body(error), "application/json", 404) as client:
        with pytest.raises(anthropic.NotFoundError, match=says):
            await client.messages.create(**ASK)


def read(*events: dict[str, Any]) -> list[StreamEvent]:
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return DIALECT.stream_reader().feed(stream)


def test_counts_that_the_end_leaves_open_stay_what_the_start_said() -> None:
    start = {
        "id": "m",
        "model": "m",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "speed": "fast"},
    }
    ending = {"output_tokens": 3, "input_tokens": None, "cache_read_input_tokens": None, "speed": None}
    events = read(
        {"type": "message_start", "message": start},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": ending},
        {"type": "message_stop"},
    )
    assert events[1:] == [
        UsageReported(Usage(9, 3, 4)),
        ChoiceEnded(0, "stop"),
        StreamEnded({"usage": {"speed": "fast"}}),
    ]


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    }
    empty = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": ""},
    }
    stop = {"type": "content_block_stop", "index": 0}
    assert read(start, empty, stop) == [
        PartStarted(0, 0, ToolCallPart("c", "f")),
        PartDelta(0, 0, "{}"),
        PartEnded(0, 0),
    ]
    given = {**start, "content_block": {**start["content_block"], "input": {"x": 1}}}
    assert read(given, stop)[1] == PartDelta(0, 0, '{"x":1}')


def test_servers_that_only_resemble_anthropics_are_understood() -> None:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    assert read(
        delta, {"type": "content_block_stop", "index": 0}, {"type": "content_block_stop", "index": 9}
    ) == [
        PartStarted(0, 0, TextPart("")),
        PartDelta(0, 0, "a"),
        PartEnded(0, 0),
    ]
    reader = DIALECT.stream_reader()
    assert reader.feed(b"data: [DONE]\n\n: comment\n\ndata: {broken\n\n") == []
    assert reader.feed(b'data: {"type":"message_stop"}') == []
    assert reader.finish() == [StreamEnded()]


def test_a_block_that_came_in_pieces_and_has_no_part_is_told_whole() -> None:
    events = read(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "Sum"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "mary"}},
        {"type": "content_block_stop", "index": 0},
    )
    value = {"type": "compaction", "content": "Summary"}
    assert events == [PartStarted(0, 0, GenericPart("compaction", value)), PartEnded(0, 0)]
