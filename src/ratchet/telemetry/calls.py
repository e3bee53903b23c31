"""What goes into the spool: compact records that the request path can write in a few microseconds.

A `Call` keeps the request and answer as the bytes that crossed the wire. Reading them into messages is the
collector's work, so nothing on a request's path parses a conversation twice.
"""

from __future__ import annotations

import msgspec

from ratchet.domain.spans import Event, Score, Span
from ratchet.domain.usage import Usage

__all__ = ["Call", "LostAttempt", "OtlpBody", "Record", "decode_record", "encode_record"]


class LostAttempt(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """A target that was asked for a call and did not give its answer. Times as in Call; `cost` may be an estimate."""

    number: int
    target: str
    provider: str
    failure: str  # one of gateway.failures.Failure
    message: str
    http_status: int
    start: int
    duration: int
    time_to_first_token: int | None  # from the call's start
    cost: str | None
    span_id: str


class Call(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """One model call through the gateway. Times in nanoseconds; `cost` is decimal text in US dollars."""

    project_id: str
    key_id: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    duration: int
    dialect: str  # the app's: openai_chat | openai_responses | openai_embeddings | anthropic
    operation: str  # chat | embeddings
    route: str
    target: str  # provider/model
    provider: str  # gen_ai.provider.name
    request_model: str
    response_model: str
    response_id: str
    stream: bool
    status: str  # ok | error
    error_type: str
    error_message: str
    http_status: int
    time_to_first_token: int | None
    usage: Usage
    cost: str | None
    finish_reasons: list[str]
    user_id: str
    organisation_id: str
    session_id: str
    tags: list[str]
    app_version: str
    language: str
    metadata: dict[str, str]  # whatever else the app said in `metadata`
    request: bytes  # the body as the app sent it, a prompt rendered into it; b"" when content is not kept
    response: bytes  # the answer as the app got it: a JSON body, or the whole event stream
    attempt: int = 1
    # Which answer of which run it is; not given for production's calls. New fields stand last and have a default:
    # what is spooled already has to stay readable.
    run_id: str = ""
    candidate: str = ""
    case_id: str = ""
    repeat: int = 0
    # Which prompt it asked for.
    prompt: str = ""
    prompt_version: str = ""
    release: str = ""
    variables: bytes = b""  # what filled the prompt in, as JSON; b"" when content is not kept
    cache_status: str = ""  # "" | hit | miss | semantic_hit
    notes: dict[str, str] = {}  # attributes that policies add, under their full names
    attempts: list[LostAttempt] = []  # those that were not its answer
    segment: str = ""


class OtlpBody(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """An OTLP/HTTP trace export request, uncompressed, already checked for form."""

    project_id: str
    key_id: str
    received: int  # nanoseconds since the epoch
    encoding: str  # protobuf | json
    body: bytes


Record = Call | OtlpBody | Score | Event | Span

_KINDS: dict[type[Record], bytes] = {Call: b"C", OtlpBody: b"O", Score: b"S", Event: b"E", Span: b"R"}
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[int, msgspec.msgpack.Decoder[Record]] = {
    kind[0]: msgspec.msgpack.Decoder(record) for record, kind in _KINDS.items()
}


def encode_record(record: Record) -> bytes:
    """One byte that names the kind, then MessagePack."""
    return _KINDS[type(record)] + _encoder.encode(record)


def decode_record(payload: bytes | memoryview) -> Record:
    """The record in `payload`. Raises ValueError where it is none of ours."""
    decoder = _decoders.get(payload[0]) if payload else None
    if decoder is None:
        raise ValueError(f"unknown record kind {bytes(payload[:1])!r}")
    return decoder.decode(payload[1:])
