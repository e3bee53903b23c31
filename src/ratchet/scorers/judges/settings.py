"""What every judge can be told in a suite file, and how its prompt comes about."""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.scorers.function import FunctionScorer, Unscored
from ratchet.scorers.judges.asking import Heard, Judge
from ratchet.scorers.judges.prompt import PLACES, JudgePrompt, places_in
from ratchet.scorers.judges.prompts import PROMPTS
from ratchet.scorers.judges.texts import texts_of
from ratchet.scorers.scorer import Generate, Scorer, ScorerAbout, Tools
from ratchet.scorers.settings import Settings, needed

__all__ = ["JudgeSettings", "field", "reasoning_of", "share_of", "unscored"]

_WORDS = {
    "reference": "reference",
    "context": "context",
    "previous_answer": "previous answer",
    "feedback": "feedback",
}


class JudgeSettings(Settings, frozen=True, kw_only=True):
    """`route` is who judges: a route or `provider/model`. `temperature` null leaves it out of the request.

    `prompt` replaces what the judge is asked, with places such as {{answer}}; the verdict's form stays.
    """

    route: str = "judge"
    temperature: float | None = 0.0
    prompt: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(places_in(self.prompt).keys() - PLACES.keys())
        if unknown:
            raise ValueError(
                f"`prompt` has a place {{{{{unknown[0]}}}}} that there is nothing for; there are {', '.join(PLACES)}"
            )
        if self.prompt and not {"answer", "answer_a", "conversation"} & places_in(self.prompt).keys():
            raise ValueError("`prompt` has no place {{answer}}, so there would be nothing to judge")

    # -- what each judge says of itself --------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """The name of the built-in prompt."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """The verdict's form."""
        return PROMPTS[self.kind].schema

    def given(self) -> dict[str, str]:
        """Texts for the prompt's places that come from the settings, not from the case."""
        return {}

    def worded(self, user: str) -> str:
        """The built-in prompt as these settings need it."""
        return user

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        raise NotImplementedError

    def human(self, label: Any) -> float:
        """A person's label as a value of this judge. Raises ValueError that says what was expected."""
        return share_of(label)

    # -- what all have in common ---------------------------------------------------------------------------------

    def judge_prompt(self) -> JudgePrompt:
        """The prompt under these settings. Its hash covers all that the settings say: another rubric is another judge."""
        shipped = PROMPTS[self.kind]
        user = self.prompt or self.worded(shipped.user)
        return JudgePrompt(
            name=self.kind, system=shipped.system, user=user, schema=self.schema(), given=self.given()
        )

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        known = self.known(about)
        generate = needed(tools.generate, known, "a model to ask")
        judge = Judge(prompt=self.judge_prompt(), model=self.route, temperature=self.temperature)
        required = {name for name, must in places_in(judge.prompt.user).items() if must}

        async def score(case: Case, output: Output) -> list[Verdict]:
            texts = texts_of(case, output)
            for place, word in _WORDS.items():
                if place in required and not texts[place].strip():
                    raise Unscored(f"the case has no {word}")
            return await self.verdicts(judge, generate, texts)

        return FunctionScorer(known, score)


_YES = frozenset({"yes", "true", "pass", "passed", "good", "correct", "right", "met"})
_NO = frozenset({"no", "false", "fail", "failed", "bad", "incorrect", "wrong", "not met"})


def share_of(label: Any) -> float:
    """Yes or no, or a number from 0 to 1, as people write them. Raises ValueError for anything else."""
    if isinstance(label, str):
        word = label.strip().lower()
        if word in _YES | _NO:
            return float(word in _YES)
    elif isinstance(label, bool | int | float) and 0 <= label <= 1:
        return float(label)
    raise ValueError(f"is {label!r}; expected yes, no, or a number from 0 to 1")


def unscored(heard: Heard[Any], parts: tuple[str, ...] = ()) -> list[Verdict]:
    """The verdict and its parts, none with a value."""
    return [heard.unscored(), *(heard.unscored(f".{part}") for part in parts)]


def field(found: dict[str, Any], name: str) -> Any:
    """A property of a judge's object, in whatever letter case; None where it is missing."""
    if name in found:
        return found[name]
    return next((value for key, value in found.items() if key.lower() == name), None)


def reasoning_of(found: dict[str, Any]) -> str:
    said = field(found, "reasoning")
    return said if isinstance(said, str) else "" if said is None else msgspec.json.encode(said).decode()
