"""Slowing down guesses: a bounded count of recent failures by name. In memory; a restart forgets it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from ratchet.errors import Refused

__all__ = ["Throttle", "TooManyAttempts"]

_WINDOW = 15 * 60 * 10**9
_MAX_NAMES = 10_000


class TooManyAttempts(Refused):
    code, status, title = "too_many_attempts", 429, "Too many attempts"


class Throttle:
    """At most `limit` failures of one name in 15 minutes. Thread-safe; remembers 10,000 names."""

    def __init__(self, *, limit: int, now: Callable[[], int]) -> None:
        self._limit = limit
        self._now = now
        self._failures: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, name: str) -> None:
        """Raises TooManyAttempts when `name` has failed too often lately."""
        now = self._now()
        with self._lock:
            recent = [moment for moment in self._failures.get(name, ()) if moment > now - _WINDOW]
        if len(recent) >= self._limit:
            minutes = max(1, -(-(recent[0] + _WINDOW - now) // (60 * 10**9)))
            raise TooManyAttempts(
                "There were too many failed attempts to sign in.",
                f"Wait {minutes} min, or ask an admin for a new sign-in link.",
            )

    def failed(self, name: str) -> None:
        now = self._now()
        with self._lock:
            recent = [moment for moment in self._failures.pop(name, ()) if moment > now - _WINDOW]
            self._failures[name] = [*recent, now][-self._limit :]
            while len(self._failures) > _MAX_NAMES:
                self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        with self._lock:
            self._failures.pop(name, None)
