"""Trust as a number, and who is in which segment: pure."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ratchet.domain.access import Key
from ratchet.errors import (
    InvalidRequest,
    Misconfigured,
    RatchetError,
    RateLimited,
    Unavailable,
    UpstreamFailed,
)
from ratchet.gateway.caller import Caller
from ratchet.gateway.standing import placing
from ratchet.gateway.telling.notices import Notices
from ratchet.gateway.trust.book import Subject, TrustBook
from ratchet.gateway.trust.core import EVIDENCE, Prior, level_of, scale_of, source_share, trust_of, work_of
from ratchet.gateway.trust.crowds import Crowds
from ratchet.gateway.trust.segments import Segments
from ratchet.gateway.trust.settings import SegmentSettings
from ratchet.store.counters import MemoryCounters

SECOND = 10**9
DAY = 86_400 * SECOND
KNOWN, NEW = Prior(), Prior(untrusted=True, ripens_after=3 * DAY)
sums = st.floats(0, 1e6)
ages = st.integers(0, 1000 * DAY)
priors = st.sampled_from([KNOWN, NEW])
WEEK = 7 * DAY
USER = Subject("default", "user", "ada")


def test_everybody_begins_where_their_segment_says() -> None:
    assert trust_of(0, 0, 0, KNOWN) == pytest.approx(0.8)
    assert trust_of(0, 0, 0, NEW) == pytest.approx(0.2)
    assert scale_of(trust_of(0, 0, 0, KNOWN), 0.1, 1.0) == pytest.approx(1.0)
    assert scale_of(trust_of(0, 0, 0, NEW), 0.1, 1.0) == pytest.approx(0.325)


def test_age_alone_makes_a_known_face() -> None:
    grown = [trust_of(0, 0, day * DAY, NEW) for day in range(5)]
    assert grown == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])


def test_trust_can_not_be_bought_in_an_hour() -> None:
    assert trust_of(1e6, 0, 0, NEW) == trust_of(0, 0, 0, NEW)
    assert trust_of(50, 0, DAY, NEW) > trust_of(0, 0, DAY, NEW)


@given(sums, sums, ages, priors)
def test_trust_is_a_share(good: float, bad: float, age: int, prior: Prior) -> None:
    assert 0 <= trust_of(good, bad, age, prior) <= 1


@given(sums, sums, ages, priors, sums)
def test_good_never_lowers_and_bad_never_raises_it(
    good: float, bad: float, age: int, prior: Prior, more: float
) -> None:
    before = trust_of(good, bad, age, prior)
    assert trust_of(good + more, bad, age, prior) >= before - 1e-12
    assert trust_of(good, bad + more, age, prior) <= before + 1e-12


@given(st.floats(0, 1), st.floats(0.001, 1), st.floats(1, 1000))
def test_a_scale_stays_within_its_bounds(trust: float, least: float, most: float) -> None:
    assert least - 1e-9 <= scale_of(trust, least, most) <= most + 1e-9


def test_work_doubles_with_each_tenth_below_a_half() -> None:
    assert [work_of(trust) for trust in (1.0, 0.5, 0.4, 0.2, 0.0)] == pytest.approx([1, 1, 2, 8, 32])


def test_levels_and_sources() -> None:
    assert [level_of(trust) for trust in (0.8, 0.5, 0.1)] == ["good", "fair", "low"]
    assert (source_share(0), source_share(20)) == (1, 0.5)
    assert all(evidence.good or evidence.bad for evidence in EVIDENCE.values())


def test_an_abuser_shrinks_and_recovers() -> None:
    """Twenty limit hits; after five half-lives they hardly count."""
    assert trust_of(0, 20, 30 * DAY, KNOWN) == pytest.approx(8 / 30)
    assert trust_of(0, 20 / 2**5, 30 * DAY, KNOWN) > 0.75


def key(name: str) -> Key:
    return Key(
        id="1",
        project_id="default",
        name=name,
        prefix="",
        secret_hash="",
        routes=[],
        created=0,
        created_by="",
    )


def test_who_is_in_which_segment() -> None:
    segments = Segments(
        {
            "default": SegmentSettings(starts="untrusted", scale=[0.5, 2.0]),
            "pro": SegmentSettings(plans=["pro-monthly"], organisations=["acme"]),
            "staff": SegmentSettings(users=["ada"], keys=["backoffice"]),
        }
    )

    def placed(user: str = "", organisation: str = "", name: str = "app", **said: str) -> str:
        return segments.of(Caller(user=user, organisation=organisation), key(name), said).name

    assert placed() == placed("bob") == placed("bob", plan="unknown", segment="unknown") == "default"
    assert (
        placed("bob", plan="pro-monthly")
        == placed("bob", plan="pro")
        == placed("bob", segment="pro")
        == "pro"
    )
    assert placed("bob", "acme") == placed("bob", "acme", "backoffice") == "pro"
    assert placed("ada") == placed("ada", "acme", plan="pro") == placed("bob", name="backoffice") == "staff"
    assert segments.of(Caller(user="bob"), key("app"), None).prior.least == 0.5


def test_nobody_is_in_two_segments() -> None:
    with pytest.raises(
        Misconfigured, match=r"'ada' is in two segments: segments\.a\.users and segments\.b\.users"
    ):
        Segments({"a": SegmentSettings(users=["ada"]), "b": SegmentSettings(users=["ada"])})


@pytest.mark.parametrize(
    "wrong",
    [{"scale": [1.0, 0.5]}, {"scale": [0, 1]}, {"ripens_after": "soon"}, {"starts": "maybe"}, {"who": 1}],
)
def test_a_segment_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SegmentSettings.model_validate(wrong)


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.time


class Counting(MemoryCounters):
    """Counts how often it is asked, and can be out of reach."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.asked = 0
        self.down = False

    def _ask(self) -> None:
        self.asked += 1
        if self.down:
            raise Unavailable("down", "")

    async def tally(self, key: str, **options: Any) -> Any:
        self._ask()
        return await super().tally(key, **options)

    async def read_tally(self, key: str, **options: Any) -> Any:
        if self.down:
            raise Unavailable("down", "")
        return await super().read_tally(key, **options)

    async def note_member(self, key: str, member: str, *, keep: int) -> int:
        self._ask()
        return await super().note_member(key, member, keep=keep)


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.counters = Counting(self.clock)
        self.events: list[Any] = []
        ids = itertools.count()
        self.notices = Notices(self.events.append, self.clock, lambda: str(next(ids)))
        self.book = self.other()

    def other(self) -> TrustBook:
        """Another gateway's."""
        return TrustBook(self.counters, self.notices, self.clock)

    async def trust(self, book: TrustBook | None = None, prior: Prior = KNOWN) -> float:
        return (await (book or self.book).known(USER, prior, WEEK)).trust


async def test_the_counters_are_asked_every_five_seconds() -> None:
    bench = Bench()
    for _ in range(100):
        await bench.trust()
        bench.book.note(USER, "answered", half_life=WEEK)
    await bench.book.flush()
    assert bench.counters.asked == 1
    bench.clock.time += 4 * SECOND
    await bench.trust()
    assert bench.counters.asked == 1
    await bench.book.flush()
    assert bench.counters.asked == 2
    bench.clock.time += 5 * SECOND
    await bench.trust()
    assert bench.counters.asked == 3


async def test_bad_words_are_written_at_once_and_good_ones_soon_and_all_at_the_end() -> None:
    bench = Bench()
    await bench.trust()
    bench.book.note(USER, "answered", half_life=WEEK)
    await bench.book.flush()
    assert bench.counters.asked == 1
    bench.book.note(USER, "mistake", half_life=WEEK)
    await bench.book.flush()
    assert bench.counters.asked == 2
    bench.book.note(USER, "answered", half_life=WEEK)
    await bench.book.flush(everything=True)
    assert bench.counters.asked == 3


async def test_what_is_noted_counts_at_once_here_and_soon_elsewhere() -> None:
    bench = Bench()
    other = bench.other()
    assert await bench.trust() == await bench.trust(other) == pytest.approx(0.8)
    for _ in range(10):
        bench.book.note(USER, "limit_hit", half_life=WEEK)
    assert await bench.trust() == pytest.approx(0.4)
    assert await bench.trust(other) == pytest.approx(0.8)
    await bench.book.flush()
    bench.clock.time += 5 * SECOND
    assert await bench.trust(other) == pytest.approx(0.4, abs=0.001)


async def test_looking_leaves_nothing_behind() -> None:
    bench = Bench()
    assert await bench.book.look(USER, NEW, WEEK) == pytest.approx((0.2, 0))
    bench.clock.time += DAY
    assert await bench.book.look(USER, NEW, WEEK) == pytest.approx((0.2, 0))  # nobody has been here yet
    assert bench.counters.asked == 0
    bench.book.note(USER, "limit_hit", 10, half_life=WEEK)
    await bench.book.flush()
    assert await bench.book.look(USER, KNOWN, WEEK) == pytest.approx((0.4, 10))
    assert await bench.other().look(USER, KNOWN, WEEK) == pytest.approx((0.4, 10))
    bench.counters.down = True
    assert await bench.other().look(Subject("default", "user", "bob"), KNOWN, WEEK) == pytest.approx((0.8, 0))


async def test_without_counters_what_is_known_stays() -> None:
    bench = Bench()
    await bench.trust()
    bench.counters.down = True
    bench.book.note(USER, "limit_hit", 10, half_life=WEEK)
    bench.clock.time += 5 * SECOND
    assert await bench.trust() == pytest.approx(0.4)
    await bench.book.flush()
    bench.counters.down = False
    await bench.book.flush()
    assert await bench.trust(bench.other()) == pytest.approx(0.4, abs=0.001)


async def test_a_new_face_grows_with_age() -> None:
    bench = Bench()
    seen: list[float] = []
    for _ in range(4):
        seen.append(await bench.trust(prior=NEW))
        bench.clock.time += DAY
        await bench.book.flush()  # forgets who has been away for a minute; the counters don't
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8])


async def test_people_see_why_trust_changes() -> None:
    bench = Bench()
    await bench.trust()
    bench.book.note(USER, "limit_hit", half_life=WEEK)
    await bench.book.flush()
    assert bench.events == []
    for _ in range(12):
        bench.book.note(USER, "limit_hit", half_life=WEEK)
    bench.book.note(USER, "mistake", half_life=WEEK)
    await bench.book.flush()
    (event,) = bench.events
    assert (event.kind, event.subject, event.severity) == ("trust.changed", "ada", "warning")
    assert event.message == (
        "Trust in the user 'ada' fell from good to low: limits hit (13), "
        "requests that could not be read or served (1)."
    )
    bench.clock.time += 10 * WEEK
    await bench.trust()
    bench.notices.flush()
    assert "rose from low to good" in bench.events[1].message


NEWCOMERS = Prior(untrusted=True, ripens_after=3 * DAY, segment="default")
PRO = Prior(segment="pro")


async def test_a_change_of_segment_is_told_as_the_reason() -> None:
    bench = Bench()
    await bench.trust(prior=NEWCOMERS)
    for _ in range(2):
        bench.book.note(USER, "answered", half_life=WEEK)
    bench.clock.time += 5 * SECOND
    await bench.trust(prior=PRO)
    (event,) = bench.events
    assert event.message == (
        "Trust in the user 'ada' rose from low to good: in the segment 'pro' now, and in 'default' before."
    )
    for _ in range(13):
        bench.book.note(USER, "limit_hit", half_life=WEEK)
    bench.clock.time += 5 * SECOND
    await bench.trust(prior=NEWCOMERS)
    assert bench.events[1].message == (
        "Trust in the user 'ada' fell from good to low: in the segment 'default' now, and in 'pro' before, limits hit "
        "(13)."
    )


async def test_a_segment_that_is_changed_is_told_as_the_reason_and_one_that_is_read_again_is_none() -> None:
    bench = Bench()
    await bench.trust(prior=PRO)
    bench.clock.time += 5 * SECOND
    await bench.trust(prior=Prior(segment="pro"))
    assert bench.events == []
    bench.clock.time += 5 * SECOND
    await bench.trust(prior=Prior(untrusted=True, ripens_after=DAY, segment="pro"))
    assert "fell from good to low: the segment 'pro' was changed." in bench.events[0].message


async def test_who_ripens_is_known_for_longer() -> None:
    bench = Bench()
    await bench.trust(prior=NEWCOMERS)
    bench.book.note(USER, "answered", half_life=WEEK)
    for _ in range(30):
        bench.clock.time += DAY // 10
        await bench.trust(prior=NEWCOMERS)
    bench.notices.flush()
    assert [each.message.partition("rose ")[2] for each in bench.events] == [
        "from low to fair: known for longer.",
        "from fair to good: known for longer.",
    ]


async def test_what_another_gateway_saw_is_no_reason_of_this_ones() -> None:
    bench = Bench()
    other = bench.other()
    await bench.trust()
    bench.book.note(USER, "mistake", half_life=WEEK)
    other.note(USER, "blamed", 0.9, half_life=WEEK)
    await other.flush()
    bench.clock.time += 5 * SECOND
    await bench.trust()
    assert "fell from good to fair: what other gateways have seen." in bench.events[0].message
    other.note(USER, "limit_hit", half_life=WEEK)
    await other.flush()
    bench.book.note(USER, "limit_hit", half_life=WEEK)
    bench.clock.time += 5 * SECOND
    await bench.trust()
    bench.notices.flush(everything=True)
    assert "fell from fair to low: limits hit (1), what other gateways have seen." in bench.events[1].message


async def test_nothing_is_told_of_somebody_whose_segment_is_not_known() -> None:
    bench = Bench()
    for _ in range(2):
        bench.book.note(USER, "praised", 0.1, half_life=WEEK)
        bench.clock.time += 5 * SECOND
        await bench.book.flush()
    assert await bench.trust(prior=NEWCOMERS) == pytest.approx(0.2, abs=0.01)
    bench.clock.time += 5 * SECOND
    await bench.trust(prior=NEWCOMERS)
    assert bench.events == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "answered"),
        (RateLimited("", "", retry_after=1), "limit_hit"),
        (RateLimited("", "", retry_after=1, code="queue_full"), ""),
        (RateLimited("", "", retry_after=1, code="upstream_rate_limited"), ""),
        (InvalidRequest("", ""), "mistake"),
        (UpstreamFailed("", ""), ""),
    ],
)
def test_what_a_request_says_of_who_sent_it(error: RatchetError | None, said: str) -> None:
    assert placing._event(error) == said


async def test_many_accounts_behind_one_source_are_counted_once_each() -> None:
    bench = Bench()
    crowds = Crowds(bench.counters, bench.clock)
    source = Subject("default", "ip", "1.2.3.4")
    assert [await crowds.note(source, f"user-{number}", DAY) for number in range(3)] == [1, 2, 3]
    assert await crowds.note(source, "user-1", DAY) is None
    assert bench.counters.asked == 3
    bench.counters.down = True
    assert await crowds.note(source, "user-9", DAY) is None
    bench.counters.down = False
    assert await crowds.note(source, "user-9", DAY) == 4
