"""Every call of the official clients, against every kind of provider, over real sockets."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel
from tests.conftest import RunningGateway, running_gateway

from ratchet.dialects.anthropic import DIALECT as ANTHROPIC
from ratchet.gateway.settings import ProviderSettings
from ratchet.simulator.app import Simulator
from ratchet.telemetry.calls import Call
from ratchet.telemetry.spans import span_of_call

QUESTION = "How long do I have to return shoes that do not fit?"
ORDERS = "Where are my orders 58213 and 77190?"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"order_number": {"type": "string"}},
    "required": ["order_number"],
    "additionalProperties": False,
}


class Ticket(BaseModel):
    topic: str
    urgent: bool


@dataclasses.dataclass(frozen=True)
class Upstream:
    """A provider as ratchet.toml declares it, and a model there that thinks."""

    settings: str
    model: str
    embedding: str = "text-embedding-3-small"


UPSTREAMS = {
    "openai": Upstream('kind = "openai"\nbase_url = "{root}/v1"\nresponses = true', "gpt-5-mini"),
    "compatible": Upstream('kind = "openai"\nbase_url = "{root}/v1"', "gpt-5-mini"),
    "azure": Upstream('kind = "azure"\nbase_url = "{root}"', "gpt-5-mini"),
    "azure_dated": Upstream(
        'kind = "azure"\nbase_url = "{root}"\napi_version = "2025-04-01-preview"\nresponses = false',
        "gpt-5-mini",
    ),
    "anthropic": Upstream('kind = "anthropic"\nbase_url = "{root}"', "claude-haiku-4-5", ""),
    "gemini": Upstream(
        'kind = "gemini"\nbase_url = "{root}"', "gemini-3-flash-preview", "gemini-embedding-001"
    ),
    "simulator": Upstream('kind = "simulator"\nbase_url = "{root}/v1"', "gpt-5-mini"),
}


@dataclasses.dataclass
class Table:
    """A gateway, both clients, and the provider at hand."""

    name: str
    upstream: Upstream
    running: RunningGateway
    openai: AsyncOpenAI
    anthropic: AsyncAnthropic

    @property
    def model(self) -> str:
        return f"{self.name}/{self.upstream.model}"

    def call(self) -> Call:
        """The last call on record."""
        return self.running.calls()[-1]


@pytest.fixture(params=list(UPSTREAMS))
async def table(
    request: pytest.FixtureRequest, tmp_path: Path, simulator: tuple[str, Simulator]
) -> AsyncIterator[Table]:
    name: str = request.param
    upstream = UPSTREAMS[name]
    root = simulator[0].removesuffix("/v1")
    settings = f'[providers.{name}]\n{upstream.settings.format(root=root)}\napi_key = "env:UPSTREAM_KEY"\n'
    async with (
        running_gateway(tmp_path, settings) as running,
        AsyncOpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0) as openai,
        AsyncAnthropic(base_url=running.url, api_key=running.key, max_retries=0) as messages,
    ):
        yield Table(name, upstream, running, openai, messages)


def test_every_kind_of_provider_is_at_the_table() -> None:
    kinds = {upstream.settings.partition('"')[2].partition('"')[0] for upstream in UPSTREAMS.values()}
    assert kinds == set(ProviderSettings.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]


def accounted(call: Call, *, dialect: str) -> None:
    """The call is on record with all that a good one has."""
    assert (call.dialect, call.status, call.http_status) == (dialect, "ok", 200), call
    assert call.usage.input
    assert call.usage.output
    assert call.cost is not None
    assert call.finish_reasons
    assert call.response_id
    span = span_of_call(call)
    assert span.input_messages
    assert span.output_messages


# -- OpenAI chat completions ---------------------------------------------------------------------------------------

CHAT_TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "get_order", "description": "Look up an order.", "parameters": SCHEMA},
    }
]


async def test_chat(table: Table) -> None:
    answer = await table.openai.chat.completions.create(
        model=table.model,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}],
        max_completion_tokens=4000,
        temperature=1,
        user="ada",
    )
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens
    call = table.call()
    accounted(call, dialect="openai_chat")
    assert (call.user_id, call.usage.output) == ("ada", answer.usage.completion_tokens)


async def test_chat_streamed(table: Table) -> None:
    pieces: list[str] = []
    usage = None
    reasons: list[str] = []
    stream = await table.openai.chat.completions.create(
        model=table.model,
        messages=[{"role": "user", "content": QUESTION}],
        max_completion_tokens=4000,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            if choice.finish_reason:
                reasons.append(choice.finish_reason)
    assert len([piece for piece in pieces if piece]) > 1
    assert reasons == ["stop"]
    assert usage
    assert usage.completion_tokens
    call = table.call()
    accounted(call, dialect="openai_chat")
    assert call.time_to_first_token


async def test_chat_streamed_without_usage_says_nothing_of_it(table: Table) -> None:
    stream = await table.openai.chat.completions.create(
        model=table.model,
        messages=[{"role": "user", "content": QUESTION}],
        max_completion_tokens=4000,
        stream=True,
    )
    assert [chunk.usage async for chunk in stream if chunk.usage] == []


async def test_chat_tools(table: Table) -> None:
    messages: list[Any] = [{"role": "user", "content": ORDERS}]
    asked = {"model": table.model, "tools": CHAT_TOOLS, "max_completion_tokens": 4000}
    answer = await table.openai.chat.completions.create(messages=messages, tool_choice="required", **asked)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls
    assert {json.loads(call.function.arguments)["order_number"] for call in message.tool_calls} == {
        "58213",
        "77190",
    }  # type: ignore[union-attr]
    assert len({call.id for call in message.tool_calls}) == 2
    messages.append(message.model_dump(exclude_none=True))
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": '{"status": "shipped on Monday"}'}
        for call in message.tool_calls
    ]
    after = await table.openai.chat.completions.create(messages=messages, **asked)
    assert "shipped" in (after.choices[0].message.content or "")
    accounted(table.call(), dialect="openai_chat")


async def test_chat_tools_streamed(table: Table) -> None:
    async with table.openai.chat.completions.stream(
        model=table.model,
        messages=[{"role": "user", "content": ORDERS}],
        tools=CHAT_TOOLS,
        tool_choice="required",
        max_completion_tokens=4000,
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls
    assert {json.loads(call.function.arguments)["order_number"] for call in calls} == {"58213", "77190"}
    assert final.choices[0].finish_reason == "tool_calls"


async def test_chat_schema(table: Table) -> None:
    answer = await table.openai.chat.completions.parse(
        model=table.model,
        messages=[{"role": "user", "content": "Sort this into a ticket: my parcel is lost!"}],
        response_format=Ticket,
        max_completion_tokens=4000,
    )
    assert isinstance(answer.choices[0].message.parsed, Ticket)


async def test_chat_picture(table: Table) -> None:
    answer = await table.openai.chat.completions.create(
        model=table.model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": QUESTION},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            }
        ],
        max_completion_tokens=4000,
    )
    assert answer.choices[0].message.content


async def test_chat_reasoning(table: Table) -> None:
    answer = await table.openai.chat.completions.create(
        model=table.model,
        messages=[{"role": "user", "content": QUESTION}],
        reasoning_effort="low",
        max_completion_tokens=8000,
    )
    assert answer.choices[0].message.content
    assert table.call().usage.output
    if table.name != "anthropic":  # whose usage does not tell thoughts apart
        assert table.call().usage.reasoning


async def test_chat_turned_down_by_the_provider(table: Table) -> None:
    with pytest.raises(Exception, match="max_") as caught:
        await table.openai.chat.completions.create(
            model=table.model, messages=[{"role": "user", "content": QUESTION}], max_completion_tokens=-1
        )
    assert type(caught.value).__name__ == "BadRequestError"


# -- OpenAI responses ----------------------------------------------------------------------------------------------

RESPONSES_TOOLS: Any = [
    {
        "type": "function",
        "name": "get_order",
        "description": "Look up an order.",
        "parameters": SCHEMA,
        "strict": True,
    }
]


async def test_responses(table: Table) -> None:
    answer = await table.openai.responses.create(
        model=table.model,
        instructions="Be brief.",
        input=QUESTION,
        max_output_tokens=4000,
        store=False,
        metadata={"session_id": "s1"},
    )
    assert answer.output_text
    assert answer.status == "completed"
    assert answer.usage
    assert answer.usage.input_tokens
    call = table.call()
    accounted(call, dialect="openai_responses")
    assert (call.session_id, call.usage.output) == ("s1", answer.usage.output_tokens)


async def test_responses_streamed(table: Table) -> None:
    async with table.openai.responses.stream(
        model=table.model, input=QUESTION, max_output_tokens=4000, store=False
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.delta") > 1
    assert final.output_text
    assert final.usage
    call = table.call()
    accounted(call, dialect="openai_responses")
    assert call.time_to_first_token


async def test_responses_tools(table: Table) -> None:
    items: list[Any] = [{"role": "user", "content": ORDERS}]
    asked = {"model": table.model, "tools": RESPONSES_TOOLS, "max_output_tokens": 4000, "store": False}
    answer = await table.openai.responses.create(
        input=items, tool_choice="required", include=["reasoning.encrypted_content"], **asked
    )
    calls = [item for item in answer.output if item.type == "function_call"]
    assert {json.loads(call.arguments)["order_number"] for call in calls} == {"58213", "77190"}
    items += [item.model_dump(exclude_none=True) for item in answer.output]
    items += [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": '{"status": "shipped on Monday"}',
        }
        for call in calls
    ]
    after = await table.openai.responses.create(input=items, **asked)
    assert "shipped" in after.output_text


async def test_responses_tools_streamed(table: Table) -> None:
    async with table.openai.responses.stream(
        model=table.model,
        input=ORDERS,
        tools=RESPONSES_TOOLS,
        tool_choice="required",
        max_output_tokens=4000,
        store=False,
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert {json.loads(call.arguments)["order_number"] for call in calls} == {"58213", "77190"}


async def test_responses_schema(table: Table) -> None:
    answer = await table.openai.responses.parse(
        model=table.model,
        input="Sort this into a ticket: my parcel is lost!",
        text_format=Ticket,
        max_output_tokens=4000,
        store=False,
    )
    assert isinstance(answer.output_parsed, Ticket)


# -- OpenAI embeddings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings(table: Table, encoding: Any) -> None:
    asked = table.openai.embeddings.create(
        model=f"{table.name}/{table.upstream.embedding or 'claude-haiku-4-5'}",
        input=["Do you sell tents?", "Has my parcel left yet?", "Where is my parcel?"],
        dimensions=256,
        encoding_format=encoding,
    )
    if not table.upstream.embedding:
        with pytest.raises(Exception, match="offers no embeddings") as caught:
            await asked
        assert type(caught.value).__name__ == "BadRequestError"
        return
    answer = await asked
    assert [len(entry.embedding) for entry in answer.data] == [256] * 3 or encoding == "base64"
    call = table.call()
    assert (call.operation, call.dialect, call.status) == ("embeddings", "openai_embeddings", "ok")
    assert call.usage.input
    assert call.cost is not None
    assert Decimal(call.cost) > 0
    span = span_of_call(call)
    assert "parcel" in span.input_preview


# -- Anthropic messages --------------------------------------------------------------------------------------------

MESSAGES_TOOLS: Any = [{"name": "get_order", "description": "Look up an order.", "input_schema": SCHEMA}]


async def test_messages(table: Table) -> None:
    answer = await table.anthropic.messages.create(
        model=table.model,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=4000,
        stop_sequences=["§§§"],
        metadata={"user_id": "ada"},
    )
    assert [block.type for block in answer.content if block.type != "thinking"] == ["text"]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens
    call = table.call()
    accounted(call, dialect=ANTHROPIC.name)
    assert (call.user_id, call.usage.output) == ("ada", answer.usage.output_tokens)


async def test_messages_streamed(table: Table) -> None:
    async with table.anthropic.messages.stream(
        model=table.model, messages=[{"role": "user", "content": QUESTION}], max_tokens=4000
    ) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_message()
    assert len(pieces) > 1
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens
    call = table.call()
    accounted(call, dialect=ANTHROPIC.name)
    assert call.time_to_first_token


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
async def test_messages_tools(table: Table, *, streamed: bool, thinking: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": ORDERS}]
    asked: Any = {"model": table.model, "tools": MESSAGES_TOOLS, "max_tokens": 8000}
    if thinking:
        asked["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    else:
        asked["tool_choice"] = {"type": "any"}
    if streamed:
        async with table.anthropic.messages.stream(messages=messages, **asked) as stream:
            answer: anthropic.types.Message = await stream.get_final_message()
    else:
        answer = await table.anthropic.messages.create(messages=messages, **asked)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == "tool_use"
    assert calls
    if not thinking:  # left to think for itself, a small model may get a number wrong
        assert {block.input["order_number"] for block in calls} == {"58213", "77190"}
    messages.append(
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}
    )
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": '{"status": "shipped on Monday"}'}
        for block in calls
    ]
    messages.append({"role": "user", "content": results})
    asked.pop("tool_choice", None)
    after = await table.anthropic.messages.create(messages=messages, **asked)
    assert any("shipped" in block.text for block in after.content if block.type == "text")


async def test_messages_thinking(table: Table) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    asked: Any = {
        "model": table.model,
        "max_tokens": 8000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    answer = await table.anthropic.messages.create(messages=messages, **asked)
    thoughts = [block for block in answer.content if block.type == "thinking"]
    if table.name in ("anthropic", "simulator", "gemini"):
        assert thoughts
        assert thoughts[0].thinking
    if table.name in ("anthropic", "simulator"):
        assert thoughts[0].signature
    messages.append(
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}
    )
    messages.append({"role": "user", "content": "And in German, please?"})
    async with table.anthropic.messages.stream(messages=messages, **asked) as stream:
        final = await stream.get_final_message()
    assert any(block.type == "text" and block.text for block in final.content)


async def test_messages_picture_and_document(table: Table) -> None:
    answer = await table.anthropic.messages.create(
        model=table.model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"},
                    },
                    {"type": "text", "text": QUESTION},
                ],
            }
        ],
        max_tokens=4000,
    )
    assert answer.content


async def test_messages_turned_down_by_the_provider(table: Table) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await table.anthropic.messages.create(
            model=table.model, messages=[{"role": "user", "content": QUESTION}], max_tokens=-1
        )
    assert caught.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
