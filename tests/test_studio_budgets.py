"""The page of budgets: what was spent in the period, by whom, and how it goes on."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from browser.studio_harness import Clock, Studio, running_studio, text_of, words_of
from ratchet.app.settings import Settings
from ratchet.domain.access import Role
from ratchet.domain.spans import Event, Span
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.store.records.keys import create_key
from ratchet.store.spans import SpanStore
from ratchet.studio.in_force import InForce

SECOND = 10**9
DAY = 86_400 * SECOND
MARCH = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * SECOND
NOW = MARCH + 10 * DAY + 12 * 3600 * SECOND  # a third of the month, and half of a day
BUDGETS = {
    "users": {"by": ["user"], "amount": 5, "warn": [0.5, 0.8], "routes": ["support"]},
    "all": {"amount": 100},
    "pairs": {"by": ["key", "route"], "amount": 50, "keys": ["shop"], "period": "day", "degrade_to": "small"},
    "idle": {"amount": 1, "organisations": ["nobody"]},
}


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('budgets')}/spans")
    yield opened
    opened.close()


def settings(budgets: dict[str, Any]) -> InForce:
    return InForce(file=Settings(budgets={name: BudgetSettings(**said) for name, said in budgets.items()}))


@pytest.fixture
def studio(tmp_path: Path, spans: SpanStore) -> Iterator[Studio]:
    with running_studio(
        tmp_path, spans=spans, clock=Clock(NOW), in_force=lambda: settings(BUDGETS)
    ) as running:
        yield running


def spend(number: int, at: int, cost: str | None, **fields: Any) -> Span:
    return Span(
        **{
            "project_id": "default",
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "source": "gateway",
            "name": "chat m",
            "operation": "chat",
            "target": "sim/m",
            "request_model": "m",
            "route": "support",
            "start": at,
            "duration": SECOND,
            "cost": None if cost is None else Decimal(cost),
            **fields,
        }
    )


@pytest.fixture(scope="module")
def filled(spans: SpanStore) -> SpanStore:
    calls = [
        spend(1, MARCH - 1, "90", user_id="ada"),  # last month
        spend(2, MARCH, "1.5", user_id="ada"),
        spend(3, MARCH + 5 * DAY, "4.5", user_id="ada"),
        spend(4, NOW - DAY, "3", user_id="ben"),
        spend(5, NOW - SECOND, None, user_id="ben"),
        spend(6, NOW - SECOND, "0.25", user_id="=cmd"),
        spend(7, NOW - SECOND, "7", user_id="ada", route="other", key_id="k1"),
        spend(8, NOW - 2 * SECOND, "30", route="support", key_id="k1"),
        spend(9, NOW - SECOND, "9", user_id="ada", run_id="run", case_id="c"),  # of a run
        spend(10, NOW - SECOND, "9", user_id="ada", source="app"),  # an app's own span
        spend(11, NOW - SECOND, "9", user_id="ada", operation="attempt"),
        spend(12, NOW + DAY, "9", user_id="ada"),  # of a clock that is ahead
    ]
    spans.insert_spans(calls, token="budgets")
    warning = Event(
        project_id="default",
        event_id="e1",
        time=NOW - DAY,
        kind="budget.exhausted",
        subject="users of user 'ada'",
        message="The budget 'users' of user 'ada' is spent, and requests are refused.",
        severity="error",
        attributes={"budget": "users", "user": "ada", "count": "3"},
    )
    old = Event(
        **{**{f: getattr(warning, f) for f in Event.__struct_fields__}, "event_id": "e0", "time": MARCH - 1}
    )
    spans.insert_events([warning, old], token="budget-events")
    return spans


def client(studio: Studio, role: Role = Role.VIEWER) -> Any:
    return studio.visitor(role)


def states(studio: Studio) -> dict[str, Any]:
    return {each["name"]: each for each in client(studio).get("/api/spending").json()}


def test_what_was_spent_by_whom_and_how_it_goes_on(studio: Studio, filled: SpanStore) -> None:
    found = states(studio)
    assert list(found) == ["all", "idle", "pairs", "users"]
    users = found["users"]
    assert (users["period"], users["start"], users["end"]) == ("2026-03", MARCH, MARCH + 31 * DAY)
    assert users["elapsed"] == pytest.approx(10.5 / 31)
    shares = {each["names"]["user"]: each for each in users["shares"]}
    assert list(shares) == ["", "ada", "ben", "=cmd"], "the most first"
    assert {name: (each["spent"], each["left"], each["how"]) for name, each in shares.items()} == {
        "": ("30", "0", "spent"),
        "ada": ("6", "0", "spent"),
        "ben": ("3", "2", "warned"),
        "=cmd": ("0.25", "4.75", "within"),
    }
    assert (users["over"], users["warned"], users["count"], users["unpriced"]) == (2, 1, 4, 1)
    assert Decimal(users["spent"]) == Decimal("39.25")
    ben = shares["ben"]
    assert float(ben["projected"]) == pytest.approx(3 * 31 / 10.5)
    assert ben["runs_out"] == pytest.approx(MARCH + 10.5 * DAY * 5 / 3, abs=DAY / 100)
    assert shares["=cmd"]["runs_out"] is None
    assert [event["event_id"] for event in users["events"]] == ["e1"]
    assert [float(piece) for piece in users["pieces"]] == [1.5, 0, 0, 0, 0, 4.5, 0, 0, 0, 3, 30.25]
    everything = found["all"]
    assert (Decimal(everything["spent"]), everything["count"]) == (Decimal("46.25"), 1)
    assert everything["shares"][0]["names"] == {}
    assert (found["idle"]["calls"], found["idle"]["shares"]) == (0, [])


def test_a_budget_of_some_keys_by_their_names(studio: Studio, filled: SpanStore) -> None:
    key, _ = create_key(studio.records, project_id="default", name="shop", now=1, created_by="x")
    assert states(studio)["pairs"]["calls"] == 0, "no key of that name has called"
    filled.insert_spans([spend(20, NOW - SECOND, "2", key_id=key.id)], token="shop")
    pairs = states(studio)["pairs"]
    assert (pairs["every"], pairs["period"], len(pairs["pieces"])) == ("day", "2026-03-11", 13)
    assert [each["names"] for each in pairs["shares"]] == [{"key": "shop", "route": "support"}]
    assert pairs["degrade_to"] == "small"


def test_the_page_and_its_file(studio: Studio, filled: SpanStore) -> None:
    page = client(studio).get("/budgets")
    text = text_of(page)
    assert "$5 a month for each user, route support" in text
    assert "2 spent" in text
    assert "What 1 call cost is not known, and no sum here holds it." in text
    assert "$3.00 + 1 call of unknown cost at most $2.00" in text, "beside what ben has spent and has left"
    assert re.search(r"\$[34].\.25 \+ 1 call of unknown cost by now, at least \$1..\... by the end", text)
    assert "Money set aside for requests under way is not in them" in text
    assert not re.search(r"\+ \?", text), "nothing merely hints at it"
    assert "nobody named" in text
    assert "The budget 'users' of user 'ada' is spent" in text
    assert "Nothing has been spent in this period" in text
    table = list(csv.DictReader(io.StringIO(client(studio).get("/budgets?format=csv").text.lstrip("\ufeff"))))
    assert {row["user"] for row in table if row["budget"] == "users"} == {"", "ada", "ben", "'=cmd"}
    assert next(row for row in table if row["user"] == "ben")["spent_usd"] == "3"


def test_without_budgets_the_page_says_how_to_make_one(tmp_path: Path, spans: SpanStore) -> None:
    with running_studio(tmp_path, spans=spans, clock=Clock(time.time_ns())) as studio:
        assert "No budgets yet" in client(studio).get("/budgets").text
        assert client(studio).get("/api/spending").json() == []


def test_the_chart_goes_on_from_where_it_is(studio: Studio, filled: SpanStore) -> None:
    del filled
    assert client(studio).get("/budgets").text.count('class="before" d="M') >= 2, "what is projected is drawn"


def test_no_sum_is_silently_too_small(studio: Studio, filled: SpanStore) -> None:
    """Of one amount for everybody the number of calls of unknown cost stands beside each figure, and leads to them."""
    del filled
    page = client(studio).get("/budgets").text
    card = page.split('href="/budgets/all"')[1].split("</section>")[0]
    text = words_of(card)
    assert re.search(r"\$[\d.]+ \+ 1 call of unknown cost spent · at most \$[\d.]+ left", text), text
    assert re.search(
        r"spent at the latest on 2026-03-\d\d, if it goes on like this|at least \$[\d.]+ by the end", text
    )
    assert len(re.findall(r'aria-label="[^"]*unknown cost', card)) == 2, "the bar and the drawing say it too"
    link = re.search(r'href="(/traces\?without=cost[^"]*)"', card)
    assert link is not None
    found = client(studio).get("/api" + unescape(link[1])).json()
    assert [row["trace_id"] for row in found["rows"]] == [f"{5:032x}"]
    priced = page.split('href="/budgets/idle"')[1].split("</section>")[0]
    assert "unknown" not in priced
    assert "at most" not in priced
