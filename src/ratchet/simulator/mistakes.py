"""Mistakes that real models make with text they have in front of them. Pure, and drawn by named dice."""

from __future__ import annotations

import re

from ratchet.simulator.dice import Dice
from ratchet.simulator.handbook import Handbook

__all__ = ["another_number", "difficulty", "heat", "mix_up_number"]

# A number with what it counts: "30 days", "4.90 euros", "14:00". Years and phone numbers are left alone.
_NUMBER = re.compile(r"(?<![\w.,:-])(\d{1,3}(?:[.,:]\d{2})?)(?![\w:]|[.,]\d|\s+\d{3})")
_FALLBACK = ("14", "30", "7", "10", "60", "24", "5", "3", "2", "90")


def difficulty(question: str) -> float:
    """How hard a question is for every model: a factor with mean 1, from 0.3 to 1.7, fixed by its wording."""
    return 0.3 + 1.4 * Dice(" ".join(question.lower().split()).encode()).number("difficulty")


def heat(temperature: float) -> float:
    """The factor that temperature puts on every error rate: 0.6 at 0, 1 at 1, 1.6 at 2."""
    return 0.6 + 0.4 * temperature if temperature <= 1 else 1.0 + 0.6 * (temperature - 1)


def mix_up_number(text: str, book: Handbook, dice: Dice) -> str:
    """The text with one of its numbers replaced by a like one from elsewhere in the handbook."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    chosen = dice.pick("which number", found)
    after = text[chosen.end() :].split(maxsplit=2)[:2]
    other = another_number(chosen[1], " ".join(after), book, dice)
    return text[: chosen.start()] + other + text[chosen.end() :]


def another_number(number: str, unit: str, book: Handbook, dice: Dice) -> str:
    """A different number of the same form, of the same unit where the handbook has one."""
    form = re.sub(r"\d+", "9", number)
    wanted = unit.lower().split()[-1].strip(".,;") if unit else ""
    like: list[str] = []
    same_form: list[str] = []
    for section in book.sections:
        for match in _NUMBER.finditer(section.text):
            if match[1] == number or re.sub(r"\d+", "9", match[1].replace(".", form[1:2] or ".")) != form:
                continue
            same_form.append(match[1].replace(".", form[1:2]) if len(form) > 1 else match[1])
            if wanted and wanted in section.text[match.end() : match.end() + 24].lower():
                like.append(same_form[-1])
    options = like or same_form or [option for option in _FALLBACK if option != number]
    return dice.pick("other number", options)
