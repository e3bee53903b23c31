"""Strings and numbers for a JSON Schema, from what was found. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from jsonschema import Draft202012Validator

from ratchet.simulator.dice import Dice
from ratchet.simulator.material import Material
from ratchet.simulator.patterns import matching
from ratchet.simulator.wording import string_for, suggestion

__all__ = ["number_for", "text_for"]

_LONGEST = 100_000
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def text_for(
    schema: dict[str, Any], name: str, material: Material, dice: Dice, *, arguments: bool, attempt: int = 0
) -> str:
    """A string that keeps to pattern, format and length."""
    fewest, most = min(int(schema.get("minLength", 0)), _LONGEST), schema.get("maxLength")
    found = string_for(name, str(schema.get("description", "")), material, arguments=arguments)
    if "pattern" in schema:
        return _patterned(schema["pattern"], found, material, fewest, most, dice)
    form = schema.get("format")
    if form in _FORMATS:
        found = tuple(text for text in found if _FORMATS[form].fullmatch(text))
        return found[0] if found else _formatted(form, name, dice)
    text = found[attempt % len(found)] if found else "unknown"
    return _sized(text, fewest, most)


def _sized(text: str, fewest: int, most: int | None) -> str:
    while len(text) < fewest:
        text = f"{text} {text}" if text else "a"
        if len(text) > 2 * fewest + 2:
            text = text[: max(fewest, 1)]
    return text if most is None else text[: int(most)]


def _patterned(
    pattern: str, found: tuple[str, ...], material: Material, fewest: int, most: int | None, dice: Dice
) -> str:
    """Something mentioned that matches, or a string made from the pattern. Raises `Unsupported`."""
    check = Draft202012Validator(
        {"pattern": pattern, "minLength": fewest, **({} if most is None else {"maxLength": most})}
    )
    mentions = material.mentions
    for text in (
        *found,
        *mentions.ids,
        *mentions.dates,
        *mentions.times,
        *mentions.numbers,
        *mentions.emails,
        *mentions.quoted,
    ):
        if check.is_valid(text):
            return text
    made = ""
    for extra in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, fewest):
        made = matching(pattern, dice.child(f"pattern {extra}"), extra=extra)
        if check.is_valid(made):
            return made
    # Where the pattern is not anchored, text around the match does no harm.
    padded = _sized(made, fewest, None)
    return padded if check.is_valid(padded) else made


_FORMATS = {
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "time": re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
    "duration": re.compile(r"P\d+D"),
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "hostname": re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+"),
    "ipv4": re.compile(r"(?:\d{1,3}\.){3}\d{1,3}"),
    "ipv6": re.compile(r"[0-9a-f:]+:[0-9a-f:]+"),
    "uuid": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "uri": re.compile(r"https?://\S+"),
}


def _formatted(form: str, name: str, dice: Dice) -> str:
    day = f"2026-{1 + dice.below(f'{name} month', 12):02}-{1 + dice.below(f'{name} day', 28):02}"
    clock = f"{8 + dice.below(f'{name} hour', 10):02}:{dice.below(f'{name} minute', 60):02}:00Z"
    word = dice.letters(name, 6).lower()
    digits = f"{dice.integer(name):016x}{dice.integer(name + '2'):016x}"
    return {
        "date": day,
        "time": clock,
        "date-time": f"{day}T{clock}",
        "duration": f"P{1 + dice.below(name, 30)}D",
        "email": f"{word}@example.com",
        "hostname": f"{word}.example.com",
        "ipv4": f"192.0.2.{1 + dice.below(name, 254)}",
        "ipv6": f"2001:db8::{dice.below(name, 65535):x}",
        "uuid": f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}",
        "uri": f"https://example.com/{word}",
    }[form]


def number_for(schema: dict[str, Any], name: str, kind: str, material: Material, dice: Dice) -> int | float:
    """A number within its bounds: one that was found under that name, one in the answer, or one drawn."""
    low, high = _bounds(schema, kind)
    step = schema.get("multipleOf") or (1 if kind == "integer" else None)
    check = Draft202012Validator({**{k: v for k, v in schema.items() if k in _KEPT}, "type": kind})
    found = [*suggestion(name, material), *_NUMBER.findall(material.body)]
    for value in found:
        number = _numeric(value, kind)
        if number is not None and check.is_valid(number):
            return number
    if step is None:
        low, high = _finite(low, high, 10.0)
        drawn = round(low + (high - low) * dice.number(f"number {name}"), 2)
        return drawn if check.is_valid(drawn) else low + (high - low) / 2
    first = math.ceil(round(low / step, 9)) if low > -math.inf else None
    last = math.floor(round(high / step, 9)) if high < math.inf else None
    first = first if first is not None else (last - 10 if last is not None else 0)
    last = last if last is not None else first + 10
    whole = first + dice.below(f"number {name}", max(1, min(last - first + 1, 1000)))
    value = whole * step
    return int(value) if kind == "integer" else value


_KEPT = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _numeric(value: Any, kind: str) -> int | float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if kind == "integer":
        return int(number) if number == int(number) else None
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def _bounds(schema: dict[str, Any], kind: str) -> tuple[float, float]:
    low = max(schema.get("minimum", -math.inf), -math.inf)
    high = min(schema.get("maximum", math.inf), math.inf)
    if "exclusiveMinimum" in schema:
        low = max(low, _past(schema["exclusiveMinimum"], 1, schema, kind))
    if "exclusiveMaximum" in schema:
        high = min(high, _past(schema["exclusiveMaximum"], -1, schema, kind))
    return low, high


def _past(bound: float, sign: int, schema: dict[str, Any], kind: str) -> float:
    """The nearest usable number on the inner side of an exclusive bound."""
    step = schema.get("multipleOf") or (1 if kind == "integer" else None)
    if step is None:
        return math.nextafter(bound, sign * math.inf)
    count = math.floor(bound / step) + 1 if sign > 0 else math.ceil(bound / step) - 1
    return count * step


def _finite(low: float, high: float, span: float) -> tuple[float, float]:
    if low == -math.inf and high == math.inf:
        return 0.0, span
    return (high - span if low == -math.inf else low), (low + span if high == math.inf else high)
