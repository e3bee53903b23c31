"""Whether a tool is called, which one, how often, and with what. Pure."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Ask, Call, Tool
from ratchet.simulator.dice import Dice
from ratchet.simulator.handbook import terms
from ratchet.simulator.instances import instance_of
from ratchet.simulator.material import Material
from ratchet.simulator.models import ModelClass
from ratchet.simulator.question import read_question

__all__ = ["calls_for"]

_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_ID_WORDS = frozenset(
    {"id", "ids", "number", "no", "code", "sku", "order", "tracking", "ticket", "invoice", "reference"}
)
_MOST_CALLS = 4


def calls_for(ask: Ask, material: Material, dice: Dice, kind: ModelClass) -> tuple[tuple[Call, ...], str]:
    """`(calls, flaw)`: the calls the model makes, none when it answers in words."""
    if not ask.tools or ask.tool_choice == "none" or (ask.results and ask.tool_choice == "auto"):
        return (), ""
    wanted = _wanted(ask, material)
    if not ask.parallel:
        wanted = wanted[:1]
    calls: list[Call] = []
    flaw = ""
    for index, (tool, about) in enumerate(wanted[:_MOST_CALLS]):
        own = dice.child(f"call {index}")
        focus = _slipped(about, own) if own.chance("slip", kind.slips) else about
        value, problem = instance_of(
            tool.parameters or {"type": "object"}, focus, own, arguments=True, sparse=True
        )
        flaw = flaw or problem
        arguments = msgspec.json.encode(value if isinstance(value, dict) else {}).decode()
        calls.append(Call("call_" + own.letters("id", 24), tool.name, arguments))
    return tuple(calls), flaw


def _wanted(ask: Ask, material: Material) -> list[tuple[Tool, Material]]:
    """Each call's tool with the part of the conversation that it is about."""
    if ask.named_tool:
        tool = next(tool for tool in ask.tools if tool.name == ask.named_tool)
        return [(tool, material)]
    found: list[tuple[Tool, Material]] = []
    parts = read_question(ask.question).parts or (ask.question,)
    for part in parts:
        best = max(ask.tools, key=lambda tool: fit(tool, part, material))
        if fit(best, part, material) >= 1.0:
            focus = msgspec.structs.replace(material, question=part) if len(parts) > 1 else material
            found.extend(_once_per_id(best, focus, part))
    kept = {(tool.name, focus.question, focus.mentions.ids[:1]): (tool, focus) for tool, focus in found}
    if kept or ask.tool_choice != "required":
        return list(kept.values())
    return [(max(ask.tools, key=lambda tool: fit(tool, ask.question, material)), material)]


def _once_per_id(tool: Tool, material: Material, part: str) -> list[tuple[Tool, Material]]:
    """Two order numbers in a question are two calls of a tool that takes one."""
    ids = [one for one in material.mentions.ids if one in part] or list(material.mentions.ids[:1])
    if len(ids) < 2 or not _takes_one_id(tool):
        return [(tool, _about(material, ids))]
    return [(tool, _about(material, [one])) for one in ids]


def _about(material: Material, ids: list[str]) -> Material:
    if not ids:
        return material
    return msgspec.structs.replace(
        material, mentions=msgspec.structs.replace(material.mentions, ids=tuple(ids))
    )


def _takes_one_id(tool: Tool) -> bool:
    properties = cast("dict[str, Any]", tool.parameters.get("properties", {}))
    return any(
        _words(name) & _ID_WORDS
        and isinstance(schema, dict)
        and cast("dict[str, Any]", schema).get("type") != "array"
        for name, schema in properties.items()
    )


def _words(name: str) -> set[str]:
    return {word.lower() for word in _SPLIT.split(name) if word}


def fit(tool: Tool, part: str, material: Material) -> float:
    """How well a tool fits a question: words shared with its name (1 each), its description and parameters (½),
    and 1 for an id at hand that it takes. From 1 on it is called; a description alone needs two words.
    """
    asked = set(terms(part))
    named = set(terms(" ".join(_words(tool.name))))
    described = set(
        terms(
            f"{tool.description} {' '.join(' '.join(_words(n)) for n in tool.parameters.get('properties', {}))}"
        )
    )
    score = float(len(asked & named)) + 0.5 * len((asked & described) - named)
    if _takes_one_id(tool):
        # A tool that looks a thing up by its number is no use without one.
        has_id = any(one in part for one in material.mentions.ids) or (
            bool(material.mentions.ids) and len(part) < 60
        )
        score = score + 1.0 if has_id and score else score * 0.4
    return score


def _slipped(material: Material, dice: Dice) -> Material:
    """The material with a digit of its ids wrong, as a small model may copy it."""

    def wrong(text: str) -> str:
        digits = [i for i, character in enumerate(text) if character.isdigit()]
        if not digits:
            return text
        at = dice.pick("digit", digits)
        return f"{text[:at]}{(int(text[at]) + 1 + dice.below('by', 8)) % 10}{text[at + 1 :]}"

    ids = tuple(map(wrong, material.mentions.ids))
    return msgspec.structs.replace(material, mentions=msgspec.structs.replace(material.mentions, ids=ids))
