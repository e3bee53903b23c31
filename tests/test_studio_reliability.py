"""The page Reliability on a real chDB: what targets lost and to whom, and that lost attempts count as nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from browser.failing_seed import FIRST, HOUR, MINUTE, MS, SECOND, SECOND_TARGET, THIRD, Trouble, trouble
from browser.studio_harness import START, Studio, fill, running_studio
from ratchet.app.settings import Settings
from ratchet.domain.access import Role
from ratchet.gateway.settings import ProviderSettings
from ratchet.gateway.upstream.failures import Failure
from ratchet.store.spans import Reliability, SpanStore, TargetFigures, TraceFilter
from ratchet.studio.dependability import ReliabilityView
from ratchet.studio.failing import FAILURE_WORDS, class_of_error, failure_words
from ratchet.studio.in_force import InForce
from test_studio import balanced

PROJECT = "default"
COUNTED = "counted"


def put(store: SpanStore, seed: Trouble, token: str) -> None:
    store.insert_spans(seed.spans, token=f"{token}-spans")
    store.insert_events(seed.events, token=f"{token}-events")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('spans')}/spans")
    yield opened
    opened.close()


def by_name(found: Reliability) -> dict[str, TargetFigures]:
    return {each.target: each for each in found.targets}


def test_figures_of_targets(store: SpanStore) -> None:
    seed = Trouble()
    at = START - HOUR
    lost = seed.lost(1, FIRST, Failure.SLOW, at + MS, 4999 * MS, "0.001")
    seed.call(at, SECOND_TARGET, 5600 * MS, lost, time_to_first_token=5200 * MS)
    seed.call(at + SECOND, FIRST, 900 * MS)
    first = seed.lost(1, FIRST, Failure.BROKEN, at + 2 * SECOND, 10 * MS)
    second = seed.lost(2, SECOND_TARGET, Failure.BROKEN, at + 2 * SECOND + 20 * MS, 10 * MS)
    seed.call(
        at + 2 * SECOND, FIRST, 60 * MS, first, second, status="error", error_type="upstream_failed",
        time_to_first_token=None,
    )  # fmt: skip
    seed.call(at + 3 * SECOND, FIRST, 500 * MS, status="error", error_type="client_closed_request")
    seed.call(at + 4 * SECOND, FIRST, 2 * MS, cache_status="hit")
    beaten = seed.lost(1, FIRST, Failure.BEATEN, at + 5 * SECOND, 300 * MS, "0.0005")
    seed.call(at + 5 * SECOND, SECOND_TARGET, 300 * MS, beaten)
    put(store, seed, "figures")
    found = by_name(store.reliability(PROJECT, since=at, until=START, now=START))
    one, two = found[FIRST], found[SECOND_TARGET]
    assert (one.calls, one.answered, one.failed) == (2, 1, {"upstream_failed": 1})
    assert one.lost == {"upstream_slow": 1, "upstream_broken": 1, "hedge_lost": 1}
    assert (one.taken_over, one.took_over) == (1, 0)
    assert one.lost_cost == Decimal("0.0015")
    assert one.latency_p50 == one.latency_p95 == 900 * MS
    assert (two.calls, two.answered, two.failed, two.lost) == (2, 2, {}, {"upstream_broken": 1})
    assert (two.taken_over, two.took_over, two.lost_cost) == (0, 1, None)
    assert two.latency_p95 == 600 * MS, "the five seconds before are the other's"
    assert two.ttft_p95 == 200 * MS
    assert one.last_failure is not None
    assert (one.last_failure.kind, one.last_failure.time) == ("upstream_failed", at + 2 * SECOND)
    assert two.last_failure is not None
    assert two.last_failure.span_id == second.span_id


def test_pieces_of_time_add_up(store: SpanStore) -> None:
    seed = trouble(START + 100 * HOUR)
    put(store, seed, "day")
    until = START + 100 * HOUR
    found = store.reliability(PROJECT, since=until - 24 * HOUR, until=until, now=until)
    for kinds in ("lost", "failed"):
        of_points = sum(sum(getattr(point, kinds).values()) for point in found.points)
        assert of_points == sum(sum(getattr(each, kinds).values()) for each in found.targets) > 0
    assert sum(point.taken_over for point in found.points) == sum(each.took_over for each in found.targets)
    assert len(found.points) == -(-(until - found.points[0].start) // found.step)
    every = store.reliability(PROJECT, since=None, until=until, now=until)
    assert sum(each.calls for each in every.targets) > sum(each.calls for each in found.targets)


def test_probes_circuits_queues_and_events(store: SpanStore) -> None:
    until = START + 200 * HOUR
    seed = Trouble()
    for number, seconds in enumerate(("0.5", "1.5", "2.5")):
        seed.tell(
            until - number * HOUR - MINUTE, "probe.answered", "openai", model="gpt-4o-mini", seconds=seconds,
            time_to_first_token="0.25", cost="0.00001",
        )  # fmt: skip
    seed.tell(
        until - 2 * MINUTE, "probe.failed", "openai", "No.", "warning", model="gpt-4o-mini", seconds="60"
    )
    own = {"credential": "A", "gateway": "1"}
    seed.tell(until - HOUR, "circuit.open", FIRST, "Five failed.", "error", **own)
    seed.tell(until - MINUTE, "circuit.half_open", FIRST, "A try.", **own)
    seed.tell(until - HOUR, "circuit.open", FIRST, "Five failed.", "error", credential="A", gateway="2")
    seed.tell(until - MINUTE, "gateway.state", "2", gateway="2")
    seed.tell(until - HOUR, "circuit.open", FIRST, "Five failed.", "error", credential="A", gateway="3")
    seed.tell(until - HOUR, "circuit.closed", SECOND_TARGET, "Well.", credential="A", gateway="3")
    seed.tell(until - 4 * MINUTE, "gateway.state", "3", gateway="3")
    seed.tell(until - 30 * HOUR, "circuit.open", THIRD, "Long ago.", "error", **own)
    seed.tell(until - MINUTE, "queue.state", "vllm", held="3", waiting="1", refused="0", gateway="1")
    seed.tell(until - SECOND, "queue.state", "vllm", held="4", waiting="2", refused="7", gateway="1")
    seed.tell(until - SECOND, "release.rolled_back", "support")
    put(store, seed, "told")
    found = store.reliability(PROJECT, since=until - 24 * HOUR, until=until, now=until)
    [probed] = found.probes
    assert (probed.provider, probed.model, probed.answered, probed.failed) == ("openai", "gpt-4o-mini", 3, 1)
    assert (probed.latency_p50, probed.ttft_p50, probed.cost) == (1500 * MS, 250 * MS, Decimal("0.00003"))
    assert (probed.last_failure, probed.last_message) == (until - 2 * MINUTE, "No.")
    assert sum(point.answered for point in probed.points) == 3
    assert [point.latency for point in probed.points if point.answered] == [2500 * MS, 1500 * MS, 500 * MS]
    assert [(each.kind, each.attributes["gateway"]) for each in found.circuits] == [
        ("circuit.half_open", "1"),
        ("circuit.closed", "3"),
        ("circuit.open", "2"),
    ], "what a gateway was worried about that has been silent for minutes is gone with it"
    assert [each.attributes["held"] for each in found.queues] == ["4"]
    assert [each.kind for each in found.events[:2]] == ["circuit.half_open", "probe.failed"]
    assert sorted(each.kind for each in found.events[2:]) == ["circuit.closed", *["circuit.open"] * 3]


def test_nothing_at_all(store: SpanStore) -> None:
    found = store.reliability("nobody", since=None, until=START, now=START)
    assert (found.targets, found.points, found.probes, found.events) == ([], [], [], [])


# ---- lost attempts count as nothing else -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, store: SpanStore) -> Iterator[tuple[Studio, str]]:
    """One trace: a call that another target answered. And one answer of a run that did."""
    with running_studio(tmp_path_factory.mktemp("counted"), spans=store, project_id=COUNTED) as studio:
        seed = Trouble(COUNTED)
        at = START - MINUTE
        slow = seed.lost(1, FIRST, Failure.SLOW, at + MS, 4 * SECOND, "0.001")
        call = seed.call(
            at,
            SECOND_TARGET,
            5 * SECOND,
            slow,
            cost="0.0015",
            time_to_first_token=4500 * MS,
            session_id="talk",
        )
        of_run = {"run_id": "run-1", "candidate": "new", "case_id": "case-1"}
        lost = seed.lost(1, FIRST, Failure.BROKEN, at + MS, MS)
        seed.call(at, SECOND_TARGET, SECOND, lost, **of_run)
        fill(studio, seed, "counted")
        yield studio, call.trace_id


def test_lost_attempts_are_no_calls_no_errors_and_no_cost(counted: tuple[Studio, str]) -> None:
    studio, trace_id = counted
    store = studio.store
    overview = store.overview(COUNTED, TraceFilter(since=START - HOUR), dimension="provider", now=START)
    assert (overview.current.requests, overview.current.errors) == (1, 0)
    assert overview.current.cost == Decimal("0.0015")
    assert [group.value for group in overview.groups] == ["anthropic"]
    [row] = store.traces(COUNTED, TraceFilter(since=START - HOUR)).rows
    assert (row.trace_id, row.error_count, row.span_count, row.unpriced_calls) == (trace_id, 0, 2, 0)
    assert row.cost == Decimal("0.0015")
    assert row.time_to_first_token == 4500 * MS
    assert store.traces(COUNTED, TraceFilter(since=START - HOUR, status="error")).total == 0
    assert store.traces(COUNTED, TraceFilter(since=START - HOUR, status="ok")).total == 1
    summary = store.summary(COUNTED, since=START - HOUR)
    assert (summary.requests, summary.errors, summary.by_error) == (1, 0, [])
    assert summary.cost == Decimal("0.0015")
    [user] = store.owners(COUNTED, "user", TraceFilter(since=START - HOUR)).rows
    assert (user.requests, user.errors, user.cost) == (1, 0, Decimal("0.0015"))
    session = store.session(COUNTED, "talk")
    assert session is not None
    assert (session.row.calls, session.row.error_count, session.turns[0].calls) == (1, 0, 1)
    assert store.key_use(COUNTED, since=START - HOUR)["key-1"].spans == 1


def test_lost_attempts_are_no_calls_of_their_provider(counted: tuple[Studio, str]) -> None:
    health = counted[0].store.health(COUNTED, by="provider", since=START - HOUR)
    assert {name: each.calls for name, each in health.items()} == {"anthropic": 1}
    by_route = counted[0].store.health(COUNTED, by="route", since=START - HOUR)
    assert (by_route["support"].calls, by_route["support"].latency_p50) == (1, 5 * SECOND)


def test_a_lost_attempt_is_no_answer_of_a_run(counted: tuple[Studio, str]) -> None:
    [result] = counted[0].store.results(COUNTED, "run-1", since=START - HOUR)
    assert (result.output.text, result.output.latency, result.output.error) == ("On its way.", 1.0, "")
    [figures] = counted[0].store.figures(COUNTED, "run-1", ["new"], since=START - HOUR)
    assert list(figures.latencies) == [1.0]


def test_a_trace_shows_its_lost_attempts_in_words(counted: tuple[Studio, str]) -> None:
    studio, trace_id = counted
    browser = studio.client(studio.member(Role.VIEWER))
    text = browser.get(f"/traces/{trace_id}").text
    assert 'class="badge good"' in text, "it was answered"
    assert "1 lost attempt<" in text
    assert "attempt openai/gpt-4o-mini</bdi>" in text
    assert ">too slow</em>" in text
    assert "about $0.001" in text
    tree = studio.store.trace(COUNTED, trace_id)
    assert tree is not None
    lost = next(span for span in tree.spans if span.operation == "attempt")
    pane = browser.get(f"/traces/{trace_id}?span={lost.span_id}").text
    assert "said nothing within 5 s." in pane
    assert "<b>Too slow</b>" in pane
    assert "Cost, about" in pane
    assert 'class="badge bad"' not in pane


def test_the_first_token_of_an_attempt_counts_from_its_own_start() -> None:
    seed = Trouble()
    lost = seed.lost(1, FIRST, Failure.BROKEN, START + 2 * SECOND, SECOND)
    seed.call(START, SECOND_TARGET, 4 * SECOND, msgspec.structs.replace(lost, time_to_first_token=2500 * MS))
    assert [span.time_to_first_token for span in seed.spans if span.operation == "attempt"] == [500 * MS]


# ---- the page and its API ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, store: SpanStore) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("shown"), spans=store, project_id="shown") as studio:
        seed = trouble(START, "shown")
        put(store, seed, "shown")
        yield studio


def viewer(studio: Studio):
    return studio.visitor(Role.VIEWER)


def read(studio: Studio, path: str = "/api/reliability") -> ReliabilityView:
    answer = viewer(studio).get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=ReliabilityView)


def test_targets_of_routes_and_of_traffic_with_their_circuits(shown: Studio) -> None:
    found = read(shown)
    assert [(each.target, each.state) for each in found.targets] == [
        (THIRD, "open"),
        (FIRST, "refused"),
        (SECOND_TARGET, "closed"),
    ], "what is wrong comes first"
    third, first, _ = found.targets
    assert [(each.gateway, each.state) for each in third.circuits] == [
        ("4711", "open"),
        ("4712", "half_open"),
    ]
    assert "connection refused" in third.circuits[0].why
    assert first.routes == ["support"]
    assert [(each.credential, each.state) for each in first.circuits] == [
        ("OPENAI_API_KEY_2", "refused"),
        ("OPENAI_API_KEY", "closed"),
    ]
    figures = first.figures
    silent = first.failures["hedge_lost"]
    assert sum(first.failures.values()) == sum(figures.lost.values()) + sum(figures.failed.values())
    assert (
        first.failures["upstream_broken"]
        == figures.lost["upstream_broken"] + figures.failed["upstream_failed"]
    )
    asked = figures.answered + sum(first.failures.values()) - silent
    assert first.answered_share == pytest.approx(figures.answered / asked)
    assert sorted((each.provider, each.held, each.waiting, each.refused) for each in found.queues) == [
        ("vllm", 31, 12, 3),
        ("vllm", 32, 40, 0),
    ]


def test_the_page_says_what_the_api_says(shown: Studio) -> None:
    text = balanced(viewer(shown).get("/reliability").text)
    found = read(shown)
    assert len(text) < 100_000
    for target in found.targets:
        assert f'<span class="break">{target.target}</span>' in text
    assert text.count('role="img" aria-labelledby="c-') == 3
    assert "circuit opened" in text
    assert "credential refused" in text
    assert f'<b class="num">{sum(sum(each.figures.lost.values()) for each in found.targets)}</b>' in text
    assert text.count("<tr data-at=") == len(found.points)
    assert "style=" not in text
    csv = viewer(shown).get("/reliability?format=csv").text
    assert len(csv.strip().splitlines()) == 1 + len(found.targets)


def test_lost_attempts_lead_to_their_traces(shown: Studio) -> None:
    browser = viewer(shown)
    text = browser.get("/reliability").text
    links = [html.unescape(link) for link in re.findall(r'href="(/traces\?[^"]*failure=any[^"]*)"', text)]
    found = read(shown)
    headline = links[0]
    rows = browser.get(f"/api{headline}&limit=1000").json()["rows"]
    lost = sum(
        sum(times for kind, times in point.lost.items() if kind != "hedge_lost") for point in found.points
    )
    assert 0 < len(rows) <= lost
    assert all(row["span_count"] > 1 for row in rows)
    at_target = browser.get(f"/api{headline}&limit=1000&target={THIRD}").json()["rows"]
    assert len(at_target) == found.targets[0].figures.lost["upstream_broken"]
    slow = browser.get("/api/traces?run=all&failure=upstream_slow&limit=1000").json()["rows"]
    assert 0 < len(slow) < len(rows)
    overview = browser.get("/api/overview?run=all&failure=any").json()
    assert overview["current"]["requests"] == len(rows)
    opened = next(link for link in links if "target=vllm" in link)
    assert browser.get(f"/api{opened}").json()["rows"], "an opened circuit leads to what opened it"


def test_a_refused_credential_is_well_again_once_its_gateway_says_so(shown: Studio) -> None:
    shown.clock.at = START + MINUTE + SECOND
    seed = Trouble("shown")
    own = {"credential": "OPENAI_API_KEY_2", "gateway": "4711"}
    seed.tell(START + MINUTE, "credential.accepted", FIRST, "The provider takes the credential again.", **own)
    put(shown.store, seed, "later")
    try:
        states = {each.target: each.state for each in read(shown).targets}
        text = viewer(shown).get("/reliability").text
    finally:
        shown.clock.at = START
    assert states == {THIRD: "open", FIRST: "closed", SECOND_TARGET: "closed"}
    assert '<span class="badge good">credential accepted</span>' in text


def test_what_a_gateway_said_is_gone_with_it(shown: Studio) -> None:
    shown.clock.at = START + 10 * MINUTE
    try:
        found = read(shown)
    finally:
        shown.clock.at = START
    assert {each.state for each in found.targets} == {"closed"}
    assert found.queues == []


@pytest.mark.parametrize(
    ("query", "param"), [("range=2y", "range"), ("since=never", "since"), ("format=pdf", "format")]
)
def test_wrong_times_are_named(shown: Studio, query: str, param: str) -> None:
    answer = viewer(shown).get(f"/api/reliability?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_it_takes_a_member(shown: Studio) -> None:
    assert shown.client().get("/api/reliability").status_code == 401
    assert shown.client().get("/reliability").headers["location"].startswith("/sign-in")


def test_empty_states(store: SpanStore, tmp_path: Path) -> None:
    with running_studio(tmp_path, spans=store, project_id="fresh") as studio:
        text = balanced(viewer(studio).get("/reliability").text)
        assert "openai/gpt-4o-mini" in text, "a route's target, though nobody has asked it"
        assert "No attempt failed in this time. Nothing was asked, either." in text
        assert "No provider is probed." in text
        assert "probe_interval = 300" in text
        assert "No circuit changed" in text
    probed = ProviderSettings(kind="openai", api_key="env:KEY", probe="gpt-4o-mini")
    declared = Settings(providers={"openai": probed})
    with running_studio(
        tmp_path, spans=store, project_id="fresh2", in_force=lambda: InForce(file=declared)
    ) as studio:
        assert "to be probed, and no probe has come" in viewer(studio).get("/reliability").text


def test_every_failure_has_words() -> None:
    assert set(FAILURE_WORDS) == {each.value for each in Failure}
    assert failure_words("upstream_slow") == "too slow"
    assert failure_words("upstream_unreachable") == "broken"
    assert failure_words("some_code") == "some code"
    assert class_of_error("upstream_timeout") == "upstream_slow"
