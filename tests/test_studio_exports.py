"""Tables as files: every row, right names, exact values, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from browser.studio_harness import Studio, fill, running_studio
from browser.studio_seed import support_traffic
from ratchet.domain.access import Role
from ratchet.domain.spans import Event, Score, Span
from ratchet.errors import Unavailable

DANGER = [
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "plain, with comma",
    'say "hi"',
    "naïve",
]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-exports")) as running:
        fill(running, support_traffic(running.clock()), "support")
        spans = [
            Span(
                project_id="default",
                trace_id=f"{number:032x}",
                span_id=f"{number:016x}",
                name=f"odd {number}",
                start=running.clock() - 60 * 10**9 - number,
                duration=1_234_567,
                user_id=user,
                tags=["odd"],
                request_model="m",
                cost=Decimal("0.000000123456"),
            )
            for number, user in enumerate(DANGER, 1)
        ]
        running.store.insert_spans(spans, token="odd")
        scores = [
            Score(
                project_id="default",
                score_id=f"s{number:05}",
                time=7 * 10**9,
                name="many",
                value=-0.5,
                source="code",
            )
            for number in range(2_500)
        ]
        running.store.insert_scores(scores, token="many")
        yield running


@pytest.fixture
def browser(studio: Studio):
    return studio.client(studio.member(Role.VIEWER))


def table(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def test_a_file_holds_every_row_that_matches_and_not_one_page(browser) -> None:
    total = browser.get("/api/traces?limit=1").json()["total"]
    assert total > 100
    answer = browser.get("/traces?range=all&format=csv")
    assert len(table(answer)) == total
    assert answer.headers["x-ratchet-total-rows"] == str(total)
    assert answer.headers["content-disposition"].startswith('attachment; filename="ratchet-traces-20')
    listed = browser.get("/traces?range=all&format=json").json()
    assert [row["trace_id"] for row in listed] == [row["trace_id"] for row in table(answer)]
    failed = browser.get("/api/traces?status=error&format=json").json()
    assert {row["status"] for row in failed} == {"error"}
    assert 0 < len(failed) < total


def test_what_a_spreadsheet_would_run_is_text(browser) -> None:
    rows = table(browser.get("/api/traces?tag=odd&format=csv"))
    users = [row["user"] for row in rows]
    assert users == [f"'{user}" if user[0] in "=+-@\t" else user for user in DANGER]
    whole = browser.get("/api/traces?tag=odd&format=json").json()
    assert [row["user"] for row in whole] == DANGER, "programs get what was said"
    values = {row["value"] for row in table(browser.get("/api/scores?format=csv"))}
    assert "-0.5" in values, "a number is no formula"


def test_values_are_exact_and_named_with_their_units(browser) -> None:
    row = table(browser.get("/api/traces?tag=odd&format=csv"))[0]
    assert row["cost_usd"] == "0.000000123456"
    assert row["duration_ms"] == "1.235"
    assert row["started"] == "2026-09-21T14:12:19.999999Z"
    assert row["time_to_first_token_ms"] == ""
    whole = browser.get("/api/traces?tag=odd&format=json").json()[0]
    assert (whole["cost_usd"], whole["duration_ms"], whole["time_to_first_token_ms"]) == (
        "0.000000123456",
        1.235,
        None,
    )
    assert (whole["models"], whole["tags"]) == (["m"], ["odd"])


def test_a_page_marks_its_file_for_spreadsheets_and_the_api_does_not(browser) -> None:
    assert browser.get("/traces?format=csv").content.startswith(b"\xef\xbb\xbf")
    assert browser.get("/api/traces?format=csv").content.startswith(b"trace_id,started")


def test_spans_of_a_trace_and_scores_are_files_too(browser) -> None:
    trace_id = browser.get("/api/traces?latency_min=3s&limit=1").json()["rows"][0]["trace_id"]
    spans = browser.get(f"/api/traces/{trace_id}").json()["spans"]
    rows = table(browser.get(f"/traces/{trace_id}?format=csv"))
    assert [row["span_id"] for row in rows] == [span["span_id"] for span in spans]
    assert len(rows) == 12
    many = [row for row in table(browser.get("/api/scores?format=csv")) if row["name"] == "many"]
    assert len({row["score_id"] for row in many}) == len(many) == 2_500, "several batches, nothing twice"
    assert len(browser.get("/api/scores").json()) == 200


def test_keys_members_providers_and_routes_are_files_without_secrets(studio: Studio) -> None:
    admin = studio.visitor(Role.ADMIN)
    secret = admin.post("/api/keys", json={"name": "=shop", "routes": ["support", "fast"]}).json()["key"]
    body = {
        "name": "vllm",
        "settings": {"kind": "openai", "base_url": "https://api.example.org/v1", "api_key": "env:HOME"},
    }
    assert admin.post("/api/providers", json=body).status_code == 201
    route = {"name": "support", "settings": {"targets": ["vllm/llama"]}}
    assert admin.post("/api/routes", json=route).status_code == 201
    key = table(admin.get("/keys?format=csv"))[0]
    assert (key["name"], key["state"], key["routes"], key["last_used"]) == (
        "'=shop",
        "active",
        "fast, support",
        "",
    )
    assert secret not in admin.get("/api/keys?format=json").text
    assert [row["email"] for row in table(admin.get("/members?format=csv"))] == sorted(
        member["email"] for member in admin.get("/api/members").json()
    )
    provider = next(row for row in admin.get("/api/providers?format=json").json() if row["name"] == "vllm")
    assert provider == {
        **provider,
        "kind": "openai",
        "declared_in": "studio",
        "calls": 0,
        "latency_p50_ms": None,
    }
    assert not {"targets", "settings", "api_key"} & set(provider)
    routes = table(admin.get("/routes?window=1h&format=csv"))
    assert [(row["name"], row["targets"]) for row in routes if row["name"] == "support"] == [
        ("support", "vllm/llama")
    ]


def test_events_are_a_file(studio: Studio, browser) -> None:
    event = Event(project_id="default", event_id="e", time=10**18, kind="spool.refused", message="full")
    studio.store.insert_events([event], token="event")
    rows = table(browser.get("/api/events?format=csv"))
    assert [(row["time"], row["kind"]) for row in rows] == [("2001-09-09T01:46:40.000000Z", "spool.refused")]


def test_nothing_found_is_an_empty_file(browser) -> None:
    assert browser.get("/api/traces?user=nobody&format=json").json() == []
    assert table(browser.get("/api/traces?user=nobody&format=csv")) == []


def test_another_format_is_refused_and_a_store_that_is_down_is_said(studio: Studio, browser) -> None:
    answer = browser.get("/api/traces?format=xlsx")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "format")
    services = studio.app.state.services

    def down():
        raise Unavailable("The span store can't be reached.", "`ratchet doctor` says more.")

    studio.app.state.services = type(services)(**{**vars(services), "spans": down})
    try:
        assert browser.get("/traces?format=csv").status_code == 503
    finally:
        studio.app.state.services = services


def test_head_of_a_file_reads_no_rows(browser) -> None:
    answer = browser.head("/traces?range=all&format=csv")
    assert answer.status_code == 200
    assert answer.content == b""
    assert "attachment" in answer.headers["content-disposition"]
