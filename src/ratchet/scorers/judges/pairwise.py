"""Which of two answers is better: asked in both orders, and a tie where the orders disagree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from ratchet.domain.cases import Verdict
from ratchet.scorers.function import Unscored
from ratchet.scorers.judges.asking import Heard, Judge, Unreadable, together
from ratchet.scorers.judges.settings import JudgeSettings, field, reasoning_of, share_of
from ratchet.scorers.scorer import Generate, ScorerAbout

__all__ = ["Better", "Sides", "better_of"]

_WON = {1.0: "win", 0.5: "tie", 0.0: "loss"}
_LABELS = {"win": 1.0, "better": 1.0, "A": 1.0, "tie": 0.5, "loss": 0.0, "worse": 0.0, "B": 0.0}
_AGAINST = {"reference": "reference", "previous": "previous_answer"}


class Sides:
    """What a judge said in both orders. `won` is 1, 0.5 or 0 for the first of the two answers, None where unread."""

    def __init__(self, forth: Heard[tuple[str, str]], back: Heard[tuple[str, str]]) -> None:
        self.forth, self.back = forth, back

    @property
    def read(self) -> bool:
        return self.forth.verdict is not None and self.back.verdict is not None

    @property
    def shown(self) -> tuple[str, str]:
        """The two verdicts as they were said, A being the answer that stood first."""
        return (self.forth.verdict or ("", ""))[0], (self.back.verdict or ("", ""))[0]

    @property
    def flipped(self) -> bool:
        """Whether the verdict depends on the order."""
        forth, back = self.shown
        return {"A": "B", "B": "A", "tie": "tie"}[forth] != back

    @property
    def value(self) -> float:
        if self.flipped:
            return 0.5
        return {"A": 1.0, "B": 0.0, "tie": 0.5}[self.shown[0]]

    def attributes(self) -> dict[str, str]:
        """Those of both calls: counts and costs are added."""
        forth, back = self.shown
        found = together(self.forth, self.back) | {"forth": forth, "back": back}
        return found | {"flipped": "true" if self.flipped else "false"} if self.read else found


async def better_of(
    judge: Judge, generate: Generate, texts: dict[str, str], first: str, second: str
) -> Sides:
    """Asks which of the two is better, in both orders."""
    forth = await judge.ask(generate, texts | {"answer_a": first, "answer_b": second}, _read)
    back = await judge.ask(generate, texts | {"answer_a": second, "answer_b": first}, _read)
    return Sides(forth, back)


class Better(JudgeSettings, frozen=True, kw_only=True):
    """1 where the answer is better than the one it is compared with, 0 where it is worse, 0.5 for a tie.

    `against` is the reference or the previous answer. `<name>.flipped` is 1 where the orders disagreed; its mean is the
    flip rate.
    """

    against: Literal["reference", "previous"] = "reference"

    @property
    def kind(self) -> str:
        return "better"

    def known(self, about: ScorerAbout) -> ScorerAbout:
        return replace(super().known(about), needs_reference=self.against == "reference")

    def human(self, label: Any) -> float:
        return _LABELS[label] if isinstance(label, str) and label in _LABELS else share_of(label)

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        other = texts[_AGAINST[self.against]]
        if not other.strip():
            raise Unscored(
                f"the case has no {self.against} {'answer ' if self.against == 'previous' else ''}to compare with"
            )
        sides = await better_of(judge, generate, texts, texts["answer"], other)
        attributes = sides.attributes()
        if not sides.read:
            why = sides.forth.why or sides.back.why
            return [Verdict(name=name, comment=why, attributes=attributes) for name in ("", ".flipped")]
        reasons = [heard.verdict[1] for heard in (sides.forth, sides.back) if heard.verdict]
        comment = f"the orders disagree: {' / '.join(reasons)}" if sides.flipped else reasons[0]
        return [
            Verdict(
                name="", value=sides.value, label=_WON[sides.value], comment=comment, attributes=attributes
            ),
            Verdict(name=".flipped", value=float(sides.flipped)),
        ]


def _read(found: dict[str, Any]) -> tuple[str, str]:
    said = field(found, "better")
    said = said.strip() if isinstance(said, str) else said
    if said not in {"A", "B", "tie"}:
        raise Unreadable(f"`better` is {said!r}, and must be A, B or tie")
    return said, reasoning_of(found)
