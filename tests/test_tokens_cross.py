"""How likely an answer's tokens were, and how much it shall say: what both sides can express crosses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratchet.dialects import anthropic, gemini, openai_chat, openai_responses
from ratchet.dialects.dialect import Dialect
from ratchet.errors import InvalidRequest

CHAT, RESPONSES, GOOGLE = openai_chat.DIALECT, openai_responses.DIALECT, gemini.DIALECT
ASKED = {"model": "m", "messages": [{"role": "user", "content": "?"}], "logprobs": True, "top_logprobs": 2}
ASKED_RESPONSES = {"model": "m", "input": "?", "include": ["message.output_text.logprobs"], "top_logprobs": 2}


def google_tokens(*words: tuple[str, float]) -> dict[str, Any]:
    return {
        "chosenCandidates": [{"token": word, "tokenId": 7, "logProbability": said} for word, said in words],
        "topCandidates": [
            {"candidates": [{"token": word, "logProbability": said}, {"token": "No", "logProbability": -3}]}
            for word, said in words
        ],
    }


def entry(token: str, said: float, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": said, "bytes": list(token.encode()), **more}


def entries(*words: tuple[str, float]) -> list[dict[str, Any]]:
    return [entry(word, said, top_logprobs=[entry(word, said), entry("No", -3)]) for word, said in words]


WORDS = ("Yé", -0.25), ("s", 0.0)
GOOGLE_ANSWER = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "so", "thought": True}, {"text": "Yés"}]},
            "finishReason": "STOP",
            "logprobsResult": google_tokens(*WORDS),
        }
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r",
}
CHAT_ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yés", "refusal": None},
            "logprobs": {"content": entries(*WORDS), "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def crossed(app: Dialect, asked: dict[str, Any], provider: Dialect, answer: dict[str, Any]) -> Any:
    request = app.read_request(json.dumps(asked).encode())
    return json.loads(app.write_answer(provider.read_answer(json.dumps(answer).encode()), request))


def streamed(
    app: Dialect, asked: dict[str, Any], provider: Dialect, events: list[dict[str, Any]]
) -> list[Any]:
    reader, writer = provider.stream_reader(), app.stream_writer(app.read_request(json.dumps(asked).encode()))
    wire = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    if provider is CHAT:
        wire += b"data: [DONE]\n\n"
    written = b"".join(map(writer.write, [*reader.feed(wire), *reader.finish()])).decode()
    lines = [line.removeprefix("data: ") for line in written.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_geminis_tokens_reach_apps_of_both_dialects() -> None:
    chat = crossed(CHAT, ASKED, GOOGLE, GOOGLE_ANSWER)["choices"][0]
    assert chat["message"]["content"] == "Yés"
    assert chat["logprobs"] == {"content": entries(*WORDS), "refusal": None}
    said = crossed(RESPONSES, ASKED_RESPONSES, GOOGLE, GOOGLE_ANSWER)["output"][-1]["content"][0]
    assert (said["text"], said["logprobs"]) == ("Yés", entries(*WORDS))


def test_geminis_own_answer_is_the_same_there_and_back() -> None:
    answer = json.dumps(GOOGLE_ANSWER).encode()
    asked = GOOGLE.read_request(b'{"contents": []}')
    assert json.loads(GOOGLE.write_answer(GOOGLE.read_answer(answer), asked)) == GOOGLE_ANSWER


def test_each_token_of_geminis_stream_arrives_once_with_its_text() -> None:
    def event(word: str, said: float, **ends: Any) -> dict[str, Any]:
        content = {"role": "model", "parts": [{"text": word}]}
        told = {"content": content, "logprobsResult": google_tokens((word, said)), **ends}
        return {**GOOGLE_ANSWER, "candidates": [told]}

    events = [event(*WORDS[0]), event(*WORDS[1], finishReason="STOP")]
    choices = [piece["choices"][0] for piece in streamed(CHAT, ASKED, GOOGLE, events) if piece["choices"]]
    told = [
        (choice["delta"]["content"], choice["logprobs"]["content"])
        for choice in choices
        if choice.get("logprobs")
    ]
    assert told == [(word, entries((word, said))) for word, said in WORDS]
    deltas = [
        (piece["delta"], piece["logprobs"])
        for piece in streamed(RESPONSES, ASKED_RESPONSES, GOOGLE, events)
        if piece["type"] == "response.output_text.delta"
    ]
    assert deltas == told


def test_a_look_alikes_tokens_reach_an_app_that_speaks_responses() -> None:
    said = crossed(RESPONSES, ASKED_RESPONSES, CHAT, CHAT_ANSWER)["output"][0]["content"][0]
    assert (said["text"], said["logprobs"]) == ("Yés", entries(*WORDS))


def test_a_look_alikes_stream_of_tokens_too() -> None:
    def chunk(delta: dict[str, Any], tokens: Any, reason: str | None = None) -> dict[str, Any]:
        logprobs = {"content": tokens, "refusal": None} if tokens else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    chunks = [chunk({"role": "assistant", "content": word}, entries((word, said))) for word, said in WORDS]
    written = streamed(RESPONSES, ASKED_RESPONSES, CHAT, [*chunks, chunk({}, None, "stop")])
    deltas = [piece["logprobs"] for piece in written if piece["type"] == "response.output_text.delta"]
    assert deltas == [entries(word) for word in WORDS]
    (done,) = [piece for piece in written if piece["type"] == "response.output_text.done"]
    assert done["logprobs"] == entries(*WORDS)


@pytest.mark.parametrize("how", ["low", "high"])
def test_verbosity_crosses_between_openais_dialects_and_is_refused_elsewhere(how: str) -> None:
    chat = CHAT.read_request(json.dumps({**ASKED, "verbosity": how}).encode())
    assert json.loads(RESPONSES.write_request(chat))["text"] == {"verbosity": how}
    responses = RESPONSES.read_request(json.dumps({**ASKED_RESPONSES, "text": {"verbosity": how}}).encode())
    assert json.loads(CHAT.write_request(responses))["verbosity"] == how
    plain = CHAT.read_request(json.dumps({"model": "m", "messages": [], "verbosity": how}).encode())
    for other in (anthropic.DIALECT, GOOGLE):
        with pytest.raises(InvalidRequest) as caught:
            other.write_request(plain)
        assert caught.value.param == "verbosity"


@pytest.mark.parametrize("other", [anthropic.DIALECT, GOOGLE, RESPONSES])
def test_asking_for_text_as_always_is_no_reason_to_refuse(other: Dialect) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}]}
    plain, said = (
        CHAT.read_request(json.dumps({**body, **more}).encode()) for more in ({}, {"modalities": ["text"]})
    )
    assert other.write_request(said) == other.write_request(plain)
