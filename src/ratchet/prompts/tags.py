"""What a template's tags say, read without running it: which are there, and how much they may make of little.

minijinja bounds the instructions of a rendering, not its memory: `{% set x = x ~ x %}` forty times is forty
instructions and a terabyte. Prompts need conditions, loops and filters. What could grow without bounds beside these is
refused here, before it ever runs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import msgspec

from ratchet.prompts.filters import KNOWN

__all__ = ["Flaw", "Outline", "outline"]

_OPENING = re.compile(r"\{\{|\{%|\{#")
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_INSIDE = {closing: re.compile(f"{_QUOTED}|{re.escape(closing)}", re.DOTALL) for closing in ("}}", "%}")}
_FILTER = re.compile(r"\|\s*([A-Za-z_]\w*)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r"(?<![\w.|])(?<!\|\s)[A-Za-z_]\w*")
_OPTIONAL = (
    re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\|\s*(?:default|d)\b"),
    re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s+is\s+(?:not\s+)?(?:defined|undefined)\b"),
)
_RAW_END = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_ALLOWED = frozenset(
    ("if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "raw", "endraw")
)
_ASSIGNING = frozenset(("set", "with", "for"))
_WORDS_OF_SYNTAX = frozenset(
    ("in", "if", "else", "and", "or", "not", "is", "true", "false", "none", "True", "False", "None", "loop")
)
_MOST_GROWTH = 256


class Flaw(Exception):
    """Why a template is refused: the line it stands on, what is wrong there and what to do."""

    def __init__(self, line: int, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.line, self.problem, self.remedy = line, problem, remedy


class Outline(msgspec.Struct, frozen=True):
    """`optional` are the variables that the template can do without; `looped` is how many characters of plain text
    one round of a loop writes at most, at once."""

    optional: frozenset[str]
    looped: int


class _Tag(msgspec.Struct, frozen=True):
    kind: str  # text | {{ | {%
    content: str  # strings taken out of tags
    line: int


def outline(source: str) -> Outline:
    """Raises Flaw. What is no template at all is left to minijinja, which says where it ends."""
    optional: set[str] = set()
    growth, depth, looped = 1, 0, 0
    for tag in _tags(source):
        if tag.kind == "text":
            looped = max(looped, len(tag.content)) if depth else looped
            continue
        _check_filters(tag)
        for pattern in _OPTIONAL:
            optional.update(pattern.findall(tag.content))
        if tag.kind == "{%":
            word = _checked_word(tag)
            depth += {"for": 1, "endfor": -1}.get(word, 0)
            if word in _ASSIGNING:
                growth *= max(1, len(_used_names(tag.content, word)))
        if growth > _MOST_GROWTH:
            raise Flaw(
                tag.line,
                "`set`, `with` and `for` put too many values together",
                "Let the app put them together, and hand them in as one variable.",
            )
    return Outline(frozenset(optional), looped)


def _check_filters(tag: _Tag) -> None:
    for found in _FILTER.finditer(tag.content):
        name = found[1]
        if name not in KNOWN:
            close = difflib.get_close_matches(name, KNOWN, n=1)
            raise Flaw(
                tag.line,
                f"there is no filter `{name}`",
                f"Did you mean `{close[0]}`?" if close else f"There are: {', '.join(sorted(KNOWN))}.",
            )


def _checked_word(tag: _Tag) -> str:
    found = _WORD.search(tag.content)
    word = found[0] if found else ""
    if word and word not in _ALLOWED:
        raise Flaw(
            tag.line,
            f"`{{% {word} %}}` is not for prompts",
            "Use if, for, set, with and raw; messages that share a text repeat it.",
        )
    if word == "for" and re.search(r"\brecursive\b", tag.content):
        raise Flaw(tag.line, "a loop can't be `recursive`", "Hand in a flat list.")
    return word


def _used_names(content: str, word: str) -> list[str]:
    """The values that a tag reads: names that are neither assigned there nor filters, attributes or syntax."""
    if word == "for":
        content = content.partition(" in ")[2]
    elif word == "set":
        content = content.partition("=")[2]
    else:
        content = re.sub(r"[A-Za-z_]\w*\s*=(?!=)", "", content.partition("with")[2])
    return [name for name in _NAMED.findall(content) if name not in _WORDS_OF_SYNTAX]


def _tags(source: str) -> Iterator[_Tag]:
    position, line = 0, 1
    while opening := _OPENING.search(source, position):
        start = opening.start()
        yield _Tag("text", source[position:start], line)
        line += source.count("\n", position, start)
        if opening[0] == "{#":
            end = source.find("#}", start + 2)
            position = len(source) if end < 0 else end + 2
        else:
            content, position = _inside(source, opening.end(), "}}" if opening[0] == "{{" else "%}")
            if opening[0] == "{%" and content.strip(" \t\n+-") == "raw":
                found = _RAW_END.search(source, position)
                yield _Tag("text", source[position : found.start() if found else len(source)], line)
                position = found.end() if found else len(source)
            else:
                yield _Tag(opening[0], content, line)
        line += source.count("\n", start, position)
    yield _Tag("text", source[position:], line)


def _inside(source: str, start: int, closing: str) -> tuple[str, int]:
    """What stands in a tag that begins at `start`, its strings emptied, and where the tag ends."""
    parts: list[str] = []
    position = start
    for found in _INSIDE[closing].finditer(source, start):
        parts.append(source[position : found.start()])
        position = found.end()
        if found[0] == closing:
            return "".join(parts), position
        parts.append("''")
    return "".join([*parts, source[position:]]), len(source)
