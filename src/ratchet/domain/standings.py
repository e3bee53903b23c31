"""What members have decided about callers: blocked, allowed, or given more room. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Literal, get_args

import msgspec

from ratchet.errors import InvalidRequest

__all__ = ["KINDS", "Action", "Standing", "SubjectKind", "checked_subject"]

SubjectKind = Literal["user", "fingerprint", "ip", "organisation", "key"]  # what decides first stands first
Action = Literal["block", "allow", "raise"]
_MAPPED = 96  # bits before an IPv4 address inside an IPv6 one; callers' addresses are read as IPv4
KINDS: tuple[SubjectKind, ...] = get_args(SubjectKind)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One decision. Times are nanoseconds since the epoch. There is one at most for each subject of a project.

    `name` is the user's, organisation's or device's as apps say it, a key's name or id, an address or a network.
    `reason` is told to a caller who is refused, `note` to members only. `factor` multiplies the limits of a "raise".
    """

    id: str
    project_id: str
    kind: SubjectKind
    name: str
    action: Action
    factor: float = 1.0
    reason: str = ""
    note: str = ""
    until: int | None = None  # None: until it is taken back
    created: int
    created_by: str


def checked_subject(kind: str, name: str) -> tuple[SubjectKind, str]:
    """Kind and name as they are kept. Raises InvalidRequest."""
    if kind not in KINDS:
        raise InvalidRequest(
            f"A standing can't be about a {kind!r}.", f"Use one of: {', '.join(KINDS)}.", param="kind"
        )
    name = name.strip()
    if not name or len(name) > 300:
        raise InvalidRequest(
            f"A {kind} can't be named {name[:40]!r}.",
            "Give 1 to 300 characters, as apps say it.",
            param="name",
        )
    if kind == "ip":
        try:
            network = ip_network(name, strict=False)
        except ValueError:
            raise InvalidRequest(
                f"{name!r} is neither an address nor a network.",
                "Give one such as 203.0.113.7 or 203.0.113.0/24.",
                param="name",
            ) from None
        inside = getattr(network.network_address, "ipv4_mapped", None)
        if inside is not None and network.prefixlen >= _MAPPED:
            network = IPv4Network((inside, network.prefixlen - _MAPPED))
        if network.prefixlen == 0:
            raise InvalidRequest(
                f"{name!r} is every address there is.", "Give a network with a longer prefix.", param="name"
            )
        name = str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    return kind, name
