"""`/v1/feedback`, `/v1/traces` and `/metrics`, over real sockets; OTLP with the real OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import RunningGateway, eventually, running_gateway

from ratchet.domain.spans import Event, Score
from ratchet.telemetry.calls import OtlpBody
from ratchet.telemetry.otlp import spans_of_otlp
from ratchet.telemetry.spool import segments

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN: dict[str, Any] = {
    "traceId": TRACE,
    "spanId": "b7ad6b7169203331",
    "name": "step",
    "startTimeUnixNano": "1700000000000000000",
    "endTimeUnixNano": "1700000001000000000",
}


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"trace_id": TRACE, "value": True}, ("thumbs", 1.0, "", "", "")),
        ({"trace_id": TRACE, "value": False, "comment": "wrong"}, ("thumbs", 0.0, "", "wrong", "")),
        ({"trace_id": TRACE, "value": "down"}, ("thumbs", 0.0, "", "", "")),
        ({"trace_id": TRACE, "name": "stars", "value": 4}, ("stars", 4.0, "", "", "")),
        ({"session_id": "s", "value": 0.5}, ("rating", 0.5, "", "", "")),
        ({"trace_id": TRACE.upper(), "label": "rude"}, ("feedback", None, "rude", "", "")),
        ({"trace_id": TRACE, "name": "fix", "correction": "30 days"}, ("fix", None, "", "", "30 days")),
    ],
)
async def test_feedback_is_kept_whether_its_trace_is_there_or_not(
    gateway: RunningGateway, http: httpx2.AsyncClient, body: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    response = await http.post("/v1/feedback", json={**body, "user": "ada", "span_id": "B7AD6B7169203331"})
    assert response.status_code == 202
    (score,) = gateway.recorded()
    assert isinstance(score, Score)
    assert response.json()["score_id"] == score.score_id
    assert (score.name, score.value, score.label, score.comment, score.correction) == expected
    assert (score.source, score.author, score.project_id) == ("user", "ada", "default")
    assert score.trace_id in (TRACE, "")
    assert score.span_id == "b7ad6b7169203331"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"value": true}',
        b'{"trace_id": "0af7651916cd43dd8448eb211c80319c"}',
        b'{"trace_id": "xyz", "value": true}',
        b'{"trace_id": "0af7651916cd43dd8448eb211c80319c", "value": "great"}',
        b'{"trace_id": "0af7651916cd43dd8448eb211c80319c", "value": 1e999}',
        b'{"trace_id": "0af7651916cd43dd8448eb211c80319c", "value": true, "thumb": 1}',
    ],
)
async def test_feedback_that_says_nothing_is_refused(
    gateway: RunningGateway, http: httpx2.AsyncClient, body: bytes
) -> None:
    response = await http.post("/v1/feedback", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"]
    assert gateway.recorded() == []


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
async def test_an_apps_own_spans_join_the_gateways_in_one_trace(
    gateway: RunningGateway, compression: Compression
) -> None:
    exporter = OTLPSpanExporter(
        endpoint=f"{gateway.url}/v1/traces",
        headers={"authorization": f"Bearer {gateway.key}"},
        compression=compression,
    )
    provider = TracerProvider(resource=Resource.create({"service.name": "support-app"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("app")
    carrier: dict[str, str] = {}
    with tracer.start_as_current_span("handle ticket") as root:
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(root))
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
            await client.chat.completions.create(
                model="mini",
                messages=[{"role": "user", "content": "When are you open?"}],
                extra_headers=carrier,
            )
    assert await asyncio.to_thread(provider.force_flush, 10_000)
    await asyncio.to_thread(provider.shutdown)
    (call,) = gateway.calls()
    (body,) = [record for record in gateway.recorded() if isinstance(record, OtlpBody)]
    (span,) = spans_of_otlp(body)
    assert (span.trace_id, span.span_id) == (call.trace_id, call.parent_id)
    assert (span.name, span.service, span.project_id) == ("handle ticket", "support-app", "default")


async def test_json_traces_and_every_kind_of_malformed_body(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    good = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()
    bad_id = json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN, {**SPAN, "traceId": "12"}]}]}]}
    ).encode()
    as_json, as_protobuf = {"content-type": "application/json"}, {"content-type": "application/x-protobuf"}
    packed = {**as_json, "content-encoding": "gzip"}
    assert (await http.post("/v1/traces", content=good, headers=as_json)).status_code == 200
    assert (await http.post("/v1/traces", content=gzip.compress(good), headers=packed)).status_code == 200
    assert len(gateway.recorded()) == 2
    for content, headers in [
        (b"{", as_json),
        (bad_id, as_json),
        (b"\xff\xff\xff", as_protobuf),
        (good, as_protobuf),
        (good, packed),
        (gzip.compress(good)[:-10], packed),
    ]:
        response = await http.post("/v1/traces", content=content, headers=headers)
        assert response.status_code == 400, content
    assert (
        await http.post("/v1/traces", content=good, headers={"content-type": "text/plain"})
    ).status_code == 415
    bomb = gzip.compress(b"0" * (80 << 20))
    assert (await http.post("/v1/traces", content=bomb, headers=packed)).status_code == 413
    assert len(gateway.recorded()) == 2
    stranger = {**as_json, "authorization": "Bearer rk-no"}
    assert (await http.post("/v1/traces", content=good, headers=stranger)).status_code == 401


async def test_metrics_count_what_was_served(gateway: RunningGateway, http: httpx2.AsyncClient) -> None:
    body = {"model": "mini", "messages": [{"role": "user", "content": "When are you open?"}]}
    for _ in range(3):
        await http.post("/v1/chat/completions", json=body)
    await http.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer no"})
    text = (await http.get("/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    duration = families["gen_ai_client_operation_duration_seconds"]
    counts = [sample for sample in duration.samples if sample.name.endswith("_count")]
    assert sum(sample.value for sample in counts) == 3
    assert counts[0].labels["gen_ai_operation_name"] == "chat"
    assert counts[0].labels["gen_ai_request_model"] == "gpt-4o-mini"
    tokens = [s for s in families["gen_ai_client_token_usage"].samples if s.name.endswith("_sum")]
    assert {sample.labels["gen_ai_token_type"] for sample in tokens} == {"input", "output"}
    assert families["ratchet_spool_bytes"].samples[0].value > 0


async def test_a_full_spool_costs_records_and_never_answers(
    tmp_path: Path, simulator: tuple[str, Any]
) -> None:
    settings = f'[providers.sim]\nkind = "simulator"\nbase_url = "{simulator[0]}"\n'
    async with (
        running_gateway(tmp_path, settings, spool_bytes=20_000) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}) as http,
    ):
        body = {"model": "sim/gpt-4o", "messages": [{"role": "user", "content": "When are you open?"}]}
        statuses = [(await http.post("/v1/chat/completions", json=body)).status_code for _ in range(40)]
        assert statuses == [200] * 40
        kept = len(gateway.calls())
        assert 0 < kept < 40
        assert gateway.services.spool.refused == 40 - kept
        assert f"ratchet_spool_refused_total {40 - kept}" in (await http.get("/metrics")).text
        full = await http.post("/v1/feedback", json={"trace_id": TRACE, "comment": "x" * 2000})
        assert (full.status_code, full.json()["error"]["code"]) == (503, "spool_full")
        assert full.headers["retry-after"]
        for segment in segments(tmp_path / "spool"):
            if segment.finished():
                segment.path.unlink()  # as the collector does with what it has drained

        def told() -> int:
            events = [record for record in gateway.recorded() if isinstance(record, Event)]
            assert {event.kind for event in events} <= {"spool.refused"}
            return sum(int(event.attributes["count"]) for event in events)

        await eventually(lambda: told() == gateway.services.spool.refused)
        assert told() == 40 - kept + 1  # the feedback too
        await http.post("/v1/chat/completions", json=body)
        assert len(gateway.calls()) == 1
