"""Which addresses may be connected to on behalf of people who have not been given the run of the network.

A name is resolved, what it resolves to is judged, and just those addresses are connected to: a name that leads
elsewhere a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Guard", "PrivateAddress", "Resolve", "is_public", "is_range_or_name"]

_V4 = ipaddress.IPv4Address
_V6 = ipaddress.IPv6Address
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # all that has been handed out (RFC 4291, section 2.4)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 behind a translator (RFC 6052)
# What some versions of Python count as global, and IANA's registries of special addresses don't.
_SPECIAL = [
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20")
]
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → the addresses it has, as text. Raises OSError."""


class PrivateAddress(OSError):
    """A host has no address that may be connected to. The text is fit for strangers: it names no address."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet's: not this host, not its networks, not many hosts at once.

    An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64, Teredo) counts as itself.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, _V4):
        return _public_v4(parsed)
    inside = _v4_inside(parsed)
    if inside is not None:
        return all(_public_v4(each) for each in inside)
    return parsed in _GLOBAL_V6 and parsed.is_global and not _special(parsed)


def _public_v4(address: _V4) -> bool:
    # `is_global` leaves out private networks, loopback, link-local, shared (CGNAT) and reserved addresses.
    return (
        address.is_global and not address.is_multicast and not address.is_reserved and not _special(address)
    )


def _special(address: _V4 | _V6) -> bool:
    return any(address in network for network in _SPECIAL)


def _v4_inside(address: _V6) -> tuple[_V4, ...] | None:
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64:
        return (_V4(address.packed[-4:]),)
    return None


def is_range_or_name(text: str) -> bool:
    """Whether `text` is an address (`10.0.0.5`), a network (`10.0.0.0/8`) or a host's name (`ollama.internal`)."""
    return _network(text) is not None or (
        _HOST_NAME.fullmatch(text.lower()) is not None and not text.replace(".", "").isdigit()
    )


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # An IPv6 address may carry its scope as a number beside it.
    return list(dict.fromkeys(_scoped(str(where[0]), where) for *_, where in found))


def _scoped(address: str, where: tuple[object, ...]) -> str:
    scope = where[3] if len(where) > 3 else 0
    return f"{address}%{scope}" if scope and "%" not in address else address


class Guard:
    """Lets public addresses through, and those private ones that are `allowed`: networks, addresses, names of hosts."""

    def __init__(self, allowed: Sequence[str] = (), *, resolve: Resolve = _resolve) -> None:
        self._networks = [network for each in allowed if (network := _network(each)) is not None]
        self._names = frozenset(_plain(each) for each in allowed if _network(each) is None)
        self._resolve = resolve

    def permits(self, address: str) -> bool:
        """Whether this IP address may be connected to."""
        if is_public(address):
            return True
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        inside = _v4_inside(parsed) if isinstance(parsed, _V6) else None
        return all(any(each in network for network in self._networks) for each in inside or (parsed,))

    def refuses(self, host: str) -> bool:
        """Whether `host` can be told to be private as it stands, without a look at the network."""
        if _plain(host) in self._names:
            return False
        literal = _literal(host)
        if literal is None:
            return _plain(host).rpartition(".")[2] == "localhost" and not self.permits("127.0.0.1")
        return not self.permits(literal)

    async def addresses(self, host: str, port: int) -> list[str]:
        """What `host` resolves to, as far as it may be connected to; at least one.

        Raises PrivateAddress, or OSError where it does not resolve.
        """
        found = list(await self._resolve(host, port))
        if _plain(host) not in self._names:
            found = [address for address in found if self.permits(address)]
        if not found:
            raise PrivateAddress(
                "it leads to a private address, and gateway.allow_private in ratchet.toml does not name that"
            )
        return found


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _literal(host: str) -> str | None:
    """The address that `host` spells, in any of the ways the system's resolver takes (`0x7f.1`, `2130706433`)."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass  # not in the usual way
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError, UnicodeError):
        return None
