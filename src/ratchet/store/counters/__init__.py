"""Counters that requests change: limits, budgets, trust, cache entries. One port, two implementations."""

from __future__ import annotations

from ratchet.store.counters.memory import MemoryCounters, steady_clock
from ratchet.store.counters.port import (
    LONGEST,
    MOST_MEMBERS,
    Ask,
    BudgetAsk,
    Counters,
    Grant,
    LeaseAsk,
    RateAsk,
    Refusal,
    Tally,
)

__all__ = [
    "LONGEST",
    "MOST_MEMBERS",
    "Ask",
    "BudgetAsk",
    "Counters",
    "Grant",
    "LeaseAsk",
    "MemoryCounters",
    "RateAsk",
    "Refusal",
    "Tally",
    "steady_clock",
]
