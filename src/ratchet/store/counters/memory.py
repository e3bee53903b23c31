"""Counters of one process: exact, in memory, and mapped to a file that survives its death.

Everything happens between two turns of the event loop, so a check of several rules is atomic by itself.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ratchet.store.counters.port import (
    LONGEST,
    MOST_MEMBERS,
    Ask,
    BudgetAsk,
    Grant,
    LeaseAsk,
    RateAsk,
    Refusal,
    Tally,
)
from ratchet.store.counters.table import DATA, EXPIRES, KIND, Table, digest_of

__all__ = ["MemoryCounters", "steady_clock"]

_RATE, _LEASE, _BUDGET, _TALLY, _CLAIM, _MEMBER = 1, 2, 3, 4, 5, 6  # kinds of slots
_OTHER_HALF = 1 << 8  # in a tally's kind: which of its two halves counts
_CACHE_BYTES = 64 << 20


def steady_clock() -> Callable[[], int]:
    """Nanoseconds since the epoch that never jump: a corrected clock neither empties nor fills a bucket."""
    start = time.time_ns() - time.perf_counter_ns()
    return lambda: start + time.perf_counter_ns()


class MemoryCounters:
    """The port, for one event loop of one process. Without a path nothing outlives it.

    Slots: a rate's EXPIRES is the moment its bucket is full again. A lease's datum is how many places are taken. A
    budget's data are what is spent and reserved together, and what is spent. A tally's are `first_seen` and twice
    (good, bad, last_seen). A member's is its set's digest.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], int] | None = None,
        cache_bytes: int = _CACHE_BYTES,
    ) -> None:
        """Raises Misconfigured where another process holds the file."""
        self._table = Table(path)
        self._clock = clock or steady_clock()
        # Members' expiry by their slot, the earliest first; of each set, by its digest, the earliest touched first.
        self._sets: dict[tuple[int, int], dict[int, int]] = {}
        self._bytes: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes
        self._resume()

    async def admit(self, asks: Sequence[Ask]) -> Grant | Refusal:
        """See the port."""
        now, table = self._clock(), self._table
        words, slot_of = table.words, table.slots.get
        levels: list[int] = []
        for ask in asks:
            slot = slot_of(ask.key)
            if slot is None:
                break
            if type(ask) is RateAsk:
                place = slot + EXPIRES
                after = words[place]
                if after < now:
                    after = now + ask.amount
                else:
                    after += ask.amount
                level = after - now
            else:
                place = slot + DATA
                level = after = words[place] + ask.amount
                if type(ask) is LeaseAsk:
                    words[slot + EXPIRES] = now + ask.lifetime
            if level > ask.limit:
                break
            words[place] = after
            levels.append(level)
        else:
            return Grant("", asks, levels)
        for ask in asks[: len(levels)]:  # it is not so simple: as if nothing had happened
            words[slot_of(ask.key, 0) + (EXPIRES if type(ask) is RateAsk else DATA)] -= ask.amount
        return self._weigh(asks, now)

    def _weigh(self, asks: Sequence[Ask], now: int) -> Grant | Refusal:
        """Where a key is new, a guess may have to shrink, or something is in the way."""
        table = self._table
        words = table.words
        levels: list[int] = []
        refused: Refusal | None = None
        for index, ask in enumerate(asks):
            slot = table.find(
                ask.key
            )  # without one it is 0, the file's head, whose words are an unused key's
            if type(ask) is RateAsk:
                level = ask.amount + max(words[slot + EXPIRES] - now, 0)
            else:
                level = ask.amount + words[slot + DATA]
            if level > ask.limit and type(ask) is BudgetAsk:
                held = words[slot + DATA]
                if ask.limit - held >= ask.least and held == words[slot + DATA + 1]:  # nothing is reserved
                    level = ask.limit
                    part = msgspec.structs.replace(ask, amount=level - held)
                    asks = [*asks[:index], part, *asks[index + 1 :]]
            if level > ask.limit:
                wait = level - ask.limit if type(ask) is RateAsk else 0
                if refused is None or wait > refused.wait:
                    spent = words[slot + DATA + 1] if type(ask) is BudgetAsk else 0
                    refused = Refusal(index, wait, level - ask.amount, spent)
            levels.append(level)
        if refused is not None:
            return refused
        for ask, level in zip(asks, levels, strict=True):
            self._take(ask, level, now)
        return Grant("", asks, levels)

    def _take(self, ask: Ask, level: int, now: int) -> None:
        slot, words = self._table.find(ask.key), self._table.words
        if type(ask) is RateAsk:
            if slot:
                words[slot + EXPIRES] = now + level
            else:
                self._new(ask.key, _RATE, now + level)
        elif type(ask) is BudgetAsk:
            if slot:
                words[slot + DATA] = level
            else:
                self._new(ask.key, _BUDGET, ask.expires, level, 0)
        else:
            assert type(ask) is LeaseAsk  # noqa: S101 - there are no others
            if slot:
                words[slot + DATA] = level
                words[slot + EXPIRES] = now + ask.lifetime
            else:
                self._new(ask.key, _LEASE, now + ask.lifetime, level)
        if not slot:
            self._table.tidy(now)

    async def settle(self, grant: Grant, actuals: Sequence[int | None]) -> Sequence[int]:
        """See the port."""
        now, table = self._clock(), self._table
        words, slot_of = table.words, table.slots.get
        levels: list[int] = []
        for ask, actual in zip(grant.asks, actuals, strict=True):
            if actual is None:
                levels.append(0)
                continue
            slot = slot_of(ask.key) or table.find(ask.key)
            if type(ask) is RateAsk:
                # Giving back brings the bucket's moment nearer; taking more later is taking it now.
                full, more = words[slot + EXPIRES], actual - ask.amount
                if more <= 0:
                    full += more
                else:
                    full = min(max(full, now) + more, now + LONGEST)
                if slot:
                    words[slot + EXPIRES] = full
                elif full > now:
                    self._new(ask.key, _RATE, full)
                    words = table.words
                    table.tidy(now)
                levels.append(full - now if full > now else 0)
            elif type(ask) is BudgetAsk:
                place = slot + DATA
                if slot:  # else its period has been forgotten
                    words[place] += actual - ask.amount
                    words[place + 1] += actual
                levels.append(words[place + 1])
            else:
                if slot:
                    words[slot + DATA] -= 1
                levels.append(words[slot + DATA])
        return levels

    async def tally(
        self, key: str, *, good: float = 0.0, bad: float = 0.0, half_life: int, keep: int
    ) -> Tally:
        """See the port."""
        now, table = self._clock(), self._table
        name = f"tally\0{key}"
        slot = table.find(name)
        before = self._tally(slot, now, half_life)
        if before is None:
            after = Tally(good, bad, now, now)
        else:
            after = Tally(before.good + good, before.bad + bad, before.first_seen, now)
        fresh = not slot
        if fresh:
            slot = table.take(name)
        words, reals = table.words, table.reals
        other = words[slot + KIND] == _TALLY  # the half that counts so far is the first
        place = slot + DATA + (4 if other else 1)
        reals[place], reals[place + 1], words[place + 2] = after.good, after.bad, now
        words[slot + DATA] = after.first_seen
        words[slot + EXPIRES] = now + keep
        words[slot + KIND] = _TALLY | (_OTHER_HALF if other else 0)
        if fresh:
            table.tidy(now)
        return after

    async def read_tally(self, key: str, *, half_life: int) -> Tally | None:
        """See the port."""
        return self._tally(self._table.find(f"tally\0{key}"), self._clock(), half_life)

    def _tally(self, slot: int, now: int, half_life: int) -> Tally | None:
        words, reals = self._table.words, self._table.reals
        if not slot or words[slot + EXPIRES] <= now:
            return None
        place = slot + DATA + (4 if words[slot + KIND] & _OTHER_HALF else 1)
        last = words[place + 2]
        left = 0.5 ** (max(now - last, 0) / half_life)
        return Tally(reals[place] * left, reals[place + 1] * left, words[slot + DATA], last)

    async def drop_tally(self, key: str) -> None:
        """See the port."""
        slot = self._table.find(f"tally\0{key}")
        if slot:
            self._table.release(slot)

    async def note_member(self, key: str, member: str, *, keep: int) -> int:
        """See the port."""
        now, table = self._clock(), self._table
        digest = digest_of(key)
        self._forget_sets(now)
        members = self._sets.pop(digest, {})
        self._sets[digest] = members
        while members:
            slot, expires = next(iter(members.items()))
            if expires > now:
                break
            del members[slot]
        name = f"member\0{key}\0{member}"
        slot = table.find(name)
        if slot and slot in members:
            del members[slot]
            table.words[slot + EXPIRES] = now + keep
        elif len(members) >= MOST_MEMBERS:
            return len(members)
        else:
            slot = self._new(name, _MEMBER, now + keep, *digest)
        members[slot] = now + keep
        table.tidy(now)
        return len(members)

    def _forget_sets(self, now: int) -> None:
        """Drop the sets at the front whose members have all expired."""
        while self._sets:
            digest, members = next(iter(self._sets.items()))
            if members and next(reversed(members.values())) > now:
                return
            del self._sets[digest]

    async def claim(self, key: str, *, keep: int) -> bool:
        """See the port."""
        now, table = self._clock(), self._table
        name = f"claim\0{key}"
        slot = table.find(name)
        if slot and table.words[slot + EXPIRES] > now:
            return False
        self._new(name, _CLAIM, now + keep)
        table.tidy(now)
        return True

    async def get(self, key: str) -> bytes | None:
        """See the port."""
        found = self._bytes.get(key)
        if found is None:
            return None
        if found[0] <= self._clock():
            self._forget_bytes(key)
            return None
        self._bytes.move_to_end(key)
        return found[1]

    async def put(self, key: str, value: bytes, *, keep: int) -> None:
        """See the port. What was read least lately goes when all of it is more than the cache may hold."""
        self._forget_bytes(key)
        self._bytes[key] = (self._clock() + keep, value)
        self._cached += len(key) + len(value)
        while self._cached > self._cache_bytes and self._bytes:
            self._forget_bytes(next(iter(self._bytes)))

    async def drop(self, key: str) -> None:
        """See the port."""
        self._forget_bytes(key)

    async def close(self) -> None:
        """See the port."""
        self._table.close()

    def _forget_bytes(self, key: str) -> None:
        found = self._bytes.pop(key, None)
        if found is not None:
            self._cached -= len(key) + len(found[1])

    def _new(self, key: str, kind: int, expires: int, *data: int) -> int:
        """Fill a slot for `key`, which has none or an expired one. Its kind comes last: then it counts."""
        table = self._table
        slot = table.find(key) or table.take(key)
        words = table.words
        words[slot + KIND] = 0
        words[slot + EXPIRES] = expires
        for offset, value in enumerate(data):
            words[slot + DATA + offset] = value
        words[slot + KIND] = kind
        return slot

    def _resume(self) -> None:
        """Take over what an earlier process left.

        What it had reserved of budgets is as good as spent; what held its places has ended with it.
        """
        words = self._table.words
        sets: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for slot in self._table.taken():
            kind = words[slot + KIND]
            if kind == _BUDGET:
                words[slot + DATA + 1] = words[slot + DATA]
            elif kind == _LEASE:
                words[slot + DATA] = 0
            elif kind == _MEMBER:
                digest = (words[slot + DATA], words[slot + DATA + 1])
                sets.setdefault(digest, []).append((words[slot + EXPIRES], slot))
        in_order = sorted((sorted(found) for found in sets.values()), key=lambda found: found[-1])
        self._sets = {
            (words[found[0][1] + DATA], words[found[0][1] + DATA + 1]): {
                slot: expires for expires, slot in found
            }
            for found in in_order
        }
