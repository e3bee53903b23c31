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


_A = ScorerAbout
_ALL = [
    Builtin(
        _A("exact", "The answer is the reference", "text", binary=True, needs_reference=True),
        "matching:Exact",
    ),
    Builtin(
        _A("contains", "The answer contains the reference, or given texts", "text", binary=True),
        "matching:Contains",
    ),
    Builtin(_A("regex", "The answer matches a regular expression", "text", binary=True), "matching:Regex"),
    Builtin(
        _A("numeric", "The answer's number is the reference's", "text", binary=True, needs_reference=True),
        "matching:Numeric",
    ),
    Builtin(
        _A("edit_distance", "How few characters differ from the reference", "text", needs_reference=True),
        "matching:EditDistance",
    ),
    Builtin(_A("length", "The answer is as long as it may be", "text", binary=True), "matching:Length"),
    Builtin(
        _A(
            "bleu",
            "Runs of words shared with the reference (BLEU)",
            "wording",
            high=100.0,
            needs_reference=True,
            tallies=True,
        ),
        "overlap:Bleu",
    ),
    Builtin(
        _A(
            "chrf",
            "Runs of characters shared with the reference (chrF)",
            "wording",
            high=100.0,
            needs_reference=True,
            tallies=True,
        ),
        "overlap:Chrf",
    ),
    Builtin(
        _A(
            "rouge",
            "Words in the reference's order (ROUGE-L)",
            "wording",
            needs_reference=True,
            parts=("rouge1", "rouge2"),
        ),
        "overlap:Rouge",
    ),
    Builtin(
        _A("meteor", "Words and stems shared with the reference (METEOR)", "wording", needs_reference=True),
        "meteor:Meteor",
    ),
    Builtin(
        _A(
            "embedding_similarity",
            "How near the answer's meaning is to the reference's",
            "meaning",
            low=-1.0,
            needs_reference=True,
            embeds=True,
        ),
        "meaning:EmbeddingSimilarity",
    ),
    Builtin(
        _A(
            "token_matching",
            "How well each word has a near one in the reference",
            "meaning",
            needs_reference=True,
            parts=("precision", "recall"),
        ),
        "meaning:TokenMatching",
    ),
    Builtin(_A("json_valid", "The answer is JSON", "structure", binary=True), "structure:JsonValid"),
    Builtin(
        _A("json_schema", "The answer fits a JSON Schema", "structure", binary=True), "structure:JsonSchema"
    ),
    Builtin(
        _A(
            "json_distance",
            "How much of the answer's JSON differs from the reference",
            "structure",
            higher_is_better=False,
            needs_reference=True,
        ),
        "structure:JsonDistance",
    ),
    Builtin(
        _A(
            "tool_calls",
            "The right tools are called with the right arguments",
            "structure",
            needs_reference=True,
            parts=("names", "arguments"),
        ),
        "toolcalls:ToolCalls",
    ),
    Builtin(
        _A(
            "classification",
            "The answer's label is the reference's",
            "classification",
            binary=True,
            needs_reference=True,
            tallies=True,
        ),
        "classification:Classification",
    ),
    Builtin(
        _A("refusal", "The answer declines to help", "conduct", higher_is_better=False, binary=True),
        "conduct:Refusal",
    ),
    Builtin(
        _A("latency", "Seconds to the answer", "conduct", higher_is_better=False, high=None),
        "conduct:Latency",
    ),
    Builtin(
        _A("cost", "US dollars for the answer", "conduct", higher_is_better=False, high=None), "conduct:Cost"
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
            "judge", higher_is_better=False, low=-1.0, asks_a_model=True, embeds=True,
        ),
        "judges.swapped:Bias",
    ),
]  # fmt: skip

BUILTIN: dict[str, Builtin] = {each.about.name: each for each in [*_ALL, *_JUDGES]}
