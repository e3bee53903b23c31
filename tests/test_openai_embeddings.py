"""OpenAI's embeddings dialect there and back, and what telemetry keeps of it."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.dialects.openai_embeddings import DIALECT
from ratchet.dialects.openai_embeddings.content import messages_of_request, messages_of_response
from ratchet.domain.generation import Embeddings, EmbeddingsRequest
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.usage import Usage
from ratchet.errors import Bug, InvalidRequest, UpstreamFailed

NUMBERS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5)
ASKED = EmbeddingsRequest(dialect="openai_embeddings", model="m", inputs=["a"])
PACKED = EmbeddingsRequest(dialect="openai_embeddings", model="m", inputs=["a"], encoding="base64")


def there_and_back(body: Any) -> Any:
    return json.loads(DIALECT.write_request(DIALECT.read_request(json.dumps(body).encode())))


def answer_of(*embeddings: Any, **more: Any) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": place, "embedding": said} for place, said in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return {"object": "list", "data": data, "model": "m", "usage": usage, **more}


@pytest.mark.parametrize(
    ("given_input", "inputs"),
    [
        ("hi", ["hi"]),
        (["hi"], ["hi"]),
        (["hi", "you"], ["hi", "you"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2]], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([], []),
        (None, []),
        (["hi", 3], []),
        ([True], []),
        ({"text": "hi"}, []),
    ],
)
def test_an_input_comes_back_as_it_was(given_input: Any, inputs: Any) -> None:
    body = {"model": "m", "input": given_input}
    assert DIALECT.read_request(json.dumps(body).encode()).inputs == inputs
    assert there_and_back(body) == body


def test_parameters_stand_where_every_dialect_finds_them() -> None:
    body = {
        "model": "m",
        "input": "a",
        "dimensions": 256,
        "encoding_format": "base64",
        "user": "u",
        "novel": [1],
    }
    request = DIALECT.read_request(json.dumps(body).encode())
    assert (request.dimensions, request.encoding, request.user) == (256, "base64", "u")
    assert there_and_back(body) == body
    head = DIALECT.request_head(json.dumps(body).encode())
    assert (head.model, head.user_id, head.stream) == ("m", "u", False)


def test_what_another_dialect_asks_and_this_one_cannot_say_is_refused_by_name() -> None:
    request = EmbeddingsRequest(
        dialect="gemini_embeddings", model="m", inputs=["a"], extra={"taskType": "RETRIEVAL_QUERY"}
    )
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(request)
    assert (caught.value.param, caught.value.reason) == ("taskType", "not_expressible")
    plain = EmbeddingsRequest(
        dialect="gemini_embeddings", model="m", inputs=["a"], dimensions=4, extra={"title": None}
    )
    assert json.loads(DIALECT.write_request(plain)) == {"model": "m", "input": ["a"], "dimensions": 4}


@pytest.mark.parametrize(
    "body",
    [
        answer_of([0.5, -1.0], [0.25, 2]),
        answer_of(),
        answer_of([0.5], usage={"prompt_tokens": 5, "total_tokens": 6, "cost": 0.1}),
        answer_of([0.5], usage=None, novel=1),
        {"object": "list", "data": [{"embedding": [0.5]}], "model": "m"},
        {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5], "novel": 1}], "model": "m"},
        {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": {"int8": [1]}}], "model": "m"},
        {"object": "list", "data": "nothing", "model": None},
        {"error": {"message": "No.", "type": "invalid_request_error"}},
    ],
)  # fmt: skip
def test_an_answer_says_all_that_it_said(body: dict[str, Any]) -> None:
    answer = DIALECT.read_answer(json.dumps(body).encode())
    again = json.loads(DIALECT.write_answer(answer, ASKED))
    assert {name: again[name] for name in body} == body


def test_vectors_are_in_the_order_of_the_inputs() -> None:
    body = answer_of([1.0], [2.0])
    body["data"].reverse()
    assert DIALECT.read_answer(json.dumps(body).encode()).vectors == [[1.0], [2.0]]


@given(st.lists(NUMBERS, min_size=1, max_size=3))
def test_both_encodings_hold_the_same_numbers(vectors: list[list[float]]) -> None:
    said = Embeddings(dialect="gemini_embeddings", model="m", vectors=vectors, usage=Usage(input=5))
    for asked in (ASKED, PACKED):
        body = DIALECT.write_answer(said, asked)
        assert DIALECT.read_answer(body).vectors == vectors
    entry = json.loads(DIALECT.write_answer(said, PACKED))["data"][0]["embedding"]
    assert struct.unpack(f"<{len(vectors[0])}f", base64.b64decode(entry)) == tuple(vectors[0])


def test_a_number_too_large_for_32_bits_becomes_the_largest() -> None:
    said = Embeddings(dialect="openai_embeddings", model="m", vectors=[[1e300, -1e300, 0.5]], usage=Usage())
    [vector] = DIALECT.read_answer(DIALECT.write_answer(said, PACKED)).vectors
    assert vector == [3.4028234663852886e38, -3.4028234663852886e38, 0.5]


def test_the_head_of_an_answer() -> None:
    head = DIALECT.answer_head(json.dumps(answer_of([0.5])).encode())
    assert head is not None
    assert (head.model, head.tokens, head.finish_reasons) == ("m", Usage(input=5, output=0), [])
    assert DIALECT.answer_head(b"<html>") is None


def test_an_embeddings_answer_is_never_a_stream() -> None:
    with pytest.raises(Bug):
        DIALECT.stream_head()


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense"])
def test_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.read_request(body)
    with pytest.raises(UpstreamFailed):
        DIALECT.read_answer(body)
    assert messages_of_request(body).unreadable
    assert messages_of_response(body).unreadable


def test_the_texts_are_kept_and_the_vectors_are_not() -> None:
    body = {"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "float", "novel": 1}
    content = messages_of_request(json.dumps(body).encode())
    assert content.messages == [Message("user", [TextPart("a")]), Message("user", [TextPart("b")])]
    assert content.attributes == {
        "gen_ai.embeddings.dimension.count": "3",
        "gen_ai.request.encoding_formats": '["float"]',
        "ratchet.request.novel": "1",
    }
    tokens = messages_of_request(b'{"model": "m", "input": [1, 2]}')
    assert tokens.messages == [Message("user", [TextPart("[1,2]")])]
    answer = messages_of_response(json.dumps(answer_of([0.5, 1.0], warning="w")).encode())
    assert answer.messages == []
    assert answer.attributes == {"gen_ai.embeddings.dimension.count": "2", "ratchet.response.warning": "w"}
