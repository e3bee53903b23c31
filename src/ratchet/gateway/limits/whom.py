"""Whom a limit or a budget is for, and whose a request is. Compiled when a snapshot is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ratchet.gateway.exchange import Exchange
from ratchet.gateway.identity import source_of
from ratchet.gateway.limits.settings import Applies, Dimension

__all__ = ["Whom", "compiled_whom"]

Reader = Callable[[Exchange], str]
_NOBODY = "nobody named"


def _key(exchange: Exchange) -> str:
    return exchange.key.id if exchange.key is not None else ""


def _key_name(exchange: Exchange) -> str:
    return exchange.key.name if exchange.key is not None else ""


def _user(exchange: Exchange) -> str:
    return exchange.caller.user


def _organisation(exchange: Exchange) -> str:
    return exchange.caller.organisation


def _ip(exchange: Exchange) -> str:
    return source_of(exchange.caller.ip)


def _route(exchange: Exchange) -> str:
    return exchange.route.name if exchange.route is not None else ""


def _segment(exchange: Exchange) -> str:
    return exchange.segment


_READERS: dict[Dimension, Reader] = {
    "key": _key,
    "user": _user,
    "organisation": _organisation,
    "ip": _ip,
    "route": _route,
    "segment": _segment,
}


class Whom(msgspec.Struct, frozen=True):
    """`conditions` are what a request must fulfil; `by` is what tells those apart who have a share each."""

    conditions: tuple[tuple[tuple[Reader, ...], frozenset[str]], ...]
    by: tuple[tuple[Dimension, Reader], ...]

    def applies(self, exchange: Exchange) -> bool:
        """Whether it is for this request."""
        return not self.conditions or all(
            any(reader(exchange) in names for reader in readers) for readers, names in self.conditions
        )

    def share(self, exchange: Exchange) -> str:
        """Whose share the request is of, for a counter's key. Those of whom nothing is known have one together."""
        by = self.by
        if not by:
            return ""
        if len(by) == 1:
            return by[0][1](exchange)
        return "\0".join([reader(exchange) for _, reader in by])

    def told(self, exchange: Exchange) -> dict[str, str]:
        """The same for people, by what each name is of."""
        found = {dimension: reader(exchange) for dimension, reader in self.by}
        if "key" in found:
            found["key"] = _key_name(exchange)
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
    chosen: list[tuple[tuple[Reader, ...], list[str] | None]] = [
        ((_key, _key_name), settings.keys),
        ((_user,), settings.users),
        ((_organisation,), settings.organisations),
        ((_ip,), settings.ips),
        ((_segment,), settings.segments),
        ((_route,), settings.routes if route is None else None),
    ]
    return Whom(
        conditions=tuple((readers, frozenset(names)) for readers, names in chosen if names is not None),
        by=tuple((dimension, _READERS[dimension]) for dimension in by),
    )
