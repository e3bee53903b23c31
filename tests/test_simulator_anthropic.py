"""The simulator speaks Anthropic's wire format: the official client against it, over real sockets."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic
from tests.conftest import running_app

from ratchet.simulator import Simulator, SimulatorProtocol, simulator_app
from ratchet.simulator.anthropic.abilities import abilities_of

QUESTION: list[dict[str, Any]] = [{"role": "user", "content": "How long does standard delivery take?"}]
ORDERS = [{"role": "user", "content": "What is the status of my orders A-10023 and B-20034?"}]
TOOL: dict[str, Any] = {
    "name": "order_status",
    "description": "The status of an order.",
    "input_schema": {
        "type": "object",
        "properties": {"order_id": {"type": "string"}},
        "required": ["order_id"],
    },
}
BUDGET = {"type": "enabled", "budget_tokens": 2048}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n picture").decode()


@pytest.fixture
async def client(simulator: tuple[str, Simulator]) -> AsyncIterator[AsyncAnthropic]:
    address = simulator[0].removesuffix("/v1")
    async with AsyncAnthropic(base_url=address, api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def http(simulator: tuple[str, Simulator]) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient(base_url=simulator[0], headers=headers) as made:
        yield made


async def ask(client: AsyncAnthropic, messages: Any = QUESTION, **fields: Any) -> anthropic.types.Message:
    given = {"model": "claude-sonnet-4-5", "max_tokens": 4096, **fields}
    return await client.messages.create(messages=messages, **given)


async def post(http: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": QUESTION, **fields}
    return await http.post("/messages", json={k: v for k, v in body.items() if v is not ...})


async def events(http: httpx2.AsyncClient, **fields: Any) -> list[dict[str, Any]]:
    """The stream's events; checks the framing on the way."""
    response = await post(http, stream=True, **fields)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    found: list[dict[str, Any]] = []
    for frame in response.text.split("\n\n")[:-1]:
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


# -- answers ---------------------------------------------------------------------------------------------------


async def test_a_message_has_the_fields_of_the_recorded_ones(http: httpx2.AsyncClient) -> None:
    response = await post(http)
    found = response.json()
    assert list(found) == [
        "model", "id", "type", "role", "content", "stop_reason", "stop_sequence", "stop_details",
        "usage",
    ]  # fmt: skip
    assert found["id"].startswith("msg_01")
    assert (found["type"], found["role"], found["model"]) == ("message", "assistant", "claude-sonnet-4-5")
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None)
    assert found["content"][0]["type"] == "text"
    assert list(found["usage"]) == [
        "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "output_tokens",
        "service_tier", "inference_geo", "output_tokens_details",
    ]  # fmt: skip
    assert response.headers["request-id"].startswith("req_011C")
    assert (await post(http)).content == response.content


async def test_streamed_or_not_the_message_is_the_same(client: AsyncAnthropic) -> None:
    for fields in (
        {},
        {"model": "claude-haiku-4-5"},
        {"messages": ORDERS, "tools": [TOOL]},
        {"thinking": BUDGET},
        {"max_tokens": 6},
    ):
        whole = await ask(client, **fields)
        given = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": QUESTION, **fields}
        async with client.messages.stream(**given) as stream:
            streamed = await stream.get_final_message()
        theirs, ours = streamed.to_dict(), whole.to_dict()
        assert _without_signature(theirs["content"]) == _without_signature(ours["content"])
        assert (theirs["stop_reason"], theirs["usage"]) == (ours["stop_reason"], ours["usage"])


def _without_signature(content: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in block.items() if k not in {"signature", "parsed_output"}} for block in content]


async def test_events_come_in_the_recorded_order(http: httpx2.AsyncClient) -> None:
    found = await events(http, thinking=BUDGET)
    kinds = [event["type"] for event in found]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    start = found[0]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert found[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    blocks = [event for event in found if event.get("index") == 0]
    assert [blocks[0]["type"], blocks[-1]["type"]] == ["content_block_start", "content_block_stop"]
    assert blocks[-2]["delta"]["type"] == "signature_delta"
    assert {event["delta"]["type"] for event in blocks[1:-2]} == {"thinking_delta"}
    assert found[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
    assert start["usage"]["output_tokens"] < found[-2]["usage"]["output_tokens"]


async def test_limits_and_stop_sequences_end_the_answer(client: AsyncAnthropic) -> None:
    whole = await ask(client)
    text = whole.content[0].text
    word = text.split()[4]
    cut = await ask(client, stop_sequences=["never said", word])
    assert cut.content[0].text == text[: text.index(word)]
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", word)
    short = await ask(client, max_tokens=5)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 5)
    nothing = await ask(client, max_tokens=0)
    assert (nothing.content, nothing.stop_reason) == ([], "max_tokens")


async def test_system_prompts_are_followed_as_text_and_as_blocks(client: AsyncAnthropic) -> None:
    system = "You are a support bot. Cite the handbook section."
    plain = await ask(client, system=system)
    blocks = await ask(client, system=[{"type": "text", "text": system}])
    assert "Handbook §" in plain.content[0].text
    assert plain.content[0].text == blocks.content[0].text


async def test_the_answer_keeps_to_a_schema(client: AsyncAnthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "found": {"type": "boolean"}},
        "required": ["answer", "found"],
        "additionalProperties": False,
    }
    found = await ask(client, output_config={"format": {"type": "json_schema", "schema": schema}})
    value = json.loads(found.content[0].text)
    assert set(value) == {"answer", "found"}


# -- tools -----------------------------------------------------------------------------------------------------


async def test_two_orders_are_two_calls_and_their_results_are_answered(client: AsyncAnthropic) -> None:
    called = await ask(client, ORDERS, tools=[TOOL])
    uses = [block for block in called.content if block.type == "tool_use"]
    assert called.stop_reason == "tool_use"
    assert [use.input for use in uses] == [{"order_id": "A-10023"}, {"order_id": "B-20034"}]
    assert all(use.id.startswith("toolu_01") for use in uses)
    results = [
        {"type": "tool_result", "tool_use_id": use.id, "content": json.dumps({"status": f"sent {i}"})}
        for i, use in enumerate(uses)
    ]
    turns = [*ORDERS, {"role": "assistant", "content": called.content}, {"role": "user", "content": results}]
    answered = await ask(client, turns, tools=[TOOL])
    assert answered.stop_reason == "end_turn"
    assert "sent 0" in answered.content[0].text
    assert "sent 1" in answered.content[0].text


async def test_tool_choice_and_parallel_use(client: AsyncAnthropic) -> None:
    async def used(**fields: Any) -> list[str]:
        found = await ask(client, ORDERS, tools=[TOOL, {**TOOL, "name": "weather"}], **fields)
        return [block.name for block in found.content if block.type == "tool_use"]

    assert await used(tool_choice={"type": "none"}) == []
    assert await used(tool_choice={"type": "tool", "name": "weather"}) == ["weather"]
    assert await used(tool_choice={"type": "auto", "disable_parallel_tool_use": True}) == ["order_status"]
    greeting = await ask(
        client, [{"role": "user", "content": "Hello!"}], tools=[TOOL], tool_choice={"type": "any"}
    )
    assert [block.type for block in greeting.content] == ["tool_use"]
    assert greeting.stop_reason == "tool_use"


async def test_a_tools_input_is_streamed_in_pieces(http: httpx2.AsyncClient) -> None:
    found = await events(http, messages=ORDERS, tools=[TOOL])
    starts = [event for event in found if event["type"] == "content_block_start"]
    assert [start["content_block"]["input"] for start in starts] == [{}, {}]
    for start in starts:
        pieces = [
            event["delta"]["partial_json"]
            for event in found
            if event["type"] == "content_block_delta" and event["index"] == start["index"]
        ]
        assert pieces[0] == ""
        assert len(pieces) > 3
        assert "order_id" in json.loads("".join(pieces))


# -- thoughts --------------------------------------------------------------------------------------------------


async def test_thoughts_are_signed_and_verified_when_they_come_back(client: AsyncAnthropic) -> None:
    called = await ask(client, ORDERS, tools=[TOOL], thinking=BUDGET)
    thought, *uses = called.content
    assert thought.type == "thinking"
    assert thought.thinking
    assert called.usage.output_tokens_details.thinking_tokens > 0
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "sent"} for use in uses]

    async def again(*content: Any) -> anthropic.types.Message:
        turns = [*ORDERS, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
        return await ask(client, turns, tools=[TOOL], thinking=BUDGET)

    assert (await again(thought, *uses)).stop_reason == "end_turn"
    given = thought.to_dict()
    for changed in (
        {**given, "thinking": given["thinking"] + " "},
        {**given, "signature": given["signature"][:-4] + "AAAA"},
        {**given, "signature": "EqEECkYICxgCKkAo3UA4WwDbB8ihhpykVCsPx6iM"},
        {**given, "signature": "not base64!"},
    ):
        with pytest.raises(anthropic.BadRequestError) as refused:
            await again(changed, *uses)
        message = refused.value.body["error"]["message"]
        assert message == "messages.1.content.0: Invalid `signature` in `thinking` block"
    with pytest.raises(
        anthropic.BadRequestError, match="Expected `thinking` or `redacted_thinking`, but found `tool_use`"
    ):
        await again(*uses)


async def test_thoughts_can_come_sealed_or_without_their_text(client: AsyncAnthropic) -> None:
    magic = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A13E193C177646C7398A98432ECCCE4C1253D5E2D82641AC0E52CC2876CB"
    asked = [{"role": "user", "content": f"How long is the warranty? {magic}"}]
    found = await ask(client, asked, thinking=BUDGET)
    sealed = found.content[0]
    assert sealed.type == "redacted_thinking"
    more = {"role": "user", "content": "And for tents?"}
    again = await ask(
        client, [*asked, {"role": "assistant", "content": found.content}, more], thinking=BUDGET
    )
    assert again.stop_reason == "end_turn"
    broken = {"type": "redacted_thinking", "data": sealed.data[:-4] + "AAAA"}
    with pytest.raises(anthropic.BadRequestError, match="Invalid `data` in `redacted_thinking` block"):
        await ask(client, [*asked, {"role": "assistant", "content": [broken]}, more], thinking=BUDGET)
    hidden = await ask(client, model="claude-opus-4-8", thinking={"type": "adaptive"})
    assert hidden.content[0].thinking == ""
    turns = [*QUESTION, {"role": "assistant", "content": hidden.content}, more]
    assert (await ask(client, turns, model="claude-opus-4-8")).stop_reason == "end_turn"


# -- the prompt cache ------------------------------------------------------------------------------------------


async def test_marked_prefixes_are_written_once_and_then_read(client: AsyncAnthropic) -> None:
    rules = "You are a support bot. " + " ".join(f"Rule {i}: be kind to customer {i}." for i in range(250))
    system = [{"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}}]

    async def classes(text: str, **fields: Any) -> tuple[int, int, int]:
        used = (await ask(client, [{"role": "user", "content": text}], **{"system": system, **fields})).usage
        created = used.cache_creation
        assert created.ephemeral_5m_input_tokens + created.ephemeral_1h_input_tokens == (
            used.cache_creation_input_tokens
        )
        return used.input_tokens, used.cache_creation_input_tokens, used.cache_read_input_tokens

    plain, written, read = await classes("Is delivery free?")
    assert written > 1024
    assert (read, plain < 40) == (0, True)
    again = await classes("Is delivery free?")
    assert again == (plain, 0, written)
    assert (await classes("Do you repair tents?"))[1] == 0
    assert (await classes("Is delivery free?", system=rules))[1:] == (0, 0)
    assert (await classes("Is delivery free?", system="Short."))[1:] == (0, 0)
    hour = [{**system[0], "text": rules + " More.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    found = await ask(client, system=hour)
    assert found.usage.cache_creation.ephemeral_1h_input_tokens > 1024


async def test_a_conversation_is_read_up_to_where_it_was_marked_before(client: AsyncAnthropic) -> None:
    long = " ".join(f"Fact {i} about parcel {i}." for i in range(400))
    first = [{"role": "user", "content": f"{long} Is delivery free?"}]
    mark = {"type": "ephemeral"}
    one = await ask(client, first, cache_control=mark)
    more = [*first, {"role": "assistant", "content": one.content}, *QUESTION]
    two = await ask(client, more, cache_control=mark)
    assert one.usage.cache_creation_input_tokens > 1024
    assert two.usage.cache_read_input_tokens > 1024
    assert 0 < two.usage.cache_creation_input_tokens < 100


# -- pictures and documents --------------------------------------------------------------------------------------


async def test_pictures_and_documents_of_every_kind_are_taken(client: AsyncAnthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    document = "The Tern tent weighs 2.4 kilograms. " * 12
    blocks: list[dict[str, Any]] = [
        image,
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PNG}},
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": document}},
    ]  # fmt: skip
    for block in blocks:
        content = [{"type": "text", "text": "How much does the Tern tent weigh?"}, block]
        found = await ask(client, [{"role": "user", "content": content}])
        assert found.stop_reason == "end_turn"
    assert "2.4 kilograms" in found.content[0].text, "a document's text is read"
    seen = await ask(
        client, [{"role": "user", "content": [{"type": "text", "text": "My parcel came like this."}, image]}]
    )
    assert "picture" in seen.content[0].text


# -- errors ----------------------------------------------------------------------------------------------------

THINKING_ON = {"type": "enabled", "budget_tokens": 1024}
USE = {"type": "tool_use", "id": "toolu_1", "name": "order_status", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": ...}, "max_tokens: Field required"),
    ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"),
    ({"model": ...}, "model: Field required"),
    ({"messages": ...}, "messages: Field required"),
    ({"messages": "hi"}, "messages: Input should be a valid list"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"n": 2}, "n: Extra inputs are not permitted"),
    ({"seed": 2}, "seed: Extra inputs are not permitted"),
    ({"metadata": {"session_id": "s"}}, "metadata.session_id: Extra inputs are not permitted"),
    ({"metadata": {"user_id": 3}}, "metadata.user_id: Input should be a valid string"),
    ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
    ({"temperature": 0.2, "top_p": 0.5}, "`temperature` and `top_p` cannot both be specified for this model."),
    ({"model": "claude-opus-4-8", "temperature": 0.2}, "`temperature` is deprecated for this model."),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"stop_sequences": [" "]}, "stop_sequences: each stop sequence must contain non-whitespace"),
    ({"messages": [{"role": "system", "content": "x"}]}, 'messages: Unexpected role "system". The Messages API accepts'),
    ({"messages": [{"role": "user", "content": ""}]}, "messages.0: user messages must have non-empty content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "messages: text content blocks must be non-empty"),
    ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages.0.name: Extra inputs are not permitted"),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages.0.content.0: Input tag 'smell' found using 'type'"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text.text: Field required"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]}, "messages.0.content.0.text.y: Extra inputs"),
    ({"messages": [*QUESTION, {"role": "assistant", "content": "So "}]}, "messages: final assistant content cannot end with trailing"),
    ({"model": "claude-opus-4-6", "messages": [*QUESTION, {"role": "assistant", "content": "So"}]}, "This model does not support assistant message prefill."),
    ({"messages": [{"role": "user", "content": [RESULT]}]}, "messages.0.content.0: unexpected `tool_use_id` found in `tool_result`"),
    ({"messages": [*QUESTION, {"role": "assistant", "content": [USE]}, *QUESTION]}, "messages.1: `tool_use` ids were found without `tool_result`"),
    ({"messages": [*QUESTION, {"role": "assistant", "content": [USE]}]}, "messages.1: `tool_use` ids were found without `tool_result`"),
    (
        {"messages": [*QUESTION, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [{"type": "text", "text": "x"}, RESULT]}]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
    ),
    ({"messages": [{"role": "user", "content": [USE]}]}, "messages.0: `tool_use` blocks can only be in `assistant` messages"),
    ({"messages": [*QUESTION, {"role": "assistant", "content": [{**USE, "id": "a:b"}]}]}, "messages.1.content.0.tool_use.id: String should match pattern"),
    ({"tools": [{"name": "x"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [{**TOOL, "name": "a b"}]}, "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ({"tools": [{**TOOL, "input_schema": {"type": "string"}}]}, "tools.0.custom.input_schema.type: Input should be 'object'"),
    ({"tools": [{**TOOL, "input_schema": {"type": "object", "properties": {"a": {"type": "thing"}}}}]}, "tools.0.custom.input_schema: JSON schema is invalid."),
    ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    ({"tools": [{"type": "function", "function": {}}]}, "tools.0: Input tag 'function' found using 'type'"),
    ({"tool_choice": {"type": "auto"}}, "tool_choice: may only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice: Input should be a valid dictionary"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
    ({"thinking": THINKING_ON, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`."),
    ({"thinking": THINKING_ON, "temperature": 0.5}, "`temperature` may only be set to 1 when thinking is enabled."),
    ({"thinking": THINKING_ON, "tools": [TOOL], "tool_choice": {"type": "any"}}, "Thinking may not be enabled when tool_choice forces tool use."),
    ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
    ({"model": "claude-opus-4-7", "thinking": THINKING_ON}, '"thinking.type.enabled" is not supported for this model.'),
    ({"output_config": {"effort": "low"}}, "This model does not support the effort parameter."),
    (
        {"model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}},
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
    ),
    ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "output_config.format.schema: For 'object' type, 'additionalProperties'"),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "integer", "maximum": 3}}}},
        "output_config.format.schema: For 'integer' type, properties maximum are not supported",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": PNG}}]}]},
        "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
    ),
    (
        {"system": [{"type": "text", "text": str(i), "cache_control": {"type": "ephemeral"}} for i in range(5)]},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    ({"context_management": {}}, "context_management: Extra inputs are not permitted"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), MISTAKES)
async def test_mistakes_are_answered_in_anthropics_words(
    http: httpx2.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    response = await post(http, **fields)
    assert response.status_code == 400
    found = response.json()
    assert (found["type"], found["error"]["type"]) == ("error", "invalid_request_error")
    assert found["error"]["message"].startswith(message)
    assert found["request_id"] == response.headers["request-id"]


async def test_broken_bodies_and_missing_versions(http: httpx2.AsyncClient) -> None:
    broken = await http.post("/messages", content=b'{"model": ')
    assert "The request body is not valid JSON" in broken.json()["error"]["message"]
    assert (await http.post("/messages", content=b"[1]")).status_code == 400
    assert (await http.get("/messages")).json()["error"]["type"] == "invalid_request_error"
    del http.headers["anthropic-version"]
    assert (await post(http)).json()["error"]["message"] == "anthropic-version: header is required"


async def test_a_key_is_asked_for_in_either_header_and_bodies_have_a_limit() -> None:
    app = simulator_app(api_key="sk-ant-right", max_body=20_000)
    async with running_app(app, SimulatorProtocol) as address:
        async with httpx2.AsyncClient(
            base_url=f"{address}/v1", headers={"anthropic-version": "2023-06-01"}
        ) as http:
            for header, status, message in (
                ({}, 401, "x-api-key header is required"),
                ({"x-api-key": "sk-ant-wrong"}, 401, "invalid x-api-key"),
                ({"authorization": "Bearer sk-ant-wrong"}, 401, "Invalid bearer token"),
                ({"x-api-key": "sk-ant-right"}, 200, ""),
                ({"authorization": "Bearer sk-ant-right"}, 200, ""),
            ):
                http.headers.pop("x-api-key", None)
                http.headers.pop("authorization", None)
                http.headers.update(header)
                found = await post(http)
                assert found.status_code == status
                if message:
                    assert found.json()["error"] == {"type": "authentication_error", "message": message}
        async with AsyncAnthropic(base_url=address, api_key="sk-ant-right", max_retries=0) as right:
            assert (await ask(right)).content
            with pytest.raises(anthropic.APIStatusError) as large:
                await ask(right, [{"role": "user", "content": "x" * 30_000}])
            assert (large.value.status_code, large.value.body["error"]["type"]) == (413, "request_too_large")


async def test_the_newer_version_takes_less(http: httpx2.AsyncClient) -> None:
    cited = [{"type": "char_location", "cited_text": "x"}]
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"temperature": 1}, "temperature: Extra inputs are not permitted"),
        (
            {"messages": [*QUESTION, {"role": "assistant", "content": [document]}, *QUESTION]},
            "messages.1.content.0: `document` blocks can only be in `user` messages",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "citations": cited}]}]},
            "messages.0.content.0: `citations` can only be in `assistant` messages",
        ),
    ]
    for fields, message in refused:
        http.headers["anthropic-version"] = "2023-06-01"
        assert (await post(http, **fields)).status_code == 200
        http.headers["anthropic-version"] = "2026-10-21"
        found = await post(http, **fields)
        assert (found.status_code, found.json()["error"]["message"]) == (400, message)


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("status=401", anthropic.AuthenticationError, "authentication_error"),
        ("status=403", anthropic.PermissionDeniedError, "permission_error"),
        ("status=404", anthropic.NotFoundError, "not_found_error"),
        ("status=413", anthropic.APIStatusError, "request_too_large"),
        ("status=429; retry-after=2", anthropic.RateLimitError, "rate_limit_error"),
        ("status=500", anthropic.InternalServerError, "api_error"),
        ("status=529", anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_statuses_come_in_anthropics_shape(
    client: AsyncAnthropic, fault: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as refused:
        await ask(client, extra_headers={"x-simulate": fault})
    assert refused.value.body["error"]["type"] == kind
    assert refused.value.response.headers["request-id"]
    if "retry-after" in fault:
        assert refused.value.response.headers["retry-after"] == "2"


async def test_faults_inside_a_stream(http: httpx2.AsyncClient, client: AsyncAnthropic) -> None:
    async def text(fault: str) -> str:
        response = await http.post(
            "/messages",
            json={"model": "claude-x", "max_tokens": 100, "messages": QUESTION, "stream": True},
            headers={"x-simulate": fault},
        )
        return response.text

    assert (await text("error=4")).endswith(
        'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    assert "message_stop" not in await text("no-done")
    assert (
        '"stop_reason":null,"stop_sequence":null,"stop_details":null},"usage"'
        in (await text("no-finish")).split("message_delta")[-1]
    )
    assert "usage" not in await text("no-usage")
    assert "\r\ndata: " in await text("crlf")
    assert (
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo\n\n'
        in await text("garble=3")
    )
    with pytest.raises(anthropic.APIStatusError):
        async with client.messages.stream(
            model="claude-x", max_tokens=100, messages=QUESTION, extra_headers={"x-simulate": "error=4"}
        ) as stream:
            await stream.get_final_message()
    for fault, reason, size in (
        ("refusal", "refusal", 0),
        ("content-filter", "refusal", 1),
        ("empty", "end_turn", 0),
    ):
        found = await ask(client, extra_headers={"x-simulate": fault})
        assert (found.stop_reason, len(found.content)) == (reason, size)


async def test_tokens_are_counted_and_models_listed(client: AsyncAnthropic) -> None:
    counted = await client.messages.count_tokens(model="claude-sonnet-4-5", messages=QUESTION)
    assert counted.input_tokens == (await ask(client)).usage.input_tokens
    assert "claude-haiku-4-5" in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve("claude-any")).id == "claude-any"


def test_abilities_are_told_from_the_name() -> None:
    assert abilities_of("gpt-4o").prefill
    assert not abilities_of("claude-3-5-haiku-20241022").thinks
    assert abilities_of("claude-3-7-sonnet-latest").thinks
    assert not abilities_of("claude-sonnet-4-20250514").adapts
    assert abilities_of("anthropic/claude-fable-5").system_turns
    assert not abilities_of("claude-fable-5").budgets
    assert abilities_of("claude-opus-4-5-20251101").efforts == ("low", "medium", "high")
