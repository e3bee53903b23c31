"""How sure is it that an answer fits a question? Learned from verdicts, one at a time. Pure.

The method is that of vCache (Schroeder et al. 2025, arXiv 2502.03771) in its aim: no fixed threshold of likeness, but
for each kept answer a probability that it is right, learned online from verdicts, with its uncertainty, so that an
answer is given again only where the share of wrong ones stays under a bound. It differs in three points.

- Entries share what they learn. One Bayesian probit regression (assumed-density filtering, Graepel et al. 2010, "Web-
  scale Bayesian click-through rate prediction") has weights for what all pairs of questions have in common, for each
  entry, and for each pair of words that was exchanged. A new entry begins with what others have taught.
- A verdict changes the weights in closed form. Nothing is fitted again while a request waits.
- The promise is about the answers that are given again, not about all requests: see `Bound`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

__all__ = ["Belief", "Bound", "Features", "JudgeErrors", "upper_share"]

Features = Sequence[tuple[str, float]]
"""Names with their values. What stands before the first `:` of a name is its family."""

_SQRT2: Final = math.sqrt(2)
_ROOT_2PI: Final = math.sqrt(2 * math.pi)
_TINY: Final = 1e-12
_MOST_WEIGHTS: Final = 200_000


class JudgeErrors(msgspec.Struct, frozen=True, gc=False):
    """How a judge errs: `strict`, the share of right answers that it calls wrong; `lax`, of wrong ones that it calls right."""

    strict: float = 0.0
    lax: float = 0.0

    def corrected(self, share: float) -> float:
        """The share of wrong answers, from the share that is called wrong (Rogan and Gladen 1978)."""
        return min(1.0, max(0.0, (share - self.strict) / (1 - self.strict - self.lax)))


class Belief:
    """P(the answer is right) = Φ(w·x / √(1 + x·v·x)), with weights of mean w and variance v, each on its own.

    `priors` are the variances that weights of a family begin with; families that it does not name don't count.
    """

    def __init__(self, priors: Mapping[str, float], errors: JudgeErrors | None = None) -> None:
        self._priors = priors
        self._errors = errors or JudgeErrors()
        self._weights: dict[str, tuple[float, float]] = {}

    def wider(self, priors: Mapping[str, float]) -> Belief:
        """The same, with weights for more families yet to be learned."""
        found = Belief(priors, self._errors)
        found._weights = dict(self._weights)
        return found

    def right(self, features: Features) -> float:
        """The probability, from 0 to 1."""
        mean, variance = self._score(features)
        return _normal(mean / math.sqrt(1 + variance))

    def learn(self, features: Features, *, right: bool) -> None:
        """Take in a judge's verdict, who may err."""
        mean, variance = self._score(features)
        spread = math.sqrt(1 + variance)
        sign = 1.0 if right else -1.0
        # P(verdict) = floor + slope · Φ(sign · mean / spread)
        floor = self._errors.lax if right else self._errors.strict
        slope = 1 - self._errors.strict - self._errors.lax
        at = sign * mean / spread
        likelihood = max(floor + slope * _normal(at), _TINY)
        push = slope * math.exp(-at * at / 2) / _ROOT_2PI / likelihood
        shrink = push * (push + at)
        for name, value in features:
            held = self._weight(name)
            if held is None or not value:
                continue
            middle, width = held
            gain = width * value / spread
            narrower = width * max(1 - gain * value / spread * shrink, 0.01)
            self._weights[name] = (middle + sign * gain * push, narrower)
        while len(self._weights) > _MOST_WEIGHTS:
            self._weights.pop(next(iter(self._weights)))

    def _score(self, features: Features) -> tuple[float, float]:
        mean = variance = 0.0
        for name, value in features:
            held = self._weight(name)
            if held is not None:
                mean += held[0] * value
                variance += held[1] * value * value
        return mean, variance

    def _weight(self, name: str) -> tuple[float, float] | None:
        held = self._weights.get(name)
        if held is not None:
            return held
        prior = self._priors.get(name.partition(":")[0])
        return None if prior is None else (0.0, prior)


class Bound:
    """The largest risk that may be taken, so that of the answers given again no more than `most` are wrong.

    A risk is 1 - P(right), as it was believed before the verdict came; so verdicts show what beliefs are worth. For
    each level the wrong share among the verdicts at or below it gets an upper confidence limit, and levels are tried
    from the smallest on that has enough verdicts, until one fails (fixed-sequence testing, Angelopoulos et al. 2021,
    "Learn then test"). Those
    who are not yet given again are judged more often than those who are, so verdicts hold more of what is risky than
    the answers given again do: that errs on the safe side. Old verdicts fade, since the belief that they tell of knew
    less.
    """

    LEVELS: Final = tuple(10 ** (-4 + step / 10) for step in range(38))  # 0.0001 to 0.5

    def __init__(
        self, most: float, *, confidence: float = 0.95, errors: JudgeErrors | None = None, memory: int = 6000
    ) -> None:
        self.most, self._doubt = most, 1 - confidence
        self._errors = errors or JudgeErrors()
        self._enough = 2 * math.log(1 / self._doubt) / most  # verdicts, of which a few may be wrong
        self._keep = 1 - 1 / memory
        self._count, self._wrong = [0.0] * len(self.LEVELS), [0.0] * len(self.LEVELS)
        self._risk: float | None = 0.0  # None: a verdict has come since it was worked out

    @property
    def risk(self) -> float:
        """Answers whose risk is above are not given again. 0 while too little is known."""
        if self._risk is None:
            self._risk = self._largest()
        return self._risk

    def note(self, risk: float, *, right: bool) -> None:
        """A verdict on an answer that was believed to have that risk."""
        level = bisect_left(self.LEVELS, risk)
        if level == len(self.LEVELS):
            return
        self._count = [count * self._keep for count in self._count]
        self._wrong = [count * self._keep for count in self._wrong]
        self._count[level] += 1
        self._wrong[level] += not right
        self._risk = None

    def _largest(self) -> float:
        found = count = wrong = 0.0
        for risk, here, wrong_here in zip(self.LEVELS, self._count, self._wrong, strict=True):
            count += here
            wrong += wrong_here
            if not here or count < self._enough:
                continue
            if self._errors.corrected(upper_share(wrong / count, count, self._doubt)) <= self.most:
                found = risk
            elif found:
                break
        return found


def upper_share(share: float, count: float, doubt: float) -> float:
    """The upper confidence limit of a share seen in `count` draws: Chernoff's, exact where nothing was seen."""
    if count <= 0:
        return 1.0
    reach = math.log(1 / doubt) / count
    low, high = share, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if _divergence(share, middle) > reach:
            high = middle
        else:
            low = middle
    return high


def _divergence(seen: float, supposed: float) -> float:
    """Kullback and Leibler's, between two shares."""
    found = 0.0
    if seen > 0:
        found += seen * math.log(seen / supposed)
    if seen < 1:
        found += (1 - seen) * math.log((1 - seen) / max(1 - supposed, _TINY))
    return found


def _normal(at: float) -> float:
    return 0.5 * math.erfc(-at / _SQRT2)
