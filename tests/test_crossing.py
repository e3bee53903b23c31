"""What goes from one dialect to another and has to keep its meaning: proofs, prefills, tools, ids of calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratchet.dialects import anthropic, gemini, openai_chat, openai_responses
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
