"""What a gateway knows of its targets' health. It outlives snapshots: a changed setting forgets nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

from ratchet.gateway.upstream.circuits import Change, Circuit, Pace
from ratchet.gateway.upstream.queueing import FairQueue

__all__ = ["Health"]

_MOST = 4096  # targets that are remembered; apps may ask for any model of a provider


class Health:
    """Circuits, paces and queues by name. One per gateway process."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self.clock = clock
        self.chance = chance
        self.on_change: Callable[[Circuit, Change, str], None] = lambda _circuit, _change, _why: None
        self._circuits: dict[tuple[str, str], Circuit] = {}
        self._paces: dict[str, Pace] = {}
        self._queues: dict[str, FairQueue] = {}

    def circuits(self, target: str, credentials: Sequence[str]) -> tuple[Circuit, ...]:
        """One for each credential of the target."""
        return tuple(self._circuit(target, credential) for credential in credentials)

    def pace(self, target: str) -> Pace:
        found = self._paces.get(target)
        if found is None:
            _make_room(self._paces)
            found = self._paces[target] = Pace()
        return found

    def queue(self, provider: str, at_once: int, waiting: int) -> FairQueue:
        """The provider's queue, with these limits from now on."""
        found = self._queues.get(provider)
        if found is None:
            found = self._queues[provider] = FairQueue(
                f"the provider {provider!r}", at_once, waiting, clock=self.clock
            )
        found.at_once, found.most_waiting = at_once, waiting
        return found

    def unwell(self) -> int:
        """How many circuits are not as they should be."""
        return sum(not circuit.well for circuit in self._circuits.values())

    @property
    def queues(self) -> Mapping[str, FairQueue]:
        return self._queues

    def _circuit(self, target: str, credential: str) -> Circuit:
        found = self._circuits.get((target, credential))
        if found is None:
            _make_room(self._circuits)
            found = Circuit(target, credential, chance=self.chance, on_change=self._changed)
            self._circuits[target, credential] = found
        return found

    def _changed(self, circuit: Circuit, change: Change, why: str) -> None:
        self.on_change(circuit, change, why)


def _make_room(entries: dict[str, Pace] | dict[tuple[str, str], Circuit]) -> None:
    if len(entries) >= _MOST:
        del entries[next(iter(entries))]  # type: ignore[arg-type]  # a key of the same mapping
