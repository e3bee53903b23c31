"""The page Reliability on a real chDB: what targets lost and to whom, and that lost attempts count as nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest

from browser.failing_seed import FIRST, HOUR, MINUTE, MS, SECOND, SECOND_TARGET, THIRD, Trouble, trouble
from browser.studio_harness import START, Studio, fill, running_studio
from ratchet.domain.access import Role
from ratchet.gateway.failures import Failure
from ratchet.store.spans import Reliability, SpanStore, TargetFigures, TraceFilter

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
    found = by_name(store.reliability(PROJECT, since=at, until=START))
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
    found = store.reliability(PROJECT, since=until - 24 * HOUR, until=until)
    for kinds in ("lost", "failed"):
        of_points = sum(sum(getattr(point, kinds).values()) for point in found.points)
        assert of_points == sum(sum(getattr(each, kinds).values()) for each in found.targets) > 0
    assert sum(point.taken_over for point in found.points) == sum(each.took_over for each in found.targets)
    assert len(found.points) == -(-(until - found.points[0].start) // found.step)
    every = store.reliability(PROJECT, since=None, until=until)
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
    seed.tell(until - 30 * HOUR, "circuit.open", THIRD, "Long ago.", "error", **own)
    seed.tell(until - MINUTE, "queue.state", "vllm", held="3", waiting="1", refused="0", gateway="1")
    seed.tell(until - SECOND, "queue.state", "vllm", held="4", waiting="2", refused="7", gateway="1")
    seed.tell(until - SECOND, "release.rolled_back", "support")
    put(store, seed, "told")
    found = store.reliability(PROJECT, since=until - 24 * HOUR, until=until)
    [probed] = found.probes
    assert (probed.provider, probed.model, probed.answered, probed.failed) == ("openai", "gpt-4o-mini", 3, 1)
    assert (probed.latency_p50, probed.ttft_p50, probed.cost) == (1500 * MS, 250 * MS, Decimal("0.00003"))
    assert (probed.last_failure, probed.last_message) == (until - 2 * MINUTE, "No.")
    assert sum(point.answered for point in probed.points) == 3
    assert [point.latency for point in probed.points if point.answered] == [2500 * MS, 1500 * MS, 500 * MS]
    assert [(each.kind, each.attributes["gateway"]) for each in found.circuits] == [
        ("circuit.half_open", "1"),
        ("circuit.open", "2"),
    ]
    assert [each.attributes["held"] for each in found.queues] == ["4"]
    assert [each.kind for each in found.events] == [
        "circuit.half_open", "probe.failed", "circuit.open", "circuit.open",
    ]  # fmt: skip


def test_nothing_at_all(store: SpanStore) -> None:
    found = store.reliability("nobody", since=None, until=START)
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
