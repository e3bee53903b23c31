"""The span store: what is written is what is read, once, on chDB and on ClickHouse's interface."""

from __future__ import annotations

import threading
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clickhouse_server import clickhouse_server
from ratchet.domain.spans import ORIGINAL_TIME, Event, Score, Span
from ratchet.errors import InvalidRequest, Misconfigured, Unavailable
from ratchet.store.spans import KeyUse, SpanStore, TraceFilter
from ratchet.store.spans.schema import COLUMNS, LATEST, TABLES, TIME_MAX

HOUR = 3_600_000_000_000
NOON = 1_760_000_000_123_456_789


@pytest.fixture(scope="module", params=["chdb", "clickhouse"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[SpanStore]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "chdb":
        opened = SpanStore.open(f"chdb://{folder}/spans")
        yield opened
        opened.close()
    else:
        with clickhouse_server(folder / "spans") as port:
            opened = SpanStore.open(f"clickhouse://127.0.0.1:{port}/observed")
            yield opened
            opened.close()


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """Tests share a store and keep apart by project."""
    return request.node.name


def trace_id(number: int) -> str:
    return f"{number:032x}"


def make(project: str, number: int, span: int = 1, **fields: Any) -> Span:
    values = {"name": "chat", "start": NOON + number * 1_000_000_000, "duration": 500_000_000, "status": "ok"}
    return Span(project_id=project, trace_id=trace_id(number), span_id=f"{span:016x}", **(values | fields))


def call(project: str, number: int, span: int = 1, **fields: Any) -> Span:
    values = {
        "source": "gateway", "operation": "chat", "provider": "openai", "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024", "input_tokens": 100, "output_tokens": 20, "cost": Decimal("0.000123"),
    }  # fmt: skip
    return make(project, number, span, **(values | fields))


def score(project: str, number: int, name: str, value: float | None, **fields: Any) -> Score:
    key = fields.pop("score_id", f"{number}-{name}-{value}")
    values = {"time": NOON, "source": "user", "trace_id": trace_id(number)}
    return Score(project_id=project, score_id=key, name=name, value=value, **(values | fields))


def text(*lines: str) -> str:
    message = {"role": "user", "parts": [{"type": "text", "content": line} for line in lines]}
    return msgspec.json.encode([message]).decode()


def found(store: SpanStore, project: str, **wanted: Any) -> list[int]:
    page = store.traces(project, TraceFilter(**wanted))
    assert page.total == len(page.rows)
    return [int(row.trace_id, 16) for row in page.rows]


FULL = Span(
    project_id="", trace_id="a" * 32, span_id="b" * 16, parent_id="c" * 16, name="chat é 日本", kind="client",
    source="gateway", service="shop", operation="chat", start=NOON, duration=1_234_567_891,
    time_to_first_token=7, status="error", error_type="timeout", error_message="it's \\ 'late'\n",
    http_status=504, key_id="k", user_id="u", organisation_id="o", segment="s", session_id="se",
    tags=["x", "y z"], app_version="1", language="nl", route="r", target="openai/g", strategy="single",
    attempt=2, prompt="p", prompt_version="3", release="rel", cache_status="miss",
    guard_verdicts={"pii": "ok"}, provider="openai", request_model="m", response_model="m2",
    response_id="id", stream=True, input_tokens=0, output_tokens=2**40, cached_tokens=1,
    cache_write_tokens=None, reasoning_tokens=5, audio_input_tokens=6, audio_output_tokens=None,
    cost=Decimal("12345.000000000000000001"), finish_reasons=["stop", "length"], input_messages=text("hi"),
    output_messages="[]", tool_definitions="[{}]", input_preview="hi", output_preview="ho",
    embedding=[0.5, -1.0], attributes={"a": "b", "": "{}"}, resource={"service.name": "shop"},
    events='[{"name":"e"}]', links="[]", run_id="run", candidate="cand", case_id="case", repeat=3,
)  # fmt: skip


def test_tables_have_the_fields_of_the_domain_in_their_order(store: SpanStore) -> None:
    for table, struct in TABLES.items():
        rows = store._pool.select(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
            "AND default_kind = '' ORDER BY position",
            {"table": table},
        )
        assert tuple(row[0] for row in rows) == struct.__struct_fields__ == COLUMNS[table]


def test_a_span_comes_back_as_it_was_written(store: SpanStore, project: str) -> None:
    full = msgspec.structs.replace(FULL, project_id=project)
    bare = Span(project_id=project, trace_id="d" * 32, span_id="e" * 16, name="n", start=NOON + 1, duration=0)
    store.insert_spans([full, bare], token=project)
    assert store.span(project, full.trace_id, full.span_id) == full
    assert store.span(project, bare.trace_id, bare.span_id) == bare
    assert store.span(project, full.trace_id, bare.span_id) is None
    assert store.span("another project", full.trace_id, full.span_id) is None


def test_scores_and_events_come_back_as_they_were_written(store: SpanStore, project: str) -> None:
    scores = [
        score(project, 1, "thumbs", 1.0, label="up", comment="'good'", correction="c", author="ann",
              span_id="f" * 16, session_id="s", case_id="c", run_id="r", attributes={"a": "b"}),
        score(project, 1, "tone", None, time=NOON - 1),
        score(project, 2, "tone", 0.25, time=NOON - 2),
    ]  # fmt: skip
    events = [
        Event(project_id=project, event_id=str(n), time=NOON - n, kind=("a", "b")[n % 2], subject="s",
              message="m", severity="error", attributes={"x": "y"})
        for n in range(4)
    ]  # fmt: skip
    store.insert_scores(scores, token=project)
    store.insert_events(events, token=project)
    assert store.scores(project) == scores
    assert store.scores(project, trace_id=trace_id(1)) == scores[:2]
    assert store.scores(project, span_id="f" * 16) == store.scores(project, session_id="s") == scores[:1]
    assert store.scores(project, limit=1) == scores[:1]
    assert store.events(project) == events
    assert store.events(project, kind="b") == [events[1], events[3]]
    assert store.events(project, since=NOON - 1) == events[:2]


def test_the_same_token_inserts_once_and_another_one_again(store: SpanStore, project: str) -> None:
    months = [make(project, n, start=NOON + n * 45 * 24 * HOUR) for n in range(5)]
    for _ in range(3):
        store.insert_spans(months, token=f"{project}:spans")
        store.insert_scores([score(project, 1, "s", 1.0)], token=f"{project}:scores")
    assert [store.traces(project, TraceFilter()).rows[n].span_count for n in range(5)] == [1] * 5
    assert len(store.scores(project)) == 1
    store.insert_spans(months[:1], token=f"{project}:other")
    assert store.traces(project, TraceFilter()).rows[4].span_count == 2


def test_a_partly_inserted_batch_is_completed_by_its_replay(store: SpanStore, project: str) -> None:
    """What a crash between two partitions leaves: some months are in, some are not."""
    months = [make(project, n, start=NOON + n * 45 * 24 * HOUR) for n in range(4)]
    store.insert_spans([span for span in months if span is not months[2]], token=project)
    before = store.traces(project, TraceFilter()).total
    store.insert_spans(months, token=project)
    assert (before, store.traces(project, TraceFilter()).total) == (3, 4)


def test_times_out_of_range_are_clamped_and_the_original_kept(store: SpanStore, project: str) -> None:
    times = [-(2**62), -1, 0, TIME_MAX, TIME_MAX + 1, 2**63 - 1, 2**70]
    spans = [make(project, n, start=time, attributes={"mine": "1"}) for n, time in enumerate(times)]
    store.insert_spans(spans, token=project)
    for number, time in enumerate(times):
        read = store.span(project, trace_id(number), f"{1:016x}")
        assert read is not None
        assert read.start == min(max(time, 0), TIME_MAX)
        kept = {} if 0 <= time <= TIME_MAX else {ORIGINAL_TIME: str(time)}
        assert read.attributes == {"mine": "1"} | kept


def test_one_value_that_does_not_fit_takes_no_other_row_with_it(store: SpanStore, project: str) -> None:
    odd = [
        call(project, 1, input_tokens=2**70, http_status=2**40),
        call(project, 2, cost=Decimal("NaN")),
        call(project, 3, cost=Decimal("0.1234567890123456789")),
        call(project, 4, error_message="lone \ud800 half"),
        call(project, 5, output_tokens=1.5),
        call(project, 6),
    ]
    store.insert_spans(odd, token=project)
    read = [store.span(project, trace_id(number), f"{1:016x}") for number in range(1, 7)]
    assert all(read)
    assert read[0].input_tokens == 2**63 - 1  # type: ignore[union-attr]
    assert read[1].cost is None  # type: ignore[union-attr]
    assert read[2].cost == Decimal("0.123456789012345679")  # type: ignore[union-attr]
    assert read[3].error_message == "lone ? half"  # type: ignore[union-attr]
    assert read[5] == odd[5]


def test_a_score_that_is_no_number_is_unscored(store: SpanStore, project: str) -> None:
    store.insert_scores([score(project, 1, "x", float("nan"))], token=project)
    assert store.scores(project)[0].value is None


def test_threads_query_and_insert_beside_each_other(store: SpanStore, project: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                store.insert_spans([make(project, number * 100 + turn)], token=f"{project}:{number}:{turn}")
                store.traces(project, TraceFilter())
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's, below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.traces(project, TraceFilter()).total == 40


def test_nothing_a_user_types_reaches_sql(store: SpanStore, project: str) -> None:
    nasty = "'; DROP TABLE spans; -- {x:String} \\ %s \" ` \n 日"
    store.insert_spans([call(project, 1, route=nasty, user_id=nasty, tags=[nasty])], token=project)
    store.insert_scores([score(project, 1, nasty, 1.0)], token=project)
    assert found(store, project, route=nasty, user_id=nasty, tag=nasty, score_name=nasty) == [1]
    assert found(store, project, query=nasty) == []
    assert found(store, nasty) == []


def test_an_unknown_status_is_the_callers_mistake(store: SpanStore, project: str) -> None:
    with pytest.raises(InvalidRequest, match="bad"):
        store.traces(project, TraceFilter(status="bad"))


def test_check_counts_rows_and_bytes(store: SpanStore, project: str) -> None:
    before = store.check()
    store.insert_spans([make(project, 1)], token=project)
    after = store.check()
    assert after.tables["spans"].rows == before.tables["spans"].rows + 1
    assert after.bytes_on_disk > 0
    assert (after.schema, before.engine) == (LATEST, after.engine)
    assert after.version.count(".") >= 2


@pytest.mark.parametrize(
    "dsn", ["chdb://relative/folder", "chdb://", "mysql://x/y", "clickhouse://", "nonsense", "chdb:///"]
)
def test_an_address_of_another_form_is_refused_with_what_to_write(dsn: str) -> None:
    with pytest.raises(Misconfigured, match=r"chdb:///absolute/folder"):
        SpanStore.open(dsn)


def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_hidden(free_port: int) -> None:
    with pytest.raises(Unavailable) as caught:
        SpanStore.open(f"clickhouse://me:secret@127.0.0.1:{free_port}/x")
    assert "secret" not in str(caught.value)
    assert str(free_port) in str(caught.value)


def test_a_server_that_goes_away_is_unavailable_and_comes_back(tmp_path: Path, free_port: int) -> None:
    with clickhouse_server(tmp_path / "spans", free_port):
        store = SpanStore.open(f"clickhouse://127.0.0.1:{free_port}/x")
        store.insert_spans([make("p", 1)], token="1")
    with pytest.raises(Unavailable):
        store.insert_spans([make("p", 2)], token="2")
    with clickhouse_server(tmp_path / "spans", free_port):
        store.insert_spans([make("p", 2)], token="2")
        assert store.traces("p", TraceFilter()).total == 2
        store.close()


def test_a_closed_store_says_so(tmp_path: Path, free_port: int) -> None:
    with clickhouse_server(tmp_path / "spans", free_port):
        store = SpanStore.open(f"clickhouse://127.0.0.1:{free_port}/x")
        store.close()
        store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.check()


def test_health_by_provider_and_by_route(store: SpanStore, project: str) -> None:
    spans = [
        call(project, 1, target="lab/a", route="r", duration=100, time_to_first_token=10),
        call(project, 2, target="lab/b", route="s", duration=300),
        call(
            project,
            3,
            target="far/a",
            route="s",
            status="error",
            error_type="upstream_failed",
            error_message="first",
        ),
        call(
            project,
            4,
            target="far/a",
            route="s",
            status="error",
            error_type="upstream_failed",
            error_message="last",
        ),
        call(project, 5, target="far/a", route="s", status="error", error_type="client_closed_request"),
        call(project, 6, target="", route="", status="error", error_type="model_not_found"),
        call(project, 7, source="otlp", target="lab/a", route="r"),
        call(project, -9999, target="old/a", route="old"),
    ]
    store.insert_spans(spans, token=f"{project}-health")
    providers = store.health(project, by="provider", since=NOON)
    assert {name: (each.calls, each.errors) for name, each in providers.items()} == {
        "lab": (2, 0),
        "far": (3, 2),
    }
    assert (providers["lab"].latency_p50, providers["lab"].ttft_p50, providers["lab"].ttft_p95) == (
        300,
        10,
        10,
    )
    assert providers["lab"].error_time is None
    far = providers["far"]
    assert (far.error_trace_id, far.error_type, far.error_message) == (trace_id(4), "upstream_failed", "last")
    assert far.error_time == NOON + 4 * 1_000_000_000
    assert far.ttft_p50 is None
    routes = store.health(project, by="route", since=NOON)
    assert {name: each.calls for name, each in routes.items()} == {"r": 1, "s": 4}
    assert routes["s"].error_message == "last"
    assert store.health(project, by="route", since=NOON + HOUR) == {}


def test_when_keys_were_used(store: SpanStore, project: str) -> None:
    store.insert_spans(
        [
            call(project, 1, key_id="k"),
            call(project, 2, key_id="k"),
            call(project, 3),
            call(project, -9999, key_id="old"),
        ],
        token=f"{project}-keys",
    )
    assert store.key_use(project, since=NOON) == {"k": KeyUse(spans=2, last=NOON + 2 * 1_000_000_000)}
