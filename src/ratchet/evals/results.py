"""What a run says about one candidate, case by case: what comparison and gate take in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from ratchet.scorers.scorer import ScorerAbout
from ratchet.stats.clusters import Codes, Floats, clusters_of

__all__ = ["CaseResult", "Pairs", "about_of", "paired_by_case", "scorer_names"]


class CaseResult(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one candidate did on one case, over all its repeats.

    `values`: for each scorer (by its verdicts' name) one number for each repeat, NaN where the repeat is unscored. A
    scorer that is not there, or whose list is empty, left the case unscored. `costs` in US dollars and `latencies` in
    seconds, one for each repeat, NaN where unknown. `labels`: what a person says of this candidate's output, by the
    name of the scorer that judges the same thing, on the same scale.
    """

    case_id: str
    values: dict[str, list[float]]
    costs: list[float] = []
    latencies: list[float] = []
    source: str = ""  # cases of one source are drawn together; "" is a source of its own
    tags: list[str] = []
    labels: dict[str, float] = {}


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """The cases that both sides ran, in the baseline's order, and which source each comes from."""

    baseline: list[CaseResult]
    candidate: list[CaseResult]
    clusters: Codes
    sources: int
    only_baseline: list[str]  # ids of cases that the other side did not run
    only_candidate: list[str]

    def means(self, scorer: str) -> tuple[Floats, Floats]:
        """Each side's mean over the repeats of each case, NaN where none is scored."""
        return (
            case_means([each.values.get(scorer, ()) for each in self.baseline]),
            case_means([each.values.get(scorer, ()) for each in self.candidate]),
        )

    def costs(self) -> tuple[Floats, Floats]:
        return (
            case_means([each.costs for each in self.baseline]),
            case_means([each.costs for each in self.candidate]),
        )

    def latencies(self) -> tuple[Floats, Floats]:
        return (
            case_means([each.latencies for each in self.baseline]),
            case_means([each.latencies for each in self.candidate]),
        )


def paired_by_case(baseline: Sequence[CaseResult], candidate: Sequence[CaseResult]) -> Pairs:
    """Raises ValueError where a side has a case twice."""
    others = {each.case_id: each for each in candidate}
    known = {each.case_id for each in baseline}
    if len(others) != len(candidate) or len(known) != len(baseline):
        raise ValueError("A case is there twice; expected one result for each case, holding all its repeats.")
    first = [each for each in baseline if each.case_id in others]
    clusters = clusters_of([each.source for each in first])
    return Pairs(
        baseline=first,
        candidate=[others[each.case_id] for each in first],
        clusters=clusters,
        sources=int(clusters.max()) + 1 if len(clusters) else 0,
        only_baseline=[each.case_id for each in baseline if each.case_id not in others],
        only_candidate=[each.case_id for each in candidate if each.case_id not in known],
    )


def case_means(repeats: Sequence[Sequence[float]]) -> Floats:
    """The mean of each case's scored repeats, NaN where there is none."""
    means = np.empty(len(repeats))
    for index, values in enumerate(repeats):
        if len(values) == 1:
            means[index] = values[0]
            continue
        scored = [value for value in values if not math.isnan(value)]
        means[index] = sum(scored) / len(scored) if scored else math.nan
    return means


def scorer_names(results: Sequence[CaseResult]) -> list[str]:
    """Every scorer that is named in results, in the order in which it first comes."""
    return list(dict.fromkeys(name for each in results for name in each.values))


def about_of(name: str, scorers: Mapping[str, ScorerAbout]) -> ScorerAbout:
    """What is known about a scorer; of one that nobody described, that larger is better and nothing bounds it."""
    return scorers.get(name) or ScorerAbout(name=name, title=name, low=None, high=None)
