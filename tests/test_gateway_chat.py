"""Chat completions through the gateway, with the official client, against the simulator."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.conftest import RunningGateway, eventually

from ratchet.simulator.app import Simulator
from ratchet.telemetry.spans import span_of_call

QUESTION = [{"role": "user", "content": "How long do I have to return shoes that do not fit?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_order",
            "description": "Look up an order by its number.",
            "parameters": {
                "type": "object",
                "properties": {"order_number": {"type": "string"}},
                "required": ["order_number"],
            },
        },
    }
]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as opened:
        yield opened


async def test_an_answer_and_its_record(gateway: RunningGateway, client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="mini",
        messages=[{"role": "system", "content": "Be brief."}, *QUESTION],  # type: ignore[list-item]
        user="ada",
        metadata={
            "session_id": "s1",
            "organisation": "acme",
            "tags": "a, b",
            "app_version": "7",
            "plan": "pro",
        },
        temperature=0.1,
        seed=5,
    )
    answer = raw.parse()
    (call,) = gateway.calls()
    assert answer.choices[0].message.content
    assert raw.headers["x-ratchet-trace-id"] == call.trace_id
    assert (call.project_id, call.key_id, call.route, call.target) == (
        "default",
        gateway.key_id,
        "mini",
        "sim/gpt-4o-mini",
    )
    assert (call.status, call.http_status, call.finish_reasons) == ("ok", 200, ["stop"])
    assert (call.user_id, call.session_id, call.organisation_id, call.app_version) == (
        "ada",
        "s1",
        "acme",
        "7",
    )
    assert (call.tags, call.metadata["plan"]) == (["a", "b"], "pro")
    assert answer.usage is not None
    assert (call.usage.input, call.usage.output) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    million = Decimal(1_000_000)
    cached = call.usage.cached or 0
    assert call.cost is not None
    assert Decimal(call.cost) == (
        (answer.usage.prompt_tokens - cached) * Decimal("0.15") / million
        + cached * Decimal("0.075") / million
        + answer.usage.completion_tokens * Decimal("0.6") / million
    )
    span = span_of_call(call)
    assert "return shoes" in span.input_messages
    assert (
        answer.choices[0].message.content[:20] in json.loads(span.output_messages)[0]["parts"][0]["content"]
    )


async def test_a_stream_arrives_whole_and_is_recorded(gateway: RunningGateway, client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="support",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},  # type: ignore[arg-type]
    )
    text, usage = "", None
    async for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        usage = chunk.usage or usage
    (call,) = await eventually(gateway.calls)
    assert text
    assert usage is not None
    assert (call.stream, call.status, call.finish_reasons) == (True, "ok", ["stop"])
    assert call.usage.output == usage.completion_tokens
    assert call.cost is not None
    assert call.time_to_first_token is not None
    assert 0 < call.time_to_first_token <= call.duration
    assert json.loads(span_of_call(call).output_messages)[0]["parts"][0]["content"] == text


async def test_a_stream_without_usage_has_an_unknown_cost(
    gateway: RunningGateway, client: AsyncOpenAI
) -> None:
    async for _ in await client.chat.completions.create(model="support", messages=QUESTION, stream=True):  # type: ignore[arg-type]
        pass
    (call,) = await eventually(gateway.calls)
    assert (call.cost, call.usage.input) == (None, None)


async def test_parallel_tool_calls_streamed_in_pieces(gateway: RunningGateway, client: AsyncOpenAI) -> None:
    question = "Where are my orders 58213 and 77190?"
    arguments: dict[int, str] = {}
    async for chunk in await client.chat.completions.create(
        model="support", messages=[{"role": "user", "content": question}], tools=TOOLS, stream=True
    ):
        for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            assert call.function is not None
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    wanted = {json.loads(text)["order_number"] for text in arguments.values()}
    assert wanted == {"58213", "77190"}
    (recorded,) = await eventually(gateway.calls)
    parts = json.loads(span_of_call(recorded).output_messages)[0]["parts"]
    calls = [part for part in parts if part["type"] == "tool_call"]
    assert {part["arguments"]["order_number"] for part in calls} == wanted
    assert recorded.finish_reasons == ["tool_calls"]


async def test_everything_a_request_can_hold_reaches_the_model(
    gateway: RunningGateway, client: AsyncOpenAI
) -> None:
    schema = {
        "type": "object",
        "properties": {"days": {"type": "integer"}, "answer": {"type": "string"}},
        "required": ["days", "answer"],
        "additionalProperties": False,
    }
    structured = await client.chat.completions.create(
        model="support",
        messages=QUESTION,  # type: ignore[arg-type]
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": schema, "strict": True},
        },
    )
    assert set(json.loads(structured.choices[0].message.content or "")) == {"days", "answer"}
    several = await client.chat.completions.create(
        model="support",
        messages=QUESTION,
        n=2,
        logprobs=True,
        top_logprobs=2,
        seed=3,
        stop=["\n\n"],  # type: ignore[arg-type]
    )
    assert len(several.choices) == 2
    assert several.choices[0].logprobs is not None
    json_mode = await client.chat.completions.create(
        model="support",
        messages=[{"role": "system", "content": "Answer in JSON."}, *QUESTION],  # type: ignore[list-item]
        response_format={"type": "json_object"},
    )
    assert isinstance(json.loads(json_mode.choices[0].message.content or ""), dict)
    image = await client.chat.completions.create(
        model="support",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is wrong with this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ],
            }
        ],
    )
    assert image.choices[0].message.content
    reasoning = await client.chat.completions.create(
        model="sim/o4-mini", messages=QUESTION, reasoning_effort="low"
    )  # type: ignore[arg-type]
    assert reasoning.usage is not None
    assert reasoning.usage.completion_tokens_details is not None
    assert gateway.calls()[-1].usage.reasoning == reasoning.usage.completion_tokens_details.reasoning_tokens
    thinker = await client.chat.completions.create(model="sim/deepseek-reasoner", messages=QUESTION)  # type: ignore[arg-type]
    assert getattr(thinker.choices[0].message, "reasoning_content", None)
    assert len(gateway.calls()) == 6


async def test_turns_of_a_conversation_join_one_trace_of_the_app(
    gateway: RunningGateway, client: AsyncOpenAI
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for _ in range(2):
        await client.chat.completions.create(
            model="support",
            messages=QUESTION,
            extra_headers={"traceparent": parent},  # type: ignore[arg-type]
        )
    calls = gateway.calls()
    assert {call.trace_id for call in calls} == {"0af7651916cd43dd8448eb211c80319c"}
    assert {call.parent_id for call in calls} == {"b7ad6b7169203331"}
    assert len({call.span_id for call in calls}) == 2


async def test_the_models_a_key_may_use(gateway: RunningGateway, client: AsyncOpenAI) -> None:
    names = [model.id async for model in await client.models.list()]
    assert names == ["mini", "support", "sim/*", "simulator/*"]


async def test_a_client_that_leaves_closes_the_upstream_request(
    gateway: RunningGateway, client: AsyncOpenAI, simulator: tuple[str, Simulator]
) -> None:
    stream = await client.chat.completions.create(
        model="support",
        messages=QUESTION,  # type: ignore[arg-type]
        stream=True,
        extra_headers={"x-simulate": "gap=200ms"},
    )
    async for _ in stream:
        break
    await stream.close()
    await eventually(lambda: simulator[1].stats.disconnects == 1)
    (call,) = await eventually(gateway.calls)
    assert (call.status, call.error_type, call.http_status) == ("error", "client_closed_request", 200)
    assert call.response  # what had come so far is kept
    assert (call.response_model, call.response_id[:9]) == ("gpt-4o", "chatcmpl-")


async def test_a_client_that_leaves_before_the_answer_closes_the_upstream_request(
    gateway: RunningGateway, client: AsyncOpenAI, simulator: tuple[str, Simulator]
) -> None:
    with pytest.raises(Exception, match="timed out"):
        await client.with_options(timeout=0.3).chat.completions.create(
            model="support",
            messages=QUESTION,  # type: ignore[arg-type]
            extra_headers={"x-simulate": "latency=30s"},
        )
    await eventually(lambda: simulator[1].stats.disconnects == 1)
    (call,) = await eventually(gateway.calls)
    assert (call.error_type, call.http_status, call.cost) == ("client_closed_request", 499, None)
