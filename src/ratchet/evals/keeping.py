"""What is kept of scorers and results, as JSON can hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.runs import Result
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["about_from", "about_to", "plain"]

_FIELDS = ("name", "title", "group", "higher_is_better", "low", "high", "binary", "asks_a_model")


def about_to(about: ScorerAbout) -> dict[str, Any]:
    """What a run remembers of a scorer, as JSON can hold it."""
    return {name: getattr(about, name) for name in _FIELDS} | {"parts": list(about.parts)}


def about_from(kept: Mapping[str, Any]) -> ScorerAbout:
    known = {name: kept[name] for name in _FIELDS if name in kept}
    return ScorerAbout(**known, parts=tuple(kept.get("parts", ())))


def plain(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Results as JSON can hold them: what is unscored is null."""
    return [
        {**msgspec.to_builtins(each), "verdicts": [_verdict(verdict) for verdict in each.verdicts]}
        for each in results
    ]


def _verdict(verdict: Any) -> dict[str, Any]:
    return {**msgspec.to_builtins(verdict), "value": verdict.value if verdict.scored else None}
