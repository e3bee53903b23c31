"""Apps that speak chat completions, served by Gemini: whole turns, streamed and not, with recorded answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from generated import requests
from ratchet.dialects import gemini, openai_chat
from ratchet.dialects.folded import fold
from ratchet.domain.generation import HostedTool, Request, Tool
from ratchet.domain.messages import ReasoningPart, TextPart, ToolCallPart
from ratchet.errors import InvalidRequest
from test_gemini_wire import STREAMED, WHOLE, answer_body, request_body, stream_body

APP, GOOGLE = openai_chat.DIALECT, gemini.DIALECT
replace = msgspec.structs.replace


def asked(**more: Any) -> dict[str, Any]:
    return {
        "model": "gemini-3-flash",
        "messages": [{"role": "user", "content": "How is the weather?"}],
    } | more


def to_google(body: Any, model: str = "gemini-3-flash") -> dict[str, Any]:
    request = replace(APP.read_request(json.dumps(body).encode()), model=model)
    return json.loads(GOOGLE.write_request(request))


@settings(deadline=None)
@given(requests("openai_chat", thinking=False, with_documents=False))
def test_an_apps_request_is_the_same_after_gemini(request: Request) -> None:
    body = APP.write_request(request)
    sent = GOOGLE.write_request(replace(APP.read_request(body), model="gemini-3-flash"))
    again = replace(GOOGLE.read_request(sent), model=request.model, stream=request.stream)
    if not again.tools:
        again = replace(again, tool_choice=request.tool_choice)  # a choice among no tools
    before, after = json.loads(body), json.loads(APP.write_request(again))
    for said in (before, after):
        for name in ("max_tokens", "max_completion_tokens"):
            said["most"] = said.pop(name, said.get("most"))
        if "response_format" in said:  # Gemini gives a schema no name, and always keeps to it
            del said["response_format"]["json_schema"]["name"]
            said["response_format"]["json_schema"].pop("strict", None)
        for message in said["messages"]:
            for call in message.get("tool_calls", []):
                call.pop("extra_content", None)  # Google's leave to send a call without a signature
    assert after == before


@pytest.mark.parametrize("exchange", WHOLE)
def test_a_recorded_answer_reaches_the_app(exchange: Any) -> None:
    request = APP.read_request(json.dumps(asked()).encode())
    answer = GOOGLE.read_answer(answer_body(exchange))
    said = json.loads(APP.write_answer(answer, request))
    message = said["choices"][0]["message"]
    parts = answer.choices[0].parts
    assert (message.get("content") or "") == "".join(
        part.content for part in parts if isinstance(part, TextPart)
    )
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    assert [
        (call["id"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or []
    ] == [(call.id, call.arguments) for call in calls]
    assert said["usage"]["prompt_tokens"] == answer.usage.input
    assert said["usage"]["completion_tokens"] == answer.usage.output
    expected = {"tool_call": "tool_calls"}.get(
        str(answer.choices[0].finish_reason), answer.choices[0].finish_reason
    )
    assert said["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize("exchange", WHOLE)
def test_the_next_turn_carries_everything_back(exchange: Any) -> None:
    """The app appends the answer as it got it, and each tool's result: Gemini gets its own calls, signatures and all."""
    request = APP.read_request(json.dumps(asked()).encode())
    recorded = exchange["response"]["parsed_body"]["candidates"][0].get("content", {}).get("parts", [])
    said = json.loads(APP.write_answer(GOOGLE.read_answer(answer_body(exchange)), request))
    message = said["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "done"}
        for call in message.get("tool_calls") or []
    ]
    more = results or [{"role": "user", "content": "So?"}]
    contents = to_google({"model": "m", "messages": [*asked()["messages"], message, *more]})["contents"]
    ours = [part for part in contents[1]["parts"] if "functionCall" in part]
    theirs = [part for part in recorded if "functionCall" in part]
    if any("thoughtSignature" in part for part in theirs):
        assert ours == theirs
    else:
        assert [part["functionCall"] for part in ours] == [part["functionCall"] for part in theirs]
    if results:
        names = [part["functionCall"]["name"] for part in recorded if "functionCall" in part]
        assert [part["functionResponse"]["name"] for part in contents[2]["parts"]] == names


@pytest.mark.parametrize("exchange", STREAMED)
def test_a_recorded_stream_reaches_the_app(exchange: Any) -> None:
    request = APP.read_request(
        json.dumps(asked(stream=True, stream_options={"include_usage": True})).encode()
    )
    reader, writer = GOOGLE.stream_reader(), APP.stream_writer(request)
    stream = stream_body(exchange)
    events = reader.feed(stream) + reader.finish()
    written = b"".join(writer.write(event) for event in events)
    again, head = APP.stream_reader(), APP.stream_head()
    head.feed(written)
    assert head.done
    told, once = fold(again.feed(written) + again.finish(), "openai_chat"), fold(events, "gemini")
    for kind in (TextPart, ReasoningPart):
        texts = [
            "".join(part.content for part in answer.choices[0].parts if isinstance(part, kind))
            for answer in (told, once)
        ]
        assert texts[0] == texts[1]
    calls = [
        [(part.id, part.name, part.arguments, part.signature) for part in answer.choices[0].parts if isinstance(part, ToolCallPart)]
        for answer in (told, once)
    ]  # fmt: skip
    assert calls[0] == calls[1]
    assert told.usage == once.usage
    assert told.choices[0].finish_reason == once.choices[0].finish_reason


def test_recorded_requests_that_chat_completions_can_say() -> None:
    """To chat completions and back nothing is lost that both can say; the rest is refused by name."""
    refused: set[str] = set()
    for exchange in (exchange.values[0] for exchange in WHOLE + STREAMED):
        request = GOOGLE.read_request(request_body(exchange))
        try:
            body = APP.write_request(replace(request, model="gpt"))
        except InvalidRequest as error:
            refused.add(error.param or "")
            continue
        again = APP.read_request(body)
        assert [message.role for message in again.messages] == [message.role for message in request.messages]
        assert [_texts(message) for message in again.messages] == [
            _texts(message) for message in request.messages
        ]
        assert [tool.name for tool in again.tools if isinstance(tool, Tool)] == [
            tool.name for tool in request.tools if isinstance(tool, Tool)
        ]
        assert not any(isinstance(tool, HostedTool) for tool in request.tools)
        assert again.max_tokens == request.max_tokens
        assert again.temperature == request.temperature
    assert refused == {
        "modelArmorConfig",
        "toolConfig.includeServerSideToolInvocations",
        "tools[0] (fileSearch)",
        "safetySettings",
        "tools[0] (googleSearch)",
        "messages[1].content[1].videoMetadata",
        "messages[0].content[1] (video)",
        "tools[0] (urlContext)",
    }


def _texts(message: Any) -> list[str]:
    return [part.content for part in message.parts if isinstance(part, TextPart) and part.content]
