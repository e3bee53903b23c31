"""Forwarding spans to another collector: at least once, in bounds, and holding up nobody."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ratchet.domain.spans import Event, Score
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError, UpstreamFailed
from ratchet.telemetry.calls import Call, OtlpBody, encode_record
from ratchet.telemetry.collector import Collector
from ratchet.telemetry.export import OtlpExporter, Posted, http_poster
from ratchet.telemetry.spool import SpoolWriter, segments

ENDPOINT = "http://collector.example/v1/traces"


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        self.time += 1_000
        return self.time


class Endpoint:
    """Takes what is posted and answers with what it is told."""

    def __init__(self) -> None:
        self.answers: list[Posted | RatchetError] = []
        self.taken: list[tuple[str, bytes]] = []
        self.headers: Mapping[str, str] = {}

    def __call__(self, address: str, headers: Mapping[str, str], body: bytes) -> Posted:
        assert address == ENDPOINT
        self.headers = headers
        answer = self.answers.pop(0) if self.answers else Posted(200)
        if isinstance(answer, RatchetError):
            raise answer
        if answer.status == 200:
            self.taken.append((headers["content-type"], gzip.decompress(body)))
        return answer

    def span_ids(self) -> list[str]:
        found: list[str] = []
        for kind, body in self.taken:
            if kind == "application/json":
                spans = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
                found += [span["spanId"] for span in spans]
            else:
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    found += [span.span_id.hex() for scope in group.scope_spans for span in scope.spans]
        return found


def call(number: int, size: int = 0) -> Call:
    return Call(
        project_id="p", key_id="k", trace_id="1" * 32, span_id=f"{number:016x}", parent_id="", start=5, duration=7,
        dialect="openai_chat", operation="chat", route="r", target="openai/m", provider="openai", request_model="m",
        response_model="m", response_id="c", stream=False, status="ok", error_type="", error_message="",
        http_status=200, time_to_first_token=None, usage=Usage(3, 4), cost="0.5", finish_reasons=["stop"], user_id="",
        organisation_id="", session_id="", tags=[], app_version="", language="", metadata={},
        request=json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * size}]}).encode(),
        response=b"{}",
    )  # fmt: skip


def otlp(number: int, encoding: str = "protobuf") -> OtlpBody:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = b"\1" * 16, number.to_bytes(8, "big"), "app"
    body = request.SerializeToString()
    if encoding == "json":
        wire = {"traceId": "01" * 16, "spanId": f"{number:016x}"}
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [wire]}]}]}).encode()
    return OtlpBody(project_id="p", key_id="k", received=1, encoding=encoding, body=body)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[SpoolWriter]:
    writer = SpoolWriter(tmp_path / "spool", now=Clock(), segment_bytes=20_000)
    yield writer
    writer.close()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def events() -> list[Event]:
    return []


Make = Callable[..., OtlpExporter]


@pytest.fixture
def make(spool: SpoolWriter, endpoint: Endpoint, events: list[Event], tmp_path: Path) -> Make:
    def made(**settings: Any) -> OtlpExporter:
        given: dict[str, Any] = {"headers": {"dd-api-key": "secret"}, "now": Clock(), "report": events.append}
        return OtlpExporter(
            spool.folder, tmp_path / "export.json", endpoint=ENDPOINT, post=endpoint, **{**given, **settings}
        )

    return made


def put(spool: SpoolWriter, *records: Any) -> None:
    for record in records:
        spool.append(encode_record(record))


def ids(*numbers: int) -> list[str]:
    return [f"{number:016x}" for number in numbers]


def test_calls_and_an_apps_own_spans_arrive_once_in_both_encodings(
    spool: SpoolWriter, endpoint: Endpoint, make: Make
) -> None:
    score = Score(project_id="p", score_id="s", time=1, name="n", source="user")
    put(spool, call(1), otlp(2), score, otlp(3, "json"), call(4), otlp(5))
    exporter = make()
    assert exporter.export_once() == 5
    assert exporter.export_once() == 0
    assert sorted(endpoint.span_ids()) == ids(1, 2, 3, 4, 5)
    assert [kind for kind, _ in endpoint.taken] == ["application/x-protobuf", "application/json"]
    assert endpoint.taken[1][1] == otlp(3, "json").body  # as the app wrote it
    assert endpoint.headers["dd-api-key"] == "secret"
    assert endpoint.headers["content-encoding"] == "gzip"
    put(spool, call(6))
    assert exporter.export_once() == 1
    assert exporter.status()["exported_records"] == 6


def test_the_gateways_calls_carry_the_conventions_names(
    spool: SpoolWriter, endpoint: Endpoint, make: Make
) -> None:
    put(spool, call(1))
    make().export_once()
    request = ExportTraceServiceRequest.FromString(endpoint.taken[0][1])
    span = request.resource_spans[0].scope_spans[0].spans[0]
    values = {pair.key: pair.value for pair in span.attributes}
    assert span.name == "chat m"
    assert values["gen_ai.provider.name"].string_value == "openai"
    assert values["gen_ai.usage.input_tokens"].int_value == 3
    assert Decimal(values["ratchet.cost"].string_value) == Decimal("0.5")


def test_the_place_is_kept_over_a_restart(spool: SpoolWriter, endpoint: Endpoint, make: Make) -> None:
    put(spool, call(1))
    make().export_once()
    put(spool, call(2))
    make().export_once()
    assert endpoint.span_ids() == ids(1, 2)


@pytest.mark.parametrize(
    "answer",
    [
        Posted(429),
        Posted(503, retry_after="7"),
        Posted(401),
        Posted(404),
        Posted(302),
        UpstreamFailed("no", ""),
    ],
)
def test_what_an_endpoint_can_not_take_now_is_sent_again(
    answer: Any, spool: SpoolWriter, endpoint: Endpoint, make: Make
) -> None:
    put(spool, call(1), otlp(2))
    endpoint.answers = [answer, answer]
    exporter = make()
    for _ in range(2):
        with pytest.raises(UpstreamFailed):
            exporter.export_once()
    assert exporter.export_once() == 2
    assert endpoint.span_ids() == ids(1, 2)
    assert exporter.status()["refused_records"] == 0


def test_what_an_endpoint_refuses_is_dropped_alone_counted_and_reported(
    spool: SpoolWriter, endpoint: Endpoint, make: Make, events: list[Event]
) -> None:
    put(spool, call(1), otlp(2), otlp(3))
    # The joined request is refused, then the first and third parts are taken when tried alone.
    endpoint.answers = [Posted(400, body=b"bad span"), Posted(200), Posted(400), Posted(200)]
    exporter = make()
    exporter.export_once()
    assert endpoint.span_ids() == ids(1, 3)
    assert exporter.status()["refused_records"] == 1
    (event,) = events
    assert (event.kind, event.severity, event.attributes) == (
        "export.lost",
        "error",
        {"refused_records": "1"},
    )
    assert exporter.export_once() == 0


def test_spans_that_an_endpoint_says_it_left_out_are_counted(
    spool: SpoolWriter, endpoint: Endpoint, make: Make
) -> None:
    answer = ExportTraceServiceResponse(partial_success={"rejected_spans": 2})
    endpoint.answers = [
        Posted(200, body=answer.SerializeToString()),
        Posted(200, body=b'{"partialSuccess":{"rejectedSpans":"3"}}'),
    ]
    put(spool, call(1), otlp(2, "json"))
    exporter = make()
    exporter.export_once()
    assert exporter.status()["rejected_spans"] == 5


def test_beyond_the_backlog_the_oldest_is_skipped_counted_and_reported(
    spool: SpoolWriter, endpoint: Endpoint, make: Make, events: list[Event]
) -> None:
    for number in range(100):
        put(spool, call(number, size=1000))
    assert len(segments(spool.folder)) > 3
    exporter = make(backlog_bytes=30_000, batch_bytes=5_000)
    while exporter.export_once():
        pass
    sent = sorted(endpoint.span_ids())
    status = exporter.status()
    assert sent == ids(*range(100 - len(sent), 100))
    assert 15 <= len(sent) <= 25
    assert status["skipped_records"] == 100 - len(sent)
    assert status["waiting_bytes"] == 0
    assert [event.kind for event in events] == ["export.lost"]
    assert events[0].attributes["skipped_records"] == str(status["skipped_records"])


def test_a_segment_is_kept_until_it_is_sent_and_no_longer_than_the_backlog_allows(
    spool: SpoolWriter, endpoint: Endpoint, make: Make
) -> None:
    for number in range(60):
        put(spool, call(number, size=1000))
    first = segments(spool.folder)[0].name
    assert make().keeps(first)
    assert not make(backlog_bytes=30_000).keeps(first)
    assert not make().keeps("gone")
    exporter = make()
    exporter.export_once()
    assert not exporter.keeps(first)


def test_bytes_of_a_segment_that_was_removed_meanwhile_are_counted(spool: SpoolWriter, make: Make) -> None:
    for number in range(60):
        put(spool, call(number, size=1000))
    exporter = make()
    first = segments(spool.folder)[0]
    size = first.path.stat().st_size
    assert exporter.keeps(first.name)
    first.path.unlink()
    exporter.export_once()
    assert exporter.status()["skipped_bytes"] == size


class _Store:
    def __init__(self) -> None:
        self.spans: list[str] = []

    def insert_spans(self, spans: Any, *, token: str) -> None:
        self.spans += [span.span_id for span in spans]

    def insert_scores(self, scores: Any, *, token: str) -> None: ...
    def insert_events(self, events: Any, *, token: str) -> None: ...


def test_an_endpoint_that_is_down_holds_up_neither_store_nor_spool(
    spool: SpoolWriter, endpoint: Endpoint, make: Make, tmp_path: Path
) -> None:
    exporter = make(backlog_bytes=50_000)
    store = _Store()
    collector = Collector(
        spool.folder,
        tmp_path / "collector.json",
        insert=store,
        price=lambda *_: None,
        now=Clock(),
        keep_until=exporter.keeps,
    )
    for number in range(200):
        put(spool, call(number, size=1000))
        if number % 20 == 19:
            endpoint.answers = [Posted(503)]
            with pytest.raises(UpstreamFailed):
                exporter.export_once()
            while collector.drain_once():
                pass
    assert store.spans == ids(*range(200))
    assert sum(segment.path.stat().st_size for segment in segments(spool.folder)) < 50_000 + 2 * 20_000
    while exporter.export_once():
        pass
    collector.drain_once()
    sent = sorted(endpoint.span_ids())
    assert sent == ids(*range(200 - len(sent), 200))
    assert len(sent) + exporter.status()["skipped_records"] == 200  # type: ignore[operator] - a count
    assert len(segments(spool.folder)) == 1


def test_run_waits_as_long_as_it_is_asked_and_tells_of_failure_and_recovery(
    spool: SpoolWriter, endpoint: Endpoint, make: Make, events: list[Event]
) -> None:
    put(spool, call(1))
    clock = Clock()
    at = formatdate(clock.time / 1e9 + 3, usegmt=True)
    endpoint.answers = [Posted(503, retry_after="42"), Posted(503, retry_after="9999"), Posted(429, retry_after=at), Posted(502)]  # fmt: skip
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0)
            if len(waits) == 5:
                self.set()
            return self.is_set()

    make(now=clock).run(Stop())
    assert endpoint.span_ids() == ids(1)
    assert waits[:2] == [42, 600]
    assert waits[2] == 4.0  # its own backoff is longer than what is left of the date
    assert waits[3] == 8.0
    assert [event.kind for event in events] == ["export.failing", "export.recovered"]
    assert "answered 503" in events[0].message


def test_broken_frames_and_records_do_not_stop_it(spool: SpoolWriter, endpoint: Endpoint, make: Make) -> None:
    put(spool, call(1))
    spool.append(b"Xnot a record")
    spool.append(b"C\xff\xff")
    put(spool, call(2))
    path = segments(spool.folder)[0].path
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF  # spoils the first frame
    path.write_bytes(data)
    exporter = make()
    exporter.export_once()
    assert endpoint.span_ids() == ids(2)
    assert exporter.export_once() == 0


class _Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        if self.path == "/busy":
            self.send_response(503)
            self.send_header("retry-after", "5")
        elif self.path == "/moved":
            self.send_response(307)
            self.send_header("location", "/v1/traces")
        else:
            self.send_response(200 if self.headers["x-key"] == "v" else 401)
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as taker:
        thread = threading.Thread(target=taker.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{taker.server_port}"
        taker.shutdown()
        thread.join()


def test_the_poster_speaks_http(server: str) -> None:
    post = http_poster()
    assert post(f"{server}/v1/traces", {"x-key": "v"}, b"abc") == Posted(200, "", b"cba")
    assert post(f"{server}/v1/traces", {"x-key": "w"}, b"").status == 401
    assert post(f"{server}/busy", {}, b"") == Posted(503, "5", b"")
    assert post(f"{server}/moved", {"x-key": "v"}, b"").status == 307


def test_an_endpoint_that_is_not_there_is_named() -> None:
    post = http_poster(timedelta(seconds=1))
    started = time.monotonic()
    with pytest.raises(UpstreamFailed, match=r"http://127\.0\.0\.1:9/v1/traces can't be reached"):
        post("http://127.0.0.1:9/v1/traces", {}, b"")
    assert time.monotonic() - started < 10
