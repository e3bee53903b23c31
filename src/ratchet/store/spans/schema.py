"""Tables for spans, scores and events, and the numbered statements that bring a store up to date.

One SQL for both engines, chDB and ClickHouse. Column names and order are those of `domain.spans`; a test compares
them. Columns that only the engine fills (`model_call`, `search_text`) stand behind them and never appear in an insert.
"""

from __future__ import annotations

import msgspec

from ratchet.domain.spans import Event, Score, Span

__all__ = [
    "COLUMNS",
    "LATEST",
    "MIGRATIONS",
    "MIGRATIONS_TABLE",
    "TABLES",
    "TIME_COLUMNS",
    "TIME_MAX",
    "TIME_MIN",
    "TYPES",
    "Migration",
]

# The sort key cuts times to minutes in a 32-bit type, so these are the times a row can have. What lies outside is
# clamped on insert and the original kept in `attributes`.
TIME_MIN = 0
TIME_MAX = (2**32 - 61) * 1_000_000_000

_KEYWORD = "LowCardinality(String)"  # few distinct values
_ID = "String CODEC(ZSTD(1))"
_TEXT = "String CODEC(ZSTD(1))"
# A page of traces reads a few rows here and there; small blocks keep it from unpacking their neighbours.
_SCATTERED = (
    "String CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 16384, max_compress_block_size = 65536)"
)
_TIME = "DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1))"
_NUMBER = "Int64 CODEC(T64, ZSTD(1))"
_COUNT = "Nullable(Int64) CODEC(ZSTD(1))"
_MAP = "Map(String, String) CODEC(ZSTD(1))"

_SPAN_TYPES = {
    "project_id": _KEYWORD,
    "trace_id": _ID,
    "span_id": _SCATTERED,
    "parent_id": _SCATTERED,
    "name": _KEYWORD,
    "kind": _KEYWORD,
    "source": _KEYWORD,
    "service": _KEYWORD,
    "operation": _KEYWORD,
    "start": _TIME,
    "duration": _NUMBER,
    "time_to_first_token": _COUNT,
    "status": _KEYWORD,
    "error_type": _KEYWORD,
    "error_message": _TEXT,
    "http_status": "Nullable(Int32) CODEC(ZSTD(1))",
    "key_id": _KEYWORD,
    "user_id": _SCATTERED,
    "organisation_id": _SCATTERED,
    "segment": _KEYWORD,
    "session_id": _SCATTERED,
    "tags": "Array(LowCardinality(String)) CODEC(ZSTD(1))",
    "app_version": _KEYWORD,
    "language": _KEYWORD,
    "route": _KEYWORD,
    "target": _KEYWORD,
    "strategy": _KEYWORD,
    "attempt": "Int32 CODEC(T64, ZSTD(1))",
    "prompt": _KEYWORD,
    "prompt_version": _KEYWORD,
    "release": _KEYWORD,
    "cache_status": _KEYWORD,
    "guard_verdicts": _MAP,
    "provider": _KEYWORD,
    "request_model": _KEYWORD,
    "response_model": _KEYWORD,
    "response_id": _ID,
    "stream": "Bool",
    "input_tokens": _COUNT,
    "output_tokens": _COUNT,
    "cached_tokens": _COUNT,
    "cache_write_tokens": _COUNT,
    "reasoning_tokens": _COUNT,
    "audio_input_tokens": _COUNT,
    "audio_output_tokens": _COUNT,
    "cost": "Nullable(Decimal(38, 18)) CODEC(ZSTD(1))",
    "finish_reasons": "Array(LowCardinality(String)) CODEC(ZSTD(1))",
    "input_messages": _TEXT,
    "output_messages": _TEXT,
    "tool_definitions": _TEXT,
    "input_preview": _SCATTERED,
    "output_preview": _SCATTERED,
    "embedding": "Array(Float32) CODEC(ZSTD(1))",
    "attributes": _MAP,
    "resource": _MAP,
    "events": _TEXT,
    "links": _TEXT,
    "run_id": _ID,
    "candidate": _KEYWORD,
    "case_id": _ID,
    "repeat": "Int32 CODEC(T64, ZSTD(1))",
}

_SCORE_TYPES = {
    "project_id": _KEYWORD,
    "score_id": _ID,
    "time": _TIME,
    "name": _KEYWORD,
    "value": "Nullable(Float64) CODEC(ZSTD(1))",
    "label": _TEXT,
    "comment": _TEXT,
    "correction": _TEXT,
    "source": _KEYWORD,
    "author": _ID,
    "trace_id": _ID,
    "span_id": _ID,
    "session_id": _ID,
    "case_id": _ID,
    "run_id": _ID,
    "attributes": _MAP,
}

_EVENT_TYPES = {
    "project_id": _KEYWORD,
    "event_id": _ID,
    "time": _TIME,
    "kind": _KEYWORD,
    "subject": _TEXT,
    "message": _TEXT,
    "severity": _KEYWORD,
    "attributes": _MAP,
}

TABLES: dict[str, type[msgspec.Struct]] = {"spans": Span, "scores": Score, "events": Event}
COLUMNS: dict[str, tuple[str, ...]] = {table: struct.__struct_fields__ for table, struct in TABLES.items()}
# What an insert sends. Plain texts: the engine builds dictionaries of few values far faster than the driver would.
TYPES: dict[str, dict[str, str]] = {
    table: {name: kind.partition(" CODEC")[0].replace(_KEYWORD, "String") for name, kind in types.items()}
    for table, types in (("spans", _SPAN_TYPES), ("scores", _SCORE_TYPES), ("events", _EVENT_TYPES))
}
TIME_COLUMNS = {"spans": "start", "scores": "time", "events": "time"}

# Words worth searching: the messages without the JSON around them. Keys, roles and escapes go, and so do long runs
# of base64 (images), which would fill the index with noise.
_JSON_NOISE = (
    r'"(?:role|type|modality|mime_type|finish_reason)":"[^"]*"'
    r'|"(?:parts|content|name|id|arguments|response|signature|uri|file_id|value)":'
    r"|[A-Za-z0-9+/=]{200,}"
    r"|\\\\[nrtbf]|\\\\u00[01][0-9a-f]"
)
_SEARCH_TEXT = (
    "lowerUTF8(concatWithSeparator(' ', name, error_type, error_message, "
    f"replaceRegexpAll(concat(input_messages, ' ', output_messages), '{_JSON_NOISE}', ' ')))"
)

# Synced before an insert returns: the spool's copy goes as soon as it has. What merges write needs no sync, since
# the parts they come from stay for minutes.
_SETTINGS = "non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1"

# A span that stands for one call of a model. Agents and tools may carry a model's name and their calls' tokens as
# well; counting those too would count twice.
_MODEL_CALL = (
    "(request_model != '' OR response_model != '') AND operation NOT IN "
    "('invoke_agent', 'create_agent', 'invoke_workflow', 'execute_tool', 'retrieval')"
)

_SPAN_INDEXES = f"""
    model_call Bool MATERIALIZED {_MODEL_CALL},
    search_text String ALIAS {_SEARCH_TEXT},
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_span span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_organisation organisation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_key key_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_case case_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_word search_text TYPE text(tokenizer = asciiCJK)
"""

_SCORE_INDEXES = """
    INDEX by_score score_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_span span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session session_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_case case_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_run run_id TYPE bloom_filter(0.01) GRANULARITY 1
"""


def _create(table: str, types: dict[str, str], extra: str, order: str, settings: str = _SETTINGS) -> str:
    columns = ",\n    ".join(f"`{name}` {kind}" for name, kind in types.items())
    behind = f",{extra}" if extra else "\n"
    time = TIME_COLUMNS[table]
    return (
        f"CREATE TABLE IF NOT EXISTS {table} (\n    {columns}{behind}) ENGINE = MergeTree\n"
        f"PARTITION BY toYYYYMM({time})\nORDER BY ({order})\nSETTINGS {settings}"
    )


class Migration(msgspec.Struct, frozen=True):
    """One step. Statements can be run again, so a step that died halfway is simply repeated."""

    version: int
    name: str
    statements: tuple[str, ...]


MIGRATIONS_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, applied DateTime DEFAULT now()) "
    "ENGINE = MergeTree ORDER BY version"
)

MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "spans, scores, events",
        (
            _create(
                "spans",
                _SPAN_TYPES,
                _SPAN_INDEXES,
                "project_id, toStartOfMinute(start), trace_id",
                f"index_granularity = 2048, {_SETTINGS}",
            ),
            _create("scores", _SCORE_TYPES, _SCORE_INDEXES, "project_id, name, toStartOfMinute(time)"),
            _create("events", _EVENT_TYPES, "", "project_id, toStartOfMinute(time)"),
        ),
    ),
)
LATEST = MIGRATIONS[-1].version
