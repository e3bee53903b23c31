"""What requests are expected to use: how long answers have been, what tokens cost at most. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

import msgspec

from ratchet.catalog.prices import MILLION, PriceBook, Rate
from ratchet.gateway.snapshot import Route

__all__ = ["DOLLAR", "OutputLengths", "PriceCeilings", "Reservation"]

DOLLAR = 10**9  # money is counted in billionths of a dollar

_FINE = 10**6  # parts of a billionth: a token costs few of these
_HOUR = 3600 * 10**9
_TIERS = ("", "priority")  # whoever answers chooses; the dearer one is reserved for
_UNKNOWN_LENGTH = 500.0  # tokens of an answer, before any has been seen
_MOST_REMEMBERED = 4096
_WEIGHT = 0.05  # of the newest answer in the average of an answer's length; the first twenty weigh the same


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """What is worked out of one request, in tokens. `input` is an estimate, `most_input` can't be exceeded.

    `output` is the most tokens of the answer where the app has limited it (`capped`), and otherwise the expected ones.
    """

    output: int
    capped: bool
    input: int
    most_input: int


class _Length(msgspec.Struct):
    average: float
    seen: int = 0


class OutputLengths:
    """How long the answers of each route and target have been lately, in tokens. One per gateway process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Length] = {}

    def expected(self, route: str, targets: Iterable[str]) -> int:
        """The longest average among the targets that have answered."""
        known = [found for target in targets if (found := self._known.get((route, target)))]
        return round(max((length.average for length in known), default=_UNKNOWN_LENGTH))

    def note(self, route: str, target: str, tokens: int) -> None:
        """An answer of so many tokens came."""
        length = self._known.get((route, target))
        if length is None:
            if len(self._known) >= _MOST_REMEMBERED:  # apps choose the names of models
                self._known.clear()
            length = self._known[route, target] = _Length(0.0)
        length.seen += 1
        length.average += (tokens - length.average) * max(_WEIGHT, 1 / length.seen)


class PriceCeilings:
    """What a token can cost at most at any target of a route. Worked out once an hour, as prices may change then."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Route, int, list[tuple[int, int, int]] | None]] = {}

    def most(
        self, route: Route, prices: PriceBook, when: int, input_tokens: int, output_tokens: int
    ) -> int | None:
        """Billionths of a dollar, for so many tokens. None where a target has no price. `when` in ns."""
        known = self._known.get(route.name)
        if known is None or known[0] is not route or when >= known[1]:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            over = (when // _HOUR + 1) * _HOUR
            known = self._known[route.name] = (route, over, _ceilings(route, prices, when))
        ceilings = known[2]
        if ceilings is None:
            return None
        dearest = 0
        for a_call, an_input, an_output in ceilings:
            cost = a_call + input_tokens * an_input + output_tokens * an_output
            if cost > dearest:  # noqa: PLR1730 - it is on every request's path
                dearest = cost
        return -(-dearest // _FINE)


def _ceilings(route: Route, prices: PriceBook, when: int) -> list[tuple[int, int, int]] | None:
    """For each target and service tier the price of a call, an input and an output token; every token at the dearest of
    its class. Of a route that hedges twice as much: both may be paid."""
    found: list[tuple[int, int, int]] = []
    times = 2 if route.hedge else 1
    for target in route.targets:
        provider = target.provider
        price = prices.price(provider.name, target.model, vendor=provider.vendor)
        if price is None:
            return None
        for tier in _TIERS:
            rates = price.rates(when, tier)
            an_input = _highest(
                rates.input, rates.cached, rates.cache_write, rates.cache_write_1h, rates.audio_input
            )
            # Embeddings have no output, and so no price of it.
            an_output = _highest(rates.output, rates.reasoning, rates.audio_output) or Decimal(0)
            if an_input is None:
                return None
            found.append(
                (
                    _fine(rates.request) * times,
                    _fine(an_input / MILLION) * times,
                    _fine(an_output / MILLION) * times,
                )
            )
    return list(dict.fromkeys(found))  # most tiers cost the same


def _highest(first: Rate | None, *others: Rate | None) -> Decimal | None:
    """None where the class itself has no rate."""
    if first is None:
        return None
    return max(
        amount
        for rate in (first, *others)
        if rate is not None
        for amount in (rate.base, *(step for _, step in rate.steps))
    )


def _fine(dollars: Decimal) -> int:
    return int((dollars * DOLLAR * _FINE).to_integral_value(ROUND_CEILING))
