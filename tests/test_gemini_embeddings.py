"""Gemini's embeddings: there and back, and for apps of other dialects."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from genai_prices import Usage as PublishedUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from ratchet.catalog.prices import PriceBook, vendor_of
from ratchet.dialects.gemini_embeddings import DIALECT, path
from ratchet.domain.generation import Embeddings, EmbeddingsRequest
from ratchet.domain.usage import Usage
from ratchet.errors import InvalidRequest, UpstreamFailed

ASKED = EmbeddingsRequest(dialect="gemini_embeddings", model="", inputs=[])
WHEN = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def entry(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}} | more


@given(
    st.lists(
        st.builds(
            lambda text, more: entry(text) | more,
            st.text(),
            st.sampled_from(
                [
                    {},
                    {"outputDimensionality": 64},
                    {"taskType": "RETRIEVAL_DOCUMENT", "title": "t"},
                    {"content": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}},
                    {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}},
                ]
            ),
        ),
        max_size=4,
    )
)
def test_a_request_comes_back_the_same(entries: list[dict[str, Any]]) -> None:
    body = {"requests": entries}
    request = DIALECT.read_request(json.dumps(body).encode())
    assert len(request.inputs) == len(entries)
    assert json.loads(DIALECT.write_request(request)) == body


def test_settings_that_all_texts_share_are_read_once() -> None:
    body = {"requests": [entry(text, taskType="X", outputDimensionality=3) for text in "ab"]}
    assert DIALECT.read_request(json.dumps(body).encode()) == EmbeddingsRequest(
        dialect="gemini_embeddings",
        model="gemini-embedding-001",
        inputs=["a", "b"],
        dimensions=3,
        extra={"taskType": "X"},
    )
    single = {"content": {"parts": [{"text": "a"}]}, "output_dimensionality": 3}
    assert DIALECT.read_request(json.dumps(single).encode()).dimensions == 3


def test_another_dialects_request() -> None:
    request = EmbeddingsRequest(
        dialect="openai_embeddings", model="gemini-embedding-001", inputs=["a", ""], dimensions=8, encoding="base64",
        user="u",
    )  # fmt: skip
    assert json.loads(DIALECT.write_request(request)) == {
        "requests": [entry("a", outputDimensionality=8), entry("", outputDimensionality=8)]
    }
    for refused, named in (
        (EmbeddingsRequest(dialect="openai_embeddings", model="m", inputs=[[1, 2]]), "input[0]"),
        (EmbeddingsRequest(dialect="openai_embeddings", model="m", inputs=["a"], extra={"x": 1}), "x"),
    ):
        with pytest.raises(InvalidRequest) as error:
            DIALECT.write_request(refused)
        assert error.value.param == named


@given(
    st.lists(st.lists(st.floats(-1, 1), max_size=3), min_size=1, max_size=3),
    st.sampled_from([{}, {"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}, {"newField": 1}]),
)
def test_an_answer_comes_back_the_same(vectors: list[list[float]], more: dict[str, Any]) -> None:
    body = {"embeddings": [{"values": vector} for vector in vectors]} | more
    data = json.dumps(body).encode()
    answer, head = DIALECT.read_answer(data), DIALECT.answer_head(data)
    assert answer.vectors == vectors
    assert json.loads(DIALECT.write_answer(answer, ASKED)) == body
    assert head is not None
    assert head.finish_reasons == []
    assert answer.usage == (Usage(input=5, output=0) if "usageMetadata" in more else Usage())
    assert (head.tokens is None) == ("usageMetadata" not in more)


def test_the_only_vector_of_embed_content() -> None:
    assert DIALECT.read_answer(b'{"embedding": {"values": [0.5]}}').vectors == [[0.5]]


def test_another_dialects_answer() -> None:
    answer = Embeddings(
        dialect="openai_embeddings", model="m", vectors=[[0.5]], usage=Usage(input=3), extra={"x": 1}
    )
    assert json.loads(DIALECT.write_answer(answer, ASKED)) == {
        "embeddings": [{"values": [0.5]}],
        "usageMetadata": {"promptTokenCount": 3},
    }


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"embeddings": [{}]}', b'{"embeddings": [7]}']
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        DIALECT.read_answer(body)
    if body in (b"", b"<html>", b"[]"):
        assert DIALECT.answer_head(body) is None


def test_where_to_ask_and_what_it_costs() -> None:
    assert (
        path("gemini-embedding-001", stream=False) == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    )
    published = calc_price(
        PublishedUsage(input_tokens=1000),
        model_ref="gemini-embedding-001",
        provider_id="google",
        genai_request_timestamp=WHEN,
    )
    cost = PriceBook().cost(
        "g", ("gemini-embedding-001",), Usage(input=1000, output=0), int(WHEN.timestamp()) * 10**9,
        vendor=vendor_of("gemini", "", "g"),
    )  # fmt: skip
    assert cost == published.total_price
