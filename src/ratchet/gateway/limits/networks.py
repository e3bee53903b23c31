"""Addresses and networks that a limit or a budget is for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ratchet.gateway.caller import Network, address_of, network_of

__all__ = ["Networks"]


class Networks:
    """`in` takes an address as text; what is none is in no network."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._networks = [network_of(text) for text in listed]
        self._holds = lru_cache(1000)(self._looked_up)

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self._holds(address)

    def meets(self, text: str) -> bool:
        """Whether some address of a network, or this one, is among them."""
        try:
            other = network_of(text)
        except ValueError:
            return False
        return any(_overlap(network, other) for network in self._networks)

    def _looked_up(self, text: str) -> bool:
        address = address_of(text)
        return address is not None and any(address in network for network in self._networks)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)  # pyright: ignore[reportArgumentType]
