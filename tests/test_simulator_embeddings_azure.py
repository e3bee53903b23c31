"""Embeddings, and Azure's paths, keys and errors: the official clients against the simulator, over real sockets."""

from __future__ import annotations

import json
import math
import struct
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncAzureOpenAI, AsyncOpenAI
from tests.conftest import running_app

from ratchet.simulator import Simulator, SimulatorProtocol, simulator_app
from ratchet.simulator.vectors import vector

MODEL = "text-embedding-3-small"
QUESTION = [{"role": "user", "content": "How long does standard delivery take?"}]
VERSION = "2024-10-21"


@pytest.fixture
async def client(simulator: tuple[str, Simulator]) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=simulator[0], api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def http(simulator: tuple[str, Simulator]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulator[0]) as made:
        yield made


def nearness(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


# -- embeddings ------------------------------------------------------------------------------------------------


async def test_similar_texts_are_near_and_equal_ones_the_same(client: AsyncOpenAI) -> None:
    texts = [
        "How long is the warranty on tents?",
        "Is there a warranty on a tent?",
        "What does express delivery to Norway cost?",
        "How long is the warranty on tents?",
    ]
    found = await client.embeddings.create(model=MODEL, input=texts)
    one, two, three, again = (item.embedding for item in found.data)
    assert [item.index for item in found.data] == [0, 1, 2, 3]
    assert len(one) == 1536
    assert math.isclose(nearness(one, one), 1.0, rel_tol=1e-5)
    assert one == again
    assert nearness(one, two) > nearness(one, three) + 0.2
    assert found.usage.prompt_tokens == found.usage.total_tokens > 20


async def test_both_encodings_carry_the_same_numbers(http: httpx2.AsyncClient) -> None:
    async def data(**fields: Any) -> Any:
        body = {"model": MODEL, "input": "Hello there", "dimensions": 64, **fields}
        return (await http.post("/embeddings", json=body)).json()["data"][0]["embedding"]

    numbers, packed = await data(), await data(encoding_format="base64")
    assert len(numbers) == 64
    assert list(struct.unpack("<64f", b64decode(packed))) == numbers


async def test_tokens_and_widths(client: AsyncOpenAI) -> None:
    for model, width in ((MODEL, 1536), ("text-embedding-3-large", 3072), ("any-model", 1536)):
        found = await client.embeddings.create(model=model, input="x")
        assert len(found.data[0].embedding) == width
    single = await client.embeddings.create(model=MODEL, input=[15339, 1917])
    several = await client.embeddings.create(model=MODEL, input=[[15339, 1917], [15339]])
    assert (len(single.data), single.usage.prompt_tokens) == (1, 2)
    assert (len(several.data), several.usage.prompt_tokens) == (2, 3)
    assert several.data[0].embedding == single.data[0].embedding


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": None}, "Missing required parameter: 'input'."),
        ({"input": ""}, "'$.input' is invalid."),
        ({"input": []}, "'$.input' is invalid."),
        ({"input": ["a", 3]}, "'$.input' is invalid."),
        ({"input": 3}, "Invalid type for 'input'"),
        ({"input": ["a"] * 2049}, "array too long. Expected an array with maximum length 2048"),
        ({"input": "word " * 9000}, "This model's maximum context length is 8192 tokens"),
        ({"model": None}, "you must provide a model parameter"),
        ({"dimensions": 0}, "integer below minimum value"),
        ({"dimensions": 2000}, "Expected a value <= 1536"),
        ({"encoding_format": "hex"}, "Invalid value: 'hex'."),
        ({"model": "text-embedding-ada-002", "dimensions": 12}, "does not support specifying dimensions"),
    ],
)
async def test_mistakes_are_refused(http: httpx2.AsyncClient, fields: dict[str, Any], message: str) -> None:
    response = await http.post("/embeddings", json={"model": MODEL, "input": "x", **fields})
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


async def test_faults_strike_embeddings_too(http: httpx2.AsyncClient) -> None:
    async def asked(fault: str) -> httpx2.Response:
        return await http.post(
            "/embeddings", json={"model": MODEL, "input": "x"}, headers={"x-simulate": fault}
        )

    assert (await asked("status=429; retry-after=1")).headers["retry-after"] == "1"
    assert "usage" not in (await asked("no-usage")).json()
    assert (await asked("empty")).json()["data"][0]["embedding"] == []
    with pytest.raises(json.JSONDecodeError):
        (await asked("body=malformed")).json()


@given(st.text(), st.integers(1, 64))
def test_every_text_has_a_vector_of_length_one(text: str, width: int) -> None:
    found = vector(text, width)
    assert len(found) == width
    assert math.isclose(nearness(found, found), 1.0)
    assert found == vector(text, width)


# -- Azure -------------------------------------------------------------------------------------------------------


def azure(address: str, key: str = "any", **fields: Any) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(
        azure_endpoint=address.removesuffix("/v1"), api_key=key, api_version=VERSION, max_retries=0, **fields
    )


async def test_a_deployment_answers_with_the_filters_results(simulator: tuple[str, Simulator]) -> None:
    async with azure(simulator[0]) as client:
        whole = await client.chat.completions.create(model="my-gpt-4o", messages=QUESTION)
        stream = await client.chat.completions.create(model="my-gpt-4o", messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
        embedded = await client.embeddings.create(model="my-embedder", input="x")
    assert whole.model == "my-gpt-4o"
    found = whole.to_dict()
    assert found["prompt_filter_results"][0]["content_filter_results"]["hate"]["severity"] == "safe"
    assert found["choices"][0]["content_filter_results"]["violence"]["filtered"] is False
    assert (chunks[0].choices, chunks[0].model) == ([], "")
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:])
    assert said == whole.choices[0].message.content
    assert chunks[3].choices[0].to_dict()["content_filter_results"]["hate"] == {
        "filtered": False, "severity": "safe",
    }  # fmt: skip
    assert len(embedded.data[0].embedding) == 1536


async def test_the_next_generation_of_paths(simulator: tuple[str, Simulator]) -> None:
    address = simulator[0].removesuffix("/v1") + "/openai/v1"
    async with AsyncOpenAI(base_url=address, api_key="any", max_retries=0) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        assert answer.to_dict()["prompt_filter_results"]
        kept = await client.responses.create(model="gpt-4o", input="How long is the warranty?")
        assert (await client.responses.retrieve(kept.id)).id == kept.id
        assert (await client.embeddings.create(model="e", input="x")).data
        assert [model.id async for model in client.models.list()]


async def test_keys_and_versions_are_asked_for() -> None:
    async with running_app(simulator_app(api_key="right"), SimulatorProtocol) as address:
        async with azure(address, "wrong") as client:
            with pytest.raises(openai.AuthenticationError) as refused:
                await client.chat.completions.create(model="d", messages=QUESTION)
            assert refused.value.body["code"] == "401"
            assert "invalid subscription key" in refused.value.body["message"]
        async with azure(address, "right") as client:
            assert (await client.chat.completions.create(model="d", messages=QUESTION)).id
        async with httpx2.AsyncClient(base_url=f"{address}/openai") as http:
            path, body = "/deployments/d/chat/completions", {"messages": QUESTION}
            unversioned = await http.post(path, json=body, headers={"api-key": "right"})
            assert (unversioned.status_code, unversioned.json()["error"]["code"]) == (404, "404")
            bearer = {"authorization": "Bearer right"}
            assert (
                await http.post(f"{path}?api-version={VERSION}", json=body, headers=bearer)
            ).status_code == 401
            chat = {"model": "d", **body}
            assert (await http.post("/v1/chat/completions", json=chat, headers=bearer)).status_code == 200
            assert (await http.post("/v1/chat/completions", json=chat)).status_code == 401
            assert (await http.get("/v1/models")).status_code == 401


async def test_azures_errors_and_faults(simulator: tuple[str, Simulator]) -> None:
    async with azure(simulator[0]) as client:

        async def faulty(fault: str) -> Any:
            return await client.chat.completions.create(
                model="d", messages=QUESTION, extra_headers={"x-simulate": fault}
            )

        with pytest.raises(openai.NotFoundError) as missing:
            await faulty("status=404")
        assert missing.value.code == "DeploymentNotFound"
        with pytest.raises(openai.RateLimitError) as limited:
            await faulty("status=429; retry-after=7")
        assert "after 7 seconds" in limited.value.body["message"]
        assert limited.value.response.headers["retry-after"] == "7"
        with pytest.raises(openai.BadRequestError) as blocked:
            await faulty("status=400; code=content_filter")
        assert blocked.value.code == "content_filter"
        assert blocked.value.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
        filtered = await faulty("content-filter")
        assert filtered.choices[0].finish_reason == "content_filter"
        assert filtered.choices[0].to_dict()["content_filter_results"]["hate"]["filtered"]
        with pytest.raises(openai.BadRequestError) as mistake:
            await client.chat.completions.create(model="d", messages=[])
        assert mistake.value.code == "empty_array"
