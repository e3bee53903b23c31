"""Our spans as an OTLP request, with the names of OpenTelemetry GenAI v1.41.1 and `ratchet.*` for what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, cast

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from ratchet.domain.spans import Span

__all__ = ["otlp_request"]

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES = {"unset": 0, "ok": 1, "error": 2}
_decoder = msgspec.json.Decoder()

# Column → attribute; written where the column says something.
_TEXTS = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "session_id": "gen_ai.conversation.id",
    "prompt": "gen_ai.prompt.name",
    "input_messages": "gen_ai.input.messages",
    "output_messages": "gen_ai.output.messages",
    "tool_definitions": "gen_ai.tool.definitions",
    "error_type": "error.type",
    "user_id": "user.id",
    "organisation_id": "ratchet.organisation",
    "segment": "ratchet.segment",
    "language": "ratchet.language",
    "route": "ratchet.route",
    "target": "ratchet.target",
    "strategy": "ratchet.strategy",
    "prompt_version": "ratchet.prompt.version",
    "release": "ratchet.release",
    "cache_status": "ratchet.cache_status",
    "run_id": "ratchet.run_id",
    "candidate": "ratchet.candidate",
    "case_id": "ratchet.case_id",
}
_COUNTS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "audio_input_tokens": "ratchet.usage.audio.input_tokens",
    "audio_output_tokens": "ratchet.usage.audio.output_tokens",
    "http_status": "http.response.status_code",
}
_LISTS = {"finish_reasons": "gen_ai.response.finish_reasons", "tags": "ratchet.tags"}


def _number(text: str) -> Any:
    """The number that `text` is the one spelling of; otherwise the text."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return text


def _list(text: str) -> Any:
    try:
        value = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    return cast("Any", value) if isinstance(value, list) else text


# What the conventions want as a number or a list, though we keep it as text.
_TYPED: dict[str, Callable[[str], Any]] = {
    **{
        f"gen_ai.request.{name}": _number
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "max_tokens",
            "choice.count",
            "frequency_penalty",
            "presence_penalty",
            "seed",
        )
    },
    "gen_ai.request.stop_sequences": _list,
    "gen_ai.request.encoding_formats": _list,
}


def otlp_request(spans: Iterable[Span]) -> bytes:
    """An ExportTraceServiceRequest in protobuf. Embeddings, previews, project and key stay here.

    Reading it back gives the same spans, except that their source is `otlp` (it is told in `ratchet.source`).
    """
    request = ExportTraceServiceRequest()
    scopes: dict[tuple[str, tuple[tuple[str, str], ...], str, str], ScopeSpans] = {}
    for span in spans:
        resource = tuple(span.resource.items())
        scope_name = span.attributes.get("otel.scope.name", "")
        scope_version = span.attributes.get("otel.scope.version", "")
        key = (span.service, resource, scope_name, scope_version)
        scope_spans = scopes.get(key)
        if scope_spans is None:
            group = request.resource_spans.add()
            if span.service:
                _set(group.resource.attributes.add, "service.name", span.service)
            for name, text in resource:
                _set(group.resource.attributes.add, name, text)
            scopes[key] = scope_spans = group.scope_spans.add()
            scope_spans.scope.name, scope_spans.scope.version = scope_name, scope_version
        _write(scope_spans.spans.add(), span)
    return request.SerializeToString()


def _write(wire: WireSpan, span: Span) -> None:
    wire.trace_id, wire.span_id = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
    wire.parent_span_id = bytes.fromhex(span.parent_id)
    wire.name = span.name
    wire.kind = cast("Any", _KINDS.get(span.kind, 1))
    wire.start_time_unix_nano, wire.end_time_unix_nano = span.start, span.start + span.duration
    wire.status.code = cast("Any", _STATUSES.get(span.status, 0))
    wire.status.message = span.error_message
    add = wire.attributes.add
    for name, value in chain(_columns(span), _special_columns(span)):
        _set(add, name, value)
    for name, text in span.attributes.items():
        if name == "otel.trace_state":
            wire.trace_state = text
        elif name not in ("otel.scope.name", "otel.scope.version"):
            typed = _TYPED.get(name)
            _set(add, name, typed(text) if typed else text)
    for event in _entries(span.events):
        wire_event = wire.events.add()
        wire_event.time_unix_nano, wire_event.name = event["time"], event["name"]
        for name, value in event["attributes"].items():
            _set(wire_event.attributes.add, name, value)
    for link in _entries(span.links):
        wire_link = wire.links.add()
        wire_link.trace_id, wire_link.span_id = (
            bytes.fromhex(link["trace_id"]),
            bytes.fromhex(link["span_id"]),
        )
        for name, value in link["attributes"].items():
            _set(wire_link.attributes.add, name, value)


def _columns(span: Span) -> Iterable[tuple[str, Any]]:
    for column, name in _TEXTS.items():
        text = getattr(span, column)
        if text:
            yield name, text
    for column, name in _COUNTS.items():
        count = getattr(span, column)
        if count is not None:
            yield name, count
    for column, name in _LISTS.items():
        texts = getattr(span, column)
        if texts:
            yield name, texts


def _special_columns(span: Span) -> Iterable[tuple[str, Any]]:
    if span.session_id:
        yield "session.id", span.session_id  # what OpenInference and Langfuse read
    if span.stream:
        yield "gen_ai.request.stream", True
    if span.time_to_first_token is not None:
        yield "gen_ai.response.time_to_first_chunk", span.time_to_first_token / 1e9
    if span.cost is not None:
        yield "ratchet.cost", str(span.cost)  # exact; as a float for those who sum it
        yield "gen_ai.usage.cost", float(span.cost)
    if span.app_version and span.app_version != span.resource.get("service.version"):
        yield "ratchet.app_version", span.app_version
    if span.attempt != 1:
        yield "ratchet.attempt", span.attempt
    if span.guard_verdicts:
        yield "ratchet.guard_verdicts", span.guard_verdicts
    if span.repeat:
        yield "ratchet.repeat", span.repeat
    if span.source != "otlp":
        yield "ratchet.source", span.source


def _set(add: Callable[[], Any], name: str, value: Any) -> None:
    pair = add()
    pair.key = name
    _fill(pair.value, value)


def _fill(target: AnyValue, value: Any) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            target.int_value = value
        else:
            target.string_value = str(value)
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in cast("Sequence[Any]", value):
            _fill(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in cast("dict[str, Any]", value).items():
            _set(target.kvlist_value.values.add, key, item)


def _entries(text: str) -> list[dict[str, Any]]:
    """The events or links of a column, less any that were not written by us."""
    entries: Any = _list(text) if text else None
    return [
        cast("dict[str, Any]", entry)
        for entry in (cast("list[Any]", entries) if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(cast("dict[str, Any]", entry).get("attributes"), dict)
    ]
