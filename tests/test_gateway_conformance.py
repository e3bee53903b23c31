"""The gateway against its own description, and against bodies of every kind: it answers as it says, and never a 5xx."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.conftest import RunningGateway, running_app, running_gateway

from ratchet.gateway.endpoints.description import description
from ratchet.gateway.endpoints.http import GatewayApp
from ratchet.simulator.app import simulator_app
from ratchet.simulator.server import SimulatorProtocol

EXAMPLES = 60  # for each request
FUZZED = 250  # bodies for each path
PATIENCE = 20  # seconds for one answer
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = json.loads(description())
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]
POSTED = [path for method, path in OPERATIONS if method == "POST"]
SEEDED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway in a loop of its own, with a target in each of three dialects behind it."""
    started: list[RunningGateway] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve(folder: Path) -> None:
        async with running_app(simulator_app(seed=0, pace=0), SimulatorProtocol) as address:
            providers = "".join(
                f'[providers.{kind}]\nkind = "{kind}"\nbase_url = "{address}{end}"\n'
                f'[routes.{name}]\ntargets = ["{kind}/{model}"]\n'
                for kind, end, name, model in (
                    ("simulator", "/v1", "support", "gpt-4o"),
                    ("anthropic", "", "claude", "claude-haiku-4-5"),
                    ("gemini", "", "gemini", "gemini-2.5-flash"),
                )
            )
            async with running_gateway(folder, providers) as running:
                started.append(running)
                ready.set()
                while not stop.is_set():
                    await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(serve(tmp_path_factory.mktemp("conformance"))))
    thread.start()
    assert ready.wait(30)
    yield started[0]
    stop.set()
    thread.join(30)


def test_everything_that_is_served_is_described(gateway: RunningGateway) -> None:
    served = {(method, path) for path, (method, *_) in GatewayApp(gateway.services)._paths.items()}
    assert set(OPERATIONS) == served
    answer = httpx2.get(f"{gateway.url}/openapi.json")
    assert (answer.status_code, answer.json()) == (200, DOCUMENT)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_request_answers_as_described(gateway: RunningGateway, method: str, path: str) -> None:
    """With what its description allows, and with what it doesn't."""
    operation: Any = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")[path][method]
    seen: set[int] = set()

    @settings(SEEDED, max_examples=EXAMPLES)
    @given(
        case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        model=st.sampled_from(["", "support", "claude", "gemini"]),
    )
    def ask(case: Any, model: str) -> None:
        case.headers = {**(case.headers or {}), "authorization": f"Bearer {gateway.key}"}
        case.headers.pop("x-api-key", None)
        if model and isinstance(case.body, dict):
            case.body = {**case.body, "model": model}
        answer = case.call(timeout=PATIENCE)
        case.validate_response(answer, checks=CHECKS)
        seen.add(answer.status_code)

    ask()
    assert seen


# -- bodies of every kind ------------------------------------------------------------------------------------------

CHAT = {"model": "support", "messages": [{"role": "user", "content": "When are you open?"}]}
WHOLE: dict[str, Any] = {
    "/v1/chat/completions": {**CHAT, "user": "u", "metadata": {"session_id": "s"}, "tools": [], "seed": 1},
    "/v1/responses": {"model": "support", "input": "hello", "metadata": {"a": "b"}},
    "/v1/embeddings": {"model": "support", "input": ["a", "b"]},
    "/v1/messages": {**CHAT, "max_tokens": 9, "system": [{"type": "text", "text": "x"}]},
    "/v1/feedback": {"trace_id": "0" * 31 + "1", "value": 1, "metadata": {"a": "b"}},
    "/v1/tools/select": {
        "text": "When are you open?",
        "tools": [{"type": "function", "function": {"name": "hours", "description": "Opening hours."}}],
        "model": "support",
    },
    "/v1/traces": {
        "resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "a" * 32, "spanId": "b" * 16}]}]}]
    },
}
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["\x00", "\ud800", "\U0010ffff", "9" * 5000, "\u202e", "a" * 70_000, -0.0, 1e308, 2**63, -1]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.sampled_from(
        [[[]], {"": {}}, [None], [{"role": None}], {"type": "function"}, [{"type": "image_url"}]]
    ),
)
NESTED = st.builds(
    lambda opening, closing, depth, inner: opening * depth + inner + closing * depth,
    *(st.just("["), st.just("]")),
    st.sampled_from([10, 100, 500, 1000, 5000, 200_000]),
    st.sampled_from(["", "1", '"x"']),
) | st.builds(
    lambda depth, name: f'{{"{name}":' * depth + "1" + "}" * depth,
    st.sampled_from([10, 100, 1000, 100_000]),
    st.sampled_from(["a", "model", "messages", "metadata"]),
)


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(place for name, one in inner for place in places(one, (*before, name)))]


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    name, *rest = place
    if isinstance(value, dict):
        return {**value, name: replaced(value[name], tuple(rest), new)}
    return [replaced(one, tuple(rest), new) if at == name else one for at, one in enumerate(value)]


def written(value: Any) -> bytes:
    """As JSON, with what JSON can't say: NaN, and halves of surrogates as they are."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def bodies(draw: st.DrawFn, path: str) -> tuple[bytes, dict[str, str]]:
    """A body, and headers that say what it is, or something else."""
    whole = WHOLE[path]
    headers = {"content-type": "application/json"}
    kind = draw(
        st.sampled_from(["changed", "added", "cut", "bytes", "nested", "packed", "declared", "twice"])
    )
    if kind in ("changed", "declared"):
        content = written(replaced(whole, draw(st.sampled_from(places(whole))), draw(ODD)))
    elif kind == "added":
        names = st.sampled_from(
            ["stream", "n", "tools", "tool_choice", "response_format", "variables", "model", "x"]
        )
        content = written({**whole, **draw(st.dictionaries(names, ODD, min_size=1, max_size=3))})
    elif kind == "cut":
        text = written(whole)
        content = text[: draw(st.integers(0, len(text)))] + draw(st.binary(max_size=4))
    elif kind == "nested":
        content = draw(NESTED).encode()
        if draw(st.booleans()):
            content = b'{"model":"support","messages":' + content + b"}"
    elif kind == "twice":
        content = written(whole)[:-1] + b"," + written(whole)[1:]
    else:
        content = draw(st.binary(max_size=200))
    if kind == "packed":
        headers["content-encoding"] = draw(st.sampled_from(["gzip", "deflate", "br", "identity", "x-gzip"]))
        content = draw(st.sampled_from([content, gzip.compress(content), gzip.compress(content)[:-3]]))
    if kind == "declared":
        types = [
            "application/x-protobuf",
            "text/plain",
            "",
            "application/json; charset=utf-16",
            "multipart/form-data",
        ]
        headers["content-type"] = draw(st.sampled_from(types))
    return content, headers


MODELS = ["support", "claude", "gemini"]
TRIED = [(path, model) for path in POSTED for model in (MODELS if "model" in WHOLE[path] else MODELS[:1])]


@pytest.mark.parametrize(("path", "model"), TRIED)
def test_whatever_is_sent(gateway: RunningGateway, path: str, model: str) -> None:
    """No crash, no hang, and never a 5xx; and the gateway is as well as before."""
    seen: set[int] = set()
    with httpx2.Client(headers={"authorization": f"Bearer {gateway.key}"}, timeout=PATIENCE) as client:

        @settings(SEEDED, max_examples=FUZZED)
        @given(sent=bodies(path))
        def ask(sent: tuple[bytes, dict[str, str]]) -> None:
            content, headers = sent
            content = content.replace(b'"support"', f'"{model}"'.encode())
            answer = client.post(gateway.url + path, content=content, headers=headers)
            assert answer.status_code < 500, (content[:300], answer.text)
            if answer.headers["content-type"] == "application/json":
                answer.json()
            seen.add(answer.status_code)

        ask()
        assert model != "support" or seen & {200, 202}, "some are right"
        assert seen & {400}
        assert client.get(f"{gateway.url}/healthz").status_code == 200


@settings(SEEDED, max_examples=FUZZED)
@given(
    pieces=st.lists(
        st.sampled_from(
            [b"GET /healthz HTTP/1.1\r\n", b"POST /v1/models HTTP/1.1\r\n", b"host: x\r\n", b"\r\n", b"\r\n\r\n",
             b"content-length: 5\r\n", b"content-length: -1\r\n", b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n",
             b"ffffffffffffffffff\r\n", b"0\r\n\r\n", b"upgrade: websocket\r\nconnection: upgrade\r\n", b"OPTIONS * HTTP/1.1\r\n",
             b"CONNECT x:1 HTTP/1.1\r\n", b"GET /%ff%00%2e%2e/ HTTP/1.1\r\n", b"GET /\xff HTTP/1.1\r\n", b"expect: 100-continue\r\n",
             b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.0\r\n\r\n", b": empty\r\n", b"\0"]
        )
        | st.binary(max_size=8),
        min_size=1,
        max_size=8,
    )
)  # fmt: skip
def test_whatever_comes_in_place_of_http(gateway: RunningGateway, pieces: list[bytes]) -> None:
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as client:
        client.sendall(b"".join(pieces))
        client.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionError):
            while more := client.recv(65536):
                said += more
    assert b"HTTP/1.1 5" not in said, (pieces, said)
