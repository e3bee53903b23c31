"""Chat completions and the neutral form: there and back is the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from generated import answers, requests
from ratchet.dialects.openai_chat import DIALECT
from ratchet.domain.generation import (
    Answer,
    HostedTool,
    OutputFormat,
    Request,
    Thinking,
    Tool,
    ToolChoice,
)
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
from ratchet.errors import InvalidRequest, UpstreamFailed
from recordings import is_stream, recorded, request_body, response_body

EXCHANGES = recorded("openai_chat", lambda address: address.endswith("/chat/completions"))
ASKED = Request(dialect="openai_chat", model="m", messages=[])
TEXTS = st.text(max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def same(body: bytes | Any) -> Any:
    """The JSON with calls' `arguments` decoded: their spaces are no part of what is said."""

    def decoded(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: json.loads(said) if name == "arguments" and _is_object(said) else decoded(said)
                for name, said in value.items()
            }
        return [decoded(entry) for entry in value] if isinstance(value, list) else value

    return decoded(json.loads(body) if isinstance(body, bytes) else body)


def _is_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def there_and_back(body: Any) -> Any:
    return same(DIALECT.write_request(DIALECT.read_request(json.dumps(body).encode())))


def asking(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **fields}


def answering(message: Any, **fields: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop", **fields}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


# recordings


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_recorded_request_is_the_same_there_and_back(exchange: Any) -> None:
    body = request_body(exchange)
    assert same(DIALECT.write_request(DIALECT.read_request(body))) == same(body)


@pytest.mark.parametrize(
    "exchange",
    [
        given
        for given in EXCHANGES
        if not is_stream(given.values[0]) and "choices" in given.values[0]["response"].get("parsed_body", {})
    ],
)
def test_a_recorded_answer_is_the_same_there_and_back(exchange: Any) -> None:
    body = response_body(exchange)
    answer = DIALECT.read_answer(body)
    assert same(DIALECT.write_answer(answer, ASKED)) == same(body)
    head = DIALECT.answer_head(body)
    assert head is not None
    assert (head.id, head.model, head.tokens or Usage()) == (answer.id, answer.model, answer.usage)


# made up


@given(requests(signed_by="openai_chat", pictures_in_results=True))
def test_what_the_form_holds_is_the_same_there_and_back(request: Request) -> None:
    body = DIALECT.write_request(request)
    read = DIALECT.read_request(body)
    assert msgspec.structs.replace(read, extra=None) == request
    assert DIALECT.write_request(read) == body


@given(requests(dialect="anthropic"))
def test_another_dialects_conversation_crosses_whole(request: Request) -> None:
    read = DIALECT.read_request(DIALECT.write_request(request))
    assert msgspec.structs.replace(read, dialect="anthropic", extra=None) == request


@given(requests(dialect="anthropic", signed_by="anthropic", failures=True))
def test_thoughts_that_another_vendor_signed_are_all_that_is_left_out(request: Request) -> None:
    read = DIALECT.read_request(DIALECT.write_request(request))
    expected = [
        [
            msgspec.structs.replace(part, failed=None) if isinstance(part, ToolCallResponsePart) else part
            for part in message.parts
            if not isinstance(part, ReasoningPart)
        ]
        for message in request.messages
    ]
    assert [message.parts for message in read.messages] == expected


@given(answers(signed_by="openai_chat", refusals=True, most_choices=3))
def test_a_made_up_answer_is_the_same_there_and_back(answer: Answer) -> None:
    assert DIALECT.read_answer(DIALECT.write_answer(answer, ASKED)) == answer


@given(answers(dialect="anthropic", signed_by="anthropic", refusals=True))
def test_another_dialects_answer_crosses_whole_and_the_official_client_reads_it(answer: Answer) -> None:
    body = DIALECT.write_answer(answer, ASKED)
    read = DIALECT.read_answer(body)
    assert [(message.parts, message.finish_reason) for message in read.choices] == [
        (message.parts, message.finish_reason) for message in answer.choices
    ]
    assert (read.id, read.model, read.usage) == (answer.id, answer.model, answer.usage)
    completion = ChatCompletion.model_validate_json(body, strict=True)
    said = "".join(part.content for part in answer.choices[0].parts if isinstance(part, TextPart))
    assert (completion.choices[0].message.content or "") == said


# every kind of thing on the wire

TEXT_PART = st.fixed_dictionaries(
    {"type": st.just("text"), "text": TEXTS},
    optional={"cache_control": st.just({"type": "ephemeral"}), "more": JSON},
)
PARTS = st.one_of(
    TEXT_PART,
    TEXTS,
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": st.fixed_dictionaries(
                {"url": st.sampled_from(["https://x/a.png", "data:image/png;base64,AAAA", "data:;base64,QQ==", "data:,x"])},
                optional={"detail": st.sampled_from(["low", "auto"]), "more": JSON},
            )
            | st.sampled_from(["https://x/b", "data:image/gif;base64,QQ=="]),
        },
        optional={"more": JSON},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("input_audio"),
            "input_audio": st.fixed_dictionaries(
                {"data": st.sampled_from(["AA==", "data:audio/ogg;base64,QQ=="])},
                optional={"format": st.sampled_from(["wav", "mp3", "flac", 7]), "more": JSON},
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("file"),
            "file": st.fixed_dictionaries(
                {},
                optional={
                    "file_data": st.sampled_from(["data:application/pdf;base64,QQ==", "QQ==", "https://x/a.pdf"]),
                    "file_id": st.just("f1"),
                    "filename": st.just("a.pdf") | st.none(),
                    "more": JSON,
                },
            ),
        }
    ),
    st.fixed_dictionaries({"type": st.just("video_url"), "video_url": st.just({"url": "https://x/v"})}),
    st.fixed_dictionaries(
        {"type": st.just("audio_url"), "audio_url": st.sampled_from([{"url": "data:audio/ogg;base64,QQ=="}, {"url": "https://x"}])}
    ),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": TEXTS}, optional={"more": JSON}),
    st.fixed_dictionaries(
        {"type": st.just("thinking"), "thinking": TEXTS | st.lists(TEXT_PART | JSON, max_size=3)}, optional={"closed": JSON}
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["hologram", "audio", "reference"]), "data": JSON}),
    JSON,
)  # fmt: skip
CALLS = st.one_of(
    st.fixed_dictionaries(
        {
            "id": TEXTS,
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {
                    "name": TEXTS,
                    "arguments": st.just("") | TEXTS | st.dictionaries(TEXTS, JSON).map(json.dumps),
                },
                optional={"parsed": JSON},
            ),
        },
        optional={
            "index": st.integers(0, 3),
            "extra_content": st.just({"google": {"thought_signature": "c2ln"}})
            | st.just({"google": {"thought_signature": "gemini:c2ln", "more": 1}, "x": 2})
            | JSON,
        },
    ),
    st.fixed_dictionaries(
        {
            "id": TEXTS,
            "type": st.just("custom"),
            "custom": st.fixed_dictionaries({"name": TEXTS, "input": TEXTS}),
        }
    ),
    st.fixed_dictionaries({"id": TEXTS, "type": st.just("hosted"), "hosted": JSON}),
)
DETAILS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("reasoning.text"), "text": TEXTS},
        optional={
            "signature": TEXTS | st.none(),
            "index": st.integers(0, 2),
            "format": st.just("f"),
            "id": st.none(),
        },
    )
    | st.fixed_dictionaries({"type": st.just("reasoning.summary"), "summary": TEXTS})
    | st.fixed_dictionaries(
        {"type": st.just("reasoning.encrypted"), "data": TEXTS}, optional={"index": st.just(0)}
    ),
    max_size=3,
)
ASSISTANT = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": TEXTS | st.none() | st.lists(PARTS, max_size=3),
        "refusal": TEXTS | st.none(),
        "tool_calls": st.lists(CALLS, max_size=3) | st.none(),
        "function_call": st.none() | st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS}),
        "audio": st.none() | st.just({"id": "a1"}) | st.just({"id": "a", "data": "QQ==", "transcript": "t", "expires_at": 1}) | st.just({"transcript": "t"}),
        "reasoning_content": TEXTS | st.none(),
        "reasoning": TEXTS | st.none(),
        "reasoning_details": DETAILS | st.none() | JSON,
        "annotations": st.lists(JSON, max_size=1),
        "name": TEXTS,
        "novelty": JSON,
    },
)  # fmt: skip
MESSAGES = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "narrator"]), "content": TEXTS | st.lists(PARTS, max_size=3)},
        optional={"name": TEXTS, "novelty": JSON},
    ),
    ASSISTANT,
    st.fixed_dictionaries(
        {
            "role": st.just("tool"),
            "tool_call_id": TEXTS,
            "content": TEXTS | st.lists(TEXT_PART, max_size=3) | st.lists(PARTS, max_size=2) | st.none(),
        },
        optional={"name": TEXTS, "novelty": JSON},
    ),
    st.fixed_dictionaries({"role": st.just("function"), "name": TEXTS, "content": TEXTS}),
)  # fmt: skip


@given(st.lists(MESSAGES, max_size=3))
def test_messages_of_every_kind_are_the_same_there_and_back(messages: list[Any]) -> None:
    assert there_and_back(asking(*messages)) == same(asking(*messages))


@given(
    st.lists(ASSISTANT, min_size=1, max_size=2), st.sampled_from(["stop", "eos", "tool_calls", "novel", None])
)
def test_answers_of_every_kind_are_the_same_there_and_back(messages: list[Any], reason: str | None) -> None:
    logprobs = {"content": [{"token": "a", "logprob": -1}], "refusal": None}
    choices = [
        {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason, "matched_stop": 7}
        for message in messages
    ]
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "provider": "x", "usage": {"prompt_tokens": 1, "cost": 2}}  # fmt: skip
    answer = DIALECT.read_answer(json.dumps(body).encode())
    assert same(DIALECT.write_answer(answer, ASKED)) == same(body)


PARAMETERS: dict[str, Any] = {
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}, "cache_control": {"type": "ephemeral"}},
        {"type": "function", "function": {"name": "g", "strict": None, "more": 1}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d", "more": 1}},
    "reasoning_effort": "high",
    "verbosity": "low",
    "max_tokens": 5,
    "stop": "END",
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "seed": 0,
    "presence_penalty": 0.5,
    "frequency_penalty": -1,
    "logit_bias": {"1": 2},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "web_search_options": {},
    "service_tier": "flex",
    "store": False,
    "metadata": {"a": "b"},
    "user": "u",
    "safety_identifier": "s",
    "stream": False,
    "parallel_tool_calls": False,
    "temperature": 0,
    "top_p": 1,
    "top_k": 5,
}  # fmt: skip
ODD: list[dict[str, Any]] = [
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"stream": True, "stream_options": {"include_usage": False}},
    {"max_tokens": 5, "max_completion_tokens": 5},
    {"max_tokens": 5, "max_completion_tokens": 6},
    {"safety_identifier": "s"},
    {"stop": ["a", "b"]},
    {"stop": None, "temperature": None, "tools": [], "tool_choice": None, "n": "many", "seed": True},
    {"functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"}},
    {"functions": [{"name": "f"}], "function_call": "auto"},
    {"tool_choice": "any"},
    {"tool_choice": "perhaps"},
    {"tool_choice": {"type": "custom", "custom": {"name": "c"}}},
    {"tool_choice": {"type": "function", "function": {"name": "c", "more": 1}}},
    {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp"}]}}},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "text", "more": 1}},
    {"response_format": {"type": "grammar", "grammar": "x"}},
    {"tools": "none", "messages": "none"},
    {"tools": ["f"]},
    {"tools": [{"type": "function"}]},
    {"max_tokens": "5", "metadata": [], "user": 7, "stream": "yes"},
]


@pytest.mark.parametrize("fields", [PARAMETERS, *({name: value} for name, value in PARAMETERS.items()), *ODD])
def test_parameters_are_the_same_there_and_back(fields: dict[str, Any]) -> None:
    assert there_and_back({**asking(), **fields}) == same({**asking(), **fields})


def test_parameters_have_their_places_in_the_form() -> None:
    request = DIALECT.read_request(json.dumps({**asking(), **PARAMETERS}).encode())
    assert request.tools == [
        Tool(name="f", description="d", parameters={"type": "object"}, strict=True, extra={"cache_control": {"type": "ephemeral"}}),
        Tool(name="g", extra={"function": {"strict": None, "more": 1}}),
        Tool(name="c", extra={"custom": {"name": "c", "format": {"type": "text"}}}),
        HostedTool(kind="web_search", definition={"type": "web_search"}),
    ]  # fmt: skip
    assert request.tool_choice == ToolChoice(mode="allowed", names=["f"], required=True)
    assert request.output == OutputFormat(
        kind="json_schema", name="n", schema={"type": "object"}, strict=True, description="d", extra={"json_schema": {"more": 1}}
    )  # fmt: skip
    assert request.thinking == Thinking(effort="high")
    assert (request.max_tokens, request.stop, request.choices, request.user) == (5, ["END"], 2, "u")
    assert request.extra is not None
    assert set(request.extra) == {
        "logit_bias", "modalities", "audio", "prediction", "web_search_options", "store",
        "safety_identifier", "wire",
    }  # fmt: skip


def test_messages_have_their_parts() -> None:
    request = DIALECT.read_request(
        json.dumps(
            asking(
                {"role": "assistant", "content": None, "refusal": None, "reasoning_content": "hm",
                 "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "anthropic:sig", "index": 0}],
                 "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
                                 "extra_content": {"google": {"thought_signature": "gemini:s2"}}}]},
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "no", "refusal": "never", "audio": {"id": "a1"}},
            )
        ).encode()
    )  # fmt: skip
    assert request.messages == [
        Message("assistant", [ReasoningPart("hm", "sig", "anthropic"), ToolCallPart("c", "f", {}, "s2", "gemini")], extra={"refusal": None}),
        Message("tool", [ToolCallResponsePart("c", "ab", extra={"wire": [1, 1]})]),
        Message("assistant", [TextPart("no"), RefusalPart("never"), FilePart("audio", "a1", extra={"wire": "audio"})]),
    ]  # fmt: skip


# what another dialect asks


def foreign(*messages: Message, **fields: Any) -> dict[str, Any]:
    request = Request(dialect="anthropic", model="m", messages=list(messages), **fields)
    return json.loads(DIALECT.write_request(request))


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        (Thinking(mode="off"), "none"),
        (Thinking(budget=0), "none"),
        (Thinking(budget=1024), "low"),
        (Thinking(mode="on", budget=8192), "medium"),
        (Thinking(budget=9000), "high"),
        (Thinking(effort="minimal"), "minimal"),
        (Thinking(effort="max", budget=1), "xhigh"),
        (Thinking(mode="adaptive", show=True), None),
        (Thinking(budget=-1), None),
    ],
)
def test_a_budget_of_thinking_is_an_effort(thinking: Thinking, effort: str | None) -> None:
    assert foreign(thinking=thinking).get("reasoning_effort") == effort


def test_another_dialects_parameters_are_written_in_this_ones_words() -> None:
    assert foreign(
        Message("system", [TextPart("a"), TextPart("b", {"cache_control": {"type": "ephemeral"}})]),
        tools=[Tool(name="f", parameters={"type": "object"})],
        tool_choice=ToolChoice(mode="tool", name="f"),
        max_tokens=7, stop=["x"], choices=1, service_tier="standard_only", metadata={"a": "b"}, user="u",
        output=OutputFormat(kind="json_schema", schema={"type": "object"}), stream=True, include_usage=True,
    ) == {
        "model": "m",
        "messages": [{"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "max_completion_tokens": 7, "stop": ["x"], "service_tier": "default", "user": "u",
        "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": {"type": "object"}}},
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_pictures_in_results_follow_all_the_results_and_missing_ids_are_made_up() -> None:
    picture = BlobPart("image", "QQ==", "image/png", extra={"detail": "low"})
    body = foreign(
        Message(
            "assistant", [TextPart("so"), ToolCallPart(None, "f", {"a": 1}), ToolCallPart("", "g", None)]
        ),
        Message("tool", [ToolCallResponsePart(None, [TextPart("see"), picture], "f")]),
        Message("tool", [ToolCallResponsePart(None, {"ok": True}, "g", failed=True)]),
        Message("user", [TextPart("well?")]),
    )
    assert body["messages"] == [
        {"role": "assistant", "content": "so", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "see"},
        {"role": "tool", "tool_call_id": "call_2", "content": '{"ok":true}'},
        {"role": "user", "content": [
            {"type": "text", "text": "Result of the tool call call_1:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        ]},
        {"role": "user", "content": "well?"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"top_k": 5}, "top_k"),
        ({"extra": {"container": "x"}}, "container"),
        ({"service_tier": "turbo"}, "service_tier"),
        ({"tools": [HostedTool(kind="web_search_20250305", definition={})]}, "web_search_20250305"),
        ({"messages": [Message("user", [FilePart("document", "f1")])]}, r"messages\[0\]\.content\[0\]"),
        ({"messages": [Message("user", [UriPart("document", "https://x")])]}, "document"),
        ({"messages": [Message("user", [BlobPart("video", "QQ==", "video/mp4")])]}, "video"),
        ({"messages": [Message("user", [GenericPart("search_result", {})])]}, "search_result"),
        ({"messages": [Message("assistant", [BlobPart("image", "QQ==", "image/png")])]}, r"content\[0\]"),
    ],
)
def test_what_can_not_be_said_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    request = Request(**{"dialect": "anthropic", "model": "m", "messages": [], **fields})
    with pytest.raises(InvalidRequest, match=named) as caught:
        DIALECT.write_request(request)
    assert caught.value.reason == "not_expressible"


# answers


def test_an_answer_has_its_parts_and_its_own_words_are_kept() -> None:
    answer = DIALECT.read_answer(
        answering(
            {"role": "assistant", "content": "hi"},
            finish_reason="eos",
            logprobs={"content": [{"token": "hi"}]},
        )
    )
    assert answer.choices == [
        Message("assistant", [TextPart("hi", {"logprobs": [{"token": "hi"}]})], None, "stop",
                {"finish_reason": "eos", "choice": {"logprobs": {}}})
    ]  # fmt: skip


def test_pages_cited_and_pictures_made_are_told_in_this_dialects_way() -> None:
    cited = {
        "annotations": [
            {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 1}
        ]
    }
    answer = Answer(
        dialect="openai_responses", id="r", model="m", usage=Usage(1, 2, 1, 1, 1, 1, 1),
        choices=[Message("assistant", [TextPart("ab"), TextPart("c", cited), BlobPart("image", "QQ==", "image/png"),
                                       GenericPart("web_search_call", {})], None, "stop")],
    )  # fmt: skip
    body = json.loads(DIALECT.write_answer(answer, ASKED))
    assert body["choices"][0]["message"] == {
        "role": "assistant", "content": "abc", "refusal": None,
        "annotations": [{"type": "url_citation", "url_citation": {"url": "https://x", "title": "X", "start_index": 2, "end_index": 3}}],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}, "index": 0}],
    }  # fmt: skip
    assert body["usage"] == {
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
    }  # fmt: skip


def test_an_app_from_before_tools_gets_a_function_call() -> None:
    asked = DIALECT.read_request(json.dumps(asking(functions=[{"name": "f"}])).encode())
    answer = Answer(
        dialect="anthropic", id="r", model="m", usage=Usage(),
        choices=[Message("assistant", [ToolCallPart("c", "f", {"a": 1})], None, "tool_call")],
    )  # fmt: skip
    choice = json.loads(DIALECT.write_answer(answer, asked))["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "function_call"


# anything at all


@given(st.dictionaries(st.sampled_from(["messages", "tools", "functions", "tool_choice", "response_format", "stop", "choices", "usage", "stream_options", "id", "model"]), JSON | st.lists(ASSISTANT | JSON, max_size=2)))  # fmt: skip
def test_nothing_in_a_body_makes_reading_or_writing_fail(body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    request, answer = DIALECT.read_request(data), DIALECT.read_answer(data)
    assert DIALECT.read_request(DIALECT.write_request(request)) == request
    assert DIALECT.read_answer(DIALECT.write_answer(answer, ASKED)) == answer


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"\xff", b"[" * 50_000])
def test_only_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.read_request(body)
    with pytest.raises(UpstreamFailed):
        DIALECT.read_answer(body)
