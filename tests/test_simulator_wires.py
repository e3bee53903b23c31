"""What holds on every wire: the same faults, scripts and counts, the same bytes again, and no body that breaks it."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import eventually

from ratchet.simulator import Simulator, simulator_app

QUESTION = "How long does standard delivery take? Größe"
SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}},
    "required": ["order_id"],
    "additionalProperties": False,
}
FUNCTION = {"name": "order_status", "description": "The status of an order.", "parameters": SCHEMA}
PIXEL = "data:image/png;base64,AAAA"


class Wire(msgspec.Struct):
    """A path, a body of many fields that is taken, and what makes it a stream."""

    path: str
    body: dict[str, Any]
    streamed: tuple[str, dict[str, Any]]
    headers: dict[str, str] = {}


def chat(path: str) -> Wire:
    body = {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PIXEL}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
            {"role": "user", "content": QUESTION},
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "auto",
        "stop": ["###"],
        "temperature": 0.5,
    }  # fmt: skip
    return Wire(path, body, (path, {"stream": True}))


WIRES = {
    "chat": chat("/v1/chat/completions"),
    "azure": chat("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
    "responses": Wire(
        "/v1/responses",
        {
            "model": "gpt-4o",
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": PIXEL}]},
                {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "1"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "One."}]},
                {"role": "user", "content": QUESTION},
            ],
            "tools": [{"type": "function", "strict": True, **FUNCTION}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "order_status"}]},
            "text": {"format": {"type": "text"}, "verbosity": "low"},
            "reasoning": {},
            "include": ["file_search_call.results"],
            "metadata": {"a": "b"},
            "stream_options": {"include_obfuscation": False},
            "max_output_tokens": 500,
            "service_tier": "auto",
            "store": False,
        },
        ("/v1/responses", {"stream": True}),
    ),
    "anthropic": Wire(
        "/v1/messages",
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 500,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image", "source": {"type": "url", "url": "https://a.b/c"}}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "1"}]}]},
                {"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"}]},
                {"role": "user", "content": QUESTION},
            ],
            "tools": [{"name": "order_status", "description": "The status of an order.", "input_schema": SCHEMA}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            "thinking": {"type": "disabled"},
            "output_config": {},
            "metadata": {"user_id": "u"},
            "stop_sequences": ["###"],
            "temperature": 0.5,
        },
        ("/v1/messages", {"stream": True}),
        {"anthropic-version": "2023-06-01"},
    ),
    "gemini": Wire(
        "/v1beta/models/gemini-2.0-flash:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
                {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}}]},
                {"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "f", "response": {"result": "1"}}}]},
                {"role": "user", "parts": [{"text": QUESTION}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "order_status", "parametersJsonSchema": SCHEMA}, {"name": "g", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING"}}}}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "generationConfig": {"temperature": 0.5, "stopSequences": ["###"], "maxOutputTokens": 500, "thinkingConfig": {"includeThoughts": False}},
        },
        ("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", {}),
    ),
    "embeddings": Wire(
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": [QUESTION], "dimensions": 8, "encoding_format": "float"},
        ("", {}),
    ),
    "gemini embeddings": Wire(
        "/v1beta/models/e:batchEmbedContents",
        {"requests": [{"model": "models/e", "content": {"parts": [{"text": QUESTION}]}, "outputDimensionality": 8}]},
        ("", {}),
    ),
}  # fmt: skip
STREAMED = [name for name, wire in WIRES.items() if wire.streamed[0]]


@pytest.fixture
async def http(simulator: tuple[str, Simulator]) -> Any:
    async with httpx2.AsyncClient(base_url=simulator[0].removesuffix("/v1")) as made:
        yield made


async def post(
    http: httpx2.AsyncClient, name: str, fault: str = "", *, stream: bool = False
) -> httpx2.Response:
    wire = WIRES[name]
    path, more = wire.streamed if stream else (wire.path, {})
    headers = {**wire.headers, **({"x-simulate": fault} if fault else {})}
    return await http.post(path, json={**wire.body, **more}, headers=headers)


def payloads(text: str) -> list[str]:
    """The data of a stream's events, whatever its line ends and comments."""
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").split("\n")
    return [line[5:].strip() for line in lines if line.startswith("data:")]


# -- the same for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WIRES)
async def test_the_same_request_gets_the_same_bytes(http: httpx2.AsyncClient, name: str) -> None:
    first, again = await post(http, name), await post(http, name)
    assert first.status_code == 200, first.text
    assert first.content == again.content
    if name in STREAMED:
        assert (await post(http, name, stream=True)).content == (await post(http, name, stream=True)).content


@pytest.mark.parametrize("name", WIRES)
async def test_bodies_can_be_broken(http: httpx2.AsyncClient, name: str) -> None:
    assert (await post(http, name, "body=html")).text.startswith("<!DOCTYPE html>")
    assert (await post(http, name, "body=empty")).content == b""
    with pytest.raises(json.JSONDecodeError):
        (await post(http, name, "body=malformed")).json()
    for fault in ("body=truncated", "cut=2"):
        with pytest.raises(httpx2.RemoteProtocolError):
            await post(http, name, fault)
    with pytest.raises(httpx2.TransportError):
        await post(http, name, "reset")
    assert (await post(http, name, "content-type=text/plain")).headers["content-type"] == "text/plain"


@pytest.mark.parametrize("name", WIRES)
async def test_statuses_are_errors_in_json(http: httpx2.AsyncClient, name: str) -> None:
    for status in (400, 401, 403, 404, 408, 409, 413, 418, 429, 500, 502, 503, 504, 529):
        found = await post(http, name, f"status={status}; retry-after=1")
        assert found.status_code == status
        assert found.json()["error"]["message"]
    unknown = await post(http, name, "explode")
    assert unknown.status_code == 400
    assert "no fault named 'explode'" in unknown.json()["error"]["message"]


@pytest.mark.parametrize("name", STREAMED)
async def test_a_streams_framing_changes_nothing_in_it(http: httpx2.AsyncClient, name: str) -> None:
    plain = payloads((await post(http, name, stream=True)).text)
    assert len(plain) > 4
    for fault in (
        "split",
        "merge",
        "crlf",
        "comments",
        "bom",
        "no-space",
        "gap=1ms",
        "split; crlf; comments",
    ):
        assert payloads((await post(http, name, fault, stream=True)).text) == plain, fault


@pytest.mark.parametrize("name", STREAMED)
async def test_a_stream_can_break_stall_and_be_garbled(http: httpx2.AsyncClient, name: str) -> None:
    plain = payloads((await post(http, name, stream=True)).text)
    with pytest.raises(httpx2.RemoteProtocolError):
        await post(http, name, "cut=2", stream=True)
    garbled = payloads((await post(http, name, "garble=2", stream=True)).text)
    assert garbled[:2] == plain[:2]
    assert garbled[3:] == plain[2:]
    with pytest.raises(json.JSONDecodeError):
        json.loads(garbled[2])
    failed = payloads((await post(http, name, "error=2", stream=True)).text)
    assert failed[:2] == plain[:2]
    assert len(failed) == 3
    assert "error" in failed[2]
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert payloads((await post(http, name, "stall=2; stall-for=80ms", stream=True)).text) == plain
    assert loop.time() - began >= 0.08
    assert payloads((await post(http, name, "body=empty", stream=True)).text) == []
    sized = [len(payloads((await post(http, name, f"tokens={n}", stream=True)).text)) for n in (8, 80)]
    assert sized[0] < sized[1]


@pytest.mark.parametrize("name", WIRES)
async def test_scripts_and_counts(
    http: httpx2.AsyncClient, simulator: tuple[str, Simulator], name: str
) -> None:
    await post(http, name)  # what is remembered must not hide a script
    rules = [{"fault": "status=503", "text": "größe", "times": 1}]
    assert (await http.post("/_simulate/script", json=rules)).status_code == 200
    statuses = [(await post(http, name)).status_code for _ in range(2)]
    assert statuses == [503, 200]
    stats = simulator[1].stats
    assert (stats.requests, stats.faults, stats.by_status) == (3, 1, {"200": 2, "503": 1})
    if name in STREAMED:
        waiting = asyncio.create_task(post(http, name, "stall=2", stream=True))
        await eventually(lambda: stats.in_flight == 1 and stats.streams == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await eventually(lambda: stats.disconnects == 1)


@pytest.mark.parametrize("name", WIRES)
async def test_a_fault_can_come_in_the_body(http: httpx2.AsyncClient, name: str) -> None:
    wire = WIRES[name]
    body = {**wire.body, "simulate": "status=503"}
    assert (await http.post(wire.path, json=body, headers=wire.headers)).status_code == 503


# -- nothing breaks it ---------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "text", "user", "function", "object"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


async def served(app: Simulator, path: str, headers: dict[str, str], body: bytes) -> int:
    """The status of one request, without a socket; what breaks the app is raised."""
    path, _, query = path.partition("?")
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if sent:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": body}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    listed = [(key.encode(), value.encode()) for key, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query.encode(),
        "headers": listed,
    }
    await app(scope, receive, send)
    return sent[0]["status"]


@pytest.mark.parametrize("name", WIRES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_anywhere_breaks_it(name: str, data: st.DataObject) -> None:
    wire = WIRES[name]
    body = copy.deepcopy(wire.body)
    path = data.draw(st.sampled_from(places(body)[1:]))
    value = data.draw(VALUES)
    inner: Any = body
    for step in path[:-1]:
        inner = inner[step]
    if data.draw(st.booleans()):
        inner[path[-1]] = value
    elif isinstance(inner, dict):
        del inner[path[-1]]
    status = asyncio.run(served(simulator_app(), wire.path, wire.headers, json.dumps(body).encode()))
    assert status in {200, 400, 403, 404}


@pytest.mark.parametrize("name", WIRES)
def test_bodies_that_are_no_objects_are_refused(name: str) -> None:
    wire = WIRES[name]
    for body in (b"", b"{", b"[1]", b"3", b"null", b'"x"', b"\xff\xfe", b"[" * 5000):
        assert asyncio.run(served(simulator_app(), wire.path, wire.headers, body)) == 400
