"""Which segment a caller is in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ratchet.domain.access import Key
from ratchet.errors import Misconfigured
from ratchet.gateway.caller import Caller
from ratchet.gateway.trust.core import Prior
from ratchet.gateway.trust.settings import DEFAULT_SEGMENT, SegmentSettings, nanoseconds

__all__ = ["Segment", "Segments"]


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A segment as the path needs it."""

    name: str
    prior: Prior


class Segments:
    """All segments. The first of these decides: the user, what a server says (`metadata.segment`, then
    `metadata.plan`), the organisation, the key; else it is `default`."""

    def __init__(self, declared: Mapping[str, SegmentSettings]) -> None:
        """Raises Misconfigured where somebody would be in two."""
        self.named = {name: _segment(name, settings) for name, settings in declared.items()}
        self.default = self.named.get(DEFAULT_SEGMENT) or _segment(DEFAULT_SEGMENT, SegmentSettings())
        self._users = self._index("user", {name: each.users for name, each in declared.items()})
        self._organisations = self._index(
            "organisation", {name: each.organisations for name, each in declared.items()}
        )
        self._keys = self._index("key", {name: each.keys for name, each in declared.items()})
        self._plans = self.named | self._index("plan", {name: each.plans for name, each in declared.items()})
        everybody = self.named.keys() <= {DEFAULT_SEGMENT} and not (
            self._users or self._organisations or self._keys or self._plans.keys() - self.named.keys()
        )
        self.only = self.default if everybody else None  # where all are in one

    def of(self, caller: Caller, key: Key, said: Mapping[str, str] | None) -> Segment:
        """`said` is a request's metadata, where it is believed."""
        found = self._users.get(caller.user) if self._users else None
        if found is None and said:
            found = self.named.get(said.get("segment", "")) or self._plans.get(said.get("plan", ""))
        if found is None and caller.organisation:
            found = self._organisations.get(caller.organisation)
        return found or self._keys.get(key.name) or self.default

    def _index(self, kind: str, members: Mapping[str, Sequence[str]]) -> dict[str, Segment]:
        index: dict[str, Segment] = {}
        for name, listed in members.items():
            for member in listed:
                before = index.get(member)
                if before is not None and before.name != name:
                    raise Misconfigured(
                        f"The {kind} {member!r} is in two segments: segments.{before.name}.{kind}s and "
                        f"segments.{name}.{kind}s.",
                        "Take it out of one of them.",
                    )
                index[member] = self.named[name]
        return index


def _segment(name: str, settings: SegmentSettings) -> Segment:
    untrusted = settings.starts == "untrusted"
    return Segment(name, Prior(untrusted, nanoseconds(settings.ripens_after), name, *settings.scale))
