"""How many accounts come from one source, counted once for each of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ratchet.errors import Unavailable
from ratchet.gateway.trust.book import Subject
from ratchet.store.counters import Counters

__all__ = ["Crowds"]

_MOST = 100_000  # pairs of account and source that are remembered here


class Crowds:
    """One per gateway process. The counters are asked when a pair is new here, and again once half its time is over."""

    def __init__(self, counters: Counters, now: Callable[[], int]) -> None:
        self._counters = counters
        self._now = now
        self._seen: OrderedDict[tuple[Subject, str], int] = OrderedDict()

    async def note(self, source: Subject, account: str, window: int) -> int | None:
        """How many accounts have come from `source` in `window` nanoseconds; None for an account known there."""
        now = self._now()
        pair = (source, account)
        until = self._seen.get(pair)
        if until is not None and until > now:
            return None
        self._seen[pair] = now + window // 2
        self._seen.move_to_end(pair)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)
        try:
            return await self._counters.note_member(
                f"accounts:{source.project_id}:{source.kind}:{source.name}", account, keep=window
            )
        except Unavailable:
            del self._seen[pair]
            return None
