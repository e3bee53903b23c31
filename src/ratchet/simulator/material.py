"""What structured output is filled from: the answer's findings, and what the conversation mentions."""

from __future__ import annotations

import functools
import re
from hashlib import blake2b
from typing import Any

import msgspec

from ratchet.simulator.ask import Ask
from ratchet.simulator.handbook import Section, sentences

__all__ = ["Material", "Mentions", "material_of", "mentions_of", "seen_in"]


class Mentions(msgspec.Struct, frozen=True, kw_only=True):
    """Things named in the user's messages, latest message first, in the order they stand there."""

    ids: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # capitalised words inside a sentence
    quoted: tuple[str, ...] = ()


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is the whole answer, `body` the answer without frames; `fields` are findings by name."""

    text: str
    body: str
    question: str
    kind: str
    language: str
    fields: dict[str, Any]
    mentions: Mentions
    keeps_json: bool = True

    @property
    def sentences(self) -> tuple[str, ...]:
        return sentences(self.body) or (self.body,)

    def finds_number(self, name: str) -> bool:
        """Whether there is anything to fill a number of this name from."""
        return bool(_NUMBER.search(self.body)) or (
            name in self.fields and not isinstance(self.fields[name], str)
        )


_PATTERNS = {
    "emails": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    "urls": re.compile(r"https?://[^\s<>\"']+"),
    "dates": re.compile(r"\b\d{4}-\d\d-\d\d\b"),
    "times": re.compile(r"\b\d{1,2}:\d\d\b"),
    "ids": re.compile(r"#\d{3,}\b|\b[A-Z]{1,5}-?\d{3,}(?:-\d+)*\b|\b\d{5,}\b"),
    "quoted": re.compile(r"[\"“]([^\"”\n]{1,60})[\"”]"),
    "names": re.compile(r"(?<=[a-zà-ÿ,;:] )[A-ZÀ-Þ][a-zà-ÿ'’-]+(?: [A-ZÀ-Þ][a-zà-ÿ'’-]+)*"),
}
_NUMBER = re.compile(r"(?<![\w#.-])-?\d+(?:\.\d+)?(?![\w-]|\.\d)")
_LATEST = 6
_LOOKED_AT = 8192


def mentions_of(ask: Ask) -> Mentions:
    """What the conversation's latest user messages mention, in the first `_LOOKED_AT` characters of each."""
    return _mentions(tuple(turn.text[:_LOOKED_AT] for turn in ask.turns if turn.role == "user")[-_LATEST:])


@functools.lru_cache(maxsize=1024)
def _mentions(texts: tuple[str, ...]) -> Mentions:
    found: dict[str, dict[str, None]] = {name: {} for name in (*_PATTERNS, "numbers")}
    for text in reversed(texts):
        rest = text
        for name, pattern in _PATTERNS.items():
            for match in pattern.finditer(rest):
                found[name][match[1] if match.groups() else match[0]] = None
            if name in {"emails", "urls", "dates", "times", "ids"}:
                rest = pattern.sub(" ", rest)
        found["numbers"].update(dict.fromkeys(_NUMBER.findall(rest)))
    return Mentions(**{name: tuple(values) for name, values in found.items()})


def material_of(
    ask: Ask,
    *,
    text: str,
    body: str,
    kind: str,
    section: Section | None,
    language: str,
    keeps_json: bool,
    plain: bool,
) -> Material:
    """The material of an answer. Findings are there only where something was found; in a `plain` answer, which
    has nothing to fill, mentions are not looked for.
    """
    fields: dict[str, Any] = {
        "found": kind in {"answer", "clarify"},
        "confidence": {"answer": 0.9, "invented": 0.7, "clarify": 0.5, "unknown": 0.2}.get(kind, 0.6),
        "language": language,
        "refused": kind == "refusal",
    }
    if section:
        fields["section"] = section.title
        fields["section_number"] = section.number
    return Material(
        text=text,
        body=body,
        question=ask.question,
        kind=kind,
        language=language,
        fields=fields,
        mentions=Mentions() if plain else mentions_of(ask),
        keeps_json=keeps_json,
    )


_COLOURS = ("green", "grey", "red", "blue", "orange", "brown", "black", "yellow")
_THINGS = (
    "tent",
    "rucksack",
    "walking boot",
    "rain jacket",
    "camping stove",
    "garden chair",
    "sleeping bag",
    "parcel",
)
_STATES = (
    "with a torn seam",
    "that looks new",
    "with a broken buckle",
    "in its packaging",
    "with a scratch",
    "on a lawn",
)


def seen_in(content: str) -> str:
    """A description that is fixed by the picture's bytes (or address); the bot cannot really see."""
    digest = blake2b(content.removeprefix("low:").encode(), digest_size=3).digest()
    colour, thing, state = _COLOURS[digest[0] % 8], _THINGS[digest[1] % 8], _STATES[digest[2] % 6]
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {thing} {state}"
