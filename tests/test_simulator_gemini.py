"""The simulator speaks Gemini's wire format: the official client against it, over real sockets."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types
from tests.conftest import running_app

from ratchet.simulator import Simulator, SimulatorProtocol, simulator_app

QUESTION = "How long does standard delivery take?"
ORDERS = "What is the status of my orders A-10023 and B-20034?"
PARAMETERS = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
DECLARED = types.FunctionDeclaration(
    name="order_status", description="The status of an order.", parameters_json_schema=PARAMETERS
)
TOOLS = [types.Tool(function_declarations=[DECLARED])]


@pytest.fixture
async def client(simulator: tuple[str, Simulator]) -> AsyncIterator[genai.client.AsyncClient]:
    async with _client(simulator[0]) as made:
        yield made


def _client(address: str, key: str = "any") -> genai.client.AsyncClient:
    options = types.HttpOptions(base_url=address.removesuffix("/v1"))
    return genai.Client(api_key=key, http_options=options).aio


@pytest.fixture
async def http(simulator: tuple[str, Simulator]) -> AsyncIterator[httpx2.AsyncClient]:
    address = simulator[0].removesuffix("/v1") + "/v1beta"
    async with httpx2.AsyncClient(base_url=address, headers={"x-goog-api-key": "any"}) as made:
        yield made


async def ask(
    client: genai.client.AsyncClient, contents: Any = QUESTION, model: str = "gemini-2.5-flash", **config: Any
) -> types.GenerateContentResponse:
    return await client.models.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config)
    )


async def post(
    http: httpx2.AsyncClient, method: str = "gemini-2.5-flash:generateContent", **body: Any
) -> httpx2.Response:
    given = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}], **body}
    return await http.post(f"/models/{method}", json={k: v for k, v in given.items() if v is not ...})


# -- answers ---------------------------------------------------------------------------------------------------


async def test_a_response_has_the_fields_of_the_recorded_ones(http: httpx2.AsyncClient) -> None:
    response = await post(http)
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    found = response.json()
    assert list(found) == ["candidates", "usageMetadata", "modelVersion", "responseId"]
    candidate = found["candidates"][0]
    assert list(candidate) == ["content", "finishReason", "index"]
    assert list(candidate["content"]) == ["parts", "role"]
    assert candidate["finishReason"] == "STOP"
    usage = found["usageMetadata"]
    assert usage["totalTokenCount"] == (
        usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    )
    assert usage["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": usage["promptTokenCount"]}]
    assert found["modelVersion"] == "gemini-2.5-flash"
    assert (await post(http)).content == response.content


async def test_streamed_or_not_the_answer_is_the_same(client: genai.client.AsyncClient) -> None:
    for model, contents, config in (
        ("gemini-2.5-flash", QUESTION, {}),
        ("gemini-3-pro-preview", QUESTION, {"thinking_config": types.ThinkingConfig(include_thoughts=True)}),
        ("gemini-2.0-flash", ORDERS, {"tools": TOOLS}),
        ("gemini-2.5-pro", QUESTION, {"max_output_tokens": 300}),
    ):
        whole = await ask(client, contents, model, **config)
        said, thought, calls = "", "", []
        stream = await client.models.generate_content_stream(
            model=model, contents=contents, config=types.GenerateContentConfig(**config)
        )
        async for chunk in stream:
            for part in chunk.candidates[0].content.parts or []:
                if part.function_call:
                    calls.append(part.function_call)
                elif part.thought:
                    thought += part.text
                else:
                    said += part.text
            last = chunk
        parts = whole.candidates[0].content.parts
        assert said == "".join(p.text for p in parts if p.text and not p.thought)
        assert thought == "".join(p.text for p in parts if p.thought)
        assert calls == [p.function_call for p in parts if p.function_call]
        assert last.candidates[0].finish_reason == whole.candidates[0].finish_reason
        assert last.usage_metadata == whole.usage_metadata


async def test_a_stream_is_framed_as_recorded_and_without_sse_an_array(http: httpx2.AsyncClient) -> None:
    method = "gemini-2.5-flash:streamGenerateContent"
    sse = await post(http, f"{method}?alt=sse")
    assert sse.headers["content-type"] == "text/event-stream"
    frames = sse.text.split("\r\n\r\n")
    assert frames[-1] == ""
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    assert len(chunks) > 3
    assert ["finishReason" in chunk["candidates"][0] for chunk in chunks] == [
        *[False] * (len(chunks) - 1),
        True,
    ]
    counts = [chunk["usageMetadata"].get("candidatesTokenCount", 0) for chunk in chunks]
    assert counts == sorted(counts)
    assert (await post(http, method)).json() == chunks


async def test_system_instructions_limits_stops_and_candidates(client: genai.client.AsyncClient) -> None:
    cited = await ask(client, system_instruction="You are a support bot. Cite the handbook section.")
    assert "Handbook §" in cited.text
    whole = await ask(client, model="gemini-2.0-flash")
    short = await ask(client, model="gemini-2.0-flash", max_output_tokens=5)
    assert short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert short.usage_metadata.candidates_token_count == 5
    starved = await ask(client, model="gemini-2.5-pro", max_output_tokens=5)
    assert starved.candidates[0].content.parts is None
    word = whole.text.split()[4]
    assert (await ask(client, model="gemini-2.0-flash", stop_sequences=[word])).text == (
        whole.text[: whole.text.index(word)]
    )
    assert len((await ask(client, candidate_count=3)).candidates) == 3


async def test_schemas_of_both_kinds_are_kept_to(client: genai.client.AsyncClient) -> None:
    properties = {"answer": {"type": "STRING"}, "found": {"type": "BOOLEAN", "nullable": True}}
    own = {"type": "OBJECT", "properties": properties, "required": ["answer", "found"]}
    whole = {
        "type": "object",
        "properties": {"answer": {"$ref": "#/$defs/text"}, "found": {"type": ["boolean", "null"]}},
        "required": ["answer", "found"],
        "$defs": {"text": {"type": "string"}},
    }
    for given in ({"response_schema": own}, {"response_json_schema": whole}):
        found = await ask(client, response_mime_type="application/json", **given)
        assert set(json.loads(found.text)) == {"answer", "found"}
    assert json.loads((await ask(client, response_mime_type="application/json")).text)


# -- functions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-pro-preview"])
async def test_two_orders_are_two_calls_and_their_responses_are_answered(
    client: genai.client.AsyncClient, model: str
) -> None:
    called = await ask(client, ORDERS, model, tools=TOOLS)
    content = called.candidates[0].content
    calls = [part.function_call for part in content.parts]
    assert [call.args["order_id"][:2] for call in calls] == ["A-", "B-"]
    assert [bool(call.id) for call in calls] == [model.startswith("gemini-3")] * 2
    assert [bool(part.thought_signature) for part in content.parts] == [model != "gemini-2.0-flash", False]
    responses = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"result": f"sent {i}"}
            )
        )
        for i, call in enumerate(calls)
    ]
    turns = [
        types.UserContent(parts=[types.Part(text=ORDERS)]), content, types.UserContent(parts=responses)
    ]  # fmt: skip
    answered = await ask(client, turns, model, tools=TOOLS)
    assert "sent 0" in answered.text
    assert "sent 1" in answered.text


async def test_the_third_generation_wants_its_signatures_back(client: genai.client.AsyncClient) -> None:
    model = "gemini-3-flash-preview"
    called = await ask(client, ORDERS, model, tools=TOOLS)
    parts = [part.model_dump(exclude_none=True) for part in called.candidates[0].content.parts]
    responses = [
        {
            "function_response": {
                "id": part["function_call"]["id"],
                "name": "order_status",
                "response": {"result": "sent"},
            }
        }
        for part in parts
    ]

    async def again(parts: Any, *after: Any, model: str = model) -> types.GenerateContentResponse:
        turns = [
            {"role": "user", "parts": [{"text": ORDERS}]},
            {"role": "model", "parts": parts},
            {"role": "user", "parts": responses},
            *after,
        ]
        return await ask(client, turns, model, tools=TOOLS)

    assert (await again(parts)).text
    unsigned = [{k: v for k, v in part.items() if k != "thought_signature"} for part in parts]
    with pytest.raises(
        errors.ClientError, match="Function call is missing a thought_signature in functionCall parts"
    ):
        await again(unsigned)
    forged = [{**parts[0], "thought_signature": b"forged"}, parts[1]]
    with pytest.raises(errors.ClientError, match="Corrupted thought signature"):
        await again(forged)
    bypassed = [{**parts[0], "thought_signature": b"skip_thought_signature_validator"}, parts[1]]
    assert (await again(bypassed)).text
    assert (await again(unsigned, model="gemini-2.5-flash")).text
    later = [{"role": "model", "parts": [{"text": "Sent."}]}, {"role": "user", "parts": [{"text": QUESTION}]}]
    assert (await again(unsigned, *later)).text, "only the current turn's calls are looked at"


async def test_calling_modes(client: genai.client.AsyncClient) -> None:
    other = types.FunctionDeclaration(
        name="weather",
        parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}),
    )
    tools = [types.Tool(function_declarations=[DECLARED, other])]

    async def called(contents: str = ORDERS, **config: Any) -> list[str]:
        calling = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(**config))
        found = await ask(client, contents, tools=tools, tool_config=calling)
        return [part.function_call.name for part in found.candidates[0].content.parts if part.function_call]

    assert await called(mode="NONE") == []
    assert await called("Hello!", mode="ANY", allowed_function_names=["weather"]) == ["weather"]
    assert await called(mode="AUTO") == ["order_status"] * 2


# -- thoughts, usage, parts ----------------------------------------------------------------------------------------


async def test_thoughts_are_told_when_asked_for_and_always_counted(client: genai.client.AsyncClient) -> None:
    async def thoughts(model: str, **config: Any) -> tuple[bool, int]:
        found = await ask(client, QUESTION, model, thinking_config=types.ThinkingConfig(**config))
        told = any(part.thought for part in found.candidates[0].content.parts)
        return told, found.usage_metadata.thoughts_token_count or 0

    told, count = await thoughts("gemini-2.5-flash", include_thoughts=True)
    assert told
    assert count > 0
    told, count = await thoughts("gemini-2.5-flash")
    assert (told, count > 0) == (False, True)
    assert await thoughts("gemini-2.5-flash", thinking_budget=0) == (False, 0)
    assert await thoughts("gemini-2.5-flash-lite") == (False, 0)
    assert (await thoughts("gemini-3-pro-preview", thinking_level="HIGH"))[1] > 0
    for model, config, message in (
        ("gemini-2.5-pro", {"thinking_budget": 0}, "Budget 0 is invalid"),
        ("gemini-2.5-pro", {"thinking_budget": 40_000}, "The thinking budget 40000 is invalid"),
        ("gemini-2.5-flash", {"thinking_level": "LOW"}, "Thinking level is not supported"),
        ("gemini-3-pro", {"thinking_level": "LOW", "thinking_budget": 512}, "You can only set only one"),
    ):
        with pytest.raises(errors.ClientError, match=message):
            await thoughts(model, **config)


async def test_cached_and_hosted_tokens_are_counted(client: genai.client.AsyncClient) -> None:
    rules = " ".join(f"Rule {i}: be kind to customer {i}." for i in range(250))
    first = await ask(client, system_instruction=rules)
    second = await ask(client, system_instruction=rules)
    assert not first.usage_metadata.cached_content_token_count
    assert 1024 <= second.usage_metadata.cached_content_token_count < second.usage_metadata.prompt_token_count
    hosted = (await ask(client, tools=[types.Tool(google_search=types.GoogleSearch())])).usage_metadata
    assert hosted.tool_use_prompt_token_count > 0
    assert hosted.total_token_count == (
        hosted.prompt_token_count + hosted.candidates_token_count + hosted.thoughts_token_count
        + hosted.tool_use_prompt_token_count
    )  # fmt: skip


async def test_pictures_sounds_and_files_are_parts(client: genai.client.AsyncClient) -> None:
    picture = types.Part.from_bytes(data=b"\x89PNG picture", mime_type="image/png")
    seen = await ask(client, ["My parcel came like this.", picture])
    assert "picture" in seen.text
    found = [(one.modality.value, one.token_count) for one in seen.usage_metadata.prompt_tokens_details]
    assert found[1] == ("IMAGE", 765)
    uri = types.Part.from_uri(file_uri="https://example.com/a.pdf", mime_type="application/pdf")
    assert (await ask(client, ["What is this?", uri])).text
    with pytest.raises(errors.ClientError, match="Unsupported MIME type: image/gif"):
        await ask(client, [types.Part.from_bytes(data=b"GIF89a", mime_type="image/gif")])


# -- embeddings, counts, models --------------------------------------------------------------------------------------


async def test_similar_texts_have_near_embeddings(client: genai.client.AsyncClient) -> None:
    texts = ["How long is the warranty on tents?", "Is there a warranty on a tent?", "Wie wird das Wetter?"]
    found = await client.models.embed_content(model="gemini-embedding-001", contents=texts)
    one, two, three = (embedding.values for embedding in found.embeddings)
    assert len(one) == 3072
    assert math.isclose(sum(value * value for value in one), 1.0)

    def nearness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert nearness(one, two) > nearness(one, three) + 0.2
    narrow = await client.models.embed_content(
        model="gemini-embedding-001",
        contents="Hello",
        config=types.EmbedContentConfig(output_dimensionality=256),
    )
    assert len(narrow.embeddings[0].values) == 256


async def test_a_single_text_tokens_and_models(
    client: genai.client.AsyncClient, http: httpx2.AsyncClient
) -> None:
    single = await http.post(
        "/models/gemini-embedding-001:embedContent", json={"content": {"parts": [{"text": "Hello"}]}}
    )
    assert list(single.json()) == ["embedding", "usageMetadata"]
    counted = await client.models.count_tokens(model="gemini-2.5-flash", contents=QUESTION)
    assert counted.total_tokens == (await ask(client)).usage_metadata.prompt_token_count
    names = [model.name async for model in await client.models.list()]
    assert "models/gemini-2.5-flash" in names
    assert (await client.models.get(model="gemini-9")).name == "models/gemini-9"


# -- errors ----------------------------------------------------------------------------------------------------

CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
ANSWER = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
USER = {"role": "user", "parts": [{"text": "x"}]}


def declared(**fields: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", **fields}]}]}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"contents": ...}, "* GenerateContentRequest.contents: contents is not specified\n"),
    ({"messages": []}, 'Invalid JSON payload received. Unknown name "messages": Cannot find field.'),
    (
        {"generationConfig": {"max_tokens": 3, "n": 1}},
        'Invalid JSON payload received. Unknown name "max_tokens" at \'generation_config\': Cannot find field.\nInvalid JSON',
    ),
    ({"generationConfig": {"temperature": "hot"}}, "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\""),
    ({"generationConfig": {"topK": 1.5}}, "Invalid value at 'generation_config.top_k' (TYPE_INT32), 1.5"),
    ({"generationConfig": {"temperature": 3}}, "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n"),
    ({"generationConfig": {"stopSequences": list("abcdef")}}, "* GenerateContentRequest.generation_config.stop_sequences: "),
    ({"generationConfig": {"responseMimeType": "text/html"}}, "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are"),
    ({"generationConfig": {"responseLogprobs": True}}, "Logprobs is not enabled for models/gemini-2.5-flash"),
    ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
    ({"contents": [{"role": "user", "parts": []}]}, "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n"),
    ({"contents": [{"parts": [{}]}]}, "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data'"),
    ({"contents": [{"parts": [{"type": "text", "text": "x"}]}]}, 'Invalid JSON payload received. Unknown name "type" at \'contents[0].parts[0]\''),
    (
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?!"}}]}]},
        "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), Base64 decoding failed for \"?!\"",
    ),
    ({"contents": [USER, CALL]}, "Please ensure that the number of function response parts is equal to the number"),
    ({"contents": [USER, CALL, USER]}, "Please ensure that the number of function response parts is equal to the number"),
    ({"contents": [CALL, ANSWER]}, "Please ensure that function call turn comes immediately after a user turn"),
    ({"contents": [ANSWER]}, "Please ensure that function response turn comes immediately after a function call turn."),
    (declared(name="a b"), "* GenerateContentRequest.tools[0].function_declarations[0].name: [FIELD_INVALID] Invalid function name."),
    (
        declared(parameters={"type": "object", "properties": {"a": {"type": "string", "const": "x"}}, "additionalProperties": False}),
        'Invalid JSON payload received. Unknown name "const" at \'tools[0].function_declarations[0].parameters.properties[0].value\': Cannot',
    ),
    (declared(parameters={"type": ["string", "null"]}), 'Invalid JSON payload received. Unknown name "type" at'),
    (declared(parameters={"type": "thing"}), "Invalid value at 'tools[0].function_declarations[0].parameters.type' ("),
    ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "Function calling config is set without function_declarations."),
    (
        {**declared(), "generationConfig": {"responseMimeType": "application/json"}},
        "Function calling with a response mime type: 'application/json' is unsupported",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), MISTAKES)
async def test_mistakes_are_answered_in_googles_words(
    http: httpx2.AsyncClient, fields: dict[str, Any], message: str
) -> None:
    response = await post(http, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"].startswith(message)
    if "Unknown name" in message:
        violations = error["details"][0]["fieldViolations"]
        assert len(violations) == len(error["message"].split("\n"))


async def test_names_in_snake_case_and_single_values_are_taken(http: httpx2.AsyncClient) -> None:
    found = await post(
        http,
        contents={"parts": {"text": QUESTION}},
        generation_config={"max_output_tokens": "500", "thinking_config": {"thinking_budget": 0}},
        system_instruction={"parts": {"text": "Be brief."}},
    )
    assert found.status_code == 200


async def test_a_key_is_asked_for_in_header_or_query() -> None:
    async with running_app(simulator_app(api_key="right"), SimulatorProtocol) as address:
        async with httpx2.AsyncClient(base_url=f"{address}/v1beta") as http:
            assert (await post(http)).json()["error"]["status"] == "PERMISSION_DENIED"
            assert (await post(http, "gemini-x:generateContent?key=right")).status_code == 200
            assert (await http.get("/models")).status_code == 403
        async with _client(address, "wrong") as wrong:
            with pytest.raises(errors.ClientError) as refused:
                await ask(wrong)
            assert refused.value.code == 400
            assert refused.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
        async with _client(address, "right") as right:
            assert (await ask(right)).text


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("status=400", "INVALID_ARGUMENT"),
        ("status=403", "PERMISSION_DENIED"),
        ("status=404", "NOT_FOUND"),
        ("status=429; retry-after=2", "RESOURCE_EXHAUSTED"),
        ("status=500", "INTERNAL"),
        ("status=503", "UNAVAILABLE"),
    ],
)
async def test_statuses_come_in_googles_shape(
    client: genai.client.AsyncClient, fault: str, status: str
) -> None:
    with pytest.raises(errors.APIError) as failed:
        await ask(client, http_options=types.HttpOptions(headers={"x-simulate": fault}))
    assert failed.value.status == status
    if "retry-after" in fault:
        assert failed.value.details["error"]["details"][-1]["retryDelay"] == "2s"


async def test_faults_of_the_answer(client: genai.client.AsyncClient, http: httpx2.AsyncClient) -> None:
    async def faulty(fault: str) -> types.GenerateContentResponse:
        return await ask(client, http_options=types.HttpOptions(headers={"x-simulate": fault}))

    blocked = await faulty("refusal")
    assert blocked.candidates is None
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    filtered = await faulty("content-filter")
    assert filtered.candidates[0].finish_reason == types.FinishReason.SAFETY
    assert filtered.candidates[0].safety_ratings[0].blocked
    assert (await faulty("empty")).candidates[0].content.parts is None
    assert (await faulty("no-usage")).usage_metadata is None
    assert (await faulty("no-finish")).candidates[0].finish_reason is None
    async with http.stream(
        "POST",
        "/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        json={"contents": [USER]},
        headers={"x-simulate": "error=1"},
    ) as response:
        text = (await response.aread()).decode()
    assert json.loads(text.split("data: ")[-1])["error"]["status"] == "UNAVAILABLE"
