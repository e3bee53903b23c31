"""How well targets do: a circuit breaker for each target and credential, and each target's pace. Pure.

The clock is handed in: seconds of one that never jumps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal

__all__ = ["Change", "Circuit", "Pace", "State"]

State = Literal["closed", "open", "half_open"]
Change = Literal["closed", "open", "half_open", "refused", "accepted"]

_IN_A_ROW = 5  # failures that open a circuit
_WINDOW = 20  # outcomes that are remembered
_SHARE = 10  # failures among them that open it as well
_MASK = (1 << _WINDOW) - 1
_TO_CLOSE = 2  # probes in a row that have to succeed
_LOOK_AGAIN = 0.1  # seconds, give or take half, until one that found no room may look again
_FIRST_REST, _LONGEST_REST = 5.0, 60.0  # seconds
_SHORT_REST = 1.0  # where there is nobody else
_CREDENTIAL_REST = 60.0  # seconds that a refused credential is only used where there is no other
_MEMORY = 10.0  # seconds: how fast what a target once took is forgotten
_SAMPLES = 128


class Circuit:
    """A target with one credential (Nygard, Release It!, 2007): closed, open, and half open with one probe at a time.

    It opens after 5 failures in a row, or 10 among the last 20; it rests 5 s, twice as long after each probe that
    fails, 60 s at most, and 1 s where there is nobody else to ask. Then single requests are let through; after 2 good
    ones it closes. What has waited for that doesn't come all at once: as many requests at a time as the target has
    answered since, until that is more than want to (slow start, Jacobson, Congestion Avoidance and Control, 1988).
    """

    __slots__ = (
        "_answered",
        "_begun",
        "_chance",
        "_crowded",
        "_history",
        "_in_a_row",
        "_inside",
        "_look",
        "_opened",
        "_refused",
        "_rest",
        "_room",
        "_seen",
        "_since",
        "_until",
        "credential",
        "dead_until",
        "limited_until",
        "on_change",
        "state",
        "target",
    )

    def __init__(
        self,
        target: str,
        credential: str,
        *,
        chance: Callable[[], float],
        on_change: Callable[[Circuit, Change, str], None],
    ) -> None:
        """`chance` gives numbers from 0 to 1; `on_change` is told each change and why."""
        self.target = target
        self.credential = credential
        self.state: State = "closed"
        self.on_change = on_change
        self.limited_until = 0.0  # the provider asked to be left alone until then
        self.dead_until = 0.0  # the credential was turned down
        self._chance = chance
        self._begun = 0  # how many requests were sent: each is known by its number
        self._since = 0  # those up to this one were sent before it opened, and say nothing new
        self._refused = 0  # the newest when the credential was turned down; 0: one was answered since
        self._history = 0  # the last outcomes, one bit each: 1 failed
        self._seen = 0
        self._in_a_row = 0
        self._rest = _FIRST_REST
        self._opened = 0.0
        self._until = 0.0
        self._inside = 0  # requests under way, but for those
        self._room = 0  # of how many at most; 0: of any number
        self._crowded = False  # the room was full since it was looked at last
        self._look = 0  # the room at which it is looked at next
        self._answered = 0  # since it opened

    @property
    def well(self) -> bool:
        """Whether requests go through, and the credential is taken."""
        return self.state == "closed" and not self._refused

    def ready_at(self, now: float, *, last_hope: bool = False) -> float:
        """When a request may be sent: `now`, or later; infinity while a probe is under way.

        `last_hope`: there is nobody else to ask, so an open circuit rests no longer than a second.
        """
        if self.state == "closed":
            if self._room and self._inside >= self._room:
                now += _LOOK_AGAIN * (0.5 + self._chance())
            return max(now, self.limited_until)
        if self._inside:
            return math.inf
        until = min(self._until, self._opened + _SHORT_REST) if last_hope else self._until
        return max(now, until, self.limited_until)

    def begin(self) -> int:
        """A request is sent; `ready_at` has allowed it. It is given a number, by which it is known from then on."""
        if self.state == "open":
            self.state = "half_open"
            self._answered = 0
            self.on_change(self, "half_open", "A request is let through to see whether it answers again.")
        self._inside += 1
        if self._inside == self._room:
            self._crowded = True
        self._begun += 1
        return self._begun

    def ended(self, number: int) -> None:
        """A request is over, however it went. Call it before saying how it went, where that says something."""
        if number > self._since:
            self._inside -= 1

    def succeeded(self, number: int) -> None:
        if self._refused and number > self._refused:
            self._refused, self.dead_until = 0, 0.0
            self.on_change(self, "accepted", "The provider takes the credential again.")
        if number <= self._since:
            return
        if self.state == "closed":
            self._in_a_row = 0
            self._history = (self._history << 1) & _MASK
            self._seen += 1
            if self._room:
                self._answered += 1
                self._widen()
            return
        self._answered += 1
        if self._answered >= _TO_CLOSE:
            self._history = self._seen = self._in_a_row = 0
            self._room = self._answered
            self._look = 2 * self._room
            self._crowded = False
            self.state = "closed"
            why = f"{_TO_CLOSE} requests in a row were answered; more are let through with each that is."
            self.on_change(self, "closed", why)

    def failed(self, now: float, why: str, number: int) -> None:
        if number <= self._since:
            return
        if self.state == "closed":
            self._in_a_row += 1
            self._history = (self._history << 1 | 1) & _MASK
            self._seen += 1
            failed = self._history.bit_count()
            if self._in_a_row >= _IN_A_ROW:
                self._open(now, f"{self._in_a_row} requests in a row failed, the last one: {why}")
            elif self._seen >= _WINDOW and failed >= _SHARE:
                self._open(now, f"{failed} of the last {_WINDOW} requests failed, the last one: {why}")
        else:
            self._rest = min(self._rest * 2, _LONGEST_REST)
            self._open(now, f"The probe failed: {why}")

    def limited(self, until: float) -> None:
        """The provider wants to be left alone until then."""
        self.limited_until = max(self.limited_until, until)

    def refused(self, now: float, why: str) -> None:
        """The credential was turned down."""
        fresh = self.dead_until <= now
        self._refused, self.dead_until = self._begun, now + _CREDENTIAL_REST
        if fresh:
            self.on_change(self, "refused", why)

    def _widen(self) -> None:
        """One more for each that was answered; any number once nobody has found it full while it doubled."""
        self._room = self._answered
        if self._room < self._look:
            return
        if self._crowded:
            self._crowded = False
            self._look = 2 * self._room
        else:
            self._room = 0
            self._rest = _FIRST_REST

    def _open(self, now: float, why: str) -> None:
        self.state = "open"
        self._since = self._begun
        self._inside = self._room = 0
        self._opened = now
        self._until = now + self._rest * (0.8 + 0.4 * self._chance())
        self.on_change(self, "open", why)


class Pace:
    """How quickly a target answers: a peak-sensitive moving average, and a quantile of its last answers.

    The average takes a slower answer over at once and forgets it slowly, so that a target that slows down is left
    before it is measured out (peak EWMA, as Finagle's load balancers use it). Times are seconds: to the first token
    of streams, to the end of other answers.
    """

    __slots__ = ("_average", "_samples", "_updated", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._average = 0.0
        self._updated = -math.inf
        self._samples: tuple[deque[float], deque[float]] = (deque(maxlen=_SAMPLES), deque(maxlen=_SAMPLES))

    def answered(self, seconds: float, now: float, *, stream: bool) -> None:
        self._samples[stream].append(seconds)
        if seconds >= self._average:
            self._average = seconds
        else:
            kept = math.exp((self._updated - now) / _MEMORY)
            self._average = self._average * kept + seconds * (1 - kept)
        self._updated = now

    def load(self) -> float:
        """What one more request would have to wait for, roughly: the average times the requests under way.

        A target that was never asked is tried before any other, by one request.
        """
        if self._updated == -math.inf:
            return self.in_flight * 1e6
        return self._average * (self.in_flight + 1)

    def quantile(self, share: float, *, stream: bool, least: int = 20) -> float | None:
        """Of the last 128 answers, in seconds; None where there are fewer than `least`."""
        samples = self._samples[stream]
        if len(samples) < least:
            return None
        return sorted(samples)[min(len(samples) - 1, math.ceil(share * len(samples)) - 1)]
