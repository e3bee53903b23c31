"""The page of the cache: what answers given again saved, how many were wrong, and both questions to look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from browser.studio_harness import Clock, Studio, running_studio, text_of
from ratchet.domain.access import Role
from ratchet.domain.forgetting import name_hash
from ratchet.domain.spans import Event, Span
from ratchet.store.records.forgetting import all_forgotten
from ratchet.store.spans import SpanStore

SECOND = 10**9
DAY = 86_400 * SECOND
NOW = int(datetime(2026, 3, 11, 12, tzinfo=UTC).timestamp()) * SECOND


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('cache')}/spans")
    yield opened
    opened.close()


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    with running_studio(tmp_path, spans=spans, clock=Clock(NOW)) as running:
        yield running


def call(number: int, at: int, status: str, **fields: Any) -> Span:
    notes: dict[str, str] = {}
    if status != "miss":
        notes = {"ratchet.cache.saved_cost": "0.25", "ratchet.cache.saved_seconds": "1.500"}
    return Span(
        **{
            "project_id": "default",
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "source": "gateway",
            "name": "chat m",
            "operation": "chat",
            "route": "support",
            "start": at,
            "duration": SECOND,
            "cost": Decimal(0),
            "cache_status": status,
            "attributes": notes,
            **fields,
        }
    )


def event(number: int, kind: str, subject: str, at: int, **attributes: str) -> Event:
    return Event(
        project_id="default",
        event_id=f"e{number}",
        time=at,
        kind=kind,
        subject=subject,
        attributes=attributes,
    )


@pytest.fixture(scope="module")
def filled(spans: SpanStore) -> SpanStore:
    nearly = {
        "ratchet.cache.saved_cost": "0.5",
        "ratchet.cache.saved_seconds": "2",
        "ratchet.cache.earlier_question": "How do I <b>cancel</b>?",
        "ratchet.cache.cosine": "0.9312",
        "ratchet.cache.risk": "0.00412",
    }
    calls = [
        call(1, NOW - 2 * DAY, "miss"),
        call(2, NOW - 2 * DAY, "hit"),
        call(3, NOW - DAY, "hit", attributes={"ratchet.cache.saved_seconds": "1"}),  # of unknown price
        call(
            4, NOW - SECOND, "semantic_hit", attributes=nearly, input_preview="Cancel it how?", user_id="ada"
        ),
        call(5, NOW, "miss", route="other"),
        call(6, NOW, "semantic_hit", operation="select_tool", attributes={}),
        call(7, NOW - 60 * DAY, "hit"),  # too long ago
        call(8, NOW, "hit", run_id="r", case_id="c"),  # of a run
        call(9, NOW, "", route="none"),
        call(10, NOW, "hit", source="run"),
    ]
    spans.insert_spans(calls, token="cache")
    audits = [
        event(
            number, "cache.audited", "support", NOW - number * SECOND,
            right="false" if number == 3 else "true", cosine="0.9", risk="0.01", max_error="0.02",
            judge_strict="0.01", judge_lax="0.03", question="Pause it?", earlier_question="Cancel it?",
        )
        for number in range(40)
    ]  # fmt: skip
    states = [
        event(100, "cache.state", "support", NOW - DAY, answers="1", questions="1", bytes="1", max_error="0.1"),
        event(
            101, "cache.state", "support", NOW - SECOND,
            answers="1200", questions="3000", bytes="9437184", max_error="0.02", risk="0.05",
        ),
        event(102, "cache.state", "promising", NOW, answers="2", questions="2", bytes="5", max_error="0.001"),
    ]  # fmt: skip
    wrong = [event(200 + number, "cache.audited", "promising", NOW, right="false") for number in range(5)]
    missing = [
        event(300, "cache.unjudged", "support", NOW - DAY, count="1"),
        event(301, "cache.unjudged", "support", NOW, count="1200"),
    ]
    spans.insert_events([*audits, *states, *wrong, *missing], token="cache-events")
    return spans


def test_what_it_saved_and_how_many_were_wrong(filled: SpanStore, studio: Studio) -> None:
    found = studio.client(studio.member(Role.VIEWER)).get("/api/cache").json()
    support, other, promising = found["routes"]
    assert (support["route"], other["route"], promising["route"]) == ("support", "other", "promising")
    assert [support[name] for name in ("requests", "hits", "semantic_hits", "unpriced")] == [4, 2, 1, 1]
    assert Decimal(support["saved"]) == Decimal("0.75")
    assert support["saved_time"] == 4_500_000_000
    assert (support["audited"], support["found_wrong"]) == (40, 1)
    assert (support["unjudged"], other["unjudged"], promising["unjudged"]) == (1201, 0, 0)
    assert support["error"] == pytest.approx((1 / 40 - 0.01) / 0.96)
    assert 0 <= support["error_low"] < support["error"] < support["error_high"] < 0.15
    assert [support[name] for name in ("max_error", "answers", "questions", "bytes")] == [
        0.02,
        1200,
        3000,
        9437184,
    ]
    assert [other[name] for name in ("requests", "hits", "error", "max_error", "answers")] == [
        1,
        0,
        None,
        None,
        None,
    ]
    assert [(day["route"], day["hits"], day["misses"]) for day in found["days"]] == [
        ("other", 0, 1),
        ("support", 1, 1),
        ("support", 1, 0),
        ("support", 0, 0),
    ]
    (recent,) = found["recent"]
    assert (recent["question"], recent["earlier"]) == ("Cancel it how?", "How do I <b>cancel</b>?")
    assert (recent["cosine"], recent["risk"], recent["user_id"]) == (0.9312, 0.00412, "ada")
    assert [audit["right"] for audit in found["audited"]][:7] == [False] * 6 + [True]
    assert found["tools_selected"] == 1


def test_the_page_shows_it_and_warns_of_a_broken_promise(filled: SpanStore, studio: Studio) -> None:
    html = studio.client(studio.member(Role.VIEWER)).get("/cache").text
    for words in (
        "75 %",
        "$0.75",
        "4.50 s",
        "≤ 2 %",
        "1,200 answers",
        "9 MiB",
        "Cancel it how?",
        "Pause it?",
        "1,201 verdicts missing",
    ):
        assert words in html, words
    assert "How do I &lt;b&gt;cancel&lt;/b&gt;?" in html
    assert "The route promising promises at most 0.1 % wrong answers, and audits found 100 %." in html
    assert "The route support promises" not in html
    file = studio.client(studio.member(Role.VIEWER)).get("/cache?format=csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(file)))
    assert [row["route"] for row in rows] == ["support", "other", "promising"]
    assert (rows[0]["semantic_hits"], rows[0]["unjudged"]) == ("1", "1201")


def test_it_says_how_to_begin(filled: SpanStore, tmp_path: Path) -> None:
    with running_studio(tmp_path, spans=filled, clock=Clock(NOW - 400 * DAY)) as running:
        html = running.client(running.member(Role.VIEWER)).get("/cache").text
        assert "Nothing has been cached" in html
        assert "[routes.support.cache]" in html
        assert running.client().get("/cache", follow_redirects=False).status_code in (302, 303, 307)


def test_somebody_is_forgotten_from_the_page_and_the_api(studio: Studio, filled: SpanStore) -> None:
    del filled
    developer = studio.visitor(Role.DEVELOPER)
    assert "Forget somebody" in text_of(developer.get("/cache"))
    assert "Forget somebody" not in studio.visitor(Role.VIEWER).get("/cache").text
    done = developer.post("/cache/forget", data={"name": " zed "})
    assert (done.status_code, done.headers["location"]) == (303, "/cache?forgotten")
    assert "gateways drop it from memory and disk" in text_of(developer.get("/cache?forgotten"))
    studio.clock.at += 1
    assert developer.post("/api/cache/forget", json={"name": "ada"}).json() == {"time": NOW + 1}
    found = {each.name_hash: each.time for each in all_forgotten(studio.records)}
    assert found == {name_hash("default", "zed"): NOW, name_hash("default", "ada"): NOW + 1}
    for wrong in ("", " ", "<b>" * 101):
        page = developer.post("/cache/forget", data={"name": wrong})
        assert (page.status_code, "<b><b>" in page.text) == (400, False)
        assert "Give 1 to 300 characters, as apps say it." in text_of(page)
    assert developer.post("/api/cache/forget", json={"name": ""}).status_code == 400
    assert studio.visitor(Role.ANNOTATOR).post("/cache/forget", data={"name": "x"}).status_code == 403
    assert len(all_forgotten(studio.records)) == 2
