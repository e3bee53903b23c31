"""Somebody looked up on the page of limits: their trust and why, what is decided about them, and which limits hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.studio_harness import Clock, Studio, running_studio, text_of
from ratchet.app.settings import Settings
from ratchet.domain.access import Role
from ratchet.domain.spans import Event, Span
from ratchet.store.records.keys import create_key
from ratchet.store.spans import SpanStore
from ratchet.studio.in_force import InForce

HOUR = 3600 * 10**9
DAY = 24 * HOUR
SEGMENTS = {"free": {"plans": ["free"], "scale": [0.2, 1.0]}, "pro": {"plans": ["pro"]}}
LIMITS = {
    "free": {"by": ["user"], "segments": ["free"], "requests": "20/minute burst 5", "tokens": "50k/hour"},
    "pro": {"by": ["user"], "segments": ["pro"], "requests": "500/minute"},
    "acme": {"organisations": ["acme"], "cost": "2.50/day", "concurrency": 10},
    "others": {"users": ["ben"], "requests": "1/minute"},
    "beta": {"routes": ["beta"], "keys": ["shop"], "requests": "10/hour"},
    "lines": {"by": ["ip"], "ips": ["2001:db8::/64"], "requests": "7/second"},
}


def seen(number: int, at: int, user: str, trust: str = "", **fields: Any) -> Span:
    address, device = fields.pop("ip", ""), fields.pop("fingerprint", "")
    said = {"ratchet.trust": trust, "metadata.client_ip": address, "metadata.fingerprint": device}
    return Span(
        project_id="default",
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        name="chat m",
        source=fields.pop("source", "gateway"),
        operation="chat",
        start=at,
        duration=1,
        user_id=user,
        attributes={name: value for name, value in said.items() if value},
        **fields,
    )


def told(number: int, at: int, kind: str, subject: str, /, **attributes: str) -> Event:
    return Event(
        project_id="default",
        event_id=f"e{number}",
        time=at,
        kind=kind,
        subject=subject,
        message=f"{kind} {subject}",
        severity="warning",
        attributes=attributes,
    )


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    now = Clock()()
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('known')}/spans")
    free = {"segment": "free", "organisation_id": "acme", "ip": "2001:db8::7", "fingerprint": "f1"}
    opened.insert_spans(
        [
            seen(1, now - 3 * DAY, "ada", "0.80", segment="pro"),
            seen(2, now - DAY, "ada", "0.40", **free),
            seen(3, now - HOUR, "ada", **free),  # of a version that tells no trust
            seen(4, now - HOUR, "ada", "0.99", source="app", segment="pro"),  # an app's own span
            seen(5, now - HOUR, "ada", "0.99", run_id="r", case_id="c", segment="pro"),
            seen(6, now - 40 * DAY, "old", "0.5"),
            seen(7, now - 2 * HOUR, "ben", "0.75", ip="2001:db8::7"),
            seen(8, now - 2 * HOUR, "", ip="2001:db8::7"),
        ],
        token="known",
    )
    opened.insert_events(
        [
            told(1, now - 5 * HOUR, "trust.changed", "ada", trust="0.39", to="low"),
            told(2, now - 4 * HOUR, "trust.told", "ada", value="-1"),
            told(3, now - 3 * HOUR, "limit.hit", "free: user 'ada'", limit="free", user="ada", count="41"),
            told(4, now - 2 * HOUR, "limit.hit", "free: user 'ben'", limit="free", user="ben"),
            told(5, now - HOUR, "abuse.suspected", "2001:db8::/64", source="ip", accounts="73"),
            told(
                6, now - HOUR, "caller.blocked", "ada", subject="organisation"
            ),  # an organisation of that name
            told(7, now - HOUR, "release.made", "ada", user="ada"),
            told(8, now - 40 * DAY, "trust.changed", "ada"),
        ],
        token="known-events",
    )
    yield opened
    opened.close()


@pytest.fixture
def office(tmp_path: Path, known: SpanStore) -> Iterator[Studio]:
    declared = InForce(file=Settings.model_validate({"limits": LIMITS, "segments": SEGMENTS}))
    with running_studio(tmp_path, spans=known, in_force=lambda: declared) as running:
        yield running


def looked_up(studio: Studio, kind: str, name: str, role: Role = Role.DEVELOPER) -> Any:
    answer = studio.visitor(role).get("/api/caller", params={"kind": kind, "name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_user_is_looked_up(office: Studio) -> None:
    found = looked_up(office, "user", " ada ")
    assert (found["trust"], found["level"], found["segment"]) == (0.4, "fair", "free")
    now = office.clock()
    assert (found["seen"]["trust_at"], found["seen"]["last"]) == (now - DAY, now - HOUR)
    assert (found["seen"]["requests"], found["seen"]["organisation"], found["seen"]["ip"]) == (
        3,
        "acme",
        "2001:db8::7",
    )
    assert [each["event_id"] for each in found["events"]] == ["e3", "e2", "e1"], (
        "of hers alone, the newest first"
    )
    assert found["scale"] == pytest.approx(0.6), "half way from 0.2 to 1"
    assert found["standing"] is None
    limits = {each["name"]: each for each in found["limits"]}
    assert list(limits) == ["acme", "beta", "free", "lines"], "as for a call like her last"
    assert limits["free"]["allows"] == ["20 requests/minute burst 5", "50k tokens/hour"]
    assert limits["free"]["allows_now"] == ["12 requests/minute burst 3", "30,000 tokens/hour"]
    assert limits["acme"]["allows_now"] == ["$1.5/day", "6 at once"]
    assert limits["beta"]["only"] == [["key", ["shop"]], ["route", ["beta"]]]


@pytest.mark.parametrize(
    ("about", "name", "action", "scale"),
    [
        ("user", "ada", "raise", 1.8),
        ("organisation", "acme", "raise", 1.8),
        ("fingerprint", "f1", "allow", 1.0),
        ("ip", "2001:db8::/48", "block", 0.6),
        ("user", "ben", "raise", 0.6),
    ],
)
def test_what_is_decided_about_where_they_come_from_holds_for_them(
    office: Studio, about: str, name: str, action: str, scale: float
) -> None:
    sent = {"kind": about, "name": name, "action": action, "factor": "3"}
    assert office.visitor(Role.DEVELOPER).post("/standings", data=sent).status_code == 303
    found = looked_up(office, "user", "ada")
    assert found["scale"] == pytest.approx(scale)
    assert (found["standing"] or {}).get("name") == (None if name == "ben" else name)
    viewed = looked_up(office, "user", "ada", Role.VIEWER)
    assert (viewed["standing"], viewed["scale"]) == (None, pytest.approx(0.6)), (
        "who may not decide sees no decision"
    )


def test_the_rule_of_what_decides_is_the_gateways(office: Studio) -> None:
    for about, name in (("organisation", "acme"), ("ip", "2001:db8::7"), ("fingerprint", "f1")):
        office.visitor(Role.DEVELOPER).post(
            "/standings", data={"kind": about, "name": name, "action": "block"}
        )
        assert looked_up(office, "user", "ada")["standing"]["kind"] == about
    office.visitor(Role.DEVELOPER).post("/standings", data={"kind": "user", "name": "ada", "action": "allow"})
    found = looked_up(office, "user", "ada")
    assert (found["standing"]["kind"], found["scale"]) == ("user", 1.0)


def test_an_address_an_organisation_and_a_key_are_looked_up(office: Studio) -> None:
    line = looked_up(office, "ip", "2001:0db8::0007")
    assert (line["name"], line["trust"], line["scale"]) == ("2001:db8::7", None, None)
    assert (line["seen"]["requests"], line["seen"]["users"]) == (4, 2)
    assert [(each["user"], each["trust"]) for each in line["seen"]["companions"]] == [
        ("ada", 0.4),
        ("ben", 0.75),
    ]
    assert [each["event_id"] for each in line["events"]] == ["e5"], "of the network that counts as one place"
    assert [each["name"] for each in line["limits"]] == ["acme", "beta", "free", "lines", "others", "pro"]
    assert "lines" not in {each["name"] for each in looked_up(office, "ip", "2001:db8:1::7")["limits"]}
    firm = looked_up(office, "organisation", "ada")
    assert (firm["seen"], [each["event_id"] for each in firm["events"]]) == (None, ["e6"])
    assert "acme" not in {each["name"] for each in firm["limits"]}
    key, _ = create_key(office.records, project_id="default", name="shop", now=1, created_by="x")
    for name in ("shop", key.id):
        assert "beta" in {each["name"] for each in looked_up(office, "key", name)["limits"]}
    assert "beta" not in {each["name"] for each in looked_up(office, "key", "other")["limits"]}


def test_the_page_of_somebody_looked_up(office: Studio) -> None:
    developer = office.visitor(Role.DEVELOPER)
    assert 'action="/limits"' in developer.get("/limits").text
    said = text_of(developer.get("/limits", params={"look": "", "kind": "user", "name": "ada"}))
    for words in (
        "0.40 fair",
        "Segment free",
        "Limits are multiplied with 0.6",
        "12 requests/minute burst 3",
        "trust changed trust.changed ada 5 h ago · trust was 0.39",
        "3 h ago · 41 times",
        "Last address 2001:db8::7",
    ):
        assert words in said, (words, said)
    developer.post(
        "/standings", data={"kind": "organisation", "name": "acme", "action": "block", "reason": "spam"}
    )
    page = developer.get("/limits", params={"look": "", "kind": "user", "name": "ada"})
    assert re.search(r"Standing blocked by the organisation acme , for good: spam", text_of(page)), text_of(
        page
    )
    viewer = office.visitor(Role.VIEWER).get("/limits", params={"look": "", "kind": "user", "name": "ada"})
    assert "spam" not in viewer.text
    assert "What members have decided is left out" in text_of(viewer)
    nobody = text_of(developer.get("/limits", params={"look": "", "kind": "user", "name": "zoe"}))
    assert "No gateway has seen a call of this user" in nobody
    wrong = developer.get("/limits", params={"look": "", "kind": "ip", "name": "<here>"})
    assert wrong.status_code == 400
    assert "'<here>' is neither an address nor a network. Give one such as" in text_of(wrong).replace(
        "&#39;", "'"
    )
    assert "<here>" not in wrong.text
