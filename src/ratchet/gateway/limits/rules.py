"""Limits compiled when a snapshot is built: for each route what may have to be counted there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ratchet.gateway.limits.meters import CostMeter, Meter, PlacesMeter, RequestsMeter, TokensMeter
from ratchet.gateway.limits.rates import counted_rate, money_rate
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.limits.whom import compiled_whom

__all__ = ["compiled_limits"]


def compiled_limits(
    limits: Mapping[str, LimitSettings], route: str | None, *, lifetime: int
) -> tuple[Meter, ...]:
    """For the requests of this route, or, without its name, of routes that nobody declared.

    `lifetime`: nanoseconds that no request outlasts.
    """
    return tuple(
        meter
        for name, settings in sorted(limits.items())
        for meter in _meters(name, settings, route, lifetime)
    )


def _meters(name: str, settings: LimitSettings, route: str | None, lifetime: int) -> Iterator[Meter]:
    """The counters' keys hold what is allowed, and to whom: a limit that is changed begins anew.

    Otherwise who has used up an old limit would have to wait as long after it has been raised.
    """
    whom = compiled_whom(settings, settings.by, route)
    if whom is None:
        return
    start = f"limit:{name}:{'+'.join(settings.by)}"
    if settings.requests is not None:
        yield RequestsMeter(name, whom, start, counted_rate(settings.requests))
    if settings.tokens is not None:
        yield TokensMeter(name, whom, start, counted_rate(settings.tokens))
    if settings.cost is not None:
        yield CostMeter(name, whom, start, money_rate(settings.cost))
    if settings.concurrency is not None:
        yield PlacesMeter(name, whom, start, settings.concurrency, lifetime)
