"""How a request that has to be translated, and can't be, is refused: the field's name is the one that the app wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.recordings import recorded, request_body

from ratchet.dialects.anthropic import DIALECT as ANTHROPIC
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.gemini import DIALECT as GEMINI
from ratchet.dialects.gemini_embeddings import DIALECT as GEMINI_EMBEDDINGS
from ratchet.dialects.openai_chat import DIALECT as CHAT
from ratchet.dialects.openai_embeddings import DIALECT as EMBEDDINGS
from ratchet.dialects.openai_responses import DIALECT as RESPONSES
from ratchet.errors import InvalidRequest
from ratchet.gateway.upstream.translation import Translation

HI: Any = [{"role": "user", "content": "hi"}]
FILM: Any = {"type": "video_url", "video_url": {"url": "https://x/v.mp4"}}
LOST: Any = {"type": "input_file", "file_id": "file_1"}
LOST_BLOCK: Any = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "[1]"}}
NOVEL: Any = {"type": "novel"}


def refused(app: Dialect, provider: Dialect, body: Any, model: str = "claude-haiku-4-5") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        Translation(app, provider, json.dumps({"model": "m", **body}).encode(), began=0).request(model)
    assert caught.value.status == 400
    return caught.value


def used(name: str, call: str) -> Any:
    return {"type": "tool_use", "id": call, "name": name, "input": {}}


def gave(call: str, content: Any = "ok", **more: Any) -> Any:
    return {"type": "tool_result", "tool_use_id": call, "content": content, **more}


CHAT_NAMES: Any = [
    ({"seed": 1}, "seed"),
    ({"n": 2}, "n"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"tools": [{"type": "web_search"}]}, "tools[0] (web_search)"),
    ({"functions": [{"name": "f", "novel": 1}]}, "functions[0]"),
    ({"tools": [{"type": "function", "function": {"name": "f"}, "novel": 1}]}, "tools[0].novel"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
    ({"messages": [{"role": "user", "content": "hi", "name": "ann"}]}, "messages[0].name"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, FILM]}]}, "messages[0].content[1] (video)"),
    ({"messages": [{"role": "system", "content": [FILM]}, *HI]}, "messages[0].content[0] (video)"),
    (
        {"messages": [{"role": "system", "content": "s"}, {"role": "developer", "content": [{"type": "text", "text": "d"}, FILM]}]},
        "messages[1].content[1] (video)",
    ),
    # a thought is the first part and stands outside the content
    ({"messages": [{"role": "assistant", "reasoning_content": "hm", "content": [{"type": "text", "text": "t"}, NOVEL]}]}, "messages[0].content[1] (novel)"),
    (
        {"messages": [{"role": "assistant", "content": "wait", "tool_calls": [{**CALL, "function": {"name": "g", "arguments": "{}"}}, CALL]}]},
        "messages[0].tool_calls[1].function.arguments",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "t"}, NOVEL]}]},
        "messages[1].content[1] (novel)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "name"), CHAT_NAMES)
def test_a_chat_completions_app_reads_its_own_names(fields: Any, name: str) -> None:
    error = refused(CHAT, ANTHROPIC, {"messages": HI, **fields})
    assert (error.reason, error.param) == ("not_expressible", name)
    assert error.message.startswith(f"{name!r} can't be expressed")


RESPONSES_NAMES: Any = [
    ({"text": {"format": {"type": "json_object"}}}, "text.format"),
    ({"text": {"format": {"type": "json_object", "novel": 1}}}, "text.format.novel"),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}, "include[1]"),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    ({"previous_response_id": "r"}, "previous_response_id"),
    ({"tools": [{"type": "web_search"}]}, "tools[0] (web_search)"),
    ({"input": [{"role": "user", "content": [LOST]}]}, "input[0].content[0]"),
    ({"instructions": "be kind", "input": [{"role": "user", "content": [LOST]}]}, "input[0].content[0]"),
    ({"instructions": "be kind", "input": [{"type": "item_reference", "id": "i"}]}, "input[0] (item_reference)"),
    (
        {"instructions": "s", "input": [*HI, {"type": "reasoning", "summary": []}, {"role": "assistant", "content": "a"}, {"type": "novel"}, {"role": "user", "content": [LOST]}]},
        "input[3] (novel)",
    ),
    (
        {"input": [*HI, {"role": "assistant", "content": "a"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "[1]"}]},
        "input[2].arguments",
    ),
    (
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "t"}, LOST]}]},
        "input[1].output[1]",
    ),
    (
        {"input": [{"type": "message", "role": "assistant", "id": "m", "novel": 1, "content": [{"type": "output_text", "text": "t"}]}]},
        "input[0]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "name"), RESPONSES_NAMES)
def test_a_responses_app_reads_its_own_names(fields: Any, name: str) -> None:
    error = refused(RESPONSES, ANTHROPIC, {"input": "hi", **fields})
    assert (error.reason, error.param) == ("not_expressible", name)
    assert error.message.startswith(f"{name!r} can't be expressed")


ANTHROPIC_NAMES: Any = [
    ({"top_k": 4}, "top_k"),
    ({"mcp_servers": [{}]}, "mcp_servers"),
    ({"thinking": {"type": "adaptive", "novel": 1}}, "thinking.novel"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0] (bash_20250124)"),
    ({"output_format": {"type": "json_schema", "schema": {}, "novel": 1}}, "output_format.novel"),
    ({"output_config": {"format": {"type": "json_schema", "schema": {}, "novel": 1}}}, "output_config.format.novel"),
    ({"system": [{"type": "text", "text": "s"}, NOVEL]}, "system[1] (novel)"),
    ({"messages": [{"role": "user", "content": [NOVEL]}]}, "messages[0].content[0] (novel)"),
    ({"system": "s", "messages": [{"role": "user", "content": [LOST_BLOCK]}]}, "messages[0].content[0]"),
    ({"system": "", "messages": [{"role": "user", "content": "hi", "novel": 1}]}, "messages[0].novel"),
    (
        {
            "system": "s",
            "messages": [*HI, {"role": "assistant", "content": [used("f", "a"), used("g", "b")]}, {"role": "user", "content": [gave("a"), gave("b"), LOST_BLOCK]}],
        },
        "messages[2].content[2]",
    ),
    (
        {
            "system": "s",
            "messages": [*HI, {"role": "assistant", "content": [used("f", "a"), used("g", "b")]}, {"role": "user", "content": [gave("a"), gave("b", [{"type": "text", "text": "t"}, LOST_BLOCK])]}],
        },
        "messages[2].content[1].content[1]",
    ),
    (
        {"messages": [*HI, {"role": "assistant", "content": [used("f", "a")]}, {"role": "user", "content": [gave("a", novel=1)]}, *HI, {"role": "user", "content": "x", "novel": 2}]},
        "messages[2].content[0].novel",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "name"), ANTHROPIC_NAMES)
def test_an_anthropic_app_reads_its_own_names(fields: Any, name: str) -> None:
    error = refused(ANTHROPIC, CHAT, {"max_tokens": 9, "messages": HI, **fields})
    assert (error.reason, error.param) == ("not_expressible", name)
    assert error.message.startswith(f"{name!r} can't be expressed")


def test_names_of_what_gemini_can_not_be_told() -> None:
    tools = [{"name": "f", "input_schema": {}}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    asked: Any = {"max_tokens": 9, "messages": HI, "tools": tools, "tool_choice": choice}
    assert refused(ANTHROPIC, GEMINI, asked).param == "tool_choice.disable_parallel_tool_use"
    late: Any = {"instructions": "s", "input": [*HI, {"role": "developer", "content": "late"}]}
    assert refused(RESPONSES, GEMINI, late).param == "input[1] (role developer)"
    picture: Any = {"role": "system", "content": [{"type": "input_image", "image_url": "https://x/a.png"}]}
    assert (
        refused(RESPONSES, GEMINI, {"instructions": "s", "input": [picture]}).param == "input[0].content[0]"
    )
    nobodys: Any = {"input": [*HI, {"type": "function_call_output", "call_id": "c9", "output": "x"}]}
    error = refused(RESPONSES, GEMINI, {"instructions": "s", **nobodys})
    assert error.param == "input[1].call_id"
    assert error.message == "input[1].call_id is 'c9', a call that no message before it makes."
    result: Any = {"role": "user", "content": [gave("a", [LOST_BLOCK])]}
    said: Any = [*HI, {"role": "assistant", "content": [used("f", "a")]}, result]
    error = refused(ANTHROPIC, GEMINI, {"system": "s", "messages": said})
    assert error.param == "messages[2].content[0].content[0] (file file_1)"


def test_token_ids_are_named_where_they_stand() -> None:
    assert refused(EMBEDDINGS, GEMINI_EMBEDDINGS, {"input": [1, 2]}).param == "input"
    assert refused(EMBEDDINGS, GEMINI_EMBEDDINGS, {"input": [[1], [2]]}).param == "input[0]"
    assert refused(EMBEDDINGS, GEMINI_EMBEDDINGS, {"input": "x", "novel": 1}).param == "novel"


@pytest.mark.parametrize(
    ("app", "fields", "top"),
    [
        (CHAT, {"messages": HI, "seed": 1}, "seed"),
        (CHAT, {"messages": HI, "tools": [{"type": "web_search"}]}, "tools"),
        (CHAT, {"messages": HI, "a.b (c)": 1}, "a.b (c)"),
        (RESPONSES, {"input": "hi", "text": {"verbosity": "low"}}, "text"),
        (RESPONSES, {"input": "hi", "include": ["message.output_text.logprobs"]}, "include"),
    ],
)
def test_an_operator_is_told_which_field_to_drop_and_dropping_it_helps(
    app: Dialect, fields: Any, top: str
) -> None:
    assert f"have `{top}` dropped for a provider with `drop_fields`" in refused(app, ANTHROPIC, fields).remedy
    body = app.rewrite(json.dumps({"model": "m", **fields}).encode(), "m", [top], False)
    assert Translation(app, ANTHROPIC, body, began=0).request("claude-haiku-4-5")


def test_nobody_is_told_to_drop_the_conversation() -> None:
    error = refused(CHAT, ANTHROPIC, {"messages": [{"role": "user", "content": [FILM]}]})
    assert "drop_fields" not in error.remedy


WRONG: Any = [
    (CHAT, {"messages": "hi"}, "messages", "a list, got a text"),
    (CHAT, {"messages": ["hi"]}, "messages[0]", "an object, got a text"),
    (CHAT, {"temperature": "hot"}, "temperature", "a number, got a text"),
    (CHAT, {"temperature": True}, "temperature", "a number, got true or false"),
    (CHAT, {"max_tokens": 1.5}, "max_tokens", "an integer, got a number"),
    (CHAT, {"stop": 5}, "stop", "a text or a list, got an integer"),
    (CHAT, {"stop": [5]}, "stop[0]", "a text, got an integer"),
    (CHAT, {"tools": {}}, "tools", "a list, got an object"),
    (CHAT, {"tools": ["f"]}, "tools[0]", "an object, got a text"),
    (CHAT, {"tool_choice": 5}, "tool_choice", "a text or an object, got an integer"),
    (CHAT, {"response_format": "json"}, "response_format", "an object, got a text"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a text or a list, got an integer"),
    (CHAT, {"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]", "an object or a text, got an integer"),
    (RESPONSES, {"input": 5}, "input", "a text or a list, got an integer"),
    (RESPONSES, {"input": [None]}, "input[0]", "an object, got null"),
    (RESPONSES, {"input": [{"role": "user", "content": 5}]}, "input[0].content", "a text or a list, got an integer"),
    (RESPONSES, {"text": {"format": "json"}}, "text.format", "an object, got a text"),
    (RESPONSES, {"reasoning": {"effort": 5}}, "reasoning.effort", "a text, got an integer"),
    (ANTHROPIC, {"system": 5}, "system", "a text or a list, got an integer"),
    (ANTHROPIC, {"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a text or a list, got an integer"),
    (ANTHROPIC, {"messages": [{"role": 5, "content": "hi"}]}, "messages[0].role", "a text, got an integer"),
    (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": "x"}}, "thinking.budget_tokens", "an integer, got a text"),
    (ANTHROPIC, {"tool_choice": "auto"}, "tool_choice", "an object, got a text"),
    (EMBEDDINGS, {"input": 5}, "input", "a text or a list, got an integer"),
    (EMBEDDINGS, {"input": {}}, "input", "a text or a list, got an object"),
    (EMBEDDINGS, {"input": ["a", 1]}, "input[1]", "a text, got an integer"),
    (EMBEDDINGS, {"input": "a", "dimensions": 1.5}, "dimensions", "an integer, got a number"),
]  # fmt: skip


@pytest.mark.parametrize(("app", "fields", "name", "expected"), WRONG)
def test_what_has_the_wrong_type_is_told_so(app: Dialect, fields: Any, name: str, expected: str) -> None:
    whole = {**({"messages": HI} if app in (CHAT, ANTHROPIC) else {}), **fields}
    provider = GEMINI_EMBEDDINGS if app is EMBEDDINGS else GEMINI
    error = refused(app, provider, whole, "gemini-2.5-flash")
    assert (error.reason, error.param) == ("invalid_type", name)
    assert error.message == f"`{name}` in the request body has the wrong type: expected {expected}."


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-4-8"])
@pytest.mark.parametrize(
    ("app", "fields", "name", "expected"),
    [
        (CHAT, {"messages": HI, "tool_choice": "bogus"}, "tool_choice", "auto, none, required, any"),
        (CHAT, {"messages": HI, "reasoning_effort": "banana"}, "reasoning_effort", "none, minimal, low"),
        (RESPONSES, {"input": "hi", "reasoning": {"effort": "bogus"}}, "reasoning.effort", "none, minimal"),
        (RESPONSES, {"input": "hi", "tool_choice": "bogus"}, "tool_choice", "auto, none, required"),
    ],
)
def test_a_word_that_nobody_knows_is_told_so(
    app: Dialect, fields: Any, name: str, expected: str, model: str
) -> None:
    for provider, asked in ((ANTHROPIC, model), (GEMINI, "gemini-2.5-flash"), (GEMINI, "gemini-3-pro")):
        error = refused(app, provider, fields, asked)
        assert (error.reason, error.param) == ("invalid_value", name)
        assert expected in error.remedy


@pytest.mark.parametrize(
    ("fields", "name", "code"),
    [
        ({"thinking": {"type": "sometimes"}}, "thinking.type", "invalid_value"),
        ({"output_config": {"effort": "bogus"}}, "output_config.effort", "invalid_value"),
        ({"tool_choice": {"type": "bogus"}}, "tool_choice.type", "invalid_value"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name", "missing_required_parameter"),
        ({"tools": [{"description": "d"}]}, "tools[0].name", "missing_required_parameter"),
    ],
)
def test_what_an_anthropic_app_wrote_wrongly_is_named(fields: Any, name: str, code: str) -> None:
    error = refused(ANTHROPIC, CHAT, {"messages": HI, **fields})
    assert (error.reason, error.param) == (code, name)


def test_null_is_the_same_as_nothing() -> None:
    body: Any = {
        "model": "m",
        "messages": HI,
        "temperature": None,
        "tools": None,
        "stop": None,
        "tool_choice": None,
    }
    assert Translation(CHAT, ANTHROPIC, json.dumps(body).encode(), began=0).request("claude-haiku-4-5")


RECORDED: Any = [
    pytest.param(dialect, exchange.values[0], id=f"{dialect.name}-{exchange.id}")
    for dialect, end in ((CHAT, "/chat/completions"), (RESPONSES, "/responses"), (ANTHROPIC, "/messages"))
    for exchange in recorded(dialect.name, lambda address, end=end: address.split("?")[0].endswith(end))
    if exchange.values[0]["response"]["status"]["code"] == 200  # others the provider refused too
]


@pytest.mark.parametrize(("app", "exchange"), RECORDED)
def test_no_recorded_request_is_found_to_be_wrong(app: Dialect, exchange: Any) -> None:
    fields = json.loads(request_body(exchange))
    app.check_request(fields)  # does not raise
    assert fields["model"]
