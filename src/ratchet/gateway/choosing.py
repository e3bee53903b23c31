"""Which of a route's targets is asked first, and who is asked after it. Pure; clock and chance are handed in."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

from ratchet.gateway.snapshot import Route, Target
from ratchet.gateway.upstream.circuits import Circuit
from ratchet.gateway.upstream.failures import CONDUCT, Failure

__all__ = ["Candidate", "Plan", "candidates"]

_SAME, _OTHER = 0.25, 0.05  # seconds: the first backoff where the same, or another target is asked next
_LONGEST = 8.0
# Another credential changes nothing about these.
_OF_THE_TARGET = frozenset({Failure.MISSING, Failure.FORBIDDEN, Failure.UNSUITABLE, Failure.REFUSED})
_NEVER = math.inf


class Candidate:
    """A target with one of its credentials, within one request. `not_before` is a moment of the health's clock:
    until then the provider wants to be left alone by this request."""

    __slots__ = ("circuit", "credential", "not_before", "target")

    def __init__(self, target: Target, credential: int) -> None:
        self.target = target
        self.credential = credential
        self.circuit: Circuit = target.circuits[credential]
        self.not_before = 0.0


def candidates(route: Route, now: float, chance: Callable[[], float], session: str) -> list[Candidate]:
    """Every target of the route with every credential, in the order in which they are to be asked."""
    targets = route.targets if len(route.targets) == 1 else _ordered(route, chance, session)
    found: list[Candidate] = []
    for target in targets:
        circuits = target.circuits
        first = int(chance() * len(circuits)) if len(circuits) > 1 else 0
        for step in range(len(circuits)):
            index = (first + step) % len(circuits)
            found.append(Candidate(target, index))
    if len(found) > 1:
        # A refused credential comes last: it is better than none. The sort is stable, so the order stays otherwise.
        found.sort(key=lambda each: each.circuit.dead_until > now)
    return found


def _ordered(route: Route, chance: Callable[[], float], session: str) -> Sequence[Target]:
    if route.sticky and session:
        return sorted(route.targets, key=lambda target: _rendezvous(session, target))
    if route.choose == "weighted":
        return sorted(route.targets, key=lambda target: _draw(chance(), target.weight))
    if route.choose == "cheapest":
        return route.by_price
    if route.choose == "fastest":
        return _by_pace(route.targets, chance)
    return route.targets


def _draw(uniform: float, weight: float) -> float:
    """A sort key that draws without replacement by weight (Efraimidis and Spirakis, 2006)."""
    return -math.log(uniform or 5e-324) / weight if weight > 0 else _NEVER


def _rendezvous(session: str, target: Target) -> float:
    """The same for the same session everywhere: weighted rendezvous hashing (Schindelhauer and Schomaker, 2005)."""
    digest = hashlib.blake2b(f"{session}\0{target.name}".encode(), digest_size=8).digest()
    return _draw((int.from_bytes(digest) + 1) / (1 << 64), target.weight)


def _by_pace(targets: Sequence[Target], chance: Callable[[], float]) -> list[Target]:
    """The better of two drawn at random goes first (Mitzenmacher, 2001), so that not all apps run to the same one."""
    count = len(targets)
    one = int(chance() * count)
    other = (one + 1 + int(chance() * (count - 1))) % count
    first = one if targets[one].pace.load() <= targets[other].pace.load() else other
    rest = [target for index, target in enumerate(targets) if index != first]
    return [targets[first], *sorted(rest, key=lambda target: target.pace.load())]


class Plan:
    """What is left to try for one request."""

    __slots__ = ("_around_refusals", "_backoffs", "_chance", "_left", "_pause", "left")

    def __init__(self, found: list[Candidate], *, route: Route, chance: Callable[[], float]) -> None:
        self.left = route.attempts
        self._around_refusals = route.around_refusals
        self._left = found
        self._chance = chance
        self._pause = 0.0  # from the last failure to whoever is next
        self._backoffs = 0

    def next(self, now: float) -> tuple[Candidate, float] | None:
        """Who is next, and when it may be asked; None where there is nobody. A moment of infinity never comes."""
        if not self._left or not self.left:
            return None
        best = self._left[0]
        moment = self._ready(best, now)
        if moment > now:
            for candidate in self._left[1:]:
                ready = self._ready(candidate, now)
                if ready < moment:
                    best, moment = candidate, ready
        return best, max(moment, now + self._pause)

    def last_hope(self, now: float) -> tuple[Candidate, float]:
        """Who may be asked soonest, where every circuit is open."""
        moments = [
            (max(each.not_before, each.circuit.ready_at(now, last_hope=True)), each) for each in self._left
        ]
        moment, best = min(moments, key=lambda each: each[0])
        return best, moment

    def peek(self, besides: Candidate, now: float) -> Candidate | None:
        """Another target that could be asked at once, beside one that is being asked."""
        for candidate in self._left:
            if candidate.target is not besides.target and self._ready(candidate, now) <= now:
                return candidate
        return None

    def begun(self, candidate: Candidate) -> None:
        self.left -= 1
        self._left.remove(candidate)

    def failed(self, candidate: Candidate, failure: Failure, now: float, told: float | None) -> None:
        """Take in how it went. `told` is what the provider said of when to come back, in seconds."""
        conduct = CONDUCT[failure]
        self._pause = 0.0
        if conduct.then == "nobody" or (conduct.then == "if_asked" and not self._around_refusals):
            self._left = []
            return
        if conduct.then == "larger":
            self._left = [each for each in self._left if _reads_more(each.target, candidate.target)]
            return
        if failure is Failure.FULL:  # nothing was asked, so it is no attempt; the queue is the provider's
            self.left += 1
            queue = candidate.target.queue
            self._left = [each for each in self._left if queue is None or each.target.queue is not queue]
            return
        if failure in _OF_THE_TARGET:
            self._left = [each for each in self._left if each.target is not candidate.target]
            return
        if conduct.wait == "told":
            candidate.not_before = now + (self._backoff(_SAME) if told is None else told)
        elif conduct.wait == "backoff":
            others = any(each.target is not candidate.target for each in self._left)
            self._pause = self._backoff(_OTHER if others else _SAME)
        if conduct.again:
            self._left.append(candidate)

    def _ready(self, candidate: Candidate, now: float) -> float:
        return max(candidate.not_before, candidate.circuit.ready_at(now))

    def _backoff(self, first: float) -> float:
        """Full jitter: anything from nothing to a bound that doubles (Brooker, Exponential backoff and jitter, 2015)."""
        bound = min(first * 2**self._backoffs, _LONGEST)
        self._backoffs += 1
        return self._chance() * bound


def _reads_more(target: Target, than: Target) -> bool:
    """Whether it has a larger context window, as far as is known."""
    if target is than or target.context_window is None:
        return False
    return than.context_window is None or target.context_window > than.context_window
