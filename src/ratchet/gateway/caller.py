"""Who is behind a request, as far as the app says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

__all__ = ["NOBODY", "Address", "Caller", "Network", "address_of", "caller_of", "network_of"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_MAPPED = 96  # bits before an IPv4 address inside an IPv6 one (RFC 4291, section 2.5.5.2)
_LONGEST = 100  # characters that an address may have with its port, zone and spaces


class Caller(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The app's own people, named by the app. "" where it does not say; `ip` is an address in its shortest form, or ""."""

    user: str = ""
    organisation: str = ""
    session: str = ""
    ip: str = ""
    fingerprint: str = ""


NOBODY = Caller()


def caller_of(user: str, metadata: Mapping[str, str] | None) -> Caller:
    """From the request's `user` and `metadata`, which are believed from keys that may speak for their users."""
    if not metadata:
        return Caller(user=user) if user else NOBODY
    return Caller(
        user=user,
        organisation=metadata.get("organisation") or metadata.get("organization") or "",
        session=metadata.get("session_id", ""),
        ip=_ip(metadata.get("client_ip", "")),
        fingerprint=metadata.get("fingerprint", ""),
    )


def address_of(text: str) -> Address | None:
    """The address in a text, with or without a port, brackets, a zone or spaces; an IPv4 address inside an IPv6 one is
    itself. None for anything else, a list of addresses too."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
        if port and not (port[0] == ":" and port[1:].isdecimal()):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not port.isdecimal():
            return None
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def network_of(text: str) -> Network:
    """The network, or the address as a network of its own; IPv4 inside IPv6 is itself. Raises ValueError."""
    found = ip_network(text, strict=False)
    inside = getattr(found.network_address, "ipv4_mapped", None)
    if inside is None or found.prefixlen < _MAPPED:
        return found
    return IPv4Network((inside, found.prefixlen - _MAPPED))


def _ip(said: str) -> str:
    """However it is written, an address has one spelling here: blocks, limits and crowds must not be passed by another."""
    return _spelled(said) if 0 < len(said) <= _LONGEST else ""


@lru_cache(10_000)
def _spelled(text: str) -> str:
    found = address_of(text)
    return "" if found is None else str(found)
