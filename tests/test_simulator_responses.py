"""The simulator speaks OpenAI's responses: the official client against it, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from ratchet.simulator import Simulator
from ratchet.simulator.memory import Memory, StoredResponse

QUESTION = "How long does standard delivery take?"
ORDERS = "What is the status of my orders A-10023 and B-20034?"
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "order_status",
    "description": "The status of an order.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"order_id": {"type": "string"}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
}
ENCRYPTED = ["reasoning.encrypted_content"]


@pytest.fixture
async def client(simulator: tuple[str, Simulator]) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=simulator[0], api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def http(simulator: tuple[str, Simulator]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulator[0]) as made:
        yield made


async def ask(client: AsyncOpenAI, given: Any = QUESTION, **fields: Any) -> Response:
    return await client.responses.create(**{"model": "gpt-4o", "input": given, **fields})


# -- answers ---------------------------------------------------------------------------------------------------


async def test_a_response_has_the_fields_of_the_recorded_ones(http: httpx2.AsyncClient) -> None:
    found = (await http.post("/responses", json={"model": "gpt-4o", "input": QUESTION})).json()
    assert set(found) == {
        "id", "object", "created_at", "status", "background", "billing", "completed_at", "error", "frequency_penalty",
        "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "model", "moderation", "output",
        "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt_cache_key", "prompt_cache_retention",
        "reasoning", "safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice", "tools",
        "top_logprobs", "top_p", "truncation", "usage", "user", "metadata",
    }  # fmt: skip
    assert (found["object"], found["status"], found["error"]) == ("response", "completed", None)
    (item,) = found["output"]
    assert set(item) == {"id", "type", "status", "content", "role"}
    assert item["content"][0]["type"] == "output_text"
    usage = found["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_streamed_or_not_the_response_is_the_same(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model="gpt-4o", input=QUESTION) as stream:
        assert (await stream.get_final_response()).output_text == (await ask(client)).output_text
    for fields in (
        {},
        {"model": "o4-mini", "include": ENCRYPTED, "reasoning": {"summary": "auto"}},
        {"input": ORDERS, "tools": [TOOL]},
        {"max_output_tokens": 16},
        {"top_logprobs": 2, "include": ["message.output_text.logprobs"]},
        {"extra_headers": {"x-simulate": "refusal"}},
    ):
        whole = await ask(client, **fields)
        streamed = [event async for event in await ask(client, stream=True, **fields)][-1].response
        assert len(streamed.output) == len(whole.output)
        ours, theirs = whole.to_dict(), streamed.to_dict()
        for a, b in zip(ours["output"], theirs["output"], strict=True):
            for changing in ("id", "call_id", "encrypted_content", "parsed_arguments"):
                a.pop(changing, None)
                b.pop(changing, None)
            for part in (*(a.get("content") or []), *(b.get("content") or [])):
                part.pop("logprobs", None)  # drawn from the whole body, which says "stream"
        assert theirs["output"] == ours["output"]
        assert (theirs["status"], theirs["usage"]) == (ours["status"], ours["usage"])


async def test_events_are_numbered_and_come_in_the_documented_order(http: httpx2.AsyncClient) -> None:
    body = {"model": "o4-mini", "input": QUESTION, "reasoning": {"summary": "auto"}, "stream": True}
    text = (await http.post("/responses", json=body)).text
    found: list[dict[str, Any]] = []
    for frame in text.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    kinds = [event["type"].removeprefix("response.") for event in found]
    once = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
    assert once == [
        "created", "in_progress", "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done", "output_item.added",
        "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert found[0]["response"]["status"] == "in_progress"
    assert found[0]["response"]["output"] == []
    assert "obfuscation" in found[5]


async def test_limits_formats_and_instructions(client: AsyncOpenAI) -> None:
    cited = await ask(client, instructions="You are a support bot. Cite the handbook section.")
    assert "Handbook §" in cited.output_text
    short = await ask(client, max_output_tokens=16)
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert short.output[0].status == "incomplete"
    loose = await ask(
        client, "Answer in JSON: how long is delivery?", text={"format": {"type": "json_object"}}
    )
    assert json.loads(loose.output_text)

    class Found(BaseModel):
        answer: str
        found: bool

    parsed = await client.responses.parse(model="gpt-4o", input=QUESTION, text_format=Found)
    assert isinstance(parsed.output_parsed, Found)
    marked = await ask(client, include=["message.output_text.logprobs"], top_logprobs=2)
    marks = marked.output[0].content[0].logprobs
    assert "".join(mark.token for mark in marks) == marked.output_text
    assert {len(mark.top_logprobs) for mark in marks} == {2}


async def test_pictures_and_files_are_parts(client: AsyncOpenAI) -> None:
    content = [
        {"type": "input_text", "text": "My parcel came like this."},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    ]
    found = await ask(client, [{"role": "user", "content": content}])
    assert "picture" in found.output_text
    assert found.usage.input_tokens > 85 + 1500


# -- functions and reasoning ---------------------------------------------------------------------------------------


async def test_calls_and_their_outputs(client: AsyncOpenAI) -> None:
    called = await ask(client, ORDERS, tools=[TOOL])
    assert [item.type for item in called.output] == ["function_call", "function_call"]
    assert [json.loads(item.arguments)["order_id"][:2] for item in called.output] == ["A-", "B-"]
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": f"sent {i}"}
        for i, item in enumerate(called.output)
    ]
    whole = [{"role": "user", "content": ORDERS}, *called.output, *outputs]
    chained = await ask(client, outputs, tools=[TOOL], previous_response_id=called.id)
    for answered in (await ask(client, whole, tools=[TOOL]), chained):
        assert "sent 0" in answered.output_text
        assert "sent 1" in answered.output_text
    named = await ask(
        client, "Hello!", tools=[TOOL], tool_choice={"type": "function", "name": "order_status"}
    )
    assert named.output[0].type == "function_call"
    assert (await ask(client, ORDERS, tools=[TOOL], tool_choice="none")).output_text


async def test_reasoning_is_encrypted_and_verified_when_it_comes_back(client: AsyncOpenAI) -> None:
    async def asked(given: Any, **fields: Any) -> Response:
        reasoning = {"effort": "low", "summary": "detailed"}
        return await ask(
            client,
            given,
            model="gpt-5",
            include=ENCRYPTED,
            store=False,
            reasoning=reasoning,
            tools=[TOOL],
            **fields,
        )

    called = await asked(ORDERS)
    thought, *calls = [item.to_dict() for item in called.output]
    assert thought["type"] == "reasoning"
    assert thought["summary"][0]["text"]
    assert called.usage.output_tokens_details.reasoning_tokens == 64
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "sent"} for call in calls
    ]
    user = {"role": "user", "content": ORDERS}
    assert (await asked([user, thought, *calls, *outputs])).output_text
    changed = thought["encrypted_content"][:40] + "AAAA" + thought["encrypted_content"][44:]
    for content in (changed, "gAAAAABowf2_AHOXmEAK", "nonsense"):
        with pytest.raises(openai.BadRequestError) as refused:
            await asked([user, {**thought, "encrypted_content": content}, *calls, *outputs])
        assert refused.value.code == "invalid_encrypted_content"
    bare = {name: value for name, value in thought.items() if name != "encrypted_content"}
    with pytest.raises(openai.NotFoundError, match="Items are not persisted when `store` is set to false"):
        await asked([user, bare, *calls, *outputs])
    with pytest.raises(openai.BadRequestError, match="provided without its required following item"):
        await asked([user, thought])


async def test_responses_are_kept_until_deleted(client: AsyncOpenAI) -> None:
    kept = await ask(client, model="o4-mini")
    assert (await client.responses.retrieve(kept.id)).to_dict() == kept.to_dict()
    thought, said = kept.output
    again = [
        {"role": "user", "content": QUESTION},
        thought.to_dict(),
        {"type": "item_reference", "id": said.id},
        {"role": "user", "content": "And express delivery?"},
    ]
    assert (await ask(client, again, model="o4-mini")).output_text
    more = await ask(client, "And express delivery?", previous_response_id=kept.id, model="o4-mini")
    assert more.previous_response_id == kept.id
    assert more.usage.input_tokens > kept.usage.input_tokens + kept.usage.output_tokens - 200
    await client.responses.delete(kept.id)
    for attempt in (client.responses.retrieve(kept.id), client.responses.delete(kept.id)):
        with pytest.raises(openai.NotFoundError):
            await attempt
    forgotten = await ask(client, store=False)
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(client, previous_response_id=forgotten.id)
    assert refused.value.code == "previous_response_not_found"
    counted = await client.responses.input_tokens.count(model="gpt-4o", input=QUESTION)
    assert counted.input_tokens == forgotten.usage.input_tokens


def test_memory_is_bounded() -> None:
    memory = Memory(most_responses=2, most_items=3)
    for i in range(4):
        memory.keep(f"r{i}", StoredResponse({"output": [{"id": f"a{i}"}, {"id": f"b{i}"}]}, ()))
    assert [memory.response(f"r{i}") is not None for i in range(4)] == [False, False, True, True]
    assert [memory.item(f"b{i}") is not None for i in range(4)] == [False, False, True, True]
    assert memory.item("a2") is None


# -- errors ----------------------------------------------------------------------------------------------------

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "x"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
MISTAKES: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"messages": []}, "messages", "unknown_parameter", "Unknown parameter: 'messages'."),
    ({"stop": "x"}, "stop", "unknown_parameter", "Unknown parameter: 'stop'."),
    ({"model": None}, "model", "missing_required_parameter", "Missing required parameter: 'model'."),
    ({"input": None}, "input", "missing_required_parameter", "One of 'input' or 'previous_response_id'"),
    ({"input": 3}, "input", "invalid_type", "expected one of a string or array of items, but got an integer"),
    ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "invalid_value", "Invalid value: 'tool'. Supported values are: 'assistant', 'system', 'developer', and 'user'."),
    ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "input[0].content[0]", "invalid_value", "Invalid value: 'text'."),
    ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, "input[0].content[0]", "invalid_value", "Supported values are: 'output_text', and 'refusal'."),
    ({"input": [{"type": "smell"}]}, "input[0]", "invalid_value", "Invalid value: 'smell'."),
    ({"input": [OUTPUT]}, "input", None, "No tool call found for function call output with call_id c1."),
    ({"input": [CALL]}, "input", None, "No tool output found for function call c1."),
    ({"input": [{**CALL, "id": "call_1"}, OUTPUT]}, "input[0].id", "invalid_value", "Expected an ID that begins with 'fc'."),
    ({"input": [{**CALL, "call_id": "c" * 65}]}, "input[0].call_id", "string_above_max_length", "maximum length 64, but got a string with length 65"),
    ({"max_output_tokens": 5}, "max_output_tokens", "integer_below_min_value", "Expected a value >= 16, but got 5 instead."),
    ({"temperature": 3}, "temperature", "decimal_above_max_value", "Expected a value <= 2"),
    ({"model": "o4-mini", "temperature": 0.5}, "temperature", None, "Unsupported parameter: 'temperature' is not supported with this model."),
    ({"reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter", "'reasoning.effort' is not supported"),
    ({"model": "o4-mini", "reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value", "Invalid value: 'huge'."),
    ({"include": ["everything"]}, "include[0]", "invalid_value", "Invalid value: 'everything'."),
    ({"include": ENCRYPTED}, "include", None, "Encrypted content is not supported with this model."),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", "expected a string, but got an integer"),
    ({"previous_response_id": "resp_x"}, "previous_response_id", "previous_response_not_found", "Previous response with id 'resp_x' not found."),
    ({"background": True}, "background", "unsupported_parameter", "'background' is not supported"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name", "missing_required_parameter", "tools[0].name"),
    ({"tools": [{"type": "dance"}]}, "tools[0].type", "invalid_value", "Invalid value: 'dance'."),
    ({"tools": [{"type": "function", "name": "f", "strict": True, "parameters": SCHEMA}]}, "tools[0].parameters", "invalid_function_parameters", "Missing 'a'."),
    ({"tool_choice": "required"}, "tool_choice", None, "must be specified with 'tools' parameter."),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice", None, "not found in 'tools' parameter"),
    ({"text": {"format": {"type": "json_object"}}}, "input", None, "must contain the word 'json'"),
    ({"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "text.format.name", "missing_required_parameter", "text.format.name"),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "strict": True, "schema": {"type": "object"}}}},
        "text.format.schema", "invalid_json_schema", "'additionalProperties' is required to be supplied and to be false.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "code", "message"), MISTAKES)
async def test_mistakes_are_answered_in_openais_words(
    http: httpx2.AsyncClient, fields: dict[str, Any], param: str | None, code: str | None, message: str
) -> None:
    response = await http.post("/responses", json={"model": "gpt-4o", "input": QUESTION, **fields})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert (error["param"], error["code"]) == (param, code)
    assert message in error["message"]


async def test_faults_keep_their_meaning(client: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await ask(client, metadata={"simulate": "status=429; retry-after=2"})
    assert limited.value.response.headers["retry-after"] == "2"

    async def faulty(fault: str) -> Response:
        return await ask(client, extra_headers={"x-simulate": fault})

    assert (await faulty("refusal")).output[0].content[0].type == "refusal"
    filtered = await faulty("content-filter")
    assert (filtered.status, filtered.incomplete_details.reason) == ("incomplete", "content_filter")
    assert (await faulty("empty")).output == []
    assert (await faulty("no-usage")).usage is None
    assert (await faulty("no-finish")).status == "in_progress"

    async def text(fault: str) -> str:
        body = {"model": "gpt-4o", "input": QUESTION, "stream": True}
        return (await http.post("/responses", json=body, headers={"x-simulate": fault})).text

    broken = (await text("error=5; code=rate_limit_exceeded")).split("\n\n")[-2]
    event = json.loads(broken.split("data: ")[1])
    assert (event["type"], event["code"], event["sequence_number"]) == ("error", "rate_limit_exceeded", 5)
    assert "response.completed" not in await text("no-done")
    stream = await ask(client, stream=True, extra_headers={"x-simulate": "error=5"})
    assert [event async for event in stream][-1].type == "error"
