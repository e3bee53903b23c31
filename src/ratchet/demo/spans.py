"""The sample app's own spans, as OTLP/HTTP JSON: the little that an app needs without an SDK."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

__all__ = ["AppSpan", "new_span_id", "new_trace_id", "otlp_body", "traceparent"]


class AppSpan(msgspec.Struct, kw_only=True):
    """Times in nanoseconds since the epoch; ids in hex."""

    trace_id: str
    span_id: str
    name: str
    start: int
    end: int = 0
    parent_id: str = ""
    kind: int = 1  # internal; 3 is client
    failed: bool = False
    attributes: dict[str, str] = {}


def new_trace_id() -> str:
    return secrets.token_hex(16)


def new_span_id() -> str:
    return secrets.token_hex(8)


def traceparent(span: AppSpan) -> str:
    """The W3C header that makes a request a child of `span`."""
    return f"00-{span.trace_id}-{span.span_id}-01"


def otlp_body(spans: list[AppSpan], *, service: str, version: str) -> dict[str, Any]:
    """An ExportTraceServiceRequest in OTLP's JSON encoding."""
    resource = {"service.name": service, "service.version": version}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": "support-app"}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }


def _span(span: AppSpan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": _attributes(span.attributes),
        "status": {"code": 2} if span.failed else {},
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    return found


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
