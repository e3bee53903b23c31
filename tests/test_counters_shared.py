"""Counters in Redis: as memory counts, exact for many gateways at once, and what happens while it is away."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import eventually, redis_address
from tests.test_counters import FAR, HOUR, SECOND, Clock

from ratchet.app.supervisor import reserved_port
from ratchet.errors import Unavailable
from ratchet.store.counters import LONGEST, Ask, BudgetAsk, Grant, LeaseAsk, MemoryCounters, RateAsk, Refusal
from ratchet.store.counters.shared import SharedCounters

ASKS: list[st.SearchStrategy[Ask]] = [
    st.builds(RateAsk, st.just("rate-a"), st.integers(0, 3 * HOUR), st.just(5 * HOUR)),
    st.builds(RateAsk, st.just("rate-b"), st.integers(1, 10**15), st.just(4 * 10**15)),
    st.builds(LeaseAsk, st.just("place"), st.just(3), st.just(1000 * HOUR)),
    st.builds(
        BudgetAsk,
        st.just("money"),
        st.integers(0, 10**13),
        st.just(10**13),
        st.just(FAR),
        st.one_of(st.just(LONGEST), st.integers(1, 10**12)),
    ),
]
REQUESTS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 3), min_size=1),
        st.tuples(*ASKS),
        st.integers(0, HOUR),
        st.one_of(st.none(), st.integers(0, 10**13)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(REQUESTS)
def test_memory_and_redis_say_the_same(
    requests: list[tuple[set[int], tuple[Ask, ...], int, int | None]],
) -> None:
    async def play() -> None:
        clock = Clock()
        memory = MemoryCounters(clock=clock)
        shared = SharedCounters(redis_address(), prefix=secrets.token_hex(6), clock=clock)
        for chosen, choice, pause, actual in requests:
            clock.now += pause
            asks = [choice[index] for index in sorted(chosen)]
            here, there = await memory.admit(asks), await shared.admit(asks)
            assert type(here) is type(there)
            if isinstance(here, Refusal):
                assert here == there
                continue
            assert isinstance(there, Grant)
            assert list(here.levels) == list(there.levels)
            assert list(here.asks) == list(there.asks)
            if actual is not None:
                clock.now += pause
                actuals = [actual] * len(asks)
                assert list(await memory.settle(here, actuals)) == list(await shared.settle(there, actuals))
        await shared.close()

    asyncio.run(play())


async def test_two_gateways_at_once_take_no_more_than_there_is() -> None:
    prefix = secrets.token_hex(6)
    gateways = [SharedCounters(redis_address(), prefix=prefix) for _ in range(2)]
    asks = [BudgetAsk("money", 1, 100, FAR), RateAsk("rate", HOUR // 300, HOUR), LeaseAsk("place", 200, HOUR)]
    found = await asyncio.gather(*[gateways[number % 2].admit(asks) for number in range(500)])
    grants = [each for each in found if isinstance(each, Grant)]
    assert len(grants) == 100
    assert {each.index for each in found if isinstance(each, Refusal)} == {0}
    # Settled twice, once by each, as after a broken connection: the second changes nothing.
    await asyncio.gather(*[gateway.settle(grant, [0, 0, 0]) for grant in grants for gateway in gateways])
    found = await asyncio.gather(*[gateways[number % 2].admit(asks) for number in range(500)])
    assert sum(isinstance(each, Grant) for each in found) == 100
    for gateway in gateways:
        await gateway.close()


async def test_a_guess_is_let_through_by_one_of_two_gateways() -> None:
    prefix = secrets.token_hex(6)
    gateways = [SharedCounters(redis_address(), prefix=prefix) for _ in range(2)]
    guess = BudgetAsk("money", 500, 100, FAR, 1)
    found = await asyncio.gather(*[gateways[number % 2].admit([guess]) for number in range(50)])
    (granted,) = [each for each in found if isinstance(each, Grant)]
    assert granted.asks[0].amount == 100
    await gateways[0].settle(granted, [0])
    # Where an app leaves before it is answered, just what was taken is given back.
    leaving = asyncio.create_task(gateways[0].admit([guess]))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    async def free() -> bool:
        return isinstance(await gateways[1].admit([BudgetAsk("money", 100, 100, FAR)]), Grant)

    await eventually(free)
    for gateway in gateways:
        await gateway.close()


async def test_what_a_gateway_that_died_had_reserved_counts_as_spent() -> None:
    clock = Clock()
    counters = SharedCounters(redis_address(), prefix=secrets.token_hex(6), clock=clock)
    ask = BudgetAsk("money", 60, 100, FAR, lifetime=HOUR)
    lost = await counters.admit([ask])
    assert isinstance(lost, Grant)
    assert await counters.admit([ask]) == Refusal(0, 0, 60, 0)
    clock.now += HOUR // 2
    small = await counters.admit([BudgetAsk("money", 10, 100, FAR, lifetime=HOUR)])
    assert isinstance(small, Grant)
    assert list(await counters.settle(small, [10])) == [10]
    clock.now += HOUR
    assert await counters.admit([ask]) == Refusal(0, 0, 70, 10), "something was granted within the hour"
    clock.now += SECOND
    assert await counters.admit([ask]) == Refusal(0, 0, 70, 70)
    rest = await counters.admit([BudgetAsk("money", 60, 100, FAR, 1, HOUR)])
    assert isinstance(rest, Grant)
    assert rest.asks[0].amount == 30
    assert list(await counters.settle(rest, [5])) == [75]
    # It was not dead: what it used after all takes the place of what it had reserved.
    assert list(await counters.settle(lost, [20])) == [35]
    assert await counters.admit([BudgetAsk("money", 66, 100, FAR)]) == Refusal(0, 0, 35, 35)
    await counters.close()


async def test_what_was_taken_for_an_app_that_left_is_given_back() -> None:
    counters = SharedCounters(redis_address(), prefix=secrets.token_hex(6))
    ask = LeaseAsk("place", 1, HOUR)
    await counters.admit([LeaseAsk("another", 1, HOUR)])
    leaving = asyncio.create_task(counters.admit([ask]))
    await asyncio.sleep(0)  # it has asked, and is not answered yet
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    async def free() -> bool:
        return isinstance(await counters.admit([ask]), Grant)

    await eventually(free)
    await counters.close()


class Server:
    """A Redis of this test's own, to be stopped and started."""

    def __init__(self, folder: Path, port: int) -> None:
        self.address = f"redis://127.0.0.1:{port}/0"
        self._command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def tell(self, *words: str) -> None:
        port = self._command[2]
        subprocess.run(["redis-cli", "-p", port, *words], check=True, capture_output=True)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    redis_address()  # skips where tests may have none
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with reserved_port() as port:
        own = Server(tmp_path, port)
        own.start()
        yield own
        own.stop()


async def test_a_settlement_waits_for_the_server_to_come_back(server: Server) -> None:
    counters = SharedCounters(server.address)
    ask = BudgetAsk("money", 70, 100, FAR)

    async def grant() -> Grant | None:
        try:
            found = await counters.admit([ask])
        except Unavailable:
            return None
        assert isinstance(found, Grant)
        return found

    granted = await eventually(grant)
    server.stop()
    with pytest.raises(Unavailable, match="can't be reached") as refused:
        await counters.admit([ask])
    assert refused.value.reason == "counters_down"
    with pytest.raises(Unavailable):
        await counters.settle(granted, [30])
    server.start()
    assert await eventually(grant)  # 70 more: of the first only the 30 that were used are left
    assert await counters.admit([ask]) == Refusal(0, 0, 100, 30)
    await counters.close()


async def test_a_connection_that_breaks_is_made_again_and_its_calls_are_asked_again(server: Server) -> None:
    counters = SharedCounters(server.address)

    async def taken() -> Grant | Refusal | None:
        try:
            return await counters.admit([RateAsk("rate", 1, 10**15)])
        except Unavailable:
            return None

    await eventually(taken)
    for round_ in range(5):
        calls = [asyncio.create_task(counters.admit([BudgetAsk("money", 1, 1000, FAR)])) for _ in range(20)]
        if round_ % 2:
            await asyncio.sleep(0)  # they are on their way
        server.tell("client", "kill", "type", "normal")
        assert all(isinstance(found, Grant) for found in await asyncio.gather(*calls))
    last = await counters.admit([BudgetAsk("money", 0, 1000, FAR)])
    assert isinstance(last, Grant)
    assert list(last.levels) == [100], "what was asked twice counts once"
    await counters.close()


async def test_a_server_that_says_nothing_is_waited_for_a_second(server: Server) -> None:
    counters = SharedCounters(server.address)
    ask = RateAsk("rate", 1, 10**15)

    async def taken() -> Grant | Refusal | None:
        try:
            return await counters.admit([ask])
        except Unavailable:
            return None

    await eventually(taken)
    server.tell("client", "pause", "3000")
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="no answer within 1 s"):
        await counters.admit([ask])
    assert 0.9 < asyncio.get_running_loop().time() - began < 2.5
    with pytest.raises(Unavailable):  # and for a moment nobody is asked
        await counters.admit([ask])
    assert asyncio.get_running_loop().time() - began < 2.5
    server.tell("client", "unpause")
    assert await eventually(taken)
    await counters.close()
