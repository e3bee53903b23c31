"""What the store answers with, and the filter that asks for traces.

Times and durations are nanoseconds; costs are exact US dollars. `None` in a number means unknown, never zero.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ratchet.domain.spans import Score

__all__ = [
    "Facets",
    "Found",
    "Health",
    "KeyUse",
    "ModelSummary",
    "ScoreSummary",
    "SpanHead",
    "StoreHealth",
    "Summary",
    "TableHealth",
    "TraceFilter",
    "TracePage",
    "TraceRow",
    "TraceTree",
]


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces to list; every field given must hold, and an empty one asks nothing.

    `since` (included) and `until` (excluded) bound the start of spans: a trace is in the window when one of its spans
    started there. Fields that name a property of a span (route, model, user …) hold when some span of the trace has
    it, not necessarily the same one for two fields. `status` is "error" (some span failed) or "ok" (none did).
    `cost` and `latency` bounds are of the whole trace and inclusive; a trace of unknown cost meets no cost bound.
    `score_min` and `score_max` (inclusive) hold when one score, of `score_name` if given, lies between them.
    `target` is as declared, `provider/model`. `failure` is the class of an attempt that gave no answer, or "any"; with
    `target` it is an attempt at that one.
    `without` names what some model call, counted once, leaves unsaid: a key of `filters.UNSAID`, such as "language".
    `run` is a run's id, "" for production's traces alone, "all" for both.
    `query` is full text: all its words stand in one span's messages, name or error, whole and in any case; a word that
    ends in `*` stands for every word that begins so. Or it is a trace id, whole.
    """

    since: int | None = None
    until: int | None = None
    route: str = ""
    prompt: str = ""
    prompt_version: str = ""
    model: str = ""
    provider: str = ""
    target: str = ""
    failure: str = ""
    user_id: str = ""
    organisation_id: str = ""
    session_id: str = ""
    key_id: str = ""
    tag: str = ""
    language: str = ""
    without: tuple[str, ...] = ()
    status: str = ""
    score_name: str = ""
    score_min: float | None = None
    score_max: float | None = None
    cost_min: Decimal | None = None
    cost_max: Decimal | None = None
    latency_min: int | None = None
    latency_max: int | None = None
    query: str = ""
    run: str = ""


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One trace in a list. Tokens and cost count each model call once: an app's own span around a call that the
    gateway also recorded is left out. `unpriced_calls` counts model calls whose cost is unknown; `cost` is the sum
    of the known ones."""

    trace_id: str
    start: int
    duration: int
    name: str
    service: str
    span_count: int
    error_count: int
    status: str
    route: str
    models: list[str]
    user_id: str
    session_id: str
    organisation_id: str
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced_calls: int
    time_to_first_token: int | None
    input_preview: str
    output_preview: str
    tags: list[str]
    scores: list[tuple[str, float | None, int]] = msgspec.field(
        default_factory=list[tuple[str, float | None, int]]
    )


class TracePage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest traces first; `total` is the exact number that match."""

    rows: list[TraceRow]
    total: int
    limit: int
    offset: int


class SpanHead(msgspec.Struct, frozen=True, kw_only=True):
    """A span without what is heavy: no messages, attributes or events."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    source: str
    service: str
    operation: str
    start: int
    duration: int
    time_to_first_token: int | None
    status: str
    error_type: str
    error_message: str
    user_id: str = ""
    session_id: str = ""
    organisation_id: str = ""
    route: str
    request_model: str
    response_model: str
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    input_preview: str
    output_preview: str
    attempt_cost: Decimal | None = None  # of an attempt that was not the answer; its call's cost holds it


class TraceTree(msgspec.Struct, frozen=True, kw_only=True):
    """All spans of a trace, earliest first, and the scores of the trace and its spans, newest first."""

    trace_id: str
    spans: list[SpanHead]
    scores: list[Score]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What an id stands for: `kind` is trace, span, user, session or organisation. `trace_id` is where a span is."""

    kind: str
    id: str
    trace_id: str = ""


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """Values worth offering in a filter: those that occur, sorted, at most 1,000 of each."""

    routes: list[str]
    models: list[str]
    providers: list[str]
    services: list[str]
    operations: list[str]
    keys: list[str]
    organisations: list[str]
    languages: list[str]
    tags: list[str]
    score_names: list[str]


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One model's share of a summary; `model` is what answered, or what was asked for when nothing did."""

    model: str
    requests: int
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced: int


class ScoreSummary(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    count: int
    mean: float | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A project over a stretch of time. A request is one model call, counted once; a failed one counts as well.

    `unpriced` counts requests whose cost is unknown; `cost` is the sum of the known ones.
    """

    requests: int
    errors: int
    models: list[ModelSummary]
    latency_p50: int | None
    latency_p95: int | None
    latency_p99: int | None
    ttft_p50: int | None
    ttft_p95: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost: Decimal | None
    unpriced: int
    scores: list[ScoreSummary]
    users: int
    sessions: int
    by_error: list[tuple[str, int]]


class TableHealth(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    bytes_on_disk: int
    parts: int


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`engine` is chdb or clickhouse; `schema` is the number of the last migration."""

    engine: str
    version: str
    schema: int
    tables: dict[str, TableHealth]
    bytes_on_disk: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls to one provider or route went. The `error_…` fields tell of the newest failure, if any.

    `label` is the provider as spans name it, in OpenTelemetry's words.
    """

    calls: int
    errors: int
    latency_p50: int | None
    latency_p95: int | None
    ttft_p50: int | None
    ttft_p95: int | None
    last_call: int
    label: str
    error_trace_id: str
    error_span_id: str
    error_time: int | None
    error_type: str
    error_message: str


class KeyUse(msgspec.Struct, frozen=True):
    """How many spans came with a key, and when the newest began."""

    spans: int
    last: int
