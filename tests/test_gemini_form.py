"""Made-up conversations with Gemini: its dialect → neutral form → its dialect is the same; across, what the table says."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from generated import answers, arguments, requests, schemas, signatures, texts
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.folded import fold, unfold
from ratchet.dialects.gemini import DIALECT
from ratchet.domain.generation import Answer, OutputFormat, Request, StreamEnded
from ratchet.domain.messages import (
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)

ASKED = Request(dialect="gemini", model="", messages=[])
replace = msgspec.structs.replace


def there_and_back(body: Any) -> Any:
    return json.loads(DIALECT.write_request(DIALECT.read_request(json.dumps(body).encode())))


# --- bodies, as an app might send them

unknown = st.dictionaries(st.sampled_from(["newField", "otherField"]), st.integers() | texts, max_size=1)
names = st.sampled_from(["search", "weather", "book"])
proofs = st.just({}) | signatures.map(lambda proof: {"thoughtSignature": proof})


def part(*kinds: str) -> st.SearchStrategy[dict[str, Any]]:
    made: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "text": st.builds(lambda text, proof, more: {"text": text, **proof, **more}, texts, proofs, unknown),
        "thought": st.builds(lambda text, proof: {"text": text, "thought": True, **proof}, texts, proofs),
        "empty": proofs.map(lambda proof: {"text": "", **proof}),
        "picture": st.builds(
            lambda data: {"inlineData": {"mimeType": "image/png", "data": data}, "mediaResolution": {"level": "x"}},
            signatures,
        ),
        "file": st.sampled_from(
            [
                {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc", "mimeType": "video/mp4"},
                {"fileUri": "gs://bucket/doc.pdf", "mimeType": "application/pdf", "displayName": "d"},
                {"fileUri": "https://youtu.be/x"},
            ]
        ).map(lambda file: {"fileData": file, "videoMetadata": {"fps": 2}}),
        "call": st.builds(
            lambda name, args, known, proof: {"functionCall": {"name": name, **args, **known}, **proof},
            names,
            st.just({}) | arguments.map(lambda args: {"args": args}),
            st.just({}) | st.integers(0, 99).map(lambda n: {"id": f"id-{n}"}),
            proofs,
        ),
        "result": st.builds(
            lambda name, response, known, more: {"functionResponse": {"name": name, "response": response, **known, **more}},
            names,
            texts.map(lambda text: {"output": text}) | texts.map(lambda text: {"error": text}) | arguments,
            st.just({}) | st.integers(0, 99).map(lambda n: {"id": f"id-{n}"}),
            st.sampled_from(
                [{}, {"scheduling": "SILENT"}, {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]
            ),
        ),
        "code": st.sampled_from(
            [
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                {"toolCall": {"toolType": "URL_CONTEXT"}, "thoughtSignature": "s"},
                {"somethingNew": [1]},
            ]
        ),
    }  # fmt: skip
    return st.one_of([made[kind] for kind in kinds])


contents = st.lists(
    st.one_of(
        st.builds(
            lambda parts, more: {"role": "user", "parts": parts, **more},
            st.lists(part("text", "picture", "file", "result"), max_size=4),
            unknown,
        ),
        st.builds(
            lambda parts: {"role": "model", "parts": parts},
            st.lists(part("text", "thought", "empty", "call", "code", "picture"), max_size=4),
        ),
    ),
    max_size=5,
)
tools = st.lists(
    st.sampled_from(
        [{"googleSearch": {}}, {"codeExecution": {}}, {"fileSearch": {"file_search_store_names": ["a"]}}]
    ).map(lambda tool: [tool])
    | st.lists(
        st.builds(
            lambda name, schema, more: {"name": name, **schema, **more},
            names,
            schemas().map(lambda schema: {"parametersJsonSchema": schema})
            | st.just({"parameters": {"type": "OBJECT", "properties": {"a_b": {"type": "STRING", "nullable": True}}}}),
            st.sampled_from([{}, {"description": ""}, {"behavior": "BLOCKING"}]),
        ),
        min_size=1,
        max_size=2,
    ).map(lambda functions: [{"functionDeclarations": functions}]),
    min_size=1,
    max_size=2,
).map(lambda groups: [tool for group in groups for tool in group] if _apart(groups) else groups[0])  # fmt: skip


def _apart(groups: list[Any]) -> bool:
    """Functions in two tool objects would become one, which is a canonicalisation."""
    return sum("functionDeclarations" in tool for group in groups for tool in group) < 2


choices = st.sampled_from(
    [
        {},
        {"mode": "AUTO"},
        {"mode": "NONE"},
        {"mode": "VALIDATED"},
        {"mode": "ANY"},
        {"mode": "ANY", "allowedFunctionNames": ["search"]},
        {"mode": "ANY", "allowedFunctionNames": ["search", "book"]},
        {"mode": "VALIDATED", "allowedFunctionNames": ["search"]},
        {"mode": "AUTO", "allowedFunctionNames": ["search"], "streamFunctionCallArguments": True},
        {"mode": "SOMETHING_NEW"},
    ]
)
tool_configs = st.builds(
    lambda choice, more: {"functionCallingConfig": choice, **more},
    choices,
    st.sampled_from([{}, {"includeServerSideToolInvocations": True}]),
)
outputs = st.sampled_from(
    [
        {},
        {"responseMimeType": "text/plain"},
        {"responseMimeType": "application/json"},
        {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "minProperties": "1"}},
        {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}},
        {"responseJsonSchema": {"type": "object"}},
    ]
)
thinkings = st.sampled_from(
    [
        {},
        {"thinkingConfig": {}},
        {"thinkingConfig": {"thinkingBudget": 0}},
        {"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": True}},
        {"thinkingConfig": {"thinkingBudget": 512, "includeThoughts": False}},
        {"thinkingConfig": {"thinkingLevel": "LOW", "newField": 1}},
    ]
)
configs = st.builds(
    lambda *some: {name: value for one in some for name, value in one.items()},
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from([0, 0.7, 2]),
            "topP": st.just(0.9),
            "topK": st.sampled_from([40, 40.5]),
            "maxOutputTokens": st.integers(1, 9999),
            "candidateCount": st.integers(1, 3),
            "stopSequences": st.lists(texts, max_size=2),
            "seed": st.integers(0, 99),
            "presencePenalty": st.sampled_from([0, 0.5]),
            "responseLogprobs": st.booleans(),
            "logprobs": st.integers(0, 5),
            "responseModalities": st.sampled_from([["TEXT"], ["TEXT", "IMAGE"]]),
            "speechConfig": st.just({"voiceConfig": {"x": 1}}),
        },
    ),
    outputs,
    thinkings,
)
bodies = st.fixed_dictionaries(
    {"contents": contents},
    optional={
        "systemInstruction": st.builds(
            lambda parts, role: {"parts": parts, **role},
            st.lists(part("text"), min_size=1, max_size=2),
            st.sampled_from([{}, {"role": "user"}]),
        ),
        "tools": tools,
        "toolConfig": tool_configs,
        "generationConfig": configs,
        "safetySettings": st.just([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]),
        "cachedContent": st.just("cachedContents/x"),
        "labels": st.just({"team_name": "a"}),
        "serviceTier": st.sampled_from(["flex", "standard", "priority"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(bodies)
def test_a_request_comes_back_the_same(body: dict[str, Any]) -> None:
    assert there_and_back(body) == body


counts = st.fixed_dictionaries(
    {"promptTokenCount": st.integers(0, 999), "totalTokenCount": st.integers(0, 9999)},
    optional={
        "candidatesTokenCount": st.integers(0, 99),
        "thoughtsTokenCount": st.integers(0, 99),
        "cachedContentTokenCount": st.integers(0, 99),
        "promptTokensDetails": st.just([{"modality": "AUDIO", "tokenCount": 3}]),
        "trafficType": st.just("ON_DEMAND_FLEX"),
    },
)
said = st.builds(
    lambda content, more: {**content, **more},
    st.lists(part("text", "thought", "empty", "call", "code", "picture"), min_size=1, max_size=4).map(
        lambda parts: {"content": {"parts": parts, "role": "model"}}
    )
    | st.sampled_from([{}, {"content": {}}, {"content": {"role": "model"}}]),
    st.fixed_dictionaries(
        {},
        optional={
            "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "SPII", "OTHER", "SOMETHING_NEW"]),
            "index": st.integers(0, 2),
            "finishMessage": texts,
            "groundingMetadata": st.just({"webSearchQueries": ["q"]}),
            "avgLogprobs": st.just(-0.5),
            "safetyRatings": st.just([{"category": "c", "probability": "LOW"}]),
        },
    ),
)  # fmt: skip
answer_bodies = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(said, min_size=1, max_size=3),
        "usageMetadata": counts,
        "modelVersion": st.just("gemini-x"),
        "responseId": st.sampled_from(["r1", "a-b_c"]),
        "createTime": st.just("2026-07-22T23:37:37.029264Z"),
        "promptFeedback": st.sampled_from(
            [{"blockReason": "SAFETY"}, {"safetyRatings": [{"category": "c", "probability": "LOW"}]}]
        ),
        "newField": st.just(1),
    },
)


@settings(max_examples=300, deadline=None)
@given(answer_bodies)
def test_an_answer_comes_back_the_same(body: dict[str, Any]) -> None:
    answer = DIALECT.read_answer(json.dumps(body).encode())
    assert json.loads(DIALECT.write_answer(answer, ASKED)) == body
    for message in answer.choices:
        assert all(part.id for part in message.parts if isinstance(part, ToolCallPart))


# --- neutral conversations


def read_back(request: Request, dialect: Dialect = DIALECT) -> Request:
    return dialect.read_request(dialect.write_request(request))


@settings(deadline=None)
@given(requests("gemini", signed_by="gemini", failures=True, pictures_in_results=True))
def test_a_neutral_request_survives(request: Request) -> None:
    output = request.output
    assert read_back(request) == replace(
        request,
        model="",  # it stands in the URL, as does `stream`
        stream=False,
        output=None if output is None else OutputFormat(kind="json_schema", schema=output.schema),
    )


@settings(deadline=None)
@given(answers("gemini", signed_by="gemini", most_choices=3))
def test_a_neutral_answer_survives(answer: Answer) -> None:
    again = DIALECT.read_answer(DIALECT.write_answer(answer, ASKED))
    assert replace(again, extra=None) == replace(answer, extra=None)


@settings(deadline=None)
@given(answers("gemini", signed_by="anthropic", most_choices=3, refusals=True))
def test_a_stream_that_is_written_says_the_same(answer: Answer) -> None:
    """As another dialect's answer to a Gemini app: proofs travel with a tag, and refusals are text."""
    writer, reader, head = DIALECT.stream_writer(ASKED), DIALECT.stream_reader(), DIALECT.stream_head()
    stream = b"".join(writer.write(event) for event in unfold(answer))
    head.feed(stream)
    head.finish()
    events = reader.feed(stream) + reader.finish()
    assert isinstance(events[-1], StreamEnded)
    assert head.done
    assert head.tokens == answer.usage
    assert head.finish_reasons == [message.finish_reason for message in answer.choices]
    again = fold(events, "gemini")
    assert [message.parts for message in again.choices] == [
        [TextPart(part.content) if isinstance(part, RefusalPart) else part for part in message.parts]
        for message in answer.choices
    ]
    assert [message.finish_reason for message in again.choices] == head.finish_reasons
    assert (again.id, again.model, again.usage) == (answer.id, answer.model, answer.usage)


# --- what other dialects' apps ask


def as_gemini_holds_it(request: Request) -> list[Message]:
    """What the table says of other dialects' conversations: file names go, and a link's type is guessed."""
    messages: list[Message] = []
    for message in request.messages:
        parts: list[Part] = [held for part in message.parts if (held := _held(part, request)) is not None]
        messages.append(replace(message, parts=parts or [TextPart("")]))
    return messages


def _held(given: Part, request: Request) -> Part | None:
    if isinstance(given, ReasoningPart) and given.origin not in (None, "gemini"):
        return None
    if isinstance(given, UriPart):
        return replace(given, mime_type="image/png")
    if isinstance(given, ToolCallResponsePart):
        called = [
            part for message in request.messages for part in message.parts if isinstance(part, ToolCallPart)
        ]
        response = given.response
        if isinstance(response, list):
            response = [_held(part, request) for part in response]
        return replace(
            given, name=next(call.name for call in called if call.id == given.id), response=response
        )
    return replace(given, name=None) if hasattr(given, "mime_type") else given  # fmt: skip


def without_marks(messages: list[Message]) -> list[Message]:
    """Which results shared a turn is Gemini's way of writing."""
    return [replace(message, extra=None) for message in messages]


@settings(deadline=None)
@given(requests("openai_chat", signed_by="anthropic", failures=True, pictures_in_results=True))
def test_another_dialects_request_is_understood(request: Request) -> None:
    again = read_back(replace(request, model="gemini-3-flash"))
    expected = as_gemini_holds_it(request)
    signed = [
        [replace(part, signature=None, origin=None) if isinstance(part, ToolCallPart) else part for part in message.parts]
        for message in without_marks(again.messages)
    ]  # fmt: skip
    assert [message.role for message in again.messages] == [message.role for message in expected]
    assert signed == [message.parts for message in expected]
    assert again.tools == request.tools
    if request.tools:
        assert again.tool_choice == request.tool_choice
    for field in ("max_tokens", "temperature", "top_p", "stop", "thinking"):
        assert getattr(again, field) == getattr(request, field)
    assert (again.output is None) == (request.output is None)
    if request.output is not None and again.output is not None:
        assert again.output.schema == request.output.schema


@settings(deadline=None)
@given(requests("openai_chat", signed_by="gemini"))
def test_turns_alternate_as_gemini_wants_it(request: Request) -> None:
    """All results of one step stand together, directly after their calls."""
    written = json.loads(DIALECT.write_request(replace(request, model="gemini-3-flash")))["contents"]
    for before, after in itertools.pairwise(written):
        called = [one["functionCall"]["name"] for one in before["parts"] if "functionCall" in one]
        answered = [one["functionResponse"]["name"] for one in after["parts"] if "functionResponse" in one]
        assert called == answered
