"""Conversations made up: from Anthropic's dialect to the neutral form and back, and from the form and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import generated
from anthropic_wire import canonical
from ratchet.dialects.anthropic import DIALECT
from ratchet.dialects.folded import fold, unfold
from ratchet.domain.generation import Answer, Request, StreamEvent
from ratchet.domain.messages import Message, ReasoningPart, ToolCallPart

# Whole conversations take a while to make up, on a busy machine longer than hypothesis finds right.
slowly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ASKED = Request(dialect="openai_chat", model="m", messages=[])
text = generated.texts
CACHED = st.sampled_from([{}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"new_field": [1]}])


def blocks_of(*kinds: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    def marked(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
        return st.tuples(kind, CACHED).map(lambda pair: {**pair[0], **pair[1]})

    return st.lists(st.one_of([marked(kind) for kind in kinds]), min_size=1, max_size=4)


def block(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


def source(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return block(
        kind, **{name: st.just(value) if isinstance(value, str) else value for name, value in fields.items()}
    )


TEXT = block("text", text=text)
CITED = block("text", text=text, citations=st.just([{"type": "char_location", "cited_text": "x"}]))
IMAGE = block(
    "image",
    source=source("base64", media_type="image/png", data=generated.contents)
    | source("url", url="https://example.com/a.png")
    | source("file", file_id="file_1"),
)
DOCUMENT = st.tuples(
    block(
        "document",
        source=source("base64", media_type="application/pdf", data=generated.contents)
        | source("text", media_type="text/plain", data=text)
        | source("url", url="https://example.com/a.pdf")
        | source("file", file_id="file_2")
        | block("content", content=st.just([{"type": "text", "text": "inner"}])),
    ),
    st.sampled_from([{}, {"title": "T"}, {"title": None, "context": "c", "citations": {"enabled": True}}]),
).map(lambda pair: {**pair[0], **pair[1]})
SEARCH = block("search_result", source=text, title=text, content=st.just([{"type": "text", "text": "found"}]))
RESULT = st.tuples(
    block("tool_result", tool_use_id=st.sampled_from(["toolu_1", "toolu_2"])),
    st.fixed_dictionaries(
        {}, optional={"content": text | blocks_of(TEXT, IMAGE, DOCUMENT, SEARCH), "is_error": st.booleans()}
    ),
).map(lambda pair: {**pair[0], **pair[1]})
THOUGHT = block("thinking", thinking=text | st.just(""), signature=generated.signatures)
REDACTED = block("redacted_thinking", data=generated.signatures)
CALL = block(
    "tool_use", id=st.sampled_from(["toolu_1", "toolu_2"]), name=st.just("f"), input=generated.arguments
)
HOSTED = block("server_tool_use", id=st.just("srv_1"), name=st.just("web_search"), input=generated.arguments)
FOUND = block("web_search_tool_result", tool_use_id=st.just("srv_1"), content=st.just([{"type": "x"}]))
STRANGE = st.sampled_from(
    [
        {"type": "new_block", "a": 1},
        {"type": "text"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA==", "new": "x"},
        },
        {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "AA=="}},
        {"type": "thinking", "thinking": 7},
        {"type": "tool_use", "id": 7, "name": "f"},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": 7},
        {"type": "container_upload", "file_id": "file_3"},
    ]
)

TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.just("user"), "content": text | blocks_of(TEXT, IMAGE, DOCUMENT, SEARCH, RESULT, STRANGE)}
    )
    | st.fixed_dictionaries(
        {
            "role": st.just("assistant"),
            "content": text | blocks_of(TEXT, CITED, THOUGHT, REDACTED, CALL, HOSTED, FOUND, STRANGE),
        }
    ),
    min_size=1,
    max_size=5,
)
TOOL = st.fixed_dictionaries(
    {"name": generated.names, "input_schema": generated.schemas()},
    optional={
        "description": text,
        "strict": st.booleans(),
        "type": st.just("custom"),
        "cache_control": st.just({"type": "ephemeral"}),
        "eager_input_streaming": st.booleans(),
    },
)
HOSTED_TOOL = st.just({"type": "web_search_20250305", "name": "web_search", "max_uses": 3})
CHOICE = (
    st.fixed_dictionaries(
        {"type": st.sampled_from(["auto", "any"])}, optional={"disable_parallel_tool_use": st.booleans()}
    )
    | st.just({"type": "tool", "name": "f"})
    | st.sampled_from([{"type": "none"}, {"type": "new"}, {"type": "tool"}, "auto"])
)
REQUESTS = st.fixed_dictionaries(
    {"model": generated.names, "max_tokens": st.integers(1, 9000), "messages": TURNS},
    optional={
        "system": text | blocks_of(TEXT) | st.just([]) | st.just(""),
        "stream": st.booleans(),
        "tools": st.lists(TOOL | HOSTED_TOOL, max_size=3),
        "tool_choice": CHOICE,
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 2048},
                {"type": "enabled", "budget_tokens": 2048, "display": "omitted", "new": 1},
                {"type": "adaptive", "display": "summarized"},
                {"type": "disabled"},
                {"type": "between_tools"},
            ]
        ),
        "output_config": st.sampled_from(
            [
                {"effort": "low"},
                {"effort": "enormous"},
                {"task_budget": {"type": "tokens", "total": 9}, "effort": "max"},
                {"format": {"type": "json_schema", "schema": {"type": "object"}}},
                {"format": {"type": "new"}},
            ]
        ),
        "stop_sequences": st.lists(text, max_size=2),
        "temperature": st.sampled_from([0, 0.5, 1, 2, "hot"]),
        "top_p": st.just(0.5),
        "top_k": st.sampled_from([5, 5.5, True]),
        "metadata": st.sampled_from([{"user_id": "u"}, {}, {"user_id": "u", "session_id": "s"}]),
        "service_tier": st.just("standard_only"),
        "mcp_servers": st.just([{"type": "url", "url": "https://example.com", "name": "m"}]),
        "container": st.just("c_1"),
        "new_field": st.none() | st.just({"a": [1]}),
    },
)


@slowly
@given(REQUESTS)
def test_a_request_of_this_dialect_comes_back_as_it_was(body: dict[str, Any]) -> None:
    request = DIALECT.read_request(json.dumps(body).encode())
    assert canonical(json.loads(DIALECT.write_request(request))) == canonical(body)


def same_form(request: Request) -> Request:
    """Less the name of a schema, which is a label that Anthropic has no place for."""
    output = request.output and msgspec.structs.replace(request.output, name=None)
    return msgspec.structs.replace(request, output=output, include_usage=True)


@slowly
@given(generated.requests("anthropic", signed_by="anthropic", failures=True, pictures_in_results=True))
def test_the_form_of_a_request_comes_back_as_it_was(request: Request) -> None:
    assert DIALECT.read_request(DIALECT.write_request(request)) == same_form(request)


@slowly
@given(generated.requests("openai_chat", signed_by="anthropic", failures=True, pictures_in_results=True))
def test_a_conversation_of_another_dialect_arrives_whole(request: Request) -> None:
    arrived = DIALECT.read_request(DIALECT.write_request(request))
    expected = same_form(request)
    # The model's name is none of Claude's, so the effort is written as a number of tokens.
    choice = expected.tool_choice if request.tools else None
    thinking = arrived.thinking
    assert arrived == msgspec.structs.replace(
        expected, dialect="anthropic", thinking=thinking, tool_choice=choice
    )
    # In the middle of calls whose thoughts are missing there is none.
    assert thinking is None or request.thinking is not None


@slowly
@given(generated.requests("openai_chat", signed_by="gemini"))
def test_other_vendors_thoughts_stay_behind_and_everything_else_arrives(request: Request) -> None:
    arrived = DIALECT.read_request(DIALECT.write_request(request))
    kept: list[Message] = []
    for message in request.messages:
        parts = [part for part in message.parts if not isinstance(part, ReasoningPart)]
        kept.append(msgspec.structs.replace(message, parts=parts))
    assert arrived.messages == kept


@slowly
@given(generated.answers("anthropic", signed_by="anthropic"))
def test_the_form_of_an_answer_comes_back_as_it_was(answer: Answer) -> None:
    answer = msgspec.structs.replace(answer, created=None)
    assert DIALECT.read_answer(DIALECT.write_answer(answer, ASKED)).choices == answer.choices
    back = DIALECT.read_answer(DIALECT.write_answer(answer, ASKED))
    # The thinking in the output is told as a detail, which stays beside the neutral count.
    assert msgspec.structs.replace(back, extra=None) == msgspec.structs.replace(
        answer, usage=msgspec.structs.replace(answer.usage, reasoning=back.usage.reasoning)
    )


def read(stream: bytes) -> Answer:
    reader = DIALECT.stream_reader()
    return fold(reader.feed(stream) + reader.finish(), "anthropic")


def stream_of(events: list[StreamEvent]) -> bytes:
    writer = DIALECT.stream_writer(ASKED)
    return b"".join(writer.write(event) for event in events)


ANSWERS = (
    generated.answers("openai_chat", signed_by="gemini")
    | generated.answers("openai_chat", signed_by="anthropic")
    | generated.answers("openai_chat")
    | generated.answers("openai_chat", refusals=True)
)


@slowly
@given(ANSWERS)
def test_a_stream_says_what_the_whole_answer_says(answer: Answer) -> None:
    whole = DIALECT.read_answer(DIALECT.write_answer(answer, ASKED))
    assert read(stream_of(unfold(answer))) == whole
    assert whole.usage.input == (answer.usage.input or 0)
    assert whole.usage.output == (answer.usage.output or 0)


@slowly
@given(ANSWERS)
def test_what_an_app_gets_it_sends_back_whole(answer: Answer) -> None:
    """The answer as the next turn's history: text, calls, and whose thoughts they were."""
    body = json.loads(DIALECT.write_answer(answer, ASKED))
    turn = {"role": "assistant", "content": body["content"]}
    asked = DIALECT.read_request(json.dumps({"model": "m", "messages": [turn]}).encode())
    said = answer.choices[0].parts
    for part, back in zip(said, asked.messages[0].parts, strict=True):
        if isinstance(part, ReasoningPart | ToolCallPart):
            assert part == back
        else:
            assert part.content == back.content


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[Answer, list[StreamEvent]]:
    """An answer whose parts are told in turns, each in its own order."""
    answer = draw(ANSWERS)
    start, *middle = unfold(answer)
    tail = [event for event in middle if not hasattr(event, "index")]
    queues = [
        [event for event in middle if getattr(event, "index", None) == number]
        for number in range(len(answer.choices[0].parts))
    ]
    # Parts begin in their order; what they say may come in any.
    events: list[StreamEvent] = [start, *[queue.pop(0) for queue in queues]]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        events.append(queue.pop(0))
    return answer, [*events, *tail]


@slowly
@given(interleaved())
def test_parts_told_in_turns_are_written_one_after_another(told: tuple[Answer, list[StreamEvent]]) -> None:
    answer, events = told
    stream = stream_of(events)
    assert read(stream) == DIALECT.read_answer(DIALECT.write_answer(answer, ASKED))
    open_blocks = 0
    for line in stream.decode().splitlines():
        open_blocks += (line == "event: content_block_start") - (line == "event: content_block_stop")
        assert open_blocks in (0, 1)
