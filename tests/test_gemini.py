"""What Gemini's dialect does with requests of other dialects, with ids and signatures, errors and blocked prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import errors, types

from ratchet.dialects.gemini import DIALECT
from ratchet.dialects.gemini.request import UNSIGNED
from ratchet.dialects.gemini.vocabulary import finish_reason, generation, usage_of
from ratchet.domain.generation import (
    Answer,
    HostedTool,
    OutputFormat,
    Request,
    StreamEnded,
    StreamFailed,
    Thinking,
    Tool,
    ToolChoice,
)
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import Bug, InvalidRequest, Unauthenticated, UpstreamFailed, UpstreamTimeout

ASKED = Request(dialect="gemini", model="", messages=[])
TOOL = Tool(name="weather", parameters={"type": "object"})


def foreign(*messages: Message, model: str = "gemini-3-flash", **fields: Any) -> Request:
    return Request(
        dialect="openai_chat",
        model=model,
        messages=list(messages) or [Message("user", [TextPart("?")])],
        **fields,
    )


def written(request: Request) -> dict[str, Any]:
    return json.loads(DIALECT.write_request(request))


def called(call_id: str | None, *, signature: str | None = None, origin: str | None = None) -> ToolCallPart:
    return ToolCallPart(call_id, "weather", {"city": "Rome"}, signature, origin)


def result(call_id: str, response: Any = "rain", **fields: Any) -> Message:
    return Message("tool", [ToolCallResponsePart(call_id, response, **fields)])


USER = Message("user", [TextPart("How is the weather?")])


# --- what is refused, by name


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (foreign(verbosity="low"), "verbosity"),
        (foreign(parallel_tool_calls=False, tools=[TOOL]), "parallel_tool_calls"),
        (foreign(service_tier="scale"), "service_tier"),
        (foreign(extra={"prediction": {"x": 1}}), "prediction"),
        (foreign(tools=[HostedTool(kind="web_search", definition={})]), "tools[0] (web_search)"),
        (foreign(USER, Message("system", [TextPart("!")]), USER), "messages[1] (role system)"),
        (
            foreign(Message("system", [BlobPart("image", "AAAA", "image/png")]), USER),
            "messages[0].content[0]",
        ),
        (foreign(Message("user", [TextPart("?")], "Ada")), "messages[0].name"),
        (foreign(Message("user", [FilePart("document", "file-1")])), "messages[0].content[0] (file file-1)"),
        (foreign(Message("user", [GenericPart("odd", {})])), "messages[0].content[0] (odd)"),
        (foreign(Message("user", [BlobPart("audio", "zzzz")])), "messages[0].content[0]"),
        (
            foreign(USER, Message("assistant", [ToolCallPart("c", "f", "not json")])),
            "messages[1].content[0] (arguments of f)",
        ),
        (foreign(USER, result("nobody")), "messages[1].tool_call_id"),
        (
            foreign(USER, Message("assistant", [called("c")]), result("c", [FilePart("document", "file-1")])),
            "messages[2].content[0].content[0] (file file-1)",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(request_: Request, named: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        DIALECT.write_request(request_)
    assert refused.value.param == named
    assert refused.value.status == 400
    assert refused.value.remedy


def test_what_says_nothing_is_left_out() -> None:
    request = foreign(
        presence_penalty=0,
        frequency_penalty=0.0,
        choices=1,
        logprobs=False,
        top_logprobs=0,
        parallel_tool_calls=False,
        service_tier="auto",
        user="u",
        metadata={"session_id": "s"},
        output=OutputFormat(kind="text"),
        stop=[],
        tool_choice=ToolChoice(mode="auto"),
    )
    assert written(request) == {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}


def test_settings_cross() -> None:
    request = foreign(
        Message("system", [TextPart("Be brief.")]),
        Message("developer", [TextPart("In French.")]),
        USER,
        max_tokens=9, temperature=0.5, top_p=0.9, top_k=4, seed=1, stop=["x"], choices=2, presence_penalty=0.5,
        logprobs=True, top_logprobs=3, verbosity="medium",
        frequency_penalty=-0.5, service_tier="flex", tools=[TOOL], tool_choice=ToolChoice(mode="tool", name="weather"),
        output=OutputFormat(kind="json_schema", name="n", schema={"type": "object"}, strict=True, description="d"),
    )  # fmt: skip
    assert written(request) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "In French."}]},
        "contents": [{"role": "user", "parts": [{"text": "How is the weather?"}]}],
        "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "topK": 4, "seed": 1, "stopSequences": ["x"],
            "responseLogprobs": True, "logprobs": 3,
            "candidateCount": 2, "presencePenalty": 0.5, "frequencyPenalty": -0.5,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object", "description": "d"},
        },
        "serviceTier": "flex",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "strict", "expected"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="auto"), None, {"mode": "AUTO"}),
        (ToolChoice(mode="auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="none"), True, {"mode": "NONE"}),
        (ToolChoice(mode="required"), True, {"mode": "ANY"}),
        (
            ToolChoice(mode="allowed", names=["weather"], required=True),
            None,
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
        (
            ToolChoice(mode="allowed", names=["weather"]),
            None,
            {"mode": "VALIDATED", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_which_tools_may_be_called(choice: ToolChoice | None, strict: bool | None, expected: Any) -> None:
    request = foreign(tools=[Tool(name="weather", strict=strict)], tool_choice=choice)
    config = written(request).get("toolConfig")
    assert config == (None if expected is None else {"functionCallingConfig": expected})


@pytest.mark.parametrize(
    ("thinking", "older", "newest"),
    [
        (Thinking(effort="minimal"), {"thinkingBudget": 1024}, {"thinkingLevel": "MINIMAL"}),
        (Thinking(effort="low"), {"thinkingBudget": 1024}, {"thinkingLevel": "LOW"}),
        (Thinking(effort="medium"), {"thinkingBudget": 8192}, {"thinkingLevel": "MEDIUM"}),
        (Thinking(effort="high"), {"thinkingBudget": 24576}, {"thinkingLevel": "HIGH"}),
        (Thinking(effort="xhigh"), {"thinkingBudget": 24576}, {"thinkingLevel": "HIGH"}),
        (Thinking(effort="none"), {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        (Thinking(mode="off"), {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        (Thinking(mode="on", budget=2000), {"thinkingBudget": 2000, "includeThoughts": True},
         {"thinkingBudget": 2000, "includeThoughts": True}),
        (Thinking(mode="on", budget=99999, show=False), {"thinkingBudget": 24576}, {"thinkingBudget": 99999}),
        (Thinking(mode="adaptive"), {"thinkingBudget": -1, "includeThoughts": True}, {"includeThoughts": True}),
        (Thinking(mode="adaptive", effort="low", show=True), {"thinkingBudget": 1024, "includeThoughts": True},
         {"thinkingLevel": "LOW", "includeThoughts": True}),
        (Thinking(show=False), None, None),
    ],
)  # fmt: skip
def test_how_much_to_think(thinking: Thinking, older: Any, newest: Any) -> None:
    for model, expected in (("gemini-2.5-flash", older), ("gemini-3.5-flash", newest)):
        config = written(foreign(model=model, thinking=thinking)).get("generationConfig", {})
        assert config.get("thinkingConfig") == expected
    pro = written(foreign(model="gemini-2.5-pro", thinking=Thinking(effort="max")))
    assert pro["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 32768}
    third = written(foreign(model="gemini-3-pro", thinking=Thinking(effort="minimal")))
    assert third["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}


def test_the_generation_is_told_by_the_name() -> None:
    names = ["gemini-3-flash-preview", "models/gemini-3.5-flash", "gemini-10-pro", "gemini-flash-latest"]
    assert [generation(name) for name in names] == [3, 3, 10, 3]
    assert [generation(name) for name in ("gemini-2.5-pro", "gemma-3-27b", "tuned")] == [2, 0, 0]


# --- pictures and files


def test_pictures_and_files() -> None:
    parts: list[Part] = [
        BlobPart("image", "iVBORw0KGgoAAA"),
        BlobPart("document", "JVBERi0x", "application/pdf", "report.pdf"),
        UriPart("image", "https://example.com/a.jpg?size=2"),
        UriPart("image", "https://example.com/picture"),
        UriPart("video", "https://www.youtube.com/watch?v=x"),
    ]
    assert written(foreign(Message("user", parts)))["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgoAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0x"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a.jpg?size=2"}},
        {"fileData": {"fileUri": "https://example.com/picture"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://www.youtube.com/watch?v=x"}},
    ]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash"])
def test_a_picture_in_a_result_stands_inside_it_where_the_model_takes_it_there(model: str) -> None:
    shown = [TextPart("Here:"), BlobPart("image", "AAAA", "image/png")]
    request = foreign(USER, Message("assistant", [called("c")]), result("c", shown), USER, model=model)
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    answered = {"id": "c", "name": "weather", "response": {"output": "Here:"}}
    said = {"text": "How is the weather?"}
    assert written(request)["contents"][2]["parts"] == (
        [{"functionResponse": answered | {"parts": [picture]}}, said]
        if model == "gemini-3-flash"
        else [{"functionResponse": answered}, picture, said]
    )


# --- ids


def answer_with_calls(*ids: str | None) -> Answer:
    parts = [
        {"functionCall": {"name": "weather", "args": {"n": n}} | ({"id": i} if i else {})}
        for n, i in enumerate(ids)
    ]
    body = {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}],
        "responseId": "r-1_x",
    }
    return DIALECT.read_answer(json.dumps(body).encode())


def test_calls_without_ids_get_ones_that_are_not_sent_back() -> None:
    message = answer_with_calls(None, "own", None).choices[0]
    ids = [part.id for part in message.parts if isinstance(part, ToolCallPart)]
    assert ids == ["call_r-1_x_0", "own", "call_r-1_x_1"]
    results = [result(str(known), f"{number}") for number, known in enumerate(ids)]
    contents = written(foreign(USER, message, *results, model="gemini-2.5-flash"))["contents"]
    assert [part["functionCall"].get("id") for part in contents[1]["parts"]] == [None, "own", None]
    assert [part["functionResponse"] for part in contents[2]["parts"]] == [
        {"name": "weather", "response": {"output": "0"}},
        {"id": "own", "name": "weather", "response": {"output": "1"}},
        {"name": "weather", "response": {"output": "2"}},
    ]


def test_ids_differ_between_answers_that_have_none_themselves() -> None:
    bodies = [
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"n": n}}}]}}]}
        for n in (1, 2)
    ]
    answers = [DIALECT.read_answer(json.dumps(body).encode()) for body in bodies]
    first, second = (answer.choices[0].parts[0] for answer in answers)
    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert first.id != second.id
    assert [json.loads(DIALECT.write_answer(answer, ASKED)) for answer in answers] == bodies


def test_a_result_finds_its_call_by_name_where_it_has_no_id() -> None:
    body = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": name}} for name in ("a", "b", "a")]},
            {"role": "user", "parts": [{"functionResponse": {"name": n, "response": {"n": n}}} for n in "aab"]},
        ]
    }  # fmt: skip
    request = DIALECT.read_request(json.dumps(body).encode())
    calls = [part.id for part in request.messages[0].parts if isinstance(part, ToolCallPart)]
    found = [message.parts[0] for message in request.messages[1:]]
    assert [part.id for part in found if isinstance(part, ToolCallResponsePart)] == [
        calls[0],
        calls[2],
        calls[1],
    ]
    assert len(set(calls)) == 3
    assert written(request) == body


# --- signatures


def test_a_call_carries_its_signature_back() -> None:
    signed = Message("assistant", [called("c", signature="proof", origin="gemini"), called("d")])
    contents = written(foreign(USER, signed, result("c"), result("d")))["contents"]
    assert [part.get("thoughtSignature") for part in contents[1]["parts"]] == ["proof", None]


@pytest.mark.parametrize(
    "before",
    [
        [ReasoningPart("", "proof", "gemini")],
        [ReasoningPart("Hm.", "theirs", "anthropic"), ReasoningPart("", "proof", "gemini")],
    ],
)
def test_a_signature_that_came_by_way_of_an_empty_thought_goes_to_the_part_after_it(
    before: list[Part],
) -> None:
    message = Message("assistant", [*before, called("c"), called("d")])
    contents = written(foreign(USER, message, result("c"), result("d")))["contents"]
    assert contents[1]["parts"] == [
        {"functionCall": {"id": "c", "name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "proof"},
        {"functionCall": {"id": "d", "name": "weather", "args": {"city": "Rome"}}},
    ]  # fmt: skip


def test_thoughts_go_to_the_vendor_whose_they_are() -> None:
    message = Message(
        "assistant",
        [
            ReasoningPart("Unsigned."),
            ReasoningPart("Google's.", "proof", "gemini"),
            ReasoningPart("Claude's.", "proof", "anthropic"),
            ReasoningPart("", "proof", "openai_responses"),
            TextPart("So."),
        ],
    )
    assert written(foreign(USER, message, USER))["contents"][1]["parts"] == [
        {"text": "Unsigned.", "thought": True},
        {"text": "Google's.", "thought": True, "thoughtSignature": "proof"},
        {"text": "So."},
    ]


def test_calls_of_other_vendors_models_are_let_through_where_a_signature_is_asked_for() -> None:
    """Only newer models ask, only for the first call of each step, and only since the user spoke last."""
    step = [Message("assistant", [called("c"), called("d")]), result("c"), result("d")]
    again = [Message("assistant", [called("e", signature="x", origin="anthropic")]), result("e")]
    request = foreign(USER, *step, USER, *step, *again)
    found = [
        [part.get("thoughtSignature") for part in content["parts"]]
        for content in written(request)["contents"]
        if content["role"] == "model"
    ]
    assert found == [[None, None], [UNSIGNED, None], [UNSIGNED]]
    older = json.dumps(written(foreign(*request.messages, model="gemini-2.5-flash")))
    assert UNSIGNED not in older


def test_an_answers_foreign_signature_carries_a_tag() -> None:
    parts: list[Part] = [
        ReasoningPart("Hm.", "proof", "anthropic"),
        called("c", signature="mine", origin="gemini"),
    ]
    answer = Answer(
        dialect="anthropic", id="i", model="m", choices=[Message("assistant", parts)], usage=Usage()
    )
    body = json.loads(DIALECT.write_answer(answer, ASKED))
    assert [part["thoughtSignature"] for part in body["candidates"][0]["content"]["parts"]] == [
        "anthropic:proof",
        "mine",
    ]
    again = DIALECT.read_answer(json.dumps(body).encode())
    assert again.choices[0].parts == parts


# --- results


@pytest.mark.parametrize(
    ("given", "failed", "response"),
    [
        ("rain", None, {"output": "rain"}),
        ('{"temp": 20}', None, {"output": '{"temp": 20}'}),
        ("no such city", True, {"error": "no such city"}),
        ({"temp": 20}, None, {"temp": 20}),
        ([1, 2], None, None),
        (20, None, {"output": 20}),
        (None, None, None),
    ],
)
def test_results_of_functions(given: Any, failed: bool | None, response: Any) -> None:
    request = foreign(USER, Message("assistant", [called("c")]), result("c", given, failed=failed))
    if isinstance(given, list):
        with pytest.raises(InvalidRequest):
            written(request)
        return
    part = written(request)["contents"][2]["parts"][0]["functionResponse"]
    assert part.get("response") == response


def test_an_empty_message_is_still_a_turn() -> None:
    request = foreign(USER, Message("assistant", []), Message("assistant", [RefusalPart("No.")]), USER)
    assert [content["parts"] for content in written(request)["contents"][1:3]] == [
        [{"text": ""}],
        [{"text": "No."}],
    ]


# --- finish reasons, blocks, counts


def test_every_finish_reason_of_the_official_client_has_a_word() -> None:
    for word in types.FinishReason:
        assert finish_reason(word.value, called=False) in ("stop", "length", "content_filter", "error")
    assert finish_reason("STOP", called=True) == "tool_call"
    assert finish_reason("MAX_TOKENS", called=True) == "length"
    assert finish_reason("SPII", called=False) == "content_filter"
    assert finish_reason("SOMETHING_NEW", called=False) == "error"


BLOCKED = {
    "promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []},
    "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5},
    "modelVersion": "m",
    "responseId": "r",
}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def test_a_blocked_prompt_is_an_answer_that_was_filtered() -> None:
    body = json.dumps(BLOCKED).encode()
    answer, head = DIALECT.read_answer(body), DIALECT.answer_head(body)
    assert [(message.parts, message.finish_reason) for message in answer.choices] == [([], "content_filter")]
    assert json.loads(DIALECT.write_answer(answer, ASKED)) == BLOCKED
    assert head is not None
    assert head.finish_reasons == ["content_filter"]
    assert answer.usage == head.tokens == Usage(input=5, output=0)
    stream, reader = DIALECT.stream_head(), DIALECT.stream_reader()
    stream.feed(sse(BLOCKED))
    stream.finish()
    assert stream.done
    assert stream.finish_reasons == ["content_filter"]
    assert not stream.has_content
    events = reader.feed(sse(BLOCKED)) + reader.finish()
    assert isinstance(events[-1], StreamEnded)
    writer = DIALECT.stream_writer(ASKED)
    again = json.loads(b"".join(map(writer.write, events)).removeprefix(b"data: "))
    assert again == BLOCKED


def test_token_classes() -> None:
    counts = {
        "promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 7,
        "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 157,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
    }  # fmt: skip
    usage = Usage(input=107, output=50, cached=40, reasoning=30, audio_input=10, audio_output=5)
    assert usage_of(counts) == usage
    assert usage_of({}) is None
    assert usage_of({"promptTokenCount": -1, "candidatesTokenCount": True}) is None
    answer = Answer(dialect="openai_chat", id="i", model="m", choices=[], usage=usage)
    again = DIALECT.read_answer(DIALECT.write_answer(answer, ASKED))
    assert again.usage == usage


# --- streams that are not as they should be


def chunk(text: str, **more: Any) -> dict[str, Any]:
    said = {"content": {"parts": [{"text": text}], "role": "model"}}
    candidate = said | {name: value for name, value in more.items() if name != "usage"}
    return {"candidates": [candidate]} | (
        {"usageMetadata": {"promptTokenCount": 1}} if more.get("usage", True) else {}
    )


def test_a_model_that_ends_every_chunk_is_read_to_its_end() -> None:
    reader = DIALECT.stream_reader()
    stream = sse(chunk("a", finishReason="STOP"), chunk("b", finishReason="STOP"), {"candidates": [
        {"finishReason": "MAX_TOKENS", "groundingMetadata": {"q": 1}}]})  # fmt: skip
    kinds = [type(event).__name__ for event in reader.feed(stream) + reader.finish()]
    assert kinds == [
        "StreamStarted", "PartStarted", "PartDelta", "PartDelta", "PartEnded", "ChoiceEnded", "UsageReported",
        "StreamEnded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("chunks", "done"),
    [
        ([chunk("a", finishReason="STOP")], True),
        ([chunk("a")], False),
        ([chunk("a", finishReason="STOP", usage=False)], False),
        ([chunk("a", finishReason="STOP", usage=False), {"usageMetadata": {"promptTokenCount": 1}}], True),
        ([chunk("a", finishReason="STOP", index=0), chunk("b", index=1)], False),
        (
            [
                chunk("a", finishReason="STOP", index=0),
                chunk("b", index=1),
                chunk("", finishReason="STOP", index=1),
            ],
            True,
        ),
        ([{"usageMetadata": {"promptTokenCount": 1}}], False),
        ([], False),
    ],
)
def test_what_a_whole_stream_is(chunks: list[Any], done: bool) -> None:
    head, reader = DIALECT.stream_head(), DIALECT.stream_reader()
    head.feed(sse(*chunks))
    assert not head.done  # more may come
    head.finish()
    assert head.done is done
    events = reader.feed(sse(*chunks)) + reader.finish()
    assert any(isinstance(event, StreamEnded) for event in events) is done


def test_an_error_inside_a_stream() -> None:
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    stream = sse(chunk("a"), error)
    head, reader = DIALECT.stream_head(), DIALECT.stream_reader()
    head.feed(stream)
    events = reader.feed(stream) + reader.finish()
    assert events[-1] == StreamFailed("Overloaded.", "UNAVAILABLE")
    assert head.error == error["error"]
    assert not head.done
    failed = DIALECT.stream_writer(ASKED).write(events[-1])
    assert DIALECT.error_message(failed.removeprefix(b"data: ")) == "Overloaded."


def test_a_broken_event_is_told_and_passed_over() -> None:
    stream = b": note\n\n" + sse(chunk("b")) + b"data: nonsense\n\ndata: []\n\n"
    stream += sse(chunk("a", finishReason="STOP"))
    head, reader = DIALECT.stream_head(), DIALECT.stream_reader()
    head.feed(stream)
    head.finish()
    assert (head.malformed, head.good, head.done) == (True, 1, False)
    events = reader.feed(stream) + reader.finish()
    assert isinstance(events[-1], StreamEnded)


# --- errors


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (InvalidRequest("Wrong.", "Mend it.", code="invalid_value"), 400, "INVALID_ARGUMENT"),
        (Unauthenticated("Who?", "Say."), 401, "UNAUTHENTICATED"),
        (UpstreamTimeout("Late.", "Wait."), 504, "DEADLINE_EXCEEDED"),
        (UpstreamFailed("Broken.", "Wait."), 502, "UNAVAILABLE"),
        (Bug("Ours.", "Tell us."), 500, "INTERNAL"),
    ],
)
def test_errors_in_googles_shape(error: Any, status: int, word: str) -> None:
    body = DIALECT.error_body(error)
    theirs = errors.APIError(status, json.loads(body))
    assert (theirs.code, theirs.status, theirs.message) == (status, word, str(error))
    assert DIALECT.error_message(body) == str(error)
    assert DIALECT.error_message(b"[" + body + b"]") == str(error)
    assert DIALECT.error_event(error) == b"data: " + body + b"\r\n\r\n"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"no"', b"\xff", b"[" * 100_000])
def test_what_is_no_answer(body: bytes) -> None:
    assert DIALECT.error_message(body) == ""
    if body != b"{}":
        with pytest.raises(UpstreamFailed):
            DIALECT.read_answer(body)
        with pytest.raises(InvalidRequest):
            DIALECT.read_request(body)
        with pytest.raises(InvalidRequest):
            DIALECT.request_head(body)


def test_heads_and_dropped_fields() -> None:
    body = b'{"contents": [], "labels": {"team": "a", "n": 1}, "store": true}'
    head = DIALECT.request_head(body)
    assert (head.model, head.stream, head.metadata, head.user_id) == ("", None, {"team": "a"}, "")
    assert DIALECT.rewrite(body, "m", (), True) == body
    assert json.loads(DIALECT.rewrite(body, "m", ("store",), False)).keys() == {"contents", "labels"}
    assert DIALECT.answer_head(b"<html>") is None
    odd = DIALECT.answer_head(
        b'{"responseId": 5, "candidates": [{"finishReason": "STOP"}, 7], "usageMetadata": []}'
    )
    assert odd is not None
    assert (odd.id, odd.finish_reasons, odd.tokens) == (None, ["stop"], None)
