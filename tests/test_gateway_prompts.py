"""Prompts through the gateway: real clients, real sockets, the simulator behind them."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic import AsyncAnthropic
from anthropic import BadRequestError as AnthropicBadRequest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, PermissionDeniedError
from tests.conftest import RunningGateway, eventually, running_gateway

from ratchet.app.settings import config_file
from ratchet.domain.prompts import PromptReference, Release, Share, Template, TemplateExample, TemplateMessage
from ratchet.gateway.loading.reload import Reloader
from ratchet.gateway.promptbook import sticky_version
from ratchet.gateway.providers import ProviderPool
from ratchet.prompts.hashing import content_hash
from ratchet.simulator.app import Simulator
from ratchet.store.records import Records, prompts, releases
from ratchet.telemetry.calls import Call, decode_record, encode_record
from ratchet.telemetry.spans import span_of_call

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def push(records: Records, name: str, *messages: tuple[str, str], **fields: Any) -> int:
    template = Template(
        messages=[TemplateMessage(role=role, content=content) for role, content in messages], **fields
    )
    new = prompts.NewVersion(prompt=name, template=template, hash=content_hash(template))
    (made,) = prompts.push_versions(
        records, [new], project_id="default", author="test", message="", now=time.time_ns()
    )
    return made.version.number


def serve(records: Records, label: str, *split: Share, prompt: str = "support") -> Release:
    return releases.release_split(
        records, prompt, label, split, project_id="default", by="test", now=time.time_ns()
    )


async def followed(gateway: RunningGateway) -> None:
    """Until the gateway has seen what the records say now."""
    await eventually(lambda: gateway.services.snapshot.revision == gateway.records.revision("gateway"))


def last_call(gateway: RunningGateway) -> tuple[Call, dict[str, Any]]:
    call = gateway.calls()[-1]
    return call, json.loads(call.request)


@pytest.fixture
async def prompted(gateway: RunningGateway) -> RunningGateway:
    """A gateway that knows two versions of `support`."""
    push(
        gateway.records,
        "support",
        ("system", "You help the customers of {{ shop }}."),
        ("user", "{{ question }}"),
        model="mini",
        parameters={"temperature": 0.2, "max_tokens": 50},
        examples=[TemplateExample(input="Hi", output="Hello!")],
    )
    push(
        gateway.records,
        "support",
        ("system", "Be brief, {{ shop }}."),
        ("user", "{{ question }}"),
        model="support",
    )
    await followed(gateway)
    return gateway


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as opened:
        yield opened


VARIABLES = {"shop": "Trail & Tent", "question": "How long do I have to return shoes?"}


async def test_a_version_answers_and_its_span_says_so(prompted: RunningGateway, client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="prompt:support#1",
        messages=[{"role": "user", "content": "They do not fit."}],
        extra_body={"variables": VARIABLES},
        seed=3,
    )
    assert answer.choices[0].message.content
    call, body = last_call(prompted)
    assert body["messages"] == [
        {"role": "system", "content": "You help the customers of Trail & Tent."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": VARIABLES["question"]},
        {"role": "user", "content": "They do not fit."},
    ]
    assert (body["temperature"], body["max_tokens"], body["seed"], body["model"]) == (0.2, 50, 3, "mini")
    assert "variables" not in body
    assert (call.prompt, call.prompt_version, call.release, call.route) == ("support", "1", "", "mini")
    span = span_of_call(call)
    assert (span.prompt, span.prompt_version, span.release) == ("support", "1", "")
    assert json.loads(span.attributes["ratchet.variables"]) == VARIABLES
    assert span.attributes["gen_ai.request.temperature"] == "0.2"


async def test_what_the_request_says_itself_wins(prompted: RunningGateway, client: AsyncOpenAI) -> None:
    await client.chat.completions.create(
        model="prompt:support#1",
        messages=[],
        temperature=0.9,
        max_completion_tokens=7,
        extra_body={"variables": VARIABLES, "prompt_model": "sim/gpt-4o"},
    )
    call, body = last_call(prompted)
    assert (body["temperature"], body["max_completion_tokens"]) == (0.9, 7)
    assert "max_tokens" not in body
    assert "prompt_model" not in body
    assert call.route == "sim/gpt-4o"


async def test_a_stream_with_tools_and_a_schema(gateway: RunningGateway, client: AsyncOpenAI) -> None:
    push(gateway.records, "p", ("user", "Say {{ x }}."), model="mini", output_schema=SCHEMA, tools=[TOOL])
    await followed(gateway)
    stream = await client.chat.completions.create(
        model="prompt:p",
        messages=[],
        stream=True,
        extra_body={"variables": {"x": "hello"}},
        tool_choice="none",
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert set(json.loads(text)) == {"answer"}
    _, body = last_call(gateway)
    assert body["tools"] == [TOOL]
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA, "strict": True}


async def test_labels_and_what_stands_without_one(prompted: RunningGateway, client: AsyncOpenAI) -> None:
    async def version(model: str) -> tuple[str, str]:
        await client.chat.completions.create(model=model, messages=[], extra_body={"variables": VARIABLES})
        call, _ = last_call(prompted)
        return call.prompt_version, call.release

    assert await version("prompt:support") == ("2", "")
    serve(prompted.records, "production", Share(version=1))
    await followed(prompted)
    assert await version("prompt:support") == ("1", "production.1")
    assert await version("prompt:support@production") == ("1", "production.1")
    assert await version("prompt:support#2") == ("2", "")
    with pytest.raises(
        NotFoundError, match=r"has no label 'staging'.*labels production and the versions 1 to 2"
    ):
        await version("prompt:support@staging")
    with pytest.raises(NotFoundError, match="has no version 3"):
        await version("prompt:support#3")
    with pytest.raises(NotFoundError, match="Did you mean 'prompt:support'"):
        await version("prompt:suport")
    with pytest.raises(NotFoundError, match="Write prompt:NAME"):
        await version("prompt:support@Production")


async def test_a_moved_label_reaches_the_gateway_within_a_second(
    prompted: RunningGateway, client: AsyncOpenAI
) -> None:
    serve(prompted.records, "production", Share(version=1))
    await followed(prompted)

    async def served() -> str:
        await client.chat.completions.create(
            model="prompt:support@production", messages=[], extra_body={"variables": VARIABLES}
        )
        return last_call(prompted)[0].release

    assert await served() == "production.1"
    serve(prompted.records, "production", Share(version=2))
    moved = time.monotonic()
    while await served() != "production.2":
        assert time.monotonic() - moved < 1.5
    assert time.monotonic() - moved < 1.0


@pytest.mark.parametrize(
    ("variables", "param", "said"),
    [
        ({"shop": "T"}, "variables.question", "needs the variable `question`"),
        ({**VARIABLES, "questoin": 1}, "variables.questoin", "has no variable `questoin`"),
        ([1], "variables", "expected an object"),
        (None, "variables.question", "needs the variables `question` and `shop`"),
    ],
)
async def test_variables_that_do_not_fit_are_a_clear_400(
    prompted: RunningGateway, client: AsyncOpenAI, variables: Any, param: str, said: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(
            model="prompt:support#2", messages=[], extra_body={"variables": variables}
        )
    assert said in caught.value.message
    assert caught.value.param == param
    call, _ = last_call(prompted)
    assert (call.prompt, call.prompt_version, call.status, call.cost) == ("support", "2", "error", "0")


async def test_responses_and_messages_speak_prompts_too(
    prompted: RunningGateway, client: AsyncOpenAI
) -> None:
    await client.responses.create(
        model="prompt:support#1", input="They do not fit.", extra_body={"variables": VARIABLES}
    )
    _, body = last_call(prompted)
    assert [(each["role"], each["content"]) for each in body["input"]] == [
        ("system", "You help the customers of Trail & Tent."),
        ("user", "Hi"),
        ("assistant", "Hello!"),
        ("user", VARIABLES["question"]),
        ("user", "They do not fit."),
    ]
    assert (body["temperature"], body["max_output_tokens"]) == (0.2, 50)
    push(
        prompted.records,
        "claude",
        ("system", "You help the customers of {{ shop }}."),
        ("user", "{{ question }}"),
        model="mini",
        parameters={"stop": ["END"]},
        examples=[TemplateExample(input="Hi", output="Hello!")],
    )
    await followed(prompted)
    async with AsyncAnthropic(base_url=prompted.url, api_key=prompted.key, max_retries=0) as claude:
        answer = await claude.messages.create(
            model="prompt:claude",
            max_tokens=20,
            system="Today is Monday.",
            messages=[{"role": "user", "content": "They do not fit."}],
            extra_body={"variables": VARIABLES},
        )
        assert answer.content
        with pytest.raises(AnthropicBadRequest, match="needs the variable `question`") as caught:
            await claude.messages.create(
                model="prompt:claude", max_tokens=20, messages=[], extra_body={"variables": {"shop": "T"}}
            )
        assert caught.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
    _, body = [(call, json.loads(call.request)) for call in prompted.calls() if call.status == "ok"][-1]
    assert [block["text"] for block in body["system"]] == [
        "You help the customers of Trail & Tent.",
        "Today is Monday.",
    ]
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user", "user"]
    assert (body["max_tokens"], body["stop_sequences"]) == (20, ["END"])


async def test_a_prompt_reaches_a_provider_of_another_dialect(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    root = simulator[0].removesuffix("/v1")
    settings = f"""
[providers.ant]
kind = "anthropic"
base_url = "{root}"
"""
    async with (
        running_gateway(tmp_path, settings) as gateway,
        AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client,
    ):
        push(
            gateway.records,
            "support",
            ("system", "Be kind."),
            ("user", "{{ q }}"),
            model="ant/claude-haiku-4-5",
            parameters={"temperature": 0.5},
        )
        await followed(gateway)
        answer = await client.chat.completions.create(
            model="prompt:support", messages=[], extra_body={"variables": {"q": "Do you ship to Norway?"}}
        )
        assert answer.choices[0].message.content
        assert gateway.calls()[-1].target == "ant/claude-haiku-4-5"


async def test_a_model_that_nobody_names_or_that_is_not_there(
    gateway: RunningGateway, client: AsyncOpenAI
) -> None:
    push(gateway.records, "free", ("user", "{{ q }}"))
    push(gateway.records, "lost", ("user", "{{ q }}"), model="gone")
    await followed(gateway)

    async def ask(model: str, **more: Any) -> None:
        await client.chat.completions.create(
            model=model, messages=[], extra_body={"variables": {"q": "a"}, **more}
        )

    with pytest.raises(BadRequestError, match="Neither the prompt free#1 nor the request names a model"):
        await ask("prompt:free")
    with pytest.raises(NotFoundError, match="asks for the model 'gone'"):
        await ask("prompt:lost")
    with pytest.raises(BadRequestError, match="`prompt_model` in the request body is no model"):
        await ask("prompt:free", prompt_model="prompt:free")
    await ask("prompt:free", prompt_model="mini")
    await ask("prompt:lost", prompt_model="mini")
    with pytest.raises(BadRequestError, match="nothing to say to it here"):
        await client.embeddings.create(model="prompt:free", input="a")
    with pytest.raises(BadRequestError, match="`messages` in the request body has the wrong type"):
        await client.chat.completions.create(
            model="prompt:free",
            messages="x",
            extra_body={"variables": {"q": "a"}, "prompt_model": "mini"},  # type: ignore[call-overload]
        )


async def test_keys_are_limited_to_prompts_like_to_routes(prompted: RunningGateway) -> None:
    serve(prompted.records, "staging", Share(version=1))
    narrow = prompted.new_key("narrow", routes=["prompt:support"])
    narrower = prompted.new_key("narrower", routes=["prompt:support@staging", "mini"])
    await followed(prompted)

    async def ask(key: str, model: str, **more: Any) -> None:
        async with AsyncOpenAI(base_url=f"{prompted.url}/v1", api_key=key, max_retries=0) as client:
            await client.chat.completions.create(
                model=model, messages=[], extra_body={"variables": VARIABLES, **more}
            )

    await ask(narrow, "prompt:support#1")
    await ask(narrow, "prompt:support@staging")
    await ask(narrower, "prompt:support@staging")
    await ask(narrower, "prompt:support@staging", prompt_model="mini")
    for key, model, more in (
        (narrower, "prompt:support", {}),
        (narrow, "mini", {}),
        (narrow, "prompt:support", {"prompt_model": "mini"}),
        (narrow, "prompt:other", {}),
    ):
        with pytest.raises(PermissionDeniedError, match="may not use the model"):
            await ask(key, model, **more)
    async with AsyncOpenAI(base_url=f"{prompted.url}/v1", api_key=narrow) as client:
        assert [each.id async for each in client.models.list()] == [
            "prompt:support",
            "prompt:support@staging",
        ]


async def test_a_split_sticks_to_the_user(prompted: RunningGateway, client: AsyncOpenAI) -> None:
    serve(prompted.records, "production", Share(version=1, weight=50), Share(version=2, weight=50))
    await followed(prompted)

    async def version(**more: Any) -> str:
        await client.chat.completions.create(
            model="prompt:support", messages=[], extra_body={"variables": VARIABLES}, **more
        )
        return last_call(prompted)[0].prompt_version

    users = {f"user {number}": await version(user=f"user {number}") for number in range(12)}
    assert set(users.values()) == {"1", "2"}
    for user, before in users.items():
        assert await version(user=user) == before
    sessions = {await version(metadata={"session_id": "s"}) for _ in range(4)}
    assert len(sessions) == 1


def test_shares_are_as_large_as_their_weights_and_a_growing_canary_keeps_its_users() -> None:
    def release(canary: int) -> Release:
        split = [Share(version=3, weight=100 - canary), Share(version=4, weight=canary)]
        return Release(
            project_id="default",
            prompt="p",
            label="production",
            number=1,
            split=split,
            created=0,
            created_by="",
        )

    subjects = [f"u{number}" for number in range(20_000)]
    small = {each for each in subjects if sticky_version(release(5), each) == 4}
    large = {each for each in subjects if sticky_version(release(20), each) == 4}
    assert small < large
    assert abs(len(small) - 1000) < 130, "four standard deviations"
    assert abs(len(large) - 4000) < 230
    assert Counter(sticky_version(release(5), "ada") for _ in range(5)).most_common(1)[0][1] == 5


async def test_prompts_are_known_while_the_records_are_down(prompted: RunningGateway) -> None:
    serve(prompted.records, "production", Share(version=1))
    await followed(prompted)
    down = Records.open("postgresql://nobody@127.0.0.1:9/none")
    source = config_file(prompted.config, {})
    reloader = Reloader(
        source, down, prompted.folder / "keys.json", ProviderPool({}), "http://127.0.0.1:9/v1"
    )
    snapshot = await asyncio.to_thread(lambda: reloader.start(source.read()))
    entry = snapshot.prompts.entry("default", "support")
    assert entry.choose(PromptReference("support"), "ada").release == "production.1"


async def test_one_version_that_cannot_be_used_keeps_nobody_from_the_others(
    gateway: RunningGateway, client: AsyncOpenAI
) -> None:
    push(gateway.records, "broken", ("user", "{% if %}"), model="mini")
    push(gateway.records, "loud", ("user", "{{ q }}"), model="mini", parameters={"logit_bias": {"1": 2}})
    await followed(gateway)
    with pytest.raises(BadRequestError, match="Message 1, line 1: syntax error"):
        await client.chat.completions.create(model="prompt:broken", messages=[])
    variables = {"variables": {"q": "Hello?"}}
    await client.chat.completions.create(model="prompt:loud", messages=[], extra_body=variables)
    with pytest.raises(BadRequestError, match="fixes what this dialect can't say"):
        await client.responses.create(model="prompt:loud", input=[], extra_body=variables)


async def test_what_an_older_gateway_spooled_is_still_read(
    prompted: RunningGateway, client: AsyncOpenAI
) -> None:
    await client.chat.completions.create(
        model="prompt:support", messages=[], extra_body={"variables": VARIABLES}
    )
    call, _ = last_call(prompted)
    assert call.variables
    payload = encode_record(call)
    older = payload[:1] + msgspec.msgpack.encode(
        msgspec.msgpack.decode(payload[1:])[: Call.__struct_fields__.index("prompt")]
    )
    assert decode_record(older) == msgspec.structs.replace(
        call, prompt="", prompt_version="", release="", variables=b""
    )
