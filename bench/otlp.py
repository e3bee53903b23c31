"""OTLP bodies checked, read and written on one core: spans a second, with GenAI spans of 15 to 25 attributes."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ratchet.telemetry.calls import OtlpBody
from ratchet.telemetry.otlp import check, otlp_request, spans_of_otlp

SPANS = 2_000
_MESSAGES = (
    '[{"role":"system","parts":[{"type":"text","content":"You answer questions about a small shop."}]},'
    '{"role":"user","parts":[{"type":"text","content":"Where is my parcel? I ordered it two weeks ago."}]}]'
)
_ANSWER = (
    '[{"role":"assistant","parts":[{"type":"text","content":"It left our warehouse on Monday and should arrive '
    'tomorrow."}],"finish_reason":"stop"}]'
)
_CURRENT = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": "chatcmpl-123",
    "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 300, "gen_ai.usage.input_tokens": 240,
    "gen_ai.usage.output_tokens": 34, "gen_ai.response.finish_reasons": ["stop"], "gen_ai.conversation.id": "s-1",
    "gen_ai.input.messages": _MESSAGES, "gen_ai.output.messages": _ANSWER, "server.address": "api.openai.com",
    "user.id": "u-77", "app.step": "answer",
}  # fmt: skip
_OPENINFERENCE = {
    "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini", "llm.provider": "openai",
    "llm.token_count.prompt": 240, "llm.token_count.completion": 34, "llm.token_count.total": 274,
    "llm.invocation_parameters": '{"temperature": 0.2}', "input.value": "Where is my parcel?",
    "input.mime_type": "text/plain", "output.value": "It left our warehouse.", "session.id": "s-1", "user.id": "u-77",
    "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "You answer questions.",
    "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "Where is my parcel?",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "It left our warehouse on Monday.",
}  # fmt: skip
_PLAIN = {f"app.attribute.{number}": f"value {number}" for number in range(12)} | {
    "http.request.method": "POST",
    "http.response.status_code": 200,
    "url.path": "/chat",
}


def request(spans: int = SPANS) -> ExportTraceServiceRequest:
    """A third each: current GenAI conventions, OpenInference, an app's own."""
    built = ExportTraceServiceRequest()
    group = built.resource_spans.add()
    pair = group.resource.attributes.add()
    pair.key, pair.value.string_value = "service.name", "shop"
    scope = group.scope_spans.add()
    scope.scope.name = "bench"
    for number in range(spans):
        span = scope.spans.add()
        span.trace_id, span.span_id = (number + 1).to_bytes(16, "big"), (number + 1).to_bytes(8, "big")
        span.name, span.kind = "chat gpt-4o-mini", 3
        span.start_time_unix_nano = 1_700_000_000_000_000_000 + number
        span.end_time_unix_nano = span.start_time_unix_nano + 800_000_000
        for name, value in (_CURRENT, _OPENINFERENCE, _PLAIN)[number % 3].items():
            target = span.attributes.add()
            target.key = name
            match value:
                case str():
                    target.value.string_value = value
                case int():
                    target.value.int_value = value
                case float():
                    target.value.double_value = value
                case list():
                    for item in value:
                        target.value.array_value.values.add().string_value = item
    return built


def json_body(built: ExportTraceServiceRequest) -> bytes:
    """OTLP's JSON, whose ids are hex where protobuf's own JSON has base64."""
    body = MessageToDict(built)
    for group, wire_group in zip(body["resourceSpans"], built.resource_spans, strict=True):
        for scope, wire_scope in zip(group["scopeSpans"], wire_group.scope_spans, strict=True):
            for span, wire in zip(scope["spans"], wire_scope.spans, strict=True):
                span["traceId"], span["spanId"], span["kind"] = (
                    wire.trace_id.hex(),
                    wire.span_id.hex(),
                    wire.kind,
                )
    return msgspec.json.encode(body)


def rate(work: Callable[[], object], spans: int) -> float:
    """Spans a second: the best of five."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return spans / best


def figures() -> dict[str, float]:
    """Spans a second for each step, on one core."""
    built = request()
    found: dict[str, float] = {}
    for encoding, body in (("protobuf", built.SerializeToString()), ("json", json_body(built))):
        record = OtlpBody(project_id="p", key_id="k", received=1, encoding=encoding, body=body)
        found[f"check {encoding}"] = rate(lambda body=body, encoding=encoding: check(body, encoding), SPANS)
        found[f"read {encoding}"] = rate(lambda record=record: spans_of_otlp(record), SPANS)
    spans = spans_of_otlp(record)
    found["write protobuf"] = rate(lambda: otlp_request(spans), SPANS)
    return found


if __name__ == "__main__":
    for step, spans_a_second in figures().items():
        print(f"{step:16} {spans_a_second:12,.0f} spans/s")
