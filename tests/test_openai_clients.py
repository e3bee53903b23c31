"""OpenAI's own client reads what the Responses and embeddings dialects write."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from openai import APIStatusError, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from generated import answers
from ratchet.dialects.folded import unfold
from ratchet.dialects.openai_embeddings import DIALECT as EMBEDDINGS
from ratchet.dialects.openai_responses import DIALECT
from ratchet.domain.generation import (
    Answer,
    ChoiceEnded,
    Embeddings,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    StreamEnded,
    StreamEvent,
    StreamStarted,
    UsageReported,
)
from ratchet.domain.messages import Message, ReasoningPart, RefusalPart, TextPart, ToolCallPart
from ratchet.domain.usage import Usage
from ratchet.errors import Forbidden

ASKED = Request(dialect="openai_responses", model="m", messages=[])
SAID = Message(
    "assistant",
    [
        ReasoningPart("Let me see.", "proof", "anthropic"),
        ReasoningPart("", "hidden", "anthropic"),
        TextPart('{"city": "Paris",'),
        TextPart(' "people": 2}'),
        ToolCallPart("toolu_1", "weather", {"city": "Paris"}),
        ToolCallPart("toolu_2", "weather", {"city": "Rome"}),
    ],
    None,
    "tool_call",
)
ANSWER = Answer(
    dialect="anthropic",
    id="msg_1",
    model="claude",
    choices=[SAID],
    usage=Usage(10, 20, cached=4, reasoning=7),
    created=5,
)


class City(BaseModel):
    city: str
    people: int


def client(answer: Callable[[httpx.Request], httpx.Response]) -> OpenAI:
    transport = httpx.MockTransport(answer)
    return OpenAI(
        api_key="k",
        base_url="http://gateway/v1",
        http_client=httpx.Client(transport=transport),
        max_retries=0,
    )


def whole(answer: Answer) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        body = DIALECT.write_answer(answer, DIALECT.read_request(request.content))
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})

    return respond


def streaming(events: list[StreamEvent]) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        writer = DIALECT.stream_writer(DIALECT.read_request(request.content))
        chunks: Iterator[bytes] = (writer.write(event) for event in events)
        return httpx.Response(200, content=b"".join(chunks), headers={"content-type": "text/event-stream"})

    return respond


def check(response: Response) -> None:
    """Every field is of the type that the client declares: it reads leniently, so its model is asked once more."""
    told = response.model_dump(mode="json", exclude={"parsed", "output"})
    Response.model_validate({**told, "output": []}, strict=False)
    Response.model_validate(json.loads(response.model_dump_json(by_alias=True)))
    kinds = [item.type for item in response.output]
    assert kinds == ["reasoning", "reasoning", "message", "function_call", "function_call"]
    assert response.output_text == '{"city": "Paris", "people": 2}'
    thought, hidden, _, call, other = response.output
    assert thought.type == "reasoning"
    assert [part.text for part in thought.summary] == ["Let me see."]
    assert thought.encrypted_content == "anthropic:proof"
    assert hidden.type == "reasoning"
    assert (hidden.summary, hidden.encrypted_content) == ([], "anthropic:hidden")
    assert call.type == other.type == "function_call"
    assert (call.call_id, call.name, json.loads(call.arguments)) == ("toolu_1", "weather", {"city": "Paris"})
    assert json.loads(other.arguments) == {"city": "Rome"}
    assert len({item.id for item in response.output}) == 5
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (
        10,
        20,
        30,
    )
    assert response.usage.input_tokens_details.cached_tokens == 4
    assert response.usage.output_tokens_details.reasoning_tokens == 7
    assert (response.status, response.id, response.model) == ("completed", "resp_msg_1", "claude")


def test_a_whole_answer_is_a_whole_response() -> None:
    response = client(whole(ANSWER)).responses.create(
        model="m",
        input="hi",
        instructions="Be brief.",
        tools=[{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}],
        tool_choice="auto",
        reasoning={"effort": "low"},
    )
    check(response)
    assert response.instructions == "Be brief."
    assert response.tools[0].type == "function"


def test_a_structured_answer_is_parsed() -> None:
    said = Message("assistant", [TextPart('{"city": "Paris", "people": 2}')], None, "stop")
    answer = Answer(dialect="anthropic", id="a", model="m", choices=[said], usage=Usage(1, 2))
    response = client(whole(answer)).responses.parse(model="m", input="hi", text_format=City)
    assert response.output_parsed == City(city="Paris", people=2)
    with client(streaming(unfold(answer))).responses.stream(
        model="m", input="hi", text_format=City
    ) as stream:
        assert stream.get_final_response().output_parsed == City(city="Paris", people=2)


def test_a_stream_ends_in_the_same_response() -> None:
    with client(streaming(unfold(ANSWER))).responses.stream(model="m", input="hi") as stream:
        kinds = [event.type for event in stream]
        check(stream.get_final_response())
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_item.added") == kinds.count("response.output_item.done") == 5
    assert kinds.count("response.content_part.added") == kinds.count("response.content_part.done") == 2
    assert kinds.count("response.function_call_arguments.done") == 2


def test_the_deltas_of_a_stream_add_up() -> None:
    raw = client(streaming(unfold(ANSWER))).responses.create(model="m", input="hi", stream=True)
    texts, arguments, thoughts, numbers = "", {}, "", []
    for event in raw:
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            texts += event.delta
        elif event.type == "response.reasoning_summary_text.delta":
            thoughts += event.delta
        elif event.type == "response.function_call_arguments.delta":
            arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
    assert texts == '{"city": "Paris", "people": 2}'
    assert thoughts == "Let me see."
    assert [json.loads(text) for text in arguments.values()] == [{"city": "Paris"}, {"city": "Rome"}]
    assert numbers == list(range(len(numbers)))


def test_parts_of_a_stream_that_overlap() -> None:
    """As from a provider that ends all parts at the end, and sends two calls' arguments in turns."""
    events: list[StreamEvent] = [
        StreamStarted(id="a", model="m", created=5),
        PartStarted(0, 0, TextPart("")),
        PartDelta(0, 0, "hi"),
        PartStarted(0, 1, ToolCallPart("c1", "f")),
        PartStarted(0, 2, ToolCallPart("c2", "g")),
        PartDelta(0, 1, '{"a"'),
        PartDelta(0, 2, '{"b"'),
        PartDelta(0, 1, ": 1}"),
        PartDelta(0, 2, ": 2}"),
        PartEnded(0, 2),
        PartEnded(0, 1),
        PartEnded(0, 0),
        ChoiceEnded(0, "tool_call"),
        UsageReported(Usage(1, 2)),
        StreamEnded(),
    ]
    with client(streaming(events)).responses.stream(model="m", input="hi") as stream:
        for _ in stream:
            pass
        response = stream.get_final_response()
    assert response.output_text == "hi"
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [("c1", '{"a": 1}'), ("c2", '{"b": 2}')]


@pytest.mark.parametrize(
    ("reason", "expected"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_short(reason: str, expected: str) -> None:
    said = Message("assistant", [TextPart("so fa")], None, reason)
    answer = Answer(dialect="gemini", id="a", model="m", choices=[said], usage=Usage(1, 2))
    response = client(whole(answer)).responses.create(model="m", input="hi")
    with client(streaming(unfold(answer))).responses.stream(model="m", input="hi") as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.incomplete"
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == expected


def test_a_refusal() -> None:
    said = Message("assistant", [RefusalPart("I won't.")], None, "stop")
    answer = Answer(dialect="openai_chat", id="a", model="m", choices=[said], usage=Usage(1, 2))
    with client(streaming(unfold(answer))).responses.stream(model="m", input="hi") as stream:
        response = stream.get_final_response()
    item = response.output[0]
    assert item.type == "message"
    assert item.content[0].type == "refusal"
    assert item.content[0].refusal == "I won't."


@given(answers("anthropic", signed_by="anthropic", refusals=True))
def test_any_stream_is_accepted(answer: Answer) -> None:
    with client(streaming(unfold(answer))).responses.stream(model="m", input="hi") as stream:
        kinds = [event.type for event in stream]
    final = client(whole(answer)).responses.create(model="m", input="hi")
    assert kinds[-1] == f"response.{final.status}"


def test_an_error_of_ours_names_the_field() -> None:
    error = Forbidden("Not this model.", "Ask for another.", param="model")

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, content=DIALECT.error_body(error))

    with pytest.raises(APIStatusError) as caught:
        client(respond).responses.create(model="m", input="hi")
    assert (caught.value.param, caught.value.status_code) == ("model", 403)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_vectors_of_another_provider(encoding: Any) -> None:
    """The client asks for base64 where the app does not say, and turns it into numbers itself."""
    vectors = [[0.5, -0.25], [1.0, 0.0]]

    def respond(request: httpx.Request) -> httpx.Response:
        said = Embeddings(dialect="gemini_embeddings", model="e", vectors=vectors, usage=Usage(input=3))
        return httpx.Response(
            200, content=EMBEDDINGS.write_answer(said, EMBEDDINGS.read_request(request.content))
        )

    given_encoding = {} if encoding is None else {"encoding_format": encoding}
    answer = client(respond).embeddings.create(model="e", input=["a", "b"], **given_encoding)
    found = [entry.embedding for entry in answer.data]
    if encoding == "base64":
        found = [list(struct.unpack("<2f", base64.b64decode(str(text)))) for text in found]
    assert found == vectors
    assert (answer.usage.prompt_tokens, answer.model, [entry.index for entry in answer.data]) == (
        3,
        "e",
        [0, 1],
    )
