"""Streams of chat completions and the neutral events: there and back is the same, however the bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from generated import answers
from ratchet.dialects.folded import Folding, fold, unfold
from ratchet.dialects.openai_chat import DIALECT
from ratchet.dialects.openai_chat.content import messages_of_stream
from ratchet.dialects.sse import data_of_stream
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
from recordings import is_stream, recorded, request_body, response_body

STREAMS = [
    given
    for given in recorded("openai_chat", lambda address: address.endswith("/chat/completions"))
    if is_stream(given.values[0]) and response_body(given.values[0]).startswith(b"data:")
]
ASKED = Request(dialect="openai_chat", model="m", messages=[], stream=True, include_usage=True)


def events_of(stream: bytes, cuts: list[int] | None = None) -> list[StreamEvent]:
    reader, events, start = DIALECT.stream_reader(), [], 0
    for cut in sorted({cut % (len(stream) + 1) for cut in cuts or []}):
        events += reader.feed(stream[start:cut])
        start = cut
    return events + reader.feed(stream[start:]) + reader.finish()


def written(events: list[StreamEvent], asked: Request = ASKED) -> bytes:
    writer = DIALECT.stream_writer(asked)
    return b"".join(map(writer.write, events))


def sse(*chunks: Any, done: bool = True) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    whole = b"".join(b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks)
    return whole + (b"data: [DONE]\n\n" if done else b"")


def delta(index: int = 0, finish: str | None = None, /, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def parts_of(*deltas: dict[str, Any]) -> list[Part]:
    """The parts of the first choice, the same when they are written and read again."""
    events = events_of(sse(*(delta(**fields) for fields in deltas), delta(0, "stop")))
    parts = fold(events, "openai_chat").choices[0].parts
    assert fold(events_of(written(events)), "openai_chat").choices[0].parts == parts
    return parts


def official(stream: bytes) -> Any:
    """What the official client makes of it, chunk for chunk and put together."""
    state = ChatCompletionStreamState()
    for data in data_of_stream(stream):
        if data != b"[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate_json(data))
    return state.current_completion_snapshot


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_recorded_stream_is_the_same_there_and_back(exchange: Any) -> None:
    stream = response_body(exchange)
    events = events_of(stream)
    answer = fold(events, "openai_chat")
    asked = DIALECT.read_request(request_body(exchange))
    again = written(events, asked)
    assert fold(events_of(again), "openai_chat") == answer
    assert official(again).choices[0].message == official(stream).choices[0].message
    assert answer.choices[0].parts == messages_of_stream(stream).messages[0].parts
    head = DIALECT.stream_head()
    head.feed(stream)
    assert (head.id, head.model, head.tokens) == (answer.id, answer.model, answer.usage)
    assert isinstance(events[-1], StreamEnded)


@pytest.mark.parametrize("exchange", STREAMS)
@given(cuts=st.lists(st.integers(0, 2**20), max_size=12))
def test_a_recorded_stream_gives_the_same_events_however_it_is_cut(exchange: Any, cuts: list[int]) -> None:
    stream = response_body(exchange)
    assert events_of(stream, cuts) == events_of(stream)


@given(answers(dialect="anthropic", signed_by="anthropic", refusals=True, most_choices=3))
def test_another_dialects_stream_crosses_whole_and_the_official_client_reads_it(answer: Answer) -> None:
    stream = written(unfold(answer))
    read = fold(events_of(stream), "openai_chat")
    assert [(message.parts, message.finish_reason) for message in read.choices] == [
        (message.parts, message.finish_reason) for message in answer.choices
    ]
    assert (read.id, read.model, read.created, read.usage) == (
        answer.id,
        answer.model,
        answer.created or 0,
        answer.usage,
    )
    whole = json.loads(DIALECT.write_answer(answer, ASKED))
    for choice, expected in zip(official(stream).choices, whole["choices"], strict=True):
        said = choice.message.to_dict()
        for name in ("tool_calls", "reasoning_details"):  # the numbers that streamed entries need
            for entry in said.get(name) or ():
                entry.pop("index", None)
                entry.get("function", {}).pop("parsed_arguments", None)
            for entry in expected["message"].get(name) or ():
                entry.pop("index", None)
        assert {name: value for name, value in said.items() if value and name != "parsed"} == {
            name: value for name, value in expected["message"].items() if value
        }


@given(answers(refusals=True, most_choices=2), st.lists(st.integers(0, 2**12), max_size=8))
def test_a_written_stream_gives_the_same_events_however_it_is_cut(answer: Answer, cuts: list[int]) -> None:
    stream = written(unfold(answer))
    assert events_of(stream, cuts) == events_of(stream)


def test_parts_come_one_after_the_other_and_the_end_at_the_end() -> None:
    stream = sse(
        delta(role="assistant", content="", refusal=None),
        delta(reasoning_content="hm"),
        delta(content="He"),
        delta(content="y"),
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x":1}'}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]),
        delta(0, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
    )  # fmt: skip
    assert events_of(stream) == [
        StreamStarted(id="c", model="m", created=1, extra={"object": "chat.completion.chunk"}),
        PartStarted(0, 0, ReasoningPart("")),
        PartDelta(0, 0, "hm"),
        PartEnded(0, 0),
        PartStarted(0, 1, TextPart("")),
        PartDelta(0, 1, "He"),
        PartDelta(0, 1, "y"),
        PartEnded(0, 1),
        PartStarted(0, 2, ToolCallPart("a", "f", "")),
        PartDelta(0, 2, '{"x":1}'),
        PartEnded(0, 2),
        PartStarted(0, 3, ToolCallPart("b", "g", "")),
        PartDelta(0, 3, "{}"),
        UsageReported(Usage(3, 4)),
        PartEnded(0, 3),
        ChoiceEnded(0, "tool_call"),
        StreamEnded(),
    ]


def test_calls_in_pieces_that_alternate_stay_open_side_by_side() -> None:
    assert parts_of(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y"'}}]},
        {
            "tool_calls": [
                {"index": 1, "function": {"arguments": ":2}"}},
                {"index": 0, "function": {"arguments": ":1}"}},
            ]
        },
    ) == [ToolCallPart("a", "f", {"x": 1}), ToolCallPart("b", "g", {"y": 2})]


@pytest.mark.parametrize("index", [{"index": 0}, {}])
def test_calls_of_servers_that_do_not_count_are_told_apart_by_id(index: dict[str, int]) -> None:
    assert parts_of(
        {"tool_calls": [{**index, "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}]},
        {"tool_calls": [{**index, "id": "b", "function": {"name": "f", "arguments": '{"x"'}}]},
        {"tool_calls": [{**index, "id": "b", "function": {"name": "f", "arguments": ":2}"}}]},
    ) == [ToolCallPart("a", "f", {"x": 1}), ToolCallPart("b", "f", {"x": 2})]


def test_names_in_pieces_empty_arguments_custom_and_signed_calls_are_whole() -> None:
    google = {"google": {"thought_signature": "gemini:sig"}}
    assert parts_of(
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "sea"}}]},
        {"tool_calls": [{"index": 0, "function": {"name": "rch", "arguments": ""}, "extra_content": google}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "c", "input": "fr"}}]},
        {"tool_calls": [{"index": 1, "custom": {"input": "ee"}}]},
    ) == [
        ToolCallPart("a", "search", "", "sig", "gemini"),
        ToolCallPart("b", "c", "free", extra={"custom": True}),
    ]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([{"reasoning": "a"}, {"reasoning": "b"}], [ReasoningPart("ab", extra={"wire": {"field": "reasoning"}})]),
        (
            [{"reasoning": "a", "reasoning_content": "a"}],
            [ReasoningPart("a", extra={"wire": {"field": "both"}})],
        ),
        (  # OpenRouter: the same twice in each chunk, the proof at the end
            [
                {"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0, "format": "f"}]},
                {"reasoning": "b", "reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 0, "format": "f"}]},
                {"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0, "format": "f"}]},
                {"content": "x"},
            ],
            [ReasoningPart("ab", "sig", "openai_chat", {"wire": {"field": "reasoning", "format": "f"}}), TextPart("x")],
        ),
        (
            [
                {"reasoning_details": [{"type": "reasoning.encrypted", "data": "abc", "index": 0}]},
                {"reasoning_details": [{"type": "reasoning.encrypted", "data": "def", "index": 1}]},
            ],
            [ReasoningPart("", "abc", "openai_chat"), ReasoningPart("", "def", "openai_chat")],
        ),
        (  # details alone
            [
                {"reasoning_details": [{"type": "reasoning.summary", "summary": "a", "index": 0}]},
                {"reasoning_details": [{"type": "reasoning.summary", "summary": "b", "index": 0}]},
            ],
            [ReasoningPart("ab", extra={"wire": {"field": "details", "type": "reasoning.summary"}})],
        ),
        (  # Mistral
            [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]},
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}]},
                {"content": [{"type": "text", "text": "x"}]},
                {"content": "y"},
            ],
            [ReasoningPart("ab", extra={"wire": {"field": "content"}}), TextPart("xy")],
        ),
        ([{"content": [{"type": "reference", "ids": [1]}]}], [GenericPart("reference", {"type": "reference", "ids": [1]})]),
        ([{"content": "a"}, {"refusal": "n"}, {"refusal": "o"}], [TextPart("a"), RefusalPart("no")]),
        ([{"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}}], [ToolCallPart(None, "f", {}, extra={"wire": "function_call"})]),
        (
            [{"audio": {"id": "x", "transcript": "la "}}, {"audio": {"data": "AA"}}, {"audio": {"data": "BB", "transcript": "la", "expires_at": 9}}],
            [TextPart("la la", {"wire": "transcript"}), BlobPart("audio", "AABB", extra={"wire": "audio", "audio": {"id": "x", "expires_at": 9}})],
        ),
    ],
)  # fmt: skip
def test_each_providers_way_of_streaming_is_understood(deltas: list[Any], expected: list[Part]) -> None:
    assert parts_of(*deltas) == expected


def test_a_thoughts_end_is_told_where_another_follows() -> None:
    events: list[StreamEvent] = [
        StreamStarted(id="i", model="m"),
        PartStarted(0, 0, ReasoningPart("")),
        PartDelta(0, 0, "a"),
        PartEnded(0, 0),
        PartStarted(0, 1, ReasoningPart("b")),
        SignatureDelta(0, 1, "si", "anthropic"),
        SignatureDelta(0, 1, "g", "anthropic"),
        PartEnded(0, 1),
        PartStarted(0, 2, ReasoningPart("")),
        SignatureDelta(0, 2, "redacted", "anthropic"),
        PartEnded(0, 2),
        ChoiceEnded(0, "stop", {"stop_reason": "end_turn"}),
        StreamEnded(),
    ]
    answer = fold(events_of(written(events)), "openai_chat")
    assert answer.choices == [
        Message(
            "assistant",
            [ReasoningPart("a"), ReasoningPart("b", "sig", "anthropic"), ReasoningPart("", "redacted", "anthropic")],
            None,
            "stop",
        )
    ]  # fmt: skip


def test_choices_log_probabilities_and_what_stands_beside_are_kept() -> None:
    tokens = [{"token": "A", "logprob": -1}], [{"token": "B", "logprob": -2}]
    stream = sse(
        {"choices": [], "prompt_filter_results": [1], "id": "", "model": ""},
        {"choices": [{"index": 0, "delta": {"content": "A"}, "logprobs": {"content": tokens[0], "refusal": None}, "finish_reason": None}]},
        delta(1, None, content="x"),
        {"choices": [{"index": 0, "delta": {"content": "B"}, "logprobs": {"content": tokens[1]}, "content_filter_results": {"hate": 1}}]},
        delta(1, "eos", annotations=[{"url": "https://x"}]),
        {**delta(0, "length"), "system_fingerprint": "fp", "obfuscation": "xxx"},
        {"choices": [], "moderation": {"flagged": False}},
    )  # fmt: skip
    events = events_of(stream)
    answer = fold(events, "openai_chat")
    assert answer.choices == [
        Message("assistant", [TextPart("AB", {"logprobs": [*tokens[0], *tokens[1]]})], None, "length",
                {"choice": {"content_filter_results": {"hate": 1}}}),
        Message("assistant", [TextPart("x")], None, "stop", {"annotations": [{"url": "https://x"}], "finish_reason": "eos"}),
    ]  # fmt: skip
    assert answer.extra == {
        "object": "chat.completion.chunk", "prompt_filter_results": [1], "system_fingerprint": "fp",
        "moderation": {"flagged": False},
    }  # fmt: skip
    assert fold(events_of(written(events)), "openai_chat") == answer
    whole = json.loads(DIALECT.write_answer(answer, ASKED))
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["logprobs"] == {"content": [*tokens[0], *tokens[1]]}


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}},
        {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}]},
    ],
)
def test_tokens_are_found_wherever_a_provider_tells_them(chunk: dict[str, Any]) -> None:
    early = {**delta(content="x"), "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    for chunks in ([chunk], [early, chunk], [early, early, chunk]):
        events = events_of(sse(*chunks, delta(0, "stop")))
        assert fold(events, "openai_chat").usage == Usage(3, 4)
        assert len([event for event in events if isinstance(event, UsageReported)]) == len(chunks[:1] + chunks[-1:]) - (len(chunks) == 1)  # fmt: skip


def test_tokens_are_told_only_to_an_app_that_asked() -> None:
    events = [StreamStarted(id="i", model="m"), PartStarted(0, 0, TextPart("x")), ChoiceEnded(0, "stop"), UsageReported(Usage(1, 2)), StreamEnded()]  # fmt: skip
    told = [json.loads(data) for data in data_of_stream(written(events))[:-1]]
    assert [chunk["usage"] for chunk in told[:-1]] == [None] * (len(told) - 1)
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    untold = written(events, msgspec.structs.replace(ASKED, include_usage=False))
    assert b"usage" not in untold
    assert untold.endswith(b"data: [DONE]\n\n")


def test_an_error_inside_a_stream_is_told_and_ends_it() -> None:
    stream = sse(delta(content="x"), {"error": {"message": "overloaded", "code": 529}}, delta(content="y"))
    events = events_of(stream)
    assert events[-1] == StreamFailed("overloaded", "529")
    last = json.loads(data_of_stream(written(events))[-1])
    assert last == {
        "error": {"message": "overloaded", "type": "upstream_error", "param": None, "code": "529"}
    }
    assert events_of(b'data: {"error": "no"}\n\n') == [StreamFailed("no")]
    assert events_of(b'data: {"error": {"type": "x"}}\n\n') == [StreamFailed('{"type":"x"}', "x")]


def test_a_stream_without_its_last_word_is_whole_where_it_told_its_finish_reason() -> None:
    whole = sse(delta(content="x"), delta(0, "stop"), done=False)
    assert isinstance(events_of(whole)[-1], StreamEnded)
    assert events_of(whole[:-2]) == events_of(whole)  # nor the last blank line
    cut = events_of(sse(delta(content="x"), done=False))
    assert cut[-1] == PartDelta(0, 0, "x")
    folding = Folding("openai_chat")
    for event in cut:
        folding.take(event)
    assert (folding.ended, folding.answer().choices[0].parts) == (False, [TextPart("x")])


def test_a_stream_that_forgot_its_finish_reason_stopped_or_calls() -> None:
    assert fold(events_of(sse(delta(content="x"))), "d").choices[0].finish_reason == "stop"
    called = sse(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]))
    assert fold(events_of(called), "d").choices[0].finish_reason == "tool_call"


def test_pictures_and_calls_that_another_dialect_gives_whole_are_written() -> None:
    events: list[StreamEvent] = [
        StreamStarted(id="i", model="m", created=5, service_tier="default"),
        PartStarted(0, 0, BlobPart("image", "QQ==", "image/png")),
        PartEnded(0, 0),
        PartStarted(0, 1, ToolCallPart(None, "f", {"a": 1}, "sig", "gemini")),
        PartEnded(0, 1),
        PartStarted(0, 2, ToolCallPart("b", "g", {})),
        PartEnded(0, 2),
        PartStarted(0, 3, GenericPart("web_search_call", {})),
        PartEnded(0, 3),
        ChoiceEnded(0, "tool_call"),
        StreamEnded(),
    ]
    stream = written(events)
    chunks = [json.loads(data) for data in data_of_stream(stream)[:-1]]
    assert {(chunk["created"], chunk["service_tier"]) for chunk in chunks} == {(5, "default")}
    message = official(stream).choices[0].message
    assert message.images[0]["image_url"] == {"url": "data:image/png;base64,QQ=="}
    assert [(call.id, call.function.arguments) for call in message.tool_calls] == [
        ("call_0", '{"a":1}'),
        ("b", "{}"),
    ]
    assert fold(events_of(stream), "d").choices[0].parts[0] == ToolCallPart(
        "call_0", "f", {"a": 1}, "sig", "gemini"
    )


def test_an_app_from_before_tools_gets_its_call_in_pieces() -> None:
    asked = msgspec.structs.replace(ASKED, extra={"wire": {"functions": True}}, include_usage=False)
    answer = Answer(
        dialect="anthropic", id="i", model="m", usage=Usage(),
        choices=[Message("assistant", [ToolCallPart("a", "f", {"x": 1}), ToolCallPart("b", "g", {})], None, "tool_call")],
    )  # fmt: skip
    read = fold(events_of(written(unfold(answer), asked)), "openai_chat")
    assert read.choices[0].parts == [ToolCallPart(None, "f", {"x": 1}, extra={"wire": "function_call"})]
    assert read.choices[0].finish_reason == "tool_call"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["content", "tool_calls", "function", "name", "arguments", "id", "index", "audio", "data", "type", "text",
             "reasoning", "reasoning_details", "signature", "refusal", "function_call", "logprobs", "transcript"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


@given(st.lists(JSON, max_size=4), JSON, JSON)
def test_nothing_in_a_stream_makes_reading_or_writing_fail(deltas: list[Any], odd: Any, error: Any) -> None:
    chunks = [{"choices": [{"index": 0, "delta": given, "logprobs": odd}], "usage": odd} for given in deltas]
    events = events_of(sse(*chunks, {"choices": odd}, delta(0, "stop")))
    assert isinstance(events[-1], StreamEnded)
    once = fold(events_of(written(events)), "d")
    assert fold(events_of(written(events_of(written(events)))), "d") == once
    assert isinstance(
        events_of(sse({"error": error}))[-1], StreamFailed if error is not None else StreamEnded
    )
