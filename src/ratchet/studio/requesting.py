"""A column of the playground as the request that is sent, and as Python that sends the same. Pure."""

from __future__ import annotations

import hashlib
import json
import pprint
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from ratchet.domain.playground import RAW, Column, DraftMessage
from ratchet.domain.prompts import PREFIX, PromptVersion, Template, TemplateMessage
from ratchet.errors import InvalidRequest
from ratchet.prompts.template import compile_template

__all__ = ["as_code", "as_template", "request_body", "request_hash", "variables_of"]

_NUMBERS: dict[str, type] = {"temperature": float, "max_tokens": int, "top_p": float}
# What the official client's `create` takes by name; everything else goes through its `extra_body`.
_KNOWN = frozenset(
    {
        "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "metadata",
        "model", "n", "parallel_tool_calls", "presence_penalty", "reasoning_effort", "response_format", "seed",
        "service_tier", "stop", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs",
        "top_p", "user", "verbosity",
    }
)  # fmt: skip
_OURS = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "variables",
    "prompt_model",
    "tools",
    "response_format",
)


def request_body(
    column: Column, variables: Mapping[str, str], version: PromptVersion | None = None
) -> dict[str, Any]:
    """The chat completion that a column asks for, streamed.

    Where the column is still what `version` says, that version is asked for by name, so that the call's span knows
    it. Raises InvalidRequest, with the field of the column in `param`.
    """
    template = as_template(column)
    parameters = dict(template.parameters)
    values = _values(variables)
    if version is not None and _is_version(column, template, version.template):
        body: dict[str, Any] = {"model": f"{PREFIX}{version.prompt}#{version.number}", "messages": []}
        taken = compile_template(version.template)
        names = {*taken.required, *taken.optional}
        body["variables"] = {name: value for name, value in values.items() if name in names}
        if column.model.strip() and column.model.strip() != version.template.model:
            body["prompt_model"] = column.model.strip()
        fixed = version.template.parameters
        body |= {name: value for name, value in parameters.items() if fixed.get(name, ...) != value}
    else:
        if not column.model.strip():
            raise InvalidRequest(
                "This column names no model.", "Give a route, or provider/model.", param="model"
            )
        body = {"model": column.model.strip(), "messages": _messages(column, template, values), **parameters}
        if template.tools:
            body["tools"] = template.tools
        if template.output_schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": template.output_schema, "strict": True},
            }
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


def as_template(column: Column) -> Template:
    """What a prompt's version would fix. Messages that are written as JSON are in none.

    Raises InvalidRequest, with the field in `param`.
    """
    parameters: dict[str, Any] = dict(_object(column.more, "more"))
    for name in parameters:
        if name in _OURS:
            raise InvalidRequest(
                f"`{name}` can't stand among the further fields.", "It has a field of its own.", param="more"
            )
    for name, kind in _NUMBERS.items():
        text = getattr(column, name).strip()
        if text:
            parameters[name] = _number(name, text, kind)
    return Template(
        messages=[
            TemplateMessage(role=each.role, content=each.content)
            for each in column.messages
            if each.role != RAW
        ],
        examples=column.examples,
        tools=_tools(column.tools),
        output_schema=_object(column.schema, "schema") if column.schema.strip() else None,
        model=column.model.strip(),
        parameters=parameters,
    )


def variables_of(column: Column) -> list[str]:
    """The names that its templates take; those of a message that is no template yet are left out."""
    names: set[str] = set()
    for message in column.messages:
        if message.role == RAW:
            continue
        one = Template(messages=[TemplateMessage(role="user", content=message.content)])
        try:
            compiled = compile_template(one)
        except InvalidRequest:
            continue
        names.update(compiled.required, compiled.optional)
    return sorted(names)


def request_hash(body: Mapping[str, Any]) -> str:
    """Short, and the same for the same request."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def as_code(body: Mapping[str, Any], *, base_url: str) -> str:
    """Python that sends the same request with the official openai client; the key comes from `RATCHET_KEY`."""
    known = {name: value for name, value in body.items() if name in _KNOWN}
    extra = {name: value for name, value in body.items() if name not in _KNOWN}
    arguments = {**known, **({"extra_body": extra} if extra else {})}
    lines = [f"    {name}={_literal(value, len(name) + 5)}," for name, value in arguments.items()]
    return "\n".join(
        [
            "import os",
            "",
            "from openai import OpenAI",
            "",
            f'client = OpenAI(base_url="{base_url.rstrip("/")}/v1", api_key=os.environ["RATCHET_KEY"])',
            "stream = client.chat.completions.create(",
            *lines,
            ")",
            "for chunk in stream:",
            "    for choice in chunk.choices:",
            "        if choice.delta.content:",
            '            print(choice.delta.content, end="", flush=True)',
            "        for call in choice.delta.tool_calls or []:",
            '            print(call.function.name or "", call.function.arguments or "", end="", flush=True)',
            "print()",
            "",
        ]
    )


def _literal(value: Any, indent: int) -> str:
    """A value as Python writes it, its further lines under the first."""
    text = pprint.pformat(value, width=100 - indent, sort_dicts=False)
    return text.replace("\n", "\n" + " " * indent)


def _is_version(column: Column, template: Template, version: Template) -> bool:
    """Whether the version can be asked for by name. A request may add to its parameters, and can't take one away."""
    return (
        not _raw(column)
        and (template.messages, template.examples) == (version.messages, version.examples)
        and (template.tools, template.output_schema) == (version.tools, version.output_schema)
        and set(version.parameters) <= set(template.parameters)
    )


def _raw(column: Column) -> bool:
    return any(each.role == RAW for each in column.messages)


def _messages(column: Column, template: Template, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In their order; a JSON message stands where it was written, and templates between are filled in one by one."""
    if not column.messages:
        raise InvalidRequest("This column has no message.", "Add one.", param="messages")
    if not _raw(column):
        compiled = compile_template(template)
        names = {*compiled.required, *compiled.optional}
        given = {name: value for name, value in values.items() if name in names}
        filled = compiled.render(given, who="This column")
        return [{"role": each.role, "content": each.content} for each in filled]
    found: list[dict[str, Any]] = []
    for number, message in enumerate(column.messages, 1):
        if message.role == RAW:
            found.append(_object(message.content, "messages", f"Message {number}"))
        else:
            found += _filled(message, values)
    system = [place for place, each in enumerate(found) if each.get("role") == "system"]
    begins = system[-1] + 1 if system else 0
    said = [
        (role, text)
        for each in column.examples
        for role, text in (("user", each.input), ("assistant", each.output))
    ]
    return [*found[:begins], *({"role": role, "content": text} for role, text in said), *found[begins:]]


def _filled(message: DraftMessage, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    one = Template(messages=[TemplateMessage(role=message.role, content=message.content)])
    compiled = compile_template(one)
    names = {*compiled.required, *compiled.optional}
    filled = compiled.render({name: value for name, value in values.items() if name in names})
    return [{"role": each.role, "content": each.content} for each in filled]


def _values(variables: Mapping[str, str]) -> dict[str, Any]:
    """A variable is text; a list or an object in JSON's form is one."""
    return {name: _value(text) for name, text in variables.items()}


def _value(text: str) -> Any:
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _number(name: str, text: str, kind: type) -> Any:
    try:
        value = kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise InvalidRequest(
            f"{name} is {text[:40]!r}.", f"Give {wanted}, or leave it out.", param=name
        ) from error
    if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN alone is not itself
        raise InvalidRequest(f"{name} is {text!r}.", "Give a number, or leave it out.", param=name)
    return value


def _object(text: str, param: str, what: str = "") -> dict[str, Any]:
    if not text.strip():
        return {}
    value = _decoded(text, param, what)
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"{what or _TITLES[param]} is no JSON object.", 'Write it as {"name": value}.', param=param
        )
    return cast("dict[str, Any]", value)


def _tools(text: str) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    value = _decoded(text, "tools", "")
    tools = cast("list[Any]", value) if isinstance(value, list) else []
    if not tools or not all(isinstance(each, dict) for each in tools):
        raise InvalidRequest(
            "Tools are no JSON list of objects.",
            'Write them as [{"type": "function", "function": {"name": …}}].',
            param="tools",
        )
    return tools


_TITLES = {"more": "Further fields", "schema": "The JSON Schema", "tools": "Tools", "messages": "A message"}


def _decoded(text: str, param: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"{what or _TITLES[param]}: not JSON ({error}).", "Correct it, or leave it empty.", param=param
        ) from error
