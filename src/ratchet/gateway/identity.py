"""Who asks through a publishable key, as the gateway itself sees it: nothing that a browser says of users is believed.

Pure, but for the exchange that is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from ratchet.domain.access import Key
from ratchet.errors import Forbidden
from ratchet.gateway.asgi import Headers, Scope
from ratchet.gateway.caller import Address, Caller, Network, address_of

__all__ = [
    "ANONYMOUS",
    "check_origin",
    "client_address",
    "fingerprint_of",
    "seen_caller",
    "source_of",
]

ANONYMOUS = "anonymous-"  # what the gateway's own names for users begin with

# What a browser sends with every request, and what differs between browsers, their versions and their languages.
_TELLING = (
    b"user-agent",
    b"accept-language",
    b"accept-encoding",
    b"sec-ch-ua",
    b"sec-ch-ua-mobile",
    b"sec-ch-ua-platform",
)


def check_origin(key: Key, headers: Headers) -> None:
    """Raises Forbidden where a publishable key is used on a page it is not for."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin not in key.origins:
        said = f"comes from {origin}" if origin else "says no origin"
        raise Forbidden(
            f"The key {key.name!r} is for browsers at {', '.join(key.origins)}; this request {said}.",
            "Use it on those pages, make a publishable key for this one with `ratchet key create --publishable "
            "--origin …`, or use a server's key on a server.",
            code="origin_not_allowed",
        )


def seen_caller(scope: Scope, headers: Headers, trusted: Sequence[Network], session: str = "") -> Caller:
    """The address, a fingerprint of the browser, and a user made of both, who lasts as long as they do.

    The session is the app's own word, which groups calls and grants nothing.
    """
    peer = scope.get("client")
    forwarded = (value for name, value in scope["headers"] if name == b"x-forwarded-for") if trusted else ()
    address = client_address(peer[0] if peer else "", forwarded, trusted)
    fingerprint = fingerprint_of(headers)
    digest = hashlib.blake2b(f"{source_of(address)} {fingerprint}".encode(), digest_size=8)
    return Caller(
        user=f"{ANONYMOUS}{digest.hexdigest()}", session=session, ip=address, fingerprint=fingerprint
    )


def client_address(peer: str, forwarded: Iterable[bytes], trusted: Sequence[Network]) -> str:
    """Whose request it is: the peer, or, where that is a trusted proxy, the last hop in `x-forwarded-for` that is none.

    Each proxy writes at the end what it saw. So the list is read from its end, and no further than the first address
    that isn't ours: what stands before it was written by somebody who may lie.
    """
    found = address_of(peer)
    if found is None:
        return ""
    hops = b",".join(forwarded).decode("latin-1").split(",") if trusted else []
    while hops and _within(found, trusted):
        hop = address_of(hops.pop())
        if hop is None:  # empty, or nothing a proxy of ours would write
            break
        found = hop
    return str(found)


def fingerprint_of(headers: Headers) -> str:
    """16 hex digits that are the same for the same browser in the same language. Many people share one."""
    told = b"\n".join(headers.get(name, b"") for name in _TELLING)
    return hashlib.blake2b(told, digest_size=8).hexdigest()


def source_of(address: str) -> str:
    """The address, or of IPv6 the /64 around it: that is what one line or one machine is given."""
    if ":" not in address:
        return address
    try:
        return str(ip_network(f"{address}/64", strict=False))
    except ValueError:  # what people look for may be no address
        return address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
