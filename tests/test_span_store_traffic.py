"""The overview's figures: by hand, and against plain sums over generated spans."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.domain.spans import Span
from ratchet.errors import InvalidRequest
from ratchet.store.spans import DIMENSIONS, Figures, Overview, SpanStore, TraceFilter
from ratchet.store.spans.traffic import step_for
from test_span_store import HOUR, call, make, project, score, store, trace_id

__all__ = ["project", "store"]  # fixtures

SECOND = 10**9
MINUTE = 60 * SECOND
BEGIN = 1_760_000_400 * SECOND  # on a whole minute
_numbers = itertools.count()


def overview(
    store: SpanStore, project: str, by: str = "route", *, now: int = BEGIN + HOUR, **wanted: Any
) -> Overview:
    return store.overview(project, TraceFilter(**wanted), dimension=by, now=now)


def test_an_hour_adds_up_beside_the_hour_before(store: SpanStore, project: str) -> None:
    spans = [
        call(project, n, start=BEGIN + n * MINUTE, duration=n * SECOND, time_to_first_token=n * 10,
             cached_tokens=30, reasoning_tokens=5, route="a" if n < 30 else "b", language="de" if n == 7 else "")
        for n in range(60)
    ]  # fmt: skip
    spans += [
        call(project, 100, start=BEGIN, status="error", cost=None, input_tokens=None, output_tokens=None,
             duration=1, route="b"),
        call(project, 101, start=BEGIN - 1, duration=90 * SECOND, cost=Decimal(3)),
        call(project, 102, start=BEGIN - HOUR, duration=10 * SECOND, status="error"),
        call(project, 103, start=BEGIN - HOUR - 1, cost=Decimal(9)),  # before the time before
        call(project, 104, start=BEGIN + HOUR, cost=Decimal(9)),  # after the end
        make(project, 1, 2, start=BEGIN, operation="execute_tool", duration=5 * HOUR),
    ]  # fmt: skip
    store.insert_spans(spans, token=project)
    found = overview(store, project, since=BEGIN)
    now, before = found.current, found.before
    assert (found.since, found.until, found.step) == (BEGIN, BEGIN + HOUR, 2 * MINUTE)
    assert (now.requests, now.errors, now.unpriced, now.error_rate) == (61, 1, 1, 1 / 61)
    assert now.cost == 60 * Decimal("0.000123")
    assert (now.input_tokens, now.output_tokens, now.cached_tokens) == (6000, 1200, 1800)
    assert (now.reasoning_tokens, now.cache_write_tokens, now.audio_input_tokens) == (300, None, None)
    assert (now.latency_p50, now.latency_p95, now.latency_p99) == (29 * SECOND, 56 * SECOND, 59 * SECOND)
    assert (now.ttft_p50, now.ttft_p95) == (300, 570)
    assert before is not None
    assert (before.requests, before.errors, before.cost) == (2, 1, Decimal("3.000123"))
    assert [point.start for point in found.points] == [BEGIN + n * 2 * MINUTE for n in range(30)]
    assert [point.figures.requests for point in found.points] == [3] + [2] * 29
    assert [point.before.requests for point in found.points if point.before] == [1] + [0] * 28 + [1]
    assert found.points[4].figures.latency_p95 == 9 * SECOND
    assert [(one.value, one.figures.requests, one.figures.errors) for one in found.groups] == [
        ("b", 31, 1),
        ("a", 30, 0),
    ]
    assert found.group_count == 2
    languages = overview(store, project, "language", since=BEGIN).groups
    assert [(one.value, one.figures.requests) for one in languages] == [("", 60), ("de", 1)]


def test_all_of_time_begins_with_the_first_span_and_has_nothing_before_it(
    store: SpanStore, project: str
) -> None:
    store.insert_spans([call(project, n, start=BEGIN + 7 + n * HOUR) for n in range(5)], token=project)
    found = overview(store, project, now=BEGIN + 5 * HOUR)
    assert (found.since, found.before, found.current.requests) == (BEGIN, None, 5)
    assert all(point.before is None for point in found.points)
    assert sum(point.figures.requests for point in found.points) == 5
    assert overview(store, project, until=BEGIN + HOUR).current.requests == 1


def test_an_overview_of_nothing_knows_nothing(store: SpanStore, project: str) -> None:
    found = overview(store, project)
    assert (found.current, found.groups, found.group_count, found.points) == (Figures(), [], 0, [])
    quiet = overview(store, project, since=BEGIN)
    assert quiet.before == Figures()
    assert {point.figures for point in quiet.points} == {Figures()}
    with pytest.raises(InvalidRequest, match="colour"):
        overview(store, project, "colour")


def test_filters_hold_for_the_call_itself(store: SpanStore, project: str) -> None:
    spans = [
        call(
            project, 1, 1, start=BEGIN, route="a", language="de", tags=["x"], key_id="k", duration=2 * SECOND
        ),
        call(project, 1, 2, start=BEGIN, route="b", status="error", cost=None, response_model=""),
        call(project, 2, 1, start=BEGIN, route="b", cost=Decimal(1)),
    ]
    store.insert_spans(spans, token=project)
    store.insert_scores([score(project, 2, "tone", 0.5)], token=project)

    def count(**wanted: Any) -> int:
        return overview(store, project, since=BEGIN, **wanted).current.requests

    assert (count(), count(route="a"), count(route="b"), count(language="de"), count(tag="x")) == (
        3,
        1,
        2,
        1,
        1,
    )
    assert (count(status="ok"), count(status="error"), count(status="ok", route="b")) == (2, 1, 1)
    assert (count(cost_min=Decimal(1)), count(latency_min=2 * SECOND), count(key_id="k")) == (1, 1, 1)
    assert (count(model="gpt-4o"), count(model="gpt-4o-2024"), count(score_name="tone")) == (3, 2, 1)
    assert (count(without=("language",)), count(without=("language", "cost")), count(without=("key",))) == (
        2,
        1,
        2,
    )
    with pytest.raises(InvalidRequest, match="colour"):
        count(without=("colour",))


def test_providers_are_told_apart_by_the_names_they_are_declared_with(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, start=BEGIN, provider="openai", target="here/gpt-4o"),
        call(project, 2, start=BEGIN, provider="openai", target="there/gpt-4o"),
        call(project, 3, start=BEGIN, provider="openai", target=""),  # an app's own span
    ]
    store.insert_spans(spans, token=project)
    found = overview(store, project, "provider", since=BEGIN)
    assert {group.value: group.figures.requests for group in found.groups} == {
        "here": 1,
        "there": 1,
        "openai": 1,
    }
    assert store.traces(project, TraceFilter(provider="here")).total == 1
    assert store.facets(project, since=BEGIN).providers == ["here", "openai", "there"]


def test_a_call_recorded_twice_counts_once(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, 1, start=BEGIN, source="otlp", cost=Decimal(5), user_id="ann"),
        call(project, 1, 2, start=BEGIN + 1, parent_id=f"{1:016x}", cost=Decimal(7)),
        call(project, 2, 1, start=BEGIN, source="otlp", cost=Decimal(1)),
    ]
    store.insert_spans(spans, token=project)
    found = overview(store, project, "user", since=BEGIN)
    assert (found.current.requests, found.current.cost) == (2, Decimal(8))
    # The gateway's call does not name its user, but the app's own span around it does.
    assert [(one.value, one.figures.cost) for one in found.groups] == [("", Decimal(1)), ("ann", Decimal(7))]
    assert overview(store, project, since=BEGIN, user_id="ann").current.cost == Decimal(7)
    assert overview(store, project, since=BEGIN, without=("user",)).current.cost == Decimal(1)
    page = store.traces(project, TraceFilter(without=("user",)))
    assert [row.trace_id for row in page.rows] == [trace_id(2)]
    assert store.traces(project, TraceFilter(without=("language",))).total == 2
    assert store.traces(project, TraceFilter(user_id="ann", without=("user",))).total == 0


def test_traces_are_found_by_language_and_by_what_a_call_leaves_unsaid(
    store: SpanStore, project: str
) -> None:
    spans = [
        call(project, 1, language="de", route="r"),
        call(project, 2, cost=None),
        make(project, 3),  # no call: it has nothing to leave unsaid
        call(project, 4, 1, source="otlp"),
        call(project, 4, 2, parent_id=f"{1:016x}", language="fr"),  # the same call, which says it
    ]
    store.insert_spans(spans, token=project)

    def found(**wanted: Any) -> list[int]:
        return [int(row.trace_id, 16) for row in store.traces(project, TraceFilter(**wanted)).rows]

    assert (found(language="de"), found(language="fr"), found(language="nl")) == ([1], [4], [])
    assert (found(without=("language",)), found(without=("cost",)), found(without=("route",))) == (
        [2],
        [2],
        [4, 2],
    )
    assert found(without=("session",)) == [4, 2, 1]
    assert found(without=("session", "cost"), status="ok", latency_min=1) == [2]


@pytest.mark.parametrize(
    ("width", "step"),
    [(15 * MINUTE, 30 * SECOND), (HOUR, 2 * MINUTE), (24 * HOUR, 30 * MINUTE), (7 * 24 * HOUR, 4 * HOUR), (30 * 24 * HOUR, 24 * HOUR)],
)  # fmt: skip
def test_the_steps_of_the_usual_ranges(width: int, step: int) -> None:
    assert step_for(width) == step


@given(width=st.integers(1, 100 * 365 * 24 * HOUR))
def test_steps_make_few_points(width: int) -> None:
    assert width <= step_for(width) * 50
    assert width < SECOND * 50 or width > step_for(width) * 4


# ---- against plain sums ----------------------------------------------------------------------------------------

_amounts = st.none() | st.integers(0, 10**6).map(lambda n: Decimal(n).scaleb(-9))
_tokens = st.none() | st.integers(0, 10**6)
_calls = st.fixed_dictionaries(
    {
        "start": st.integers(-70 * MINUTE, 70 * MINUTE).map(lambda offset: BEGIN + offset),
        "duration": st.integers(0, 10**11),
        "time_to_first_token": _tokens,
        "status": st.sampled_from(["ok", "error", "unset"]),
        "route": st.sampled_from(["", "a", "b"]),
        "language": st.sampled_from(["", "de"]),
        "user_id": st.sampled_from(["", "u", "v"]),
        "request_model": st.sampled_from(["m", "n", ""]),
        "response_model": st.sampled_from(["", "m-1"]),
        "operation": st.sampled_from(["chat", "execute_tool"]),
        "cost": _amounts,
        "input_tokens": _tokens,
        "output_tokens": _tokens,
        "cached_tokens": _tokens,
        "reasoning_tokens": _tokens,
    }
)


def brute(spans: list[Span]) -> Figures:
    def total(name: str) -> Any:
        known = [value for span in spans if (value := getattr(span, name)) is not None]
        return sum(known) if known else None

    def quantile(name: str, level: float) -> int | None:
        known = sorted(value for span in spans if (value := getattr(span, name)) is not None)
        return known[min(int(level * len(known)), len(known) - 1)] if known else None

    sums = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
            "audio_input_tokens", "audio_output_tokens", "cost")  # fmt: skip
    return Figures(
        requests=len(spans),
        errors=sum(span.status == "error" for span in spans),
        unpriced=sum(span.cost is None for span in spans),
        latency_p50=quantile("duration", 0.5),
        latency_p95=quantile("duration", 0.95),
        latency_p99=quantile("duration", 0.99),
        ttft_p50=quantile("time_to_first_token", 0.5),
        ttft_p95=quantile("time_to_first_token", 0.95),
        **{name: total(name) for name in sums},
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(_calls, max_size=40),
    by=st.sampled_from(sorted(DIMENSIONS)),
    route=st.sampled_from(["", "a"]),
)
def test_every_sum_is_what_adding_up_gives(
    store: SpanStore, calls: list[dict[str, Any]], by: str, route: str
) -> None:
    project = f"sums-{next(_numbers)}"
    spans = [make(project, number, **fields) for number, fields in enumerate(calls)]
    store.insert_spans(spans, token=project)
    found = overview(store, project, by, since=BEGIN, route=route)
    counted = [
        span
        for span in spans
        if (span.request_model or span.response_model)
        and span.operation == "chat"
        and route in ("", span.route)
    ]
    now = [span for span in counted if BEGIN <= span.start < BEGIN + HOUR]
    before = [span for span in counted if BEGIN - HOUR <= span.start < BEGIN]
    assert found.current == brute(now)
    assert found.before == brute(before)
    for point in found.points:
        assert point.figures == brute([s for s in now if 0 <= s.start - point.start < found.step])
        assert point.before == brute([s for s in before if 0 <= s.start + HOUR - point.start < found.step])

    def value(span: Span) -> str:
        model = span.response_model or span.request_model
        return {"model": model, "user": span.user_id, "organisation": span.organisation_id}.get(by) or (
            "" if by in ("user", "organisation") else model if by == "model" else getattr(span, by)
        )

    assert {one.value: one.figures for one in found.groups} == {
        name: brute([span for span in now if value(span) == name]) for name in {value(span) for span in now}
    }
    assert found.group_count == len({value(span) for span in now})
