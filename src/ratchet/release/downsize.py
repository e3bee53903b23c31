"""The cheapest candidate of a run that is not worse than the baseline by more than ε. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from ratchet.errors import InvalidRequest
from ratchet.evals.results import CaseResult, case_means
from ratchet.release.gate import decide
from ratchet.release.policy import PASS, GateVerdict, Policy
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["Downsized", "Smaller", "downsize"]


class Smaller(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that costs less than the baseline. `saving` is the share of the baseline's mean cost."""

    candidate: str
    cost: float
    saving: float
    verdict: GateVerdict


class Downsized(msgspec.Struct, frozen=True, kw_only=True):
    """`proposed` is the cheapest that passes, "" where none does; `smaller` are all that cost less, cheapest first.

    `unpriced` candidates have no known cost. `alpha` is of all the answers together: the probability that what is
    proposed is worse by more than `epsilon`.
    """

    scorer: str
    epsilon: float
    alpha: float
    baseline: str
    baseline_cost: float
    proposed: str
    smaller: list[Smaller]
    unpriced: list[str]


def downsize(
    results: Mapping[str, Sequence[CaseResult]],
    baseline: str,
    scorer: ScorerAbout,
    *,
    epsilon: float,
    alpha: float = 0.05,
) -> Downsized:
    """Each cheaper candidate passes the gate against the baseline or doesn't, at α divided by how many there are
    (Bonferroni), so that looking at many models proposes no worse one by luck.

    Raises InvalidRequest where the baseline's cost is not known.
    """
    costs = {name: _mean_cost(by_case) for name, by_case in results.items()}
    most = costs.get(baseline, math.nan)
    if math.isnan(most):
        raise InvalidRequest(
            f"What {baseline} costs is not known, so nothing can be called cheaper.",
            'Give its model a price: [prices."provider/model"] in ratchet.toml.',
            param="baseline",
        )
    cheaper = sorted((cost, name) for name, cost in costs.items() if name != baseline and cost < most)
    policy = Policy(scorer=scorer.name, epsilon=epsilon, alpha=alpha / max(1, len(cheaper)))
    smaller = [
        Smaller(
            candidate=name,
            cost=cost,
            saving=1 - cost / most,
            verdict=decide(policy, results[baseline], results[name], [scorer]),
        )
        for cost, name in cheaper
    ]
    return Downsized(
        scorer=scorer.name,
        epsilon=epsilon,
        alpha=alpha,
        baseline=baseline,
        baseline_cost=most,
        proposed=next((each.candidate for each in smaller if each.verdict.verdict == PASS), ""),
        smaller=smaller,
        unpriced=[name for name, cost in costs.items() if math.isnan(cost)],
    )


def _mean_cost(by_case: Sequence[CaseResult]) -> float:
    """NaN where any answer's cost is unknown: a mean of the known ones could be anything."""
    means = case_means([each.costs for each in by_case])
    if not len(means) or any(math.isnan(cost) for each in by_case for cost in each.costs):
        return math.nan
    return float(np.mean(means))
