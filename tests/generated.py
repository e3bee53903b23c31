"""Conversations, answers and their parts in the neutral form, made up: what every dialect can say.

By default the strategies stay within what all dialects share, so each adapter can be checked against each other one.
`tests/test_*_form.py` draw from them.
"""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from ratchet.domain.generation import Answer, OutputFormat, Request, Thinking, Tool, ToolChoice
from ratchet.domain.messages import (
    BlobPart,
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

__all__ = ["answers", "arguments", "calls", "pictures", "requests", "schemas", "texts", "thoughts", "usages"]

# No line or space at an edge and no emptiness: providers trim or refuse those.
texts = st.text(min_size=1, max_size=30).map(lambda text: f"«{text}»")
names = st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
signatures = st.binary(min_size=3, max_size=24).map(lambda data: base64.b64encode(data).decode())
contents = st.binary(min_size=1, max_size=30).map(lambda data: base64.b64encode(data).decode())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(st.text(max_size=6), json_values, max_size=3)


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A JSON Schema of an object that strict modes take: every property required, none other allowed."""
    properties = draw(st.dictionaries(names, st.sampled_from(["string", "integer", "boolean"]), max_size=3))
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def pictures() -> st.SearchStrategy[Part]:
    blobs = st.builds(
        BlobPart, st.just("image"), contents, st.sampled_from(["image/png", "image/jpeg", "image/webp"])
    )
    links = st.builds(UriPart, st.just("image"), names.map("https://example.com/{}.png".format))
    return blobs | links


def documents() -> st.SearchStrategy[Part]:
    return st.builds(
        BlobPart, st.just("document"), contents, st.just("application/pdf"), names.map("{}.pdf".format)
    )


def thoughts(signed_by: str | None = None) -> st.SearchStrategy[Part]:
    """A thought; with a proof of it where `signed_by` names a dialect."""
    if signed_by is None:
        return st.builds(ReasoningPart, texts)
    return st.builds(ReasoningPart, texts, signatures, st.just(signed_by))


def calls(names_: list[str]) -> st.SearchStrategy[list[ToolCallPart]]:
    """Parallel calls of these tools. The ids are made unique by `requests`."""
    return st.lists(
        st.builds(ToolCallPart, st.just("call"), st.sampled_from(names_), arguments), min_size=1, max_size=3
    )


@st.composite
def _results(
    draw: st.DrawFn, asked: list[ToolCallPart], *, failures: bool, pictures_in_results: bool
) -> list[Message]:
    """The answer of each tool, a message for each, in the order of the calls."""
    messages: list[Message] = []
    for call in asked:
        response: Any = draw(texts)
        if pictures_in_results and draw(st.booleans()):
            response = [TextPart(response), draw(pictures())]
        failed = True if failures and draw(st.booleans()) else None
        messages.append(Message("tool", [ToolCallResponsePart(call.id, response, None, failed)]))
    return messages


@st.composite
def _messages(
    draw: st.DrawFn,
    tools: list[str],
    *,
    signed_by: str | None,
    thinking: bool,
    failures: bool,
    pictures_in_results: bool,
    with_documents: bool,
) -> list[Message]:
    messages = [Message("system", [TextPart(draw(texts))])] if draw(st.booleans()) else []
    attached = pictures() | documents() if with_documents else pictures()
    made = 0
    for _ in range(draw(st.integers(0, 3))):
        parts: list[Part] = [TextPart(draw(texts)), *draw(st.lists(attached, max_size=2))]
        messages.append(Message("user", parts))
        for step in range(draw(st.integers(1, 2))):
            said: list[Part] = [draw(thoughts(signed_by))] if thinking and draw(st.booleans()) else []
            asked: list[ToolCallPart] = []
            if tools and step == 0 and draw(st.booleans()):
                for call in draw(calls(tools)):
                    made += 1
                    asked.append(ToolCallPart(f"call_{made}", call.name, call.arguments))
            if not asked or draw(st.booleans()):
                said.append(TextPart(draw(texts)))
            messages.append(Message("assistant", [*said, *asked]))
            if not asked:
                break
            messages += draw(_results(asked, failures=failures, pictures_in_results=pictures_in_results))
    if not messages or messages[-1].role != "tool":
        messages.append(Message("user", [TextPart(draw(texts))]))
    return messages


@st.composite
def requests(
    draw: st.DrawFn,
    dialect: str = "openai_chat",
    *,
    signed_by: str | None = None,
    thinking: bool = True,
    failures: bool = False,
    pictures_in_results: bool = False,
    with_documents: bool = True,
    parameters: bool = True,
) -> Request:
    """A request in the neutral form, as the reader of `dialect` would give it.

    `signed_by`: thoughts carry that dialect's proof. `thinking`: there are thoughts at all. `failures`: some tools
    report one. `pictures_in_results`: some tools give a picture. `parameters`: temperature and the like are set.
    """
    offered = draw(st.lists(names, max_size=3, unique=True))
    tools = [
        Tool(name=name, description=draw(st.none() | texts), parameters=draw(schemas())) for name in offered
    ]
    messages = draw(
        _messages(
            offered,
            signed_by=signed_by,
            thinking=thinking,
            failures=failures,
            pictures_in_results=pictures_in_results,
            with_documents=with_documents,
        )
    )
    choice = None
    if offered:
        modes = st.sampled_from(["auto", "none", "required"]).map(lambda mode: ToolChoice(mode=mode))
        named = st.sampled_from(offered).map(lambda name: ToolChoice(mode="tool", name=name))
        choice = draw(st.none() | modes | named)
    output = draw(
        st.none()
        | st.builds(
            lambda schema: OutputFormat(kind="json_schema", name="reply", schema=schema, strict=True),
            schemas(),
        )
    )
    numbers: dict[str, Any] = {}
    if parameters:
        numbers = {
            "temperature": draw(st.none() | st.sampled_from([0, 0.5, 1])),
            "top_p": draw(st.none() | st.sampled_from([0.1, 0.9])),
            "stop": draw(st.none() | st.lists(texts, min_size=1, max_size=2)),
        }
    return Request(
        dialect=dialect,
        model=draw(names),
        messages=messages,
        tools=list(tools),
        tool_choice=choice,
        max_tokens=draw(st.integers(1, 4096)),
        output=output,
        thinking=draw(st.none() | st.sampled_from(["low", "medium", "high"]).map(lambda effort: Thinking(effort=effort)))
        if parameters
        else None,
        stream=draw(st.booleans()),
        **numbers,
    )  # fmt: skip


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Token counts in which the classes fit into their totals."""
    given, produced = draw(st.integers(0, 5000)), draw(st.integers(0, 5000))
    return Usage(
        input=given,
        output=produced,
        cached=draw(st.none() | st.integers(0, given)),
        reasoning=draw(st.none() | st.integers(0, produced)),
    )


@st.composite
def answers(
    draw: st.DrawFn,
    dialect: str = "openai_chat",
    *,
    signed_by: str | None = None,
    refusals: bool = False,
    most_choices: int = 1,
) -> Answer:
    """An answer in the neutral form, as the reader of `dialect` would give it."""
    choices: list[Message] = []
    for number in range(draw(st.integers(1, most_choices))):
        parts: list[Part] = [draw(thoughts(signed_by))] if draw(st.booleans()) else []
        reason = draw(st.sampled_from(["stop", "length"]))
        kind = draw(st.sampled_from(["text", "calls", "both", "refusal" if refusals else "text"]))
        if kind in ("text", "both"):
            parts.append(TextPart(draw(texts)))
        if kind == "refusal":
            parts.append(RefusalPart(draw(texts)))
        if kind in ("calls", "both"):
            asked = draw(calls(["search", "weather"]))
            parts += [
                ToolCallPart(f"call_{number}_{place}", call.name, call.arguments)
                for place, call in enumerate(asked)
            ]
            reason = "tool_call"
        choices.append(Message("assistant", parts, None, reason))
    return Answer(
        dialect=dialect,
        id=draw(names),
        model=draw(names),
        choices=choices,
        usage=draw(usages()),
        created=draw(st.none() | st.integers(1, 2**31)),
    )
