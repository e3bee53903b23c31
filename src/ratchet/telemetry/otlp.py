"""OTLP/HTTP traces: bodies checked whole before anything of them is kept, then read into spans.

Follows the OTLP specification 1.x: protobuf, and JSON by its own mapping (ids in hex, 64-bit integers as texts or
numbers, lowerCamelCase names). Both encodings become the same plain Python values, and from there one path.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ratchet.domain.spans import ORIGINAL_TIME, Span
from ratchet.errors import BodyTooLarge, InvalidRequest, RatchetError, WrongContentType
from ratchet.telemetry.calls import OtlpBody
from ratchet.telemetry.conventions import RawSpan, Resource, span_of
from ratchet.telemetry.otlp_encode import otlp_request
from ratchet.telemetry.otlp_json import (
    LATEST,
    check_json,
    raw_spans_of_json,
    scope_attributes,
    wrong_id,
    wrong_time,
)

__all__ = [
    "CLOCK_TOLERANCE",
    "EXPORT_RESPONSES",
    "JSON",
    "PROTOBUF",
    "check",
    "content_type",
    "decompress",
    "encoding_of",
    "error_response",
    "otlp_request",
    "spans_of_otlp",
]

CLOCK_TOLERANCE = 5 * 60 * 10**9  # how far an app's clock may be ahead of ours before its times are doubted
PROTOBUF = "protobuf"
JSON = "json"
# ExportTraceServiceResponses that say that everything was taken.
EXPORT_RESPONSES = {PROTOBUF: b"", JSON: b'{"partialSuccess":{}}'}
_MOST_MEMBERS = 64
_CONTENT_TYPES = {PROTOBUF: "application/x-protobuf", JSON: "application/json"}
_ENCODINGS = {"application/x-protobuf": PROTOBUF, "application/protobuf": PROTOBUF, "application/json": JSON}
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_INVALID_ARGUMENT, _UNAVAILABLE, _INTERNAL = 3, 14, 13  # google.rpc.Code

_encoder = msgspec.json.Encoder()


def encoding_of(content_type: str) -> str:
    """`protobuf` or `json`. Raises WrongContentType."""
    encoding = _ENCODINGS.get(content_type.partition(";")[0].strip().lower())
    if encoding is None:
        raise WrongContentType(
            f"Traces can't be read as `{content_type or 'no content type'}`.",
            "Send OTLP as application/x-protobuf or application/json.",
        )
    return encoding


def content_type(encoding: str) -> str:
    """The media type that goes with an encoding."""
    return _CONTENT_TYPES[encoding]


def decompress(body: bytes, content_encoding: str, limit: int) -> bytes:
    """`body` without its gzip or deflate, at most `limit` bytes long.

    Raises BodyTooLarge (before more than the limit has been unpacked), WrongContentType for another compression,
    InvalidRequest for a broken one.
    """
    name = content_encoding.strip().lower()
    if name in ("", "identity"):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise WrongContentType(
            f"The content encoding `{content_encoding}` is not supported.", "Use gzip, deflate, or none."
        )
    window = zlib.MAX_WBITS if name == "deflate" else zlib.MAX_WBITS | 16
    parts: list[bytes] = []
    room = limit
    while body:  # gzip may hold several members, one behind the other
        if len(parts) == _MOST_MEMBERS:  # each costs as much as all that is behind it
            raise _broken_compression(name, f"it has more than {_MOST_MEMBERS} parts")
        unpacker = zlib.decompressobj(window)
        try:
            part = unpacker.decompress(body, room + 1)
        except zlib.error as error:
            raise _broken_compression(name, str(error)) from error
        if len(part) > room:
            raise _too_large(limit)
        if not unpacker.eof:
            raise _broken_compression(name, "it ends in the middle")
        room -= len(part)
        parts.append(part)
        body = unpacker.unused_data
    return b"".join(parts)


def check(body: bytes, encoding: str) -> int:
    """How many spans `body` (uncompressed) holds. Raises InvalidRequest, naming what is wrong and where."""
    if encoding == JSON:
        return check_json(body)
    count = 0
    for group in _parse(body).resource_spans:
        for scope_spans in group.scope_spans:
            for span in scope_spans.spans:
                trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
                if len(trace_id) != 16 or trace_id == _NO_TRACE:
                    raise wrong_id(count, "trace_id", "16 bytes, not all zero", trace_id.hex())
                if len(span_id) != 8 or span_id == _NO_SPAN:
                    raise wrong_id(count, "span_id", "8 bytes, not all zero", span_id.hex())
                if len(parent_id) not in (0, 8):
                    raise wrong_id(count, "parent_span_id", "8 bytes or none", parent_id.hex())
                if span.start_time_unix_nano > LATEST or span.end_time_unix_nano > LATEST:
                    raise wrong_time(count)
                count += 1
    return count


def spans_of_otlp(record: OtlpBody) -> list[Span]:
    """Every span of a checked body, in its order. Those of a clock that is ahead are brought back to now."""
    decoded = raw_spans_of_json(record.body) if record.encoding == JSON else _raw_spans(record.body)
    groups: list[tuple[Resource, list[Span]]] = []
    for raw, resource in decoded:
        if not groups or groups[-1][0] is not resource:
            groups.append((resource, []))
        groups[-1][1].append(
            span_of(
                raw, resource, project_id=record.project_id, key_id=record.key_id, received=record.received
            )
        )
    return [span for _, spans in groups for span in _brought_back(spans, record.received)]


def _brought_back(spans: list[Span], received: int) -> list[Span]:
    """One process's spans. No span can have ended after it was received: those that say so lie on a wrong clock, and
    would stand on top of every list until that time comes. They are moved together, the last of them to the moment
    they were received, so that their order and distances stay; `ratchet.original_time` keeps what was said.
    """
    late = received + CLOCK_TOLERANCE
    last = max(span.start + span.duration for span in spans)
    if last <= late:
        return spans
    return [
        msgspec.structs.replace(
            span,
            start=span.start - (last - received),
            attributes={**span.attributes, ORIGINAL_TIME: str(span.start)},
        )
        if span.start + span.duration > late
        else span
        for span in spans
    ]


def error_response(error: RatchetError, encoding: str) -> bytes:
    """A google.rpc.Status, which is what OTLP wants in the body of a 4xx or 5xx."""
    if error.status < 500:
        code = _INVALID_ARGUMENT
    else:
        code = _UNAVAILABLE if error.status in (502, 503, 504) else _INTERNAL
    if encoding == JSON:
        return _encoder.encode({"code": code, "message": str(error)})
    message = str(error).encode()
    return bytes((0x08, code, 0x12)) + _varint(len(message)) + message


def _parse(body: bytes) -> ExportTraceServiceRequest:
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise InvalidRequest(
            f"The body is not an OTLP trace export request: {error}.",
            "Send an ExportTraceServiceRequest in protobuf, or set the content type to application/json.",
        ) from error
    if body and not request.resource_spans:
        # Protobuf reads almost anything as fields that it doesn't know.
        raise InvalidRequest(
            "The body holds no resource spans, only fields that OTLP traces don't have.",
            "Send an ExportTraceServiceRequest; logs and metrics are not taken here.",
        )
    return request


def _raw_spans(body: bytes) -> Iterator[tuple[RawSpan, Resource]]:
    for group in _parse(body).resource_spans:
        resource = Resource.of(_attributes(group.resource.attributes))
        for scope_spans in group.scope_spans:
            scope = scope_spans.scope
            shared = scope_attributes(scope.name, scope.version, _attributes(scope.attributes))
            for span in scope_spans.spans:
                attributes = _attributes(span.attributes)
                if shared:
                    attributes |= shared
                if span.trace_state:
                    attributes["otel.trace_state"] = span.trace_state
                if span.dropped_attributes_count:
                    attributes["otel.dropped_attributes_count"] = span.dropped_attributes_count
                status = span.status
                yield (
                    RawSpan(
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=_parent(span.parent_span_id),
                        name=span.name,
                        kind=span.kind,
                        start=span.start_time_unix_nano,
                        end=span.end_time_unix_nano,
                        status=status.code,
                        message=status.message,
                        attributes=attributes,
                        events=[
                            (event.time_unix_nano, event.name, _attributes(event.attributes))
                            for event in span.events
                        ],
                        links=[
                            {
                                "trace_id": link.trace_id.hex(),
                                "span_id": link.span_id.hex(),
                                "attributes": _attributes(link.attributes),
                            }
                            for link in span.links
                        ],
                    ),
                    resource,
                )


def _parent(parent_id: bytes) -> str:
    return "" if parent_id == _NO_SPAN else parent_id.hex()


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Most are texts: asking for that first saves asking which kind it is.
        attributes[pair.key] = value.string_value or _value(value)
    return attributes


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {limit:,} bytes once it is unpacked.", "Send fewer spans in one request."
    )


def _broken_compression(name: str, problem: str) -> InvalidRequest:
    return InvalidRequest(
        f"The body can't be unpacked as {name}: {problem}.",
        "Compress it whole, or send it without a Content-Encoding.",
    )
