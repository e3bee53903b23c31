"""How well targets do: a circuit breaker for each target and credential, and each target's pace. Pure.

The clock is handed in: seconds of one that never jumps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal

__all__ = ["Circuit", "Pace", "State"]

State = Literal["closed", "open", "half_open"]

_IN_A_ROW = 5  # failures that open a circuit
_WINDOW = 20  # outcomes that are remembered
_SHARE = 10  # failures among them that open it as well
_MASK = (1 << _WINDOW) - 1
_TO_CLOSE = 2  # probes in a row that have to succeed
_FIRST_REST, _LONGEST_REST = 5.0, 60.0  # seconds
_SHORT_REST = 1.0  # where there is nobody else
_CREDENTIAL_REST = 60.0  # seconds that a refused credential is only used where there is no other
_MEMORY = 10.0  # seconds: how fast what a target once took is forgotten
_SAMPLES = 128


class Circuit:
    """A target with one credential (Nygard, Release It!, 2007): closed, open, and half open with one probe at a time.

    It opens after 5 failures in a row, or 10 among the last 20; it rests 5 s, twice as long after each probe that
    fails, 60 s at most, and 1 s where there is nobody else to ask. Then single requests are let through; after 2 good
    ones it closes.
    """

    __slots__ = (
        "_chance",
        "_history",
        "_in_a_row",
        "_opened",
        "_probes",
        "_probing",
        "_rest",
        "_seen",
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
        on_change: Callable[[Circuit, str], None],
    ) -> None:
        """`chance` gives numbers from 0 to 1; `on_change` is told each change of state and why."""
        self.target = target
        self.credential = credential
        self.state: State = "closed"
        self.on_change = on_change
        self.limited_until = 0.0  # the provider asked to be left alone until then
        self.dead_until = 0.0  # the credential was turned down
        self._chance = chance
        self._history = 0  # the last outcomes, one bit each: 1 failed
        self._seen = 0
        self._in_a_row = 0
        self._rest = _FIRST_REST
        self._opened = 0.0
        self._until = 0.0
        self._probing = False
        self._probes = 0

    def ready_at(self, now: float, *, last_hope: bool = False) -> float:
        """When a request may be sent: `now`, or later; infinity while a probe is under way.

        `last_hope`: there is nobody else to ask, so an open circuit rests no longer than a second.
        """
        if self.state == "closed":
            return max(now, self.limited_until)
        if self.state == "half_open" and self._probing:
            return math.inf
        until = min(self._until, self._opened + _SHORT_REST) if last_hope else self._until
        return max(now, until, self.limited_until)

    def begin(self) -> bool:
        """A request is sent; `ready_at` has allowed it. Whether it is a probe: `ended` wants to know again."""
        if self.state == "closed":
            return False
        if self.state == "open":
            self.state = "half_open"
            self._probes = 0
            self.on_change(self, "A request is let through to see whether it answers again.")
        self._probing = True
        return True

    def ended(self, *, probe: bool) -> None:
        """A request is over, however it went. Call it before saying how it went, where that says something."""
        if probe:
            self._probing = False

    def succeeded(self, *, probe: bool) -> None:
        if self.state == "closed":
            self._in_a_row = 0
            self._history = (self._history << 1) & _MASK
            self._seen += 1
        elif probe:
            self._probes += 1
            if self._probes >= _TO_CLOSE:
                self._history = self._seen = self._in_a_row = 0
                self._rest = _FIRST_REST
                self.state = "closed"
                self.on_change(self, f"{_TO_CLOSE} requests in a row were answered.")

    def failed(self, now: float, why: str, *, probe: bool) -> None:
        if self.state == "closed":
            self._in_a_row += 1
            self._history = (self._history << 1 | 1) & _MASK
            self._seen += 1
            failed = self._history.bit_count()
            if self._in_a_row >= _IN_A_ROW:
                self._open(now, f"{self._in_a_row} requests in a row failed, the last one: {why}")
            elif self._seen >= _WINDOW and failed >= _SHARE:
                self._open(now, f"{failed} of the last {_WINDOW} requests failed, the last one: {why}")
        elif probe:
            self._rest = min(self._rest * 2, _LONGEST_REST)
            self._open(now, f"The probe failed: {why}")
        # What was sent before it opened says nothing new.

    def limited(self, until: float) -> None:
        """The provider wants to be left alone until then."""
        self.limited_until = max(self.limited_until, until)

    def refused(self, now: float, why: str) -> None:
        """The credential was turned down."""
        fresh = self.dead_until <= now
        self.dead_until = now + _CREDENTIAL_REST
        if fresh:
            self.on_change(self, why)

    def _open(self, now: float, why: str) -> None:
        self.state = "open"
        self._opened = now
        self._until = now + self._rest * (0.8 + 0.4 * self._chance())
        self.on_change(self, why)


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
