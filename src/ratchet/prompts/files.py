"""Prompts as files: `prompts/<name>.md`, front matter in YAML and a heading for each message.

    ---
    model: support
    parameters:
      temperature: 0.2
    ---
    # system

    You help the customers of {{ shop }}.

    # user

    {{ question }}

Writing a template and reading it again gives the same template, to the character. A line of a message that looks like
a heading is written with a backslash before it.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from ratchet.domain.prompts import ROLES, Template, TemplateMessage
from ratchet.errors import InvalidRequest
from ratchet.prompts.checking import check_template
from ratchet.prompts.hashing import normalised
from ratchet.prompts.yaml_text import Misread, dump, load

__all__ = ["KEYS", "read_prompt", "write_prompt"]

KEYS = ("model", "parameters", "tools", "output_schema", "examples")
"""What front matter may say."""
_FENCE = "---"
_HEADING = re.compile(rf"# ({'|'.join(ROLES)})[ \t]*", re.IGNORECASE)
_ESCAPED = re.compile(rf"\\+# (?:{'|'.join(ROLES)})[ \t]*", re.IGNORECASE)
_PATH = re.compile(r"`\$\.?([^`]*)`$")


def write_prompt(template: Template) -> str:
    """The whole file."""
    template = normalised(template)
    front: dict[str, Any] = {}
    for key in KEYS:
        value = msgspec.to_builtins(getattr(template, key))
        if value not in ("", None, [], {}):
            front[key] = value
    if template.output_schema == {}:
        front["output_schema"] = {}
    head = f"{_FENCE}\n{dump(front)}{_FENCE}\n" if front else ""
    body = [f"# {message.role}\n\n{_escaped(message.content)}\n" for message in template.messages]
    return head + "\n".join(body)


def read_prompt(text: str, *, path: str) -> Template:
    """What the file at `path` says. Raises InvalidRequest, naming the file, the line and the key."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    front, where, begins = _front_matter(lines, path)
    messages, starts = _messages(lines, begins, path)
    unknown = next((key for key in front if key not in KEYS), None)
    if unknown is not None:
        raise _wrong(
            path, where.get(unknown, 1), f"`{unknown}` is no key of a prompt's front matter", unknown
        )
    try:
        template = msgspec.convert({**front, "messages": messages}, Template)
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        key = found[1] if found else ""
        said = str(error).partition(" - at ")[0]
        raise _wrong(path, _line_of(key, where), f"`{key}`: {said[:1].lower()}{said[1:]}", key) from error
    template = normalised(template)
    try:
        check_template(template)
    except InvalidRequest as error:
        key = error.param or ""
        number = re.match(r"messages\[(\d+)\]", key)
        line = starts[int(number[1])] if number else _line_of(key, where)
        raise InvalidRequest(f"{path}:{line}: {error.message}", error.remedy, param=key) from error
    return template


def _front_matter(lines: list[str], path: str) -> tuple[dict[str, Any], dict[str, int], int]:
    """What it says, the line of each key, and the index of the first line behind it."""
    if not lines or lines[0].rstrip() != _FENCE:
        return {}, {}, 0
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if end is None:
        raise _wrong(path, 1, "the front matter has no end", "", "Close it with a line `---`.")
    try:
        front, where = load("\n".join([*lines[1:end], ""]), first_line=2)
    except Misread as error:
        raise _wrong(path, error.line, error.problem, error.key) from error
    if front is None:
        front = {}
    if not isinstance(front, dict):
        raise _wrong(path, 2, "the front matter has to be keys with values", "")
    return cast("dict[str, Any]", front), where, end + 1


def _messages(lines: list[str], begins: int, path: str) -> tuple[list[TemplateMessage], list[int]]:
    """The messages, and the line (from 1) on which each heading stands."""
    messages: list[TemplateMessage] = []
    starts: list[int] = []
    role, content = "", list[str]()
    for number, line in enumerate(lines[begins:], begins + 1):
        heading = _HEADING.fullmatch(line)
        if heading is None:
            if not role and line.strip():
                raise _wrong(
                    path, number, f"{line.strip()[:60]!r} stands before the first heading", "", "Begin with a line "
                    "`# system`, `# user` or `# assistant`."
                )  # fmt: skip
            content.append(line[1:] if _ESCAPED.fullmatch(line) else line)
            continue
        if role:
            messages.append(TemplateMessage(role=role, content=_content(content)))
        role, content = heading[1].lower(), []
        starts.append(number)
    if role:
        messages.append(TemplateMessage(role=role, content=_content(content)))
    return messages, starts


def _content(lines: list[str]) -> str:
    """Without the empty line below the heading, and without that above the next one."""
    if lines and not lines[0].strip():
        lines = lines[1:]
    if lines and lines[-1] == "":
        lines = lines[:-1]
    return "\n".join(lines)


def _escaped(content: str) -> str:
    return "\n".join(
        "\\" + line if _HEADING.fullmatch(line.lstrip("\\")) else line for line in content.split("\n")
    )


def _line_of(key: str, where: dict[str, int]) -> int:
    """The line of the key, or of what it stands in."""
    while key:
        if key in where:
            return where[key]
        key = key.rpartition("[" if key.endswith("]") else ".")[0]
    return 1


def _wrong(path: str, line: int, problem: str, key: str, remedy: str = "") -> InvalidRequest:
    return InvalidRequest(
        f"{path}:{line}: {problem}.",
        remedy or f"Front matter may have {', '.join(KEYS[:-1])} and {KEYS[-1]}; see docs/prompts.md.",
        code="invalid_prompt_file",
        param=key or None,
    )
