"""Bytes pass through untouched, both ways, over real sockets: an upstream that keeps what it got is the witness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import RunningGateway, eventually, running_app, running_gateway

from ratchet.dialects.openai_chat.rewrite import rewrite_request
from ratchet.dialects.sse import data_of_stream

ODD_ANSWER = (
    b'{ "id":"a","model" : "m-1", "choices":[{"index":0,"message":{"role":"assistant","content":"h\\u00e9llo \xe2\x82\xac"},'
    b'"finish_reason":"stop","new_field":{"x":[1,2.50,1e3]}}],\n "usage":{"prompt_tokens":3,"completion_tokens":4},"vendor":null}'
)
CHUNKS = [
    b': hello\n\ndata: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"gr\xc3\xbc',
    b'\xc3\x9fe"},"unknown":1}]}\r\n\r\ndata:{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}\n\n',
    b"data: [DONE]\n\n",
]
STREAM = b"".join(CHUNKS)


class Upstream:
    """Keeps what it is sent and answers with what it is told to."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = [ODD_ANSWER]
        self.content_type = b"application/json"

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        self.headers = dict(scope["headers"])
        self.body = b""
        more = True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = [
            (b"content-type", self.content_type),
            (b"x-request-id", b"req_1"),
            (b"set-cookie", b"no=1"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0.001)
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[str, Upstream]]:
    app = Upstream()
    async with running_app(app) as address:
        yield address, app


@pytest.fixture
async def gateway(tmp_path: Path, upstream: tuple[str, Upstream]) -> AsyncIterator[RunningGateway]:
    text = f"""
[providers.up]
kind = "openai"
base_url = "{upstream[0]}/v1"
api_key = "env:UPSTREAM_KEY"
[providers.picky]
kind = "openai"
base_url = "{upstream[0]}/v1"
drop_fields = ["metadata", "user"]
ask_stream_usage = true
[routes.same]
targets = ["up/same"]
[routes.alias]
targets = ["up/real-model"]
"""
    async with running_gateway(tmp_path, text) as running:
        yield running


async def post(gateway: RunningGateway, body: bytes, **headers: str) -> httpx2.Response:
    given = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json", **headers}
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=20) as http:
        return await http.post("/v1/chat/completions", content=body, headers=given)


async def test_a_request_for_the_same_name_is_not_touched(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    body = b'{ "messages" : [ {"role":"user","content":"\\u00fc \xc3\xbc"} ],"model":"same" , "new_thing": {"a":1.0} }\n'
    response = await post(
        gateway, body, **{"openai-beta": "x=1", "cookie": "secret=1", "x-simulate": "status=500"}
    )
    assert upstream[1].body == body
    assert response.content == ODD_ANSWER
    sent = upstream[1].headers
    assert sent[b"authorization"] == b"Bearer sk-upstream"
    assert sent[b"openai-beta"] == b"x=1"
    assert b"cookie" not in sent
    assert b"x-simulate" not in sent
    assert response.headers["x-request-id"] == "req_1"
    assert "set-cookie" not in response.headers


async def test_an_alias_changes_the_model_and_nothing_else(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    await post(gateway, b'{"a":[1.0],"model" : "alias", "b":"\\"model\\":\\"alias\\""}')
    assert upstream[1].body == b'{"a":[1.0],"model" : "real-model", "b":"\\"model\\":\\"alias\\""}'


async def test_a_stream_is_passed_on_byte_for_byte(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    upstream[1].chunks, upstream[1].content_type = CHUNKS, b"text/event-stream; charset=utf-8"
    response = await post(gateway, b'{"model":"same","stream":true}')
    assert response.content == STREAM
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    (call,) = gateway.calls()
    assert call.response == STREAM
    assert (call.usage.input, call.usage.output, call.status) == (5, 6, "ok")


async def test_any_cutting_of_a_stream_gives_the_same(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    upstream[1].content_type = b"text/event-stream"
    for size in (1, 2, 3, 7, 50, 200, 10_000):
        upstream[1].chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
        response = await post(gateway, b'{"model":"same","stream":true}')
        assert response.content == STREAM
    calls = gateway.calls()
    assert len(calls) == 7
    assert {(call.response, call.usage.output, tuple(call.finish_reasons)) for call in calls} == {
        (STREAM, 6, ("stop",))
    }


async def test_a_picky_provider_gets_less_and_is_asked_for_usage(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    upstream[1].chunks, upstream[1].content_type = CHUNKS, b"text/event-stream"
    body = {
        "model": "picky/m",
        "stream": True,
        "user": "u",
        "metadata": {"session_id": "s"},
        "temperature": 0.5,
    }
    response = await post(gateway, json.dumps(body).encode())
    assert json.loads(upstream[1].body) == {
        "model": "m",
        "stream": True,
        "temperature": 0.5,
        "stream_options": {"include_usage": True},
    }
    assert b'"usage"' not in response.content
    assert data_of_stream(response.content)[-1] == b"[DONE]"
    (call,) = gateway.calls()
    assert (call.user_id, call.session_id, call.usage.output) == ("u", "s", 6)


async def test_a_last_event_without_its_blank_line_is_passed_on_all_the_same(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    upstream[1].chunks, upstream[1].content_type = [STREAM.rstrip(b"\n")], b"text/event-stream"
    whole = await post(gateway, b'{"model":"same","stream":true}')
    assert whole.content == STREAM.rstrip(b"\n")
    hidden = await post(gateway, b'{"model":"picky/m","stream":true}')
    assert data_of_stream(hidden.content)[-1] == b"[DONE]"
    assert {call.status for call in gateway.calls()} == {"ok"}


async def test_an_answer_in_json_to_a_stream_request_is_told_as_a_stream(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    response = await post(gateway, b'{"model":"same","stream":true}')
    assert response.headers["content-type"].startswith("text/event-stream")
    assert data_of_stream(response.content)[-1] == b"[DONE]"
    assert upstream[1].body == b'{"model":"same","stream":true}'
    assert gateway.calls()[0].usage.output == 4


async def test_content_that_must_not_be_kept_reaches_no_disk(
    gateway: RunningGateway, upstream: tuple[str, Upstream]
) -> None:
    gateway.config.write_text(gateway.config.read_text() + "\n[gateway]\nkeep_content = false\n")
    await eventually(lambda: not gateway.services.snapshot.keep_content)
    await post(gateway, b'{"model":"same","messages":[{"role":"user","content":"my secret"}]}')
    assert upstream[1].body
    (call,) = gateway.calls()
    assert (call.request, call.response, call.usage.output) == (b"", b"", 4)
    assert b"my secret" not in b"".join(path.read_bytes() for path in (gateway.folder / "spool").iterdir())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300)
@given(
    fields=st.dictionaries(
        st.sampled_from(["model", "messages", "tools", "x"]) | st.text(), json_values, max_size=6
    ),
    model=st.text(min_size=1),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_rewriting_changes_the_model_and_only_that(
    fields: dict[str, Any], model: str, indent: int | None, ascii_only: bool
) -> None:
    fields["model"] = "asked-for"
    try:
        body = json.dumps(fields, indent=indent, ensure_ascii=ascii_only).encode()
        model.encode()
    except UnicodeEncodeError:  # a lone surrogate is no text that JSON on the wire could hold
        return
    assert json.loads(rewrite_request(body, model=model)) == {**fields, "model": model}
    dropped = {name: value for name, value in fields.items() if name != "messages"}
    assert json.loads(rewrite_request(body, model=model, drop={"messages"})) == {**dropped, "model": model}


def test_an_emoji_cut_in_half_and_empty_stream_options_are_no_obstacle() -> None:
    body = b'{"model":"a","model":"a","messages":[{"role":"user","content":"\\ud83d"}],"stream_options":null}'
    rewritten = json.loads(rewrite_request(body, model="b", ask_usage=True))
    assert (rewritten["model"], rewritten["stream_options"]) == ("b", {"include_usage": True})
