"""What a simulated user thinks of an answer: they know the handbook, and are not always fair."""

from __future__ import annotations

from typing import Any

from ratchet.demo.questions import Question, is_right
from ratchet.simulator.dice import Dice
from ratchet.simulator.handbook import Handbook

__all__ = ["opinion"]

_SHARE = 0.25
_FAIR_UP, _FAIR_DOWN = 0.92, 0.88  # how often a right answer gets a thumb up, and a wrong one a thumb down
_PRAISE = ("Clear and quick, thanks!", "Exactly what I needed.", "Great help.")
_BLAME = (
    "That is not what your website says.",
    "Wrong answer.",
    "This does not answer my question.",
    "Not helpful.",
)


def opinion(question: Question, answer: str, dice: Dice, *, share: float = _SHARE) -> dict[str, Any] | None:
    """The fields of a feedback request, or None: most users say nothing."""
    if not dice.chance("speaks", share):
        return None
    right = is_right(question, answer)
    pleased = dice.chance("fair", _FAIR_UP) if right else not dice.chance("fair", _FAIR_DOWN)
    if dice.chance("stars", 0.15):
        said: dict[str, Any] = {
            "name": "stars",
            "value": 4 + dice.below("high", 2) if pleased else 1 + dice.below("low", 2),
        }
    else:
        said = {"name": "thumbs", "value": pleased}
    if dice.chance("comment", 0.25 if pleased else 0.5):
        said["comment"] = dice.pick("which", _PRAISE if pleased else _BLAME)
    if not pleased and not right:
        said["label"] = "wrong" if question.facts else "made up"
        if dice.chance("correct", 0.45):
            said["correction"] = _truth(question)
    return said


def _truth(question: Question) -> str:
    sections = Handbook.shipped().sections
    found = next((section for section in sections if section.number == question.section), None)
    if found is None:
        return "The handbook does not say anything about this."
    return " ".join(found.translations.get(question.language, found.sentences))
