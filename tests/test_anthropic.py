"""Anthropic's messages on a request's path: heads, errors, and the few changes to a request's bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.dialects.anthropic import DIALECT
from ratchet.domain.usage import Usage
from ratchet.errors import (
    BodyTooLarge,
    Bug,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RatchetError,
    Unauthenticated,
    Unavailable,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "id",
        "model",
        "usage",
        "type",
        "message",
        "delta",
        "content_block",
        "stop_reason",
        "input_tokens",
        "error",
    ]
)
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error"]
)


def event(**fields: Any) -> bytes:
    return b"event: x\ndata: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def test_a_request_head_holds_what_the_gateway_acts_on() -> None:
    head = DIALECT.request_head(
        b'{"model": "support", "max_tokens": 9, "messages": [], "stream": true, "new": {"a": [1]},'
        b' "metadata": {"user_id": "u1", "session_id": "s1", "tags": "a,b", "organisation": null}}'
    )
    assert (head.model, head.stream, head.user_id, head.wants_usage) == ("support", True, "u1", True)
    assert head.metadata == {"session_id": "s1", "tags": "a,b"}


@pytest.mark.parametrize("metadata", ["{}", "null", '{"user_id":null}'])
def test_a_request_need_not_say_who_asks(metadata: str) -> None:
    head = DIALECT.request_head(f'{{"model":"m","metadata":{metadata}}}'.encode())
    assert (head.user_id, head.metadata, head.stream) == ("", None, None)


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"", None, "empty"),
        (b"{", None, "not JSON"),
        (b"[]", None, "must be a JSON object"),
        (b"{}", "model", "names no model"),
        (b'{"model":7}', "model", "`model`"),
        (b'{"model":"m","stream":"yes"}', "stream", "`stream`"),
        (b'{"model":"m","metadata":{"session_id":1}}', "metadata", "expected `str | null`, got `int`"),
    ],
)
def test_a_wrong_request_is_refused_with_the_field_named(body: bytes, param: str | None, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.request_head(body)
    assert caught.value.param == param
    assert says in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 5}, Usage(3, 5)),
        (
            {
                "input_tokens": 3,
                "cache_read_input_tokens": 1111,
                "cache_creation_input_tokens": 418,
                "cache_creation": {"ephemeral_5m_input_tokens": 18, "ephemeral_1h_input_tokens": 400},
                "output_tokens": 33,
                "output_tokens_details": {"thinking_tokens": 7},
            },
            Usage(1532, 33, 1111, 418, 7, None, None, 400),
        ),
        (
            {
                "input_tokens": 3,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
            },
            Usage(12, None, None, 9, None, None, None, 5),
        ),
        ({"cache_read_input_tokens": 4}, Usage(None, None, 4)),
        ({"input_tokens": -1, "output_tokens": 2**40}, None),
        ({"input_tokens": "many", "output_tokens": 2.0}, Usage(None, 2)),
        ({}, None),
        ("many", None),
    ],
)
def test_token_counts_become_totals_and_a_broken_one_is_unknown(usage: Any, expected: Usage | None) -> None:
    head = DIALECT.answer_head(json.dumps({"id": "m", "usage": usage}).encode())
    assert head is not None
    assert head.tokens == expected
    assert DIALECT.read_answer(json.dumps({"usage": usage}).encode()).usage == (expected or Usage())


@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON)) | JSON, KINDS)
def test_no_answer_and_no_event_can_make_reading_fail(value: Any, kind: str) -> None:
    if isinstance(value, dict):
        value = {**value, "type": kind}
    body = json.dumps(value).encode()
    head, stream, reader = DIALECT.answer_head(body), DIALECT.stream_head(), DIALECT.stream_reader()
    stream.feed(b"data: " + body + b"\n\n")
    events = reader.feed(b"data: " + body + b"\n\n")
    assert isinstance(events, list)
    assert isinstance(stream.has_content, bool)
    assert (head is None) or isinstance(head.finish_reasons, list)
    assert isinstance(DIALECT.error_message(body), str)


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"\xff", b"[" * 50_000])
def test_what_is_no_answer_has_no_head_and_can_not_be_read(body: bytes) -> None:
    assert DIALECT.answer_head(body) is None
    with pytest.raises(UpstreamFailed, match="no JSON object"):
        DIALECT.read_answer(body)
    with pytest.raises(InvalidRequest, match="no JSON object"):
        DIALECT.read_request(body)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}), False),
        (
            event(type="content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
            False,
        ),
        (event(type="content_block_start", index=0, content_block={"type": "tool_use", "id": "t"}), True),
        (event(type="content_block_start", index=0, content_block={"type": "server_tool_use"}), True),
        (event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "a"}), True),
        (event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": ""}), False),
        (event(type="content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "a"}), True),
        (
            event(
                type="content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{"}
            ),
            True,
        ),
        (
            event(type="content_block_delta", index=0, delta={"type": "signature_delta", "signature": "a"}),
            False,
        ),
        (event(type="ping"), False),
    ],
)
def test_the_first_token_is_the_first_thing_the_model_says(said: bytes, expected: bool) -> None:
    head = DIALECT.stream_head()
    head.feed(said)
    assert head.has_content is expected


def test_a_stream_head_gathers_what_passes_by() -> None:
    head = DIALECT.stream_head()
    usage = {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1, "service_tier": "standard"}
    head.feed(event(type="message_start", message={"id": "msg_1", "model": "m", "usage": usage}))
    assert (head.id, head.model, head.service_tier, head.done) == ("msg_1", "m", "standard", False)
    assert head.tokens == Usage(9, 1, 4)
    head.feed(event(type="message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 30}))
    assert (head.finish_reasons, head.tokens) == (["tool_call"], Usage(9, 30, 4))
    head.feed(event(type="message_stop")[:-1])
    assert not head.done
    head.finish()
    assert head.done


def test_an_error_inside_a_stream_is_seen() -> None:
    head = DIALECT.stream_head()
    head.feed(event(type="error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert head.error == {"type": "overloaded_error", "message": "Overloaded"}


def test_a_stream_with_an_endless_event_is_no_longer_read_and_never_fails() -> None:
    head = DIALECT.stream_head()
    for _ in range(18):
        head.feed(b"x" * (1 << 20))
    head.feed(event(type="message_stop"))
    head.finish()
    assert not head.done


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("Wrong.", "Correct it."), "invalid_request_error"),
        (Unauthenticated("No such key.", "Create one."), "authentication_error"),
        (UpstreamRefused("No money.", "Pay.", status=402), "billing_error"),
        (Forbidden("Not allowed.", "Ask."), "permission_error"),
        (NotFound("No route `x`.", "See /v1/models."), "not_found_error"),
        (Conflict("Taken.", "Choose another."), "invalid_request_error"),
        (BodyTooLarge("Too large.", "Send less."), "request_too_large"),
        (UpstreamRefused("Wait.", "Wait.", status=429), "rate_limit_error"),
        (Bug("Broken.", "Tell us."), "api_error"),
        (UpstreamFailed("Broken.", "Try again."), "api_error"),
        (Unavailable("Full.", "Try again."), "overloaded_error"),
        (UpstreamTimeout("Slow.", "Try again."), "timeout_error"),
        (UpstreamRefused("Busy.", "Wait.", status=529), "overloaded_error"),
    ],
)
def test_an_error_has_anthropics_shape_and_our_code(error: RatchetError, kind: str) -> None:
    body = json.loads(DIALECT.error_body(error))
    message = f"{error.message} {error.remedy} (code: {error.reason})"
    assert body == {"type": "error", "error": {"type": kind, "message": message}}
    name, data, *_ = DIALECT.error_event(error).split(b"\n")
    assert (name, json.loads(data.removeprefix(b"data: "))) == (b"event: error", body)
    assert DIALECT.error_message(DIALECT.error_body(error)) == message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":7}', b'{"error":{"message":7}}'])
def test_where_a_body_explains_nothing_there_is_no_sentence(body: bytes) -> None:
    assert DIALECT.error_message(body) == ""


def test_only_the_models_name_changes() -> None:
    body = b'{"model" : "route", "max_tokens":5,\n "messages": [{"role":"user","content":"\\u00e9"}], "top_k":1.0}'
    changed = DIALECT.rewrite(body, "claude-opus-4-8", (), False)
    assert changed == body.replace(b"route", b"claude-opus-4-8")
    kept = body.replace(b'"top_k":1.0', b'"metadata": {"user_id" :"u"}')
    assert DIALECT.rewrite(kept, "c", (), False) == kept.replace(b"route", b"c")


def test_our_keys_of_metadata_stay_here() -> None:
    body = b'{"model":"r","metadata":{"user_id":"u","session_id":"s"},"messages":[1.0]}'
    assert (
        DIALECT.rewrite(body, "c", (), False) == b'{"model":"c","metadata":{"user_id":"u"},"messages":[1.0]}'
    )
    body = b'{"model":"r","metadata":{"session_id":"s"},"speed":"fast","messages":[]}'
    assert DIALECT.rewrite(body, "c", ["speed"], False) == b'{"model":"c","messages":[]}'
    body = b'{"model":"r","metadata":{"session_id":"s","user_id":"u"}}'
    assert DIALECT.rewrite(body, "c", ["metadata"], False) == b'{"model":"c"}'


def test_thoughts_that_anthropic_can_not_check_stay_here() -> None:
    own = {"type": "thinking", "thinking": "a", "signature": "EqQ="}
    theirs = {"type": "thinking", "thinking": "", "signature": "gemini:abc"}
    unsigned = {"type": "thinking", "thinking": "b", "signature": ""}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"signature": "", "x": "gemini:abc"}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [own, theirs, call]},
        {"role": "assistant", "content": [unsigned]},
    ]
    body = json.dumps({"model": "r", "messages": turns}).encode()
    changed = json.loads(DIALECT.rewrite(body, "c", (), False))
    kept = {"role": "assistant", "content": [own, call]}
    assert changed == {"model": "c", "messages": [{"role": "user", "content": "hi"}, kept]}
    untouched = json.dumps({"model": "r", "messages": [turns[0], kept]}).encode()
    assert DIALECT.rewrite(untouched, "c", (), False) == untouched.replace(b'"r"', b'"c"')


def test_half_a_surrogate_pair_spoils_nothing_but_itself() -> None:
    half = b'"cut \\ud83d"'
    request = b'{"messages":[{"role":"user","content":' + half + b'}],"metadata":{"a":"b"},"model":"m"}'
    assert DIALECT.request_head(request).metadata == {"a": "b"}
    assert "metadata" not in json.loads(DIALECT.rewrite(request, "c", (), False))
    assert DIALECT.read_request(request).messages[0].parts[0].content == "cut \ufffd"  # pyright: ignore
