"""The simulator speaks OpenAI's wire format: the official client against it, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError
from tests.conftest import running_app

from ratchet.simulator import SimulatorProtocol, simulator_app

QUESTION = [{"role": "user", "content": "How long does standard delivery take?"}]


@pytest.fixture
async def client(simulator: tuple[str, Any]) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=simulator[0], api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def http(simulator: tuple[str, Any]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=simulator[0]) as made:
        yield made


async def post(http: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    return await http.post("/chat/completions", json={"model": "gpt-4o", "messages": QUESTION, **body})


async def frames(http: httpx2.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """The stream's objects; checks the framing on the way."""
    response = await post(http, stream=True, **body)
    assert response.headers["content-type"].startswith("text/event-stream")
    parts = response.text.split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    assert all(part.startswith("data: {") for part in parts[:-2])
    return [json.loads(part[6:]) for part in parts[:-2]]


def said(chunks: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


async def test_a_completion_has_the_fields_of_the_recorded_ones(http: httpx2.AsyncClient) -> None:
    response = await post(http)
    answer = response.json()
    assert list(answer) == [
        "id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
    ]  # fmt: skip
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "gpt-4o"
    choice = answer["choices"][0]
    assert list(choice) == ["index", "message", "logprobs", "finish_reason"]
    assert list(choice["message"]) == ["role", "content", "refusal", "annotations"]
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert set(usage["prompt_tokens_details"]) == {"cached_tokens", "audio_tokens"}
    assert set(usage["completion_tokens_details"]) == {
        "reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens",
    }  # fmt: skip
    assert response.headers["x-request-id"].startswith("req_")


async def test_a_stream_opens_with_the_role_and_closes_with_the_finish_reason(
    http: httpx2.AsyncClient,
) -> None:
    chunks = await frames(http)
    assert list(chunks[0]) == [
        "id", "object", "created", "model", "service_tier", "system_fingerprint", "choices", "obfuscation",
    ]  # fmt: skip
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert all("usage" not in chunk for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"]["content"] for chunk in chunks[1:-1]]
    assert all(deltas)
    assert len(deltas) > 8, "a stream comes in pieces of about a token"


async def test_usage_is_streamed_only_when_asked_for_and_then_null_before(http: httpx2.AsyncClient) -> None:
    chunks = await frames(http, stream_options={"include_usage": True, "include_obfuscation": False})
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 3
    assert "obfuscation" not in chunks[0]


async def test_streamed_or_not_the_answer_is_the_same(http: httpx2.AsyncClient) -> None:
    for model in ("gpt-4o", "gpt-4o-mini", "o4-mini"):
        whole = (await post(http, model=model, n=2)).json()
        chunks = await frames(http, model=model, n=2)
        for index in range(2):
            assert said(chunks, index) == whole["choices"][index]["message"]["content"]


async def test_same_request_and_seed_give_the_same_bytes() -> None:
    async def body(app_seed: int, **fields: Any) -> bytes:
        async with (
            running_app(simulator_app(seed=app_seed), SimulatorProtocol) as address,
            httpx2.AsyncClient(base_url=f"{address}/v1") as http,
        ):
            first = (await post(http, **fields)).content
            assert (await post(http, **fields)).content == first
            return first

    assert await body(3) == await body(3)
    assert await body(3) != await body(4)
    assert await body(3, seed=1) != await body(3, seed=2)
    assert await body(3, stream=True) == await body(3, stream=True)


async def test_without_a_seed_answers_ids_and_times_vary() -> None:
    times = iter(range(1_800_000_000, 1_800_000_100))
    app = simulator_app(seed=None, clock=lambda: float(next(times)))
    async with (
        running_app(app, SimulatorProtocol) as address,
        httpx2.AsyncClient(base_url=f"{address}/v1") as http,
    ):
        answers = [(await post(http, model="gpt-4o-mini")).json() for _ in range(20)]
    assert len({answer["id"] for answer in answers}) == 20
    assert [answer["created"] for answer in answers] == list(range(1_800_000_000, 1_800_000_020))
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) > 3


async def test_user_and_metadata_do_not_change_the_answer(client: AsyncOpenAI) -> None:
    async def content(**fields: Any) -> str | None:
        answer = await client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, **fields)
        return answer.choices[0].message.content

    assert await content() == await content(user="u-1", metadata={"session_id": "s"})


async def test_several_choices_differ(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o-mini", messages=QUESTION, n=8, temperature=1.6
    )
    assert [choice.index for choice in answer.choices] == list(range(8))
    assert len({choice.message.content for choice in answer.choices}) > 2


async def test_temperature_zero_varies_less(client: AsyncOpenAI) -> None:
    async def variants(temperature: float) -> int:
        found: set[str | None] = set()
        for seed in range(40):
            answer = await client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "system", "content": "Be brief."}, *QUESTION],
                temperature=temperature,
                seed=seed,
            )
            found.add(answer.choices[0].message.content)
        return len(found)

    assert await variants(0) < await variants(2)


async def test_token_limits_cut_the_answer(client: AsyncOpenAI) -> None:
    for limit in ("max_tokens", "max_completion_tokens"):
        answer = await client.chat.completions.create(model="gpt-4o", messages=QUESTION, **{limit: 5})
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 5
        full = await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        assert full.choices[0].message.content.startswith(answer.choices[0].message.content[:8])


async def test_stop_sequences_end_the_answer(client: AsyncOpenAI) -> None:
    full = await client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    text = full.choices[0].message.content or ""
    word = text.split()[4]
    cut = await client.chat.completions.create(model="gpt-4o", messages=QUESTION, stop=[word, "never said"])
    assert cut.choices[0].message.content == text[: text.index(word)]
    assert cut.choices[0].finish_reason == "stop"


async def test_logprobs_are_one_for_each_token(client: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o",
        messages=QUESTION,
        logprobs=True,
        top_logprobs=3,
    )
    marks = answer.choices[0].logprobs.content
    assert "".join(mark.token for mark in marks) == answer.choices[0].message.content
    for mark in marks:
        assert bytes(mark.bytes or ()) == mark.token.encode()
        assert len(mark.top_logprobs) == 3
        assert mark.top_logprobs[0].token == mark.token
        assert sorted((top.logprob for top in mark.top_logprobs), reverse=True) == [
            t.logprob for t in mark.top_logprobs
        ]
        assert mark.logprob <= 0
    chunks = await frames(http, logprobs=True, top_logprobs=3)
    streamed = [chunk["choices"][0]["logprobs"]["content"][0]["token"] for chunk in chunks[1:-1]]
    assert streamed == [mark.token for mark in marks]


async def test_reasoning_models_count_reasoning_tokens(client: AsyncOpenAI) -> None:
    async def usage(**fields: Any) -> Any:
        answer = await client.chat.completions.create(messages=QUESTION, **fields)
        return answer.usage

    for fields in ({"model": "o4-mini"}, {"model": "gpt-5"}, {"model": "gpt-4o", "reasoning_effort": "high"}):
        used = await usage(**fields)
        reasoning = used.completion_tokens_details.reasoning_tokens
        assert reasoning > 0
        assert reasoning % 64 == 0
        assert used.completion_tokens > reasoning
    assert (await usage(model="gpt-4o")).completion_tokens_details.reasoning_tokens == 0
    assert (
        await usage(model="gpt-5", reasoning_effort="minimal")
    ).completion_tokens_details.reasoning_tokens == 0
    starved = await client.chat.completions.create(model="o3", messages=QUESTION, max_completion_tokens=32)
    assert starved.choices[0].message.content == ""
    assert starved.choices[0].finish_reason == "length"


async def test_deepseek_reasoner_tells_its_thoughts(http: httpx2.AsyncClient) -> None:
    message = (await post(http, model="deepseek-reasoner")).json()["choices"][0]["message"]
    assert "delivery" in message["reasoning_content"]
    chunks = await frames(http, model="deepseek-reasoner")
    thoughts = [c["choices"][0]["delta"].get("reasoning_content") or "" for c in chunks if c["choices"]]
    assert "".join(thoughts) == message["reasoning_content"]
    assert said(chunks) == message["content"]


async def test_deepseek_r1_thinks_before_it_calls(http: httpx2.AsyncClient) -> None:
    tool = {"type": "function", "function": {"name": "order_status", "parameters": {"type": "object"}}}
    asked = {"model": "deepseek-r1", "tools": [tool], "tool_choice": "required"}
    called = (await post(http, **asked)).json()["choices"][0]["message"]["tool_calls"]
    assert len(called) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in await frames(http, **asked) if chunk["choices"]]
    thought = [place for place, delta in enumerate(deltas) if delta.get("reasoning_content")]
    calls = [place for place, delta in enumerate(deltas) if delta.get("tool_calls")]
    assert thought
    assert max(thought) < min(calls)


async def test_a_long_prefix_seen_before_counts_as_cached(client: AsyncOpenAI) -> None:
    system = "You are a support bot. " + " ".join(
        f"Rule {i}: be kind to customer number {i}." for i in range(200)
    )

    async def cached(text: str, prefix: str = system) -> int:
        messages = [{"role": "system", "content": prefix}, {"role": "user", "content": text}]
        answer = await client.chat.completions.create(model="gpt-4o", messages=messages)
        assert answer.usage.prompt_tokens_details.cached_tokens <= answer.usage.prompt_tokens
        return answer.usage.prompt_tokens_details.cached_tokens

    assert await cached("Is delivery free?") == 0
    second = await cached("Do you repair tents?")
    assert second >= 1024
    assert second % 128 == 0
    assert await cached("Do you repair tents?", "Other words first. " + system) == 0
    assert await cached("Is delivery free?", "short") == 0


async def test_pictures_are_acknowledged_and_counted(client: AsyncOpenAI) -> None:
    async def ask(url: str, detail: str = "auto") -> Any:
        content = [
            {"type": "text", "text": "My parcel came like this. What now?"},
            {"type": "image_url", "image_url": {"url": url, "detail": detail}},
        ]
        return await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": content}],
            seed=1,
        )

    first, again = await ask("data:image/png;base64,AAAA"), await ask("data:image/png;base64,AAAA")
    assert "picture" in first.choices[0].message.content
    assert first.choices[0].message.content == again.choices[0].message.content
    others = {(await ask(f"data:image/png;base64,{i}AAA")).choices[0].message.content for i in range(6)}
    assert len(others) > 2
    low = await ask("data:image/png;base64,AAAA", "low")
    assert first.usage.prompt_tokens - low.usage.prompt_tokens == 765 - 85


async def test_sound_counts_as_audio_tokens(client: AsyncOpenAI) -> None:
    content = [
        {"type": "text", "text": "How long is the warranty?"},
        {"type": "input_audio", "input_audio": {"data": "A" * 6400, "format": "wav"}},
    ]
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": content}]
    )
    assert answer.usage.prompt_tokens_details.audio_tokens == 11
    assert answer.choices[0].message.content


async def test_models_are_listed_and_any_name_is_accepted(client: AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert "shop-bot" in listed
    assert (await client.models.retrieve("anything-7b")).id == "anything-7b"
    answer = await client.chat.completions.create(model="anything-7b", messages=QUESTION)
    assert answer.model == "anything-7b"


MISTAKES: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"messages": None}, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."),
    ({"messages": "hi"}, "messages", "invalid_type", "Invalid type for 'messages'"),
    ({"messages": []}, "messages", "empty_array", "empty array"),
    ({"messages": ["hi"]}, "messages[0]", "invalid_type", "expected an object, but got a string"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter", "role"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value", "Invalid value: 'robot'"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type", "got an integer"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type", "got null"),
    (
        {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
        "messages[0].content[0].type", "invalid_value", "Invalid value: 'smell'",
    ),
    (
        {"messages": [*QUESTION, {"role": "tool", "tool_call_id": "x", "content": "1"}]},
        "messages.[1].role", None, "must be a response to a preceeding message with 'tool_calls'",
    ),
    ({"model": ""}, None, None, "you must provide a model parameter"),
    ({"model": None}, None, None, "you must provide a model parameter"),
    ({"temperature": 3}, "temperature", "decimal_above_max_value", "Expected a value <= 2, but got 3"),
    ({"temperature": "hot"}, "temperature", "invalid_type", "expected a decimal, but got a string"),
    ({"n": 0}, "n", "integer_below_min_value", "Expected a value >= 1"),
    ({"n": 1.5}, "n", "invalid_type", "expected an integer"),
    ({"max_tokens": -1}, "max_tokens", "integer_below_min_value", "max_tokens"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value", "<= 20"),
    ({"top_logprobs": 2}, "top_logprobs", None, "only allowed when 'logprobs' is enabled"),
    ({"stream_options": {"include_usage": True}}, "stream_options", None, "only allowed when 'stream' is enabled"),
    ({"stream": "yes"}, "stream", "invalid_type", "expected a boolean"),
    ({"stop": 3}, "stop", "invalid_type", "stop"),
    ({"stop": list("abcde")}, "stop", "array_above_max_length", "maximum length 4"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", "'huge'"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter", "name"),
    (
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name", "invalid_value", "does not match pattern",
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "thing"}}}]},
        "tools[0].function.parameters", "invalid_function_parameters", "Invalid schema for function 'a'",
    ),
    ({"tool_choice": "auto"}, "tool_choice", None, "only allowed when 'tools' are specified"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "Invalid value: 'xml'"),
    ({"response_format": {"type": "json_object"}}, "messages", None, "must contain the word 'json'"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nope"}}}},
        "response_format", None, "Invalid schema for response_format 'x'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "code", "message"), MISTAKES)
async def test_mistakes_are_answered_in_openais_words(
    http: httpx2.AsyncClient, fields: dict[str, Any], param: str | None, code: str | None, message: str
) -> None:
    response = await post(http, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert (error["param"], error["code"]) == (param, code)
    assert message in error["message"]


async def test_broken_json_unknown_paths_and_methods(http: httpx2.AsyncClient, client: AsyncOpenAI) -> None:
    broken = await http.post("/chat/completions", content=b'{"model": ')
    assert broken.status_code == 400
    assert "could not parse the JSON body" in broken.json()["error"]["message"]
    listed = await http.post("/chat/completions", content=b"[1]")
    assert listed.status_code == 400
    unknown = await http.post("/completionz")
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (
        404,
        "Invalid URL (POST /v1/completionz)",
    )
    assert (await http.get("/chat/completions")).status_code == 405
    with pytest.raises(BadRequestError, match="empty array"):
        await client.chat.completions.create(model="gpt-4o", messages=[])


async def test_a_key_is_asked_for_and_bodies_have_a_limit() -> None:
    app = simulator_app(api_key="sk-right-one", max_body=20_000)
    async with (
        running_app(app, SimulatorProtocol) as address,
        httpx2.AsyncClient(base_url=f"{address}/v1") as http,
    ):
        without = await post(http)
        assert (without.status_code, without.json()["error"]["code"]) == (401, None)
        http.headers["authorization"] = "Bearer sk-wrong-one"
        wrong = await post(http)
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
        assert "sk-wrong-one" not in wrong.text
        assert (await http.get("/models")).status_code == 401
        http.headers["authorization"] = "Bearer sk-right-one"
        assert (await post(http)).status_code == 200
        large = await post(http, messages=[{"role": "user", "content": "x" * 30_000}])
        assert large.status_code == 413


async def test_delays_follow_the_models_class_and_the_injected_sleep() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    app = simulator_app(pace=2.0, sleep=sleep)
    async with (
        running_app(app, SimulatorProtocol) as address,
        httpx2.AsyncClient(base_url=f"{address}/v1") as http,
    ):
        chunks = await frames(http, model="gpt-4o")
        assert slept == [0.7, *[0.02] * (len(chunks) - 1)]
        slept.clear()
        await post(http, model="gpt-4o-mini")
        assert len(slept) == 1
        assert slept[0] > 0.24
