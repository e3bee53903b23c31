"""Everything that can be wrong with a request or an upstream, and what the caller sees, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from tests.conftest import RunningGateway, eventually, running_app, running_gateway

from ratchet.store.records import keys

BODY = {"model": "support", "messages": [{"role": "user", "content": "When are you open?"}]}


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        yield client


def said(response: httpx2.Response) -> dict[str, Any]:
    """The error, after checking that it has OpenAI's shape and names its trace."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(response.headers["x-ratchet-trace-id"]) == 32
    return error


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": ""}, "missing_api_key"),
        ({"authorization": "Basic abc"}, "missing_api_key"),
        ({"authorization": "Bearer rk-wrong"}, "invalid_api_key"),
    ],
)
async def test_a_wrong_key(
    http: httpx2.AsyncClient, gateway: RunningGateway, headers: dict[str, str], code: str
) -> None:
    response = await http.post("/v1/chat/completions", json=BODY, headers=headers)
    assert (response.status_code, said(response)["code"]) == (401, code)
    assert response.headers["www-authenticate"] == "Bearer"
    assert gateway.recorded() == []


async def test_the_official_client_sees_its_own_exceptions(gateway: RunningGateway) -> None:
    address = f"{gateway.url}/v1"
    async with (
        AsyncOpenAI(base_url=address, api_key="rk-wrong", max_retries=0) as stranger,
        AsyncOpenAI(base_url=address, api_key=gateway.key, max_retries=0) as known,
    ):
        with pytest.raises(openai.AuthenticationError, match="unknown or has been revoked"):
            await stranger.chat.completions.create(**BODY)  # type: ignore[call-overload]
        with pytest.raises(openai.NotFoundError, match="Did you mean 'support'"):
            await known.chat.completions.create(**{**BODY, "model": "suport"})  # type: ignore[call-overload]
        slow_down = {"x-simulate": "status=429; retry-after=2"}
        with pytest.raises(openai.RateLimitError):
            await known.chat.completions.create(**BODY, extra_headers=slow_down)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_request"),
        (b"{not json", "invalid_json"),
        (b"[1, 2]", "invalid_request"),
        (b'{"messages": []}', "missing_required_parameter"),
        (b'{"model": 7}', "invalid_type"),
        (b'{"model": "support", "stream": "yes"}', "invalid_type"),
        (b"[" * 100_000, "invalid_request"),
    ],
)
async def test_a_broken_body_is_refused_and_recorded(
    http: httpx2.AsyncClient, gateway: RunningGateway, content: bytes, code: str
) -> None:
    response = await http.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert (response.status_code, said(response)["code"]) == (400, code)
    (call,) = gateway.calls()
    assert (call.status, call.error_type, call.http_status) == ("error", code, 400)


async def test_a_body_of_30_megabytes(http: httpx2.AsyncClient) -> None:
    content = b'{"model": "support", "messages": "' + b"x" * 30_000_000 + b'"}'
    response = await http.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert (response.status_code, said(response)["code"]) == (413, "request_too_large")

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 1_000_000

    response = await http.post(
        "/v1/chat/completions", content=unannounced(), headers={"content-type": "application/json"}
    )
    assert response.status_code == 413


@pytest.mark.parametrize(
    "declared", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_a_wrong_content_type(http: httpx2.AsyncClient, declared: str) -> None:
    response = await http.post("/v1/chat/completions", content=b"{}", headers={"content-type": declared})
    assert (response.status_code, said(response)["code"]) == (415, "unsupported_media_type")
    assert declared in said(response)["message"]


async def test_a_content_type_with_parameters_and_a_compressed_body(http: httpx2.AsyncClient) -> None:
    content = json.dumps(BODY).encode()
    fine = await http.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json; charset=utf-8"}
    )
    assert fine.status_code == 200
    packed = await http.post(
        "/v1/chat/completions",
        content=content,
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )
    assert packed.status_code == 415


async def test_an_unknown_path_and_a_wrong_method(http: httpx2.AsyncClient) -> None:
    response = await http.post("/chat/completions", json=BODY)
    assert (response.status_code, said(response)["code"]) == (404, "unknown_path")
    for path in ("/v1/messages/count_tokens", "/v1/messages/batches", "/v1/messages/"):
        response = await http.post(path, json=BODY)
        assert (response.status_code, response.json()["type"]) == (404, "error")
        assert response.json()["error"]["type"] == "not_found_error"
    response = await http.get("/v1/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_key_limited_to_some_routes(gateway: RunningGateway, http: httpx2.AsyncClient) -> None:
    secret = gateway.new_key("limited", routes=["mini", "sim/*"])
    headers = {"authorization": f"Bearer {secret}"}

    async def status(model: str) -> int:
        response = await http.post("/v1/chat/completions", json={**BODY, "model": model}, headers=headers)
        return response.status_code

    async def known() -> bool:
        return await status("mini") == 200

    await eventually(known)
    assert await status("sim/gpt-4o") == 200
    assert await status("support") == 403
    assert await status("simulator/x") == 403
    models = await http.get("/v1/models", headers=headers)
    assert [model["id"] for model in models.json()["data"]] == ["mini", "sim/*"]


async def test_a_revoked_key_is_refused_within_a_second(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    assert (await http.post("/v1/chat/completions", json=BODY)).status_code == 200
    keys.revoke_key(gateway.records, project_id="default", name_or_id="test", now=time.time_ns())
    began = time.monotonic()

    async def refused() -> bool:
        return (await http.post("/v1/chat/completions", json=BODY)).status_code == 401

    await eventually(refused)
    assert time.monotonic() - began < 1.0


async def test_an_expired_key(gateway: RunningGateway, http: httpx2.AsyncClient) -> None:
    secret = gateway.new_key("brief", expires=time.time_ns() + 1_000_000_000)

    async def code() -> str | None:
        response = await http.post(
            "/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {secret}"}
        )
        return said(response)["code"] if response.status_code != 200 else None

    async def expired() -> bool:
        return await code() == "expired_api_key"

    assert await eventually(expired)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("status=400", 400, None),
        ("status=401", 502, "upstream_credentials"),
        ("status=402", 502, "upstream_credentials"),
        ("status=403", 502, "upstream_credentials"),
        ("status=429; retry-after=7", 429, None),
        ("status=500", 502, "upstream_failed"),
        ("status=503", 502, "upstream_failed"),
        ("status=500; body=html", 502, "upstream_failed"),
        ("reset", 502, "upstream_broken"),
    ],
)
async def test_an_upstream_that_fails(
    http: httpx2.AsyncClient, gateway: RunningGateway, fault: str, status: int, code: str | None, stream: bool
) -> None:
    response = await http.post(
        "/v1/chat/completions", json={**BODY, "stream": stream}, headers={"x-simulate": fault}
    )
    assert response.status_code == status
    error = response.json()["error"]
    assert error["message"]
    if code:
        assert said(response)["code"] == code
    if status == 429:
        assert response.headers["retry-after"] == "7"
    (call,) = gateway.calls()
    assert (call.status, call.http_status) == ("error", status)
    assert call.target == "sim/gpt-4o"
    # A provider that turns a request down asks for nothing; one that breaks off may.
    assert call.cost == ("0" if "status=" in fault else call.cost)


@pytest.mark.parametrize("fault", ["body=malformed", "body=empty", "body=html", "body=truncated"])
async def test_an_upstream_that_answers_nonsense(http: httpx2.AsyncClient, fault: str) -> None:
    response = await http.post("/v1/chat/completions", json=BODY, headers={"x-simulate": fault})
    assert (response.status_code, said(response)["code"]) == (502, "upstream_broken")


async def test_a_stream_that_breaks_off_ends_in_an_error_event(
    http: httpx2.AsyncClient, gateway: RunningGateway
) -> None:
    response = await http.post(
        "/v1/chat/completions", json={**BODY, "stream": True}, headers={"x-simulate": "cut=4"}
    )
    assert response.status_code == 200
    last = response.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["type"] == "upstream_error"
    assert "[DONE]" not in response.text
    (call,) = gateway.calls()
    assert (call.status, call.cost) == ("error", None)
    assert call.error_type in ("upstream_truncated", "upstream_broken")


async def test_an_unreachable_upstream_and_a_missing_credential(tmp_path: Path, free_port: int) -> None:
    settings = f"""
[providers.away]
kind = "openai"
base_url = "http://127.0.0.1:{free_port}/v1"
[providers.unset]
kind = "openai"
base_url = "http://127.0.0.1:{free_port}/v1"
api_key = "env:NOT_SET_ANYWHERE"
"""
    async with (
        running_gateway(tmp_path, settings) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}) as http,
    ):
        away = await http.post("/v1/chat/completions", json={**BODY, "model": "away/x"})
        assert (away.status_code, said(away)["code"]) == (502, "upstream_unreachable")
        unset = await http.post("/v1/chat/completions", json={**BODY, "model": "unset/x"})
        assert (unset.status_code, said(unset)["code"]) == (502, "upstream_credentials")
        assert "NOT_SET_ANYWHERE" in said(unset)["message"]


async def test_an_upstream_that_takes_too_long(tmp_path: Path) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async with running_app(silent) as address:
        settings = f'[providers.slow]\nkind = "openai"\nbase_url = "{address}/v1"\ntimeout = 0.3\n'
        async with (
            running_gateway(tmp_path, settings) as gateway,
            httpx2.AsyncClient(
                base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
            ) as http,
        ):
            response = await http.post("/v1/chat/completions", json={**BODY, "model": "slow/x"})
            assert (response.status_code, said(response)["code"]) == (504, "upstream_timeout")
