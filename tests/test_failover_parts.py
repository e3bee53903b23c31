"""What failing over is made of: paces, queues, plans, and what providers say of when to come back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import RateLimited
from ratchet.gateway.answering.waiting import told_delay
from ratchet.gateway.choosing import Candidate, Plan, candidates
from ratchet.gateway.snapshot import Route, Target
from ratchet.gateway.upstream.circuits import Circuit, Pace
from ratchet.gateway.upstream.failures import CONDUCT, Failure, failure_of_error, failure_of_status
from ratchet.gateway.upstream.queueing import FairQueue

NOW = 1_700_000_000 * 10**9


def target(name: str, **fields: Any) -> Target:
    made = Circuit(name, "", chance=lambda: 0.5, on_change=lambda _circuit, _change, _why: None)
    return Target(provider=None, model=name, name=name, circuits=(made,), pace=Pace(), **fields)  # type: ignore[arg-type]


def route(*targets: Target, **fields: Any) -> Route:
    return Route("r", targets, (), **fields)


# -- paces ---------------------------------------------------------------------------------------------------------


def test_a_pace_takes_a_slower_answer_at_once_and_forgets_it_slowly() -> None:
    pace = Pace()
    assert pace.load() == 0.0, "who was never asked is tried"
    pace.answered(0.1, 0.0, stream=False)
    pace.answered(2.0, 1.0, stream=False)
    assert pace.load() == 2.0
    pace.answered(0.1, 2.0, stream=False)
    assert 1.7 < pace.load() < 2.0
    pace.answered(0.1, 60.0, stream=False)
    assert pace.load() < 0.2
    pace.in_flight = 3
    assert pace.load() == pytest.approx(4 * 0.1, rel=0.3)


def test_a_quantile_needs_answers_of_its_kind() -> None:
    pace = Pace()
    for number in range(1, 20):
        pace.answered(number / 100, 0.0, stream=True)
    assert pace.quantile(0.95, stream=True) is None
    pace.answered(0.20, 0.0, stream=True)
    assert pace.quantile(0.95, stream=True) == 0.19
    assert pace.quantile(0.95, stream=False) is None


# -- who is asked first --------------------------------------------------------------------------------------------


def first_of(made: Route, seed: int, session: str = "") -> str:
    return candidates(made, 0.0, random.Random(seed).random, session)[0].target.name


def test_weights_are_shares() -> None:
    made = route(target("a", weight=3.0), target("b", weight=1.0), target("c", weight=0.0), choose="weighted")
    counts = Counter(first_of(made, seed) for seed in range(4000))
    assert counts["c"] == 0
    # 4,000 draws with p = 0.75: six standard errors are 0.041
    assert abs(counts["a"] / 4000 - 0.75) < 0.041


def test_a_session_stays_and_sessions_follow_the_weights() -> None:
    made = route(target("a", weight=3.0), target("b", weight=1.0), choose="weighted", sticky=True)
    assert len({first_of(made, seed, "chat-7") for seed in range(50)}) == 1
    counts = Counter(first_of(made, 1, f"chat-{number}") for number in range(4000))
    assert abs(counts["a"] / 4000 - 0.75) < 0.041
    # Without the one it drew, a session goes to another, and the others' sessions stay where they are.
    alone = route(made.targets[1], choose="weighted", sticky=True)
    moved = [n for n in range(200) if first_of(made, 1, f"chat-{n}") == "b"]
    assert all(first_of(alone, 1, f"chat-{n}") == "b" for n in moved)


def test_the_quicker_of_two_is_first_and_the_slowest_never() -> None:
    targets = [target(name) for name in "abc"]
    for made, seconds in zip(targets, (0.1, 0.5, 3.0), strict=True):
        made.pace.answered(seconds, 0.0, stream=False)
    counts = Counter(first_of(route(*targets, choose="fastest"), seed) for seed in range(3000))
    assert counts["c"] == 0, "of any two it is the slower"
    assert abs(counts["a"] / 3000 - 2 / 3) < 0.06
    targets[0].pace.in_flight = 50
    assert first_of(route(*targets[:2], choose="fastest"), 1) == "b"


def test_the_cheapest_that_is_well() -> None:
    cheap, dear = target("cheap"), target("dear")
    made = route(dear, cheap, choose="cheapest", by_price=(cheap, dear))
    assert first_of(made, 1) == "cheap"
    for _ in range(5):
        cheap.circuits[0].failed(0.0, "down", cheap.circuits[0].begin())
    plan = Plan(candidates(made, 0.0, random.Random(1).random, ""), route=made, chance=lambda: 0.5)
    chosen = plan.next(0.0)
    assert chosen is not None
    assert chosen[0].target.name == "dear"


def test_a_refused_credential_comes_last() -> None:
    circuits = tuple(
        Circuit("t", name, chance=lambda: 0.5, on_change=lambda *_: None) for name in ("A", "B", "C")
    )
    made = Target(None, "t", "t", circuits, Pace())  # type: ignore[arg-type]
    circuits[0].refused(0.0, "401")
    for seed in range(20):
        order = candidates(route(made), 1.0, random.Random(seed).random, "")
        assert order[-1].credential == 0
        assert sorted(each.credential for each in order) == [0, 1, 2]


# -- plans ---------------------------------------------------------------------------------------------------------


def plan_of(*targets: Target, **fields: Any) -> tuple[Plan, list[Candidate]]:
    made = route(*targets, **fields)
    found = candidates(made, 0.0, lambda: 0.5, "")
    return Plan(list(found), route=made, chance=lambda: 1.0), found


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_has_its_conduct_and_plans_follow_it(failure: Failure) -> None:
    plan, (a, b) = plan_of(target("a", context_window=10), target("b", context_window=20))
    plan.begun(a)
    plan.failed(a, failure, 0.0, None)
    chosen = plan.next(0.0)
    conduct = CONDUCT[failure]
    if conduct.then in ("nobody", "if_asked"):
        assert chosen is None
        return
    assert chosen is not None
    assert chosen[0] is b
    assert (chosen[1] > 0) == (conduct.wait == "backoff")
    plan.begun(b)
    plan.failed(b, failure, 0.0, None)
    again = plan.next(0.0)
    assert (again is not None and again[0] is a) == conduct.again


def test_too_long_a_request_goes_to_those_who_read_more() -> None:
    plan, found = plan_of(*(target(str(size), context_window=size) for size in (10, 5, 10, 40)))
    plan.begun(found[0])
    plan.failed(found[0], Failure.TOO_LONG, 0.0, None)
    chosen = plan.next(0.0)
    assert chosen is not None
    assert chosen[0].target.name == "40"
    plan.begun(chosen[0])
    plan.failed(chosen[0], Failure.TOO_LONG, 0.0, None)
    assert plan.next(0.0) is None


def test_backoff_doubles_and_is_bounded() -> None:
    plan, (only,) = plan_of(target("a"), attempts=20)
    waits = []
    for _ in range(10):
        plan.begun(only)
        plan.failed(only, Failure.BROKEN, 0.0, None)
        chosen = plan.next(0.0)
        assert chosen is not None
        waits.append(chosen[1])
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0]


def test_attempts_are_bounded() -> None:
    plan, (only,) = plan_of(target("a"), attempts=3)
    for _ in range(3):
        chosen = plan.next(0.0)
        assert chosen is not None
        plan.begun(only)
        plan.failed(only, Failure.SLOW, 0.0, None)
    assert plan.next(0.0) is None


def test_a_provider_is_left_alone_as_long_as_it_asks() -> None:
    plan, (a, b) = plan_of(target("a"), target("b"), attempts=9)
    for each, told in ((a, 7.0), (b, 3.0)):
        plan.begun(each)
        plan.failed(each, Failure.RATE_LIMITED, 0.0, told)
    assert plan.next(0.0) == (b, 3.0)
    assert plan.next(5.0) == (b, 5.0)


def test_with_refusals_gone_around_the_next_target_is_asked() -> None:
    plan, (a, b) = plan_of(target("a"), target("b"), around_refusals=True)
    plan.begun(a)
    plan.failed(a, Failure.REFUSED, 0.0, None)
    assert plan.next(0.0) == (b, 0.0)


# -- what providers say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"7"}, 7.0),
        ({b"retry-after": b"0.5"}, 0.5),
        ({b"retry-after-ms": b"250", b"retry-after": b"9"}, 0.25),
        ({b"retry-after": b"Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({b"retry-after": b"Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({b"x-ratelimit-remaining-requests": b"0", b"x-ratelimit-reset-requests": b"1m30s"}, 90.0),
        ({b"x-ratelimit-remaining-tokens": b"0", b"x-ratelimit-reset-tokens": b"20ms"}, 0.02),
        ({b"x-ratelimit-remaining-tokens": b"5", b"x-ratelimit-reset-tokens": b"20s"}, None),
        (
            {
                b"anthropic-ratelimit-tokens-remaining": b"0",
                b"anthropic-ratelimit-tokens-reset": b"2023-11-14T22:13:25Z",
            },
            5.0,
        ),
        ({b"retry-after": b"soon"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[bytes, bytes], seconds: float | None) -> None:
    told = told_delay(headers, NOW)
    assert told == seconds if seconds is None else told == pytest.approx(seconds)


@given(
    st.dictionaries(
        st.sampled_from([b"retry-after", b"retry-after-ms", b"x-ratelimit-reset-tokens"]), st.binary()
    )
)
def test_no_header_breaks_it(headers: dict[bytes, bytes]) -> None:
    told = told_delay({**headers, b"x-ratelimit-remaining-tokens": b"0"}, NOW)
    assert told is None or told >= 0


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (401, b"", Failure.CREDENTIAL),
        (429, b"{}", Failure.RATE_LIMITED),
        (429, b'{"error":{"code":"insufficient_quota"}}', Failure.CREDENTIAL),
        (400, b'{"error":{"message":"prompt is too long: 9 tokens > 5 maximum"}}', Failure.TOO_LONG),
        (400, b'{"error":{"message":"The input token count (9) exceeds the maximum number of tokens allowed (5)."}}', Failure.TOO_LONG),
        (400, b'{"error":{"message":"x","code":"content_filter"}}', Failure.REFUSED),
        (400, b"no", Failure.CALLER),
        (404, b"", Failure.MISSING),
        (307, b"", Failure.MISSING),
        (408, b"", Failure.BROKEN),
        (500, b"", Failure.BROKEN),
        (599, b"", Failure.BROKEN),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, body: bytes, failure: Failure) -> None:
    assert failure_of_status(status, body) is failure


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
    )
)
def test_any_error_object_means_something(error: Any) -> None:
    assert failure_of_error(error) in Failure


# -- queues --------------------------------------------------------------------------------------------------------


async def test_a_queue_is_fair_among_keys_and_classes_go_first() -> None:
    line = FairQueue("it", 1, 100, clock=lambda: 0.0)
    entered = await line.enter("x", 1, 60)
    order: list[str] = []

    async def ask(name: str, key: str, priority: int) -> None:
        moment = await line.enter(key, priority, 60)
        order.append(name)
        line.leave(moment)

    async with asyncio.TaskGroup() as tasks:
        for name, key, priority in [
            ("greedy 1", "greedy", 1),
            ("greedy 2", "greedy", 1),
            ("greedy 3", "greedy", 1),
            ("modest", "modest", 1),
            ("urgent", "urgent", 0),
            ("idle", "idle", 2),
        ]:
            tasks.create_task(ask(name, key, priority))
        await asyncio.sleep(0)
        assert line.waiting == 6
        line.leave(entered)
    assert order == ["urgent", "greedy 1", "modest", "greedy 2", "greedy 3", "idle"]
    assert (line.held, line.waiting) == (0, 0)


async def test_a_full_queue_says_when_to_come_back() -> None:
    moment = 0.0
    line = FairQueue("it", 2, 1, clock=lambda: moment)
    held = [await line.enter("a", 1, 60), await line.enter("a", 1, 60)]
    waiting = asyncio.create_task(line.enter("a", 1, 60))
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as full:
        await line.enter("b", 1, 60)
    assert full.value.retry_after == 1.0
    moment = 100.0
    for each in held:
        line.leave(each)
    await waiting
    again = await line.enter("a", 1, 60)
    blocked = asyncio.create_task(line.enter("a", 1, 60))
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as slow:
        await line.enter("b", 1, 60)
    assert slow.value.retry_after is not None
    assert slow.value.retry_after > 30, "requests took 100 s lately"
    line.leave(again)
    await blocked


async def test_who_leaves_a_queue_takes_no_place() -> None:
    line = FairQueue("it", 1, 10, clock=lambda: 0.0)
    held = await line.enter("a", 1, 60)
    gone, stays = (asyncio.create_task(line.enter("a", 1, 60)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    line.leave(held)
    await asyncio.wait_for(stays, 1)
    assert (line.held, line.waiting) == (1, 0)
    # One that is cancelled in the very moment in which it gets its place passes it on.
    late = asyncio.create_task(line.enter("a", 1, 60))
    after = asyncio.create_task(line.enter("a", 1, 60))
    await asyncio.sleep(0)
    line.leave(0.0)
    late.cancel()
    await asyncio.wait_for(after, 1)
    assert (line.held, line.waiting) == (1, 0)
