"""What a property's name says about its value: a schema is filled with what was found, not with noise."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ratchet.simulator.dice import Dice
from ratchet.simulator.handbook import terms
from ratchet.simulator.material import Material

__all__ = ["best_option", "string_for", "suggestion"]

_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_Source = Callable[[Material], tuple[Any, ...]]


def _field(*names: str) -> _Source:
    return lambda material: tuple(material.fields[name] for name in names if name in material.fields)


# Words of a property's name, and where its value comes from. The first row with a word of the name decides.
_ROWS: tuple[tuple[str, _Source], ...] = (
    ("email mail", lambda m: m.mentions.emails),
    ("url link href website", lambda m: m.mentions.urls),
    ("date day", lambda m: m.mentions.dates),
    ("time hour", lambda m: m.mentions.times),
    ("section_number", _field("section_number")),
    (
        "section source citation cite reference chapter title heading article sources citations",
        _field("section"),
    ),
    ("id ids number order orders ticket tracking sku code invoice", lambda m: m.mentions.ids),
    ("confidence probability certainty score", _field("confidence")),
    ("language lang locale", _field("language")),
    ("found known answered covered grounded answerable handbook in_scope", _field("found")),
    ("refused refusal declined", _field("refused")),
    ("quantity count amount n items price total value", lambda m: m.mentions.numbers),
    (
        "name customer person city country place product item destination location",
        lambda m: m.mentions.names,
    ),
    (
        "question query request q search keywords input prompt",
        lambda m: (m.question,) if m.question else (),
    ),
    ("answer reply response text message content body result output", lambda m: (m.text,)),
    ("summary short gist", lambda m: m.sentences[:1]),
    ("reason reasoning explanation rationale thought analysis", lambda m: (_reason(m),)),
    ("facts points steps details sentences quotes quote evidence", lambda m: m.sentences),
)
_SOURCES = tuple((frozenset(words.split()), source) for words, source in _ROWS)


_SECTION_WORDS = frozenset(
    {"section", "source", "citation", "cite", "reference", "chapter", "sources", "citations"}
)


def _reason(material: Material) -> str:
    section = material.fields.get("section")
    return (
        f"The handbook's section on {section.lower()} says so." if section else "The handbook does not say."
    )


def words_of(name: str) -> frozenset[str]:
    """The words in a property's name: `orderId` and `order_id` have the same."""
    return frozenset([name.lower(), *(word.lower() for word in _SPLIT.split(name) if word)])


def suggestion(name: str, material: Material) -> tuple[Any, ...]:
    """What was found that fits a property of this name, best first; empty when nothing does."""
    words = words_of(name)
    for keys, source in _SOURCES:
        if words & keys:
            found = source(material)
            if found:
                return found
    return ()


def string_for(name: str, description: str, material: Material, *, arguments: bool) -> tuple[str, ...]:
    """Strings for a property, best first: by its name, then by its description, then what was said."""
    named = tuple(str(value) for value in suggestion(name, material) if not isinstance(value, bool))
    if named:
        return named
    if not arguments and words_of(name) & _SECTION_WORDS:
        return ("none",)
    described = tuple(
        str(value)
        for word in _SPLIT.split(description)
        for value in suggestion(word, material)
        if not isinstance(value, bool)
    )
    if described and (arguments or name):
        return described
    if arguments:
        return (
            *material.mentions.quoted,
            *material.mentions.names,
            *material.mentions.ids,
            material.question or "unknown",
        )
    return material.sentences


def best_option(options: list[Any], name: str, material: Material, dice: Dice) -> list[Any]:
    """Options by how much they share with what was asked and answered, best first."""
    hay = set(
        terms(f"{material.question} {material.body} {material.kind} {material.fields.get('section', '')}")
    )
    for value in suggestion(name, material):
        if value in options and not isinstance(value, bool):
            return [value, *(option for option in options if option != value)]

    def weight(position: int) -> tuple[float, float]:
        own = set(terms(str(options[position]).replace("_", " ")))
        return -len(own & hay) / (len(own) or 1), dice.number(f"option {name} {position}")

    return [options[position] for position in sorted(range(len(options)), key=weight)]
