"""What the gateway reads of a chat completion on the request's path."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.dialects.decoding import mended
from ratchet.dialects.openai_chat.head import (
    StreamHead,
    answer_head,
    chunk_head,
    error_body,
    error_event,
    request_head,
    usage_of,
)
from ratchet.domain.usage import Usage
from ratchet.errors import (
    Bug,
    Forbidden,
    InvalidRequest,
    NotFound,
    RatchetError,
    Refused,
    Unauthenticated,
    UpstreamTimeout,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
USAGE_FIELDS = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens"]
)
NAMES = st.sampled_from(
    ["id", "model", "usage", "choices", "error", "x_groq", "delta", "finish_reason", "other"]
)


def test_a_request_head_holds_what_the_gateway_acts_on_and_skips_the_rest() -> None:
    head = request_head(
        b'{"model": "support", "messages": [{"role": "user", "content": "hi"}], "new_field": {"a": [1]},'
        b' "stream": true, "stream_options": {"include_usage": true, "other": 1}, "user": "u1",'
        b' "metadata": {"session_id": "s1"}}'
    )
    assert (head.model, head.stream, head.wants_usage, head.user) == ("support", True, True, "u1")
    assert head.metadata == {"session_id": "s1"}


def test_absent_and_null_fields_are_the_same() -> None:
    assert request_head(b'{"model":"m"}') == request_head(
        b'{"model":"m","stream":null,"stream_options":null,"user":null,"metadata":null}'
    )
    assert request_head(b'{"model":"m"}').wants_usage is False


@pytest.mark.parametrize(
    ("body", "param", "code", "says"),
    [
        (b"", None, "invalid_request", "empty"),
        (b"{", None, "invalid_json", "not JSON"),
        (b"\xff\xfe", None, "invalid_json", "not JSON"),
        (b'{"model":"m"} tail', None, "invalid_json", "trailing characters"),
        (b"[]", None, "invalid_request", "must be a JSON object"),
        (b"{}", "model", "missing_required_parameter", "names no model"),
        (b'{"model":""}', "model", "missing_required_parameter", "names no model"),
        (b'{"model":7}', "model", "invalid_type", "`model`"),
        (b'{"model":"m","stream":"yes"}', "stream", "invalid_type", "`stream`"),
        (b'{"model":"m","user":{}}', "user", "invalid_type", "`user`"),
        (b'{"model":"m","metadata":{"a":1}}', "metadata", "invalid_type", "expected `str`, got `int`"),
        (
            b'{"model":"m","stream_options":{"include_usage":1}}',
            "stream_options",
            "invalid_type",
            "`stream_options.include_usage`",
        ),
        (b'{"model":"m","x":' + b"[" * 100_000, None, "invalid_request", "nested too deeply"),
    ],
)
def test_a_wrong_request_is_refused_with_the_field_named(
    body: bytes, param: str | None, code: str, says: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_head(body)
    assert (caught.value.param, caught.value.reason) == (param, code)
    assert says in caught.value.message
    assert caught.value.remedy


def test_usage_is_read_by_class() -> None:
    body = (
        b'{"id":"c1","model":"gpt-4o","choices":[{"finish_reason":"stop"},{"finish_reason":"length"}],"usage":'
        b'{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":'
        b'{"cached_tokens":64,"audio_tokens":3},"completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":7}}}'
    )
    head = answer_head(body)
    assert head is not None
    assert (head.id, head.model, head.finish_reasons) == ("c1", "gpt-4o", ["stop", "length"])
    assert head.tokens == Usage(100, 50, 64, None, 20, 3, 7)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}, Usage(10, 2, 8)),
        ({"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 8}, Usage(10, 2, 8)),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cache_write_tokens": 5}},
            Usage(10, 2, None, 5),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 4,
            },
            Usage(9, 2, 3, 4),
        ),
        ({"input_tokens": 4, "output_tokens": 5}, Usage(4, 5)),
        # Reasoning left out of completion_tokens, as the total shows.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 25, None, None, 20),
        ),
        ({"prompt_tokens": 10.0, "completion_tokens": "5"}, Usage(10)),
        ({"prompt_tokens": -1, "completion_tokens": 2**40}, None),
        ({"prompt_tokens": None}, None),
        ({"prompt_tokens": 3, "prompt_tokens_details": "none"}, Usage(3)),
        ({}, None),
        (None, None),
        ("many", None),
        ([1, 2], None),
    ],
)
def test_every_providers_usage_is_understood_and_a_broken_one_is_unknown(
    usage: Any, expected: Usage | None
) -> None:
    head = answer_head(json.dumps({"usage": usage}).encode())
    assert head is not None
    assert head.tokens == expected


@given(st.dictionaries(NAMES, JSON | st.dictionaries(USAGE_FIELDS, JSON)) | JSON)
def test_no_answer_and_no_chunk_can_make_reading_fail(value: Any) -> None:
    body = json.dumps(value).encode()
    chunk = chunk_head(body)
    stream = StreamHead()
    stream.feed(b"data: " + body + b"\n\n")
    assert isinstance(chunk.has_content, bool)
    answer = answer_head(body)
    assert answer is None or isinstance(value, dict)
    for usage in (answer.tokens if answer else None, usage_of(chunk.usage)):
        assert usage is None or all(count is None or count >= 0 for count in (usage.input, usage.output))


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"null", b"\xff", b"[" * 50_000])
def test_what_is_no_json_is_no_answer_and_an_empty_chunk(body: bytes) -> None:
    assert answer_head(body) is None
    assert chunk_head(body) == chunk_head(b"{}")


def test_half_a_surrogate_pair_spoils_nothing_but_itself() -> None:
    half = b'"cut \\ud83d"'
    assert request_head(b'{"messages":[{"content":' + half + b'}],"model":"m"}').model == "m"
    assert chunk_head(b'{"choices":[{"delta":{"content":' + half + b"}}]}").has_content
    answer = answer_head(b'{"x":' + half + b',"id":"a"}')
    assert answer is not None
    assert answer.id == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\ud83d\ude00", r"\ud83d\ude00"),
        (r"\ud83d", r"\ufffd"),
        (r"\uDE00", r"\ufffd"),
        (r"\\ud83d", r"\\ud83d"),  # a backslash and letters
        (r"\\\ud83d", r"\\\ufffd"),
        (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
        (r"\ude00\ud83d", r"\ufffd\ufffd"),
        (r"\u00e9 plain", r"\u00e9 plain"),
    ],
)
def test_only_halves_are_replaced(text: str, expected: str) -> None:
    assert mended(text.encode()) == expected.encode()


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "refusal": None}, False),
        ({"content": "a"}, True),
        ({"content": [{"type": "text", "text": "a"}]}, True),
        ({"reasoning_content": "hm"}, True),
        ({"reasoning": "hm"}, True),
        ({"refusal": "no"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"tool_calls": []}, False),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a"}}, True),
        ({}, False),
        (None, False),
    ],
)
def test_the_first_token_is_the_first_thing_the_model_says(delta: Any, expected: bool) -> None:
    assert chunk_head(json.dumps({"choices": [{"delta": delta}]}).encode()).has_content is expected


def test_a_stream_head_gathers_what_passes_by() -> None:
    head = StreamHead()
    head.feed(b'data: {"id":"c1","model":"m1","choices":[{"delta":{"role":"assistant"}}],"usage":null}\n\n')
    assert (head.id, head.model, head.has_content, head.done) == ("c1", "m1", False, False)
    head.feed(b'data: {"id":"c1","choices":[{"delta":{"content":"x"}}]}\n\ndata: {"choices":[{"fini')
    assert head.has_content
    head.feed(b'sh_reason":"stop"}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":3}}\n\ndata: [DONE]\n\n')
    assert (head.finish_reasons, head.done) == (["stop"], True)
    assert head.tokens == Usage(3)


@pytest.mark.parametrize(
    "chunk",
    [
        b'{"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":4}}}',
        b'{"choices":[{"usage":{"prompt_tokens":3,"completion_tokens":4}}]}',
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
    ],
)
def test_the_usage_of_a_stream_is_found_wherever_a_provider_puts_it(chunk: bytes) -> None:
    head = StreamHead()
    head.feed(b"data: " + chunk)
    assert head.usage is None
    head.finish()
    assert head.tokens == Usage(3, 4)


def test_an_error_inside_a_stream_is_seen() -> None:
    head = StreamHead()
    head.feed(b'data: {"error":{"message":"overloaded"}}\n\n')
    assert head.error == {"message": "overloaded"}


def test_a_stream_with_an_endless_event_is_no_longer_read_and_never_fails() -> None:
    head = StreamHead()
    for _ in range(18):
        head.feed(b"x" * (1 << 20))
    head.feed(b'\n\ndata: {"id":"late"}\n\n')
    head.finish()
    assert head.id == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unauthenticated("No such key.", "Create one."), "authentication_error"),
        (Forbidden("Not allowed.", "Ask."), "permission_error"),
        (Refused("Blocked.", "Rephrase."), "policy_error"),
        (NotFound("No route `x`.", "See /v1/models.", param="model"), "invalid_request_error"),
        (UpstreamTimeout("Too slow.", "Try again."), "upstream_error"),
        (Bug("Broken.", "Tell us."), "server_error"),
    ],
)
def test_an_error_has_openais_shape(error: RatchetError, kind: str) -> None:
    body = json.loads(error_body(error))
    assert body == {
        "error": {
            "message": f"{error.message} {error.remedy}",
            "type": kind,
            "param": error.param,
            "code": error.reason,
        }
    }
    assert json.loads(error_event(error).removeprefix(b"data: ")) == body
