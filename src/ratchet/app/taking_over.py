"""Which settings are taken over while ratchet runs, and which wait for a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

__all__ = ["leaves", "waiting"]

# What is taken over at once; everything else waits for a restart.
_HOT = (
    "providers",
    "routes",
    "limits",
    "budgets",
    "prices",
    "embeddings",
    "segments",
    "trust",
    "gateway.max_body_bytes",
    "gateway.max_answer_bytes",
    "gateway.counters_down",
    "gateway.keep_content",
    "gateway.trusted_proxies",
    "gateway.allow_private",
    "gateway.keep_alive",
    "studio.protected_labels",
)
_ELSEWHERE = ("providers", "routes", "limits", "budgets")  # they have pages of their own


def leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, without those that have pages of their own; of named tables each is one value."""
    for name in type(model).model_fields:
        key = f"{prefix}{name}"
        if key in _ELSEWHERE:
            continue
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{key}.")
        elif key in ("prices", "segments"):
            for part_name, part in value.items():
                yield f"{key}.{part_name}", part
        else:
            yield key, value


def waiting(now: BaseModel, started_with: BaseModel) -> list[str]:
    """What was changed since the start and waits for a restart, by dotted name."""
    before = dict(leaves(started_with))
    return [key for key, value in leaves(now) if not key.startswith(_HOT) and before.get(key) != value]
