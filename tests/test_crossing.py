"""What goes from one dialect to another and has to keep its meaning: proofs, prefills, tools, ids of calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratchet.dialects import (
    anthropic,
    gemini,
    gemini_embeddings,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.folded import fold
from ratchet.errors import InvalidRequest

ANTHROPIC, CHAT = anthropic.DIALECT, openai_chat.DIALECT
GEMINI, RESPONSES = gemini.DIALECT, openai_responses.DIALECT
QUESTION = {"role": "user", "content": "Where is my order?"}


def crossed(app: Dialect, provider: Dialect, body: Any, model: str = "m") -> Any:
    """The request that the provider gets."""
    asked = app.read_request(json.dumps({"model": model, **body}).encode())
    return json.loads(provider.write_request(asked))


def refusal(app: Dialect, provider: Dialect, body: Any, model: str = "m") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        crossed(app, provider, body, model)
    assert caught.value.reason == "not_expressible"
    return caught.value


def candidate(parts: list[Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0, **more}]}


COUNTS = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}}
SIGNED_CALLS: list[Any] = [
    {"text": "Two orders.", "thought": True, "thoughtSignature": "T0"},
    {"text": "I look."},
    {"functionCall": {"id": "c1", "name": "find", "args": {"n": 1}}, "thoughtSignature": "S1"},
    {"functionCall": {"id": "c2", "name": "find", "args": {}}},
]


def responses_output(*, streamed: bool) -> list[dict[str, Any]]:
    """What a Responses app is given of Gemini's answer with signed calls."""
    asked = RESPONSES.read_request(b'{"model": "m", "input": "hi"}')
    end = {"finishReason": "STOP"}
    if not streamed:
        body = {**candidate(SIGNED_CALLS, **end), **COUNTS, "responseId": "r", "modelVersion": "g"}
        answer = GEMINI.read_answer(json.dumps(body).encode())
        return json.loads(RESPONSES.write_answer(answer, asked))["output"]
    chunks = [candidate([part]) for part in SIGNED_CALLS] + [{**candidate([{"text": ""}], **end), **COUNTS}]
    reader, writer = GEMINI.stream_reader(), RESPONSES.stream_writer(asked)
    wire = b"".join(
        b"data: " + json.dumps({**chunk, "responseId": "r"}).encode() + b"\n\n" for chunk in chunks
    )
    stream = b"".join(map(writer.write, reader.feed(wire) + reader.finish()))
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    added = [event for event in events if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == list(range(len(done)))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["output"] == done
    again = RESPONSES.stream_reader()
    folded = fold(again.feed(stream) + again.finish(), "openai_responses")
    assert json.loads(RESPONSES.write_answer(folded, asked))["output"] == done
    return done


@pytest.mark.parametrize("streamed", [False, True])
def test_a_responses_app_brings_back_the_proof_of_geminis_calls(streamed: bool) -> None:
    output = responses_output(streamed=streamed)
    kinds = [(item["type"], item.get("encrypted_content"), item.get("summary")) for item in output]
    assert kinds == [
        ("reasoning", "gemini:T0", [{"type": "summary_text", "text": "Two orders."}]),
        ("message", None, None),
        ("reasoning", "gemini:S1", []),
        ("function_call", None, None),
        ("function_call", None, None),
    ]
    results = [{"type": "function_call_output", "call_id": known, "output": "ok"} for known in ("c1", "c2")]
    body = {"input": [{"role": "user", "content": "hi"}, *output, *results]}
    sent = crossed(RESPONSES, GEMINI, body, "gemini-3-pro-preview")
    assert sent["contents"][1]["parts"] == SIGNED_CALLS
    kept = RESPONSES.rewrite(json.dumps({"model": "m", **body}).encode(), "gpt-5", (), False)
    assert b"gemini:" not in kept


BEGUN = {"messages": [QUESTION, {"role": "assistant", "content": "It is"}], "max_tokens": 9}
SAID = {"input": BEGUN["messages"]}


@pytest.mark.parametrize(
    ("app", "provider", "body"),
    [
        (ANTHROPIC, CHAT, BEGUN),
        (ANTHROPIC, RESPONSES, BEGUN),
        (ANTHROPIC, GEMINI, BEGUN),
        (CHAT, ANTHROPIC, BEGUN),
        (CHAT, GEMINI, BEGUN),
        (RESPONSES, ANTHROPIC, SAID),
        (RESPONSES, GEMINI, SAID),
    ],
)
def test_an_answer_that_the_app_began_is_refused_where_it_would_mean_something_else(
    app: Dialect, provider: Dialect, body: Any
) -> None:
    assert refusal(app, provider, body).param == "messages[1]"
    field = "input" if "input" in body else "messages"
    nothing = {**body, field: [*body[field], {"role": "user", "content": ""}]}
    assert refusal(app, provider, nothing).param == "messages[1]"
    answered = {**body, field: [*body[field], {"role": "user", "content": "Where?"}]}
    assert "Where?" in json.dumps(crossed(app, provider, answered))


def test_openais_own_dialects_answer_an_assistants_last_message_alike() -> None:
    sent = crossed(CHAT, RESPONSES, {"messages": BEGUN["messages"]})
    assert sent["input"][1] == {"role": "assistant", "content": "It is"}
    sent = crossed(RESPONSES, CHAT, SAID)
    assert sent["messages"][1] == {"role": "assistant", "content": "It is"}


TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def chat_call(known: str, **more: Any) -> dict[str, Any]:
    call = {"id": known, "type": "function", "function": {"name": "find", "arguments": "{}"}}
    return {"role": "assistant", "content": None, "tool_calls": [call], **more}


def chat_result(known: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": known, "content": "ok"}


PROOF = {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "anthropic:EqQ="}]}
FOREIGN = {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "gemini:EqQ="}]}
LOOP = [QUESTION, chat_call("c1"), chat_result("c1")]
KEPT = [QUESTION, chat_call("c1", **PROOF), chat_result("c1")]


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        (LOOP, False),
        ([QUESTION, chat_call("c1", **FOREIGN), chat_result("c1")], False),
        ([QUESTION, chat_call("c1", content="I look."), chat_result("c1")], False),
        ([*LOOP, chat_call("c2"), chat_result("c2")], False),
        ([*LOOP, QUESTION], False),  # one turn with the result
        ([*LOOP, {"role": "assistant", "content": "There."}, QUESTION], True),
        (KEPT, True),
        ([*KEPT, chat_call("c2"), chat_result("c2")], True),
        ([QUESTION], True),
    ],
)
def test_a_budget_of_ours_waits_for_the_end_of_calls_without_thoughts(messages: Any, thinks: bool) -> None:
    asked = {"messages": messages, "tools": [TOOL], "reasoning_effort": "low"}
    old = crossed(CHAT, ANTHROPIC, asked, "claude-sonnet-4-5")
    assert ("thinking" in old) is thinks
    new = crossed(CHAT, ANTHROPIC, asked, "claude-opus-4-8")
    assert (new["thinking"], new["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})


def test_a_responses_app_that_drops_its_thoughts_goes_on_with_its_calls() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    asked = {"input": [QUESTION, call, result], "reasoning": {"effort": "high"}}
    assert "thinking" not in crossed(RESPONSES, ANTHROPIC, asked, "claude-sonnet-4-5")


@pytest.mark.parametrize("provider", [ANTHROPIC, GEMINI, CHAT])
def test_why_a_custom_tool_is_refused(provider: Dialect) -> None:
    custom = {"input": "hi", "tools": [{"type": "custom", "name": "shell"}]}
    error = refusal(RESPONSES, provider, custom)
    assert "JSON object" in error.message
    hosted = {"input": "hi", "tools": [{"type": "web_search"}]}
    assert "another provider's own" in refusal(RESPONSES, provider, hosted).message


@pytest.mark.parametrize("provider", [ANTHROPIC, GEMINI])
def test_a_schema_that_is_none_is_refused(provider: Dialect) -> None:
    asked = {"messages": [QUESTION], "response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}
    assert refusal(CHAT, provider, asked).param == "response_format"


def allowed(mode: str, names: list[str]) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return {"messages": [QUESTION], "tools": [TOOL], "tool_choice": choice}


def test_none_of_the_tools_may_be_called() -> None:
    for names in ([], ["other"]):
        sent = crossed(CHAT, ANTHROPIC, allowed("auto", names))
        assert (sent["tool_choice"], sent["tools"][0]["name"]) == ({"type": "none"}, "find")
        assert refusal(CHAT, ANTHROPIC, allowed("required", names)).param == "tool_choice"
    sent = crossed(CHAT, GEMINI, allowed("auto", []))
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}
    assert refusal(CHAT, GEMINI, allowed("required", [])).param == "tool_choice"
    sent = crossed(CHAT, ANTHROPIC, allowed("required", ["find"]))
    assert (sent["tool_choice"], len(sent["tools"])) == ({"type": "any"}, 1)


def test_ids_of_calls_stay_apart() -> None:
    def ids(messages: list[Any]) -> list[str]:
        sent = crossed(CHAT, ANTHROPIC, {"messages": messages, "tools": [TOOL]})
        blocks = [
            block
            for turn in sent["messages"]
            if isinstance(turn["content"], list)
            for block in turn["content"]
        ]
        return [block.get("id") or block["tool_use_id"] for block in blocks]

    one, other = "a.b/c", "a_b_c"
    both = chat_call(one)
    both["tool_calls"] = [*both["tool_calls"], *chat_call(other)["tool_calls"]]
    first = [QUESTION, both, chat_result(other), chat_result(one)]
    assert ids(first) == ["a_b_c", "a_b_c_2", "a_b_c_2", "a_b_c"]
    more = [*first, chat_call("a/b.c"), chat_result("a/b.c"), chat_call(""), chat_result("")]
    assert ids(more) == [*ids(first), "a_b_c_3", "a_b_c_3", "call_1", "call_1"]
    given = [QUESTION, chat_call("call_1"), chat_result("call_1"), chat_call(""), chat_result("")]
    assert ids(given) == ["call_1", "call_1", "call_2", "call_2"]


def test_an_unknown_encoding_of_vectors_is_refused() -> None:
    apps, provider = openai_embeddings.DIALECT, gemini_embeddings.DIALECT
    assert refusal(apps, provider, {"input": "hi", "encoding_format": "zz"}).param == "encoding_format"
    for known in ("float", "base64"):
        assert crossed(apps, provider, {"input": "hi", "encoding_format": known})["requests"]


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "27s"}], 27),
        ([{"links": []}, {"retryDelay": "0.5s"}], 0.5),
        ([{"retryDelay": "soon"}], None),
        ([{"retryDelay": 27}, "x"], None),
        (None, None),
    ],
)
def test_how_long_gemini_wants_an_app_to_wait(details: Any, seconds: float | None) -> None:
    body = json.dumps([{"error": {"code": 429, "details": details}}]).encode()
    for dialect in (GEMINI, gemini_embeddings.DIALECT):
        assert dialect.retry_after is not None
        assert dialect.retry_after(body) == seconds
        assert dialect.retry_after(b"no JSON") is None
