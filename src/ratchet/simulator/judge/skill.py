"""How well a class of models judges: its confusion matrix and its biases. The table is open: docs/simulator.md shows it.

A judgement first compares the texts (aspects.py); what comes of that is the truth that the rates below err from. They
hold at temperature 1, as the other rates do. What a prompt says can lower them: to reason before the verdict, to spell
out the grades, that length or order shall not count.
"""

from __future__ import annotations

import math
import re

import msgspec

from ratchet.simulator.dice import Dice
from ratchet.simulator.mistakes import heat
from ratchet.simulator.models import ModelClass

__all__ = ["SKILLS", "Bench", "Skill"]


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities for one verdict."""

    false_yes: float  # yes, where no is true
    false_no: float  # no, where yes is true
    one_up: float  # a grade too high (on five grades, a quarter of the scale)
    one_down: float
    two_up: float
    two_down: float
    wrong_choice: float  # another choice than the true one, where two answers are compared
    position: float  # takes the first answer for its place
    length: float  # takes the longer of two answers for its length, for each doubling; on a grade, one up
    own: float  # takes its own family's answer for its style; on a grade, one up


SKILLS: dict[str, Skill] = {
    "small": Skill(
        false_yes=0.24, false_no=0.10, one_up=0.20, one_down=0.10, two_up=0.05, two_down=0.03, wrong_choice=0.20,
        position=0.20, length=0.10, own=0.12,
    ),
    "medium": Skill(
        false_yes=0.15, false_no=0.07, one_up=0.14, one_down=0.08, two_up=0.03, two_down=0.02, wrong_choice=0.13,
        position=0.12, length=0.07, own=0.10,
    ),
    "large": Skill(
        false_yes=0.08, false_no=0.04, one_up=0.09, one_down=0.05, two_up=0.01, two_down=0.01, wrong_choice=0.07,
        position=0.06, length=0.04, own=0.08,
    ),
    "reasoning": Skill(
        false_yes=0.05, false_no=0.03, one_up=0.06, one_down=0.04, two_up=0.01, two_down=0.005, wrong_choice=0.04,
        position=0.03, length=0.03, own=0.06,
    ),
}  # fmt: skip

_REASON_FIRST, _ANCHORED = 0.8, 0.85
_LENGTH_TOLD, _ORDER_TOLD = 0.25, 0.4
_TIE_SEEN = 0.6
_TYPICAL_WORDS = 30
_THINKS = re.compile(
    r"\b(?:step by step|think (?:first|before|carefully)|reason(?:ing)? (?:first|before)|first (?:explain|reason|write|think|give)|"
    r"explain (?:first|before|your reasoning)|before (?:you )?(?:giv|decid|grad|scor|answer))", re.IGNORECASE
)  # fmt: skip
_NO_LENGTH = re.compile(
    r"\blength\b[^.]{0,80}\b(?:not|no|never|irrelevant|ignore)\b|\b(?:not|never|ignore|don'?t)\b[^.]{0,80}\b(?:length|longer|long answers)\b",
    re.IGNORECASE,
)
_NO_ORDER = re.compile(
    r"\b(?:order|position)\b[^.]{0,80}\b(?:not|no|never|random|chance|irrelevant|ignore)\b|\b(?:not|never|ignore|don'?t|avoid)\b[^.]{0,80}\b(?:order|position)\b",
    re.IGNORECASE,
)
_ANCHORS = re.compile(
    r"^\s*(?:[-*]\s*)?(?:grade |score )?\d{1,2}\s*[:=)–-]\s*\S", re.IGNORECASE | re.MULTILINE
)


class Bench:
    """Where one request's verdicts are drawn: the model's skill under this prompt."""

    def __init__(self, kind: ModelClass, dice: Dice, *, temperature: float, task: str, rubric: str) -> None:
        self.skill = SKILLS[kind.name]
        self.dice, self.kind = dice, kind

        def kept(pattern: re.Pattern[str], text: str, name: str) -> bool:
            return bool(pattern.search(text)) and dice.chance(f"follow {name}", kind.follow)

        factor = heat(temperature)
        if kept(_THINKS, task, "reasoning first"):
            factor *= _REASON_FIRST
        if len(_ANCHORS.findall(rubric or task)) >= 3 and dice.chance("follow anchors", kind.follow):
            factor *= _ANCHORED
        self.factor = factor
        self.length = self.skill.length * (_LENGTH_TOLD if kept(_NO_LENGTH, task, "length") else 1.0)
        self.position = self.skill.position * (_ORDER_TOLD if kept(_NO_ORDER, task, "order") else 1.0)

    def yes(self, name: str, *, truth: bool) -> bool:
        """The verdict on a question of yes or no."""
        rate = self.skill.false_no if truth else self.skill.false_yes
        return truth != self.dice.chance(f"verdict {name}", rate * self.factor)

    def grade(
        self, good: float, levels: int, name: str, *, words: int = _TYPICAL_WORDS, own: bool = False
    ) -> int:
        """A level from 0 to `levels` - 1. `good` from 0 to 1 is what the comparison gave."""
        true = round(good * (levels - 1))
        long = self.length * max(-1.0, min(2.0, _doublings(words, _TYPICAL_WORDS)))
        up = self.skill.one_up * self.factor + max(0.0, long) + (self.skill.own if own else 0.0)
        down = self.skill.one_down * self.factor + max(0.0, -long)
        two_up, two_down = self.skill.two_up * self.factor, self.skill.two_down * self.factor
        step = max(1, round((levels - 1) / 4))
        drawn = self.dice.number(f"grade {name}")
        for rate, by in ((up, step), (down, -step), (two_up, 2 * step), (two_down, -2 * step)):
            if drawn < rate:
                return max(0, min(levels - 1, true + by))
            drawn -= rate
        return true

    def choice(self, true: str, words: tuple[int, int], own: tuple[bool, bool]) -> str:
        """first, second or tie. A bias decides before the texts do."""
        if self.dice.chance("position", self.position):
            return "first"
        doubled = _doublings(words[0], words[1])
        if self.dice.chance("length", self.length * min(2.0, abs(doubled))):
            return "first" if doubled > 0 else "second"
        if own[0] != own[1] and self.dice.chance("own", self.skill.own):
            return "first" if own[0] else "second"
        if true == "tie" and not self.dice.chance("tie", _TIE_SEEN):
            return self.dice.pick("no tie", ("first", "second"))
        if true != "tie" and self.dice.chance("choice", self.skill.wrong_choice * self.factor):
            return self.dice.pick("wrong choice", [one for one in ("first", "second", "tie") if one != true])
        return true


def _doublings(words: int, than: int) -> float:
    """How often `than` has to be doubled to give `words`; negative where it is the other way round."""
    return math.log2(max(1, words) / max(1, than))
