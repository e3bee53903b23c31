"""What differs between two templates: messages line by line, everything else key by key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.prompts import Template

__all__ = ["Change", "Difference", "Line", "TextDifference", "difference", "line_difference"]


class Line(msgspec.Struct, frozen=True):
    """One line. `mark`: " " in both, "-" only before, "+" only after. Line numbers count from 1, 0 where it is not."""

    mark: str
    text: str
    before: int = 0
    after: int = 0


class TextDifference(msgspec.Struct, frozen=True):
    """One message (or the schema, or an example). `state`: same, changed, added, removed."""

    title: str
    state: str
    lines: list[Line]


class Change(msgspec.Struct, frozen=True):
    """One value that differs. None where it is not there, told apart from null by `state`."""

    key: str
    state: str  # changed | added | removed
    before: Any = None
    after: Any = None


class Difference(msgspec.Struct, frozen=True):
    """Everything, in the order that it is read. `same`: nothing differs."""

    same: bool
    messages: list[TextDifference]
    examples: list[TextDifference]
    model: Change | None
    parameters: list[Change]
    tools: list[TextDifference]
    output_schema: TextDifference | None


def difference(before: Template, after: Template) -> Difference:
    """From `before` to `after`."""
    messages = _aligned(
        [(each.role, each.content) for each in before.messages],
        [(each.role, each.content) for each in after.messages],
    )
    examples = _aligned(
        [(f"example {n}", _example(each)) for n, each in enumerate(before.examples, 1)],
        [(f"example {n}", _example(each)) for n, each in enumerate(after.examples, 1)],
    )
    tools = _by_name(_tools(before.tools), _tools(after.tools))
    schema = None
    if before.output_schema != after.output_schema:
        schema = _text("output schema", _json(before.output_schema), _json(after.output_schema))
    model = None
    if before.model != after.model:
        state = "changed" if before.model and after.model else "added" if after.model else "removed"
        model = Change("model", state, before.model or None, after.model or None)
    parameters = _changes(before.parameters, after.parameters)
    texts = [*messages, *examples, *tools]
    return Difference(
        same=model is None and schema is None and not parameters and all(e.state == "same" for e in texts),
        messages=messages,
        examples=examples,
        model=model,
        parameters=parameters,
        tools=tools,
        output_schema=schema,
    )


def line_difference(before: str, after: str) -> list[Line]:
    """Every line of both, in order; where lines were replaced, the old ones first."""
    old, new = before.split("\n"), after.split("\n")
    lines: list[Line] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            lines += [Line(" ", old[i1 + n], i1 + n + 1, j1 + n + 1) for n in range(i2 - i1)]
            continue
        lines += [Line("-", old[n], before=n + 1) for n in range(i1, i2)]
        lines += [Line("+", new[n], after=n + 1) for n in range(j1, j2)]
    return lines


def _aligned(before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]) -> list[TextDifference]:
    """Messages that belong together, by their titles' order; what has no counterpart is added or removed."""
    found: list[TextDifference] = []
    matcher = difflib.SequenceMatcher(None, [t for t, _ in before], [t for t, _ in after], autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            found += [_text(before[i1 + n][0], before[i1 + n][1], after[j1 + n][1]) for n in range(i2 - i1)]
            continue
        found += [_text(before[n][0], before[n][1], None) for n in range(i1, i2)]
        found += [_text(after[n][0], None, after[n][1]) for n in range(j1, j2)]
    return found


def _by_name(before: Mapping[str, str], after: Mapping[str, str]) -> list[TextDifference]:
    names = [*before, *(name for name in after if name not in before)]
    return [_text(name, before.get(name), after.get(name)) for name in names]


def _text(title: str, before: str | None, after: str | None) -> TextDifference:
    if before is None:
        lines = [Line("+", text, after=n) for n, text in enumerate((after or "").split("\n"), 1)]
        return TextDifference(title, "added", lines)
    if after is None:
        lines = [Line("-", text, before=n) for n, text in enumerate(before.split("\n"), 1)]
        return TextDifference(title, "removed", lines)
    return TextDifference(title, "same" if before == after else "changed", line_difference(before, after))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    changes: list[Change] = []
    for key in sorted({*before, *after}):
        if key not in before:
            changes.append(Change(key, "added", None, after[key]))
        elif key not in after:
            changes.append(Change(key, "removed", before[key], None))
        elif before[key] != after[key]:
            changes.append(Change(key, "changed", before[key], after[key]))
    return changes


def _tools(tools: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, tool in enumerate(tools, 1):
        function: Any = tool.get("function")
        name = str(function.get("name")) if isinstance(function, Mapping) else f"tool {number}"  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        found[name if name not in found else f"{name} ({number})"] = _json(tool) or ""
    return found


def _example(example: Any) -> str:
    return f"user: {example.input}\nassistant: {example.output}"


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
