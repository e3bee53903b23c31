"""The last step of every role: words become tool calls, JSON, or stay words. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ratchet.simulator.ask import Ask
from ratchet.simulator.dice import Dice
from ratchet.simulator.draft import Draft
from ratchet.simulator.instances import instance_of
from ratchet.simulator.instructions import Instructions
from ratchet.simulator.material import Material
from ratchet.simulator.models import ModelClass
from ratchet.simulator.toolcalls import calls_for

__all__ = ["finish"]

_TELLS_THOUGHTS = re.compile(r"deepseek-reasoner|deepseek-r1|qwq|-thinking", re.IGNORECASE)


def finish(ask: Ask, dice: Dice, kind: ModelClass, told: Instructions, material: Material) -> Draft:
    """The draft in the form that was asked for."""
    tells = kind.reasons and (ask.thoughts or _TELLS_THOUGHTS.search(ask.model))
    reasoning = _thoughts(material) if tells else ""
    calls, flaw = calls_for(ask, material, dice, kind)
    if calls:
        return Draft(calls=calls, reasoning=reasoning, flaw=flaw)
    if ask.format == "json_schema":
        value, flaw = instance_of(ask.schema, material, dice)
        return Draft(text=msgspec.json.encode(value).decode(), reasoning=reasoning, flaw=flaw)
    if ask.format == "json_object" or told.json:
        text = msgspec.json.encode(_plain_object(told, material, dice)).decode()
        if ask.format != "json_object" and not material.keeps_json:
            text = f"Here is the JSON:\n```json\n{text}\n```"
        return Draft(text=text, reasoning=reasoning)
    return Draft(text=material.text, reasoning=reasoning)


def _plain_object(told: Instructions, material: Material, dice: Dice) -> dict[str, Any]:
    """An object with the keys that the prompt names, or with the usual ones."""
    keys = [key for key in told.json_keys if key.lower() != "json"] or ["answer", "section"]
    schema = {"type": "object", "properties": {key: _guess(key) for key in keys}, "required": keys}
    value, _ = instance_of(schema, material, dice)
    return value


def _guess(key: str) -> dict[str, Any]:
    name = key.lower()
    if name in {"confidence", "score", "probability"}:
        return {"type": "number", "minimum": 0, "maximum": 1}
    if name.startswith(("is_", "has_", "can_")) or name in {"found", "answered", "refused", "known"}:
        return {"type": "boolean"}
    return {"type": "string"}


def _thoughts(material: Material) -> str:
    section = material.fields.get("section")
    about = " ".join(material.question.split())[:120]
    where = (
        f"The section '{section}' of the handbook is about this."
        if section
        else "I see nothing about this in the handbook."
    )
    return f"The user writes: {about!r}. {where} I will answer from it."
