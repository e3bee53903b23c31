"""What was judged becomes the properties of a schema, or words. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ratchet.simulator.dice import Dice
from ratchet.simulator.judge.skill import Bench
from ratchet.simulator.knowing import NOTHING, Knowing
from ratchet.simulator.wording import words_of

__all__ = ["Judged", "in_words"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_REASONS = _set(
    "reason reasons reasoning explanation explain rationale analysis thought thoughts justification comment why critique steps"
)
_ITEM_NAMES = _set("criterion claim statement text quote sentence item fact requirement")
_LISTS = _set(
    "criteria claims verdicts results checks statements facts items requirements sentences judgements judgments"
)
_INDEX = _set("index number no id position n")
_SURE = _set("confidence certainty probability")
_BAD = _set(
    "toxic toxicity offensive harmful unsafe contradicts contradiction contradictory contradicted hallucinated hallucination "
    "hallucinations unsupported incorrect wrong inaccurate inconsistent irrelevant biased bias bad fail failed fails false no "
    "invalid unfaithful worse ignored missed poor none unacceptable rude"
)
_MIDDLE = _set(
    "partial partially partly mixed neutral somewhat fair average okay ok some mostly unclear neither"
)
_GOOD = _set(
    "correct right accurate consistent faithful grounded supported relevant safe clean pass passed passes yes true good valid "
    "incorporated met better excellent acceptable fully fine harmless polite agrees perfect great full addressed"
)
_TIE = _set("tie equal same draw both neither none")
_FIRST, _SECOND = frozenset({"a", "1", "first", "one"}), frozenset({"b", "2", "second", "two"})
_YES, _NO = frozenset({"yes", "true", "y"}), frozenset({"no", "false", "n"})
_ANY = frozenset({"answer", "the", "is", "a", "are", "of", "to", "met", "verdict", "result"})
_RANGE = re.compile(r"\b(\d+)\s*(?:-|–|to|and)\s*(\d+)\b")


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement before it has a form. `good` from 0 to 1 is what the comparison gave; every form draws its errors
    from `bench`. `holds` says whether the statement that was asked about holds, which for "is it toxic?" is not good.
    """

    bench: Bench
    task: str
    good: float
    holds: float
    reasoning: str
    preferred: str = ""  # first | second | tie, where two are compared
    words: int = 30
    own: bool = False
    ordered: bool = False  # an order in the answer was obeyed: everything is at its best
    text: str = ""  # the criterion or claim that this is about
    index: int = 0
    parts: tuple[Judged, ...] = ()
    listed: bool = False  # `parts` is the whole list, also where it is empty

    # -- Knowing -------------------------------------------------------------------------------------------------

    def value(self, name: str, schema: dict[str, Any]) -> Any:
        words = words_of(name)
        if "enum" in schema:
            return self._option(schema["enum"])
        kinds = schema.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds or []
        if "boolean" in kinds:
            return self._flag(words)
        if "integer" in kinds or "number" in kinds:
            return self._number(words, schema, whole="number" not in kinds)
        if "string" in kinds:
            return self._string(words)
        return NOTHING

    def items(self, name: str, schema: dict[str, Any]) -> Sequence[Knowing] | None:  # noqa: ARG002 - the protocol's
        return self.parts if self.listed and words_of(name) & _LISTS else None

    # -- forms ---------------------------------------------------------------------------------------------------

    def yes(self, truth: float, name: str) -> bool:
        return (
            True if self.ordered else self.bench.yes(f"{name} {self.index} {self.text}", truth=truth >= 0.5)
        )

    def level(self, levels: int) -> int:
        if self.ordered:
            return levels - 1
        return self.bench.grade(
            self.good, levels, f"{self.index} {self.text}", words=self.words, own=self.own
        )

    def _flag(self, words: frozenset[str]) -> bool:
        for part in self.parts:
            if part.text and (words - _ANY) & words_of(part.text.replace(" ", "_")):
                return part.yes(part.holds, "verdict")
        if words & _BAD:
            return not self.yes(self.good, "verdict")
        return self.yes(self.good if words & _GOOD - {"yes", "true", "met"} else self.holds, "verdict")

    def _number(self, words: frozenset[str], schema: dict[str, Any], *, whole: bool) -> Any:
        if words & _INDEX:
            return self.index + 1
        if words & _SURE:
            return 1 if whole else round(0.6 + 0.35 * abs(2 * self.good - 1), 2)
        low, high = self._scale(schema, whole=whole)
        good = msgspec.structs.replace(self, good=1 - self.good) if words & _BAD else self
        levels = int(high - low) + 1 if whole else 5 if high - low <= 1 else int(high - low) + 1
        value = low + (high - low) * good.level(max(2, levels)) / (max(2, levels) - 1)
        return round(value) if whole else round(value, 4)

    def _scale(self, schema: dict[str, Any], *, whole: bool) -> tuple[float, float]:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and high is not None and high > low:
            return low, high
        told = _RANGE.search(str(schema.get("description", ""))) or _RANGE.search(self.task)
        if told and int(told[1]) < int(told[2]) <= 100:
            return float(told[1]), float(told[2])
        return (1.0, 5.0) if whole else (0.0, 1.0)

    def _string(self, words: frozenset[str]) -> Any:
        if words & _REASONS:
            return self.reasoning
        if self.text and words & _ITEM_NAMES:
            return self.text
        if words & {"winner", "better", "preferred", "choice", "verdict", "label", "decision"}:
            return self.choice() if self.preferred else "yes" if self.yes(self.holds, "verdict") else "no"
        return NOTHING

    def choice(self) -> str:
        return {"first": "A", "second": "B"}.get(self.preferred, "tie")

    def _option(self, options: list[Any]) -> Any:
        texts = [str(option).lower().replace("_", " ") for option in options]
        if self.preferred and (found := _preferred(texts, self.preferred)) is not None:
            return options[found]
        sets = [words_of(text.replace(" ", "_")) for text in texts]
        yes = next((i for i, own in enumerate(sets) if own & _YES), None)
        no = next((i for i, own in enumerate(sets) if own & _NO), None)
        if yes is not None and no is not None and len(options) == 2:
            return options[yes if self.yes(self.holds, "verdict") else no]
        ranked = _by_goodness(texts, sets)
        if ranked is None:
            return NOTHING
        if len(ranked) == 2:
            return options[ranked[1 if self.yes(self.good, "verdict") else 0]]
        return options[ranked[self.level(len(ranked))]]


def _preferred(texts: list[str], preferred: str) -> int | None:
    wanted = {"first": _FIRST, "second": _SECOND, "tie": _TIE}[preferred]
    for index, text in enumerate(texts):
        if set(re.split(r"[^a-z0-9]+", text)) & wanted:
            return index
    return None


def _by_goodness(texts: list[str], sets: list[frozenset[str]]) -> list[int] | None:
    """The options from worst to best: numbers by size, words by what they mean; None where they mean nothing."""
    numbers = [re.fullmatch(r"(?:grade |score )?(\d+(?:\.\d+)?)", text) for text in texts]
    if all(numbers):
        return sorted(range(len(texts)), key=lambda i: float(numbers[i][1]))  # type: ignore[index]  # all match

    def rank(i: int) -> int:
        text, own = texts[i], sets[i]
        negated = re.search(r"\b(?:not|no|non)[ -](?=\w)", text) is not None
        if own & _MIDDLE:
            return 1
        bad, good = bool(own & _BAD), bool(own & _GOOD)
        if not (bad or good):
            return -1
        if bad and good and not negated:
            return 0
        return 2 if good != negated else 0

    ranks = [rank(i) for i in range(len(texts))]
    if -1 in ranks or len(set(ranks)) < 2:
        return None
    return sorted(range(len(texts)), key=lambda i: ranks[i])


def in_words(judged: Judged, task: str, dice: Dice) -> str:
    """The judgement as a text, its last line in the form that the prompt asks for."""
    lowered = task.lower()
    if judged.preferred:
        said = judged.choice()
        last = f"[[{'C' if said == 'tie' else said}]]" if "[[a]]" in lowered else f"Verdict: {said}"
    elif re.search(r"\b(?:yes|no)\b[^.]{0,12}\b(?:or|/)\b[^.]{0,12}\b(?:yes|no)\b|\byes/no\b", lowered):
        last = "yes" if judged.yes(judged.holds, "verdict") else "no"
    else:
        grade = judged.value("grade", {"type": "integer"})
        last = f"[[{grade}]]" if "[[" in lowered else str(grade)
        if not _only(lowered):
            last = last if "[[" in lowered else f"{dice.pick('word', ('Grade', 'Score'))}: {last}"
    return last if _only(lowered) else f"{judged.reasoning}\n\n{last}"


def _only(task: str) -> bool:
    return bool(
        re.search(
            r"\b(?:only|just|nothing but|a single)\b[^.]{0,40}\b(?:number|grade|score|digit|yes|no|word|letter|integer)\b",
            task,
        )
    )
