"""OTLP traces in JSON, and what is wrong with a span in either encoding."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from ratchet.dialects.decoding import mended
from ratchet.errors import InvalidRequest
from ratchet.telemetry.conventions import RawSpan, Resource

__all__ = ["LATEST", "check_json", "raw_spans_of_json", "scope_attributes", "wrong_id", "wrong_time"]

LATEST = (1 << 63) - 1  # April 2262: where signed 64-bit nanoseconds end

_TraceId = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{32}$")]
_SpanId = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{16}$")]
_ParentId = Annotated[str, msgspec.Meta(pattern="^([0-9a-fA-F]{16})?$")]
_Integer = int | Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,20}$")]
_Time = Annotated[int, msgspec.Meta(ge=0)] | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]
_Float = (
    float | Annotated[str, msgspec.Meta(pattern=r"^(NaN|-?Infinity|-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?)$")]
)
_Base64 = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9+/_-]*={0,2}$")]

# Enumerations are numbers in OTLP/JSON; protobuf's own JSON writes their names.
_KINDS = {
    name: number
    for number, name in enumerate(
        f"SPAN_KIND_{kind}"
        for kind in ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
    )
}
_STATUSES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Integer | None = None
    double_value: _Float | None = None
    array_value: _Array | None = None
    kvlist_value: _KeyValues | None = None
    bytes_value: _Base64 | None = None


class _Array(msgspec.Struct):
    values: list[_Value | None] = []


class _KeyValue(msgspec.Struct):
    key: str
    value: _Value | None = None


class _KeyValues(msgspec.Struct):
    values: list[_KeyValue] = []


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] = []


class _Scope(msgspec.Struct):
    name: str = ""
    version: str = ""
    attributes: list[_KeyValue] = []


class _Event(msgspec.Struct, rename="camel"):
    time_unix_nano: _Time = 0
    name: str = ""
    attributes: list[_KeyValue] = []


class _Link(msgspec.Struct, rename="camel"):
    trace_id: _TraceId
    span_id: _SpanId
    attributes: list[_KeyValue] = []


class _Status(msgspec.Struct):
    code: int | str = 0
    message: str = ""


class _Span(msgspec.Struct, rename="camel"):
    trace_id: _TraceId
    span_id: _SpanId
    parent_span_id: _ParentId | None = None
    trace_state: str = ""
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: _Time = 0
    end_time_unix_nano: _Time = 0
    attributes: list[_KeyValue] = []
    dropped_attributes_count: int = 0
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct):
    scope: _Scope | None = None
    spans: list[_Span] = []


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_request_decoder = msgspec.json.Decoder(_Request)


def check_json(body: bytes) -> int:
    """How many spans `body` holds. Raises InvalidRequest, naming what is wrong and where."""
    count = 0
    for group in _decode(body).resource_spans or ():
        for scope_spans in group.scope_spans:
            for span in scope_spans.spans:
                if not span.trace_id.strip("0"):
                    raise wrong_id(count, "traceId", "not all zero", span.trace_id)
                if not span.span_id.strip("0"):
                    raise wrong_id(count, "spanId", "not all zero", span.span_id)
                if int(span.start_time_unix_nano) > LATEST or int(span.end_time_unix_nano) > LATEST:
                    raise wrong_time(count)
                count += 1
    return count


def raw_spans_of_json(body: bytes) -> Iterator[tuple[RawSpan, Resource]]:
    """Every span of a checked body with the resource it belongs to."""
    for group in _decode(body).resource_spans or ():
        resource = Resource.of(_attributes(group.resource.attributes) if group.resource else {})
        for scope_spans in group.scope_spans:
            scope = scope_spans.scope or _Scope()
            shared = scope_attributes(scope.name, scope.version, _attributes(scope.attributes))
            for span in scope_spans.spans:
                yield _raw(span, shared), resource


def scope_attributes(name: str, version: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """A scope as attributes of its spans, with the names that OpenTelemetry gives them outside of OTLP."""
    shared = dict(attributes)
    if name:
        shared["otel.scope.name"] = name
    if version:
        shared["otel.scope.version"] = version
    return shared


def wrong_id(number: int, field: str, expected: str, found: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{field}` of span {number} (counted from 0) must be {expected}; it is `{found[:64]}`.",
        "Send spans as an OpenTelemetry SDK exports them.",
        param=field,
    )


def wrong_time(number: int) -> InvalidRequest:
    return InvalidRequest(
        f"The start or end of span {number} (counted from 0) lies beyond the year 2262.",
        "Send times as nanoseconds since the Unix epoch.",
        param="startTimeUnixNano",
    )


def _decode(body: bytes) -> _Request:
    try:
        try:
            request = _request_decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            request = _request_decoder.decode(mended(body))  # JavaScript exporters cut texts between halves
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"The body is not an OTLP trace export request: {str(error)[:1].lower()}{str(error)[1:]}.",
            "Follow OTLP's JSON mapping: lowerCamelCase names, ids in hex.",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequest(
            f"The body is not JSON: {problem}.", "Send an OTLP trace export request as JSON."
        ) from error
    if request.resource_spans is None and body.strip() != b"{}":
        raise InvalidRequest(
            "The body has no `resourceSpans`.",
            "Follow OTLP's JSON mapping (lowerCamelCase names); logs and metrics are not taken here.",
            param="resourceSpans",
        )
    return request


def _raw(span: _Span, shared: dict[str, Any]) -> RawSpan:
    attributes = _attributes(span.attributes)
    if shared:
        attributes |= shared
    if span.trace_state:
        attributes["otel.trace_state"] = span.trace_state
    if span.dropped_attributes_count:
        attributes["otel.dropped_attributes_count"] = span.dropped_attributes_count
    status = span.status
    parent_id = span.parent_span_id or ""
    return RawSpan(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=parent_id.lower() if parent_id.strip("0") else "",
        name=span.name,
        kind=_number(span.kind, _KINDS),
        start=int(span.start_time_unix_nano),
        end=int(span.end_time_unix_nano),
        status=_number(status.code, _STATUSES) if status else 0,
        message=status.message if status else "",
        attributes=attributes,
        events=[
            (int(event.time_unix_nano), event.name, _attributes(event.attributes)) for event in span.events
        ],
        links=[
            {
                "trace_id": link.trace_id.lower(),
                "span_id": link.span_id.lower(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
    )


def _number(value: int | str, names: dict[str, int]) -> int:
    return names.get(value, 0) if isinstance(value, str) else value


def _attributes(pairs: list[_KeyValue]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        if value is not None:
            attributes[pair.key] = value.string_value if value.string_value is not None else _value(value)
        else:
            attributes[pair.key] = None
    return attributes


def _value(value: _Value | None) -> Any:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.array_value is not None:
        return [_value(item) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return _bytes(value.bytes_value) if value.bytes_value is not None else None


def _bytes(text: str) -> bytes | str:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    except binascii.Error:
        return text  # not base64 after all: kept as it came
