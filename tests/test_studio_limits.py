"""The page of limits and trust: who is held back and why, and what members decide about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from browser.guarding_seed import guarding, guarding_events
from browser.studio_harness import Clock, Studio, error_beside, running_studio, text_of
from ratchet.domain.access import Role
from ratchet.domain.spans import Event
from ratchet.store.records.standings import list_standings
from ratchet.store.spans import SpanStore

HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('limits')}/spans")
    opened.insert_events(guarding_events(Clock()()), token="guarding")
    yield opened
    opened.close()


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    with running_studio(tmp_path, spans=spans, in_force=guarding) as running:
        yield running


def client(studio: Studio, role: Role = Role.DEVELOPER) -> Any:
    return studio.visitor(role)


def test_each_is_told_once_with_how_often(studio: Studio) -> None:
    found = client(studio).get("/api/callers").json()
    limited = [(each["kind"], each["name"], each["happening"]["count"]) for each in found["limited"]]
    assert limited == [("", "", 3), ("user", "ada.marsh", 42)], "1 and 41, of one; 3, of nobody in particular"
    assert [(each["kind"], each["name"]) for each in found["trust"]] == [("user", "ada.marsh")]
    assert found["trust"][0]["happening"]["attributes"]["to"] == "low"
    assert [(each["kind"], each["name"]) for each in found["sources"]] == [("ip", "203.0.113.7")]
    assert [each["name"] for each in found["told"]] == ["ben.okafor"]
    studio.clock.at += 3 * HOUR
    assert client(studio).get("/api/callers?range=1h").json()["limited"] == []
    assert client(studio).get("/api/callers?range=year").status_code == 400


def test_good_words_and_bad_are_told_apart(tmp_path: Path, spans: SpanStore) -> None:
    events = [
        Event(
            project_id="words",
            event_id=f"word-{number}",
            time=Clock()() - (9 - number) * 10**9,
            kind="trust.told",
            subject="ada",
            message="The app speaks for the user 'ada'."
            if good
            else f"The app speaks against her, {number}.",
            severity="info" if good else "warning",
        )
        for number, good in enumerate([True, False, False, True, False])
    ]
    spans.insert_events(events, token="words")
    with running_studio(tmp_path, spans=spans, project_id="words", in_force=guarding) as studio:
        told = client(studio).get("/api/callers").json()["told"]
        assert [(each["happening"]["message"], each["happening"]["count"]) for each in told] == [
            ("The app speaks against her, 4.", 3),
            ("The app speaks for the user 'ada'.", 2),
        ]
        assert client(studio).get("/limits").text.count("The app speaks") == 2


def test_somebody_is_blocked_from_the_line_about_them(studio: Studio) -> None:
    developer = client(studio)
    page = developer.get("/limits")
    said = text_of(page)
    assert "20 requests/minute" in said
    assert "50k tokens/hour" in said
    assert "user 'ada.marsh' has reached it" in said
    assert "More than 50 users came from the address 203.0.113.7" in said
    link = unescape(
        re.search(r'href="(/limits\?[^"]*kind=ip[^"]*action=block[^"]*)"', page.text)[1]  # type: ignore[index]
    )
    form = developer.get(link.split("#")[0]).text
    assert 'value="203.0.113.7"' in form
    assert re.search(r'<option value="ip" selected', form)
    assert re.search(r'<option value="block" selected', form)
    sent = {
        "kind": "ip",
        "name": "203.0.113.7",
        "action": "block",
        "until": "30d",
        "reason": "a scraper",
        "note": "n",
    }
    assert developer.post("/standings", data=sent).headers["location"] == "/limits#standings"
    (standing,) = list_standings(studio.records, project_id="default")
    assert (standing.action, standing.kind, standing.name, standing.reason, standing.created_by) == (
        "block",
        "ip",
        "203.0.113.7",
        "a scraper",
        "developer@example.org",
    )
    assert standing.until == studio.clock() + 30 * 24 * HOUR
    assert "a scraper" in text_of(developer.get("/limits"))
    assert developer.get("/api/callers").json()["sources"][0]["standing"]["id"] == standing.id
    studio.clock.at += 31 * 24 * HOUR
    developer = client(studio)  # the other's session is over
    assert "1 standing has ended" in text_of(developer.get("/limits"))
    assert developer.post(f"/standings/{standing.id}/delete").status_code == 303
    assert list_standings(studio.records, project_id="default") == []


def test_limits_are_raised_for_somebody(studio: Studio) -> None:
    developer = client(studio)
    sent = {"kind": "user", "name": "ada.marsh", "action": "raise", "factor": "2.5"}
    assert developer.post("/standings", data=sent).status_code == 303
    page = text_of(developer.get("/limits"))
    assert "raised × 2.5" in page
    assert "for good" in page


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({"kind": "user", "name": ""}, "name", "Give 1 to 300 characters"),
        ({"kind": "ip", "name": "here"}, "name", "neither an address nor a network"),
        ({"kind": "user", "name": "x", "action": "hug"}, "action", "It is block, raise or allow"),
        (
            {"kind": "user", "name": "x", "action": "raise", "factor": "much"},
            "factor",
            "Write one, such as 3",
        ),
        ({"kind": "user", "name": "x", "action": "raise"}, "factor", "Write one, such as 3"),
        ({"kind": "user", "name": "x", "action": "raise", "factor": "0"}, "factor", "from 0.001 to 1000"),
        ({"kind": "user", "name": "x", "until": "soon"}, "until", "no expiry"),
        ({"kind": "user", "name": "x", "until": "2001-01-01"}, "until", "moment in the future"),
        ({"kind": "user", "name": "x", "reason": "r" * 501}, "reason", "501 characters"),
    ],
)
def test_a_wrong_form_says_what_is_wrong_beside_the_field(
    studio: Studio, sent: dict[str, str], field: str, words: str
) -> None:
    page = client(studio).post("/standings", data={"action": "block", "note": "kept", **sent})
    assert page.status_code == 400
    assert words in error_beside(page, field)
    assert 'value="kept"' in page.text
    assert list_standings(studio.records, project_id="default") == []


def test_those_who_do_not_decide_see_no_standings(studio: Studio) -> None:
    client(studio).post(
        "/standings", data={"kind": "user", "name": "mallory", "action": "block", "note": "hush"}
    )
    viewer = client(studio, Role.VIEWER)
    page = viewer.get("/limits")
    assert "hush" not in page.text
    assert "has reached it" in text_of(page)
    assert "/limits?decide" not in page.text
    assert viewer.get("/api/callers").json()["standings"] == []
    assert viewer.post("/standings", data={"kind": "user", "name": "x", "action": "block"}).status_code == 403


def test_without_anything_the_page_says_so(tmp_path: Path, spans: SpanStore) -> None:
    with running_studio(tmp_path, spans=spans, clock=Clock(Clock().at + 1000 * HOUR)) as empty:
        page = text_of(client(empty).get("/limits"))
    for words in (
        "Nobody has hit a limit",
        "No limits yet",
        "No source has been suspected",
        "Nobody is blocked",
    ):
        assert words in page
