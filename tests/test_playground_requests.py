"""A column as a request and as code, and drafts from forms, spans and versions. No process, no store."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain.messages import Message, TextPart, ToolCallPart, ToolCallResponsePart
from ratchet.domain.playground import RAW, Column, DraftMessage, DraftState
from ratchet.domain.prompts import PromptVersion, Template, TemplateExample, TemplateMessage
from ratchet.domain.spans import Span
from ratchet.errors import InvalidRequest
from ratchet.studio.drafting import (
    MOST_COLUMNS,
    changed_by,
    from_span,
    from_version,
    read_form,
    title_of,
    variables_needed,
)
from ratchet.studio.requesting import as_code, request_body, request_hash, variables_of

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
VERSION = PromptVersion(
    project_id="default",
    prompt="support",
    number=3,
    hash="",
    template=Template(
        messages=[TemplateMessage(role="system", content="Be brief."), TemplateMessage(role="user", content="{{ q }}")],
        examples=[TemplateExample(input="Hi", output="Hello.")],
        model="support",
        parameters={"temperature": 0.5, "seed": 7},
    ),
    author="ada",
    created=0,
)  # fmt: skip


def column(*messages: tuple[str, str], **fields: Any) -> Column:
    said = [DraftMessage(role, content) for role, content in messages or [("user", "Hi")]]
    return Column(**{"id": 1, "model": "simulator/m", **fields, "messages": said})


def body(asked: Column, variables: dict[str, str] | None = None, version: PromptVersion | None = None) -> Any:
    found = request_body(asked, variables or {}, version)
    assert found.pop("stream") is True
    assert found.pop("stream_options") == {"include_usage": True}
    return found


# -- requests ------------------------------------------------------------------------------------------------------


def test_variables_fill_in_the_messages_and_those_of_other_columns_are_left_out() -> None:
    found = body(
        column(("system", "Be {{ tone }}."), ("user", "{{ q }}")), {"q": "Hi", "tone": "kind", "other": "x"}
    )
    assert found == {
        "model": "simulator/m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
    }


def test_parameters_tools_schema_and_further_fields_are_sent_as_what_they_are() -> None:
    found = body(
        column(
            temperature=" 0.7 ", max_tokens="20", top_p="1", more='{"seed": 7, "reasoning_effort": "low"}',
            tools=json.dumps([TOOL]), schema='{"type": "object"}',
        )
    )  # fmt: skip
    assert (found["temperature"], found["max_tokens"], found["top_p"], found["seed"]) == (0.7, 20, 1.0, 7)
    assert found["tools"] == [TOOL]
    assert found["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": {"type": "object"},
        "strict": True,
    }


def test_a_list_is_a_list_and_words_in_brackets_are_words() -> None:
    asked = column(("user", "{% for each in things %}{{ each }};{% endfor %}{{ words }}"))
    found = body(asked, {"things": '["a", "b"]', "words": "[not json"})
    assert found["messages"][0]["content"] == "a;b;[not json"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"max_tokens": "1.5"}, "max_tokens"),
        ({"tools": "{"}, "tools"),
        ({"tools": "[1]"}, "tools"),
        ({"schema": "[]"}, "schema"),
        ({"more": '{"model": "x"}'}, "more"),
        ({"more": "7"}, "more"),
        ({"model": " "}, "model"),
    ],
)
def test_what_can_not_be_sent_names_its_field(fields: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request_body(column(**fields), {})
    assert caught.value.param == param


def test_a_missing_variable_is_told() -> None:
    with pytest.raises(InvalidRequest, match="`q`"):
        request_body(column(("user", "{{ q }}")), {})


def test_a_column_that_is_still_its_version_asks_for_it_by_name() -> None:
    loaded = from_version(VERSION)
    assert body(loaded, {"q": "Hi", "x": "y"}, VERSION) == {
        "model": "prompt:support#3",
        "messages": [],
        "variables": {"q": "Hi"},
    }
    warmer = msgspec.structs.replace(loaded, model="simulator/other", temperature="0.9")
    assert body(warmer, {"q": "Hi"}, VERSION) == {
        "model": "prompt:support#3",
        "messages": [],
        "variables": {"q": "Hi"},
        "prompt_model": "simulator/other",
        "temperature": 0.9,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [DraftMessage("user", "{{ q }}!")]},
        {"schema": '{"type": "object"}'},
        {"temperature": ""},  # a request can't take away what the version fixes
    ],
)
def test_a_column_that_has_moved_on_sends_what_it_says(change: dict[str, Any]) -> None:
    found = body(msgspec.structs.replace(from_version(VERSION), **change), {"q": "Hi"}, VERSION)
    assert found["model"] == "support"
    assert {"role": "user", "content": "Hello."} not in found["messages"]
    assert {"role": "assistant", "content": "Hello."} in found["messages"]
    assert "variables" not in found


def test_json_messages_stand_where_they_were_written() -> None:
    call = {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    answer = {"role": "tool", "tool_call_id": "1", "content": "{{ not a template }}"}
    asked = column(("system", "S"), ("user", "{{ q }}"), (RAW, json.dumps(call)), (RAW, json.dumps(answer)))
    assert body(asked, {"q": "Hi"})["messages"] == [
        {"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}, call, answer,
    ]  # fmt: skip
    with pytest.raises(InvalidRequest, match="Message 1"):
        request_body(column((RAW, "{")), {})


# -- code ----------------------------------------------------------------------------------------------------------


class Client:
    """Stands for the official client: notes what it is called with."""

    def __init__(self, **options: Any) -> None:
        self.options, self.called = options, {}
        self.chat = self.completions = self

    def create(self, **arguments: Any) -> list[Any]:
        self.called = arguments
        return []


def executed(code: str) -> Client:
    made: list[Client] = []

    def client(**options: Any) -> Client:
        made.append(Client(**options))
        return made[-1]

    scope: dict[str, Any] = {"print": lambda *_, **__: None}
    plain = code.replace("from openai import OpenAI", "").replace("import os", "")
    scope |= {"OpenAI": client, "os": type("os", (), {"environ": {"RATCHET_KEY": "rk-1"}})}
    exec(compile(plain, "<code>", "exec"), scope)
    return made[0]


TEXTS = st.text(max_size=40)


@given(
    TEXTS,
    TEXTS,
    st.dictionaries(st.sampled_from(["seed", "stop", "custom", "user"]), TEXTS | st.none() | st.booleans()),
)
def test_the_code_sends_the_same_request(system: str, question: str, more: dict[str, Any]) -> None:
    asked = column(
        (RAW, json.dumps({"role": "system", "content": system})), ("user", "{{ q }}!"), more=json.dumps(more)
    )
    sent = request_body(asked, {"q": question})
    client = executed(as_code(sent, base_url="http://127.0.0.1:8080/"))
    assert client.options == {"base_url": "http://127.0.0.1:8080/v1", "api_key": "rk-1"}
    extra = client.called.pop("extra_body", {})
    assert {**client.called, **extra} == sent
    assert set(extra) <= {"custom"}


def test_a_request_has_one_hash_and_another_has_another() -> None:
    one, other = request_body(column(), {}), request_body(column(temperature="1"), {})
    assert request_hash(one) == request_hash(dict(reversed(one.items()))) != request_hash(other)


# -- drafts --------------------------------------------------------------------------------------------------------


def span(*messages: Message, **fields: Any) -> Span:
    said = msgspec.json.encode(list(messages)).decode()
    return Span(
        **{
            "project_id": "default", "trace_id": "a" * 32, "span_id": "b" * 16, "name": "chat", "start": 0, "duration": 1,
            "request_model": "m", "target": "openai/m", "input_messages": said, **fields,
        }
    )  # fmt: skip


def test_a_span_opens_with_its_inputs() -> None:
    state = from_span(
        span(
            Message("system", [TextPart("Be brief.")]),
            Message("user", [TextPart("What does {{ name }} mean?")]),
            Message("assistant", [ToolCallPart("1", "find", {"q": "x"})]),
            Message("tool", [ToolCallResponsePart("1", "found")]),
            tool_definitions=json.dumps(
                [{"type": "function", "name": "find", "parameters": {"type": "object"}}]
            ),
            attributes={"gen_ai.request.temperature": "0.3", "gen_ai.request.max_tokens": "50"},
            route="support",
        )
    )
    (opened,) = state.columns
    assert state.origin == ("a" * 32, "b" * 16)
    assert (opened.model, opened.temperature, opened.max_tokens) == ("support", "0.3", "50")
    assert [message.role for message in opened.messages] == ["system", RAW, RAW, RAW]
    sent = request_body(opened, {})
    assert sent["messages"][1] == {"role": "user", "content": "What does {{ name }} mean?"}
    assert sent["messages"][2]["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"q":"x"}'}
    assert sent["messages"][3] == {"role": "tool", "tool_call_id": "1", "content": "found"}
    assert sent["tools"] == [TOOL]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"request_model": "", "target": ""}, "called no model"),
        ({"input_messages": ""}, "not kept"),
        ({"input_messages": '{"some": "text"}'}, "can't be read"),
    ],
)
def test_a_span_that_can_not_be_opened_says_why(fields: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        from_span(span(Message("user", [TextPart("Hi")]), **fields))


def form_of(state: DraftState) -> dict[str, list[str]]:
    """What a page's form sends for a state."""
    typed: dict[str, list[str]] = {"column": [str(each.id) for each in state.columns]}
    for each in state.columns:
        c = f"c{each.id}"
        typed[f"{c}.role"] = [message.role for message in each.messages]
        typed[f"{c}.content"] = [message.content for message in each.messages]
        typed[f"{c}.examples"] = [msgspec.json.encode(each.examples).decode()]
        typed[f"{c}.prompt"] = [f"{each.prompt}#{each.number}" if each.prompt else ""]
        for name in ("model", "temperature", "max_tokens", "top_p", "more", "tools", "schema"):
            typed[f"{c}.{name}"] = [getattr(each, name)]
    return typed | {f"v.{name}": [text] for name, text in state.variables.items()}


columns_drawn = st.builds(
    Column,
    id=st.integers(1, 999),
    messages=st.lists(st.builds(DraftMessage, st.sampled_from(["system", "user", "assistant", RAW]), TEXTS), max_size=3),
    examples=st.lists(st.builds(TemplateExample, input=TEXTS, output=TEXTS), max_size=2),
    model=TEXTS, temperature=TEXTS, more=TEXTS, tools=TEXTS, schema=TEXTS,
    prompt=st.just("support"), number=st.integers(1, 99),
)  # fmt: skip


@given(
    st.lists(columns_drawn, max_size=MOST_COLUMNS, unique_by=lambda each: each.id),
    st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), TEXTS, max_size=3),
)
def test_a_form_loses_nothing_of_what_was_typed(columns: list[Column], variables: dict[str, str]) -> None:
    state = DraftState(columns=columns, variables=variables)
    assert read_form(form_of(state)) == state


def test_columns_are_added_copied_and_removed() -> None:
    state = DraftState(columns=[column(model="a"), msgspec.structs.replace(column(model="b"), id=2)])
    copied = changed_by(state, "copy", 1)
    assert [(each.id, each.model) for each in copied.columns] == [(1, "a"), (3, "a"), (2, "b")]
    assert [each.id for each in changed_by(copied, "drop", 1).columns] == [3, 2]
    alone = changed_by(changed_by(state, "drop", 1), "drop", 2)
    assert [each.id for each in alone.columns] == [2]
    for _ in range(9):
        state = changed_by(state, "add", 0)
    assert len(state.columns) == MOST_COLUMNS
    longer = changed_by(copied, "message", 2)
    assert [message.role for message in longer.columns[2].messages] == ["user", "assistant"]
    assert changed_by(longer, "drop-message", 2, 0).columns[2].messages == [DraftMessage("assistant", "")]
    assert changed_by(copied, "nothing", 1) == copied


def test_every_variable_that_a_column_takes_has_a_field() -> None:
    state = DraftState(
        columns=[
            column(("user", "{{ b }}{{ a }}")),
            column(("user", "{% if c %}{{ broken"), ("user", "{{ d }}")),
        ],
        variables={"a": "1", "kept": "typed", "gone": ""},
    )
    assert variables_needed(state) == {"a": "1", "b": "", "d": "", "kept": "typed"}
    assert variables_of(column((RAW, "{{ x }}"))) == []


def test_a_draft_is_called_by_what_it_asks() -> None:
    assert (
        title_of(DraftState(columns=[column(("user", "Is  {{ x }} open?"))], variables={"x": "it"}))
        == "Is it open?"
    )
    assert title_of(DraftState(columns=[from_version(VERSION)])) == "support #3"
    assert title_of(DraftState()) == "Untitled"
