"""OTLP over HTTP: how fast spans are accepted, and how fast they are in the store."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from bench.drain import start_studio, wait_empty
from bench.figures import Figure, Part, at_least
from bench.gateways import start_gateway
from bench.nginx import start_upstream
from bench.processes import BenchError, Children
from bench.setting import Setting
from bench.store_rows import embedded, read_store

__all__ = ["measure"]

_BATCH = 512  # what an OpenTelemetry SDK's batch processor sends at a time
_LINES = 4


def export_bodies(count: int, *, seed: int = 0) -> list[bytes]:
    """`count` export requests of 512 spans each: an app's steps, every fourth one a model call."""
    rng = random.Random(seed)
    return [_export_body(rng) for _ in range(count)]


def _export_body(rng: random.Random) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(_text("service.name", "shop-assistant"))
    scope = group.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.openai"
    now = time.time_ns()
    trace, parent = b"", b""
    for number in range(_BATCH):
        step = number % 8
        span = scope.spans.add()
        if step == 0:
            trace, parent = rng.randbytes(16), b""
        span.trace_id, span.span_id, span.parent_span_id = trace, rng.randbytes(8), parent
        parent = parent or span.span_id
        span.name = (
            "chat gpt-4o-mini" if step % 4 == 3 else ("answer", "retrieve", "rerank", "plan")[step % 4]
        )
        span.kind = 3 if step % 4 == 3 else 1
        span.start_time_unix_nano = now + number * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + rng.randrange(1_000_000, 900_000_000)
        span.attributes.extend(
            [_text("session.id", f"s-{number // 8}"), _text("user.id", f"u-{rng.randrange(500)}")]
        )
        if step % 4 == 3:
            span.attributes.extend(_model_call(rng))
    return request.SerializeToString()


def _model_call(rng: random.Random) -> list[KeyValue]:
    words = " ".join(
        rng.choices(("parcel", "tent", "refund", "Utrecht", "delivery", "warranty", "when", "how"), k=40)
    )
    return [
        _text("gen_ai.operation.name", "chat"),
        _text("gen_ai.provider.name", "openai"),
        _text("gen_ai.request.model", "gpt-4o-mini"),
        _text("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
        _number("gen_ai.usage.input_tokens", rng.randrange(50, 900)),
        _number("gen_ai.usage.output_tokens", rng.randrange(10, 300)),
        _text(
            "gen_ai.input.messages", f'[{{"role":"user","parts":[{{"type":"text","content":"{words}"}}]}}]'
        ),
        _text(
            "gen_ai.output.messages",
            f'[{{"role":"assistant","parts":[{{"type":"text","content":"{words}"}}]}}]',
        ),
    ]


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _number(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))


class _Posting(threading.Thread):
    """One exporter: posts its bodies one after another over a kept-open connection."""

    def __init__(self, port: int, headers: dict[str, str], bodies: Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._headers = headers | {"Content-Type": "application/x-protobuf"}
        self._bodies = bodies
        self.failure = ""

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            for body in self._bodies:
                connection.request("POST", "/v1/traces", body, self._headers)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200:
                    self.failure = f"{answer.status}: {said[:300]!r}"
                    return
        except (OSError, http.client.HTTPException) as error:
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            connection.close()


def measure(setting: Setting, children: Children) -> Part:
    upstream = start_upstream(children, core=setting.load_core)
    setting.say("starting the gateway on one core, the studio on the other …")
    running = start_gateway("ratchet", children, upstream, setting.gateway_core)
    folder = children.folder / "ratchet"
    data, config = folder / "data", folder / "ratchet.toml"
    studio, _ = start_studio(children, data, config, core=setting.load_core)
    distinct = export_bodies(32)
    posts = 100 if setting.quick else 600
    spans = posts * _BATCH
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {setting.load_core})
    lines = [
        _Posting(running.port, running.headers, [distinct[i % 32] for i in range(line, posts, _LINES)])
        for line in range(_LINES)
    ]
    began = time.monotonic()
    for line in lines:
        line.start()
    for line in lines:
        line.join()
    accepted = time.monotonic() - began
    os.sched_setaffinity(0, affinity)
    failures = {line.failure for line in lines if line.failure}
    if failures:
        raise BenchError(f"spans were not accepted: {'; '.join(sorted(failures))}\n{running.child.tail()}")
    setting.say(f"{spans:,} spans accepted in {accepted:.2f} s; draining …")
    children.stop(
        running.child
    )  # so that its last segment counts as finished, and is removed when it is drained
    stored = wait_empty(studio, data, seconds=60 + spans / 1000) - began
    children.stop(studio)
    rows = read_store(embedded(data)).rows
    body = sum(map(len, distinct)) / len(distinct)
    figures = [
        at_least(
            "OTLP accepted by the gateway",
            spans / accepted,
            20_000,
            "spans/s",
            note=f"{posts} requests of {_BATCH} spans, {body / 1000:.0f} kB each, {_LINES} exporters",
        ),
        at_least(
            "OTLP in the store",
            spans / stored,
            10_000,
            "spans/s",
            note=f"from the first request on; {stored:.1f} s",
        ),
        Figure(name="not in the store exactly once", value=abs(spans - rows), unit="spans", most=0),
    ]
    remarks = ["The gateway has one core; the studio shares the other with the exporters."]
    return Part(name="otlp", title="OpenTelemetry spans in", figures=figures, remarks=remarks)
