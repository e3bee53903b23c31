"""Drafts of the playground: from a form, from a span, from a prompt's version, and what its buttons change. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from ratchet.dialects.openai_chat.writing import write_message
from ratchet.domain.messages import Message
from ratchet.domain.playground import RAW, Column, DraftMessage, DraftState
from ratchet.domain.prompts import ROLES, PromptVersion, TemplateExample
from ratchet.domain.spans import Span
from ratchet.errors import InvalidRequest
from ratchet.studio.requesting import variables_of

__all__ = [
    "MOST_COLUMNS",
    "blank",
    "changed_by",
    "from_span",
    "from_version",
    "read_form",
    "title_of",
    "variables_needed",
]

MOST_COLUMNS = 6
MOST_MESSAGES = 60
_TEXTS = ("model", "temperature", "max_tokens", "top_p", "more", "tools", "schema")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TEMPLATE_SIGNS = ("{{", "{%", "{#")
# Attributes of a span that are parameters of the request it came from.
_PARAMETERS = {
    "gen_ai.request.temperature": "temperature",
    "gen_ai.request.max_tokens": "max_tokens",
    "gen_ai.request.top_p": "top_p",
}
_decode_messages = msgspec.json.Decoder(list[Message]).decode


def blank(model: str) -> DraftState:
    """Two columns to begin with: what is to be compared differs in one thing."""
    messages = [DraftMessage("system", "You are helpful and brief."), DraftMessage("user", "{{ question }}")]
    columns = [Column(id=number, messages=messages, model=model) for number in (1, 2)]
    return DraftState(columns=columns, variables={"question": "When are you open?"})


def from_span(span: Span) -> DraftState:
    """A model call with its inputs: messages, model, parameters, tools. Raises InvalidRequest where it is none."""
    if not (span.request_model or span.target):
        raise InvalidRequest("This span called no model.", "Open one that did.")
    try:
        said = _decode_messages(span.input_messages or b"[]")
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidRequest(
            "What this span said can't be read as messages.", "Open another one, or copy the text by hand."
        ) from error
    if not said:
        raise InvalidRequest(
            "What was said in this span was not kept.", "Set gateway.keep_content to keep conversations."
        )
    parameters: dict[str, Any] = {
        field: span.attributes[name] for name, field in _PARAMETERS.items() if span.attributes.get(name)
    }
    column = Column(
        id=1,
        messages=[_as_draft(message) for message in said[:MOST_MESSAGES]],
        model=span.route or span.target or span.request_model,
        tools=_tools(span.tool_definitions),
        **parameters,
    )
    return DraftState(columns=[column], origin=(span.trace_id, span.span_id))


def from_version(version: PromptVersion, column_id: int = 1) -> Column:
    """A column that says what a prompt's version says."""
    template = version.template
    known = {
        name: str(template.parameters[name]) for name in _PARAMETERS.values() if name in template.parameters
    }
    more = {name: value for name, value in template.parameters.items() if name not in known}
    return Column(
        id=column_id,
        messages=[DraftMessage(each.role, each.content) for each in template.messages],
        examples=template.examples,
        model=template.model,
        more=_json(more) if more else "",
        tools=_json(template.tools) if template.tools else "",
        schema=_json(template.output_schema) if template.output_schema is not None else "",
        prompt=version.prompt,
        number=version.number,
        **known,
    )


def read_form(typed: Mapping[str, Sequence[str]], origin: tuple[str, str] | None = None) -> DraftState:
    """What the page's form says, whatever state it is in. Raises InvalidRequest for what no such form sends."""
    columns: list[Column] = []
    for text in typed.get("column", ())[:MOST_COLUMNS]:
        if not text.isascii() or not text.isdigit() or len(text) > 6:
            raise InvalidRequest(f"column is {text[:20]!r}.", "It is a column's number.", param="column")
        columns.append(_column(typed, int(text)))
    variables = {
        name[2:]: values[0]
        for name, values in typed.items()
        if name.startswith("v.") and _NAME.fullmatch(name[2:])
    }
    return DraftState(columns=columns, variables=variables, origin=origin)


def changed_by(state: DraftState, verb: str, column_id: int, number: int = 0) -> DraftState:
    """What a button of the page does: add, copy, drop (a column); message, drop-message. Others change nothing."""
    columns = state.columns
    fresh = max((each.id for each in columns), default=0) + 1
    if verb in ("add", "copy") and len(columns) < MOST_COLUMNS:
        source = next(
            (each for each in columns if each.id == column_id), columns[-1] if columns else Column(id=0)
        )
        place = columns.index(source) + 1 if source in columns else 0
        made = msgspec.structs.replace(source, id=fresh)
        return _with(state, [*columns[:place], made, *columns[place:]])
    if verb == "drop" and len(columns) > 1:
        return _with(state, [each for each in columns if each.id != column_id])
    if verb == "message":
        return _with(state, [_longer(each) if each.id == column_id else each for each in columns])
    if verb == "drop-message":
        return _with(state, [_shorter(each, number) if each.id == column_id else each for each in columns])
    return state


def variables_needed(state: DraftState) -> dict[str, str]:
    """Every variable that some column takes, with what was typed for it; what no column takes and is empty goes."""
    names = sorted({name for column in state.columns for name in variables_of(column)})
    kept = {name: text for name, text in state.variables.items() if text and name not in names}
    return {name: state.variables.get(name, "") for name in names} | kept


def title_of(state: DraftState) -> str:
    """A draft by what it asks: the first words of its last user message, or its prompt's name."""
    for column in state.columns:
        if column.prompt:
            return f"{column.prompt} #{column.number}"
        for message in reversed(column.messages):
            words = " ".join(message.content.split())
            if message.role == "user" and words:
                filled = re.sub(
                    r"\{\{\s*(\w+)\s*\}\}", lambda found: state.variables.get(found[1]) or found[0], words
                )
                return filled[:120]
    return "Untitled"


def _column(typed: Mapping[str, Sequence[str]], column_id: int) -> Column:
    def field(name: str) -> str:
        return "".join(typed.get(f"c{column_id}.{name}", ())[:1])

    roles, contents = typed.get(f"c{column_id}.role", ()), typed.get(f"c{column_id}.content", ())
    prompt, _, number = field("prompt").partition("#")
    try:
        examples = msgspec.json.decode(field("examples") or "[]", type=list[TemplateExample])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(
            "The examples can't be read.", "Load the page again.", param="examples"
        ) from error
    return Column(
        id=column_id,
        messages=[
            DraftMessage(role if role in (*ROLES, RAW) else "user", content)
            for role, content in list(zip(roles, contents, strict=False))[:MOST_MESSAGES]
        ],
        examples=examples,
        prompt=prompt,
        number=int(number) if number.isdigit() and len(number) < 10 else 0,
        **{name: field(name) for name in _TEXTS},
    )


def _as_draft(message: Message) -> DraftMessage:
    """Plain words stay words; everything else, and words that would be taken for a template, is JSON."""
    wire: Any = write_message(message)
    content = wire.get("content")
    plain = set(wire) == {"role", "content"} and isinstance(content, str) and wire["role"] in ROLES
    if plain and not any(sign in content for sign in _TEMPLATE_SIGNS):
        return DraftMessage(wire["role"], content)
    return DraftMessage(RAW, _json(wire))


def _tools(text: str) -> str:
    """A span's tool definitions as a request has them; "" where there are none."""
    try:
        found: Any = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, list) or not found:
        return ""
    return _json([_tool(each) for each in cast("list[Any]", found)])


def _tool(definition: Any) -> Any:
    """OpenTelemetry's form has name, description and parameters beside the type; a request has them in `function`."""
    if not isinstance(definition, dict) or "function" in definition or "name" not in definition:
        return cast("Any", definition)
    known = cast("dict[str, Any]", definition)
    return {"type": "function", "function": {name: value for name, value in known.items() if name != "type"}}


def _with(state: DraftState, columns: list[Column]) -> DraftState:
    return msgspec.structs.replace(state, columns=columns)


def _longer(column: Column) -> Column:
    last = column.messages[-1].role if column.messages else ""
    fresh = DraftMessage("assistant" if last == "user" else "user", "")
    return msgspec.structs.replace(column, messages=[*column.messages, fresh][:MOST_MESSAGES])


def _shorter(column: Column, number: int) -> Column:
    kept = [message for place, message in enumerate(column.messages) if place != number]
    return msgspec.structs.replace(column, messages=kept)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
