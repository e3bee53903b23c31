"""Traces become cases: what was asked, what was answered, what people said, and nothing of theirs is overwritten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from browser.studio_harness import Studio, fill, running_studio
from browser.studio_seed import support_traffic
from ratchet.domain.access import Role
from ratchet.domain.messages import Message, TextPart, ToolCallPart
from ratchet.domain.spans import Score, Span
from ratchet.studio.harvesting import case_of_span

SECOND = 10**9
_numbers = count()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio-harvest"), collect_at_once=True) as running:
        fill(running, support_traffic(running.clock(), traces=40), "support")
        yield running


@pytest.fixture
def clients(studio: Studio):
    headers = {"sec-fetch-site": "same-origin"}
    return {role: studio.client(studio.member(role), headers=headers) for role in Role}


@pytest.fixture
def name(clients) -> str:
    made = f"h{next(_numbers)}"
    clients[Role.ANNOTATOR].post("/api/datasets", json={"name": made})
    return made


def written(*messages: Message) -> str:
    return msgspec.json.encode(list(messages)).decode()


def said(role: str, text: str) -> Message:
    return Message(role, [TextPart(text)])  # type: ignore[arg-type]


def span(**fields: Any) -> Span:
    given = {
        "input_messages": written(said("system", "Be kind."), said("user", "When are you open?")),
        "output_messages": written(said("assistant", "At nine.")),
        "user_id": "ada",
        "session_id": "chat-1",
        "tags": ["web", "web"],
        "route": "support",
        "response_model": "gpt-4o-mini",
        **fields,
    }
    return Span(
        project_id="default", trace_id="a" * 32, span_id="b" * 16, name="chat", start=0, duration=1, **given
    )


def score(**fields: Any) -> Score:
    return Score(
        project_id="default", score_id="s", **{"time": 1, "name": "thumbs", "source": "user", **fields}
    )


def test_a_span_as_a_case() -> None:
    case = case_of_span(
        span(),
        [
            score(value=0.0, comment="Rude."),
            score(name="stars", value=1.0, source="member"),
            score(name="tone", value=0.25, label="cold", source="member", correction="Nine to six.", time=5),
            score(name="tone", correction="Older.", source="member", time=2),
            score(name="judge", value=1.0, source="judge"),
        ],
        graded=frozenset({"stars", "tone"}),
    )
    assert case is not None
    assert [one["role"] for one in case.input] == ["system", "user"]
    assert (case.previous_answer, case.reference) == ("At nine.", "Nine to six.")
    assert case.feedback == "thumbs: down – Rude.\nstars: 1\ntone: 0.25 cold"
    assert (case.source, case.tags, case.origin) == ("ada", ["web"], "feedback")
    assert case.metadata == {"route": "support", "model": "gpt-4o-mini"}
    assert (case.trace_id, case.span_id) == ("a" * 32, "b" * 16)


def test_what_stands_in_a_case() -> None:
    plain = case_of_span(span(input_messages=written(said("user", "Hello?")), user_id=""), [])
    assert plain is not None
    assert (plain.input, plain.source, plain.origin, plain.reference) == ("Hello?", "chat-1", "trace", None)
    prompted = case_of_span(span(prompt="support"), [])
    assert prompted is not None
    assert prompted.input == "When are you open?", "the prompt's own instructions are the prompt's"
    assert case_of_span(span(input_messages=""), []) is None
    assert case_of_span(span(input_messages="{not json"), []) is None
    called = Message("assistant", [ToolCallPart(id="c1", name="find", arguments={"n": 1})])
    tools = case_of_span(span(input_messages=written(said("user", "Find it"), called)), [])
    assert tools is not None
    assert tools.input[1]["tool_calls"][0]["function"]["name"] == "find"


def test_by_program(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    traces = client.get("/api/traces?limit=5").json()["rows"]
    body = {"spans": [{"trace_id": one["trace_id"]} for one in traces]}
    assert clients[Role.VIEWER].post(f"/api/datasets/{name}/traces", json=body).status_code == 403
    done = client.post(f"/api/datasets/{name}/traces", json=body).json()
    assert done["added"] + len(done["duplicates"]) >= 1
    rows = client.get(f"/api/datasets/{name}/cases").json()["rows"]
    assert {one["trace_id"] for one in rows} <= {one["trace_id"] for one in traces}
    again = client.post(f"/api/datasets/{name}/traces", json=body).json()
    assert (again["version"], again["added"], again["changed"]) == (1, 0, 0)
    assert (
        client.post(f"/api/datasets/{name}/traces", json={"spans": [{"trace_id": "f" * 32}]}).status_code
        == 404
    )


def test_all_with_thumbs_down(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    query = "score=thumb&score_max=0&range=all"
    total = client.get(f"/api/traces?{query}").json()["total"]
    assert total > 1
    page = client.post("/traces/cases", data={"dataset": name, "query": query})
    assert page.status_code == 200
    done = client.get(f"/api/datasets/{name}/cases?limit=500").json()
    assert 1 <= done["total"] <= total
    assert {one["origin"] for one in done["rows"]} == {"feedback"}
    assert all("thumb: down" in one["feedback"] for one in done["rows"])
    assert f"{done['total']} added" in re.sub(r"<[^>]+>", "", page.text)
    wrong = client.post("/traces/cases", data={"dataset": name, "query": "latency_min=soon"})
    assert wrong.status_code == 400


def test_one_span_from_its_page(studio: Studio, clients) -> None:
    client = clients[Role.ANNOTATOR]
    made = f"h{next(_numbers)}"
    trace_id = client.get("/api/traces?limit=1").json()["rows"][0]["trace_id"]
    spans = client.get(f"/api/traces/{trace_id}").json()["spans"]
    span_id = next(one["span_id"] for one in spans if one["request_model"])
    address = f"/traces/{trace_id}/spans/{span_id}/case"
    assert "Add to a dataset" in client.get(f"/traces/{trace_id}?span={span_id}").text
    assert "Add to a dataset" not in clients[Role.VIEWER].get(f"/traces/{trace_id}?span={span_id}").text
    headers = {"hx-request": "true"}
    added = client.post(address, data={"dataset": made, "reference": "Nine\r\nto six"}, headers=headers)
    assert "Added:" in added.text
    (case,) = client.get(f"/api/datasets/{made}/cases").json()["rows"]
    assert case["reference"] == "Nine\nto six"
    again = client.post(address, data={"dataset": made, "right": "true"}, headers=headers)
    assert "Not added" in again.text
    (kept,) = client.get(f"/api/datasets/{made}/cases").json()["rows"]
    assert kept["reference"] == "Nine\nto six", "what somebody wrote stays"
    right = f"h{next(_numbers)}"
    assert client.post(address, data={"dataset": right, "right": "true"}).status_code == 303
    (case,) = client.get(f"/api/datasets/{right}/cases").json()["rows"]
    assert case["reference"] == case["previous_answer"]
    refused = client.post(address, data={"dataset": "a b"}, headers=headers)
    assert refused.status_code == 400
    assert clients[Role.VIEWER].post(address, data={"dataset": right}).status_code == 403


def test_adding_by_hand_overwrites_nothing(clients, name: str) -> None:
    client = clients[Role.ANNOTATOR]
    client.post(f"/api/datasets/{name}/cases", json={"cases": [{"input": "Hello?", "reference": "Hi"}]})
    body = {"cases": [{"input": "Hello?", "accepted": False}], "origin": "synthetic"}
    done = client.post(f"/api/datasets/{name}/cases", json=body).json()
    assert (done["changed"], len(done["duplicates"])) == (0, 1)
    edited = {"cases": [{"input": "Hello?", "reference": "Good day"}], "origin": "file"}
    assert client.post(f"/api/datasets/{name}/cases", json=edited).json()["changed"] == 1
