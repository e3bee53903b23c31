"""Storms of the same event become one at once and a count every ten seconds."""

from __future__ import annotations

import itertools

from ratchet.domain.spans import Event
from ratchet.errors import Unavailable
from ratchet.gateway.telling.notices import Notices

SECOND = 10**9


class Desk:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now = 100 * SECOND
        self.full = False
        ids = itertools.count()
        self.notices = Notices(self.record, lambda: self.now, lambda: f"{next(ids)}")

    def record(self, event: Event) -> None:
        if self.full:
            raise Unavailable("full", "")
        self.events.append(event)

    def told(self) -> list[tuple[str, str, str]]:
        return [(event.subject, event.message, event.attributes["count"]) for event in self.events]


def test_the_first_is_told_at_once_and_the_rest_counted() -> None:
    desk = Desk()
    for _ in range(100):
        desk.notices.tell("limit.hit", "a", "too much", attributes={"rule": "x"})
    desk.notices.tell("limit.hit", "b", "too much")
    assert desk.told() == [("a", "too much", "1"), ("b", "too much", "1")]
    desk.now += 9 * SECOND
    desk.notices.flush()
    assert len(desk.events) == 2
    desk.now += SECOND
    desk.notices.flush()
    assert desk.told()[2:] == [("a", "too much", "99")]
    assert desk.events[2].attributes == {"rule": "x", "count": "99"}
    assert desk.events[2].time == desk.now
    desk.now += 10 * SECOND
    desk.notices.flush()
    desk.notices.tell("limit.hit", "a", "too much")  # a new storm
    assert desk.told()[3:] == [("a", "too much", "1")]
    assert len({event.event_id for event in desk.events}) == 4


def test_good_news_and_bad_are_counted_apart() -> None:
    desk = Desk()
    for number in range(3):
        desk.notices.tell("trust.changed", "a", f"rose {number}", severity="info")
        desk.notices.tell("trust.changed", "a", f"fell {number}")
    desk.notices.flush(everything=True)
    assert desk.told() == [
        ("a", "rose 0", "1"),
        ("a", "fell 0", "1"),
        ("a", "rose 2", "2"),
        ("a", "fell 2", "2"),
    ]


def test_what_a_full_spool_refuses_is_told_later() -> None:
    desk = Desk()
    desk.full = True
    desk.notices.tell("limit.hit", "a", "first")
    desk.notices.tell("limit.hit", "a", "second")
    desk.full = False
    desk.notices.flush()
    assert desk.told() == [("a", "second", "2")]


def test_a_storm_over_everybody_is_told_as_one() -> None:
    desk = Desk()
    for number in range(3000):
        desk.notices.tell("limit.hit", f"user-{number}", f"user-{number} asks too much")
    desk.notices.flush(everything=True)
    assert len(desk.events) == 1002
    assert sum(int(event.attributes["count"]) for event in desk.events) == 3000
