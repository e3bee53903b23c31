"""Judges with a grade: by a rubric, for relevance, for a whole conversation; and with labels of one's own."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from ratchet.domain.cases import Verdict
from ratchet.scorers.judges.asking import Judge, Unreadable
from ratchet.scorers.judges.prompts import grade_schema, label_schema
from ratchet.scorers.judges.settings import JudgeSettings, field, reasoning_of, share_of
from ratchet.scorers.scorer import Generate, ScorerAbout

__all__ = ["Conversation", "Grade", "Relevance"]

_RUBRIC = (
    "A good answer is correct, answers the question that was asked, and is useful to the one who asked.\n"
    "1: wrong, or no answer to the question\n2: mostly wrong or beside the point\n3: partly right\n"
    "4: right, with small flaws\n5: correct, answers the question, and leaves nothing out"
)
_RELEVANT = (
    "1: speaks of something else, or does not answer at all\n2: touches the question only\n3: answers part of it\n"
    "4: answers it with much that was not asked\n5: relevant throughout: it answers the question that was asked"
)
_CONVERSED = (
    "A good assistant answers each question correctly, remembers what was said before, and stays polite.\n"
    "1: most answers are wrong\n2: many flaws\n3: mixed\n4: small flaws\n5: every answer is correct and relevant"
)


class Graded(JudgeSettings, frozen=True, kw_only=True):
    """A whole number on a scale, normalised to [0, 1]; or one of `labels`, worst first."""

    rubric: str | dict[str | int, str] = ""
    scale: tuple[int, int] = (1, 5)
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.scale
        if not 0 < high - low <= 100:
            raise ValueError(f"`scale` must be a lowest and a higher grade, and is {[low, high]}")
        if self.labels and (len(self.labels) < 2 or len(set(self.labels)) < len(self.labels)):
            raise ValueError("`labels` must be two or more different ones, worst first")

    @property
    def usual(self) -> str:
        """The rubric where none is given."""
        raise NotImplementedError

    def known(self, about: ScorerAbout) -> ScorerAbout:
        return replace(super().known(about), binary=len(self.labels) == 2)

    def schema(self) -> dict[str, Any]:
        return label_schema(list(self.labels)) if self.labels else grade_schema(*self.scale)

    def given(self) -> dict[str, str]:
        low, high = self.scale
        grades = f"{low} (worst) to {high} (best)"
        if isinstance(self.rubric, dict):
            return {
                "rubric": "\n".join(f"{key}: {text}" for key, text in self.rubric.items()),
                "grades": grades,
            }
        rubric = self.rubric or (
            self.usual if self.scale == (1, 5) and not self.labels else self.usual.split("\n")[0]
        )
        return {"rubric": rubric, "grades": grades}

    def worded(self, user: str) -> str:
        if not self.labels:
            return user
        words = ", ".join(f"'{label}'" for label in self.labels)
        return user.replace(
            "with a whole number from {{grades}}", f"with one of the labels {words}, worst first"
        )

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        heard = await judge.ask(generate, texts, self._read)
        if heard.verdict is None:
            return [heard.unscored()]
        value, shown, why = heard.verdict
        return [
            Verdict(
                name="", value=value, label=shown, comment=why, attributes=heard.attributes | {"grade": shown}
            )
        ]

    def _read(self, found: dict[str, Any]) -> tuple[float, str, str]:
        if self.labels:
            label = field(found, "label")
            if label not in self.labels:
                raise Unreadable(f"`label` is {label!r}, and must be one of {', '.join(self.labels)}")
            return self.labels.index(label) / (len(self.labels) - 1), label, reasoning_of(found)
        low, high = self.scale
        grade = field(found, "grade")
        if isinstance(grade, str) and grade.strip().lstrip("-").isdigit():
            grade = int(grade)
        if isinstance(grade, bool) or not isinstance(grade, int | float) or not low <= grade <= high:
            raise Unreadable(f"`grade` is {grade!r}, and must be a number from {low} to {high}")
        return (grade - low) / (high - low), f"{grade:g}", reasoning_of(found)

    def human(self, label: Any) -> float:
        if self.labels:
            if label not in self.labels and len(self.labels) == 2:
                return share_of(label)
            if label not in self.labels:
                raise ValueError(f"is {label!r}; expected one of {', '.join(self.labels)}")
            return self.labels.index(label) / (len(self.labels) - 1)
        low, high = self.scale
        if isinstance(label, str):
            with contextlib.suppress(ValueError):
                label = float(label)
        if isinstance(label, bool) or not isinstance(label, int | float) or not low <= label <= high:
            raise ValueError(f"is {label!r}; expected a grade from {low} to {high}")
        return (label - low) / (high - low)


class Grade(Graded, frozen=True, kw_only=True):
    """By a rubric: `rubric` in words, or what each grade stands for."""

    @property
    def kind(self) -> str:
        return "judge"

    @property
    def usual(self) -> str:
        return _RUBRIC


class Relevance(Graded, frozen=True, kw_only=True):
    """How far the answer is about what was asked."""

    @property
    def kind(self) -> str:
        return "relevance"

    @property
    def usual(self) -> str:
        return _RELEVANT


class Conversation(Graded, frozen=True, kw_only=True):
    """The assistant's side of a conversation of several turns, the candidate's answer last."""

    @property
    def kind(self) -> str:
        return "conversation"

    @property
    def usual(self) -> str:
        return _CONVERSED
