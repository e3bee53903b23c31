"""The editor's form: a template as fields that people fill in, and what they typed as a template. Pure.

What is typed is kept as it was typed, whatever is wrong with it: nothing is lost while somebody corrects it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.prompts import Template
from ratchet.errors import InvalidRequest
from ratchet.prompts.checking import read_template
from ratchet.prompts.yaml_text import Misread, dump, load

__all__ = ["PromptForm", "form_of", "form_typed", "read_values", "template_typed"]


class PromptForm(msgspec.Struct, frozen=True, kw_only=True):
    """Everything as text. `parent` is the number of the version that it was made from, "" for a new prompt."""

    name: str = ""
    model: str = ""
    parameters: str = ""
    messages: list[tuple[str, str]] = []
    examples: list[tuple[str, str]] = []
    tools: str = ""
    output_schema: str = ""
    message: str = ""
    parent: str = ""
    variables: str = ""


def form_of(
    template: Template | None, *, name: str = "", parent: str = "", variables: str = ""
) -> PromptForm:
    """The form of a version, or of a prompt that is yet to be written."""
    if template is None:
        return PromptForm(name=name, messages=[("system", ""), ("user", "")], variables=variables)
    return PromptForm(
        name=name,
        model=template.model,
        parameters=dump(template.parameters) if template.parameters else "",
        messages=[(each.role, each.content) for each in template.messages],
        examples=[(each.input, each.output) for each in template.examples],
        tools=_json(template.tools) if template.tools else "",
        output_schema="" if template.output_schema is None else _json(template.output_schema),
        parent=parent,
        variables=variables,
    )


def form_typed(typed: Mapping[str, Sequence[str]]) -> PromptForm:
    """What a browser sent, with one more empty message or example where its button was pressed."""

    def one(name: str) -> str:
        return next(iter(typed.get(name, ())), "")

    messages = _pairs(typed.get("role", ()), typed.get("content", ()))
    examples = _pairs(typed.get("example_input", ()), typed.get("example_output", ()))
    match one("more"):
        case "message":
            messages.append(("user" if messages and messages[-1][0] != "user" else "assistant", ""))
        case "example":
            examples.append(("", ""))
        case _:
            pass
    return PromptForm(
        name=one("name").strip(),
        model=one("model").strip(),
        parameters=one("parameters"),
        messages=messages,
        examples=examples,
        tools=one("tools"),
        output_schema=one("output_schema"),
        message=one("message"),
        parent=one("parent"),
        variables=one("variables"),
    )


def template_typed(form: PromptForm) -> Template:
    """Empty messages and examples are left out. Raises InvalidRequest, naming the field."""
    return read_template(
        {
            "model": form.model,
            "parameters": read_values(form.parameters, "parameters", dict) or {},
            "messages": [
                {"role": role, "content": content} for role, content in form.messages if content.strip()
            ],
            "examples": [
                {"input": given, "output": answer}
                for given, answer in form.examples
                if given.strip() or answer.strip()
            ],
            "tools": read_values(form.tools, "tools", list) or [],
            "output_schema": read_values(form.output_schema, "output_schema", dict),
        }
    )


def read_values(text: str, field: str, kind: type) -> Any:
    """JSON or YAML of that kind; None for nothing. Raises InvalidRequest."""
    if not text.strip():
        return None
    try:
        value = _read(text)
    except Misread as error:
        raise InvalidRequest(
            f"`{field}`, line {error.line}: {error.problem}.",
            "Write JSON, or YAML such as `temperature: 0.2`.",
            param=field,
        ) from error
    if not isinstance(value, kind):
        said = "names with values, such as `temperature: 0.2`" if kind is dict else "a list, such as [{…}]"
        raise InvalidRequest(f"`{field}` is not {said}.", "Write it as JSON or YAML.", param=field)
    return value


def _read(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return load(text)[0]


def _pairs(left: Sequence[str], right: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (left[place] if place < len(left) else "", right[place] if place < len(right) else "")
        for place in range(max(len(left), len(right)))
    ]


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
