"""Spans, scores and events: written once, read by lists, trees and summaries. On chDB or ClickHouse."""

from __future__ import annotations

from ratchet.store.spans.rows import (
    Facets,
    Found,
    Health,
    KeyUse,
    ModelSummary,
    ScoreSummary,
    SpanHead,
    StoreHealth,
    Summary,
    TableHealth,
    TraceFilter,
    TracePage,
    TraceRow,
    TraceTree,
)
from ratchet.store.spans.store import SpanStore

__all__ = [
    "Facets",
    "Found",
    "Health",
    "KeyUse",
    "ModelSummary",
    "ScoreSummary",
    "SpanHead",
    "SpanStore",
    "StoreHealth",
    "Summary",
    "TableHealth",
    "TraceFilter",
    "TracePage",
    "TraceRow",
    "TraceTree",
]
