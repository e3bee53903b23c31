"""Strings that match a regular expression: enough of the language for the patterns that schemas really use.

Understood: literals, escapes, `\\d \\w \\s`, classes with ranges and negation, groups, alternation, `* + ? {m,n}`,
lazy marks, anchors, the dot. Not understood: look-around, back references, Unicode properties: these raise
`Unsupported`. Character classes are ASCII.
"""

from __future__ import annotations

import string

from ratchet.simulator.dice import Dice

__all__ = ["Unsupported", "matching"]

_CLASSES = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.digits + "_",
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-. ",
    "S": string.ascii_lowercase,
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PRINTABLE = string.ascii_letters + string.digits + " !#$%&()*+,-./:;<=>?@[]^_{|}~"
_DOT = string.ascii_lowercase
_MOST_STEPS = 10_000


class Unsupported(ValueError):
    """The pattern uses something this generator does not know."""


def matching(pattern: str, dice: Dice, *, extra: int = 0) -> str:
    """A string in which `pattern` is found. `extra` repetitions are added where the pattern leaves room."""
    writer = _Writer(pattern, dice, extra)
    text = writer.alternation()
    if writer.at < len(pattern):
        raise Unsupported(f"unexpected {pattern[writer.at]!r} at {writer.at} in {pattern!r}")
    return text


class _Writer:
    """A recursive-descent reader that writes as it reads."""

    def __init__(self, pattern: str, dice: Dice, extra: int) -> None:
        self.pattern, self.dice, self.extra = pattern, dice, extra
        self.at = 0
        self.drawn = self.steps = 0

    def limit(self) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise Unsupported(f"{self.pattern!r} asks for too long a text")

    def draw(self, options: str) -> str:
        self.drawn += 1
        return self.dice.pick(f"character {self.drawn}", options)

    def alternation(self) -> str:
        branches = [self.sequence()]
        while self.at < len(self.pattern) and self.pattern[self.at] == "|":
            self.at += 1
            branches.append(self.sequence())
        self.drawn += 1
        return self.dice.pick(f"branch {self.drawn}", branches)

    def sequence(self) -> str:
        parts: list[str] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            start = self.at
            first = self.atom()
            low, high = self.quantifier()
            times = low if high is None else min(low, high)
            if self.extra and (high is None or high > low):
                times = low + self.extra if high is None else min(high, low + self.extra)
            after = self.at
            written = [first] if times else []
            for _ in range(times - 1):
                self.at = start
                written.append(self.atom())
                self.limit()
            self.at = after
            parts.extend(written)
        return "".join(parts)

    def atom(self) -> str:
        character = self.pattern[self.at]
        self.at += 1
        if character in "^$":
            return ""
        if character == ".":
            return self.draw(_DOT)
        if character == "(":
            return self.group()
        if character == "[":
            return self.draw(self.character_class())
        if character == "\\":
            return self.escape()
        if character in "*+?":
            raise Unsupported(f"nothing to repeat at {self.at} in {self.pattern!r}")
        return character

    def group(self) -> str:
        if self.pattern.startswith("?", self.at):
            if self.pattern.startswith("?:", self.at):
                self.at += 2
            elif self.pattern.startswith(("?P<", "?<"), self.at) and not self.pattern.startswith(
                ("?<=", "?<!"), self.at
            ):
                self.at = self.pattern.index(">", self.at) + 1
            else:
                raise Unsupported(f"look-around or flags in {self.pattern!r}")
        text = self.alternation()
        if not self.pattern.startswith(")", self.at):
            raise Unsupported(f"an open group in {self.pattern!r}")
        self.at += 1
        return text

    def escape(self) -> str:
        if self.at >= len(self.pattern):
            raise Unsupported(f"a trailing backslash in {self.pattern!r}")
        character = self.pattern[self.at]
        self.at += 1
        if character in _CLASSES:
            return self.draw(_CLASSES[character])
        if character in "bBAZz":
            return ""
        if character in "pPk123456789":
            raise Unsupported(f"\\{character} in {self.pattern!r}")
        if character in "ux":
            width = 4 if character == "u" else 2
            digits = self.pattern[self.at : self.at + width]
            self.at += width
            return chr(int(digits, 16))
        return _ESCAPES.get(character, character)

    def character_class(self) -> str:
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        found: list[str] = []
        first = True
        while first or not self.pattern.startswith("]", self.at):
            if self.at >= len(self.pattern):
                raise Unsupported(f"an open class in {self.pattern!r}")
            found.append(self.class_item())
            first = False
        self.at += 1
        options = "".join(found)
        if negated:
            options = "".join(c for c in _PRINTABLE if c not in options)
        if not options:
            raise Unsupported(f"an empty class in {self.pattern!r}")
        return options

    def class_item(self) -> str:
        start = self.class_character()
        follows = self.pattern[self.at : self.at + 2]
        if len(start) != 1 or len(follows) < 2 or follows[0] != "-" or follows[1] == "]":
            return start
        self.at += 1
        end = self.class_character()
        if len(end) != 1 or ord(end) < ord(start):
            raise Unsupported(f"a wrong range in {self.pattern!r}")
        return "".join(map(chr, range(ord(start), min(ord(end), ord(start) + 255) + 1)))

    def class_character(self) -> str:
        character = self.pattern[self.at]
        self.at += 1
        if character != "\\":
            return character
        follows = self.pattern[self.at : self.at + 1]
        if follows in _CLASSES:
            self.at += 1
            return _CLASSES[follows]
        if follows == "b":
            self.at += 1
            return "\b"
        return self.escape()

    def quantifier(self) -> tuple[int, int | None]:
        """`(fewest, most)`; most is None where there is no limit."""
        if self.at >= len(self.pattern):
            return 1, 1
        character = self.pattern[self.at]
        bounds: tuple[int, int | None] = (1, 1)
        if character in "*+?":
            self.at += 1
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        elif character == "{":
            end = self.pattern.find("}", self.at)
            low, comma, high = self.pattern[self.at + 1 : end].partition(",")
            if end > 0 and low.strip().isdigit() and (not high or high.strip().isdigit()):
                self.at = end + 1
                bounds = int(low), (int(high) if high else None) if comma else int(low)
            else:
                return 1, 1
        else:
            return 1, 1
        if self.pattern[self.at : self.at + 1] in ("?", "+"):
            self.at += 1
        return bounds
