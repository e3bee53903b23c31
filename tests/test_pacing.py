"""So many a second by name, in bounded memory; and challenges, which are handed out at such a pace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import RunningGateway, eventually
from tests.test_challenges import browsing

from ratchet.domain.spans import Event
from ratchet.gateway.pacing import Pacing

SECOND = 10**9


@given(
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.sampled_from("ab")), max_size=200),
    st.integers(1, 10),
    st.sampled_from((0.5, 1.0, 4.0)),
)
def test_never_more_than_the_rate_and_never_less(
    steps: list[tuple[int, str]], burst: int, scale: float
) -> None:
    """In any stretch of time no more than the burst and what has come in since; and whoever waits as long as told
    gets one."""
    pacing = Pacing(interval=SECOND, room=burst * SECOND, most=10)
    one, now = SECOND / scale, 0
    taken: dict[str, list[int]] = {"a": [], "b": []}
    for pause, name in steps:
        now += pause
        wait = pacing.wait(name, now, scale)
        if wait and scale * burst >= 1:
            assert pacing.wait(name, now + wait - 1, scale) > 0, "told too long"
            now += wait
            assert pacing.wait(name, now, scale) == 0, "told too short"
            wait = 0
        if not wait:
            taken[name].append(now)
    for moments in taken.values():
        for first in range(len(moments)):
            for last in range(first, len(moments)):
                allowed = (moments[last] - moments[first] + burst * SECOND) / one
                assert last - first + 1 <= allowed + 1e-6


def test_memory_is_bounded_and_whoever_keeps_asking_is_remembered() -> None:
    pacing = Pacing(interval=SECOND, room=2 * SECOND, most=100)
    for _ in range(2):
        assert pacing.wait("greedy", 0) == 0
    for number in range(10_000):
        assert pacing.wait(f"other-{number}", 0) == 0
        assert pacing.wait("greedy", 0) == SECOND
    assert len(pacing._due) == 100


@pytest.fixture
async def browser(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with browsing(gateway) as client:
        yield client


async def test_an_address_gets_no_more_challenges_than_it_can_use(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    now = 10**18
    gateway.services.clock = lambda: now
    for _ in range(60):
        assert (await browser.get("/v1/challenge")).status_code == 200
    now += SECOND // 4
    refused = await browser.get("/v1/challenge")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "challenge_limited"
    assert refused.headers["access-control-allow-origin"]
    now += SECOND * 3 // 4
    assert (await browser.get("/v1/challenge")).status_code == 200
    assert (await browser.get("/v1/challenge")).status_code == 429
    now += 30 * SECOND
    assert [(await browser.get("/v1/challenge")).status_code for _ in range(31)] == [200] * 30 + [429]
    events = [each for each in gateway.recorded() if isinstance(each, Event)]
    assert [(each.kind, each.attributes["ip"]) for each in events] == [("limit.hit", "127.0.0.1")]


async def test_servers_and_other_addresses_are_not_held_up(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    gateway.services.clock = lambda: 10**18
    found = [(await browser.get("/v1/challenge")).status_code for _ in range(61)]
    assert found[-1] == 429
    server = {"authorization": f"Bearer {gateway.key}"}
    named = await browser.get("/v1/challenge", headers=server, params={"key": "web", "user": "ada"})
    assert named.status_code == 200
    (gateway.config).write_text(gateway.config.read_text() + '[gateway]\ntrusted_proxies = ["127.0.0.0/8"]\n')
    await eventually(lambda: gateway.services.snapshot.trusted_proxies)
    for line, status in (("2001:db8::1", 200), ("2001:db8:0:0:9::7", 200), ("192.0.2.7", 200)):
        answer = await browser.get("/v1/challenge", headers={"x-forwarded-for": line})
        assert answer.status_code == status
    for _ in range(58):
        await browser.get("/v1/challenge", headers={"x-forwarded-for": "2001:db8::2"})
    limited = await browser.get("/v1/challenge", headers={"x-forwarded-for": "2001:db8::3"})
    assert limited.status_code == 429, "of IPv6 the /64 counts"
    assert "2001:db8::/64" in limited.json()["error"]["message"]
