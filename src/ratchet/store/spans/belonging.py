"""Whose a span is, when not every span of a trace says so.

An app that names its user or session on its own spans only leaves the gateway's calls below them without a name. Such
calls belong to whom their trace names. Where no call lacks the name, which is cheap to find out, spans are grouped by
the column itself.
"""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Mapping
from typing import Any

import msgspec

from ratchet.store.spans.clients import ClientPool

__all__ = ["Belonging", "belonging"]


class Belonging(msgspec.Struct, frozen=True):
    """How to group spans by whose they are: common tables, what to select from, and the expression to group by."""

    common: str
    source: str
    owner: str


def belonging(pool: ClientPool, column: str, where: str, parameters: Mapping[str, Any]) -> Belonging:
    """`column` names the owner (`user_id`, `organisation_id`, `session_id`); `where` bounds the spans looked at."""
    lacking = f"SELECT trace_id FROM spans WHERE {where} AND model_call AND {column} = ''"
    if not pool.select(f"{lacking} LIMIT 1", parameters):
        return Belonging("", "spans", column)
    naming = f"FROM spans WHERE {where} AND {column} != '' AND trace_id IN ({lacking})"
    if not pool.select(f"SELECT 1 {naming} LIMIT 1", parameters):
        return Belonging("", "spans", column)
    common = f"owners AS (SELECT trace_id AS owned_, max({column}) AS owner_ {naming} GROUP BY owned_)"
    source = "spans LEFT ANY JOIN owners ON trace_id = owned_"
    return Belonging(common, source, f"if({column} != '', {column}, owner_)")
