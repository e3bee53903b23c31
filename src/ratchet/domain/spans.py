"""The three rows that telemetry keeps: span, score, event. Field names are the tables' column names.

Times are integers, nanoseconds since the Unix epoch, UTC. Durations are nanoseconds. `""` stands for "not given" in
text fields; `None` stands for "unknown" in numbers, and is never shown as zero.

`gc=False`: rows come by the hundred thousand and hold no cycles, so the collector need not look at them.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["ATTEMPT", "ATTEMPT_COST", "ORIGINAL_TIME", "Event", "Score", "Span"]

ORIGINAL_TIME = (
    "ratchet.original_time"  # the attribute that keeps a time which could not be kept in its column
)
ATTEMPT = "attempt"  # the operation of an attempt that was not the answer
ATTEMPT_COST = "ratchet.attempt_cost"  # the attribute with what it cost: US dollars, as decimal text


class Span(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One unit of work: a model call, a tool call, an app's own step. Wide and immutable."""

    project_id: str
    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits
    parent_id: str = ""  # 16 hex digits, "" for a root
    name: str
    kind: str = "internal"  # internal | server | client | producer | consumer
    source: str = "otlp"  # gateway | otlp | run
    service: str = ""  # OpenTelemetry's service.name
    operation: str = ""  # chat, embeddings, execute_tool, invoke_agent …: gen_ai.operation.name
    start: int
    duration: int
    time_to_first_token: int | None = None
    status: str = "unset"  # unset | ok | error
    error_type: str = ""
    error_message: str = ""
    http_status: int | None = None

    # whose
    key_id: str = ""
    user_id: str = ""
    organisation_id: str = ""
    segment: str = ""
    session_id: str = ""
    tags: list[str] = msgspec.field(default_factory=list[str])
    app_version: str = ""
    language: str = ""

    # which configuration answered
    route: str = ""
    target: str = ""
    strategy: str = ""
    attempt: int = 1
    prompt: str = ""
    prompt_version: str = ""
    release: str = ""
    cache_status: str = ""  # "" | hit | miss | semantic_hit
    guard_verdicts: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    # the model call
    provider: str = ""
    request_model: str = ""
    response_model: str = ""
    response_id: str = ""
    stream: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    cost: Decimal | None = None  # US dollars, exact
    finish_reasons: list[str] = msgspec.field(default_factory=list[str])

    # what was said, as JSON of the message form (domain.messages); previews are for lists
    input_messages: str = ""
    output_messages: str = ""
    tool_definitions: str = ""
    input_preview: str = ""
    output_preview: str = ""
    embedding: list[float] = msgspec.field(default_factory=list[float])

    # everything else, as text; nested values as JSON
    attributes: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    resource: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    events: str = ""  # JSON list of {time, name, attributes}
    links: str = ""  # JSON list of {trace_id, span_id, attributes}

    # offline runs write the same table
    run_id: str = ""
    candidate: str = ""
    case_id: str = ""
    repeat: int = 0


class Score(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One judgement of a span, a trace, a session or a case."""

    project_id: str
    score_id: str
    time: int
    name: str
    value: float | None = None  # thumbs are 1.0 and 0.0
    label: str = ""
    comment: str = ""
    correction: str = ""
    source: str  # user | member | judge | code
    author: str = ""
    trace_id: str = ""
    span_id: str = ""
    session_id: str = ""
    case_id: str = ""
    run_id: str = ""
    attributes: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A change of state worth keeping: breaker opened, limit hit, spool full, release."""

    project_id: str
    event_id: str
    time: int
    kind: str  # e.g. "spool.refused"
    subject: str = ""  # the named thing it is about
    message: str = ""
    severity: str = "info"  # info | warning | error
    attributes: dict[str, str] = msgspec.field(default_factory=dict[str, str])
