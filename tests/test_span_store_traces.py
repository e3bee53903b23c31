"""Lists, filters, trees and summaries of traces."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ratchet.errors import InvalidRequest
from ratchet.store.spans import SpanStore, TraceFilter
from test_span_store import HOUR, NOON, call, found, make, project, score, store, text, trace_id

__all__ = ["project", "store"]  # fixtures


def test_a_row_tells_what_happened_in_its_trace(store: SpanStore, project: str) -> None:
    root = make(
        project, 1, 1, name="answer", service="shop", duration=3_000_000_000, input_preview="asked",
        output_preview="said", user_id="u", session_id="s", organisation_id="o",
    )  # fmt: skip
    spans = [
        call(project, 1, 2, parent_id=f"{1:016x}", start=root.start + 10, route="support", tags=["b", "a"],
             time_to_first_token=77, input_preview="inner", output_preview="inner"),
        call(project, 1, 3, parent_id=f"{1:016x}", start=root.start + 20, response_model="gpt-4o-mini",
             cost=None, time_to_first_token=5),
        make(project, 1, 4, parent_id=f"{1:016x}", name="lookup", status="error", operation="execute_tool",
             request_model="gpt-4o", input_tokens=5, start=root.start + 4_000_000_000, tags=["c"]),
        root,
    ]  # fmt: skip
    store.insert_spans(spans, token=project)
    store.insert_scores(
        [score(project, 1, "thumbs", 1.0), score(project, 1, "thumbs", 0.0), score(project, 1, "note", None)],
        token=project,
    )
    (row,) = store.traces(project, TraceFilter()).rows
    assert (row.trace_id, row.start, row.duration) == (trace_id(1), root.start, 4_500_000_000)
    assert (row.name, row.service, row.span_count, row.error_count) == ("answer", "shop", 4, 1)
    assert (row.status, row.route, row.tags) == ("error", "support", ["a", "b", "c"])
    assert row.models == ["gpt-4o", "gpt-4o-2024", "gpt-4o-mini"]
    assert (row.user_id, row.session_id, row.organisation_id) == ("u", "s", "o")
    assert (row.input_tokens, row.output_tokens, row.time_to_first_token) == (200, 40, 77)
    assert (row.cost, row.unpriced_calls) == (Decimal("0.000123"), 1)
    assert (row.input_preview, row.output_preview) == ("asked", "said")
    assert row.scores == [("note", None, 1), ("thumbs", 0.5, 2)]


def test_unknown_cost_is_none_and_never_zero(store: SpanStore, project: str) -> None:
    store.insert_spans(
        [
            call(project, 1, cost=None),
            call(project, 2, cost=Decimal(0)),
            make(project, 3),
            call(project, 4, cost=None, status="error", input_tokens=None, output_tokens=None),
        ],
        token=project,
    )
    rows = {int(row.trace_id, 16): row for row in store.traces(project, TraceFilter()).rows}
    assert {number: (row.cost, row.unpriced_calls) for number, row in rows.items()} == {
        1: (None, 1), 2: (Decimal(0), 0), 3: (None, 0), 4: (None, 1),
    }  # fmt: skip
    assert rows[3].input_tokens is None
    assert found(store, project, cost_min=Decimal(0)) == found(store, project, cost_max=Decimal(1)) == [2]
    summary = store.summary(project, since=0)
    assert (summary.cost, summary.unpriced, summary.requests) == (Decimal(0), 2, 3)


def test_an_apps_own_span_around_a_gateways_call_is_not_counted_twice(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, 1, source="otlp"),
        call(project, 1, 2, parent_id=f"{1:016x}"),
        call(project, 1, 3, source="otlp"),  # a call past the gateway
        call(project, 2, 2, source="otlp"),  # the ids of another trace mean nothing here
    ]
    store.insert_spans(spans, token=project)
    two, one = store.traces(project, TraceFilter()).rows
    assert (one.cost, one.input_tokens) == (Decimal("0.000246"), 200)
    assert (two.cost, two.input_tokens) == (Decimal("0.000123"), 100)
    assert found(store, project, cost_min=Decimal("0.0002"), cost_max=Decimal("0.0003")) == [1]
    assert store.summary(project, since=0).requests == 3


def test_traces_are_newest_first_and_pages_cover_each_once(store: SpanStore, project: str) -> None:
    store.insert_spans([make(project, n) for n in range(120)], token=project)
    store.insert_spans(
        [make(project, n, 2, start=NOON + 10 * HOUR) for n in range(0, 120, 2)], token=project + "2"
    )
    pages = [store.traces(project, TraceFilter(), limit=50, offset=offset) for offset in (0, 50, 100, 150)]
    assert [page.total for page in pages] == [120] * 4
    assert [int(row.trace_id, 16) for page in pages for row in page.rows] == list(range(119, -1, -1))


@pytest.mark.parametrize(
    ("field", "value", "other"),
    [
        ("route", "support", "billing"),
        ("provider", "openai", "groq"),
        ("user_id", "ann", "bob"),
        ("organisation_id", "acme", "other"),
        ("session_id", "s1", "s2"),
        ("key_id", "k1", "k2"),
    ],
)
def test_a_filter_finds_the_traces_with_that_value_alone(
    store: SpanStore, project: str, field: str, value: str, other: str
) -> None:
    spans = [make(project, 1, **{field: value}), make(project, 2, **{field: other}), make(project, 3)]
    spans.append(make(project, 4, 1))
    spans.append(make(project, 4, 2, **{field: value}))
    store.insert_spans(spans, token=project)
    assert found(store, project, **{field: value}) == [4, 1]
    assert found(store, project, **{field: "absent"}) == []


def test_filters_on_model_tag_status_latency_and_time(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, tags=["beta", "web"], duration=2_000),
        call(project, 2, response_model="gpt-5", status="error", duration=1_000),
        make(project, 3, tags=["web"], duration=3_000),
        make(project, 3, 2, status="error", start=NOON + 3_000_000_000 + 5_000, duration=1_000),
    ]
    store.insert_spans(spans, token=project)
    assert found(store, project, model="gpt-4o") == [2, 1]
    assert found(store, project, model="gpt-5") == [2]
    assert found(store, project, tag="web") == [3, 1]
    assert found(store, project, status="error") == [3, 2]
    assert found(store, project, status="ok") == [1]
    assert found(store, project, latency_min=2_000) == [3, 1]
    assert found(store, project, latency_min=6_000, latency_max=6_000) == [3]
    assert found(store, project, latency_max=1_000) == [2]
    assert found(store, project, since=NOON + 2_000_000_000) == [3, 2]
    assert found(store, project, until=NOON + 2_000_000_000) == [1]
    assert found(store, project, since=NOON + 2_000_000_000, until=NOON + 2_000_000_001) == [2]


def test_filters_hold_together_across_the_spans_of_a_trace(store: SpanStore, project: str) -> None:
    spans = [
        make(project, 1, 1, user_id="ann"),
        call(project, 1, 2, route="support", duration=9_000_000_000),
        make(project, 2, 1, user_id="ann"),
        call(project, 3, 1, route="support"),
    ]
    store.insert_spans(spans, token=project)
    store.insert_scores([score(project, 1, "thumbs", 0.0), score(project, 3, "thumbs", 1.0)], token=project)
    assert found(store, project, user_id="ann", route="support") == [1]
    assert found(store, project, route="support", latency_min=8_000_000_000) == [1]
    assert found(store, project, route="support", score_name="thumbs", score_max=0.5) == [1]
    assert found(store, project, route="support", cost_min=Decimal(0), status="ok") == [3, 1]
    assert found(store, project, route="support", cost_min=Decimal(0), latency_max=1_000_000_000) == [3]
    assert found(store, project, status="error", route="support") == []


def test_score_filters_take_name_and_range(store: SpanStore, project: str) -> None:
    store.insert_spans([make(project, n) for n in range(1, 6)], token=project)
    scores = [
        score(project, 1, "tone", 0.1), score(project, 2, "tone", 0.9), score(project, 3, "thumbs", 0.1),
        score(project, 4, "tone", None),
    ]  # fmt: skip
    store.insert_scores(scores, token=project)
    assert found(store, project, score_name="tone") == [4, 2, 1]
    assert found(store, project, score_name="tone", score_min=0.9) == [2]
    assert found(store, project, score_max=0.1) == [3, 1]


def test_full_text_finds_words_in_messages_names_and_errors(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, input_messages=text("Where is my Parcel?\nNumber A-17."), output_messages=text("On its way")),
        call(project, 2, input_messages=text("Écoute: ÜBER straße"), output_messages=text("日本語の荷物")),
        make(project, 3, name="lookup_order", error_type="upstream_timeout", error_message="the parcel never came"),
        call(project, 4, input_messages='[{"role":"user","parts":[{"type":"blob","modality":"image","content":"'
             + "parcel" * 60 + '"}]}]'),
        call(project, 5, output_messages='[{"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"refund",'
             '"arguments":{"amount":"twelve"}}]}]'),
    ]  # fmt: skip
    store.insert_spans(spans, token=project)
    assert found(store, project, query="parcel") == [3, 1]
    assert found(store, project, query="  PARCEL way ") == [1]
    assert found(store, project, query="number") == [1]  # behind an escaped line end
    assert found(store, project, query="17") == [1]
    assert found(store, project, query="parc") == []
    assert found(store, project, query="parc*") == [3, 1]
    assert found(store, project, query="way PAR*") == found(store, project, query="par* parcel wa*") == [1]
    assert found(store, project, query="nowhere*") == found(store, project, query="par* nowhere*") == []
    assert found(store, project, query="lookup_or*") == [3]
    assert found(store, project, query="über*") == found(store, project, query="ü*") == [2]
    assert found(store, project, query="荷*") == [2]
    assert found(store, project, query="über écoute") == [2]
    assert found(store, project, query="荷物") == [2]
    assert (
        found(store, project, query="upstream_timeout") == found(store, project, query="lookup_order") == [3]
    )
    assert found(store, project, query="refund twelve") == [5]
    assert (
        found(store, project, query="role") == found(store, project, query="parts") == []
    )  # JSON, not words
    assert found(store, project, query="user") == []
    assert found(store, project, query="?!") == []
    assert found(store, project, query=trace_id(2).upper()) == [2]


@pytest.mark.parametrize("query", ["*", "r*", "refund r*", "ü.a*"])
def test_a_beginning_that_could_be_anything_is_refused(store: SpanStore, project: str, query: str) -> None:
    with pytest.raises(InvalidRequest, match="too many words"):
        found(store, project, query=query)


def test_a_tree_has_all_its_spans_in_order_and_its_scores(store: SpanStore, project: str) -> None:
    root = make(project, 1, 9, input_messages=text("heavy"), attributes={"x": "y"})
    children = [call(project, 1, n, parent_id=root.span_id, start=root.start + 9 - n) for n in range(1, 9)]
    store.insert_spans([*children, root, make(project, 2)], token=project)
    store.insert_scores([score(project, 1, "a", 1.0), score(project, 2, "b", 1.0)], token=project)
    tree = store.trace(project, trace_id(1))
    assert tree is not None
    assert [span.span_id for span in tree.spans] == [root.span_id, *(f"{n:016x}" for n in range(8, 0, -1))]
    assert [one.name for one in tree.scores] == ["a"]
    assert tree.spans[1].attempt_cost is None
    for field in set(tree.spans[1].__struct_fields__) - {"attempt_cost"}:
        assert getattr(tree.spans[1], field) == getattr(children[7], field)
    assert store.trace(project, trace_id(3)) is None
    assert store.trace("another", trace_id(1)) is None


def test_a_summary_adds_up(store: SpanStore, project: str) -> None:
    spans = [
        call(project, n, duration=n * 1000, time_to_first_token=n, user_id=f"u{n % 3}", session_id=f"s{n}",
             cached_tokens=10 if n == 1 else None, response_model="a" if n < 60 else "b")
        for n in range(1, 100)
    ]  # fmt: skip
    spans.append(call(project, 200, status="error", error_type="timeout", input_tokens=None, output_tokens=None,
                      cost=None, duration=1, response_model="", request_model="a"))  # fmt: skip
    spans.append(make(project, 1, 2, operation="invoke_agent", request_model="a", input_tokens=999))
    store.insert_spans(spans, token=project)
    store.insert_scores(
        [score(project, 1, "t", 1.0), score(project, 2, "t", 0.0), score(project, 3, "u", None)],
        token=project,
    )
    summary = store.summary(project, since=0)
    assert (summary.requests, summary.errors, summary.unpriced) == (100, 1, 1)
    assert [(one.model, one.requests, one.input_tokens) for one in summary.models] == [
        ("a", 60, 5900),
        ("b", 40, 4000),
    ]
    assert (summary.latency_p50, summary.latency_p95, summary.latency_p99) == (50_000, 95_000, 99_000)
    assert (summary.ttft_p50, summary.ttft_p95) == (50, 95)
    assert (summary.input_tokens, summary.output_tokens, summary.cached_tokens) == (9900, 1980, 10)
    assert summary.reasoning_tokens is None
    assert summary.cost == 99 * Decimal("0.000123")
    assert [(one.name, one.count, one.mean) for one in summary.scores] == [("t", 2, 0.5), ("u", 1, None)]
    assert (summary.users, summary.sessions, summary.by_error) == (3, 99, [("timeout", 1)])
    assert store.summary(project, since=NOON + 10_000_000_000, until=NOON + 20_000_000_000).requests == 10


def test_a_summary_of_nothing_knows_nothing(store: SpanStore, project: str) -> None:
    summary = store.summary(project, since=0)
    assert (summary.requests, summary.errors, summary.models, summary.scores) == (0, 0, [], [])
    assert {
        summary.latency_p50,
        summary.latency_p99,
        summary.ttft_p95,
        summary.cost,
        summary.input_tokens,
    } == {None}
    assert store.traces(project, TraceFilter()).total == 0
    assert store.traces(project, TraceFilter(), offset=50).total == 0


def test_facets_are_the_values_that_occur(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, route="b", tags=["y"], service="shop", key_id="k", organisation_id="o"),
        call(project, 2, route="a", tags=["x", "y"], response_model="gpt-5"),
        call(project, 3, route="old", start=NOON - HOUR),
    ]
    store.insert_spans(spans, token=project)
    store.insert_scores(
        [score(project, 1, "t", 1.0), score(project, 1, "old", 1.0, time=NOON - HOUR)], token=project
    )
    facets = store.facets(project, since=NOON)
    assert (facets.routes, facets.tags, facets.models) == (["a", "b"], ["x", "y"], ["gpt-4o-2024", "gpt-5"])
    assert (facets.services, facets.keys, facets.organisations) == (["shop"], ["k"], ["o"])
    assert (facets.providers, facets.operations, facets.score_names) == (["openai"], ["chat"], ["t"])
