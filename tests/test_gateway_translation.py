"""An app and a provider that speak different dialects: what is refused, what fails, and how each is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from tests.conftest import RunningGateway, eventually, running_gateway

from ratchet.dialects.anthropic import DIALECT as ANTHROPIC
from ratchet.gateway.providers.openai import OPENAI
from ratchet.gateway.settings import ProviderSettings
from ratchet.gateway.upstream.translation import Translation
from ratchet.simulator.app import Simulator
from ratchet.simulator.faults import Rule

QUESTION: Any = [{"role": "user", "content": "How long do I have to return shoes that do not fit?"}]


@pytest.fixture
async def gateway(tmp_path: Path, simulator: tuple[str, Simulator]) -> AsyncIterator[RunningGateway]:
    """In front of one simulator that is taken for three vendors."""
    root = simulator[0].removesuffix("/v1")
    settings = f"""
[providers.oai]
kind = "openai"
base_url = "{root}/v1"

[providers.ant]
kind = "anthropic"
base_url = "{root}"

[providers.goo]
kind = "gemini"
base_url = "{root}"

[providers.seedless]
kind = "anthropic"
base_url = "{root}"
drop_fields = ["seed"]

[providers.sim]
kind = "simulator"
base_url = "{root}/v1"
"""
    async with running_gateway(tmp_path, settings) as running:
        yield running


@pytest.fixture
async def chat(gateway: RunningGateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as opened:
        yield opened


@pytest.fixture
async def messages(gateway: RunningGateway) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as opened:
        yield opened


@pytest.mark.parametrize(
    ("model", "field", "asked"),
    [
        ("ant/claude-haiku-4-5", "seed", {"seed": 7}),
        ("ant/claude-haiku-4-5", "logit_bias", {"logit_bias": {"50256": -100}}),
        ("ant/claude-haiku-4-5", "n", {"n": 2}),
        ("ant/claude-haiku-4-5", "presence_penalty", {"presence_penalty": 0.5}),
        ("ant/claude-haiku-4-5", "temperature", {"temperature": 1.5}),
        ("ant/claude-haiku-4-5", "logprobs", {"logprobs": True}),
        ("goo/gemini-2.5-flash", "web_search_options", {"web_search_options": {}}),
        ("goo/gemini-2.5-flash", "prediction", {"prediction": {"type": "content", "content": "x"}}),
    ],
)
async def test_what_the_provider_can_not_be_told_is_refused_by_name(
    gateway: RunningGateway,
    chat: AsyncOpenAI,
    simulator: tuple[str, Simulator],
    model: str,
    field: str,
    asked: Any,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await chat.chat.completions.create(model=model, messages=QUESTION, **asked)
    assert caught.value.code == "not_expressible"
    assert field in str(caught.value.param)
    assert field in caught.value.message
    (call,) = gateway.calls()
    assert (call.status, call.error_type, call.http_status, call.cost) == (
        "error",
        "not_expressible",
        400,
        "0",
    )
    assert simulator[1].stats.requests == 0


async def test_what_says_nothing_is_no_reason_to_refuse(chat: AsyncOpenAI) -> None:
    answer = await chat.chat.completions.create(
        model="ant/claude-haiku-4-5",
        messages=QUESTION,
        n=1,
        presence_penalty=0,
        frequency_penalty=0,
        logprobs=False,
        store=False,
        metadata={"session_id": "s"},
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize("model", ["ant/claude-haiku-4-5", "goo/gemini-2.5-flash"])
async def test_an_answer_without_a_time_gets_that_of_its_request(chat: AsyncOpenAI, model: str) -> None:
    before = int(time.time())
    whole = await chat.chat.completions.create(model=model, messages=QUESTION)
    stream = await chat.chat.completions.create(model=model, messages=QUESTION, stream=True)
    pieces = [piece.created async for piece in stream]
    response = await chat.responses.create(model=model, input="Do you ship abroad?")
    for said in (whole.created, *pieces, response.created_at):
        assert before <= said <= time.time()


@pytest.mark.parametrize(
    ("kind", "field"),
    [({}, "max_completion_tokens"), ({"base_url": "http://127.0.0.1:1/v1"}, "max_tokens")],
)
def test_the_longest_answer_is_bounded_in_the_words_that_the_provider_knows(
    kind: dict[str, str], field: str
) -> None:
    wire = OPENAI.wires(ProviderSettings(kind="openai", **kind))["anthropic"]
    body = {"model": "m", "max_tokens": 7, "messages": QUESTION}
    written = Translation(ANTHROPIC, wire.dialect, json.dumps(body).encode(), began=0).request("m")
    assert json.loads(written) == {"model": "m", "messages": QUESTION, field: 7}


async def test_an_operator_may_have_a_field_dropped(chat: AsyncOpenAI) -> None:
    answer = await chat.chat.completions.create(model="seedless/claude-haiku-4-5", messages=QUESTION, seed=7)
    assert answer.choices[0].message.content


@pytest.mark.parametrize("model", ["oai/gpt-4o", "goo/gemini-2.5-flash"])
async def test_a_hosted_tool_of_another_vendor_is_refused_by_name(
    messages: AsyncAnthropic, model: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await messages.messages.create(
            model=model,
            max_tokens=100,
            messages=QUESTION,
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
        )
    body: Any = caught.value.body
    assert body["error"]["type"] == "invalid_request_error"
    assert "web_search" in body["error"]["message"]
    assert "tools[0]" in body["error"]["message"]


@pytest.mark.parametrize("field", ["previous_response_id", "conversation"])
async def test_a_conversation_kept_by_another_vendor_is_refused_by_name(
    chat: AsyncOpenAI, field: str
) -> None:
    asked: Any = {field: "resp_1"}
    with pytest.raises(openai.BadRequestError) as caught:
        await chat.responses.create(model="ant/claude-haiku-4-5", input="hi", **asked)
    assert field in caught.value.message


async def test_no_embeddings_where_the_vendor_has_none(chat: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await chat.embeddings.create(model="ant/claude-haiku-4-5", input="hi")
    assert caught.value.code == "not_expressible"


async def test_a_rate_limit_is_told_in_the_app_s_own_shape(
    gateway: RunningGateway, chat: AsyncOpenAI, messages: AsyncAnthropic, simulator: tuple[str, Simulator]
) -> None:
    script(simulator, "status=429; retry-after=7")
    with pytest.raises(openai.RateLimitError) as refused:
        await chat.chat.completions.create(model="ant/claude-haiku-4-5", messages=QUESTION)
    assert refused.value.code == "upstream_rate_limited"
    assert refused.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.RateLimitError) as limited:
        await messages.messages.create(model="oai/gpt-4o", max_tokens=100, messages=QUESTION)
    body: Any = limited.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
    with pytest.raises(openai.RateLimitError) as told:
        await chat.chat.completions.create(model="goo/gemini-2.5-flash", messages=QUESTION)
    assert told.value.response.headers["retry-after"] == "7"  # Google says so in the body
    assert [call.cost for call in gateway.calls()] == ["0", "0", "0"]


async def test_an_app_that_drops_thoughts_goes_on_with_its_calls(chat: AsyncOpenAI) -> None:
    function = {"name": "order_status", "parameters": {"type": "object", "properties": {}}}
    call = {"id": "c1", "type": "function", "function": {"name": "order_status", "arguments": "{}"}}
    history: Any = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sent"},
    ]
    answer = await chat.chat.completions.create(
        model="ant/claude-sonnet-4-5",
        messages=history,
        tools=[{"type": "function", "function": function}],
        reasoning_effort="low",
    )
    assert answer.choices[0].finish_reason in ("stop", "tool_calls")


async def test_a_provider_s_broken_credential_is_nobody_s_401(
    chat: AsyncOpenAI, messages: AsyncAnthropic, simulator: tuple[str, Simulator]
) -> None:
    script(simulator, "status=401")
    with pytest.raises(openai.InternalServerError) as refused:
        await chat.chat.completions.create(model="goo/gemini-2.5-flash", messages=QUESTION)
    assert refused.value.code == "upstream_credentials"
    with pytest.raises(anthropic.InternalServerError) as failed:
        await messages.messages.create(model="goo/gemini-2.5-flash", max_tokens=100, messages=QUESTION)
    assert failed.value.status_code == 502


@pytest.mark.parametrize("model", ["oai/gpt-4o", "goo/gemini-2.5-flash", "ant/claude-haiku-4-5"])
async def test_a_stream_that_is_cut_ends_in_an_error_of_the_app_s_dialect(
    gateway: RunningGateway,
    chat: AsyncOpenAI,
    messages: AsyncAnthropic,
    simulator: tuple[str, Simulator],
    model: str,
) -> None:
    script(simulator, "cut=7" if model.startswith("ant/") else "cut=3")
    with pytest.raises(openai.APIError) as broken:
        async for _ in await chat.chat.completions.create(model=model, messages=QUESTION, stream=True):
            pass
    assert broken.value.code in ("upstream_truncated", "upstream_broken")
    events = [
        event async for event in await chat.responses.create(model=model, input="hi there", stream=True)
    ]
    assert [event.type for event in events if event.type in ("error", "response.completed")] == ["error"]
    assert events[-1].code in ("upstream_truncated", "upstream_broken")  # type: ignore[union-attr]
    with pytest.raises(anthropic.APIStatusError) as failed:
        async with messages.messages.stream(model=model, max_tokens=100, messages=QUESTION) as stream:
            await stream.get_final_message()
    body: Any = failed.value.body
    assert body["type"] == "error"
    calls = gateway.calls()
    assert [call.status for call in calls] == ["error"] * 3
    assert {call.error_type for call in calls} <= {"upstream_truncated", "upstream_broken"}
    assert {call.cost for call in calls} == {None}, "the counts so far are not those of the bill"


@pytest.mark.parametrize("model", ["oai/gpt-4o", "goo/gemini-2.5-flash", "ant/claude-haiku-4-5"])
async def test_a_tool_that_was_named_is_waited_for(messages: AsyncAnthropic, model: str) -> None:
    asked: Any = {
        "model": model,
        "max_tokens": 100,
        "messages": QUESTION,
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "tool", "name": "look"},
    }
    whole = await messages.messages.create(**asked)
    async with messages.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    for answer in (whole, streamed):
        assert (answer.stop_reason, answer.content[-1].type) == ("tool_use", "tool_use")


@pytest.mark.parametrize("show", [None, "auto"])
async def test_an_anthropic_thought_comes_back_through_responses(chat: AsyncOpenAI, show: Any) -> None:
    """The simulator turns down a thought that is not exactly as Anthropic's model said it."""
    said: Any = [*QUESTION]
    for again in ("And then?", "Are you sure?"):
        answer = await chat.responses.create(
            model="ant/claude-opus-4-6", input=said, reasoning={"effort": "medium", "summary": show}
        )
        assert any(item.type == "reasoning" and item.encrypted_content for item in answer.output)
        said += [item.model_dump(exclude_none=True) for item in answer.output]
        said.append({"role": "user", "content": again})


async def test_a_client_that_leaves_closes_a_translated_stream(
    gateway: RunningGateway, chat: AsyncOpenAI, simulator: tuple[str, Simulator]
) -> None:
    script(simulator, "gap=50ms")
    stream = await chat.chat.completions.create(model="ant/claude-haiku-4-5", messages=QUESTION, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await eventually(gateway.calls)
    (call,) = gateway.calls()
    assert (call.error_type, call.cost) == ("client_closed_request", None)
    await eventually(lambda: simulator[1].stats.in_flight == 0)
    assert simulator[1].stats.disconnects == 1


async def test_an_anthropic_client_s_key_is_taken_from_its_own_header(gateway: RunningGateway) -> None:
    async with AsyncAnthropic(base_url=gateway.url, api_key="rk-unknown", max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await stranger.messages.create(model="sim/claude-haiku-4-5", max_tokens=10, messages=QUESTION)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    async with AsyncAnthropic(
        base_url=gateway.url, auth_token=gateway.key, api_key=None, max_retries=0
    ) as bearer:
        answer = await bearer.messages.create(model="sim/claude-haiku-4-5", max_tokens=100, messages=QUESTION)
    assert answer.content


async def test_an_anthropic_client_lists_models_in_its_own_shape(messages: AsyncAnthropic) -> None:
    listed = await messages.models.list()
    assert "ant/*" in [model.id for model in listed.data]
    assert not listed.has_more


async def test_context_in_an_anthropic_request_reaches_the_span_and_not_the_provider(
    gateway: RunningGateway, messages: AsyncAnthropic
) -> None:
    metadata: Any = {"user_id": "ada", "session_id": "s1", "organisation": "acme", "tags": "a,b"}
    answer = await messages.messages.create(
        model="ant/claude-haiku-4-5", max_tokens=100, messages=QUESTION, metadata=metadata
    )
    assert answer.content
    (call,) = gateway.calls()
    assert (call.user_id, call.session_id, call.organisation_id, call.tags) == (
        "ada",
        "s1",
        "acme",
        ["a", "b"],
    )


async def test_bytes_pass_untouched_between_an_anthropic_app_and_provider(
    gateway: RunningGateway, simulator: tuple[str, Simulator]
) -> None:
    body = json.dumps(
        {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": QUESTION}, indent=3
    ).encode()
    root = simulator[0].removesuffix("/v1")
    direct = await post(f"{root}/v1/messages", body, {"x-api-key": "any"})
    through = await post(
        f"{gateway.url}/v1/messages",
        body.replace(b'"claude-haiku-4-5"', b'"ant/claude-haiku-4-5"'),
        {"x-api-key": gateway.key},
    )
    assert through == direct


async def post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The answer's body, whole."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    writer.write(
        f"POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nanthropic-version: 2023-06-01\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode()
        + body
    )
    answer = await reader.read()
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], answer
    return content


def script(simulator: tuple[str, Simulator], fault: str) -> None:
    """From now on, every request meets `fault`."""
    simulator[1].load([Rule(fault=fault)])
