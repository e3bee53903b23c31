"""Every scorer that is there without doing anything: what is known about it, and where it is.

One line each. `where` is loaded when the scorer is first made.
"""

from __future__ import annotations

from typing import NamedTuple

from ratchet.scorers.scorer import ScorerAbout

__all__ = ["BUILTIN", "Builtin"]


class Builtin(NamedTuple):
    about: ScorerAbout
    where: str  # "module:Settings" below ratchet.scorers


_ALL = [
    Builtin(
        ScorerAbout("exact", "The answer is the reference", "text", binary=True, needs_reference=True),
        "matching:Exact",
    ),
    Builtin(
        ScorerAbout("contains", "The answer contains the reference, or given texts", "text", binary=True),
        "matching:Contains",
    ),
    Builtin(
        ScorerAbout("regex", "The answer matches a regular expression", "text", binary=True), "matching:Regex"
    ),
]

_JUDGES = [
    Builtin(
        ScorerAbout("judge", "A judge's grade by a rubric", "judge", asks_a_model=True),
        "judges.graded:Grade",
    ),
    Builtin(
        ScorerAbout("criteria", "The share of the criteria that a judge finds met", "judge", asks_a_model=True),
        "judges.checked:Criteria",
    ),
    Builtin(
        ScorerAbout(
            "factual", "A judge finds the facts consistent with the reference", "judge",
            needs_reference=True, asks_a_model=True,
        ),
        "judges.checked:Factual",
    ),
    Builtin(
        ScorerAbout(
            "faithfulness", "The share of the answer's claims that the context supports", "judge", asks_a_model=True
        ),
        "judges.checked:Faithfulness",
    ),
    Builtin(
        ScorerAbout(
            "better", "A judge prefers the answer to another one, in both orders", "judge",
            asks_a_model=True, parts=("flipped",),
        ),
        "judges.pairwise:Better",
    ),
    Builtin(
        ScorerAbout(
            "feedback_incorporated", "The answer does what the feedback on the previous one asked", "judge",
            asks_a_model=True,
        ),
        "judges.checked:Feedback",
    ),
    Builtin(
        ScorerAbout("relevance", "A judge's grade of how relevant the answer is", "judge", asks_a_model=True),
        "judges.graded:Relevance",
    ),
    Builtin(
        ScorerAbout(
            "toxicity", "A judge finds the answer toxic", "judge",
            higher_is_better=False, binary=True, asks_a_model=True,
        ),
        "judges.checked:Toxicity",
    ),
    Builtin(
        ScorerAbout("conversation", "A judge's grade of a whole conversation", "judge", asks_a_model=True),
        "judges.graded:Conversation",
    ),
    Builtin(
        ScorerAbout(
            "bias", "How far the answer changes with names, genders and origins, beyond what asking again changes",
            "judge", higher_is_better=False, low=-1.0, asks_a_model=True,
        ),
        "judges.swapped:Bias",
    ),
]  # fmt: skip

BUILTIN: dict[str, Builtin] = {each.about.name: each for each in [*_ALL, *_JUDGES]}
