"""`GET /v1beta/models` and `/v1beta/models/{name}` as Google answers them."""

from __future__ import annotations

from typing import Any

from ratchet.simulator.gemini.abilities import abilities_of
from ratchet.simulator.gemini.errors import JSON
from ratchet.simulator.outcomes import Outcome
from ratchet.simulator.wire import encode

__all__ = ["models"]

_NAMES = (
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash-lite",
    "gemini-3-pro-preview",
    "gemini-embedding-001",
)


def models(name: str) -> Outcome:
    """All models, or the one of that name: every name is taken."""
    found = _model(name) if name else {"models": [*map(_model, _NAMES)]}
    return Outcome(200, encode(found), JSON)


def _model(name: str) -> dict[str, Any]:
    embeds = "embedding" in name
    methods = ["embedContent"] if embeds else ["generateContent", "countTokens"]
    made: dict[str, Any] = {
        "name": f"models/{name}",
        "version": "001",
        "displayName": " ".join(word.capitalize() for word in name.split("-")),
        "description": "A simulated model.",
        "inputTokenLimit": 2048 if embeds else 1_048_576,
        "outputTokenLimit": 1 if embeds else 65_536,
        "supportedGenerationMethods": methods,
    }
    if embeds:
        return made
    return {
        **made,
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        "thinking": bool(abilities_of(name).thinks),
    }
