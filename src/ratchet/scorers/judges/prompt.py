"""A judge's prompt: templates with places for texts, which are quoted so that nothing in them can end the quotation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from ratchet.domain.generation import OutputFormat, Request
from ratchet.domain.messages import Message, TextPart

__all__ = ["PLACES", "JudgePrompt", "ask_of", "mark_of", "places_in"]

# What can stand in a template, and what it is.
PLACES: dict[str, str] = {
    "question": "what the candidate was asked",
    "answer": "what it answered",
    "reference": "the case's reference",
    "context": "the case's context",
    "previous_answer": "what production answered when this became a case",
    "feedback": "what a person said about that answer",
    "conversation": "all turns, the candidate's answer last",
    "answer_a": "one of two answers",
    "answer_b": "the other one",
    "rubric": "the rubric",
    "criteria": "the numbered criteria",
    "grades": "the lowest and the highest grade",
}
_PLACE = re.compile(r"\{\{\s*(\w+)(\?)?\s*\}\}")
_PLAIN = frozenset({"grades"})  # stand in a sentence, unquoted: nothing of a case is in them
_MARK = "mark"
_MARK_BYTES = 8


class JudgePrompt(msgspec.Struct, frozen=True, kw_only=True):
    """`{{answer}}` stands for a quoted text; `{{reference?}}` may be missing from the case, and is then left out.

    `schema` is the JSON Schema of the verdict, with the reasoning before what is concluded from it. `given` fills places
    that are the same for every case, such as the rubric.
    """

    name: str
    system: str
    user: str
    schema: dict[str, Any]
    given: dict[str, str] = {}

    @property
    def hash(self) -> str:
        """12 hexadecimal digits that change with any word of the prompt, its rubric or its schema."""
        content = msgspec.json.encode([self.system, self.user, self.schema, self.given], order="sorted")
        return blake2b(content, digest_size=6).hexdigest()


def places_in(template: str) -> dict[str, bool]:
    """The places of a template, each with whether it must be filled."""
    found: dict[str, bool] = {}
    for name, optional in _PLACE.findall(template):
        if name != _MARK:
            found[name] = found.get(name, False) or not optional
    return found


def mark_of(texts: Mapping[str, str]) -> str:
    """The mark in the tags around quoted texts: 16 hexadecimal digits that are in none of them.

    It is a digest of the texts themselves, so the same question is asked in the same words, and whoever wrote one of
    the texts would have had to know its own digest to close the quotation.
    """
    whole = msgspec.json.encode(texts, order="sorted")
    for attempt in range(1 << 16):
        mark = blake2b(whole, digest_size=_MARK_BYTES, salt=attempt.to_bytes(8)).hexdigest()
        if not any(mark in text.lower() for text in texts.values()):
            return mark
    raise AssertionError("unreachable: no text holds the digests of itself under 65,536 salts")


def ask_of(
    prompt: JudgePrompt, texts: Mapping[str, str], *, model: str, temperature: float | None
) -> Request:
    """The request for a verdict. `texts` has everything that the prompt's templates need; "" is missing."""
    texts = {**texts, **prompt.given}
    mark = mark_of(texts)
    return Request(
        dialect="openai_chat",
        model=model,
        messages=[
            Message("system", [TextPart(_filled(prompt.system, texts, mark))]),
            Message("user", [TextPart(_filled(prompt.user, texts, mark))]),
        ],
        temperature=temperature,
        output=OutputFormat(kind="json_schema", name="verdict", schema=prompt.schema, strict=True),
    )


def _filled(template: str, texts: Mapping[str, str], mark: str) -> str:
    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name == _MARK:
            return mark
        text = texts.get(name, "")
        if name in _PLAIN:
            return text
        if not text and match[2]:
            return ""
        tag = f"{name}-{mark}"
        return f"<{tag}>\n{text}\n</{tag}>"

    # One pass: what a text holds is never looked at as a template.
    return (
        re.sub(r"\n{3,}", "\n\n", _PLACE.sub(place, template))
        if "?" in template
        else _PLACE.sub(place, template)
    )
