"""Limits as a request meets them: compiled when a snapshot is built, each route with those that may apply there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ratchet.gateway.limits.rates import Rate, counted_rate, money_rate
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.limits.whom import Whom, compiled_whom

__all__ = ["Meter", "Rule", "Unit", "compiled_rules"]

Unit = Literal["requests", "tokens", "cost", "concurrency"]


class Meter(msgspec.Struct, frozen=True):
    """One thing that a limit counts. `prefix` begins the counter's key; the share's name follows.

    `rate` is None of requests at once, of which there may be `most`. Of a rate, `room` is the nanoseconds that an empty
    bucket takes to be full, `one` what a unit takes of it, and `told` the unit's number as apps are told.
    """

    name: str  # the limit's
    whom: Whom
    unit: Unit
    prefix: str
    rate: Rate | None = None
    most: int = 0
    room: int = 0
    one: int = 0
    told: bytes = b""
    headers: tuple[bytes, bytes, bytes] = (b"", b"", b"")  # limit, remaining, reset; of what apps are told of


class Rule(msgspec.Struct, frozen=True):
    """One limit, for the requests of one route. `settles`: more than requests are counted."""

    whom: Whom
    meters: tuple[Meter, ...]
    settles: bool


def compiled_rules(limits: Mapping[str, LimitSettings], route: str | None) -> tuple[Rule, ...]:
    """Those that may apply to requests of this route, or, without its name, of routes that nobody declared."""
    rules: list[Rule] = []
    for name, settings in sorted(limits.items()):
        whom = compiled_whom(settings, settings.by, route)
        if whom is not None:
            meters = tuple(_meters(name, whom, settings))
            rules.append(Rule(whom, meters, any(meter.unit != "requests" for meter in meters)))
    return tuple(rules)


def _meters(name: str, whom: Whom, settings: LimitSettings) -> Sequence[Meter]:
    """The counters' keys hold what is allowed, and to whom: a limit that is changed begins anew.

    Otherwise who has used up an old limit would have to wait as long after it has been raised.
    """
    start = f"limit:{name}:{'+'.join(settings.by)}"
    meters: list[Meter] = []

    def add(unit: Unit, rate: Rate) -> None:
        prefix = f"{start}:{unit}:{rate.amount}/{rate.period}/{rate.burst}:"
        meters.append(
            Meter(
                name,
                whom,
                unit,
                prefix,
                rate,
                room=rate.room,
                one=min(rate.nanoseconds(1), rate.room),
                told=b"%d" % rate.amount,
                headers=_headers(unit),
            )
        )

    if settings.requests is not None:
        add("requests", counted_rate(settings.requests))
    if settings.tokens is not None:
        add("tokens", counted_rate(settings.tokens))
    if settings.cost is not None:
        add("cost", money_rate(settings.cost))
    if settings.concurrency is not None:
        meters.append(Meter(name, whom, "concurrency", f"{start}:concurrency:", most=settings.concurrency))
    return meters


def _headers(unit: Unit) -> tuple[bytes, bytes, bytes]:
    if unit not in ("requests", "tokens"):
        return (b"", b"", b"")
    start, end = b"x-ratelimit-", unit.encode()
    return (start + b"limit-" + end, start + b"remaining-" + end, start + b"reset-" + end)
