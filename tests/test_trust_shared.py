"""Trust and crowds of two gateways that share a Redis."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.conftest import redis_address

from ratchet.gateway.telling.notices import Notices
from ratchet.gateway.trust.book import Subject, TrustBook
from ratchet.gateway.trust.core import Prior
from ratchet.gateway.trust.crowds import Crowds
from ratchet.store.counters.shared import SharedCounters

WEEK = 7 * 86_400 * 10**9
USER, SOURCE = Subject("default", "user", "ada"), Subject("default", "ip", "203.0.113.7")


class Gateway:
    """What of a gateway trust needs. Its clock may be moved on, so that what it knows is no longer fresh."""

    def __init__(self, address: str, prefix: str) -> None:
        self.counters = SharedCounters(address, prefix=prefix)
        self.ahead = 0
        self.events: list[Any] = []
        ids = itertools.count()
        notices = Notices(self.events.append, self.now, lambda: str(next(ids)))
        self.book = TrustBook(self.counters, notices, self.now)
        self.crowds = Crowds(self.counters, self.now)

    def now(self) -> int:
        return time.time_ns() + self.ahead

    async def trust(self) -> float:
        return (await self.book.known(USER, Prior(), WEEK)).trust


@pytest.fixture
async def gateways() -> AsyncIterator[tuple[Gateway, Gateway]]:
    address, prefix = redis_address(), f"test-{secrets.token_hex(6)}"
    both = Gateway(address, prefix), Gateway(address, prefix)
    yield both
    for each in both:
        await each.counters.close()


async def test_what_one_gateway_learns_the_other_knows(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    assert await one.trust() == await two.trust() == pytest.approx(0.8)
    one.book.note(USER, "limit_hit", 10, half_life=WEEK)
    two.book.note(USER, "limit_hit", 10, half_life=WEEK)
    await one.book.flush()
    await two.book.flush()
    assert await two.trust() == pytest.approx(8 / 30, abs=0.001)
    one.ahead = 5 * 10**9
    assert await one.trust() == pytest.approx(8 / 30, abs=0.001)
    assert any("fell from good to low" in event.message for event in one.events + two.events)


async def test_accounts_are_counted_over_all_gateways(gateways: tuple[Gateway, Gateway]) -> None:
    one, two = gateways
    counts = [
        await gateway.crowds.note(SOURCE, f"user-{number}", WEEK)
        for number, gateway in enumerate((one, two, one, two))
    ]
    assert counts == [1, 2, 3, 4]
    assert await two.crowds.note(SOURCE, "user-0", WEEK) == 4  # new to this gateway, and not to the counters
    assert await two.crowds.note(SOURCE, "user-0", WEEK) is None
