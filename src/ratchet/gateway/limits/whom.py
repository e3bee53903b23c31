"""Whom a limit or a budget is for, and whose a request is. Compiled when a snapshot is built."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from operator import attrgetter

import msgspec

from ratchet.gateway.exchange import Exchange
from ratchet.gateway.identity import source_of
from ratchet.gateway.limits.networks import Networks
from ratchet.gateway.limits.settings import Applies, Dimension
from ratchet.gateway.trust.settings import DEFAULT_SEGMENT

__all__ = ["Whom", "compiled_whom"]

Reader = Callable[[Exchange], str]
_NOBODY = "nobody named"
_IP: Reader = attrgetter("caller.ip")


def _ip(exchange: Exchange) -> str:
    return source_of(exchange.caller.ip)


# Attributes of an exchange, looked up in C: they are read for every request.
_KEY: Reader = attrgetter("key.id")
_KEY_NAME: Reader = attrgetter("key.name")
_USER: Reader = attrgetter("caller.user")
_ORGANISATION: Reader = attrgetter("caller.organisation")
_ROUTE: Reader = attrgetter("route.name")
_SEGMENT: Reader = attrgetter("segment")
_READERS: dict[Dimension, Reader] = {
    "key": _KEY,
    "user": _USER,
    "organisation": _ORGANISATION,
    "ip": _ip,
    "route": _ROUTE,
    "segment": _SEGMENT,
}


class Whom(msgspec.Struct, frozen=True):
    """`conditions` are what a request must fulfil; `by` is what tells those apart who have a share each.

    `share` says whose share a request is of, for a counter's key. Those of whom nothing is known have one together.
    """

    conditions: tuple[tuple[tuple[Reader, ...], Container[str]], ...]
    by: tuple[tuple[Dimension, Reader], ...]
    share: Reader

    def applies(self, exchange: Exchange) -> bool:
        """Whether it is for this request."""
        return not self.conditions or all(
            any(reader(exchange) in names for reader in readers) for readers, names in self.conditions
        )

    def told(self, exchange: Exchange) -> dict[str, str]:
        """The same for people, by what each name is of."""
        found = {dimension: reader(exchange) for dimension, reader in self.by}
        if "key" in found:
            found["key"] = _KEY_NAME(exchange)
        return found

    def described(self, exchange: Exchange) -> str:
        """`user 'ada'`, or "" where all share one."""
        return ", ".join(
            f"{dimension} {name!r}" if name else f"{dimension} ({_NOBODY})"
            for dimension, name in self.told(exchange).items()
        )


def compiled_whom(settings: Applies, by: Sequence[Dimension], route: str | None) -> Whom | None:
    """For the requests of one route, or, without its name, of those that no route declares. None where it is for none."""
    if settings.routes is not None and route is not None and route not in settings.routes:
        return None
    segments = settings.segments
    if segments is not None and DEFAULT_SEGMENT in segments:
        segments = [*segments, ""]  # everybody is, where no segment is declared
    chosen: list[tuple[tuple[Reader, ...], list[str] | None]] = [
        ((_KEY, _KEY_NAME), settings.keys),
        ((_USER,), settings.users),
        ((_ORGANISATION,), settings.organisations),
        ((_SEGMENT,), segments),
        ((_ROUTE,), settings.routes if route is None else None),
    ]
    conditions: list[tuple[tuple[Reader, ...], Container[str]]] = [
        (readers, frozenset(names)) for readers, names in chosen if names is not None
    ]
    if settings.ips is not None:
        conditions.append(((_IP,), Networks(settings.ips)))
    return Whom(
        conditions=tuple(conditions),
        by=tuple((dimension, _READERS[dimension]) for dimension in by),
        share=_share([_READERS[dimension] for dimension in by]),
    )


def _share(readers: Sequence[Reader]) -> Reader:
    if len(readers) == 1:
        return readers[0]
    return lambda exchange: "\0".join([reader(exchange) for reader in readers])
