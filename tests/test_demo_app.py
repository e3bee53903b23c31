"""The sample app, with the official client, against the simulator and a stand-in for feedback and traces."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from tests.conftest import running_app

from ratchet.demo import run
from ratchet.demo.opinions import opinion
from ratchet.demo.people import people
from ratchet.demo.plans import plan_session
from ratchet.demo.questions import QUESTIONS, UNCOVERED, Question, is_right
from ratchet.demo.shop import picture, run_tool, system_prompt
from ratchet.simulator import Simulator, SimulatorProtocol, simulator_app
from ratchet.simulator.dice import Dice


class StandIn:
    """A simulator that also takes feedback and traces, keeps what it got, and names traces."""

    def __init__(self, *, refuse: bool = False, pace: float = 0.0) -> None:
        self.simulator: Simulator = simulator_app(seed=1, pace=pace)
        self.feedback: list[dict[str, Any]] = []
        self.traces: list[dict[str, Any]] = []
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.refuse = refuse

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"] in {"/v1/feedback", "/v1/traces"}:
            kept = self.feedback if scope["path"] == "/v1/feedback" else self.traces
            kept.append(json.loads(body))
            status = 404 if self.refuse else 202
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [(b"content-type", b"application/json")],
                }
            )
            await send({"type": "http.response.body", "body": b"{}"})
            return
        self.requests.append((headers, json.loads(body)))
        trace_id = headers.get("traceparent", f"--{len(self.requests):032x}").split("-")[
            1 if "traceparent" in headers else 2
        ]
        asked = False

        async def receive_again() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": body}
            return await receive()

        async def send_named(event: Any) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event["headers"], (b"x-ratchet-trace-id", trace_id.encode())]}
            await send(event)

        await self.simulator(scope, receive_again, send_named)


async def held(app: StandIn, **options: Any) -> Any:
    async with running_app(app, SimulatorProtocol) as address:
        return await run(f"{address}/v1", "key", **options)


async def test_a_crowd_uses_everything_the_gateway_offers() -> None:
    app, seen = StandIn(pace=0.2), list[tuple[int, int]]()
    result = await held(app, users=120, seed=7, progress=lambda done, users: seen.append((done, users)))
    assert (result.users, result.sessions, seen[-1]) == (120, 120, (120, 120))
    assert result.requests == len(app.requests)
    assert result.requests == result.answered + result.left + sum(result.errors.values())
    assert 0 < result.streamed < result.requests
    assert result.left > 0
    assert result.tool_calls > 10
    assert {"404 model_not_found", "400 empty_array", "400 invalid_type"} & set(result.errors)
    bodies = [body for _, body in app.requests]
    assert any("tools" in body for body in bodies)
    assert any("response_format" in body for body in bodies)
    assert any("image_url" in json.dumps(body) for body in bodies)
    assert any("reasoning_effort" in body for body in bodies)
    assert any(message["role"] == "tool" for body in bodies for message in body.get("messages", []))
    assert max(sum(m["role"] == "user" for m in body.get("messages", [])) for body in bodies) in {2, 3, 4}
    assert any("x-simulate" in headers for headers, _ in app.requests)
    assert app.simulator.stats.disconnects >= result.left
    assert 0.5 < result.right / result.judged < 0.95


async def test_every_answered_request_says_whose_it_is() -> None:
    app = StandIn()
    await held(app, users=40)
    languages = Counter[str]()
    for _, body in app.requests:
        if "metadata" not in body:
            continue  # one of the planned mistakes
        assert set(body["metadata"]) == {"session_id", "organisation", "app_version", "language", "tags"}
        assert body["user"].startswith("user-")
        languages[body["metadata"]["language"]] += 1
    assert languages.keys() == {"en", "de", "es", "fr"}


async def test_feedback_goes_with_whether_the_answer_was_right() -> None:
    app = StandIn()
    result = await held(app, users=140)
    thumbs = [said for said in app.feedback if said["name"] == "thumbs"]
    assert result.feedback == len(app.feedback)
    assert 0.12 < result.feedback / result.judged < 0.4
    assert (result.thumbs_up, result.thumbs_down) == (
        sum(said["value"] for said in thumbs),
        sum(not said["value"] for said in thumbs),
    )
    assert result.thumbs_up > result.thumbs_down > 0
    answered = [said for said in app.feedback if "trace_id" in said]
    assert all(len(said["trace_id"]) == 32 and said["session_id"] and said["user"] for said in answered)
    assert any("correction" in said for said in answered)
    assert any("comment" in said for said in answered)
    assert any(said["name"] == "stars" for said in answered)
    allowed = {"trace_id", "session_id", "name", "value", "label", "comment", "correction", "user"}
    assert all(said.keys() <= allowed for said in app.feedback)


async def test_the_apps_spans_join_the_gateways_in_one_trace() -> None:
    app = StandIn()
    result = await held(app, users=60)
    spans = [
        span
        for request in app.traces
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert result.spans == len(spans) > 20
    roots = {span["spanId"]: span["traceId"] for span in spans if "parentSpanId" not in span}
    tools = [span for span in spans if span["name"].startswith("execute_tool")]
    assert tools
    assert all(roots[span["parentSpanId"]] == span["traceId"] for span in tools)
    assert all(int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) for span in spans)
    sent = [headers["traceparent"].split("-") for headers, _ in app.requests if "traceparent" in headers]
    assert sent
    assert all(roots[parent] == trace for _, trace, parent, _ in sent)
    assert any("traceparent" not in headers for headers, _ in app.requests)


async def test_the_same_seed_sends_the_same_requests() -> None:
    async def sent(seed: int) -> list[str]:
        app = StandIn()
        await held(app, users=15, seed=seed)
        return sorted(json.dumps(body, sort_keys=True) for _, body in app.requests)

    assert await sent(3) == await sent(3)
    assert await sent(3) != await sent(4)


async def test_feedback_that_is_turned_down_is_told_not_raised() -> None:
    result = await held(StandIn(refuse=True), users=30)
    assert (result.feedback, result.spans) == (0, 0)
    assert 0 < len(result.problems) <= 10
    assert result.problems[0].startswith(("/feedback", "/traces"))


def test_people_are_varied_and_fixed_by_the_seed() -> None:
    crowd = people(300, 7)
    assert crowd == people(300, 7) != people(300, 8)
    for field, least in (("language", 4), ("organisation", 6), ("app_version", 2), ("name", 20)):
        assert len({getattr(user, field) for user in crowd}) >= least
    kinds = Counter(step.kind for user in crowd for step in plan_session(user, 7, carry=0.1).steps)
    assert kinds.keys() == {"chat", "tools", "ticket", "image", "think", "leave", "mistake"}
    lengths = {len(plan_session(user, 7, carry=0.1).steps) for user in crowd}
    assert lengths == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("facts", "answer", "right"),
    [
        (("30",), "Within 30 days.", True),
        (("30",), "Within 300 days.", False),
        (("30",), "Open from 9:30.", False),
        (("4.90",), "Das kostet 4,90 Euro.", True),
        (("4.90",), "It costs 14.90 euros.", False),
        (("9:30", "18:30"), "From 9:30 to 18:30.", True),
        (("3", "5"), "3 days", False),
        (("never",), "We NEVER sell data.", True),
        ((), "I'm sorry, I don't know.", True),
        ((), "Yes, we do.", False),
    ],
)
def test_right_means_that_all_facts_are_there(facts: tuple[str, ...], answer: str, right: bool) -> None:
    assert is_right(Question("?", "1", facts), answer) == right


def test_opinions_are_mostly_fair() -> None:
    question = QUESTIONS[0]
    good = [opinion(question, "3 to 5 days", Dice(f"{i}".encode()), share=1.0) for i in range(200)]
    bad = [opinion(question, "9 days", Dice(f"{i}".encode()), share=1.0) for i in range(200)]
    ups = lambda said: sum(one["value"] in (True, 4, 5) for one in said if one)  # noqa: E731 - counts two lists alike
    assert ups(good) > 170
    assert ups(bad) < 50
    assert all(opinion(UNCOVERED[0], "Yes", Dice(b"1"), share=0.0) is None for _ in range(3))


def test_tools_and_pictures_are_the_same_for_the_same_input() -> None:
    assert run_tool("get_order", {"order_id": "AF-1"}) == run_tool("get_order", {"order_id": "AF-1"})
    assert "error" in run_tool("get_order", {"order_id": "1"})
    assert set(run_tool("check_stock", {"product": "x", "size": "M"})) == {"product", "size", "in_stock"}
    assert picture(1) == picture(1) != picture(2)
    assert picture(1).startswith("data:image/png;base64,iVBORw0KGgo")
    assert "Cite" in system_prompt("1.5.0", name="A")
    assert "Cite" not in system_prompt("1.4.0", name="A")
