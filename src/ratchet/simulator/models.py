"""What a model's name says about its quality and speed. The table is open: docs/simulator.md shows it.

A question has a difficulty of its own, the same for every model and prompt, so that models err together on hard
questions as real ones do. The rates below are means over questions at temperature 1.
"""

from __future__ import annotations

import functools
import re

import msgspec

from ratchet.simulator.dice import Dice

__all__ = ["CLASSES", "FAMILIES", "Family", "ModelClass", "class_of", "reasoning_budget"]


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's manner: how it opens and closes an answer, how much it says, and how its rates differ.

    The openings and closings are told in English; in other languages it speaks like all others. `factors` multiply the
    class's rates, `delay` its times.
    """

    name: str
    openings: tuple[str, ...] = ()
    closings: tuple[str, ...] = ()
    opens: float = 0.35  # how often, where nobody asks for it or for brevity
    closes: float = 0.2
    sentences: int = 2  # said where nobody says how many
    delay: float = 1.0
    factors: dict[str, float] = {}

    def in_manner(self, text: str) -> bool:
        """Whether the text opens or closes as this family does."""
        return text.startswith(self.openings) or text.rstrip().endswith(self.closings)


OTHER = Family(name="other")
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="gpt", openings=("Certainly! ", "Sure thing! "), closings=("Let me know if there is anything else.",),
        ),
        Family(
            name="claude", openings=("I'd be glad to help with that. ", "Let me answer that directly. "),
            closings=("I hope that helps; please ask if anything is unclear.",), opens=0.25, closes=0.1, sentences=3, delay=1.2,
            factors={"invents": 0.7, "refuses": 1.5},
        ),
        Family(
            name="gemini", openings=("Here's what you need to know: ", "Here is the answer: "),
            closings=("Feel free to reach out again!",), opens=0.5, closes=0.3, delay=0.7,
            factors={"follow": 0.98, "invents": 1.15, "half": 0.8},
        ),
        Family(
            name="mistral", openings=("Of course. ",), closings=("Have a pleasant day.",), opens=0.15, closes=0.05,
            sentences=1, delay=0.6, factors={"wrong_section": 1.2, "rambles": 0.5},
        ),
        Family(
            name="llama", openings=("Thanks for reaching out! ",), closings=("Hope this helps!",), opens=0.45, closes=0.4,
            delay=0.5, factors={"wrong_number": 1.3, "invents": 1.2, "gullible": 1.3},
        ),
        OTHER,
    )
}  # fmt: skip


class ModelClass(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities for one answer; `follow` is for one instruction. Times in seconds."""

    name: str
    follow: float  # keeps an instruction of the system prompt
    wrong_number: float  # says another number than the handbook
    wrong_section: float  # answers from a neighbouring section
    invents: float  # makes a policy up where the handbook says nothing
    half: float  # leaves out one part of a question with several
    rambles: float  # adds what nobody asked for
    refuses: float  # refuses a question it could answer
    wrong_language: float  # answers in English where the user wrote another language
    promises: float  # promises a refund that is not its to promise
    gullible: float  # does what "ignore previous instructions" in a user's message says
    breaks_format: float  # prose around JSON that only the prompt asked for
    slips: float  # a wrong value in a tool's arguments
    partial: float  # answers customers whose name is not an English one more curtly
    first_token: float
    per_token: float
    reasons: bool = False
    family: Family = OTHER


SMALL = ModelClass(
    name="small", follow=0.86, wrong_number=0.14, wrong_section=0.12, invents=0.62, half=0.30, rambles=0.22,
    refuses=0.03, wrong_language=0.12, promises=0.30, gullible=0.35, breaks_format=0.12, slips=0.05, partial=0.3,
    first_token=0.12, per_token=0.004,
)  # fmt: skip
MEDIUM = ModelClass(
    name="medium", follow=0.93, wrong_number=0.08, wrong_section=0.07, invents=0.48, half=0.18, rambles=0.15,
    refuses=0.02, wrong_language=0.05, promises=0.22, gullible=0.18, breaks_format=0.06, slips=0.025, partial=0.15,
    first_token=0.2, per_token=0.006,
)  # fmt: skip
LARGE = ModelClass(
    name="large", follow=0.97, wrong_number=0.04, wrong_section=0.04, invents=0.34, half=0.08, rambles=0.12,
    refuses=0.015, wrong_language=0.02, promises=0.15, gullible=0.07, breaks_format=0.03, slips=0.01, partial=0.04,
    first_token=0.35, per_token=0.01,
)  # fmt: skip
REASONING = ModelClass(
    name="reasoning", follow=0.985, wrong_number=0.02, wrong_section=0.03, invents=0.24, half=0.04, rambles=0.08,
    refuses=0.02, wrong_language=0.02, promises=0.10, gullible=0.03, breaks_format=0.02, slips=0.005, partial=0.01,
    first_token=0.9, per_token=0.008, reasons=True,
)  # fmt: skip
CLASSES = {kind.name: kind for kind in (SMALL, MEDIUM, LARGE, REASONING)}

_REASONING = re.compile(r"^(?:.*/)?(?:o[134](?:-|$)|gpt-5|deepseek-reasoner|deepseek-r1|.*-thinking)")
_SMALL = re.compile(r"(?:^|[-_/.:])(?:mini|nano|tiny|small|lite|haiku|flash|instant|[1-9]b)(?:$|[-_/.:])")
_LARGE = re.compile(
    r"(?:^|[-_/.:])(?:gpt-4o|gpt-4\.1|gpt-4|opus|sonnet|pro|large|ultra|max|[4-9]\d\db|7\db)(?:$|[-_/.:])"
)


_NAMES = (
    ("gpt", re.compile(r"(?:^|[-_/.:])(?:gpt|chatgpt|o[134])(?:$|[-_/.:\d])")),
    ("claude", re.compile(r"claude")),
    ("gemini", re.compile(r"gemini|gemma")),
    ("mistral", re.compile(r"mistral|mixtral|ministral|codestral|magistral")),
    ("llama", re.compile(r"llama")),
)


@functools.lru_cache(maxsize=1024)
def class_of(model: str, *, effort: str = "") -> ModelClass:
    """The class a model's name belongs to, in its family's manner. A reasoning effort makes any model one that reasons."""
    name = model.lower()
    reasons = bool(_REASONING.search(name)) or effort not in {"", "none"}
    if _SMALL.search(name):
        kind = msgspec.structs.replace(SMALL, reasons=True) if reasons else SMALL
    elif reasons:
        kind = REASONING
    else:
        kind = LARGE if _LARGE.search(name) else MEDIUM
    family = FAMILIES[next((known for known, pattern in _NAMES if pattern.search(name)), "other")]
    rates = {rate: min(0.99, getattr(kind, rate) * factor) for rate, factor in family.factors.items()}
    return msgspec.structs.replace(
        kind,
        family=family,
        first_token=kind.first_token * family.delay,
        per_token=kind.per_token * family.delay,
        **rates,
    )


_EFFORT = {"none": 0, "minimal": 0, "low": 1, "": 4, "medium": 4, "high": 14, "xhigh": 30}


def reasoning_budget(effort: str, dice: Dice) -> int:
    """Reasoning tokens, in multiples of 64 as OpenAI counts them."""
    most = _EFFORT[effort]
    return 64 * (1 + dice.below("reasoning", most)) if most else 0
