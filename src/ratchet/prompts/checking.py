"""Whether a template can be a version: everything that can be wrong with it before anybody asks for it, by name."""

from __future__ import annotations

import math
import re
from typing import Any, cast

import jsonschema
import msgspec
from jsonschema.validators import validator_for

from ratchet.dialects import openai_chat
from ratchet.domain.prompts import LABEL, NAME, ROLES, Template
from ratchet.errors import InvalidRequest
from ratchet.prompts.hashing import normalised
from ratchet.prompts.template import CompiledTemplate, compile_template

__all__ = ["RESERVED", "check_label", "check_name", "check_template", "read_template"]

# Fields of a request that are the app's, the gateway's, or a version's own under another name.
RESERVED = {
    "model": "a version's own `model`",
    "messages": "a version's own `messages`",
    "input": "a version's own `messages`",
    "system": "a version's own `messages`",
    "instructions": "a version's own `messages`",
    "tools": "a version's own `tools`",
    "functions": "a version's own `tools`",
    "response_format": "a version's own `output_schema`",
    "variables": "the app's to send",
    "stream": "the app's to choose",
    "stream_options": "the app's to choose",
    "user": "the app's to send",
    "metadata": "the app's to send",
}
# The least that a request says: the fields beside it can be read then.
_LEAST = {"model": "m", "messages": [{"role": "user", "content": "-"}]}
_MOST_MESSAGES = 200
_MOST_BYTES = 1 << 20
_TOOL = re.compile(r"[A-Za-z0-9_-]{1,64}")


def read_template(value: Any) -> Template:
    """A template from decoded JSON, lines normalised. Raises InvalidRequest, naming the field."""
    try:
        return normalised(msgspec.convert(value, Template, strict=True))
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`").lstrip(".") or "template"
        raise InvalidRequest(
            f"`{where}` of the template is wrong: {said[:1].lower()}{said[1:]}.",
            "A template has `messages` (each with `role` and `content`), and may have `examples`, `tools`, "
            "`output_schema`, `model` and `parameters`.",
            param=where,
        ) from error


def check_template(template: Template) -> CompiledTemplate:
    """The template, compiled. Raises InvalidRequest for the first thing that is wrong with it, naming the field."""
    if not template.messages:
        raise InvalidRequest(
            "The prompt has no message.",
            "Give at least one, with a `role` and a `content`.",
            param="messages",
        )
    if len(template.messages) + 2 * len(template.examples) > _MOST_MESSAGES:
        raise InvalidRequest(
            f"The prompt has more than {_MOST_MESSAGES} messages, examples counted.",
            "Leave some out.",
            param="messages",
        )
    for number, message in enumerate(template.messages):
        if message.role not in ROLES:
            raise InvalidRequest(
                f"Message {number + 1} has the role {message.role!r}.",
                f"Use {', '.join(ROLES[:-1])} or {ROLES[-1]}.",
                param=f"messages[{number}].role",
            )
        if not message.content.strip():
            raise InvalidRequest(
                f"Message {number + 1} ({message.role}) is empty.",
                "Write something there, or leave the message out.",
                param=f"messages[{number}].content",
            )
    for number, example in enumerate(template.examples):
        if not example.input.strip() or not example.output.strip():
            raise InvalidRequest(
                f"Example {number + 1} needs an `input` and an `output`.",
                "Write both, or leave it out.",
                param=f"examples[{number}]",
            )
    _check_fields(template)
    return compile_template(template)


def _check_fields(template: Template) -> None:
    for name in template.parameters:
        if name in RESERVED:
            raise InvalidRequest(
                f"`{name}` can't be a parameter of a prompt: it is {RESERVED[name]}.",
                "Take it out of `parameters`.",
                param=f"parameters.{name}",
            )
    for number, tool in enumerate(template.tools):
        _check_tool(tool, f"tools[{number}]")
    for name, value in (
        ("parameters", template.parameters),
        ("tools", template.tools),
        ("output_schema", template.output_schema),
    ):
        _check_json(value, name)
    _check_parameters(template.parameters)
    if template.output_schema is not None:
        _check_schema(template.output_schema, "output_schema")
    if template.model.startswith("prompt:"):
        raise InvalidRequest(
            f"The model {template.model!r} is a prompt, and a prompt can't stand on another.",
            "Name a route or provider/model.",
            param="model",
        )
    if len(msgspec.json.encode(template)) > _MOST_BYTES:
        raise InvalidRequest(
            f"The prompt is larger than {_MOST_BYTES:,} bytes.",
            "Hand long parts in as variables.",
            param="messages",
        )


def _check_parameters(parameters: dict[str, Any]) -> None:
    """Of the right types, as far as OpenAI's chat dialect knows them: a request with them would be refused."""
    try:
        openai_chat.DIALECT.check_request(parameters)
        openai_chat.DIALECT.read_request(msgspec.json.encode({**_LEAST, **parameters}))
    except InvalidRequest as error:
        raise InvalidRequest(
            f"A parameter would be refused in every request: {error.message}",
            "Correct it in `parameters`.",
            param=f"parameters.{error.param}",
        ) from error


def _check_schema(schema: dict[str, Any], at: str) -> None:
    try:
        validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        where = at + "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
        )
        raise InvalidRequest(
            f"`{where}` is no JSON Schema: {error.message}.",
            "Write one of draft 2020-12, or name another in `$schema`.",
            param=where,
        ) from None


def _check_tool(tool: dict[str, Any], where: str) -> None:
    function = tool.get("function")
    name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else None
    if tool.get("type") != "function" or not isinstance(name, str) or not _TOOL.fullmatch(name):
        raise InvalidRequest(
            f"`{where}` is no function with a name.",
            'Write {"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}; the name has '
            "1 to 64 letters, digits, '_' and '-'.",
            param=where,
        )
    asked = cast("dict[str, Any]", function).get("parameters")
    if isinstance(asked, dict):
        _check_schema(cast("dict[str, Any]", asked), f"{where}.function.parameters")


def _check_json(value: Any, where: str) -> None:
    """Nothing that JSON can't say, such as YAML's .nan."""
    if isinstance(value, dict):
        for name, part in cast("dict[str, Any]", value).items():
            _check_json(part, f"{where}.{name}")
    elif isinstance(value, list):
        for number, part in enumerate(cast("list[Any]", value)):
            _check_json(part, f"{where}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"`{where}` is {value}, which JSON can't say.", "Give a number.", param=where)


def check_name(name: str) -> str:
    """A prompt's name. Raises InvalidRequest."""
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"A prompt can't be named {name[:120]!r}.",
            "Use 1 to 100 letters, digits, '.', '_' and '-', beginning with a letter or a digit.",
            param="name",
        )
    return name


def check_label(label: str) -> str:
    """A label's name. Raises InvalidRequest."""
    if not LABEL.fullmatch(label):
        raise InvalidRequest(
            f"A label can't be named {label[:60]!r}.",
            "Use 1 to 40 lower-case letters, digits, '_' and '-', beginning with a letter, e.g. production.",
            param="label",
        )
    return label
