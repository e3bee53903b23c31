"""OTLP/HTTP: whole bodies are checked, both encodings read alike, and what is written can be read back."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from ratchet.domain.spans import Span
from ratchet.errors import BodyTooLarge, InvalidRequest, Unavailable, WrongContentType
from ratchet.telemetry.calls import OtlpBody
from ratchet.telemetry.otlp import (
    CLOCK_TOLERANCE,
    EXPORT_RESPONSES,
    check,
    content_type,
    decompress,
    encoding_of,
    error_response,
    otlp_request,
    spans_of_otlp,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


RECEIVED = 4 * 10**18  # later than any clock of the tests


def read(body: bytes, encoding: str = "protobuf") -> list[Span]:
    return spans_of_otlp(
        OtlpBody(project_id="p", key_id="k", received=RECEIVED, encoding=encoding, body=body)
    )


def protobuf(*spans: dict[str, Any]) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for fields in spans:
        span = scope.spans.add()
        for name, value in {
            "trace_id": bytes.fromhex(TRACE),
            "span_id": bytes.fromhex(SPAN),
            **fields,
        }.items():
            setattr(span, name, value)
    return request.SerializeToString()


def as_json(*spans: dict[str, Any], **resource: Any) -> bytes:
    whole = [{"traceId": TRACE, "spanId": SPAN, **span} for span in spans]
    return json.dumps({"resourceSpans": [{**resource, "scopeSpans": [{"spans": whole}]}]}).encode()


class _Taker(http.server.BaseHTTPRequestHandler):
    taken: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200)
        self.end_headers()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass


@pytest.fixture
def taker() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    handler = type("Taker", (_Taker,), {"taken": []})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", handler.taken
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_what_the_opentelemetry_sdk_exports_is_read(taker: Any, compression: Compression) -> None:
    endpoint, taken = taker
    provider = TracerProvider(
        resource=Resource({"service.name": "shop", "service.version": "2", "host.ids": [1, 2]})
    )
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint, compression=compression)))
    tracer = provider.get_tracer("app", "0.1")
    with tracer.start_as_current_span("answer", kind=trace.SpanKind.SERVER) as outer:
        with suppress(LookupError), tracer.start_as_current_span("chat gpt-4o") as inner:
            inner.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "gpt-4o",
                    "gen_ai.request.temperature": 0.5,
                    "gen_ai.usage.input_tokens": 12,
                    "gen_ai.response.finish_reasons": ["stop"],
                    "ok": True,
                }
            )
            raise LookupError("no such parcel")
        outer.set_attribute("user.id", "u1")
        outer.add_link(inner.get_span_context(), {"why": "test"})
    provider.shutdown()
    bodies = [decompress(body, headers.get("content-encoding", ""), 1 << 20) for headers, body in taken]
    assert [check(body, encoding_of(taken[0][0]["content-type"])) for body in bodies] == [1, 1]
    failed, whole = (span for body in bodies for span in read(body))
    assert (failed.name, failed.kind, failed.parent_id) == ("chat gpt-4o", "internal", whole.span_id)
    assert (whole.name, whole.kind, whole.parent_id, whole.user_id) == ("answer", "server", "", "u1")
    assert failed.trace_id == whole.trace_id == format(outer.get_span_context().trace_id, "032x")
    assert (failed.status, failed.error_type) == ("error", "LookupError")
    assert "no such parcel" in failed.error_message
    assert (failed.input_tokens, failed.finish_reasons, failed.request_model) == (12, ["stop"], "gpt-4o")
    assert failed.attributes == {
        "gen_ai.request.temperature": "0.5",
        "ok": "true",
        "otel.scope.name": "app",
        "otel.scope.version": "0.1",
    }
    assert (whole.service, whole.app_version, whole.resource["host.ids"]) == ("shop", "2", "[1,2]")
    assert json.loads(whole.links) == [
        {"trace_id": failed.trace_id, "span_id": failed.span_id, "attributes": {"why": "test"}}
    ]
    assert whole.start <= failed.start
    assert failed.duration > 0
    assert (whole.project_id, whole.key_id, whole.source) == ("p", "k", "otlp")


def test_json_and_protobuf_say_the_same() -> None:
    values = {
        "text": ({"stringValue": "a"}, ("string_value", "a")),
        "empty": ({"stringValue": ""}, ("string_value", "")),
        "number": ({"intValue": "9007199254740993"}, ("int_value", 9007199254740993)),
        "small": ({"intValue": -7}, ("int_value", -7)),
        "half": ({"doubleValue": 0.5}, ("double_value", 0.5)),
        "endless": ({"doubleValue": "Infinity"}, ("double_value", float("inf"))),
        "truth": ({"boolValue": False}, ("bool_value", False)),
        "raw": ({"bytesValue": base64.b64encode(b"\xff\x00").decode()}, ("bytes_value", b"\xff\x00")),
        "nothing": ({}, None),
    }
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "shop"
    span = group.scope_spans.add(scope={"name": "lib", "version": "1"}).spans.add(
        trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), parent_span_id=bytes.fromhex(SPAN), name="n",
        kind=3, start_time_unix_nano=1_700_000_000_000_000_001, end_time_unix_nano=1_700_000_000_000_000_009,
        trace_state="a=b", dropped_attributes_count=2, status={"code": 2, "message": "bad"},
        events=[{"time_unix_nano": 5, "name": "e"}],
    )  # fmt: skip
    for name, (_, value) in values.items():
        target = span.attributes.add(key=name).value
        if value:
            setattr(target, *value)
    array = span.attributes.add(key="list").value.array_value
    array.values.add().int_value = 1
    array.values.add().string_value = "x"
    span.attributes.add(key="map").value.kvlist_value.values.add(key="k").value.bool_value = True
    attributes = [{"key": name, "value": value} for name, (value, _) in values.items()]
    attributes.append(
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}}
    )
    attributes.append(
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}}
    )
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "lib", "version": "1"},
                        "spans": [
                            {
                                "traceId": TRACE.upper(), "spanId": SPAN, "parentSpanId": SPAN, "name": "n",
                                "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": "1700000000000000001",
                                "endTimeUnixNano": 1700000000000000009, "traceState": "a=b",
                                "droppedAttributesCount": 2, "status": {"code": 2, "message": "bad"},
                                "events": [{"timeUnixNano": "5", "name": "e"}], "attributes": attributes,
                                "someFutureField": {"a": 1},
                            }
                        ],
                    }
                ],
            }
        ]
    }  # fmt: skip
    text = json.dumps(body).encode()
    assert check(text, "json") == check(request.SerializeToString(), "protobuf") == 1
    (one,) = read(text, "json")
    (other,) = read(request.SerializeToString())
    assert one == other
    assert (one.kind, one.duration, one.status, one.error_message) == ("client", 8, "error", "bad")
    assert one.attributes["number"] == "9007199254740993"
    assert one.attributes["list"] == '[1,"x"]'
    assert one.attributes["map"] == '{"k":true}'
    assert one.attributes["otel.trace_state"] == "a=b"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"not protobuf at all", "not an OTLP"),
        (b"\x0a\xff", "not an OTLP"),
        (b"\x98\x01\x05", "no resource spans"),
        (b"<html>", "OTLP"),
        (protobuf({"trace_id": b"short"}), "`trace_id` of span 0"),
        (protobuf({}, {"trace_id": bytes(16)}), "`trace_id` of span 1"),
        (protobuf({"trace_id": b""}), "`trace_id` of span 0"),
        (protobuf({"span_id": bytes(8)}), "`span_id` of span 0"),
        (protobuf({"span_id": bytes(16)}), "`span_id` of span 0"),
        (protobuf({"parent_span_id": b"123"}), "`parent_span_id` of span 0"),
        (protobuf({"start_time_unix_nano": 2**64 - 1}), "2262"),
        (protobuf({"name": "x" * 50})[:-5], "not an OTLP"),
    ],
)
def test_a_malformed_protobuf_body_is_refused_with_what_is_wrong(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(body, "protobuf")
    assert says in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "expected `object`"),
        (b"[" * 100_000, "expected `object`"),
        (b'{"resource_spans": []}', "no `resourceSpans`"),
        (b'{"resourceLogs": []}', "no `resourceSpans`"),
        (b'{"resourceSpans": {}}', "$.resourceSpans"),
        (as_json({"traceId": "zz"}), "traceId"),
        (as_json({"traceId": "0" * 32}), "`traceId` of span 0"),
        (as_json({}, {"spanId": "0" * 16}), "`spanId` of span 1"),
        (as_json({"spanId": None}), "spanId"),
        (as_json({"spanId": base64.b64encode(b"12345678").decode()}), "spanId"),
        (as_json({"parentSpanId": "12"}), "parentSpanId"),
        (as_json({"startTimeUnixNano": "soon"}), "startTimeUnixNano"),
        (as_json({"startTimeUnixNano": -1}), "startTimeUnixNano"),
        (as_json({"endTimeUnixNano": str(2**64 - 1)}), "2262"),
        (
            as_json({"attributes": [{"key": "a", "value": {"intValue": "1.5"}}]}),
            "attributes[0].value.intValue",
        ),
        (as_json({"attributes": [{"key": "a", "value": {"doubleValue": "x"}}]}), "doubleValue"),
        (as_json({"attributes": [{"value": {"intValue": 1}}]}), "missing required field `key`"),
        (as_json({"attributes": {"a": 1}}), "attributes"),
        (as_json({"name": 7}), "name"),
    ],
)
def test_a_malformed_json_body_is_refused_with_what_is_wrong(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(body, "json")
    assert says in caught.value.message
    assert caught.value.remedy


def test_a_text_that_was_cut_inside_an_emoji_is_read() -> None:
    body = as_json({"name": "cut \ud83d"})
    assert b"\\ud83d" in body
    assert check(body, "json") == 1
    assert read(body, "json")[0].name == "cut \ufffd"


@pytest.mark.parametrize(
    ("body", "encoding"), [(b"", "protobuf"), (b"{}", "json"), (b'{"resourceSpans":[]}', "json")]
)
def test_a_request_with_no_spans_is_fine(body: bytes, encoding: str) -> None:
    assert check(body, encoding) == 0
    assert read(body, encoding) == []


@given(st.binary(max_size=60), st.sampled_from(["protobuf", "json"]))
def test_a_body_that_passes_the_check_can_be_read(body: bytes, encoding: str) -> None:
    try:
        count = check(body, encoding)
    except InvalidRequest:
        return
    assert len(read(body, encoding)) == count


@given(st.data())
def test_a_damaged_body_is_refused_or_read_never_anything_else(data: st.DataObject) -> None:
    body = bytearray(protobuf({"name": "one", "start_time_unix_nano": 5}, {"name": "two"}))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        count = check(bytes(body), "protobuf")
    except InvalidRequest:
        return
    assert len(read(bytes(body))) == count


def test_compression_is_undone_within_the_limit() -> None:
    body = b"spans" * 1000
    assert decompress(body, "", 5000) == body
    assert decompress(gzip.compress(body, mtime=0), "gzip", 5000) == body
    assert decompress(gzip.compress(body, mtime=0) + gzip.compress(b"more"), " GZIP ", 5004) == body + b"more"
    assert decompress(zlib.compress(body), "deflate", 5000) == body
    assert decompress(b"", "gzip", 10) == b""


@pytest.mark.parametrize("size", [10_001, 1 << 20, 200 << 20])
def test_a_bomb_is_refused_before_it_is_unpacked(size: int) -> None:
    packer = zlib.compressobj(wbits=31)
    piece = bytes(min(size, 1 << 20))
    bomb = b"".join(packer.compress(piece) for _ in range(-(-size // len(piece)))) + packer.flush()
    with pytest.raises(BodyTooLarge):
        decompress(bomb, "gzip", 10_000)
    with pytest.raises(BodyTooLarge):
        decompress(bytes(10_001), "identity", 10_000)
    with pytest.raises(BodyTooLarge):
        decompress(gzip.compress(bytes(9_000)) * 2, "gzip", 10_000)


@pytest.mark.parametrize(
    ("body", "name", "error"),
    [
        (b"plain", "gzip", InvalidRequest),
        (gzip.compress(b"spans", mtime=0)[:-9], "gzip", InvalidRequest),
        (gzip.compress(b"spans", mtime=0) + b"tail", "gzip", InvalidRequest),
        (b"plain", "deflate", InvalidRequest),
        (b"", "br", WrongContentType),
        (b"", "gzip, gzip", WrongContentType),
    ],
)
def test_broken_and_unknown_compression_is_refused(body: bytes, name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        decompress(body, name, 1000)


def test_content_types() -> None:
    assert encoding_of("application/x-protobuf") == "protobuf"
    assert encoding_of("Application/JSON; charset=utf-8") == "json"
    assert encoding_of(content_type("json")) == "json"
    for wrong in ("", "text/plain"):
        with pytest.raises(WrongContentType, match="OTLP as application/x-protobuf"):
            encoding_of(wrong)


def test_answers_are_in_the_callers_encoding() -> None:
    assert not ExportTraceServiceResponse.FromString(EXPORT_RESPONSES["protobuf"]).HasField("partial_success")
    assert json.loads(EXPORT_RESPONSES["json"]) == {"partialSuccess": {}}
    error = InvalidRequest("Wrong " + "é" * 100 + ".", "Fix it.")
    assert json.loads(error_response(error, "json")) == {"code": 3, "message": str(error)}
    status = error_response(error, "protobuf")
    assert status[:3] == b"\x08\x03\x12"
    size = len(str(error).encode())
    assert status[3:] == bytes((size & 127 | 128, size >> 7)) + str(error).encode()
    assert error_response(Unavailable("Full.", "Wait."), "protobuf")[1] == 14


FULL = Span(
    project_id="p", key_id="k", trace_id=TRACE, span_id=SPAN, parent_id="00f067aa0ba902b7", name="chat gpt-4o",
    kind="client", source="gateway", service="ratchet", operation="chat", start=1_700_000_000_123_456_789,
    duration=987_654_321, time_to_first_token=123_456_789, status="error", error_type="timeout",
    error_message="too slow", http_status=504, user_id="u", organisation_id="o", segment="g", session_id="s",
    tags=["a", "b"], app_version="3", language="en", route="support", target="openai/gpt-4o", strategy="single",
    attempt=2, prompt="support", prompt_version="4", release="production", cache_status="miss",
    guard_verdicts={"pii": "pass"}, provider="openai", request_model="gpt-4o", response_model="gpt-4o-1",
    response_id="c1", stream=True, input_tokens=10, output_tokens=0, cached_tokens=4, cache_write_tokens=1,
    reasoning_tokens=2, audio_input_tokens=3, audio_output_tokens=5, cost=Decimal("0.00123456789012345678"),
    finish_reasons=["stop", "tool_call"],
    input_messages='[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
    output_messages='[{"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"f","arguments":{"a":1}}],'
    '"finish_reason":"tool_call"}]',
    tool_definitions='[{"type":"function","name":"f"}]', input_preview="hi", output_preview='f({"a":1})',
    attributes={"gen_ai.request.temperature": "0.3", "gen_ai.request.seed": "7", "gen_ai.request.top_p": "1",
                "gen_ai.request.stop_sequences": '["END"]', "metadata.k": "v", "otel.scope.name": "lib",
                "otel.scope.version": "1", "otel.trace_state": "a=b"},
    resource={"service.version": "2", "host.name": "h"},
    events='[{"time":5,"name":"exception","attributes":{"exception.type":"T","n":1,"l":[true,0.5],"d":{"x":""}}}]',
    links='[{"trace_id":"' + TRACE + '","span_id":"' + SPAN + '","attributes":{"why":"because"}}]',
    run_id="r", candidate="c", case_id="7", repeat=3,
)  # fmt: skip


def test_what_is_written_reads_back_the_same() -> None:
    others = [
        Span(project_id="p", key_id="k", trace_id=TRACE, span_id=SPAN, name="", start=5, duration=0),
        msgspec.structs.replace(FULL, service="other", app_version="2", cost=Decimal(0), source="otlp"),
    ]
    body = otlp_request([FULL, *others])
    assert check(body, "protobuf") == 3
    first = msgspec.structs.replace(
        FULL, source="otlp", attributes={**FULL.attributes, "ratchet.source": "gateway"}
    )
    assert read(body) == [first, *others]


def ended_ahead(*by: int) -> list[Span]:
    """Spans of a second each that ended so long after they were received, and of another service one in time."""
    spans = [
        msgspec.structs.replace(
            FULL, span_id=f"{place:016x}", start=RECEIVED + ahead - 10**9, duration=10**9, attributes={}
        )
        for place, ahead in enumerate(by, 1)
    ]
    return [*spans, msgspec.structs.replace(FULL, service="other", start=RECEIVED - 10**9, duration=5)]


def test_a_clock_that_is_ahead_is_brought_back_and_what_it_said_is_kept() -> None:
    day = 86_400 * 10**9
    first, second, other = read(otlp_request(ended_ahead(365 * day, 365 * day + 3 * 10**9)))
    assert second.start + second.duration == RECEIVED
    assert second.start - first.start == 3 * 10**9, "distances stay"
    assert first.attributes["ratchet.original_time"] == str(RECEIVED + 365 * day - 10**9)
    assert other.start == RECEIVED - 10**9
    assert "ratchet.original_time" not in other.attributes


def test_a_clock_that_is_a_little_ahead_or_behind_is_left_alone() -> None:
    spans = ended_ahead(CLOCK_TOLERANCE, -(10**17))
    assert [span.start for span in read(otlp_request(spans))] == [span.start for span in spans]


def test_what_is_written_has_the_conventions_names_and_types() -> None:
    request = ExportTraceServiceRequest.FromString(otlp_request([FULL]))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    kinds = {pair.key: pair.value.WhichOneof("value") for pair in span.attributes}
    assert kinds["gen_ai.operation.name"] == kinds["gen_ai.input.messages"] == "string_value"
    assert kinds["gen_ai.usage.input_tokens"] == kinds["gen_ai.request.seed"] == "int_value"
    assert (
        kinds["gen_ai.request.temperature"] == kinds["gen_ai.response.time_to_first_chunk"] == "double_value"
    )
    assert kinds["gen_ai.response.finish_reasons"] == kinds["gen_ai.request.stop_sequences"] == "array_value"
    assert kinds["gen_ai.usage.cost"] == "double_value"
    assert kinds["ratchet.cost"] == "string_value"
    assert not {"gen_ai.system", "gen_ai.usage.prompt_tokens"} & set(kinds)
    scope = request.resource_spans[0].scope_spans[0].scope
    assert (scope.name, scope.version, span.trace_state) == ("lib", "1", "a=b")


def test_spans_of_one_service_share_its_resource() -> None:
    spans = [msgspec.structs.replace(FULL, service=service) for service in ("a", "b", "a")]
    request = ExportTraceServiceRequest.FromString(otlp_request(spans))
    assert [len(group.scope_spans[0].spans) for group in request.resource_spans] == [2, 1]
