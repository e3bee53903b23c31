"""Spans, scores and events: written once, read by lists, trees and summaries. On chDB or ClickHouse."""

from __future__ import annotations

from ratchet.store.spans.callers import Companion, Sighting
from ratchet.store.spans.canaries import Opinion, Served
from ratchet.store.spans.filters import UNSAID
from ratchet.store.spans.happenings import Happening
from ratchet.store.spans.owners import OWNER_ORDERS, Feedback, OwnerKind, OwnerPage, OwnerRow
from ratchet.store.spans.prompts import PromptScore, PromptTotal, PromptUse, PromptUses
from ratchet.store.spans.reliability import (
    LastFailure,
    LostPoint,
    Probed,
    ProbePoint,
    Reliability,
    TargetFigures,
)
from ratchet.store.spans.reuse import Audited, Reuse, ReuseDay, SemanticHit
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
from ratchet.store.spans.sessions import SESSION_ORDERS, Session, SessionPage, SessionRow, Turn
from ratchet.store.spans.speed import ModelCalls, Speed
from ratchet.store.spans.spending import WHOSE, Share, Spending
from ratchet.store.spans.store import SpanStore
from ratchet.store.spans.traffic import DIMENSIONS, Figures, Group, Overview, Point

__all__ = [
    "DIMENSIONS",
    "OWNER_ORDERS",
    "SESSION_ORDERS",
    "UNSAID",
    "WHOSE",
    "Audited",
    "Companion",
    "Facets",
    "Feedback",
    "Figures",
    "Found",
    "Group",
    "Happening",
    "Health",
    "KeyUse",
    "LastFailure",
    "LostPoint",
    "ModelCalls",
    "ModelSummary",
    "Opinion",
    "Overview",
    "OwnerKind",
    "OwnerPage",
    "OwnerRow",
    "Point",
    "ProbePoint",
    "Probed",
    "PromptScore",
    "PromptTotal",
    "PromptUse",
    "PromptUses",
    "Reliability",
    "Reuse",
    "ReuseDay",
    "ScoreSummary",
    "SemanticHit",
    "Served",
    "Session",
    "SessionPage",
    "SessionRow",
    "Share",
    "Sighting",
    "SpanHead",
    "SpanStore",
    "Speed",
    "Spending",
    "StoreHealth",
    "Summary",
    "TableHealth",
    "TargetFigures",
    "TraceFilter",
    "TracePage",
    "TraceRow",
    "TraceTree",
    "Turn",
]
