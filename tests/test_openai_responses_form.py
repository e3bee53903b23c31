"""The Responses dialect there and back: what a request, an answer and a stream can say, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated import answers, requests
from ratchet.dialects.folded import fold, unfold
from ratchet.dialects.openai_chat import DIALECT as CHAT
from ratchet.dialects.openai_responses import DIALECT
from ratchet.domain.generation import (
    Answer,
    ChoiceEnded,
    HostedTool,
    OutputFormat,
    PartDelta,
    PartStarted,
    Request,
    StreamFailed,
    StreamStarted,
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
from ratchet.errors import InvalidRequest, UpstreamFailed

NAME = "openai_responses"
ASKED = Request(dialect=NAME, model="m", messages=[])
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
    "content": [{"type": "reasoning_text", "text": "c"}],
    "encrypted_content": "proof",
    "status": "completed",
}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "commentary",
    "content": [
        {"type": "output_text", "text": "x", "annotations": [{"type": "url_citation"}], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ],
}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"a": 1}',
    "status": "completed",
}


def read(body: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", **body}).encode())


def written(request: Request) -> dict[str, Any]:
    return json.loads(DIALECT.write_request(request))


def there_and_back(body: Any) -> dict[str, Any]:
    again = written(read(body))
    assert again.pop("model") == "m"
    return again


def foreign(**fields: Any) -> Request:
    given: dict[str, Any] = {"messages": [Message("user", [TextPart("hi")])]}
    return Request(dialect="anthropic", model="m", **{**given, **fields})


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
        {"role": "user", "content": []},
        {"role": "user", "content": None},
        {"id": "msg_1", "type": "message", "status": "completed", "role": "developer", "content": [{"type": "input_text", "text": "hi"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/a.png", "detail": "low", "file_id": None}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
        {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
        {"role": "user", "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}]},
        {"role": "user", "content": [{"type": "input_file", "file_data": "AAAA"}]},
        {"role": "user", "content": [{"type": "input_file", "file_url": "https://x/a.pdf"}]},
        {"role": "user", "content": [{"type": "input_file", "file_id": "file-1", "filename": None}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]},
        {"role": "user", "content": [{"type": "hologram"}, "loose", 7]},
        {"role": "critic", "content": "hm"},
        {"role": "assistant", "content": "hi", "phase": "final_answer"},
        {"type": "message", "role": "assistant", "content": "hi"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"type": "message", "id": "m", "role": "assistant", "content": "hi"},
        {"type": "message", "id": "m", "role": "assistant", "content": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}], "novel": 1},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}, {"type": "novel"}]},
        MESSAGE,
        REASONING,
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "summary": [], "encrypted_content": None, "content": []},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": ""}]},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "c"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a", "novel": 1}]},
        {"type": "reasoning", "summary": None},
        CALL,
        {**CALL, "arguments": "not json"},
        {**CALL, "arguments": ""},
        {**CALL, "arguments": None},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "f", "input": "SELECT 1"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "ok"},
        {"type": "function_call_output", "call_id": "call_1", "output": "", "id": "fco_1", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x/a.png"}]},
        {"type": "function_call_output", "call_id": "call_1", "output": {"odd": 1}},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        "loose",
        None,
    ],
)  # fmt: skip
def test_an_item_comes_back_the_same_among_others(item: Any) -> None:
    for items in ([item], [item, item], [REASONING, item, CALL, MESSAGE, item], [MESSAGE, item]):
        assert there_and_back({"input": items}) == {"input": items}


@pytest.mark.parametrize(
    "body",
    [
        {"input": "hi"},
        {},
        {"input": None},
        {"input": 7},
        {"input": [], "instructions": "Be brief."},
        {"input": [{"role": "system", "content": "Be brief."}]},
        {"input": [{"role": "system", "content": "Be brief."}], "instructions": None},
        {"input": [{"role": "system", "content": "Be brief."}], "instructions": "And kind."},
        {"input": [{"role": "system", "content": "Be brief."}], "instructions": ""},
        {"input": "hi", "stream": False, "background": False, "truncation": "disabled", "previous_response_id": None},
        {"input": "hi", "stream": True, "stream_options": {"include_obfuscation": False}},
        {"input": "hi", "background": True, "truncation": "auto", "conversation": "conv_1", "prompt": {"id": "p"}},
        {"input": "hi", "text": {"format": {"type": "text"}}, "reasoning": {}},
        {"input": "hi", "text": {}},
        {"input": "hi", "text": {"verbosity": "medium"}},
        {"input": "hi", "text": {"verbosity": "low", "format": {"type": "json_object"}}},
        {"input": "hi", "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True, "description": None}}},
        {"input": "hi", "text": {"format": {"type": "novel", "x": 1}}},
        {"input": "hi", "reasoning": {"effort": "low", "summary": "auto"}},
        {"input": "hi", "reasoning": {"effort": "low", "summary": "detailed", "context": "auto", "mode": "pro"}},
        {"input": "hi", "reasoning": {"context": "all_turns", "mode": "standard"}},
        {"input": "hi", "reasoning": {"context": "current_turn"}},
        {"input": "hi", "reasoning": {"generate_summary": "concise", "summary": None, "effort": None}},
        {"input": "hi", "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 3},
        {"input": "hi", "include": []},
        {"input": "hi", "user": "u", "safety_identifier": "s", "metadata": {"a": "b"}, "service_tier": "flex"},
        {"input": "hi", "safety_identifier": "s", "metadata": None, "store": False},
        {"input": "hi", "temperature": 0.5, "top_p": 1, "max_output_tokens": 20, "parallel_tool_calls": False},
        {"input": "hi", "temperature": "warm", "max_output_tokens": True, "stream": "yes"},
        {"input": "hi", "tools": []},
        {"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": None, "strict": None, "description": "d"}]},
        {"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True, "defer_loading": True}]},
        {"input": "hi", "tools": [{"type": "web_search"}, {"type": "custom", "name": "c"}], "tool_choice": {"type": "web_search"}},
        {"input": "hi", "tools": [7], "tool_choice": 7},
        {"input": "hi", "tool_choice": {"type": "function", "name": "f"}},
        {"input": "hi", "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}},
        {"input": "hi", "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]}},
        {"input": "hi", "tool_choice": "novel"},
    ],
)  # fmt: skip
def test_a_request_comes_back_the_same(body: Any) -> None:
    assert there_and_back(body) == body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["type", "role", "content", "text", "id", "status", "phase", "summary", "encrypted_content", "call_id", "name",
     "arguments", "output", "input", "image_url", "file_id", "file_data", "filename", "annotations", "refusal"]
)  # fmt: skip
VALUES = JSON | st.sampled_from(
    ["message", "reasoning", "function_call", "function_call_output", "input_text", "output_text", "input_image",
     "input_file", "summary_text", "user", "assistant", "system", "{}", "data:a/b;base64,AA"]
)  # fmt: skip
ITEMS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=15,
)


@given(st.lists(ITEMS, max_size=4), st.dictionaries(st.sampled_from(["text", "tools", "reasoning", "instructions", "user", "stream", "include", "background"]), ITEMS, max_size=4))  # fmt: skip
def test_whatever_a_request_holds_comes_back_the_same(items: list[Any], more: dict[str, Any]) -> None:
    body = {"input": items, **more}
    assert there_and_back(body) == body


def test_what_the_assistant_did_in_a_row_is_one_message() -> None:
    result = {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
    request = read({"input": [{"role": "user", "content": "hi"}, REASONING, MESSAGE, CALL, result, MESSAGE]})
    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "assistant"]
    thoughts, said = request.messages[1].parts[:3], request.messages[1].parts[3:]
    assert [part.content for part in thoughts if isinstance(part, ReasoningPart)] == ["a", "b", "c"]
    assert isinstance(thoughts[-1], ReasoningPart)
    assert (thoughts[-1].signature, thoughts[-1].origin) == ("proof", NAME)
    assert [type(part) for part in said] == [TextPart, RefusalPart, ToolCallPart]
    assert isinstance(said[2], ToolCallPart)
    assert (said[2].id, said[2].name, said[2].arguments) == ("call_1", "f", {"a": 1})
    assert said[2].extra is not None
    assert said[2].extra["id"] == "fc_1"


def test_changed_arguments_are_written_as_they_now_are() -> None:
    request = read({"input": [CALL]})
    call = request.messages[0].parts[0]
    changed = msgspec.structs.replace(call, arguments={"a": "masked"})
    request = msgspec.structs.replace(request, messages=[Message("assistant", [changed])])
    assert written(request)["input"][0]["arguments"] == '{"a":"masked"}'


def test_parameters_stand_where_every_dialect_finds_them() -> None:
    request = read(
        {
            "instructions": "Be brief.",
            "input": "hi",
            "max_output_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "parallel_tool_calls": False,
            "include": ["message.output_text.logprobs"],
            "top_logprobs": 2,
            "safety_identifier": "u1",
            "service_tier": "flex",
            "stream": True,
            "reasoning": {"effort": "high", "summary": "detailed"},
            "text": {
                "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
            },
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
            "tool_choice": {"type": "function", "name": "f"},
        }
    )
    assert [(message.role, message.parts) for message in request.messages] == [
        ("system", [TextPart("Be brief.")]),
        ("user", [TextPart("hi")]),
    ]
    assert (request.max_tokens, request.temperature, request.top_p) == (9, 0.5, 0.9)
    assert (request.parallel_tool_calls, request.logprobs, request.top_logprobs) == (False, True, 2)
    assert (request.user, request.service_tier, request.stream, request.include_usage) == (
        "u1",
        "flex",
        True,
        True,
    )
    assert request.thinking is not None
    assert (request.thinking.effort, request.thinking.show) == ("high", True)
    assert request.output == OutputFormat(
        kind="json_schema", name="n", schema={"type": "object"}, strict=True
    )
    assert request.tools == [Tool(name="f", parameters={"type": "object"}, strict=True)]
    assert request.tool_choice == ToolChoice(mode="tool", name="f")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"stop": ["x"]}, "stop"),
        ({"seed": 1}, "seed"),
        ({"top_k": 4}, "top_k"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"choices": 2}, "n"),
        ({"service_tier": "novel"}, "service_tier (novel)"),
        ({"extra": {"container": "c"}}, "container"),
        ({"tools": [HostedTool(kind="bash_20250124", definition={})]}, "tools[0] (bash_20250124)"),
        ({"messages": [Message("user", [TextPart("hi")], "ann")]}, "messages[0].name"),
        ({"messages": [Message("user", [UriPart("video", "https://x/v")])]}, "messages[0].content[0] (video)"),
        ({"messages": [Message("user", [FilePart("document", "file_1")])]}, "messages[0].content[0]"),
        ({"messages": [Message("user", [BlobPart("audio", "AA", "audio/flac")])]}, "messages[0].content[0] (audio)"),
        ({"messages": [Message("user", [GenericPart("search_result", {})])]}, "messages[0].content[0] (search_result)"),
        ({"messages": [Message("assistant", [BlobPart("image", "AA", "image/png")])]}, "messages[0].content[0] (image)"),
    ],
)  # fmt: skip
def test_what_this_dialect_has_no_word_for_is_refused_by_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.write_request(foreign(**fields))
    assert (caught.value.param, caught.value.reason) == (name, "not_expressible")


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": []},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "choices": 1, "logprobs": False, "top_logprobs": 0},
        {"extra": {"cache_control": {"type": "ephemeral"}, "unset": None}},
        {"thinking": Thinking(mode="adaptive")},
    ],
)
def test_what_says_nothing_is_not_refused(fields: dict[str, Any]) -> None:
    body = written(foreign(**fields))
    assert body == {"model": "m", "input": [{"role": "user", "content": "hi"}], "store": False}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"reasoning": {"context": "current_turn"}}, "reasoning.context"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [{"type": "web_search"}]}, "tools[0] (web_search)"),
        ({"tools": [{"type": "custom", "name": "c"}]}, "tools[0] (custom)"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "messages[0].content[0] (item_reference)"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}]}, "messages[0].content[0].type"),
    ],
)  # fmt: skip
def test_what_only_this_dialect_can_say_is_refused_elsewhere_by_name(body: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CHAT.write_request(read(body))
    assert (caught.value.param, caught.value.reason) == (name, "not_expressible")


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": None, "background": False, "truncation": "disabled", "stream": False},
        {"store": True, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k"},
        {"text": {"verbosity": "medium"}, "reasoning": {"context": "all_turns", "summary": "detailed"}},
        {"instructions": "", "tools": [], "metadata": {}, "safety_identifier": None},
    ],
)
def test_what_says_no_more_than_its_absence_is_not_refused_elsewhere(body: dict[str, Any]) -> None:
    written_there = json.loads(CHAT.write_request(read({"input": "hi", **body})))
    assert written_there == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        (Thinking(effort="minimal"), {"effort": "minimal"}),
        (Thinking(mode="on", budget=1024), {"effort": "low"}),
        (Thinking(mode="on", budget=8192, show=True), {"effort": "medium", "summary": "auto"}),
        (Thinking(mode="on", budget=9000), {"effort": "high"}),
        (Thinking(mode="off"), {"effort": "none"}),
        (Thinking(budget=0), {"effort": "none"}),
        (Thinking(mode="adaptive", effort="max"), {"effort": "max"}),
    ],
)
def test_how_much_another_dialect_lets_a_model_think(thinking: Thinking, reasoning: dict[str, Any]) -> None:
    assert written(foreign(thinking=thinking))["reasoning"] == reasoning


def test_only_thoughts_that_openai_signed_are_sent_back() -> None:
    thoughts: list[Part] = [
        ReasoningPart("theirs", "s", "anthropic"),
        ReasoningPart("nobody's"),
        ReasoningPart("ours", "proof", NAME),
        ReasoningPart("", "hidden", NAME),
    ]
    said = [Message("assistant", [*thoughts, TextPart("hi")]), Message("user", [TextPart("well?")])]
    body = written(foreign(messages=said))
    summary = [{"type": "summary_text", "text": "ours"}]
    assert body["input"] == [
        {"type": "reasoning", "summary": summary, "encrypted_content": "proof"},
        {"type": "reasoning", "summary": [], "encrypted_content": "hidden"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "well?"},
    ]
    assert body["include"] == ["reasoning.encrypted_content"]
    tagged = {"type": "reasoning", "summary": [], "encrypted_content": "anthropic:s"}
    request = read({"input": [tagged]})
    assert request.messages[0].parts == [ReasoningPart("", "s", "anthropic")]
    assert written(request)["input"] == []  # OpenAI can't check another vendor's proof


def test_calls_without_an_id_find_their_results() -> None:
    body = written(
        foreign(
            messages=[
                Message("assistant", [ToolCallPart(None, "f", {}), ToolCallPart(None, "g", {})]),
                Message("tool", [ToolCallResponsePart(None, {"a": 1}, "g")]),
                Message("tool", [ToolCallResponsePart(None, "x", "f")]),
            ]
        )
    )
    assert [item["call_id"] for item in body["input"]] == ["call_1", "call_2", "call_2", "call_1"]
    assert [item.get("output") for item in body["input"]] == [None, None, '{"a":1}', "x"]


def test_what_openais_dialects_share_crosses_between_them() -> None:
    request = Request(
        dialect="openai_chat",
        model="m",
        messages=[
            Message(
                "user",
                [UriPart("image", "https://x/a.png", extra={"detail": "low"}), FilePart("document", "f")],
            )
        ],
        extra={"store": True, "prompt_cache_key": "k"},
    )
    body = written(request)
    assert (body["store"], body["prompt_cache_key"]) == (True, "k")
    assert body["input"][0]["content"] == [
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"},
        {"type": "input_file", "file_id": "f"},
    ]


def plain(request: Request, *, thoughts: bool) -> Request:
    """What is left of a request that crossed: all that both dialects can say."""
    messages = [
        Message(
            message.role, [part for part in message.parts if thoughts or not isinstance(part, ReasoningPart)]
        )
        for message in request.messages
    ]
    tools = [
        msgspec.structs.replace(tool, strict=tool.strict or None) if isinstance(tool, Tool) else tool
        for tool in request.tools
    ]
    return msgspec.structs.replace(
        request,
        dialect=NAME,
        messages=[message for message in messages if message.parts],
        tools=tools,
        stop=None,
        include_usage=request.stream,
        logprobs=None,
        extra=None,
    )


@given(requests(NAME, signed_by=NAME, pictures_in_results=True))
def test_a_made_up_request_of_this_dialect_comes_back_the_same(request: Request) -> None:
    request = plain(request, thoughts=True)
    assert DIALECT.read_request(DIALECT.write_request(request)) == request


@given(st.data())
def test_a_made_up_request_of_another_dialect_crosses_whole(data: st.DataObject) -> None:
    signed = data.draw(st.sampled_from([NAME, "anthropic", None]))
    drawn = requests(
        data.draw(st.sampled_from(["openai_chat", "anthropic", "gemini"])),
        signed_by=signed,
        pictures_in_results=True,
    )
    request = msgspec.structs.replace(data.draw(drawn), stop=None)
    read_back = DIALECT.read_request(DIALECT.write_request(request))
    assert plain(read_back, thoughts=True) == plain(request, thoughts=signed == NAME)


# Answers and streams.


def bare(answer: Answer) -> Answer:
    """An answer without what only this dialect tells."""
    choices = [
        Message(
            message.role,
            [
                part if isinstance(part, GenericPart) else msgspec.structs.replace(part, extra=None)
                for part in message.parts
            ],
            None,
            message.finish_reason,
        )
        for message in answer.choices
    ]
    return msgspec.structs.replace(answer, dialect="", id="", choices=choices, service_tier=None, extra=None)


@given(
    answers("anthropic", signed_by="anthropic", refusals=True) | answers(NAME, signed_by=NAME, refusals=True)
)
def test_a_made_up_answer_comes_back_the_same(answer: Answer) -> None:
    read_back = DIALECT.read_answer(DIALECT.write_answer(answer, ASKED))
    usage = answer.usage
    counted = msgspec.structs.replace(answer, usage=Usage(usage.input, usage.output, usage.cached or 0, 0, usage.reasoning or 0), created=answer.created or 0)  # fmt: skip
    assert bare(read_back) == bare(counted)
    assert read_back.id == (answer.id if answer.dialect == NAME else f"resp_{answer.id}")


@given(answers("gemini", signed_by="gemini", refusals=True) | answers(NAME, signed_by=NAME, refusals=True))
def test_a_made_up_stream_says_what_the_whole_answer_says(answer: Answer) -> None:
    writer, reader = DIALECT.stream_writer(ASKED), DIALECT.stream_reader()
    stream = b"".join(writer.write(event) for event in unfold(answer))
    folded = fold(reader.feed(stream) + reader.finish(), NAME)
    whole = DIALECT.read_answer(
        DIALECT.write_answer(msgspec.structs.replace(answer, dialect="gemini"), ASKED)
    )
    assert folded == whole
    head = DIALECT.stream_head()
    head.feed(stream)
    assert (head.done, head.finish_reasons) == (True, [answer.choices[0].finish_reason])
    assert head.tokens == whole.usage


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_call", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("error", "failed", None),
    ],
)
def test_how_an_answer_ended(reason: str, status: str, details: Any) -> None:
    part = ToolCallPart("call_1", "f", {}) if reason == "tool_call" else TextPart("hi")
    message = Message("assistant", [part], None, reason)
    answer = Answer(dialect="anthropic", id="a", model="m", choices=[message], usage=Usage(1, 2))
    body = json.loads(DIALECT.write_answer(answer, ASKED))
    assert (body["status"], body["incomplete_details"]) == (status, details)
    assert bool(body["error"]) == (status == "failed")
    assert body["output"][0]["status"] == ("incomplete" if status == "incomplete" else "completed")
    encoded = json.dumps(body).encode()
    assert DIALECT.read_answer(encoded).choices[0].finish_reason == reason
    head = DIALECT.answer_head(encoded)
    assert head is not None
    assert head.finish_reasons == [reason]


def test_a_written_answer_repeats_what_was_asked() -> None:
    request = read(
        {
            "instructions": "Be brief.",
            "input": "hi",
            "max_output_tokens": 9,
            "temperature": 0.5,
            "metadata": {"a": "b"},
            "reasoning": {"effort": "low", "summary": "detailed"},
            "text": {"format": {"type": "json_object"}},
            "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
            "tool_choice": "required",
            "safety_identifier": "s",
        }
    )
    answer = Answer(dialect="anthropic", id="msg_1", model="c", choices=[], usage=Usage(), created=5)
    body = json.loads(DIALECT.write_answer(answer, request))
    assert (body["id"], body["object"], body["created_at"], body["model"]) == (
        "resp_msg_1",
        "response",
        5,
        "c",
    )
    assert (body["instructions"], body["max_output_tokens"], body["temperature"]) == ("Be brief.", 9, 0.5)
    assert (body["metadata"], body["safety_identifier"]) == ({"a": "b"}, "s")
    assert body["reasoning"] == {"effort": "low", "summary": "detailed"}
    assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "medium"}
    assert (body["tool_choice"], body["tools"][0]["name"]) == ("required", "f")
    assert (body["store"], body["top_p"], body["parallel_tool_calls"], body["output"]) == (
        False,
        1.0,
        True,
        [],
    )


def test_another_vendors_thought_goes_to_the_app_and_comes_back() -> None:
    thought = ReasoningPart("hm", "proof", "gemini")
    message = Message("assistant", [thought, TextPart("hi")], None, "stop")
    answer = Answer(dialect="gemini", id="a", model="m", choices=[message], usage=Usage())
    body = json.loads(DIALECT.write_answer(answer, ASKED))
    assert body["output"][0]["encrypted_content"] == "gemini:proof"
    [again] = read({"input": body["output"]}).messages
    assert bare(msgspec.structs.replace(answer, choices=[again])).choices[0].parts == message.parts


@pytest.mark.parametrize(
    ("proof", "kept"),
    [("gAAAA", True), ("openai_responses:x", True), ("novel:x", True), (None, True), ("gemini:x", False), ("openai_chat:", False)],
)  # fmt: skip
def test_thoughts_of_other_models_never_reach_openai(proof: str | None, kept: bool) -> None:
    thought = {"type": "reasoning", "summary": [], "encrypted_content": proof}
    said = {"role": "user", "content": '"encrypted_content": "gemini:x"'}
    body = json.dumps({"model": "route", "input": [said, thought, CALL]}).encode()
    again = json.loads(DIALECT.rewrite(body, "gpt-5", (), True))
    assert again == {"model": "gpt-5", "input": [said, thought, CALL] if kept else [said, CALL]}
    odd = b'{"model": "route", "input": {"encrypted_content": "gemini:x"}}'
    assert DIALECT.rewrite(odd, "gpt-5", (), False) == odd.replace(b"route", b"gpt-5")


def test_a_thought_that_nobody_signed_is_known_as_such_when_it_comes_back() -> None:
    message = Message("assistant", [ReasoningPart("hm"), TextPart("hi")], None, "stop")
    answer = Answer(dialect="openai_chat", id="a", model="m", choices=[message], usage=Usage())
    body = json.loads(DIALECT.write_answer(answer, ASKED))
    sent = json.dumps({"model": "route", "input": body["output"]}).encode()
    assert [item["type"] for item in json.loads(DIALECT.rewrite(sent, "m", (), False))["input"]] == [
        "message"
    ]
    thought = DIALECT.read_request(sent).messages[0].parts[0]
    assert isinstance(thought, ReasoningPart)
    assert (thought.content, thought.signature, thought.origin) == ("hm", None, None)
    again = DIALECT.write_request(DIALECT.read_request(sent))
    assert [item["type"] for item in json.loads(again)["input"]] == ["message"]


def test_a_provider_that_fails_inside_its_stream() -> None:
    writer = DIALECT.stream_writer(ASKED)
    events = [
        StreamStarted(id="a", model="m"),
        PartStarted(0, 0, TextPart("")),
        PartDelta(0, 0, "hi"),
        StreamFailed("Overloaded.", "overloaded"),
        PartDelta(0, 0, "more"),
    ]
    stream = b"".join(writer.write(event) for event in events)
    assert stream.count(b"event: response.failed") == 1
    assert b"more" not in stream
    head, reader = DIALECT.stream_head(), DIALECT.stream_reader()
    head.feed(stream)
    assert (head.error["message"], head.error["code"], head.finish_reasons) == (
        "Overloaded.",
        "overloaded",
        ["error"],
    )
    read_events = reader.feed(stream)
    assert StreamFailed("Overloaded.", "overloaded") in read_events
    assert ChoiceEnded(0, "error") in read_events
    with pytest.raises(UpstreamFailed, match="Overloaded"):
        fold(read_events, NAME)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "c", "message": "Boom.", "param": None, "sequence_number": 1},
        {"type": "error", "error": {"type": "server_error", "code": "c", "message": "Boom."}},
    ],
)
def test_an_error_event_in_either_shape(event: dict[str, Any]) -> None:
    stream = b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"
    assert DIALECT.stream_reader().feed(stream) == [StreamFailed("Boom.", "c")]
    head = DIALECT.stream_head()
    head.feed(stream)
    assert head.error["message"] == "Boom."


def test_our_own_errors_in_openais_shape() -> None:
    error = InvalidRequest("Wrong.", "Mend it.", code="odd", param="input")
    assert json.loads(DIALECT.error_body(error))["error"]["param"] == "input"
    stream = DIALECT.error_event(error)
    assert stream.startswith(b"event: error\ndata: ")
    assert json.loads(stream.split(b"data: ")[1]) == {
        "type": "error",
        "code": "odd",
        "message": "Wrong. Mend it.",
        "param": "input",
        "sequence_number": 0,
    }


def test_items_that_only_the_last_event_tells() -> None:
    response = {"id": "resp_1", "model": "m", "status": "completed", "output": [REASONING, MESSAGE, CALL]}
    stream = b"data: " + json.dumps({"type": "response.completed", "response": response}).encode() + b"\n\n"
    folded = fold(DIALECT.stream_reader().feed(stream), NAME)
    assert folded == DIALECT.read_answer(json.dumps(response).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"7", b"[" * 100_000])
def test_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.read_request(body)
    with pytest.raises(UpstreamFailed):
        DIALECT.read_answer(body)
    assert DIALECT.answer_head(body) is None
    assert DIALECT.error_message(body) == ""


@pytest.mark.parametrize(
    ("body", "param"),
    [(b'{"input": "hi"}', "model"), (b'{"model": 7}', "model"), (b'{"model": "m", "stream": "yes"}', "stream"), (b'{"model": "m", "metadata": {"a": 1}}', "metadata")],
)  # fmt: skip
def test_a_head_names_what_is_wrong(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.request_head(body)
    assert caught.value.param == param


def test_a_request_is_changed_as_little_as_can_be() -> None:
    body = b'{ "model" : "route",  "input": "hi", "store": true }'
    assert DIALECT.rewrite(body, "gpt-5", (), True) == body.replace(b'"route"', b'"gpt-5"')
    assert json.loads(DIALECT.rewrite(body, "gpt-5", ["store"], False)) == {"model": "gpt-5", "input": "hi"}
