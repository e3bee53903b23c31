"""Answers that are labels: right or wrong one by one; precision, recall, F1 and confusion over the whole set."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, cast

from ratchet.domain.cases import UNSCORED, Case, Output, Verdict
from ratchet.scorers.function import Result, Unscored
from ratchet.scorers.reading import json_of, reference_texts
from ratchet.scorers.scorer import Confusion, Tally
from ratchet.scorers.settings import TallyingSettings

__all__ = ["Classification", "tally_of_labels"]

_REFERENCE = "reference"  # the attribute that holds the right label


class Classification(TallyingSettings, frozen=True):
    """1 where the answer's label is the reference. The verdict's label is the one that the answer gave.

    Without `labels` the whole answer is the label. With them it is the one that is found in the answer as a word of
    its own; where several are, `take` decides, and by default (`only`) the answer has none. `key` reads the label from
    an answer in JSON. White space and case don't matter. An answer without a label is wrong, not unscored.
    """

    labels: tuple[str, ...] = ()
    take: Literal["only", "first", "last"] = "only"
    key: str = ""

    def __post_init__(self) -> None:
        plain = [_plain(each) for each in self.labels]
        if "" in plain:
            raise ValueError("`labels` has an empty one")
        twice = next((each for each in plain if plain.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"`labels` has {twice!r} twice")

    def score(self, case: Case, output: Output) -> Result:
        reference, *others = reference_texts(case)
        right = self._known(reference)
        if others or not right:
            raise Unscored(f"the reference is none of the labels: {case.reference!r}")
        label, why = self._label(output)
        return Verdict(
            name="",
            value=float(label == right),
            label=label,
            comment=why or ("" if label == right else f"expected {right}"),
            attributes={_REFERENCE: right},
        )

    def tally(self, verdicts: Sequence[Verdict]) -> Tally:
        return tally_of_labels(verdicts, self.labels)

    def _label(self, output: Output) -> tuple[str, str]:
        """The answer's label, or "" and why there is none."""
        text = output.text
        if self.key:
            try:
                value = json_of(output)
            except ValueError:
                return "", "the answer is no JSON"
            found = cast("dict[str, object]", value).get(self.key) if isinstance(value, dict) else None
            if not isinstance(found, str | int | bool):
                return "", f"the answer has no text under {self.key!r}"
            text = str(found).lower() if isinstance(found, bool) else str(found)
        whole = self._known(text)
        if whole:
            return whole, ""
        if not self.labels or not text.strip():
            return "", "the answer is empty"
        found = list(dict.fromkeys(self._known(match[0]) for match in self._pattern().finditer(text)))
        if not found:
            return "", "no label is in the answer"
        if len(found) > 1 and self.take == "only":
            return "", f"several labels are in the answer: {', '.join(found)}"
        return (self._last(text) if self.take == "last" else found[0]), ""

    def _last(self, text: str) -> str:
        return [self._known(match[0]) for match in self._pattern().finditer(text)][-1]

    def _known(self, text: str) -> str:
        """The label that a text is, "" where it is none."""
        plain = _plain(text)
        if not self.labels:
            return plain
        return next((each for each in self.labels if _plain(each) == plain), "")

    def _pattern(self) -> re.Pattern[str]:
        """Longer labels first, so that "not spam" is not read as "spam"."""
        longest_first = sorted(self.labels, key=len, reverse=True)
        words = (r"\s+".join(map(re.escape, each.split())) for each in longest_first)
        return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)


def _plain(text: str) -> str:
    """One line, lower case, without the quotes, stars and stop that models like to put around a label."""
    return " ".join(text.casefold().split()).strip("\"'`*“”‘’.")


def tally_of_labels(verdicts: Sequence[Verdict], labels: Sequence[str] = ()) -> Tally:
    """Accuracy; precision, recall and F1 of each class, macro, micro and weighted; the confusion of labels.

    Classes are `labels`, and else those that references or answers have. What is 0/0 (the precision of a class that no
    answer gave) is NaN and left out of macro and weighted means, as scikit-learn does with `zero_division=nan`. Answers
    without a label count as wrong and are a column of their own, "", in the confusion; of more than 100 classes no
    confusion is drawn up.
    """
    pairs = [
        (verdict.attributes[_REFERENCE], verdict.label)
        for verdict in verdicts
        if verdict.scored and _REFERENCE in verdict.attributes
    ]
    classes = list(labels) or sorted({each for pair in pairs for each in pair if each})
    wanted, given = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    hits = Counter(one for one, other in pairs if one == other)
    figures = {each: _figures(hits[each], given[each], wanted[each]) for each in classes}
    answered = len(pairs) - given[""]
    right = hits.total()
    supports = [each["support"] for each in figures.values()]
    totals = {
        "accuracy": _ratio(right, len(pairs)),
        "precision_micro": _ratio(right, answered),
        "recall_micro": _ratio(right, len(pairs)),
        "f1_micro": _ratio(2 * right, answered + len(pairs)),
    }
    for name in ("precision", "recall", "f1"):
        values = [each[name] for each in figures.values()]
        totals[f"{name}_macro"] = _mean(values, [1.0] * len(values))
        totals[f"{name}_weighted"] = _mean(values, supports)
    return Tally(len(pairs), len(verdicts) - len(pairs), totals, figures, _confusion(pairs, classes))


_MOST_CLASSES = 100  # a larger table helps nobody


def _confusion(pairs: Sequence[tuple[str, str]], classes: Sequence[str]) -> Confusion | None:
    if len(classes) > _MOST_CLASSES:
        return None
    counts = Counter(pairs)
    labels = [*classes, ""] if any(not given for _, given in pairs) else [*classes]
    return Confusion(labels, [[counts[right, given] for given in labels] for right in labels])


def _figures(hits: int, given: int, support: int) -> dict[str, float]:
    return {
        "precision": _ratio(hits, given),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, given + support),
        "support": float(support),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else UNSCORED


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """The weighted mean of what is a number; NaN where nothing is."""
    kept = [each for each in zip(values, weights, strict=True) if not math.isnan(each[0])]
    total = sum(weight for _, weight in kept)
    return sum(value * weight for value, weight in kept) / total if total else UNSCORED
