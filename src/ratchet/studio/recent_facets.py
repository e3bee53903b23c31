"""The values that filters offer, read at most once a minute: they change slowly and cost a look at every recent span."""

from __future__ import annotations

import threading

from ratchet.store.spans import Facets
from ratchet.studio.services import StudioServices

__all__ = ["RecentFacets"]

_WINDOW = 30 * 86_400 * 10**9
_FRESH = 60 * 10**9


class RecentFacets:
    """The last 30 days' facets of one project. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[int, Facets] | None = None

    def get(self, services: StudioServices) -> Facets:
        """At most a minute old. Raises Unavailable when the store can't answer."""
        now = services.now()
        with self._lock:
            if self._known is None or not 0 <= now - self._known[0] < _FRESH:
                self._known = now, services.spans().facets(services.project_id, since=now - _WINDOW)
            return self._known[1]
