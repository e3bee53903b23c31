"""The counters port: rates, places, budgets, tallies, sets, claims and bytes, and what outlives the process."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import redis_address

from ratchet.errors import Misconfigured
from ratchet.store.counters import (
    BudgetAsk,
    Counters,
    Grant,
    LeaseAsk,
    MemoryCounters,
    RateAsk,
    Refusal,
)
from ratchet.store.counters.shared import SharedCounters

SECOND = 10**9
HOUR = 3600 * SECOND
FAR = 4 * 10**18


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Counters]:
    """Both implementations. Their clock stands still, but Redis forgets keys by its own: hence hours in these tests."""
    if request.param == "memory":
        yield MemoryCounters(clock=clock)
        return
    shared = SharedCounters(redis_address(), prefix=secrets.token_hex(6), clock=clock)
    yield shared
    await shared.close()


def per_hour(key: str, limit: int, burst: int | None = None) -> RateAsk:
    return RateAsk(key, HOUR // limit, HOUR // limit * (burst or limit))


async def test_a_rate_lets_its_burst_through_and_then_one_for_each_interval(
    counters: Counters, clock: Clock
) -> None:
    ask = per_hour("a", 10)
    assert [type(await counters.admit([ask])) for _ in range(11)] == [Grant] * 10 + [Refusal]
    refusal = await counters.admit([ask])
    assert isinstance(refusal, Refusal)
    assert refusal.wait == HOUR // 10
    clock.now += refusal.wait - 1
    assert isinstance(await counters.admit([ask]), Refusal)
    clock.now += 1
    assert isinstance(await counters.admit([ask]), Grant)
    assert isinstance(await counters.admit([ask]), Refusal)


async def test_a_refusal_takes_nothing_from_any_rule(counters: Counters) -> None:
    wide, narrow = per_hour("wide", 5), per_hour("narrow", 1)
    place, money = LeaseAsk("place", 5, HOUR), BudgetAsk("money", 1, 5, FAR)
    assert isinstance(await counters.admit([narrow]), Grant)
    for _ in range(20):
        refusal = await counters.admit([wide, place, money, narrow])
        assert isinstance(refusal, Refusal)
        assert refusal.index == 3
    for left in reversed(range(5)):
        grant = await counters.admit([wide, place, money])
        assert isinstance(grant, Grant)
        assert list(grant.levels) == [(5 - left) * HOUR // 5, 5 - left, 5 - left]
        for _ in range(3):  # now that all of them are counted already
            refusal = await counters.admit([wide, place, money, narrow])
            assert isinstance(refusal, Refusal)
            assert refusal.index in ((3,) if left else (0, 3))
    assert isinstance(await counters.admit([wide, place, money]), Refusal)


async def test_what_is_not_settled_stays_as_it_was_asked_for(counters: Counters) -> None:
    rate, money = RateAsk("tokens", HOUR, 10 * HOUR), BudgetAsk("march", 40, 100, FAR)
    grant = await counters.admit([rate, money])
    assert isinstance(grant, Grant)
    assert list(await counters.settle(grant, [None, 15])) == [0, 15]
    again = await counters.admit([rate, money])
    assert isinstance(again, Grant)
    assert list(again.levels) == [2 * HOUR, 55]
    assert list(await counters.settle(again, [None, None])) == [0, 0]


async def test_the_longest_wait_is_the_one_told(counters: Counters) -> None:
    quick, slow = per_hour("quick", 10, 1), per_hour("slow", 1, 1)
    await counters.admit([quick, slow])
    refusal = await counters.admit([quick, slow])
    assert refusal == Refusal(1, HOUR, HOUR)


async def test_settling_moves_a_rate_either_way(counters: Counters, clock: Clock) -> None:
    ask = RateAsk("tokens", 60 * HOUR, 100 * HOUR)
    grant = await counters.admit([ask])
    assert isinstance(grant, Grant)
    assert isinstance(await counters.admit([ask]), Refusal)
    assert list(await counters.settle(grant, [10 * HOUR])) == [10 * HOUR]
    grant = await counters.admit([ask])
    assert isinstance(grant, Grant)
    assert list(await counters.settle(grant, [300 * HOUR])) == [310 * HOUR]
    refusal = await counters.admit([ask])
    assert isinstance(refusal, Refusal)
    assert refusal.wait == (310 + 60 - 100) * HOUR
    clock.now += refusal.wait
    grant = await counters.admit([ask])
    assert isinstance(grant, Grant)
    clock.now += 1000 * HOUR
    assert list(await counters.settle(grant, [61 * HOUR])) == [HOUR]  # the rest is taken now


async def test_places_are_given_back(counters: Counters) -> None:
    ask = LeaseAsk("a", 2, HOUR)
    first, second = await counters.admit([ask]), await counters.admit([ask])
    assert isinstance(first, Grant)
    assert isinstance(second, Grant)
    assert await counters.admit([ask]) == Refusal(0, 0, 2)
    assert list(await counters.settle(first, [0])) == [1]
    assert isinstance(await counters.admit([ask]), Grant)


async def test_a_budget_holds_what_is_spent_and_what_is_reserved(counters: Counters) -> None:
    ask = BudgetAsk("march", 40, 100, FAR)
    first, second = await counters.admit([ask]), await counters.admit([ask])
    assert isinstance(first, Grant)
    assert isinstance(second, Grant)
    assert await counters.admit([ask]) == Refusal(0, 0, 80)
    assert list(await counters.settle(first, [15])) == [15]
    assert await counters.admit([BudgetAsk("march", 60, 100, FAR)]) == Refusal(0, 0, 55, 15)
    third = await counters.admit([ask])
    assert isinstance(third, Grant)
    assert list(await counters.settle(second, [40])) == [55]
    assert list(await counters.settle(third, [40])) == [95]
    assert isinstance(await counters.admit([BudgetAsk("march", 5, 100, FAR)]), Grant)
    assert isinstance(await counters.admit([BudgetAsk("march", 1, 100, FAR)]), Refusal)


async def test_a_guess_takes_what_is_left_where_nothing_is_reserved(counters: Counters) -> None:
    guess = BudgetAsk("march", 500, 100, FAR, 10)
    first = await counters.admit([guess])
    assert isinstance(first, Grant)
    assert (list(first.levels), first.asks[0].amount) == ([100], 100)
    assert await counters.admit([guess]) == Refusal(0, 0, 100)
    assert list(await counters.settle(first, [30])) == [30]
    fits = BudgetAsk("march", 50, 100, FAR, 10)
    second = await counters.admit([fits])
    assert isinstance(second, Grant)
    assert (list(second.levels), second.asks[0].amount) == ([80], 50)
    assert await counters.admit([fits]) == Refusal(0, 0, 80, 30), "something is reserved"
    assert list(await counters.settle(second, [65])) == [95]
    assert await counters.admit([guess]) == Refusal(0, 0, 95, 95), "less is left than the least"
    rate = per_hour("rate", 10)
    third = await counters.admit([rate, BudgetAsk("march", 500, 100, FAR, 5), per_hour("other", 5)])
    assert isinstance(third, Grant)
    assert [each.amount for each in third.asks] == [HOUR // 10, 5, HOUR // 5]
    assert list(await counters.settle(third, [0, 40, 0])) == [0, 135, 0]
    assert await counters.admit([BudgetAsk("march", 500, 100, FAR, 1)]) == Refusal(0, 0, 135, 135)


@given(
    st.lists(
        st.tuples(
            st.booleans(), st.integers(0, 60), st.integers(1, 10), st.integers(0, 90), st.integers(0, 9)
        ),
        max_size=60,
    )
)
def test_a_budget_is_overspent_by_no_more_than_what_is_under_way_exceeds_what_it_reserved(
    moves: list[tuple[bool, int, int, int, int]],
) -> None:
    """And not at all where nothing costs more than it reserved."""

    async def play() -> None:
        counters = MemoryCounters()
        under_way: list[tuple[Grant, int]] = []
        excess = spent = 0
        for capped, amount, least, used, ending in moves:
            ask = (
                BudgetAsk("march", amount, 100, FAR)
                if capped
                else BudgetAsk("march", amount, 100, FAR, least)
            )
            found = await counters.admit([ask])
            if isinstance(found, Grant):
                under_way.append((found, min(used, amount) if capped else used))
                excess = sum(max(0, used - each.asks[0].amount) for each, used in under_way)
            for _ in range(min(ending // 3, len(under_way))):
                grant, really = under_way.pop(0)
                (spent,) = await counters.settle(grant, [really])
        for grant, used in under_way:
            (spent,) = await counters.settle(grant, [used])
        assert spent <= 100 + excess

    asyncio.run(play())


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 50)), min_size=1, max_size=200),
    st.integers(1, 20),
    st.integers(1, 50),
)
def test_no_window_ever_holds_more_than_burst_and_rate(
    moves: list[tuple[int, int]], interval: int, burst: int
) -> None:
    """GCRA's promise: in any stretch of t, at most burst + t / interval units are granted."""
    clock = Clock()
    counters = MemoryCounters(clock=clock)

    async def play() -> list[tuple[int, int]]:
        granted: list[tuple[int, int]] = []
        for pause, units in moves:
            clock.now += pause
            found = await counters.admit([RateAsk("a", units * interval, burst * interval)])
            if isinstance(found, Grant):
                granted.append((clock.now, units))
        return granted

    granted = asyncio.run(play())
    for start in range(len(granted)):
        units = 0
        for moment, amount in granted[start:]:
            units += amount
            assert units * interval <= burst * interval + moment - granted[start][0]


async def test_a_tally_decays_and_remembers_when_it_began(counters: Counters, clock: Clock) -> None:
    start = clock.now
    assert await counters.read_tally("u", half_life=HOUR) is None
    await counters.tally("u", good=8, bad=2, half_life=HOUR, keep=100 * HOUR)
    clock.now += HOUR
    found = await counters.tally("u", bad=1, half_life=HOUR, keep=100 * HOUR)
    assert (found.good, found.bad, found.first_seen, found.last_seen) == (4, 2, start, clock.now)
    clock.now += 2 * HOUR
    read = await counters.read_tally("u", half_life=HOUR)
    assert read is not None
    assert (read.good, read.bad, read.last_seen) == (1, 0.5, start + HOUR)
    await counters.drop_tally("u")
    assert await counters.read_tally("u", half_life=HOUR) is None


async def test_a_set_counts_each_member_once_and_forgets_it(counters: Counters, clock: Clock) -> None:
    assert [await counters.note_member("ip", who, keep=10 * HOUR) for who in "aabac"] == [1, 1, 2, 2, 3]
    clock.now += 6 * HOUR
    assert await counters.note_member("ip", "b", keep=10 * HOUR) == 3
    clock.now += 6 * HOUR
    assert await counters.note_member("ip", "d", keep=10 * HOUR) == 2
    assert await counters.note_member("another", "d", keep=10 * HOUR) == 1


async def test_a_claim_is_the_firsts_alone(counters: Counters) -> None:
    assert await counters.claim("solution", keep=HOUR)
    assert not await counters.claim("solution", keep=HOUR)
    assert await counters.claim("another", keep=HOUR)


async def test_bytes_are_kept(counters: Counters) -> None:
    assert await counters.get("a") is None
    await counters.put("a", b"\0\xff", keep=HOUR)
    assert await counters.get("a") == b"\0\xff"
    await counters.drop("a")
    assert await counters.get("a") is None


async def test_in_memory_what_has_expired_is_gone() -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    await counters.claim("solution", keep=10)
    await counters.tally("u", good=1, half_life=HOUR, keep=10)
    clock.now += 10
    assert await counters.claim("solution", keep=10)
    assert await counters.read_tally("u", half_life=HOUR) is None
    found = await counters.tally("u", good=1, half_life=HOUR, keep=10)
    assert (found.good, found.first_seen) == (1, clock.now)


async def test_in_memory_bytes_are_kept_for_their_time_and_within_their_room() -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock, cache_bytes=100)
    await counters.put("a", b"1" * 40, keep=10)
    await counters.put("b", b"2" * 40, keep=10)
    assert await counters.get("a") == b"1" * 40
    await counters.put("c", b"3" * 40, keep=10)
    assert await counters.get("b") is None  # read least lately
    assert await counters.get("a") == b"1" * 40
    clock.now += 10
    assert await counters.get("a") is None
    await counters.drop("c")
    assert await counters.get("c") is None


async def test_it_grows_and_slots_of_what_expired_are_used_again(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "counters"
    counters = MemoryCounters(path, clock=clock)
    for number in range(5000):
        assert isinstance(await counters.admit([BudgetAsk(f"b{number}", number, FAR, FAR)]), Grant)
    grown = path.stat().st_size
    assert grown >= 5000 * 96
    for number in range(50_000):
        clock.now += HOUR
        assert isinstance(await counters.admit([per_hour(f"r{number}", 1)]), Grant)
    assert path.stat().st_size == grown
    await counters.close()
    again = MemoryCounters(path, clock=clock)
    for number in range(5000):
        assert await again.admit([BudgetAsk(f"b{number}", 1, number, FAR)]) == Refusal(0, 0, number, number)
    await again.close()


async def test_everything_but_places_and_bytes_is_there_again(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "counters"
    before = MemoryCounters(path, clock=clock)
    asks = [per_hour("rate", 1), LeaseAsk("place", 1, 60 * SECOND), BudgetAsk("money", 70, 100, FAR)]
    await before.admit(asks)
    await before.tally("u", good=1, half_life=SECOND, keep=60 * SECOND)
    await before.tally("u", bad=3, half_life=SECOND, keep=60 * SECOND)
    for who in "abc":
        await before.note_member("ip", who, keep=60 * SECOND)
    await before.claim("solution", keep=60 * SECOND)
    await before.close()
    after = MemoryCounters(path, clock=clock)
    rate, place, money = asks
    assert await after.admit([rate]) == Refusal(0, HOUR, HOUR)
    assert isinstance(await after.admit([place]), Grant)
    assert await after.admit([money]) == Refusal(0, 0, 70, 70)
    tally = await after.read_tally("u", half_life=SECOND)
    assert tally is not None
    assert (tally.good, tally.bad) == (1, 3)
    assert await after.note_member("ip", "c", keep=60 * SECOND) == 3
    assert await after.note_member("ip", "d", keep=60 * SECOND) == 4
    assert not await after.claim("solution", keep=60 * SECOND)
    grant = await after.admit([BudgetAsk("money", 10, 100, FAR)])
    assert isinstance(grant, Grant)
    assert list(await after.settle(grant, [5])) == [75]  # what was in flight when it ended counts as spent
    await after.close()


async def test_two_processes_cannot_count_in_one_file(tmp_path: Path) -> None:
    held = MemoryCounters(tmp_path / "counters")
    with pytest.raises(Misconfigured, match="Another gateway counts in"):
        MemoryCounters(tmp_path / "counters")
    await held.close()
    await MemoryCounters(tmp_path / "counters").close()


async def test_a_file_of_another_kind_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "counters").write_bytes(b"something else altogether" * 100)
    counters: Counters = MemoryCounters(tmp_path / "counters")
    assert isinstance(await counters.admit([per_hour("a", 1)]), Grant)
    await counters.close()


_SPENDER = """
import asyncio, sys
from pathlib import Path
from ratchet.store.counters import BudgetAsk, Grant, MemoryCounters

async def main():
    counters = MemoryCounters(Path(sys.argv[1]))
    number = 0
    while True:
        found = await counters.admit([BudgetAsk(f"b{number % 3000}", 1, 10**9, 4 * 10**18), BudgetAsk("all", 1, 10**9, 4 * 10**18)])
        assert isinstance(found, Grant)
        number += 1
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()

asyncio.run(main())
"""


async def test_nothing_granted_is_forgotten_by_a_kill(tmp_path: Path) -> None:
    """A process is killed while it counts, table growth and all; what it had said by then has been counted."""
    path = tmp_path / "counters"
    for wanted in (10, 2500, 9000):
        before = await _counted(path)
        process = subprocess.Popen(
            [sys.executable, "-c", _SPENDER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= wanted:
                break
        os.kill(process.pid, signal.SIGKILL)
        told = wanted + len(process.stdout.readlines())
        process.wait()
        total, each = await _counted(path)
        assert told <= total - before[0] <= told + 1
        assert 0 <= each - total <= 1  # the kill may fall between the two


async def _counted(path: Path) -> tuple[int, int]:
    counters = MemoryCounters(path)
    total = await _level(counters, "all")
    each = sum([await _level(counters, f"b{number}") for number in range(3000)])
    await counters.close()
    return total, each


async def _level(counters: Counters, key: str) -> int:
    found = await counters.admit([BudgetAsk(key, 1, 0, FAR)])
    assert isinstance(found, Refusal)
    return found.level
