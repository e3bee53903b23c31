"""How far a user is trusted: a Beta estimate whose evidence fades. Pure.

The beta reputation system (Jøsang & Ismail, 15th Bled eCommerce Conference, 2002): with r of good and s of bad evidence,
a prior of weight W and base rate a, the expected share of good behaviour is (r + W·a) / (r + s + W). Evidence is
forgotten evenly, halving every half-life. Two things are added: of somebody who has to earn trust the base rate rises
with age, and good evidence counts no more than age allows, so that trust can't be bought in an hour. Bad evidence counts
at once.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "EVIDENCE",
    "TRUSTED",
    "Evidence",
    "Level",
    "Prior",
    "level_of",
    "scale_of",
    "source_share",
    "trust_of",
    "work_of",
]

Level = Literal["low", "fair", "good"]

WEIGHT = 10.0  # of the prior: as much as ten limit hits
TRUSTED, UNTRUSTED = 0.8, 0.2  # base rates
_SOURCE_WEIGHT = 20.0  # so many accounts too many halve the trust in whatever comes from there
_MOST_WORK = 32.0


class Prior(msgspec.Struct, frozen=True, gc=False):
    """What is thought of somebody of a segment before they have done anything."""

    untrusted: bool = False
    ripens_after: int = 0  # nanoseconds until an untrusted one is a known face
    segment: str = ""
    least: float = 1.0  # what their limits are multiplied with where nothing speaks for them
    most: float = 1.0  # and where everything does


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What one event says, and what people call it."""

    good: float
    bad: float
    title: str


EVIDENCE = {
    "answered": Evidence(0.02, 0.0, "answered requests"),
    "solved": Evidence(0.1, 0.0, "solved challenges"),
    "thumbs_up": Evidence(0.2, 0.0, "thumbs up"),
    "praised": Evidence(10.0, 0.0, "good words from the app"),
    "mistake": Evidence(0.0, 0.2, "requests that could not be read or served"),
    "limit_hit": Evidence(0.0, 1.0, "limits hit"),
    "guard_flagged": Evidence(0.0, 3.0, "texts that a guard flagged"),
    "blamed": Evidence(0.0, 10.0, "complaints from the app"),
    "crowded": Evidence(0.0, 1.0, "accounts too many behind one source"),
}


def trust_of(good: float, bad: float, age: int, prior: Prior) -> float:
    """From 0 to 1. `good` and `bad` are sums that have faded already, `age` is in nanoseconds."""
    ripe = min(1.0, age / prior.ripens_after) if prior.untrusted and prior.ripens_after > 0 else 1.0
    base = UNTRUSTED + (TRUSTED - UNTRUSTED) * ripe if prior.untrusted else TRUSTED
    seen = good * ripe
    return (seen + WEIGHT * base) / (seen + bad + WEIGHT)


def source_share(bad: float) -> float:
    """What is left of the trust in somebody who comes from a source with so much against it."""
    return _SOURCE_WEIGHT / (bad + _SOURCE_WEIGHT)


def scale_of(trust: float, least: float, most: float) -> float:
    """What limits are multiplied with: `most` from 0.8 on, `least` at 0, evenly between. Whole thousandths: what follows
    from a scale is worked out once for all who have it."""
    scale = least + (most - least) * min(1.0, trust / TRUSTED)
    return min(max(round(scale, 3), least), most)


def work_of(trust: float) -> float:
    """How many times the usual work a challenge is: 1 from 0.5 on, doubling with each tenth below it, up to 32."""
    return min(_MOST_WORK, 2.0 ** (10 * max(0.0, 0.5 - trust)))


def level_of(trust: float) -> Level:
    """In a word."""
    return "good" if trust >= 0.7 else "fair" if trust >= 0.4 else "low"
