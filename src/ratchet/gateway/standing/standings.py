"""Who is blocked, allowed or given more room: the step that comes first, and what it looks things up in."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from ratchet.domain.access import Key
from ratchet.domain.standings import Standing
from ratchet.errors import Forbidden
from ratchet.gateway.caller import Caller
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.snapshot import Step

__all__ = ["Standings", "standing_step"]

_Prefixes = dict[int, dict[int, Standing]]  # by prefix length, then by the network's number


class Standings:
    """All that are in force. The first that has one decides: user, device, address (the narrowest network),
    organisation, key."""

    def __init__(self, standings: Iterable[Standing]) -> None:
        self._named: dict[tuple[str, str, str], Standing] = {}
        self._networks: dict[tuple[str, int], _Prefixes] = {}
        for standing in standings:
            if standing.kind == "ip":
                network = ip_network(standing.name)
                prefixes = self._networks.setdefault((standing.project_id, network.version), {})
                prefixes.setdefault(network.prefixlen, {})[int(network.network_address)] = standing
            else:
                self._named[standing.project_id, standing.kind, standing.name] = standing

    def of(self, key: Key, caller: Caller, now: int) -> Standing | None:
        """The one that decides about a request at `now`, in nanoseconds since the epoch."""
        named, project = self._named, key.project_id
        found = (
            _live(named.get((project, "user", caller.user)), now)
            or _live(named.get((project, "fingerprint", caller.fingerprint)), now)
            or (self._at(project, caller.ip, now) if caller.ip and self._networks else None)
            or _live(named.get((project, "organisation", caller.organisation)), now)
        )
        return found or _live(
            named.get((project, "key", key.name)) or named.get((project, "key", key.id)), now
        )

    def _at(self, project: str, address: str, now: int) -> Standing | None:
        try:
            parsed = ip_address(address)
        except ValueError:  # an app may call anything an address
            return None
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        prefixes = self._networks.get((project, parsed.version))
        if prefixes is None:
            return None
        number, bits = int(parsed), parsed.max_prefixlen
        for length in sorted(prefixes, reverse=True):
            found = _live(prefixes[length].get(number >> (bits - length) << (bits - length)), now)
            if found is not None:
                return found
        return None


def _live(standing: Standing | None, now: int) -> Standing | None:
    return standing if standing is not None and (standing.until is None or standing.until > now) else None


def standing_step(standings: Standings) -> Step:
    """The step that turns the blocked away, and lets the allowed and the raised have more. It may run twice."""

    async def stand(exchange: Exchange) -> None:
        key = exchange.key
        assert key is not None  # noqa: S101 - `authenticate` has set it
        standing = standings.of(key, exchange.caller, exchange.started)
        if standing is None:
            return
        if standing.action == "block":
            _tell(exchange, standing)
            raise Forbidden(
                f"This {_WORDS[standing.kind]} is blocked"
                + (f": {standing.reason}" if standing.reason else "."),
                "Ask whoever runs this service.",
                code="blocked",
            )
        exchange.allowed = standing.action == "allow"
        exchange.scale = standing.factor

    return stand


_WORDS = {
    "user": "user",
    "fingerprint": "device",
    "ip": "address",
    "organisation": "organisation",
    "key": "key",
}


def _tell(exchange: Exchange, standing: Standing) -> None:
    why = standing.reason or standing.note
    exchange.services.notices.tell(
        "caller.blocked",
        standing.name,
        f"Requests of the {_WORDS[standing.kind]} {standing.name!r} are refused"
        + (f": {why}" if why else "."),
        project_id=standing.project_id,
        attributes={"subject": standing.kind, "standing": standing.id, "by": standing.created_by},
    )
